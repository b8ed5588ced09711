//! More components of the examples, beside the crates that their pages name.

use std::convert::Infallible;
use std::hint::black_box;
use std::iter::{self, StepBy};
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use backon::{ConstantBuilder, Retryable};
use moka::future::Cache;
use tokio::sync::mpsc;
use tokio::task::{JoinSet, yield_now};
use catalog::speed::Unit;

use crate::components::condition_queue::ConditionQueue;
use crate::components::many_producers_many_consumers::SharedReceiver;
use crate::components::retry::{Pauses, Policy, Verdict, retry};
use crate::components::single_flight::SingleFlight;
use crate::measurement::{
    Measurement, Work, cpu_time, one_thread, ours, peer, runtime, timed,
};

/// In the order of the table.
pub const ALL: &[Measurement] = &[
    Measurement {
        name: "single_flight",
        title: "{n} calls, 100 at once for the same key, which share one load",
        example: "concurrency/single_flight",
        unit: Unit::Seconds,
        size: 200_000,
        at_most: None,
        contestants: &[
            ours(flights),
            // It also keeps values, which is switched off by a time to live of zero. A
            // load runs in the future of a caller, not in a task: when that caller
            // leaves, another one begins the load again.
            peer("moka", loads_of_moka, None),
        ],
    },
    Measurement {
        name: "condition_queue_1_to_1",
        title: "{n} items through a queue with conditions, one producer, one consumer",
        example: "concurrency/condition_queue",
        unit: Unit::Seconds,
        size: 500_000,
        at_most: None,
        contestants: &[
            ours(|size| condition_queue(size, 1)),
            peer("tokio", tokio_1_to_1, None),
            peer("async-channel", |size| async_channel(size, 1), None),
        ],
    },
    Measurement {
        name: "condition_queue_4_to_4",
        title: "{n} items through a queue with conditions, four producers and consumers",
        example: "concurrency/condition_queue",
        unit: Unit::Seconds,
        size: 500_000,
        at_most: None,
        contestants: &[
            ours(|size| condition_queue(size, 4)),
            // It has one receiver, which the consumers share behind a lock.
            peer("tokio", tokio_4_to_4, None),
            peer("async-channel", |size| async_channel(size, 4), None),
        ],
    },
    Measurement {
        name: "retry_of_a_success",
        title: "{n} operations that may be tried thrice and succeed at the first try",
        example: "error-handling/retry",
        unit: Unit::Seconds,
        size: 1_000_000,
        at_most: None,
        contestants: &[
            ours(successes),
            // Its limit of time is for the sum of the pauses; ours is for everything, so
            // it looks at the clock when the first try begins.
            peer("backon", successes_with_backon, None),
        ],
    },
    Measurement {
        name: "retry_of_a_failure",
        title: "{n} operations at once that fail at the first try, with the shortest pause",
        example: "error-handling/retry",
        unit: Unit::CpuSeconds,
        size: 100_000,
        at_most: None,
        contestants: &[ours(failures), peer("backon", failures_with_backon, None)],
    },
];

/// How many ask at once.
const CALLERS: u64 = 100;

/// Counts the loads, and gives a value that tells which round it is from.
async fn load(round: u64, loads: Arc<AtomicU64>) -> Result<u64, Infallible> {
    loads.fetch_add(1, Relaxed);
    yield_now().await;
    Ok(round)
}

/// Rounds of callers, who are tasks of one thread: so all have asked before the load
/// ends, and there is one load for each round, with either.
fn rounds<F>(size: u64, ask: impl Fn(u64, Arc<AtomicU64>) -> F) -> Work
where
    F: Future<Output = u64> + Send + 'static,
{
    one_thread().block_on(async {
        let loads = Arc::new(AtomicU64::new(0));
        let rounds = size / CALLERS;
        let all = async {
            let (mut items, mut sum) = (0, 0);
            for round in 0..rounds {
                let ask = |_| ask(round, Arc::clone(&loads));
                let callers: JoinSet<u64> = (0..CALLERS).map(ask).collect();
                for value in callers.join_all().await {
                    items += 1;
                    sum += value;
                }
            }
            (items, sum)
        };
        let (time, (items, sum)) = timed(all).await;
        assert_eq!(loads.load(Relaxed), rounds, "one load for each round");
        Work::timed(time, items, sum)
    })
}

fn flights(size: u64) -> Work {
    let flights = SingleFlight::new();
    rounds(size, |round, loads| {
        let flights = flights.clone();
        async move {
            let result = flights.run(0, load(round, loads)).await;
            let Ok(value) = result.expect("it does not panic");
            value
        }
    })
}

fn loads_of_moka(size: u64) -> Work {
    let cache = Cache::builder().time_to_live(Duration::ZERO);
    let cache = cache.max_capacity(1000).build();
    rounds(size, |round, loads| {
        let cache: Cache<i32, u64> = cache.clone();
        async move {
            let result = cache.try_get_with(0, load(round, loads)).await;
            result.expect("it cannot fail")
        }
    })
}

/// The capacity of the queues.
const CAPACITY: usize = 100;

/// What a producer sends.
type Part = StepBy<Range<u64>>;

/// What a consumer has received: how many items, and their sum.
type Received = (u64, u64);

/// The numbers below `size`, in as many parts.
fn parts(size: u64, parts: u64) -> impl Iterator<Item = Part> {
    (0..parts).map(move |first| (first..size).step_by(parts as usize))
}

