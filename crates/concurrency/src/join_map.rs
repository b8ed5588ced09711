//! Run tasks by key: take results with keys, abort tasks by key (`JoinMap`).
//!
//! A `JoinMap` (of the crate `tokio-util`) is a dict of tasks. `spawn` takes a key.
//! `join_next` returns the next outcome with its key: a value, an error or a panic.
//! `abort` stops a task by its key. Dropping the map aborts all its tasks. Turn on the
//! feature `join-map` of `tokio-util`.
//!
//! Trap: If you spawn with a key that is in use, `JoinMap` aborts the first task, and its
//! outcome never comes. In Python, the dict would only forget the first task, which keeps
//! running. Check with `contains_key` before you spawn.
//!
//! See also: `as_completed`, `wait_for_first`, `background_services`.
//!
//! asyncio: asyncio.create_task, asyncio.wait, asyncio.Task.cancel, asyncio.Task.result
//! differs: a key used twice aborts the first task; a dict lets it keep running

use std::time::Duration;

use tokio::task::JoinError;
use tokio::time::sleep;
use tokio_util::task::JoinMap;

/// Tasks by the names of the users that they load.
type Loading = JoinMap<&'static str, Result<u32, String>>;

async fn load(id: u32, millis: u64) -> Result<u32, String> {
    sleep(Duration::from_millis(millis)).await;
    println!("loaded {id}");
    assert!(id > 0, "user {id} is not a user");
    match id {
        404 => Err("not found".to_string()),
        _ => Ok(id),
    }
}

fn report(name: &str, outcome: Result<Result<u32, String>, JoinError>) {
    match outcome {
        Ok(Ok(id)) => println!("{name}: {id}"),
        Ok(Err(error)) => println!("{name}: {error}"),
        Err(error) if error.is_panic() => println!("{name}: a bug"),
        Err(_) => println!("{name}: aborted"),
    }
}

/// Reports each outcome as it comes.
async fn report_all(mut tasks: Loading) {
    while let Some((name, outcome)) = tasks.join_next().await {
        report(name, outcome);
    }
}

#[tokio::main]
async fn main() {
    println!("Outcomes as they come, one task aborted:");
    let mut tasks = Loading::new();
    tasks.spawn("Ann", load(1, 300));
    tasks.spawn("Bob", load(404, 100));
    tasks.spawn("Eve", load(0, 200));
    tasks.spawn("Joe", load(4, 400));
    sleep(Duration::from_millis(50)).await;
    for name in ["Joe", "Jim"] {
        if !tasks.abort(name) {
            println!("{name} is not there");
        }
    }
    report_all(tasks).await;

    println!("A key used twice:");
    let mut tasks = Loading::new();
    tasks.spawn("Ann", load(1, 200));
    tasks.spawn("Ann", load(10, 300));
    if !tasks.contains_key("Ann") {
        tasks.spawn("Ann", load(100, 100));
    }
    report_all(tasks).await;

    println!("All tasks are stopped:");
    let mut tasks = Loading::new();
    tasks.spawn("Ann", load(1, 100));
    drop(tasks);
    sleep(Duration::from_millis(200)).await;
    println!("0.2 s later");
}

//@ stderr: user 0 is not a user
