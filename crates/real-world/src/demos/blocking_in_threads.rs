//! Calls that wait for a thread, are given up, and stop between their steps.

use std::thread;
use std::time::Duration;

use futures::future::join_all;
use tokio::join;
use tokio::task::JoinError;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::blocking_in_threads::BlockingPool;

/// Simulates blocking input and output, or a calculation.
fn blocking_operation(name: &str, millis: u64) -> Result<String, String> {
    println!("{name} begins");
    thread::sleep(Duration::from_millis(millis));
    println!("{name} ends");
    match name {
        "B" => Err(format!("Blocking operation {name} failed")),
        _ => Ok(format!("Blocking operation {name} completed")),
    }
}

/// Ten steps of 100 ms.
fn in_steps(stop: CancellationToken) -> u32 {
    for step in 1..=10 {
        if stop.is_cancelled() {
            println!("stopped before step {step}");
            return step - 1;
        }
        thread::sleep(Duration::from_millis(100));
        println!("step {step} is done");
    }
    10
}

pub async fn run() -> Result<(), JoinError> {
    let patience = Duration::from_millis(100);

    println!("Four calls, two at a time:");
    let pool = BlockingPool::new(2);
    let calls = [("A", 200), ("B", 300), ("C", 200), ("D", 250)];
    let running =
        calls.map(|(name, millis)| pool.run(move || blocking_operation(name, millis)));
    for result in join_all(running).await {
        println!("{}", result?.unwrap_or_else(|error| error));
    }

    println!("The caller of E times out; E runs on, and F waits for it:");
    let pool = BlockingPool::new(1);
    let call = pool.run(|| blocking_operation("E", 300));
    if timeout(patience, call).await.is_err() {
        println!("gave up");
    }
    let result = pool.run(|| blocking_operation("F", 100)).await?;
    println!("{}", result.unwrap_or_else(|error| error));

    println!("The caller of H gives up while H waits for G, so H never runs:");
    let running = pool.run(|| blocking_operation("G", 200));
    let waiting = async {
        let call = pool.run(|| blocking_operation("H", 100));
        if timeout(patience, call).await.is_err() {
            println!("gave up");
        }
    };
    let (result, ()) = join!(biased; running, waiting);
    println!("{}", result?.unwrap_or_else(|error| error));
    sleep(2 * patience).await;
    println!("0.2 s later");

    println!("A call that asks between its steps:");
    let call = pool.run_stoppable(in_steps);
    if timeout(patience * 5 / 2, call).await.is_err() {
        println!("gave up");
    }
    let result = pool.run(|| blocking_operation("I", 100)).await?;
    println!("{}", result.unwrap_or_else(|error| error));

    println!("The end of the program waits for what runs:");
    let call = pool.run(|| blocking_operation("J", 300));
    if timeout(patience, call).await.is_err() {
        println!("gave up");
    }
    println!("the last line of main");
    Ok(())
}
