//! What the runtime itself gives, as the examples use it, beside asyncio and uvloop.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use async_stream::stream;
use futures::future::join_all;
use futures::{Stream, StreamExt};
use tokio::sync::{Mutex, Semaphore, mpsc};
use tokio::task::{JoinSet, yield_now};
use tokio::time::sleep;
use catalog::speed::Unit;

use crate::components::many_producers_many_consumers::SharedReceiver;
use crate::components::worker_pool::worker_pool;
use crate::measurement::{
    Measurement, Work, asyncio, asyncio_as, cpu_time, memory, one_thread, ours, runtime,
    sum_below, timed, uvloop, uvloop_as,
};

/// A contestant on a runtime as `#[tokio::main]` makes it, with a thread for each core.
macro_rules! on_threads {
    ($work:ident) => {
        |size| runtime().block_on($work(size))
    };
}

/// A contestant on a runtime of one thread, as that of asyncio is:
/// `#[tokio::main(flavor = "current_thread")]`.
macro_rules! on_one_thread {
    ($work:ident) => {
        |size| one_thread().block_on($work(size))
    };
}

/// In the order of the table. What was agreed holds on one thread, which is what asyncio
/// has; on several, tasks that hand over to each other at each step pay for the threads.
pub const ALL: &[Measurement] = &[
    Measurement {
        name: "spawn",
        title: "Spawn {n} tasks and wait for them, on one thread",
        example: "basics/spawn_tasks",
        unit: Unit::Seconds,
        size: 100_000,
        at_most: None,
        contestants: &[
            ours(on_one_thread!(spawn)),
            asyncio(Some(10.0)),
            uvloop(Some(9.0)),
        ],
    },
    Measurement {
        name: "spawn_threads",
        title: "Spawn {n} tasks and wait for them, on a thread for each core",
        example: "basics/spawn_tasks",
        unit: Unit::Seconds,
        size: 100_000,
        at_most: None,
        contestants: &[
            ours(on_threads!(spawn)),
            asyncio_as("spawn", None),
            uvloop_as("spawn", None),
        ],
    },
    Measurement {
        name: "gather",
        title: "Await {n} futures at once, each of which yields once",
        example: "concurrency/gather",
        unit: Unit::Seconds,
        size: 10_000,
        at_most: None,
        contestants: &[
            ours(on_one_thread!(gather)),
            asyncio(Some(39.0)),
            uvloop(Some(29.0)),
        ],
    },
    Measurement {
        name: "queue_1_to_1",
        title: "{n} items through a queue for 2, one producer, one consumer, on one thread",
        example: "concurrency/producer_consumer",
        unit: Unit::Seconds,
        size: 500_000,
        at_most: None,
        contestants: &[
            ours(on_one_thread!(queue)),
            asyncio(Some(25.0)),
            uvloop(Some(18.0)),
        ],
    },
    Measurement {
        name: "queue_1_to_1_threads",
        title: "{n} items through a queue for 2, one producer, one consumer, on a thread for each core",
        example: "concurrency/producer_consumer",
        unit: Unit::Seconds,
        size: 500_000,
        at_most: None,
        contestants: &[
            ours(on_threads!(queue)),
            asyncio_as("queue_1_to_1", None),
            uvloop_as("queue_1_to_1", None),
        ],
    },
    // Where most calls need not wait, a put is little more than a function call in asyncio.
    Measurement {
        name: "queue_1_to_1_for_100",
        title: "{n} items through a queue for 100, one producer, one consumer, on one thread",
        example: "concurrency/producer_consumer",
        unit: Unit::Seconds,
        size: 500_000,
        at_most: None,
        contestants: &[
            ours(on_one_thread!(queue_for_100)),
            asyncio(None),
            uvloop(None),
        ],
    },
    Measurement {
        name: "queue_4_to_4",
        title: "{n} items through a queue for 2, four producers, four consumers, on one thread",
        example: "concurrency/many_producers_many_consumers",
        unit: Unit::Seconds,
        size: 200_000,
        at_most: None,
        contestants: &[
            ours(on_one_thread!(shared_queue)),
            asyncio(None),
            uvloop(None),
        ],
    },
    Measurement {
        name: "queue_4_to_4_threads",
        title: "{n} items through a queue for 2, four producers, four consumers, on a thread for each core",
        example: "concurrency/many_producers_many_consumers",
        unit: Unit::Seconds,
        size: 200_000,
        at_most: None,
        contestants: &[
            ours(on_threads!(shared_queue)),
            asyncio_as("queue_4_to_4", None),
            uvloop_as("queue_4_to_4", None),
        ],
    },
    Measurement {
        name: "queue_4_to_4_for_100",
        title: "{n} items through a queue for 100, four producers, four consumers, on one thread",
        example: "concurrency/many_producers_many_consumers",
        unit: Unit::Seconds,
        size: 200_000,
        at_most: None,
        contestants: &[
            ours(on_one_thread!(shared_queue_for_100)),
            asyncio(None),
            uvloop(None),
        ],
    },
    Measurement {
        name: "semaphore",
        title: "A permit taken {n} times by 100 tasks, of which 10 have one at once, on one thread",
        example: "concurrency/semaphore",
        unit: Unit::Seconds,
        size: 100_000,
        at_most: None,
        contestants: &[
            ours(on_one_thread!(semaphore)),
            asyncio(Some(17.0)),
            uvloop(Some(14.0)),
        ],
    },
    Measurement {
        name: "semaphore_threads",
        title: "A permit taken {n} times by 100 tasks, of which 10 have one at once, on a thread for each core",
        example: "concurrency/semaphore",
        unit: Unit::Seconds,
        size: 100_000,
        at_most: None,
        contestants: &[
            ours(on_threads!(semaphore)),
            asyncio_as("semaphore", None),
            uvloop_as("semaphore", None),
        ],
    },
    Measurement {
        name: "lock",
        title: "A lock taken {n} times by 10 tasks, and held over an await, on one thread",
        example: "concurrency/lock",
        unit: Unit::Seconds,
        size: 100_000,
        at_most: None,
        contestants: &[
            ours(on_one_thread!(lock)),
            asyncio(Some(13.0)),
            uvloop(Some(8.5)),
        ],
    },
    Measurement {
        name: "lock_threads",
        title: "A lock taken {n} times by 10 tasks, and held over an await, on a thread for each core",
        example: "concurrency/lock",
        unit: Unit::Seconds,
        size: 100_000,
        at_most: None,
        contestants: &[
            ours(on_threads!(lock)),
            asyncio_as("lock", None),
            uvloop_as("lock", None),
        ],
    },
    Measurement {
        name: "generator",
        title: "{n} items from an async generator",
        example: "iterators/generator",
        unit: Unit::Seconds,
        size: 10_000_000,
        at_most: None,
        contestants: &[
            ours(on_one_thread!(generator)),
            asyncio(Some(18.0)),
            uvloop(Some(18.0)),
        ],
    },
    Measurement {
        name: "worker_pool",
        title: "{n} jobs by a pool of four workers, on one thread",
        example: "concurrency/worker_pool",
        unit: Unit::Seconds,
        size: 50_000,
        at_most: None,
        contestants: &[ours(on_one_thread!(pool)), asyncio(None), uvloop(None)],
    },
    // `main` runs on a thread of its own, beside those of the tasks: each result that it
    // waits for wakes that thread. In a task, who sends a result goes on with the reader.
    Measurement {
        name: "worker_pool_threads",
        title: "{n} jobs by a pool of four workers, on a thread for each core, read in main",
        example: "concurrency/worker_pool",
        unit: Unit::Seconds,
        size: 50_000,
        at_most: None,
        contestants: &[
            ours(on_threads!(pool)),
            asyncio_as("worker_pool", None),
            uvloop_as("worker_pool", None),
        ],
    },
    Measurement {
        name: "worker_pool_task",
        title: "{n} jobs by a pool of four workers, on a thread for each core, read in a task",
        example: "concurrency/worker_pool",
        unit: Unit::Seconds,
        size: 50_000,
        at_most: None,
        contestants: &[
            ours(on_threads!(pool_in_a_task)),
            asyncio_as("worker_pool", None),
            uvloop_as("worker_pool", None),
        ],
    },
    Measurement {
        name: "timers",
        title: "{n} timers at once, on one thread: the processors' time",
        example: "basics/timers",
        unit: Unit::CpuSeconds,
        size: 100_000,
        at_most: None,
        contestants: &[ours(on_one_thread!(timers)), asyncio(None), uvloop(None)],
    },
    Measurement {
        name: "timers_threads",
        title: "{n} timers at once, on a thread for each core: the processors' time",
        example: "basics/timers",
        unit: Unit::CpuSeconds,
        size: 100_000,
        at_most: None,
        contestants: &[
            ours(on_threads!(timers)),
            asyncio_as("timers", None),
            uvloop_as("timers", None),
        ],
    },
    Measurement {
        name: "sleepers",
        title: "{n} tasks that sleep for a second",
        example: "basics/timers",
        unit: Unit::Seconds,
        size: 1_000_000,
        at_most: Some(1.9),
        contestants: &[ours(on_threads!(sleepers))],
    },
    Measurement {
        name: "sleeper_memory",
        title: "Memory of {n} tasks that sleep",
        example: "basics/timers",
        unit: Unit::Bytes,
        size: 100_000,
        at_most: Some(500.0 * 100_000.0),
        contestants: &[
            ours(on_threads!(sleeper_memory)),
            asyncio(None),
            uvloop(None),
        ],
    },
];

