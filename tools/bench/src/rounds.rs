//! Running contestants in turn.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread::available_parallelism;

use anyhow::{Context, Result, ensure};
use indicatif::HumanCount;
use catalog::files::read;
use catalog::process::printed;
use catalog::python::Python;
use catalog::speed::{Measured, Of, Peer, Ratio, Speed};
use catalog::versions;
use catalog::workspace::Workspace;

use crate::measurement::{Contestant, How, Measurement, Work};

/// How much is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effort {
    /// What figures are worth something after.
    Full,
    /// A tenth of it, for a look.
    Quick,
    /// So little that only what came of it is worth something.
    Check,
}

/// How often contestants are run, and what they are run with.
pub struct Rounds<'a> {
    workspace: &'a Workspace,
    effort: Effort,
    /// This program.
    program: PathBuf,
    /// The interpreter with the twins' packages.
    python: PathBuf,
}

impl<'a> Rounds<'a> {
    /// Looks for what contestants need.
    ///
    /// # Errors
    ///
    /// When there is no CPython, or its packages cannot be installed.
    pub fn new(workspace: &'a Workspace, effort: Effort) -> Result<Self> {
        let python = Python::find().map_err(anyhow::Error::msg)?;
        let python = python.environment(workspace)?;
        Ok(Self {
            workspace,
            effort,
            program: env::current_exe()?,
            python,
        })
    }

    fn count(&self) -> usize {
        match self.effort {
            Effort::Full => 7,
            Effort::Quick => 3,
            Effort::Check => 1,
        }
    }

    fn size(&self, size: u64) -> u64 {
        match self.effort {
            Effort::Full => size,
            Effort::Quick => (size / 10).max(1),
            Effort::Check => size.min(200),
        }
    }

    /// Runs the contestants in turn, so often, and compares what they needed.
    ///
    /// # Errors
    ///
    /// When a contestant fails, or did other work than ours.
    pub fn measure(&self, measurement: &Measurement) -> Result<Measured> {
        let Measurement { name, .. } = *measurement;
        let size = self.size(measurement.size);
        let mut values = vec![Vec::new(); measurement.contestants.len()];
        let mut work_of_ours = None;
        for _ in 0..self.count() {
            for (contestant, values) in measurement.contestants.iter().zip(&mut values) {
                let work = self.once(measurement, contestant, size)?;
                let same = (work.items, work.sum);
                let expected = *work_of_ours.get_or_insert(same);
                ensure!(
                    same == expected,
                    "{name}: {} did other work than ours: {same:?} items and sum, not \
                     {expected:?}",
                    contestant.name
                );
                values.push(work.value);
            }
        }
        let [ours, peers @ ..] = values.as_slice() else {
            unreachable!("there is ours at least");
        };
        let contestants = &measurement.contestants[1..];
        let peers = contestants.iter().zip(peers).map(|(peer, values)| Peer {
            name: peer.name.to_owned(),
            value: median(values),
            ratio: compare(peer, ours, values),
        });
        let (items, _) = work_of_ours.unwrap_or_default();
        Ok(Measured {
            name: name.to_owned(),
            title: measurement
                .title
                .replace("{n}", &HumanCount(items).to_string()),
            example: measurement.example.to_owned(),
            unit: measurement.unit,
            items,
            ours: median(ours),
            // Agreed for the whole work.
            at_most: measurement.at_most.filter(|_| self.effort == Effort::Full),
            peers: peers.collect(),
        })
    }

    /// The measured, with the versions of what all of the measurements need.
    ///
    /// # Errors
    ///
    /// When a tool does not tell its version.
    pub fn result(&self, measurements: Vec<Measured>) -> Result<Speed> {
        let mut versions = vec![versions::rustc()?, versions::cpython(&self.python)?];
        let names = measurements.iter().flat_map(|it| &it.peers);
        let mut names: Vec<&str> = names.map(|peer| peer.name.as_str()).collect();
        // What contestants use, too.
        names.extend(["tokio", "axum", "reqwest", "rusqlite"]);
        names.extend(["aiofiles", "aiohttp", "aiosqlite"]);
        names.sort_unstable();
        names.dedup();
        let requirements = self.workspace.root.join("tools/python/requirements.txt");
        let requirements = read(&requirements)?;
        let lock = read(&self.workspace.root.join("Cargo.lock"))?;
        for name in names {
            let pinned = || {
                let (_, after) = requirements.split_once(&format!("\n{name}=="))?;
                after.split(['\n', ';']).next()
            };
            if let Some(version) = versions::locked(&lock, name).or_else(pinned) {
                versions.push(format!("{name} {version}"));
            }
        }
        Ok(Speed {
            date: jiff::Zoned::now().date().to_string(),
            machine: machine(),
            versions,
            rounds: self.count(),
            measurements,
        })
    }

