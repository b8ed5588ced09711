//! What a measurement consists of.

use std::future::Future;
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};
use tokio::runtime::{Builder, Runtime};
use catalog::speed::Unit;

/// The same work done by several contestants.
pub struct Measurement {
    /// The name on the command line.
    pub name: &'static str,
    /// What the work is, as a heading; `{n}` stands for the number of items.
    pub title: &'static str,
    /// The page that it belongs to, as `concurrency/lock`.
    pub example: &'static str,
    /// What is counted.
    pub unit: Unit,
    /// How many items: enough that the quickest takes some 20 ms.
    pub size: u64,
    /// The most that ours may need for all items, in the unit, if that was agreed.
    pub at_most: Option<f64>,
    /// The first is ours.
    pub contestants: &'static [Contestant],
}

/// One way of doing the work.
pub struct Contestant {
    /// `ours`, `asyncio`, `uvloop` or the name of a crate.
    pub name: &'static str,
    /// What runs.
    pub how: How,
    /// What the ratio of this peer is to be, if that was agreed: with asyncio, so many
    /// times its time at least; with a crate, such a part of its time at most.
    pub goal: Option<f64>,
}

/// What runs.
pub enum How {
    /// In a process of this program.
    Rust(fn(u64) -> Work),
    /// A script in `tools/bench/python` under asyncio's own loop: the one that is named as
    /// the measurement is, or this one.
    Asyncio(Option<&'static str>),
    /// The same under uvloop.
    Uvloop(Option<&'static str>),
}

/// Ours.
pub const fn ours(run: fn(u64) -> Work) -> Contestant {
    Contestant {
        name: "ours",
        how: How::Rust(run),
        goal: None,
    }
}

/// A crate, of whose cost ours is to be at most this part.
pub const fn peer(
    name: &'static str,
    run: fn(u64) -> Work,
    goal: Option<f64>,
) -> Contestant {
    let how = How::Rust(run);
    Contestant { name, how, goal }
}

/// The script of the same name under asyncio's own loop; ours is to be at least so many
/// times as fast.
pub const fn asyncio(goal: Option<f64>) -> Contestant {
    python("asyncio", How::Asyncio(None), goal)
}

/// As [`asyncio`], with a script that several measurements share.
pub const fn asyncio_as(script: &'static str, goal: Option<f64>) -> Contestant {
    python("asyncio", How::Asyncio(Some(script)), goal)
}

/// The script of the same name under uvloop; ours is to be at least so many times as
/// fast.
pub const fn uvloop(goal: Option<f64>) -> Contestant {
    python("uvloop", How::Uvloop(None), goal)
}

/// As [`uvloop`], with a script that several measurements share.
pub const fn uvloop_as(script: &'static str, goal: Option<f64>) -> Contestant {
    python("uvloop", How::Uvloop(Some(script)), goal)
}

const fn python(name: &'static str, how: How, goal: Option<f64>) -> Contestant {
    Contestant { name, how, goal }
}

/// What a contestant did, and what it needed.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Work {
    /// In the unit of the measurement, for all items.
    pub value: f64,
    /// How many items it counted. All contestants of a measurement agree on it.
    pub items: u64,
    /// Of the items, or of what came of them. All contestants agree on it too.
    pub sum: u64,
}

impl Work {
    /// Work that took so long.
    pub fn timed(time: Duration, items: u64, sum: u64) -> Self {
        let value = time.as_secs_f64();
        Self { value, items, sum }
    }
}

/// The sum of all numbers below.
pub const fn sum_below(size: u64) -> u64 {
    size * size.saturating_sub(1) / 2
}

/// A runtime as `#[tokio::main]` makes it.
///
/// # Panics
///
/// When the system refuses threads.
pub fn runtime() -> Runtime {
    Runtime::new().expect("the system has threads left")
}

/// A runtime on the thread that calls it, as `#[tokio::main(flavor = "current_thread")]`
/// makes it.
///
/// # Panics
///
/// When the system refuses what a runtime needs.
pub fn one_thread() -> Runtime {
    let built = Builder::new_current_thread().enable_all().build();
    built.expect("the system has room for it")
}

/// A runtime of so many threads.
///
/// # Panics
///
/// When the system refuses threads.
pub fn threads(count: usize) -> Runtime {
    let mut builder = Builder::new_multi_thread();
    let built = builder.worker_threads(count).enable_all().build();
    built.expect("the system has threads left")
}

/// How long it took, and what came of it.
pub async fn timed<T>(future: impl Future<Output = T>) -> (Duration, T) {
    let begun = Instant::now();
    let output = future.await;
    (begun.elapsed(), output)
}

/// How long all threads of this process have worked.
pub fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::try_from(time).expect("it is not negative")
}

/// How many bytes of memory this process has.
///
/// # Panics
///
/// On a system that does not tell.
pub fn memory() -> f64 {
    let stats = memory_stats::memory_stats();
    stats.expect("the system tells").physical_mem as f64
}
