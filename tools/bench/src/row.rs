//! A row of the tables: one piece of work, and its contestants.

use std::future::Future;
use std::rc::Rc;
use std::time::Instant;

use catalog::speed::{Of, Unit};
use serde::{Deserialize, Serialize};
use tokio::runtime::{Builder, Runtime};

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
    /// The first is ours.
    pub contestants: Vec<(&'static str, How)>,
    /// On a thread for each core, as `#[tokio::main]` makes it, or on one, as asyncio has.
    on_all_cores: bool,
    also_on_all_cores: bool,
}

/// Does the work with so many items.
type Run = dyn Fn(&Runtime, u64) -> Work;

/// What runs.
#[derive(Clone)]
pub enum How {
    /// A function of this program.
    Rust(Rc<Run>),
    /// A function in `contestants.py`, under the loop that the contestant is named after.
    Python(&'static str),
}

impl How {
    /// How it is compared with ours.
    pub fn of(&self) -> Of {
        match self {
            Self::Rust(_) => Of::OursByPeer,
            Self::Python(_) => Of::PeerByOurs,
        }
    }
}

/// A row without contestants, on one thread. In the title, `{n}` stands for the number of
/// items, `{on}` for the threads.
pub fn row(name: &str, example: &'static str, size: u64, title: &'static str) -> Row {
    Row {
        name: name.to_owned(),
        example,
        size,
        title,
        unit: Unit::Seconds,
        contestants: Vec::new(),
        on_all_cores: false,
        also_on_all_cores: false,
    }
}

impl Row {
    /// Sets what is counted.
    pub fn unit(self, unit: Unit) -> Self {
        Self { unit, ..self }
    }

    /// Adds ours, which comes first.
    pub fn ours<W: Into<Work>>(self, work: impl AsyncFn(u64) -> W + 'static) -> Self {
        self.beside("ours", work)
    }

    /// Adds a crate.
    pub fn beside<W: Into<Work>>(
        mut self,
        name: &'static str,
        work: impl AsyncFn(u64) -> W + 'static,
    ) -> Self {
        let run = move |runtime: &Runtime, size| runtime.block_on(timed(work(size)));
        self.contestants.push((name, How::Rust(Rc::new(run))));
        self
    }

    /// Adds a function in `contestants.py`, under the loops of asyncio and of uvloop.
    pub fn asyncio(mut self, function: &'static str) -> Self {
        let loops = ["asyncio", "uvloop"].map(|name| (name, How::Python(function)));
        self.contestants.extend(loops);
        self
    }

    /// Adds the same work on a thread for each core.
    pub fn also_on_all_cores(self) -> Self {
        Self {
            also_on_all_cores: true,
            ..self
        }
    }

    /// The row, or two of them, the second on a thread for each core.
    pub fn split(self) -> Vec<Self> {
        let second = self.also_on_all_cores.then(|| Self {
            name: format!("{}_threads", self.name),
            on_all_cores: true,
            ..self.clone()
        });
        [self].into_iter().chain(second).collect()
    }

    /// Runs a contestant in Rust in this process.
    pub fn run(&self, contestant: &str, size: u64) -> Option<Work> {
        let mut contestants = self.contestants.iter();
        match contestants.find(|(name, _)| *name == contestant)? {
            (_, How::Rust(run)) => Some(run(&self.runtime(), size)),
            (_, How::Python(_)) => None,
        }
    }

    fn runtime(&self) -> Runtime {
        let mut builder = match self.on_all_cores {
            true => Builder::new_multi_thread(),
            false => Builder::new_current_thread(),
        };
        let built = builder.enable_all().build();
        built.expect("the system has threads left")
    }

    /// The heading for so many items.
    pub fn heading(&self, size: u64) -> String {
        let on = match self.on_all_cores {
            true => "on a thread for each core",
            false => "on one thread",
        };
        let title = self.title.replace("{on}", on);
        title.replace("{n}", &indicatif::HumanCount(size).to_string())
    }
}

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
pub async fn timed<W: Into<Work>>(work: impl Future<Output = W>) -> Work {
    let begun = Instant::now();
    let mut work: Work = work.await.into();
    work.value.get_or_insert(begun.elapsed().as_secs_f64());
    work
}

/// Counts numbers, and adds them up.
pub fn counted(numbers: impl IntoIterator<Item = u64>) -> (u64, u64) {
    let numbers = numbers.into_iter();
    numbers.fold((0, 0), |(items, sum), number| (items + 1, sum + number))
}

/// Lets tasks do something for each of the numbers that they share, and add up what it
/// gives. Each task has a clone of what they use.
macro_rules! for_each {
    ($tasks:expr, $size:expr, $used:ident, |$number:pat_param| $work:expr) => {{
        let (tasks, size): (u64, u64) = ($tasks, $size);
        let mut running = tokio::task::JoinSet::new();
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
        let done = running.join_all().await.into_iter();
        done.fold((0, 0), |all, part| (all.0 + part.0, all.1 + part.1))
    }};
}
pub(crate) use for_each;
