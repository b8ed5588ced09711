//! Running contestants in turn.

use std::env;
use std::path::PathBuf;
use std::process::Command;
use std::thread::available_parallelism;

use anyhow::{Context, Result, ensure};
use catalog::files::read;
use catalog::process::printed;
use catalog::python::Python;
use catalog::speed::{Measured, Of, Peer, Ratio, Speed};
use catalog::versions;
use catalog::workspace::Workspace;

use crate::work::{Row, Work};

/// Tokio, which does the work in this program, and the event loops of `contestants.py`.
const CONTESTANTS: [&str; 3] = ["ours", "asyncio", "uvloop"];

/// What contestants are run with, and how often.
pub struct Rounds<'a> {
    workspace: &'a Workspace,
    count: usize,
    /// How much of a row's size is done.
    part: fn(u64) -> u64,
    /// The interpreter with the twins' packages.
    python: PathBuf,
}

impl<'a> Rounds<'a> {
    /// Looks for what contestants need.
    pub fn new(
        workspace: &'a Workspace,
        count: usize,
        part: fn(u64) -> u64,
    ) -> Result<Self> {
        let python = Python::find().map_err(anyhow::Error::msg)?;
        Ok(Self {
            workspace,
            count,
            part,
            python: python.environment(workspace)?,
        })
    }

    /// Runs the contestants in turn, and compares what they cost.
    ///
    /// # Errors
    ///
    /// When a contestant fails, or did other work than ours.
    pub fn measure(&self, row: &Row, on_all_cores: bool) -> Result<Measured> {
        let size = (self.part)(row.size);
        let mut values = CONTESTANTS.map(|_| Vec::new());
        let mut sum_of_ours = None;
        for _ in 0..self.count {
            for (name, values) in CONTESTANTS.iter().zip(&mut values) {
                let work = self.once(row.name, name, on_all_cores, size)?;
                let expected = (size, *sum_of_ours.get_or_insert(work.sum));
                let done = (work.items, work.sum);
                ensure!(
                    done == expected,
                    "{}: {name} did {done:?} items and sum, not {expected:?}",
                    row.name,
                );
                values.push(work.value.context("it was not timed")?);
            }
        }
        let [ours, others @ ..] = &values;
        let peers = CONTESTANTS[1..].iter().zip(others);
        let peers = peers.map(|(name, theirs)| Peer {
            name: (*name).to_owned(),
            value: median(theirs),
            ratio: compare(ours, theirs),
        });
        let (end, on) = match on_all_cores {
            true => ("_threads", "on a thread for each core"),
            false => ("", "on one thread"),
        };
        let title = row.title.replace("{on}", on);
        Ok(Measured {
            name: format!("{}{end}", row.name),
            title: title.replace("{n}", &indicatif::HumanCount(size).to_string()),
            example: row.example.to_owned(),
            unit: row.unit,
            items: size,
            ours: median(ours),
            peers: peers.collect(),
        })
    }

    /// Runs a contestant in a separate process.
    fn once(&self, row: &str, name: &str, on_all_cores: bool, size: u64) -> Result<Work> {
        let mut command = match name {
            "ours" => {
                let mut command = Command::new(env::current_exe()?);
                command.args(["--once", row, &on_all_cores.to_string()]);
                command
            }
            _ => {
                let script = self.workspace.root.join("tools/bench/contestants.py");
                let mut command = Command::new(&self.python);
                command.args(["-I", "-X", "utf8"]).arg(script);
                command.args([name, row]);
                command
            }
        };
        let text = printed(command.arg(size.to_string()))?;
        serde_json::from_str(&text).with_context(|| format!("{command:?} printed {text}"))
    }

    /// The results, with the versions of the contestants and of what they use.
    pub fn result(&self, measurements: Vec<Measured>) -> Result<Speed> {
        let mut versions = vec![versions::rustc()?, versions::cpython(&self.python)?];
        let root = &self.workspace.root;
        let lock = read(&root.join("Cargo.lock"))?;
        let requirements = read(&root.join("tools/python/requirements.txt"))?;
        for name in ["aiohttp", "axum", "reqwest", "tokio", "uvloop"] {
            let pinned = || {
                let (_, after) = requirements.split_once(&format!("\n{name}=="))?;
                after.split([' ', '\n', ';']).next()
            };
            let version = versions::locked(&lock, name).or_else(pinned);
            let version = version.with_context(|| format!("{name} is not pinned"))?;
            versions.push(format!("{name} {version}"));
        }
        Ok(Speed {
            date: jiff::Zoned::now().date().to_string(),
            machine: machine(),
            versions,
            rounds: self.count,
            measurements,
            earlier: Vec::new(),
        })
    }
}

/// Compares the two of each round.
fn compare(ours: &[f64], theirs: &[f64]) -> Ratio {
    let ratios = ours.iter().zip(theirs).map(|(ours, theirs)| theirs / ours);
    let ratios: Vec<f64> = ratios.collect();
    Ratio {
        of: Of::PeerByOurs,
        median: median(&ratios),
        low: ratios.iter().copied().fold(f64::INFINITY, f64::min),
        high: ratios.iter().copied().fold(0.0, f64::max),
    }
}

/// The value in the middle of an odd number of values.
fn median(values: &[f64]) -> f64 {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
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
    use super::compare;

    #[test]
    fn ratios_are_of_runs_beside_each_other() {
        // The second round was slow for both.
        let (ours, theirs) = ([1.0, 10.0, 2.0], [2.0, 30.0, 2.0]);
        let ratio = compare(&ours, &theirs);
        assert_eq!((ratio.low, ratio.median, ratio.high), (1.0, 2.0, 3.0));
    }
}
