//! Measures what each pattern costs, beside asyncio and beside the crates made for it.
//!
//! Each run of a contestant is a process of its own, and the contestants take turns, so
//! that what the machine does meanwhile falls on all of them. What is told is the ratio
//! of runs that stood beside each other.

mod components;
mod components_beside_crates;
mod more_components;
mod primitives;
mod services;

use std::fs;
use std::io::{self, ErrorKind, Write as _};
use std::process::ExitCode;

use anyhow::{Context, Error, Result, bail, ensure};
use bench::{measurement, report, rounds};
use clap::{Args, Parser, Subcommand};
use catalog::speed;
use catalog::workspace::Workspace;

use crate::measurement::{How, Measurement};
use crate::rounds::{Effort, Rounds};

/// Everything that is measured, in the order of the tables.
fn measurements() -> impl Iterator<Item = &'static Measurement> {
    [
        primitives::ALL,
        services::ALL,
        components_beside_crates::ALL,
        more_components::ALL,
    ]
    .into_iter()
    .flatten()
}

/// Measures what the patterns cost, beside asyncio and beside the crates made for them.
#[derive(Parser)]
#[command(name = "cargo xtask bench", bin_name = "cargo xtask bench")]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    options: Options,
}

/// What is measured, and how it is told.
#[derive(Args)]
struct Options {
    /// A part of the name of a measurement, or of its example; without it, everything.
    filter: Option<String>,
    /// A tenth of the work, and three rounds: for a look.
    #[arg(long)]
    quick: bool,
    /// Print the results as JSON.
    #[arg(long)]
    json: bool,
    /// Write the results to docs/speed.json, where the book takes them from.
    #[arg(long, conflicts_with = "quick")]
    record: bool,
}

#[derive(Subcommand)]
enum Command {
    /// Do all work once, a small part of it, and see that all contestants did the same.
    #[command(hide = true)]
    Check,
    /// Run a contestant once, in this process, and print its work as JSON.
    #[command(hide = true)]
    One {
        /// The measurement.
        name: String,
        /// The contestant.
        contestant: String,
        /// How many items.
        size: u64,
    },
    /// Serve the site that is scraped, for as long as the standard input is open.
    #[command(hide = true)]
    Site {
        /// How many pages.
        pages: u64,
    },
}

fn main() -> ExitCode {
    match run(&Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        // Whoever reads this has seen enough of it.
        Err(error) if is_closed_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn is_closed_pipe(error: &Error) -> bool {
    let kind = error.downcast_ref().map(io::Error::kind);
    kind == Some(ErrorKind::BrokenPipe)
}

fn say(text: &str) -> Result<()> {
    Ok(io::stdout().lock().write_all(text.as_bytes())?)
}

fn run(cli: &Cli) -> Result<()> {
    if let Some(Command::One {
        name,
        contestant,
        size,
    }) = &cli.command
    {
        return one(name, contestant, *size);
    }
    if let Some(Command::Site { pages }) = cli.command {
        return services::site(pages);
    }
    let options = &cli.options;
    let workspace = Workspace::open()?;
    if let Some(Command::Check) = cli.command {
        let rounds = Rounds::new(&workspace, Effort::Check)?;
        for measurement in measurements() {
            let measured = rounds.measure(measurement)?;
            println!("{}: {} items", measured.name, measured.items);
        }
        return Ok(());
    }
    let effort = if options.quick {
        Effort::Quick
    } else {
        Effort::Full
    };
    let rounds = Rounds::new(&workspace, effort)?;
    let wanted = |name: &str, example: &str| {
        let filter = options.filter.as_deref().unwrap_or_default();
        name.contains(filter) || example.contains(filter)
    };
    let fair = measurements().filter(|it| wanted(it.name, it.example));
    let fair: Vec<&Measurement> = fair.collect();
    let filter = options.filter.as_deref().unwrap_or_default();
    ensure!(
        !fair.is_empty(),
        "no measurement, and no example that is measured, has `{filter}` in its name"
    );
    let mut measured = Vec::new();
    for measurement in fair {
        let result = rounds.measure(measurement)?;
        if !options.json {
            say(&report::measured(&result))?;
        }
        measured.push(result);
    }
    let missed = measured.iter().map(report::missed).sum::<usize>();
    let path = speed::path(&workspace);
    let before = speed::read(&workspace)?;
    let speed = rounds.result(measured)?;
    if options.json {
        say(&format!("{}\n", serde_json::to_string_pretty(&speed)?))?;
    } else {
        say(&format!(
            "{}\n{missed} agreed figures were missed\n",
            speed.machine
        ))?;
    }
    if options.record {
        let mut speed = match before {
            // What was not measured now, stays.
            Some(before) if options.filter.is_some() => report::merged(before, speed),
            _ => speed,
        };
        let order = |name: &str| measurements().position(|it| it.name == name);
        speed.measurements.sort_by_key(|it| order(&it.name));
        speed.measurements.retain(|it| order(&it.name).is_some());
        let mut text = serde_json::to_string_pretty(&speed)?;
        text.push('\n');
        fs::write(&path, text)
            .with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}

fn one(name: &str, contestant: &str, size: u64) -> Result<()> {
    let measurement = measurements().find(|it| it.name == name);
    let mut contestants = measurement.into_iter().flat_map(|it| it.contestants);
    let Some(How::Rust(run)) = contestants
        .find(|it| it.name == contestant)
        .map(|it| &it.how)
    else {
        bail!("{name} has no contestant {contestant} in this program");
    };
    println!("{}", serde_json::to_string(&run(size))?);
    Ok(())
}
