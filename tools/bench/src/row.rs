//! A row of the tables: one piece of work, and its contestants.

use std::future::Future;
use std::iter::StepBy;
use std::ops::Range;
use std::rc::Rc;
use std::time::Duration;

use catalog::speed::{Of, Unit};
use indicatif::HumanCount;
use rustix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinSet;

/// The same work, done by several contestants.
#[derive(Clone)]
pub struct Row {
    /// The name on the command line.
    pub name: String,
    /// The page that shows the row, as `concurrency/lock`.
    pub example: &'static str,
    /// How many items: enough that the fastest contestant takes some 20 ms.
    pub size: u64,
    title: &'static str,
    /// What is counted.
    pub unit: Unit,
    /// The agreed limit for ours, for all items, in the unit.
    pub at_most: Option<f64>,
    /// The first is ours.
    pub contestants: Vec<Contestant>,
    on: On,
    also_on_all_cores: bool,
}

/// The runtime of all contestants in Rust.
#[derive(Clone, Copy)]
pub enum On {
    /// One thread, as `#[tokio::main(flavor = "current_thread")]` makes it.
    OneThread,
    /// Four threads.
    FourThreads,
    /// A thread for each core, as `#[tokio::main]` makes it.
    AllCores,
}

impl On {
    fn runtime(self) -> Runtime {
        let mut builder = match self {
            Self::OneThread => Builder::new_current_thread(),
            Self::FourThreads | Self::AllCores => Builder::new_multi_thread(),
        };
        if let Self::FourThreads = self {
            builder.worker_threads(4);
        }
        let built = builder.enable_all().build();
        built.expect("the system has threads left")
    }

    fn words(self) -> &'static str {
        match self {
            Self::OneThread => "on one thread",
            Self::FourThreads => "on four threads",
            Self::AllCores => "on a thread for each core",
        }
    }
}

/// One way of doing the work.
#[derive(Clone)]
pub struct Contestant {
    /// `ours`, `asyncio`, `uvloop` or the name of a crate.
    pub name: &'static str,
    /// What runs.
    pub how: How,
    /// How it is compared with ours.
    pub of: Of,
    /// The agreed ratio: asyncio takes at least so many times as long as ours; ours costs
    /// at most such a part of a crate.
    pub goal: Option<f64>,
}

/// Does the work with so many items, timed by this clock.
type Run = dyn Fn(&Runtime, ClockId, u64) -> Work;

/// What runs.
#[derive(Clone)]
pub enum How {
    /// A function of this program.
    Rust(Rc<Run>),
    /// A function in `python/`, as `module.function`, under the loop that the contestant
    /// is named after.
    Python(&'static str),
}

/// A row without contestants. It runs on one thread, as asyncio does, and counts seconds.
pub fn row(name: &str, example: &'static str, size: u64) -> Row {
    Row {
        name: name.to_owned(),
        example,
        size,
        title: "",
        unit: Unit::Seconds,
        at_most: None,
        contestants: Vec::new(),
        on: On::OneThread,
        also_on_all_cores: false,
    }
}

impl Row {
    /// Sets the heading. `{n}` stands for the number of items, `{on}` for the threads.
    pub fn title(self, title: &'static str) -> Self {
        Self { title, ..self }
    }

    /// Sets what is counted.
    pub fn unit(self, unit: Unit) -> Self {
        Self { unit, ..self }
    }

    /// Sets the limit for ours.
    pub fn at_most(self, limit: f64) -> Self {
        let at_most = Some(limit);
        Self { at_most, ..self }
    }

    /// Sets the runtime.
    pub fn on(self, on: On) -> Self {
        Self { on, ..self }
    }

    /// Adds ours, which comes first.
    pub fn ours<R: Results>(self, work: impl AsyncFn(u64) -> R + 'static) -> Self {
        self.beside("ours", None, work)
    }

    /// Adds a crate, and which part of its cost ours may have.
    pub fn beside<R: Results>(
        self,
        name: &'static str,
        goal: Option<f64>,
        work: impl AsyncFn(u64) -> R + 'static,
    ) -> Self {
        self.contestant(name, rust(work), Of::OursByPeer, goal)
    }

    /// Adds the same on a server, for which nothing is agreed.
    pub fn server<R: Results>(
        self,
        name: &'static str,
        work: impl AsyncFn(u64) -> R + 'static,
    ) -> Self {
        self.contestant(name, rust(work), Of::ServerByOurs, None)
    }

    /// Adds a function in `python/`, under the loops of asyncio and of uvloop, and how
    /// many times as fast ours has to be.
    pub fn asyncio(self, function: &'static str, goals: Option<(f64, f64)>) -> Self {
        let (asyncio, uvloop) = goals.unzip();
        let python = |it: Self, name, goal| {
            it.contestant(name, How::Python(function), Of::PeerByOurs, goal)
        };
        python(python(self, "asyncio", asyncio), "uvloop", uvloop)
    }