/// Producers and consumers, each a task. `close` is called when all producers have ended.
fn queue<P, C>(
    producers: impl Iterator<Item = P>,
    consumers: impl Iterator<Item = C>,
    close: impl FnOnce(),
) -> Work
where
    P: Future<Output = ()> + Send + 'static,
    C: Future<Output = Received> + Send + 'static,
{
    runtime().block_on(async {
        let all = async {
            let consumers: JoinSet<Received> = consumers.collect();
            let producers: JoinSet<()> = producers.collect();
            producers.join_all().await;
            close();
            let add = |all: Received, part: Received| (all.0 + part.0, all.1 + part.1);
            consumers.join_all().await.into_iter().fold((0, 0), add)
        };
        let (time, (items, sum)) = timed(all).await;
        Work::timed(time, items, sum)
    })
}

/// What a consumer does, with an expression that gives the next item or `None`.
macro_rules! receive_all {
    ($next:expr) => {{
        let (mut items, mut sum) = (0, 0);
        while let Some(number) = $next {
            items += 1;
            sum += number;
        }
        (items, sum)
    }};
}

fn condition_queue(size: u64, sides: u64) -> Work {
    let channel = Arc::new(ConditionQueue::new(CAPACITY));
    let producers = parts(size, sides).map(|part| {
        let channel = Arc::clone(&channel);
        async move {
            for number in part {
                channel.put(number).await.expect("it is not closed yet");
            }
        }
    });
    let consumers = (0..sides).map(|_| {
        let channel = Arc::clone(&channel);
        async move { receive_all!(channel.get().await) }
    });
    queue(producers, consumers, || channel.close())
}

async fn send_all(sender: mpsc::Sender<u64>, part: Part) {
    for number in part {
        sender.send(number).await.expect("the receiver is there");
    }
}

fn tokio_1_to_1(size: u64) -> Work {
    let (sender, mut receiver) = mpsc::channel(CAPACITY);
    let producer = send_all(sender, (0..size).step_by(1));
    let consumer = async move { receive_all!(receiver.recv().await) };
    queue(iter::once(producer), iter::once(consumer), || ())
}

fn tokio_4_to_4(size: u64) -> Work {
    let (sender, receiver) = mpsc::channel(CAPACITY);
    let receiver = SharedReceiver::new(receiver);
    let producers: Vec<_> = parts(size, 4)
        .map(|part| send_all(sender.clone(), part))
        .collect();
    let consumers = (0..4).map(|_| {
        let receiver = receiver.clone();
        async move { receive_all!(receiver.recv().await) }
    });
    queue(producers.into_iter(), consumers, || drop(sender))
}

fn async_channel(size: u64, sides: u64) -> Work {
    let (sender, receiver) = async_channel::bounded(CAPACITY);
    let producers = parts(size, sides).map(|part| {
        let sender = sender.clone();
        async move {
            for number in part {
                sender.send(number).await.expect("the receiver is there");
            }
        }
    });
    let consumers = (0..sides).map(|_| {
        let receiver = receiver.clone();
        async move { receive_all!(receiver.recv().await.ok()) }
    });
    queue(producers, consumers, || {
        sender.close();
    })
}

/// The same for both: thrice at most, with the shortest pause, without a limit of time.
const TRIES: u32 = 3;

fn policy() -> Policy {
    Policy {
        tries: TRIES,
        within: Duration::MAX,
        pauses: Pauses::Fixed(Duration::ZERO),
    }
}

fn pauses() -> ConstantBuilder {
    let pauses = ConstantBuilder::default().with_delay(Duration::ZERO);
    pauses.with_max_times(TRIES as usize - 1)
}

/// What is tried: it succeeds from the given try on.
async fn operation(number: u64, tries: u32, succeeds: u32) -> Result<u64, u64> {
    let number = black_box(number);
    if tries < succeeds {
        Err(number)
    } else {
        Ok(number)
    }
}

async fn with_ours(policy: &Policy, number: u64, succeeds: u32) -> u64 {
    let mut tries = 0;
    let result = retry(
        policy,
        |_| Verdict::TryAgain,
        || {
            tries += 1;
            operation(number, tries, succeeds)
        },
    );
    result.await.expect("it succeeds in time")
}

async fn with_backon(pauses: ConstantBuilder, number: u64, succeeds: u32) -> u64 {
    let mut tries = 0;
    let call = || {
        tries += 1;
        operation(number, tries, succeeds)
    };
    call.retry(pauses).await.expect("it succeeds in time")
}

fn successes(size: u64) -> Work {
    let policy = policy();
    one_after_the_other(size, async |number| with_ours(&policy, number, 1).await)
}

fn successes_with_backon(size: u64) -> Work {
    let pauses = pauses();
    one_after_the_other(size, async |number| with_backon(pauses, number, 1).await)
}

fn one_after_the_other(size: u64, operation: impl AsyncFn(u64) -> u64) -> Work {
    runtime().block_on(async {
        let all = async {
            let (mut items, mut sum) = (0, 0);
            for number in 0..size {
                sum += operation(number).await;
                items += 1;
            }
            (items, sum)
        };
        let (time, (items, sum)) = timed(all).await;
        Work::timed(time, items, sum)
    })
}

fn failures(size: u64) -> Work {
    let policy = Arc::new(policy());
    all_at_once(size, |number| {
        let policy = Arc::clone(&policy);
        async move { with_ours(&policy, number, 2).await }
    })
}

fn failures_with_backon(size: u64) -> Work {
    let pauses = pauses();
    all_at_once(size, |number| with_backon(pauses, number, 2))
}

/// The shortest pause is up to a millisecond, so what counts is the processors' time.
fn all_at_once<F>(size: u64, operation: impl Fn(u64) -> F) -> Work
where
    F: Future<Output = u64> + Send + 'static,
{
    runtime().block_on(async {
        let before = cpu_time();
        let tasks: JoinSet<u64> = (0..size).map(operation).collect();
        let results = tasks.join_all().await;
        let time = cpu_time() - before;
        Work::timed(time, results.len() as u64, results.iter().sum())
    })
}
