//! What is measured: Tokio's own primitives and HTTP, as the examples use them. asyncio, uvloop
//! and aiohttp do the same in `contestants.py`.

use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_stream::stream;
use axum::extract::Path;
use axum::response::Json;
use axum::routing::get;
use axum::{Router, serve};
use catalog::speed::Unit;
use futures::future::{LocalBoxFuture, join_all};
use futures::{FutureExt, StreamExt};
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;
use tokio::sync::{Mutex, Semaphore, mpsc};
use tokio::task::{JoinSet, yield_now};
use tokio::time::sleep;
use tokio_util::task::AbortOnDropHandle;

use crate::concurrency::many_producers_many_consumers::SharedReceiver;
use crate::concurrency::worker_pool::worker_pool;
use crate::real_world::http_requests::{client, fetch_json};

/// A piece of work that Tokio, asyncio and uvloop do, and the page that shows it.
pub struct Row {
    /// The name on the command line, and of the function in `contestants.py`.
    pub name: &'static str,
    /// As `concurrency/lock`.
    pub example: &'static str,
    /// How many items: enough that Tokio takes some 20 ms.
    pub size: u64,
    /// `{n}` stands for the number of items, `{on}` for the threads.
    pub title: &'static str,
    /// What is counted.
    pub unit: Unit,
    /// Does the work with as many items.
    pub run: fn(u64) -> LocalBoxFuture<'static, Work>,
}

macro_rules! rows {
    ($($name:literal $example:literal, $size:literal $unit:ident, $title:literal, $run:expr;)*) => {
        [$(Row {
            name: $name,
            example: $example,
            size: $size,
            title: $title,
            unit: Unit::$unit,
            run: |size| timed($run(size)).boxed_local(),
        }),*]
    };
}

/// In the order of the table. What names its threads is done on one, as asyncio has it, and on
/// a thread for each core. There, tasks that hand over to each other at each step pay for the
/// threads. Each request for JSON has a time limit, and its status is looked at.
pub const ROWS: [Row; 10] = rows! {
    "spawn" "basics/spawn_tasks", 100_000 Seconds,
        "Spawn {n} tasks and wait for them, {on}", spawn;
    "gather" "concurrency/gather", 10_000 Seconds,
        "Await {n} futures at once, each of which yields once", gather;
    "queue_1_to_1" "concurrency/producer_consumer", 500_000 Seconds,
        "{n} items through a queue for 2, one producer, one consumer, {on}", |n| queue(1, n);
    "queue_4_to_4" "concurrency/many_producers_many_consumers", 200_000 Seconds,
        "{n} items through a queue for 2, four producers, four consumers, {on}", |n| queue(4, n);
    "semaphore" "concurrency/semaphore", 100_000 Seconds,
        "A permit taken {n} times by 100 tasks, of which 10 have one at once, {on}", semaphore;
    "lock" "concurrency/lock", 100_000 Seconds,
        "A lock taken {n} times by 10 tasks, and held over an await, {on}", lock;
    "generator" "iterators/generator", 10_000_000 Seconds,
        "{n} items from an async generator", generator;
    "worker_pool" "concurrency/worker_pool", 50_000 Seconds,
        "{n} jobs by a pool of four workers, {on}, read in main", pool;
    "sleeper_memory" "basics/timers", 100_000 Bytes,
        "Memory of {n} tasks that sleep", sleeper_memory;
    "http_requests" "real-world/http_requests", 4_000 Seconds,
        "{n} requests for JSON, 50 at once, client and server {on}", http_requests;
};

/// What a contestant did, and what it cost.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Work {
    /// In the unit of the row, for all items. If nothing was measured, the time of all.
    pub value: Option<f64>,
    /// How many items it counted. All contestants of a row agree on it.
    pub items: u64,
    /// The sum of the items, or of what came of them. All contestants agree on it too.
    pub sum: u64,
}

impl From<(u64, u64)> for Work {
    fn from((items, sum): (u64, u64)) -> Self {
        let value = None;
        Self { value, items, sum }
    }
}

/// Does the work, or a part of what a contestant does, and times it.
async fn timed<W: Into<Work>>(work: impl Future<Output = W>) -> Work {
    let begun = Instant::now();
    let mut work: Work = work.await.into();
    work.value.get_or_insert(begun.elapsed().as_secs_f64());
    work
}

/// Lets tasks do something for each of the numbers that they share, and add up what it
/// gives. Each task has a clone of what they use.
macro_rules! for_each {
    ($tasks:expr, $size:expr, $used:ident, |$number:pat_param| $work:expr) => {{
        let (tasks, size): (u64, u64) = ($tasks, $size);
        let mut running = JoinSet::new();
        for first in 0..tasks {
            let $used = $used.clone();
            running.spawn(async move {
                let (mut items, mut sum) = (0u64, 0u64);
                for $number in (first..size).step_by(tasks as usize) {
                    sum += $work;
                    items += 1;
                }
                (items, sum)
            });
        }
        added(running.join_all().await)
    }};
}

