//! Start a background task: fire and forget, or wait for it later.
//!
//! `tokio::spawn` starts the task immediately. It returns a handle, which you await when
//! you need the result. If you drop the handle, the task keeps running. asyncio may
//! garbage-collect a task to which nobody keeps a reference.
//!
//! A `tokio_util::task::TaskTracker` counts tasks without keeping their results. Before
//! the program ends, call `close` of the tracker and await its `wait`. To stop a task
//! when its owner is dropped, see `drop_or_detach`.
//!
//! Bounds: Unbounded: Nothing limits the number of background tasks.
//!
//! Trap: If you drop the handle and the task returns an `Err`, nobody sees the error.
//! asyncio logs "Task exception was never retrieved"; in Tokio, only a panic leaves a
//! message on standard error. Report errors in the task itself.
//!
//! See also: `background_services` (clean-up that awaits), `semaphore`.
//!
//! asyncio: asyncio.create_task, asyncio.Task.add_done_callback, asyncio.Task.cancel

use std::time::Duration;

use tokio::task::JoinError;
use tokio::time::sleep;
use tokio_util::task::TaskTracker;

async fn long_running_process() -> String {
    sleep(Duration::from_millis(300)).await;
    println!("the background task is done");
    String::from("background_result")
}

async fn quick_operation() -> String {
    sleep(Duration::from_millis(100)).await;
    String::from("quick_result")
}

async fn send_mail(to: &str) -> Result<(), String> {
    sleep(Duration::from_millis(100)).await;
    assert!(!to.is_empty(), "no address given");
    if to == "nobody" {
        return Err(String::from("unknown address"));
    }
    sleep(Duration::from_millis(100)).await;
    println!("mail to {to} sent");
    Ok(())
}

/// Reports the error itself, because nobody awaits this task.
async fn send_mail_or_report(to: &str) {
    if let Err(error) = send_mail(to).await {
        println!("mail to {to} not sent: {error}");
    }
}

#[tokio::main]
async fn main() -> Result<(), JoinError> {
    println!("Awaited when it is needed:");
    let background_task = tokio::spawn(long_running_process());
    println!("{}", quick_operation().await);
    println!("{}", background_task.await?);

    println!("Errors of tasks that nobody awaits:");
    tokio::spawn(send_mail("Ada"));
    tokio::spawn(send_mail("nobody"));
    tokio::spawn(send_mail(""));
    sleep(Duration::from_millis(300)).await;

    println!("Tasks that report their errors, awaited at the end:");
    let background = TaskTracker::new();
    background.spawn(send_mail_or_report("Ada"));
    background.spawn(send_mail_or_report("nobody"));
    println!("{} in the background", background.len());
    // A tracker that is not closed expects more tasks, and `wait` never returns.
    background.close();
    background.wait().await;
    println!("{} in the background", background.len());

    Ok(())
}

//@ stderr: no address given
