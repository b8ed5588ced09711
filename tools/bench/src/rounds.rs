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

use crate::row::{Contestant, How, Row, Work};

/// How much is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effort {
    /// Enough for figures that count.
    Full,
    /// A tenth of it, for a look.
    Quick,
    /// So little that only the results of the work count, not the figures.
    Check,
}

/// What contestants are run with, and how often.
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
    pub fn new(workspace: &'a Workspace, effort: Effort) -> Result<Self> {
        let python = Python::find().map_err(anyhow::Error::msg)?;
        Ok(Self {
            workspace,
            effort,
            program: env::current_exe()?,
            python: python.environment(workspace)?,
        })
    }

    fn count(&self) -> usize {
        match self.effort {
            Effort::Full => 7,
            Effort::Quick => 3,
            Effort::Check => 1,
        }
    }

    /// Runs the contestants in turn, and compares what they cost.
    ///
    /// # Errors
    ///
    /// When a contestant fails, or did other work than ours.
    pub fn measure(&self, row: &Row) -> Result<Measured> {
        let size = match self.effort {
            Effort::Full => row.size,
            Effort::Quick => row.size / 10,
            Effort::Check => row.size.min(200),
        };
        let mut values = vec![Vec::new(); row.contestants.len()];
        let mut sum_of_ours = None;
        for _ in 0..self.count() {
            for (contestant, values) in row.contestants.iter().zip(&mut values) {
                let work = self.once(row, contestant, size)?;
                let expected = (size, *sum_of_ours.get_or_insert(work.sum));
                let done = (work.items, work.sum);
                ensure!(
                    done == expected,
                    "{}: {} did {done:?} items and sum, not {expected:?}",
                    row.name,
                    contestant.name
                );
                values.push(work.value);
            }
        }
        let peers = row.contestants.iter().zip(&values).skip(1);
        let peers = peers.map(|(peer, theirs)| Peer {
            name: peer.name.to_owned(),
            value: median(theirs),
            ratio: compare(peer, &values[0], theirs),
        });
        Ok(Measured {
            name: row.name.clone(),
            title: row.heading(size),
            example: row.example.to_owned(),
            unit: row.unit,
            items: size,
            ours: median(&values[0]),
            // Agreed for the whole work.
            at_most: row.at_most.filter(|_| self.effort == Effort::Full),
            peers: peers.collect(),
        })
    }

    /// Runs a contestant in a process of its own.
    fn once(&self, row: &Row, contestant: &Contestant, size: u64) -> Result<Work> {
        let mut command = match contestant.how {
            How::Rust(_) => {
                let mut command = Command::new(&self.program);
                command.args(["--once", &row.name, contestant.name]);
                command
            }
            How::Python(function) => {
                let script = self.workspace.root.join("tools/bench/python/run.py");
                let mut command = Command::new(&self.python);
                command.args(["-I", "-X", "utf8"]).arg(script);
                command.args([contestant.name, function]);
                command
            }
        };
        let text = printed(command.arg(size.to_string()))?;
        serde_json::from_str(&text).with_context(|| format!("{command:?} printed {text}"))
    }

    /// The results, with the versions of what the rows use.
    pub fn result(&self, measurements: Vec<Measured>, used: &[&str]) -> Result<Speed> {
        let mut versions = vec![versions::rustc()?, versions::cpython(&self.python)?];
        let names = measurements.iter().flat_map(|it| &it.peers);
        let mut names: Vec<&str> = names.map(|peer| peer.name.as_str()).collect();
        names.extend(used);
        names.sort_unstable();
        names.dedup();
        let root = &self.workspace.root;
        let lock = read(&root.join("Cargo.lock"))?;
        let requirements = read(&root.join("tools/python/requirements.txt"))?;
        for name in names {
            let pinned = || {
                let (_, after) = requirements.split_once(&format!("\n{name}=="))?;
                after.split([' ', '\n', ';']).next()
            };
            if let Some(version) = versions::locked(&lock, name) {
                versions.push(format!("{name} {version}"));
            }
            if let Some(version) = pinned() {
                let name = if name == "redis" { "redis-py" } else { name };
                versions.push(format!("{name} {version}"));
            }
        }
        Ok(Speed {
            date: jiff::Zoned::now().date().to_string(),
            machine: machine(),
            versions,
            rounds: self.count(),
            measurements,
            servers: None,
        })
    }
}

/// Compares the two of each round.
fn compare(peer: &Contestant, ours: &[f64], theirs: &[f64]) -> Ratio {
    let of = peer.of;
    let ratios = ours.iter().zip(theirs).map(|(ours, theirs)| match of {
        Of::PeerByOurs | Of::ServerByOurs => theirs / ours,
        Of::OursByPeer => ours / theirs,
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
    use catalog::speed::Of;

    use super::compare;
    use crate::row::{Contestant, How};

    #[test]
    fn ratios_are_of_runs_beside_each_other() {
        // The second round was slow for both.
        let (ours, theirs) = ([1.0, 10.0, 2.0], [2.0, 30.0, 2.0]);
        let peer = |of, goal| {
            let (name, how, goal) = ("peer", How::Python(""), Some(goal));
            Contestant {
                name,
                how,
                of,
                goal,
            }
        };
        let ratio = compare(&peer(Of::PeerByOurs, 2.0), &ours, &theirs);
        assert_eq!((ratio.of, ratio.median), (Of::PeerByOurs, 2.0));
        assert_eq!((ratio.low, ratio.high), (1.0, 3.0));
        assert!(ratio.is_met());
        assert!(!compare(&peer(Of::PeerByOurs, 2.1), &ours, &theirs).is_met());
        let ratio = compare(&peer(Of::OursByPeer, 0.4), &ours, &theirs);
        assert_eq!((ratio.of, ratio.median), (Of::OursByPeer, 0.5));
        assert!(!ratio.is_met());
        assert!(compare(&peer(Of::OursByPeer, 0.5), &ours, &theirs).is_met());
        let ratio = compare(&peer(Of::ServerByOurs, 2.0), &ours, &theirs);
        assert_eq!((ratio.of, ratio.median), (Of::ServerByOurs, 2.0));
    }
}