    /// Runs a contestant in a process of its own.
    fn once(
        &self,
        measurement: &Measurement,
        contestant: &Contestant,
        size: u64,
    ) -> Result<Work> {
        match contestant.how {
            How::Rust(_) => self.rust(measurement.name, contestant.name, size),
            How::Asyncio(script) => {
                self.script(script.unwrap_or(measurement.name), "asyncio", size)
            }
            How::Uvloop(script) => {
                self.script(script.unwrap_or(measurement.name), "uvloop", size)
            }
        }
    }

    fn rust(&self, name: &str, contestant: &str, size: u64) -> Result<Work> {
        let size = size.to_string();
        work(Command::new(&self.program).args(["one", name, contestant, &size]))
    }

    fn script(&self, name: &str, event_loop: &str, size: u64) -> Result<Work> {
        let scripts: &Path = &self.workspace.root.join("tools/bench/python");
        let mut command = Command::new(&self.python);
        command
            .args(["-I", "-X", "utf8"])
            .arg(scripts.join("run.py"));
        // Some use what this program serves.
        command.env("BENCHES", &self.program);
        work(command.args([name, event_loop, &size.to_string()]))
    }
}

/// Runs the command, which prints its work as JSON.
fn work(command: &mut Command) -> Result<Work> {
    let text = printed(command)?;
    serde_json::from_str(&text).with_context(|| format!("{command:?} printed {text}"))
}

/// What each round says of the two.
fn compare(peer: &Contestant, ours: &[f64], peers: &[f64]) -> Ratio {
    let of = match peer.how {
        How::Asyncio(_) | How::Uvloop(_) => Of::PeerByOurs,
        How::Rust(_) => Of::OursByPeer,
    };
    let ratios = ours.iter().zip(peers).map(|(ours, peers)| match of {
        Of::PeerByOurs => peers / ours,
        Of::OursByPeer => ours / peers,
    });
    let ratios: Vec<f64> = ratios.collect();
    Ratio {
        of,
        median: median(&ratios),
        low: ratios.iter().copied().fold(f64::INFINITY, f64::min),
        high: ratios.iter().copied().fold(0.0, f64::max),
        goal: peer.goal,
    }
}

/// The value in the middle; of an even number, the mean of the two.
fn median(values: &[f64]) -> f64 {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() % 2 {
        0 => (values[middle - 1] + values[middle]) / 2.0,
        _ => values[middle],
    }
}

/// The processor, how many cores there are, and the system.
fn machine() -> String {
    let cores = available_parallelism().map_or(1, usize::from);
    let system = format!("{} on {}", env::consts::OS, env::consts::ARCH);
    let known = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let mut lines = known.lines();
    let model = lines.find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    match model {
        Some((_, model)) => format!("{cores} cores of {model}, {system}"),
        None => format!("{cores} cores, {system}"),
    }
}

#[cfg(test)]
mod tests {
    use indicatif::HumanCount;
    use catalog::speed::Of;

    use super::{compare, median};
    use crate::measurement::{asyncio, peer};

    #[test]
    fn medians() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&[4.0, 1.0, 3.0, 2.0]), 2.5);
    }

    #[test]
    fn ratios_are_of_runs_beside_each_other() {
        // The second round was slow for both.
        let (ours, theirs) = ([1.0, 10.0, 2.0], [2.0, 30.0, 2.0]);
        let ratio = compare(&asyncio(Some(2.0)), &ours, &theirs);
        assert_eq!((ratio.of, ratio.median), (Of::PeerByOurs, 2.0));
        assert_eq!((ratio.low, ratio.high), (1.0, 3.0));
        assert!(ratio.is_met());
        let crate_of = |goal| peer("a", |_| unreachable!("it is not run"), Some(goal));
        let ratio = compare(&crate_of(0.4), &ours, &theirs);
        assert_eq!((ratio.of, ratio.median), (Of::OursByPeer, 0.5));
        assert!(!ratio.is_met());
        assert!(compare(&crate_of(0.5), &ours, &theirs).is_met());
    }

    #[test]
    fn numbers_have_commas() {
        let numbers = [0, 12, 123, 1_234, 100_000, 1_000_000];
        let texts = numbers.map(|number| HumanCount(number).to_string());
        assert_eq!(texts, ["0", "12", "123", "1,234", "100,000", "1,000,000"]);
    }
}
