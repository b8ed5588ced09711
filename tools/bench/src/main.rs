//! Measures what each pattern costs, beside asyncio and beside the crates made for it.
//!
//! Each run of a contestant is a process of its own, and the contestants take turns, so
//! that other load on the machine falls on all of them. What is compared is the ratio of
//! two runs that stood beside each other.

mod beside_crates;
mod beside_servers;
mod examples;
mod http_and_sqlite;
mod primitives;
mod report;
mod rounds;
mod row;

use std::fs;
use std::io::{self, Write as _};
use std::process::{Command, ExitCode};

use anyhow::{Context, Result, ensure};
use catalog::process::printed;
use catalog::speed;
use catalog::workspace::Workspace;
use clap::Parser;
use servers::Kind;

use crate::rounds::{Effort, Rounds};
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
    /// The patterns on PostgreSQL, Redis and NATS instead. Private servers are started.
    #[arg(long)]
    servers: bool,
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

/// What the rows use beside their peers.
const USED: &[&str] = &[
    "aiohttp",
    "aiosqlite",
    "axum",
    "reqwest",
    "rusqlite",
    "tokio",
];
const USED_FOR_SERVERS: &[&str] = &[
    "async-nats",
    "asyncpg",
    "deadpool-postgres",
    "nats-py",
    "redis",
    "rusqlite",
    "tokio",
    "tokio-postgres",
];

/// The rows, in the order of the tables.
fn rows(servers: bool) -> Vec<Row> {
    let rows = match servers {
        true => beside_servers::rows(),
        false => [
            primitives::rows(),
            http_and_sqlite::rows(),
            beside_crates::rows(),
        ]
        .concat(),
    };
    rows.into_iter().flat_map(Row::split).collect()
}

fn main() -> ExitCode {
    catalog::ended(run(&Options::parse()))
}

fn run(options: &Options) -> Result<ExitCode> {
    if let [name, contestant, size] = options.once.as_slice() {
        return once(name, contestant, size.parse()?);
    }
    if options.servers
        && let Some(code) =
            servers::provide(&["pg_", "redis_", "nats_"]).map_err(anyhow::Error::msg)?
    {
        return Ok(code);
    }
    let effort = match options {
        Options { check: true, .. } => Effort::Check,
        Options { quick: true, .. } => Effort::Quick,
        _ => Effort::Full,
    };
    let rows = rows(options.servers);
    let filter = options.filter.as_deref().unwrap_or_default();
    let wanted = |row: &&Row| row.name.contains(filter) || row.example.contains(filter);
    ensure!(
        rows.iter().any(|row| wanted(&row)),
        "no measurement, and no example that is measured, has `{filter}` in its name"
    );
    let workspace = Workspace::open()?;
    let rounds = Rounds::new(&workspace, effort)?;
    let mut measured = Vec::new();
    for row in rows.iter().filter(wanted) {
        let result = rounds.measure(row)?;
        writeln!(io::stdout(), "{}", report::measured(&result))?;
        measured.push(result);
    }
    let missed: usize = measured.iter().map(report::missed).sum();
    let used = [USED, USED_FOR_SERVERS][usize::from(options.servers)];
    let mut speed = rounds.result(measured, used)?;
    if options.servers {
        for kind in [Kind::Postgres, Kind::Redis, Kind::Nats] {
            let version = printed(Command::new(kind.program()?).arg("--version"))?;
            let words: Vec<&str> = version.split_whitespace().take(3).collect();
            speed.versions.push(words.join(" "));
        }
    }
    let text = format!("{}\n{missed} agreed figures were missed", speed.machine);
    writeln!(io::stdout(), "{text}")?;
    if options.record {
        let path = speed::path(&workspace);
        // Each of the two kinds is measured by itself.
        if let Some(mut recorded) = speed::read(&workspace)? {
            match options.servers {
                true => {
                    recorded.servers = Some(Box::new(speed));
                    speed = recorded;
                }
                false => speed.servers = recorded.servers,
            }
        }
        let text = serde_json::to_string_pretty(&speed)? + "\n";
        fs::write(&path, text)
            .with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn once(name: &str, contestant: &str, size: u64) -> Result<ExitCode> {
    let rows = [rows(false), rows(true)].concat();
    let row = rows.iter().find(|row| row.name == name);
    let work = row.and_then(|row| row.run(contestant, size));
    let work = work.with_context(|| format!("{name} has no {contestant} in Rust"))?;
    println!("{}", serde_json::to_string(&work)?);
    Ok(ExitCode::SUCCESS)
}
