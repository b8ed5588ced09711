//! Tokio's own primitives, as the examples use them, beside asyncio and uvloop.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use async_stream::stream;
use catalog::speed::Unit;
use futures::future::join_all;
use futures::{Stream, StreamExt};
use tokio::runtime::Handle;
use tokio::sync::{Mutex, Semaphore, mpsc};
use tokio::task::{JoinSet, yield_now};
use tokio::time::sleep;

use crate::examples::concurrency::many_producers_many_consumers::SharedReceiver;
use crate::examples::concurrency::worker_pool::worker_pool;
use crate::row::{On, Results as _, Row, Work, for_each, row, shared};

/// In the order of the table. The goals hold on one thread, which is what asyncio has. On
/// several threads, tasks that hand over to each other at each step pay for the threads.
pub fn rows() -> Vec<Row> {
    vec![
        row("spawn", "basics/spawn_tasks", 100_000)
            .title("Spawn {n} tasks and wait for them, {on}")
            .ours(spawn)
            .asyncio("primitives.spawn", Some((10.0, 9.0)))
            .also_on_all_cores(),
        row("gather", "concurrency/gather", 10_000)
            .title("Await {n} futures at once, each of which yields once")
            .ours(|n| join_all((0..n).map(yield_and)))
            .asyncio("primitives.gather", Some((39.0, 29.0))),
        row("queue_1_to_1", "concurrency/producer_consumer", 500_000)
            .title("{n} items through a queue for 2, one producer, one consumer, {on}")
            .ours(queue_1_to_1)
            .asyncio("primitives.queue_1_to_1", Some((25.0, 18.0)))
            .also_on_all_cores(),
        row("queue_4_to_4", MANY_TO_MANY, 200_000)
            .title(
                "{n} items through a queue for 2, four producers, four consumers, {on}",
            )
            .ours(|n| queue_4_to_4(2, n))
            .asyncio("primitives.queue_4_to_4", None)
            .also_on_all_cores(),
        // Where most calls need not wait, a put of asyncio is little more than a call.
        row("queue_4_to_4_for_100", MANY_TO_MANY, 200_000)
            .title(
                "{n} items through a queue for 100, four producers, four consumers, {on}",
            )
            .ours(|n| queue_4_to_4(100, n))
            .asyncio("primitives.queue_4_to_4_for_100", None),
        row("semaphore", "concurrency/semaphore", 100_000)
            .title(
                "A permit taken {n} times by 100 tasks, of which 10 have one at once, {on}",
            )
            .ours(semaphore)
            .asyncio("primitives.semaphore", Some((17.0, 14.0)))
            .also_on_all_cores(),
        row("lock", "concurrency/lock", 100_000)
            .title("A lock taken {n} times by 10 tasks, and held over an await, {on}")
            .ours(lock)
            .asyncio("primitives.lock", Some((13.0, 8.5)))
            .also_on_all_cores(),
        row("generator", "iterators/generator", 10_000_000)
            .title("{n} items from an async generator")
            .ours(generator)
            .asyncio("primitives.generator", Some((18.0, 18.0))),
        row("worker_pool", "concurrency/worker_pool", 50_000)
            .title("{n} jobs by a pool of four workers, {on}")
            .ours(pool)
            .asyncio("primitives.worker_pool", None),
        // `main` runs on a thread of its own, which each result has to wake. A task that
        // reads the results goes on right where a worker has sent one.
        row("worker_pool_threads", "concurrency/worker_pool", 50_000)
            .title("{n} jobs by a pool of four workers, {on}, read in main")
            .on(On::AllCores)
            .ours(pool)
            .asyncio("primitives.worker_pool", None),
        row("worker_pool_task", "concurrency/worker_pool", 50_000)
            .title("{n} jobs by a pool of four workers, {on}, read in a task")
            .on(On::AllCores)
            .ours(async |n| tokio::spawn(pool(n)).await.expect("it does not panic"))
            .asyncio("primitives.worker_pool", None),
        row("sleepers", "basics/timers", 1_000_000)
            .title("{n} tasks that sleep for a second")
            .at_most(1.9)
            .on(On::AllCores)
            .ours(sleepers),
        row("sleeper_memory", "basics/timers", 100_000)
            .title("Memory of {n} tasks that sleep")
            .unit(Unit::Bytes)
            .at_most(500.0 * 100_000.0)
            .on(On::AllCores)
            .ours(sleeper_memory)
            .asyncio("primitives.sleeper_memory", None),
    ]
}

