//! Tokio's own primitives and HTTP, as the examples use them, beside asyncio, uvloop and
//! aiohttp.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use async_stream::stream;
use axum::extract::Path;
use axum::response::Json;
use axum::routing::get;
use axum::{Router, serve};
use catalog::speed::Unit;
use futures::StreamExt;
use futures::future::join_all;
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;
use tokio::sync::{Mutex, Semaphore, mpsc};
use tokio::task::{JoinSet, yield_now};
use tokio::time::sleep;
use tokio_util::task::AbortOnDropHandle;

use crate::examples::http_requests::{client, fetch_json};
use crate::examples::many_producers_many_consumers::SharedReceiver;
use crate::examples::worker_pool::worker_pool;
use crate::row::{Row, Work, counted, for_each, row, timed};

const QUEUE: &str = "concurrency/producer_consumer";
const QUEUES: &str = "concurrency/many_producers_many_consumers";

/// In the order of the table. On several threads, tasks that hand over to each other at each
/// step pay for the threads.
pub fn rows() -> Vec<Row> {
    let spawns = "Spawn {n} tasks and wait for them, {on}";
    let gathers = "Await {n} futures at once, each of which yields once";
    let two = "{n} items through a queue for 2, one producer, one consumer, {on}";
    let eight = "{n} items through a queue for 2, four producers, four consumers, {on}";
    let permits =
        "A permit taken {n} times by 100 tasks, of which 10 have one at once, {on}";
    let locks = "A lock taken {n} times by 10 tasks, and held over an await, {on}";
    let items = "{n} items from an async generator";
    let sleepers = "Memory of {n} tasks that sleep";
    let jobs = "{n} jobs by a pool of four workers, {on}, read in main";
    let requests = "{n} requests for JSON, 50 at once, client and server {on}";
    vec![
        row("spawn", "basics/spawn_tasks", 100_000, spawns)
            .ours(spawn)
            .asyncio("spawn")
            .also_on_all_cores(),
        row("gather", "concurrency/gather", 10_000, gathers)
            .ours(async |n| counted(join_all((0..n).map(yield_and)).await))
            .asyncio("gather"),
        row("queue_1_to_1", QUEUE, 500_000, two)
            .ours(|n| queue(1, n))
            .asyncio("queue_1_to_1")
            .also_on_all_cores(),
        row("queue_4_to_4", QUEUES, 200_000, eight)
            .ours(|n| queue(4, n))
            .asyncio("queue_4_to_4")
            .also_on_all_cores(),
        row("semaphore", "concurrency/semaphore", 100_000, permits)
            .ours(semaphore)
            .asyncio("semaphore")
            .also_on_all_cores(),
        row("lock", "concurrency/lock", 100_000, locks)
            .ours(lock)
            .asyncio("lock")
            .also_on_all_cores(),
        row("generator", "iterators/generator", 10_000_000, items)
            .ours(generator)
            .asyncio("generator"),
        // On all cores, `main` has a thread to itself, which each result has to wake.
        row("worker_pool", "concurrency/worker_pool", 50_000, jobs)
            .ours(pool)
            .asyncio("worker_pool")
            .also_on_all_cores(),
        row("sleeper_memory", "basics/timers", 100_000, sleepers)
            .unit(Unit::Bytes)
            .ours(sleeper_memory)
            .asyncio("sleeper_memory"),
        // Both limit the time of each request, and look at its status.
        row("http_requests", "real-world/http_requests", 4_000, requests)
            .ours(http_requests)
            .asyncio("http_requests")
            .also_on_all_cores(),
    ]
}

async fn number(number: u64) -> u64 {
    number
}

async fn yield_and(number: u64) -> u64 {
    yield_now().await;
    number
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
    let parts = consumers.join_all().await.into_iter();
    parts.fold((0, 0), |all, part| (all.0 + part.0, all.1 + part.1))
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
    // All of them begin before this goes on.
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
