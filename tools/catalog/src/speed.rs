//! What `cargo xtask bench` has measured: the results in `docs/speed.json`, from which
//! the book makes its tables.

use std::path::PathBuf;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use crate::workspace::Workspace;

/// All results of one machine on one day.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Speed {
    /// The day of the measurement, as `2026-11-22`.
    pub date: String,
    /// The processor, how many cores it has, and the system.
    pub machine: String,
    /// What was measured, with versions: `tokio 1.54.1`, `CPython 3.11.7`.
    pub versions: Vec<String>,
    /// How often each contestant was run.
    pub rounds: usize,
    /// In the order of the tables.
    pub measurements: Vec<Measured>,
    /// What was measured before, and is not measured again: the patterns on servers, and
    /// special cases.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub earlier: Vec<Speed>,
}

impl Speed {
    /// Returns all measurements, the earlier ones last.
    pub fn all(&self) -> impl Iterator<Item = &Measured> {
        let earlier = self.earlier.iter().flat_map(|it| &it.measurements);
        self.measurements.iter().chain(earlier)
    }
}

/// What is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// Time by the wall clock, in seconds.
    Seconds,
    /// Time of processors, of all threads together, in seconds.
    CpuSeconds,
    /// Memory in bytes.
    Bytes,
}

impl Unit {
    /// A number in this unit, or a smaller one that suits it: `12.3 ms`, `450 B`.
    pub fn amount(self, value: f64) -> String {
        let (units, first): (&[&str], f64) = match self {
            Self::Bytes => (&["GB", "MB", "kB", "B"], 1e9),
            Self::Seconds | Self::CpuSeconds => (&["s", "ms", "µs", "ns"], 1.0),
        };
        let mut scaled = value / first;
        let mut units = units.iter();
        let mut unit = units.next().unwrap_or(&"");
        while scaled < 1.0
            && let Some(smaller) = units.next()
        {
            (scaled, unit) = (scaled * 1000.0, smaller);
        }
        format!("{} {unit}", figures(scaled))
    }
}

/// A number with the digits that mean something: `1.23`, `12.3`, `123`.
pub fn figures(number: f64) -> String {
    match number {
        ..10.0 => format!("{number:.2}"),
        ..100.0 => format!("{number:.1}"),
        _ => format!("{number:.0}"),
    }
}

/// The same work done by several contestants.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Measured {
    /// The name on the command line.
    pub name: String,
    /// What the work is, as a heading.
    pub title: String,
    /// The page that it belongs to, as `concurrency/lock`.
    pub example: String,
    /// What is counted.
    pub unit: Unit,
    /// How many items the work has.
    pub items: u64,
    /// Ours, for all items: the median of the rounds.
    pub ours: f64,
    /// The others.
    pub peers: Vec<Peer>,
}

/// One of the others.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Peer {
    /// `asyncio`, `uvloop`, or the name of a crate.
    pub name: String,
    /// For all items: the median of the rounds.
    pub value: f64,
    /// How this peer is compared, and with what result.
    pub ratio: Ratio,
}

/// The ratio of two values that were measured one right after the other.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Ratio {
    /// Which of the two is divided by the other.
    pub of: Of,
    /// The median of the rounds.
    pub median: f64,
    /// The lowest of the rounds.
    pub low: f64,
    /// The highest of the rounds.
    pub high: f64,
}

/// Which value is divided by which.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Of {
    /// The peer's by ours: how many times as fast ours is. More is better.
    PeerByOurs,
    /// Ours by the peer's: which part of the peer's cost ours has. Less is better.
    OursByPeer,
    /// The server's by ours: how many times as much the pattern costs there.
    ServerByOurs,
}

/// Where the results stand.
pub fn path(workspace: &Workspace) -> PathBuf {
    workspace.root.join("docs/speed.json")
}

/// Reads the results; nothing if nothing was recorded.
pub fn read(workspace: &Workspace) -> Result<Option<Speed>> {
    let path = path(workspace);
    if !path.exists() {
        return Ok(None);
    }
    let text = crate::files::read(&path)?;
    let speed = serde_json::from_str(&text)
        .with_context(|| format!("{}: cargo xtask bench --record", path.display()))?;
    Ok(Some(speed))
}

#[cfg(test)]
mod tests {
    use super::Unit;

    #[test]
    fn amounts_have_the_unit_that_suits_them() {
        let seconds = [1.234, 0.012_34, 0.000_000_5].map(|it| Unit::Seconds.amount(it));
        assert_eq!(seconds, ["1.23 s", "12.3 ms", "500 ns"]);
        let bytes = [3.0, 450.0, 2_000_000.0].map(|it| Unit::Bytes.amount(it));
        assert_eq!(bytes, ["3.00 B", "450 B", "2.00 MB"]);
    }
}