/// The capacity of the queues, as in the examples.
const CAPACITY: usize = 2;

async fn number(number: u64) -> u64 {
    number
}

async fn yield_and(number: u64) -> u64 {
    yield_now().await;
    number
}

async fn spawn(size: u64) -> Work {
    let all = async {
        let tasks: JoinSet<u64> = (0..size).map(number).collect();
        tasks.join_all().await
    };
    let (time, results) = timed(all).await;
    Work::timed(time, results.len() as u64, results.iter().sum())
}

async fn gather(size: u64) -> Work {
    let (time, results) = timed(join_all((0..size).map(yield_and))).await;
    Work::timed(time, results.len() as u64, results.iter().sum())
}

async fn transfer(capacity: usize, size: u64) -> Work {
    let all = async {
        let (sender, mut receiver) = mpsc::channel(capacity);
        let producer = tokio::spawn(async move {
            for number in 0..size {
                if sender.send(number).await.is_err() {
                    return;
                }
            }
        });
        let consumer = tokio::spawn(async move {
            let (mut items, mut sum) = (0, 0);
            while let Some(number) = receiver.recv().await {
                items += 1;
                sum += number;
            }
            (items, sum)
        });
        producer.await.expect("it does not panic");
        consumer.await.expect("it does not panic")
    };
    let (time, (items, sum)) = timed(all).await;
    Work::timed(time, items, sum)
}

