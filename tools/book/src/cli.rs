//! The command line.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context, Result};
use clap::Parser;
use xtask::workspace::Workspace;

use crate::{Made, make, serve};

/// Makes the book, a folder of static pages, from the examples.
#[derive(Debug, Parser)]
#[command(name = "book")]
struct Cli {
    /// Open it in the browser.
    #[arg(long)]
    open: bool,
    /// Serve it on this machine, and make it anew whenever a file changes; pages that
    /// are open reload.
    #[arg(long)]
    serve: bool,
    /// Where its pages go [default: target/book].
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Build and run nothing: the timelines lack the tasks, and the refusals the
    /// compiler's full words, where they are not known from before.
    #[arg(long)]
    no_run: bool,
}

/// Carries out the process's arguments: exit code 0 when the book is made.
pub fn main() -> ExitCode {
    match run(&Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(1)
        }
    }
}

fn run(cli: &Cli) -> Result<()> {
    let made = once(cli)?;
    if cli.serve {
        return serve::serve(&made.out, cli.open, || once(cli).map(drop));
    }
    if cli.open {
        let index = made.out.join("index.html");
        opener::open(&index)
            .with_context(|| format!("cannot open {}", index.display()))?;
    }
    Ok(())
}

fn once(cli: &Cli) -> Result<Made> {
    let started = Instant::now();
    let mut workspace = Workspace::open()?;
    let made = make(&mut workspace, cli.out.as_deref(), !cli.no_run)?;
    let seconds = started.elapsed().as_secs_f64();
    let Made {
        out,
        examples,
        changed,
        open_names,
    } = &made;
    let count = open_names.len();
    if !open_names.is_empty() {
        println!("Shown by no example yet: {}\n", open_names.join(", "));
    }
    println!(
        "{}: {examples} examples, {changed} pages changed, {seconds:.1} s; {count} names \
         of asyncio with a counterpart are shown by no example",
        out.join("index.html").display()
    );
    Ok(made)
}
