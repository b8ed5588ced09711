//! Measures what each pattern costs, next to asyncio and uvloop.
//!
//! Each run of a contestant is a separate process, and the contestants take turns, so
//! that other load on the machine falls on all of them. What is compared is the ratio of
//! two runs that were next to each other.

mod rounds;
mod work;

// The components, from the files of the examples: what is measured is what is pasted.
#[allow(dead_code)]
#[path = "../../../crates/concurrency/src"]
mod concurrency {
    pub mod many_producers_many_consumers;
    pub mod worker_pool;
}

#[allow(dead_code)]
#[path = "../../../crates/real-world/src"]
mod real_world {
    pub mod http_requests;
}

use std::fs;
use std::io::{self, Write as _};
use std::process::ExitCode;

use anyhow::{Context, Result, ensure};
use catalog::speed::{self, Measured};
use catalog::workspace::Workspace;
use clap::Parser;
use tokio::runtime::Builder;

use crate::rounds::Rounds;
use crate::work::{ROWS, Work};

/// Measures what the patterns cost, next to asyncio and uvloop.
#[derive(Parser)]
#[command(name = "cargo xtask bench", bin_name = "cargo xtask bench")]
struct Options {
    /// A part of the name of a measurement, or of its example; without it, everything.
    filter: Option<String>,
    /// A tenth of the work, and three rounds: for a look.
    #[arg(long)]
    quick: bool,
    /// Write all results, of one day and one machine, to docs/speed.json, where the book
    /// takes them from.
    #[arg(long, conflicts_with_all = ["quick", "check", "filter"])]
    record: bool,
    /// A small part of the work, once, to see that all contestants do the same.
    #[arg(long, hide = true)]
    check: bool,
    /// Do the work in this process, and print its work as JSON.
    #[arg(long, hide = true, num_args = 3, value_names = ["NAME", "ON_ALL_CORES", "SIZE"])]
    once: Vec<String>,
}

fn main() -> ExitCode {
    catalog::ended(run(&Options::parse()))
}

/// Does the work of a row in this process, on one thread or on a thread for each core.
fn once(name: &str, on_all_cores: bool, size: u64) -> Result<Work> {
    let row = ROWS.into_iter().find(|row| row.name == name);
    let row = row.with_context(|| format!("no measurement is {name}"))?;
    let mut builder = match on_all_cores {
        true => Builder::new_multi_thread(),
        false => Builder::new_current_thread(),
    };
    Ok(builder.enable_all().build()?.block_on((row.run)(size)))
}

fn run(options: &Options) -> Result<ExitCode> {
    if let [name, on_all_cores, size] = options.once.as_slice() {
        let work = once(name, on_all_cores.parse()?, size.parse()?)?;
        println!("{}", serde_json::to_string(&work)?);
        return Ok(ExitCode::SUCCESS);
    }
    let filter = options.filter.as_deref().unwrap_or_default();
    let mut wanted = Vec::from(ROWS);
    wanted.retain(|row| row.name.contains(filter) || row.example.contains(filter));
    ensure!(
        !wanted.is_empty(),
        "no measurement, and no example that is measured, has `{filter}` in its name"
    );
    let workspace = Workspace::open()?;
    let rounds = match options {
        Options { check: true, .. } => Rounds::new(&workspace, 1, |size| size.min(200))?,
        Options { quick: true, .. } => Rounds::new(&workspace, 3, |size| size / 10)?,
        _ => Rounds::new(&workspace, 7, |size| size)?,
    };
    let mut measured = Vec::new();
    for row in wanted {
        for on_all_cores in [false, true] {
            if !on_all_cores || row.title.contains("{on}") {
                let result = rounds.measure(&row, on_all_cores)?;
                writeln!(io::stdout(), "{}", report(&result))?;
                measured.push(result);
            }
        }
    }
    let mut speed = rounds.result(measured)?;
    writeln!(io::stdout(), "{}", speed.machine)?;
    if options.record {
        if let Some(recorded) = speed::read(&workspace)? {
            speed.earlier = recorded.earlier;
        }
        let path = speed::path(&workspace);
        let text = serde_json::to_string_pretty(&speed)? + "\n";
        fs::write(&path, text)
            .with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// A row for the terminal: the cost of an item for each contestant, and how the peers
/// compare.
fn report(result: &Measured) -> String {
    let each = |value: f64| result.unit.amount(value / result.items as f64);
    let (ours, in_all) = (each(result.ours), result.unit.amount(result.ours));
    let (title, example) = (&result.title, &result.example);
    let mut text = format!("{title} ({example})\n  ours: {ours} each, {in_all} in all");
    for peer in &result.peers {
        let ratio = &peer.ratio;
        let (name, theirs) = (&peer.name, each(peer.value));
        let (median, low, high) = (ratio.median, ratio.low, ratio.high);
        text += &format!(
            "\n  {name}: {theirs} each, {median:.2} times ours ({low:.2} to {high:.2})"
        );
    }
    text
}