async fn queue(size: u64) -> Work {
    transfer(CAPACITY, size).await
}

async fn queue_for_100(size: u64) -> Work {
    transfer(100, size).await
}

async fn transfer_by_four(capacity: usize, size: u64) -> Work {
    let all = async {
        let (sender, receiver) = mpsc::channel(capacity);
        let receiver = SharedReceiver::new(receiver);
        let mut producers = JoinSet::new();
        for first in 0..4 {
            let sender = sender.clone();
            producers.spawn(async move {
                for number in (first..size).step_by(4) {
                    if sender.send(number).await.is_err() {
                        return;
                    }
                }
            });
        }
        drop(sender);
        let mut consumers = JoinSet::new();
        for _ in 0..4 {
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
        producers.join_all().await;
        let parts = consumers.join_all().await;
        let add = |all: (u64, u64), part: (u64, u64)| (all.0 + part.0, all.1 + part.1);
        parts.into_iter().fold((0, 0), add)
    };
    let (time, (items, sum)) = timed(all).await;
    Work::timed(time, items, sum)
}

async fn shared_queue(size: u64) -> Work {
    transfer_by_four(CAPACITY, size).await
}

async fn shared_queue_for_100(size: u64) -> Work {
    transfer_by_four(100, size).await
}

async fn semaphore(size: u64) -> Work {
    const TASKS: u64 = 100;
    let all = async {
        let semaphore = Arc::new(Semaphore::new(10));
        let mut tasks = JoinSet::new();
        for first in 0..TASKS {
            let semaphore = Arc::clone(&semaphore);
            tasks.spawn(async move {
                let mut sum = 0;
                for number in (first..size).step_by(TASKS as usize) {
                    let permit = semaphore.acquire().await;
                    let _permit = permit.expect("it is never closed");
                    yield_now().await;
                    sum += number;
                }
                sum
            });
        }
        tasks.join_all().await
    };
    let (time, sums) = timed(all).await;
    Work::timed(time, size, sums.iter().sum())
}

async fn lock(size: u64) -> Work {
    const TASKS: u64 = 10;
    let all = async {
        let sum = Arc::new(Mutex::new(0));
        let mut tasks = JoinSet::new();
        for first in 0..TASKS {
            let sum = Arc::clone(&sum);
            tasks.spawn(async move {
                for number in (first..size).step_by(TASKS as usize) {
                    let mut sum = sum.lock().await;
                    yield_now().await;
                    *sum += number;
                }
            });
        }
        tasks.join_all().await;
        *sum.lock().await
    };
    let (time, sum) = timed(all).await;
    Work::timed(time, size, sum)
}

fn numbers(size: u64) -> impl Stream<Item = u64> {
    stream! {
        for number in 0..size {
            yield number;
        }
    }
}

async fn generator(size: u64) -> Work {
    let all = async {
        let mut numbers = pin!(numbers(size));
        let (mut items, mut sum) = (0, 0);
        while let Some(number) = numbers.next().await {
            items += 1;
            sum += number;
        }
        (items, sum)
    };
    let (time, (items, sum)) = timed(all).await;
    Work::timed(time, items, sum)
}

/// Sleeps for a part of half a second that differs from its neighbours'.
async fn timer(number: u64) -> u64 {
    sleep(Duration::from_millis(number * 7919 % 500)).await;
    number
}

async fn timers(size: u64) -> Work {
    let before = cpu_time();
    let tasks: JoinSet<u64> = (0..size).map(timer).collect();
    let results = tasks.join_all().await;
    let time = cpu_time() - before;
    Work::timed(time, results.len() as u64, results.iter().sum())
}

async fn pool(size: u64) -> Work {
    let all = async {
        let (jobs, mut results) = worker_pool(4, CAPACITY, number);
        let submitting = tokio::spawn(async move {
            for number in 0..size {
                let submitted = jobs.submit(number, number).await;
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
    };
    let (time, (items, sum)) = timed(all).await;
    Work::timed(time, items, sum)
}

async fn pool_in_a_task(size: u64) -> Work {
    let work = tokio::spawn(pool(size));
    work.await.expect("it does not panic")
}

async fn sleepers(size: u64) -> Work {
    let all = async {
        let sleep = || tokio::spawn(sleep(Duration::from_secs(1)));
        let tasks: Vec<_> = (0..size).map(|_| sleep()).collect();
        let mut items = 0;
        for task in tasks {
            task.await.expect("it does not panic");
            items += 1;
        }
        items
    };
    let (time, items) = timed(all).await;
    Work::timed(time, items, sum_below(items))
}

async fn sleeper_memory(size: u64) -> Work {
    let before = memory();
    let sleep = || tokio::spawn(sleep(Duration::from_secs(3600)));
    let tasks: Vec<_> = (0..size).map(|_| sleep()).collect();
    // When it returns, both threads have begun all of them.
    sleep_until_begun().await;
    let value = memory() - before;
    let items = tasks.iter().filter(|task| !task.is_finished()).count() as u64;
    tasks.iter().for_each(|task| task.abort());
    Work {
        value,
        items,
        sum: sum_below(items),
    }
}

/// Waits until no task waits for its turn.
async fn sleep_until_begun() {
    let metrics = tokio::runtime::Handle::current().metrics();
    while metrics.global_queue_depth() > 0 {
        sleep(Duration::from_millis(10)).await;
    }
    sleep(Duration::from_millis(200)).await;
}