    /// Adds the same work on a thread for each core, for which nothing is agreed.
    pub fn also_on_all_cores(mut self) -> Self {
        self.also_on_all_cores = true;
        self
    }

    /// The row, or two of them, the second on a thread for each core.
    pub fn split(self) -> Vec<Self> {
        let mut rows = vec![self];
        if rows[0].also_on_all_cores {
            let mut second = rows[0].clone();
            second.name += "_threads";
            second.on = On::AllCores;
            second.contestants.iter_mut().for_each(|it| it.goal = None);
            rows.push(second);
        }
        rows
    }

    /// Runs a contestant in Rust in this process.
    pub fn run(&self, contestant: &str, size: u64) -> Option<Work> {
        let clock = match self.unit {
            Unit::CpuSeconds => ClockId::ProcessCPUTime,
            Unit::Seconds | Unit::Bytes => ClockId::Monotonic,
        };
        let mut contestants = self.contestants.iter();
        match &contestants.find(|it| it.name == contestant)?.how {
            How::Rust(run) => Some(run(&self.on.runtime(), clock, size)),
            How::Python(_) => None,
        }
    }

    /// The heading for so many items.
    pub fn heading(&self, size: u64) -> String {
        let title = self.title.replace("{on}", self.on.words());
        title.replace("{n}", &HumanCount(size).to_string())
    }

    fn contestant(
        mut self,
        name: &'static str,
        how: How,
        of: Of,
        goal: Option<f64>,
    ) -> Self {
        self.contestants.push(Contestant {
            name,
            how,
            of,
            goal,
        });
        self
    }
}

fn rust<R: Results>(work: impl AsyncFn(u64) -> R + 'static) -> How {
    How::Rust(Rc::new(move |runtime: &Runtime, clock, size| {
        let (value, results) = runtime.block_on(clocked(clock, work(size)));
        results.work(value)
    }))
}

/// What a contestant did, and what it cost.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Work {
    /// In the unit of the row, for all items.
    pub value: f64,
    /// How many items it counted. All contestants of a row agree on it.
    pub items: u64,
    /// The sum of the items, or of what came of them. All contestants agree on it too.
    pub sum: u64,
}

/// What came of the work.
pub trait Results {
    /// Returns it with what it cost.
    fn work(self, value: f64) -> Work;
}

/// The contestant has measured itself.
impl Results for Work {
    fn work(self, _: f64) -> Work {
        self
    }
}

/// The work on a server, which may fail.
impl<R: Results, E: std::fmt::Debug> Results for Result<R, E> {
    fn work(self, value: f64) -> Work {
        self.expect("the server answers").work(value)
    }
}

/// How many items there are, and their sum.
impl Results for (u64, u64) {
    fn work(self, value: f64) -> Work {
        let (items, sum) = self;
        Work { value, items, sum }
    }
}

impl Results for Vec<u64> {
    fn work(self, value: f64) -> Work {
        (self.len() as u64, self.iter().sum()).work(value)
    }
}

impl Results for Vec<(u64, u64)> {
    fn work(self, value: f64) -> Work {
        let add = |all: (u64, u64), part: (u64, u64)| (all.0 + part.0, all.1 + part.1);
        self.into_iter().fold((0, 0), add).work(value)
    }
}

/// Does the work, and times it by the clock.
pub async fn clocked<T>(clock: ClockId, work: impl Future<Output = T>) -> (f64, T) {
    let now = || Duration::try_from(clock_gettime(clock)).expect("it is not negative");
    let begun = now();
    let results = work.await;
    ((now() - begun).as_secs_f64(), results)
}

/// Does a part of what a contestant does, and times only that, by the wall clock.
pub async fn timed(work: impl Future<Output = impl Results>) -> Work {
    let (value, results) = clocked(ClockId::Monotonic, work).await;
    results.work(value)
}

/// Every n-th number below the size.
pub type Part = StepBy<Range<u64>>;

/// Spawns tasks that share the numbers below the size.
pub fn shared<F>(tasks: u64, size: u64, task: impl Fn(Part) -> F) -> JoinSet<F::Output>
where
    F: Future<Output: Send + 'static> + Send + 'static,
{
    let parts = (0..tasks).map(|first| (first..size).step_by(tasks as usize));
    parts.map(task).collect()
}

/// Lets tasks do something for each of the numbers that they share, and add up what it
/// gives. Each task has a clone of what they use.
macro_rules! for_each {
    ($tasks:expr, $size:expr, $used:ident, |$number:pat_param| $work:expr) => {
        $crate::row::shared($tasks, $size, |part| {
            let $used = $used.clone();
            async move {
                let (mut items, mut sum) = (0, 0);
                for $number in part {
                    sum += $work;
                    items += 1;
                }
                (items, sum)
            }
        })
        .join_all()
        .await
    };
}
pub(crate) use for_each;
