//! Profile async code with tokio-metrics: polls, slow polls, live tasks, a growing queue.
//!
//! `perf` and `samply`, as py-spy, show where the processor works, not what waits. A
//! `TaskMonitor` counts how often and how long tasks are polled. Give each kind of task
//! (a route, a worker) its own monitor, and compare:
//! - slow polls keep their thread from other tasks: look for a blocking call;
//! - long delays are the victims: they were woken and found no thread;
//! - many polls for little work: the task asks again and again instead of being woken;
//! - live tasks that grow from sample to sample are an unbounded queue.
//!
//! Trap: by default a poll is slow from 50 microseconds on, which names too many.
//!
//! In production: a runtime's own poll times need `--cfg tokio_unstable`. The feature
//! `metrics-rs-integration` exports a monitor's numbers to `metrics`.
//!
//! See also: `watchdog`, `debugging`, `metrics`.
//!
//! asyncio: asyncio.all_tasks, asyncio.to_thread, loop.slow_callback_duration
//! clock: real

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::{Mutex, Notify, OwnedSemaphorePermit, Semaphore};
use tokio::task::{JoinError, JoinSet, spawn_blocking};
use tokio::time::{Instant, interval, interval_at, sleep, sleep_until};
use tokio_metrics::{RuntimeMonitor, TaskMonitor};

pub const SLOW: Duration = Duration::from_millis(50);

fn report(kind: &str, monitor: &TaskMonitor) {
    let metrics = monitor.cumulative();
    let (tasks, polls) = (metrics.instrumented_count, metrics.total_poll_count);
    let slow = metrics.total_slow_poll_count;
    println!("{kind}: tasks {tasks}, polls {polls}, of which slow {slow}");
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

/// Three of them, each in a task of its own and at its time.
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

async fn wait_by_asking(ready: Arc<AtomicBool>) {
    while !ready.load(Ordering::Acquire) {
        sleep(Duration::from_millis(100)).await;
    }
}

pub async fn wait_to_be_woken(ready: Arc<Notify>) {
    ready.notified().await;
}

/// Takes 100 ms, and then 400 ms of the one connection.
async fn query(connection: Arc<Mutex<()>>, _place: Option<OwnedSemaphorePermit>) {
    sleep(Duration::from_millis(100)).await;
    let _connection = connection.lock().await;
    sleep(Duration::from_millis(400)).await;
}

/// A query each 200 ms. After 0.7 and 1.5 s it prints how many tasks there are.
async fn serve(places: Option<Arc<Semaphore>>) {
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
            // Or it keeps those that have ended.
            while queries.try_join_next().is_some() {}
            let place = places.clone().map(Semaphore::try_acquire_owned);
            match place.transpose() {
                Ok(place) => {
                    queries.spawn(query(Arc::clone(&connection), place));
                }
                Err(_) => refused += 1,
            }
        }
        sleep_until(start + Duration::from_millis(at)).await;
        println!("live tasks: {}, refused: {refused}", live() - before);
    }
    queries.shutdown().await;
}

pub async fn run() -> Result<(), JoinError> {
    // Each part begins at its time, however long the one before it took.
    let mut part = interval(Duration::from_millis(600));

    part.tick().await;
    println!("Three requests of each kind:");
    three("search", search).await?;
    part.tick().await;
    three("thumbnail", thumbnail).await?;

    part.tick().await;
    println!("What was slow, in a thread:");
    three("thumbnail", thumbnail_in_a_thread).await?;

    part.tick().await;
    println!("A task that waits until another is ready, after 0.25 s:");
    let delay = Duration::from_millis(250);
    let monitor = TaskMonitor::with_slow_poll_threshold(SLOW);
    let ready = Arc::new(AtomicBool::new(false));
    let asks = tokio::spawn(monitor.instrument(wait_by_asking(Arc::clone(&ready))));
    sleep(delay).await;
    ready.store(true, Ordering::Release);
    asks.await?;
    report("asks", &monitor);

    part.tick().await;
    let monitor = TaskMonitor::with_slow_poll_threshold(SLOW);
    let ready = Arc::new(Notify::new());
    let is_woken = monitor.instrument(wait_to_be_woken(Arc::clone(&ready)));
    let is_woken = tokio::spawn(is_woken);
    sleep(delay).await;
    ready.notify_one();
    is_woken.await?;
    report("is woken", &monitor);

    part.tick().await;
    println!("A query each 0.2 s, and each needs the connection for 0.4 s:");
    serve(None).await;
    println!("With two places, and who finds none is refused:");
    for _ in 0..3 {
        part.tick().await;
    }
    serve(Some(Arc::new(Semaphore::new(2)))).await;
    Ok(())
}

#[tokio::main]
pub async fn main() -> Result<(), JoinError> {
    run().await
}