/// Adds up numbers of items and sums.
fn added(parts: impl IntoIterator<Item = (u64, u64)>) -> (u64, u64) {
    let parts = parts.into_iter();
    parts.fold((0, 0), |all, part| (all.0 + part.0, all.1 + part.1))
}

/// Counts numbers, and adds them up.
fn counted(numbers: Vec<u64>) -> (u64, u64) {
    added(numbers.into_iter().map(|number| (1, number)))
}

async fn number(number: u64) -> u64 {
    number
}

async fn yield_and(number: u64) -> u64 {
    yield_now().await;
    number
}

async fn gather(size: u64) -> (u64, u64) {
    counted(join_all((0..size).map(yield_and)).await)
}

async fn spawn(size: u64) -> (u64, u64) {
    let tasks: JoinSet<u64> = (0..size).map(number).collect();
    counted(tasks.join_all().await)
}

/// Sends the numbers through a queue for two.
async fn queue(sides: u64, size: u64) -> (u64, u64) {
    let (sender, receiver) = mpsc::channel(2);
    let receiver = SharedReceiver::new(receiver);
    let mut consumers = JoinSet::new();
    for _ in 0..sides {
        let receiver = receiver.clone();
        consumers.spawn(async move {
            let (mut items, mut sum) = (0, 0);
            while let Some(number) = receiver.recv().await {
                items += 1;
                sum += number;
            }
            (items, sum)
        });
    }
    for_each!(sides, size, sender, |number| {
        sender.send(number).await.expect("the receiver is there");
        0
    });
    drop(sender);
    added(consumers.join_all().await)
}

async fn semaphore(size: u64) -> (u64, u64) {
    let semaphore = Arc::new(Semaphore::new(10));
    for_each!(100, size, semaphore, |number| {
        let permit = semaphore.acquire().await;
        let _permit = permit.expect("it is never closed");
        yield_now().await;
        number
    })
}

async fn lock(size: u64) -> (u64, u64) {
    let sum = Arc::new(Mutex::new(0));
    let (items, _) = for_each!(10, size, sum, |number| {
        let mut sum = sum.lock().await;
        yield_now().await;
        *sum += number;
        0
    });
    (items, *sum.lock().await)
}

async fn generator(size: u64) -> (u64, u64) {
    let numbers = stream! {
        for number in 0..size {
            yield number;
        }
    };
    let (mut numbers, mut items, mut sum) = (pin!(numbers), 0, 0);
    while let Some(number) = numbers.next().await {
        items += 1;
        sum += number;
    }
    (items, sum)
}

async fn pool(size: u64) -> (u64, u64) {
    let (jobs, mut results) = worker_pool(4, 2, number);
    let submitting = tokio::spawn(async move {
        for number in 0..size {
            let submitted = jobs.send((number, number)).await;
            assert!(submitted.is_ok(), "nobody stops the pool");
        }
    });
    let (mut items, mut sum) = (0, 0);
    while let Some((_, result)) = results.next().await {
        items += 1;
        sum += result.expect("no job panics");
    }
    submitting.await.expect("it does not panic");
    (items, sum)
}

/// The memory of this process, in bytes.
fn memory() -> f64 {
    let stats = memory_stats::memory_stats();
    stats.expect("the system tells").physical_mem as f64
}

async fn sleeper_memory(size: u64) -> Work {
    let before = memory();
    let sleep_long = |_| tokio::spawn(sleep(Duration::from_secs(3600)));
    let tasks: Vec<_> = (0..size).map(sleep_long).collect();
    // All of them begin before this continues.
    sleep(Duration::from_millis(200)).await;
    let value = Some(memory() - before);
    let items = tasks.iter().filter(|task| !task.is_finished()).count() as u64;
    tasks.iter().for_each(|task| task.abort());
    Work {
        value,
        items,
        sum: 0,
    }
}

#[derive(Serialize, Deserialize)]
struct Post {
    id: u64,
    title: String,
}

async fn post(Path(id): Path<u64>) -> Json<Post> {
    let title = format!("Title {id}");
    Json(Post { id, title })
}

async fn http_requests(size: u64) -> Work {
    let listener = TcpListener::bind("127.0.0.1:0").await;
    let listener = listener.expect("there is a port");
    let address = listener.local_addr().expect("it is bound");
    let app = Router::new().route("/posts/{id}", get(post));
    let server = tokio::spawn(serve(listener, app).into_future());
    let _server = AbortOnDropHandle::new(server);
    let client = client(Duration::from_secs(5), Duration::from_secs(30));
    let client = client.expect("the options fit");
    let requests = async {
        for_each!(50, size, client, |id| {
            let request = client.get(format!("http://{address}/posts/{id}"));
            let post: Post = fetch_json(request).await.expect("it answers");
            post.id + post.title.len() as u64
        })
    };
    timed(requests).await
}
