//! Profile async code with tokio-metrics: polls, slow polls, live tasks, a growing queue.
//!
//! The profilers `perf` and `samply`, like py-spy, show the running code, not the waiting
//! tasks. A `TaskMonitor` of the crate `tokio-metrics` counts how often and how long
//! tasks are polled (a poll runs a task until its next await). Give each kind of task (a
//! route, a worker) its own monitor, and compare:
//! - Slow polls block their thread for other tasks: look for a blocking call.
//! - Tasks with long delays are the victims: they were woken, but no thread was free.
//! - Many polls for little work: the task polls in a loop instead of waiting to be woken.
//! - If the number of live tasks grows with each sample, they are an unbounded queue.
//!
//! Trap: If you profile a debug build, nearly all polls count as slow, because the
//! default threshold is 50 microseconds. Set a higher threshold, as this file does.
//!
//! In production: To measure the polls of all tasks of a runtime, compile with
//! `--cfg tokio_unstable`.
//!
//! See also: `watchdog`, `debugging`, `metrics`.
//!
//! asyncio: asyncio.all_tasks, asyncio.to_thread, loop.slow_callback_duration

use std::future::Future;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::{Mutex, Semaphore};
use tokio::task::{JoinError, JoinSet, spawn_blocking};
use tokio::time::sleep;
use tokio_metrics::{RuntimeMonitor, TaskMonitor};

pub const SLOW: Duration = Duration::from_millis(200);

fn report(kind: &str, monitor: &TaskMonitor) {
    let metrics = monitor.cumulative();
    let (tasks, slow) = (metrics.instrumented_count, metrics.total_slow_poll_count);
    println!("{kind}: {tasks} tasks, {slow} slow polls");
}

async fn search() {
    for _database in 0..2 {
        sleep(Duration::from_millis(50)).await;
    }
}

/// Simulates a calculation, or a call that blocks.
fn draw() {
    thread::sleep(Duration::from_millis(400));
}

async fn thumbnail() {
    sleep(Duration::from_millis(50)).await;
    draw();
}

async fn thumbnail_in_a_thread() {
    sleep(Duration::from_millis(50)).await;
    spawn_blocking(draw).await.expect("it does not panic");
}

/// Runs three requests one after the other, each in its own task.
async fn three<F>(kind: &str, request: fn() -> F) -> Result<(), JoinError>
where
    F: Future<Output = ()> + Send + 'static,
{
    let monitor = TaskMonitor::with_slow_poll_threshold(SLOW);
    for _ in 0..3 {
        tokio::spawn(monitor.instrument(request())).await?;
    }
    report(kind, &monitor);
    Ok(())
}

/// Holds the one connection for 200 ms.
async fn query(connection: Arc<Mutex<()>>) {
    let _connection = connection.lock().await;
    sleep(Duration::from_millis(200)).await;
}

/// Starts two queries each time one has ended. Prints how many tasks there are.
async fn serve(permits: Option<Arc<Semaphore>>) -> Result<(), JoinError> {
    let mut samples = RuntimeMonitor::new(&Handle::current()).intervals();
    let mut live = || samples.next().map_or(0, |sample| sample.live_tasks_count);
    let before = live();
    let connection = Arc::new(Mutex::new(()));
    let mut queries = JoinSet::new();
    let mut refused = 0;
    for _ in 0..4 {
        for _ in 0..2 {
            let query = query(Arc::clone(&connection));
            match &permits {
                None => {
                    queries.spawn(query);
                }
                Some(permits) => match Arc::clone(permits).try_acquire_owned() {
                    Err(_) => refused += 1,
                    Ok(permit) => {
                        queries.spawn(async {
                            let _permit = permit;
                            query.await;
                        });
                    }
                },
            }
        }
        println!("live tasks: {}, refused: {refused}", live() - before);
        queries.join_next().await.transpose()?;
    }
    queries.shutdown().await;
    Ok(())
}

// On one thread, a task that has ended is no longer counted when its result is there.
#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), JoinError> {
    println!("Three requests of each kind:");
    three("search", search).await?;
    three("thumbnail", thumbnail).await?;

    println!("The slow part in a thread:");
    three("thumbnail", thumbnail_in_a_thread).await?;

    println!("Two queries arrive while one is answered:");
    serve(None).await?;
    println!("With two permits; a query without one is refused:");
    serve(Some(Arc::new(Semaphore::new(2)))).await
}

//@ clock: real
