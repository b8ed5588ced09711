//! Measures what each pattern costs, beside asyncio and beside the crates made for it.
//!
//! Each run of a contestant is a process of its own, and the contestants take turns, so
//! that other load on the machine falls on all of them. What is compared is the ratio of
//! two runs that stood beside each other.

mod beside_asyncio;
mod beside_crates;
mod examples;
mod rounds;
mod row;

use std::fs;
use std::io::{self, Write as _};
use std::process::ExitCode;

use anyhow::{Context, Result, ensure};
use catalog::speed::{self, Measured, Of};
use catalog::workspace::Workspace;
use clap::Parser;

use crate::rounds::Rounds;
use crate::row::Row;

/// Measures what the patterns cost, beside asyncio and beside the crates made for them.
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
    /// Run a contestant in this process, and print its work as JSON.
    #[arg(long, hide = true, num_args = 3, value_names = ["NAME", "CONTESTANT", "SIZE"])]
    once: Vec<String>,
}

/// The rows, in the order of the tables.
fn rows() -> Vec<Row> {
    let rows = [beside_asyncio::rows(), beside_crates::rows()].concat();
    rows.into_iter().flat_map(Row::split).collect()
}

fn main() -> ExitCode {
    catalog::ended(run(&Options::parse()))
}

fn run(options: &Options) -> Result<ExitCode> {
    let rows = rows();
    if let [name, contestant, size] = options.once.as_slice() {
        let row = rows.iter().find(|row| row.name == *name);
        let size = size.parse()?;
        let work = row.and_then(|row| row.run(contestant, size));
        let work = work.with_context(|| format!("{name} has no {contestant} in Rust"))?;
        println!("{}", serde_json::to_string(&work)?);
        return Ok(ExitCode::SUCCESS);
    }
    let filter = options.filter.as_deref().unwrap_or_default();
    let wanted = |row: &&Row| row.name.contains(filter) || row.example.contains(filter);
    ensure!(
        rows.iter().any(|row| wanted(&row)),
        "no measurement, and no example that is measured, has `{filter}` in its name"
    );
    let workspace = Workspace::open()?;
    let rounds = match options {
        Options { check: true, .. } => Rounds::new(&workspace, 1, |size| size.min(200))?,
        Options { quick: true, .. } => Rounds::new(&workspace, 3, |size| size / 10)?,
        _ => Rounds::new(&workspace, 7, |size| size)?,
    };
    let mut measured = Vec::new();
    for row in rows.iter().filter(wanted) {
        let result = rounds.measure(row)?;
        writeln!(io::stdout(), "{}", report(&result))?;
        measured.push(result);
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
        let what = match ratio.of {
            Of::PeerByOurs | Of::ServerByOurs => "times ours",
            Of::OursByPeer => "of it is ours",
        };
        let (name, theirs) = (&peer.name, each(peer.value));
        let (median, low, high) = (ratio.median, ratio.low, ratio.high);
        text += &format!(
            "\n  {name}: {theirs} each, {median:.2} {what} ({low:.2} to {high:.2})"
        );
    }
    text
}
