//! Profile async code with tokio-metrics: polls, slow polls, live tasks, a growing queue.
//!
//! `perf` and `samply`, like py-spy, show which code runs, not which task waits. A
//! `TaskMonitor` counts how often and how long tasks are polled. Give each kind of task
//! (a route, a worker) its own monitor, and compare:
//! - Slow polls block their thread for other tasks: look for a blocking call.
//! - Tasks with long delays are the victims: they were woken and found no thread.
//! - Many polls for little work: the task polls in a loop instead of waiting to be woken.
//! - If the number of live tasks grows with each sample, they are an unbounded queue.
//!
//! Trap: by default a poll of 50 microseconds counts as slow, so too many polls do.
//!
//! In production: a runtime's own poll times need `--cfg tokio_unstable`.
//!
//! See also: `watchdog`, `debugging`, `metrics`.
//!
//! asyncio: asyncio.all_tasks, asyncio.to_thread, loop.slow_callback_duration

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::{Mutex, OwnedSemaphorePermit, Semaphore};
use tokio::task::{JoinError, JoinSet, spawn_blocking};
use tokio::time::{Instant, interval, interval_at, sleep, sleep_until};
use tokio_metrics::{RuntimeMonitor, TaskMonitor};

pub const SLOW: Duration = Duration::from_millis(50);

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

/// Stands for a calculation, or a call that blocks.
fn draw() {
    thread::sleep(Duration::from_millis(100));
}

async fn thumbnail() {
    sleep(Duration::from_millis(50)).await;
    draw();
}

async fn thumbnail_in_a_thread() {
    sleep(Duration::from_millis(50)).await;
    spawn_blocking(draw).await.expect("it does not panic");
}

/// Runs three requests one after the other, each in a task of its own.
async fn three<F>(kind: &str, request: fn() -> F) -> Result<(), JoinError>
where
    F: Future<Output = ()> + Send + 'static,
{
    let monitor = TaskMonitor::with_slow_poll_threshold(SLOW);
    let mut start = interval(Duration::from_millis(175));
    for _ in 0..3 {
        start.tick().await;
        tokio::spawn(monitor.instrument(request())).await?;
    }
    report(kind, &monitor);
    Ok(())
}

/// Takes 100 ms, and then holds the one connection for 400 ms.
async fn query(connection: Arc<Mutex<()>>, _permit: Option<OwnedSemaphorePermit>) {
    sleep(Duration::from_millis(100)).await;
    let _connection = connection.lock().await;
    sleep(Duration::from_millis(400)).await;
}

/// Starts a query each 200 ms. Prints after 0.7 and 1.5 s how many tasks there are.
async fn serve(permits: Option<Arc<Semaphore>>) {
    let mut samples = RuntimeMonitor::new(&Handle::current()).intervals();
    let mut live = || samples.next().map_or(0, |sample| sample.live_tasks_count);
    let before = live();
    let start = Instant::now();
    let first = start + Duration::from_millis(50);
    let mut arrivals = interval_at(first, Duration::from_millis(200));
    let connection = Arc::new(Mutex::new(()));
    let mut queries = JoinSet::new();
    let mut refused = 0;
    for (count, at) in [(4, 700), (4, 1500)] {
        for _ in 0..count {
            arrivals.tick().await;
            // Otherwise the set keeps all finished tasks.
            while queries.try_join_next().is_some() {}
            let permit = permits.clone().map(Semaphore::try_acquire_owned);
            match permit.transpose() {
                Ok(permit) => {
                    queries.spawn(query(Arc::clone(&connection), permit));
                }
                Err(_) => refused += 1,
            }
        }
        sleep_until(start + Duration::from_millis(at)).await;
        println!("live tasks: {}, refused: {refused}", live() - before);
    }
    queries.shutdown().await;
}

#[tokio::main]
async fn main() -> Result<(), JoinError> {
    // Each part begins at its time, however long the one before it took.
    let mut part = interval(Duration::from_millis(600));

    part.tick().await;
    println!("Three requests of each kind:");
    three("search", search).await?;
    part.tick().await;
    three("thumbnail", thumbnail).await?;

    part.tick().await;
    println!("The slow part in a thread:");
    three("thumbnail", thumbnail_in_a_thread).await?;

    part.tick().await;
    println!("A query each 0.2 s, and each needs the connection for 0.4 s:");
    serve(None).await;
    println!("With two permits; a query without one is refused:");
    for _ in 0..3 {
        part.tick().await;
    }
    serve(Some(Arc::new(Semaphore::new(2)))).await;
    Ok(())
}

//@ clock: real
