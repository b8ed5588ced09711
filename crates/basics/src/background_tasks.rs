//! Background tasks: wait for all, shut them down, or lose them when `main` returns.
//!
//! A `TaskTracker` of the crate `tokio-util` counts the tasks that it spawns. A task that
//! has a clone of the tracker can spawn more tasks. `wait` returns when the tracker is
//! closed and all tasks have ended.
//!
//! To shut a task down, cancel the `CancellationToken` that the task listens to, and then
//! call `wait`. When `main` returns, running tasks are dropped at their current await.
//! Their destructors (`Drop`) still run, the lines after that await do not.
//!
//! Trap: If you do not call `close`, the tracker's `wait` never returns, even when all
//! tasks have ended. Call `close` before you await `wait`.
//!
//! Trap: If you spawn a task into a tracker and the task fails, you do not hear of its
//! error or its panic: a tracker ignores both. Python's `TaskGroup` raises them. If a
//! task may fail, spawn it into a `JoinSet`, a set of tasks that returns the result or
//! the panic of each.
//!
//! See also: `create_task`, `drop_or_detach`, `graceful_shutdown`, `background_task`.
//!
//! asyncio: asyncio.TaskGroup, asyncio.create_task, asyncio.Task.cancel, asyncio.run
//! differs: a task that still runs at the end cleans up in asyncio; Tokio drops it

use std::time::Duration;

use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Spawns its own tasks. `wait` on the tracker waits for them, too.
async fn crawl(site: &str, tasks: TaskTracker) {
    sleep(Duration::from_millis(100)).await;
    println!("{site} has two pages");
    for (page, millis) in [("home", 100), ("news", 200)] {
        tasks.spawn(async move {
            sleep(Duration::from_millis(millis)).await;
            println!("Data from {page}");
        });
    }
}

/// Simulates a file, which is closed when it is dropped.
struct LogFile;

impl Drop for LogFile {
    fn drop(&mut self) {
        println!("The file is closed");
    }
}

/// Flushes a log every 200 ms until the token is cancelled, and then once more.
pub async fn flush_log(stop: CancellationToken) {
    let _file = LogFile;
    let period = Duration::from_millis(200);
    while stop.run_until_cancelled(sleep(period)).await.is_some() {
        println!("Flushed");
    }
    println!("The last flush begins");
    sleep(Duration::from_millis(100)).await;
    println!("The last flush ends");
}

#[tokio::main]
async fn main() {
    println!("Tasks that are waited for:");
    let tasks = TaskTracker::new();
    tasks.spawn(crawl("example.com", tasks.clone()));
    tasks.close();
    tasks.wait().await;
    println!("All tasks have ended");

    println!("A task that is shut down:");
    let tasks = TaskTracker::new();
    let stop = CancellationToken::new();
    tasks.spawn(flush_log(stop.clone()));
    sleep(Duration::from_millis(500)).await;
    stop.cancel();
    tasks.close();
    tasks.wait().await;
    println!("All tasks have ended");

    println!("A task that is left at the end:");
    tokio::spawn(flush_log(CancellationToken::new()));
    sleep(Duration::from_millis(500)).await;
    println!("The program ends");
}
