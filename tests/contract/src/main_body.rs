//! What the body of `main` is: in asyncio a task, here the future that `block_on` polls.
//!
//! Each clause has its own runtime, on a separate thread.
//!
//! asyncio: asyncio.current_task, asyncio.all_tasks, asyncio.sleep(0)
//! differs: the body of `main` is no task

use std::panic::resume_unwind;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;

use tokio::runtime::{Builder, Handle};
use tokio::task::{self, JoinSet, spawn_blocking, yield_now};

use crate::support::{millis, try_out};

/// Runs the future as the body of `main` of a program on one thread.
async fn as_main(body: impl Future<Output = String> + Send + 'static) -> String {
    let thread = thread::spawn(|| {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(body)
    });
    thread
        .join()
        .unwrap_or_else(|payload| resume_unwind(payload))
}

async fn has_id() -> String {
    match task::try_id() {
        Some(_) => "there is a task",
        None => "there is no task",
    }
    .to_owned()
}

async fn id_in_main() -> String {
    task::id();
    "returns".to_owned()
}

async fn id_in_a_thread() -> String {
    let id = spawn_blocking(task::try_id).await.unwrap();
    ["there is no task", "there is a task"][usize::from(id.is_some())].to_owned()
}

async fn count() -> String {
    for _ in 0..100 {
        tokio::spawn(std::future::pending::<()>());
    }
    Handle::current().metrics().num_alive_tasks().to_string()
}

/// Spawns 100 tasks and returns how many have run after one turn.
async fn after_one_turn() -> String {
    let count = Arc::new(AtomicU32::new(0));
    let mut tasks = JoinSet::new();
    for _ in 0..100 {
        let count = Arc::clone(&count);
        tasks.spawn(async move { count.fetch_add(1, Ordering::SeqCst) });
    }
    yield_now().await;
    let all = count.load(Ordering::SeqCst) == 100;
    format!("all of 100 have run: {all}")
}

#[tokio::main]
async fn main() {
    try_out! { millis(500),
        "current_task.main.is-a-task" => as_main(has_id()),
        "current_task.main.is-a-task@id" => as_main(id_in_main()),
        "current_task.task.is-itself" => as_main(async {
            tokio::spawn(has_id()).await.unwrap()
        }),
        "current_task.thread.is-none" => as_main(id_in_a_thread()),
        "all_tasks.main.counted" => as_main(count()),
        "sleep-zero.main.runs-all-ready" => as_main(after_one_turn()),
        "sleep-zero.task.runs-all-ready" => as_main(async {
            tokio::spawn(after_one_turn()).await.unwrap()
        }),
    }
}

//@ clock: real