const MANY_TO_MANY: &str = "concurrency/many_producers_many_consumers";

async fn number(number: u64) -> u64 {
    number
}

async fn yield_and(number: u64) -> u64 {
    yield_now().await;
    number
}

async fn spawn(size: u64) -> Vec<u64> {
    let tasks: JoinSet<u64> = (0..size).map(number).collect();
    tasks.join_all().await
}

async fn send_all(sender: mpsc::Sender<u64>, numbers: impl Iterator<Item = u64>) {
    for number in numbers {
        sender.send(number).await.expect("the receiver is there");
    }
}

/// Receives until the queue is closed, with an expression that gives the next item.
macro_rules! receive_all {
    ($receiver:ident) => {
        async move {
            let (mut items, mut sum) = (0, 0);
            while let Some(number) = $receiver.recv().await {
                items += 1;
                sum += number;
            }
            (items, sum)
        }
    };
}

async fn queue_1_to_1(size: u64) -> (u64, u64) {
    let (sender, mut receiver) = mpsc::channel(2);
    let producer = tokio::spawn(send_all(sender, 0..size));
    let consumer = tokio::spawn(receive_all!(receiver));
    producer.await.expect("it does not panic");
    consumer.await.expect("it does not panic")
}

async fn queue_4_to_4(capacity: usize, size: u64) -> Vec<(u64, u64)> {
    let (sender, receiver) = mpsc::channel(capacity);
    let receiver = SharedReceiver::new(receiver);
    let producers = shared(4, size, |part| send_all(sender.clone(), part));
    drop(sender);
    let mut consumers = JoinSet::new();
    for _ in 0..4 {
        let receiver = receiver.clone();
        consumers.spawn(receive_all!(receiver));
    }
    producers.join_all().await;
    consumers.join_all().await
}

async fn semaphore(size: u64) -> Vec<(u64, u64)> {
    let semaphore = Arc::new(Semaphore::new(10));
    for_each!(100, size, semaphore, |number| {
        let permit = semaphore.acquire().await;
        let _permit = permit.expect("it is never closed");
        yield_now().await;
        number
    })
}

async fn lock(size: u64) -> (u64, u64) {
    let results = Arc::new(Mutex::new((0, 0)));
    for_each!(10, size, results, |number| {
        let mut results = results.lock().await;
        yield_now().await;
        results.0 += 1;
        results.1 += number;
        0
    });
    *results.lock().await
}

fn numbers(size: u64) -> impl Stream<Item = u64> {
    stream! {
        for number in 0..size {
            yield number;
        }
    }
}

async fn generator(size: u64) -> (u64, u64) {
    let mut numbers = pin!(numbers(size));
    let (mut items, mut sum) = (0, 0);
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

async fn sleepers(size: u64) -> (u64, u64) {
    let sleep = |_| tokio::spawn(sleep(Duration::from_secs(1)));
    let tasks: Vec<_> = (0..size).map(sleep).collect();
    let mut items = 0;
    for task in tasks {
        task.await.expect("it does not panic");
        items += 1;
    }
    (items, 0)
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
    // All of them have to begin first.
    while Handle::current().metrics().global_queue_depth() > 0 {
        sleep(Duration::from_millis(10)).await;
    }
    sleep(Duration::from_millis(200)).await;
    let value = memory() - before;
    let items = tasks.iter().filter(|task| !task.is_finished()).count() as u64;
    tasks.iter().for_each(|task| task.abort());
    (items, 0).work(value)
}
