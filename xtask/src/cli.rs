//! The command line: what there is to call, and which exit code it ends with.

use std::io::{self, ErrorKind, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Error, Result};
use clap::{Parser, Subcommand};

use crate::check::{Options, Program, check_all, seconds};
use crate::python::Python;
use crate::workspace::Workspace;
use crate::{WrongCall, bench, bless, book, copy, list, new};

/// Checks, records, shows and lists the examples of this workspace.
///
/// An example is named SECTION/EXAMPLE, or EXAMPLE where only one section has it.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run every example and compare what it prints, and when, with its golden.
    CheckAll(Options),
    /// Run every asyncio twin under CPython and compare it with its golden.
    CheckPython(Options),
    /// Run every example inside `tokio::spawn` and compare it with its golden.
    TestSpawn(Options),
    /// Record the goldens of the selected examples, and show what changed.
    Bless {
        /// The example, with or without its section, or a part of SECTION/EXAMPLE.
        filter: String,
        /// Kill a program that runs for longer than this.
        #[arg(long, value_name = "SECONDS", default_value = "30")]
        #[arg(value_parser = seconds, allow_negative_numbers = true)]
        limit: Duration,
    },
    /// Make a Cargo project from one example, with only the dependencies that it uses.
    Copy {
        /// The example, with or without its section.
        example: String,
        /// The project's folder: a new or empty one, or one that `cargo new` has just made.
        #[arg(required_unless_present = "print_manifest")]
        dir: Option<PathBuf>,
        /// Print the dependencies for a Cargo.toml, and make nothing.
        #[arg(long, conflicts_with = "dir")]
        print_manifest: bool,
    },
    /// Make the files of a new example, ready to be filled in.
    New {
        /// The example, as SECTION/EXAMPLE.
        example: String,
    },
    /// Measure what the patterns cost, beside asyncio and beside the crates made for them.
    Bench(bench::Options),
    /// Make the book, a folder of static pages, from the examples.
    Book(book::Options),
    /// Print every example with its summary, or find examples by words.
    List {
        /// Find what has all of these words: examples (by name, summary, asyncio names),
        /// questions, and messages of the compiler, each with the command that runs it.
        words: Vec<String>,
    },
    /// Print an example: header, both programs, transcript.
    Show {
        /// The example, with or without its section.
        example: String,
    },
}

fn find_python() -> Result<Python> {
    Python::find().map_err(|message| WrongCall(message).into())
}

/// Returns whether all is well.
fn run(command: &Command) -> Result<bool> {
    let mut workspace = Workspace::open()?;
    let text = match command {
        Command::CheckAll(options) => {
            return check_all(&mut workspace, Program::Rust, options);
        }
        Command::TestSpawn(options) => {
            return check_all(&mut workspace, Program::Spawned, options);
        }
        Command::CheckPython(options) => {
            let python = find_python()?;
            return check_all(&mut workspace, Program::Twin(&python), options);
        }
        Command::Bless { filter, limit } => {
            return bless::bless(&mut workspace, filter, find_python, *limit);
        }
        Command::Bench(options) => return bench::bench(&workspace, options),
        Command::Book(options) => return book::book(&workspace, options),
        Command::Copy { example, dir, .. } => {
            let example = workspace.example(example)?;
            match dir {
                Some(dir) => copy::copy(&workspace, example, dir)?,
                None => copy::dependency_block(&workspace, example)?,
            }
        }
        Command::New { example } => new::new(&workspace, example)?,
        Command::List { words } => list::list(&workspace, words)?,
        Command::Show { example } => list::show(&workspace, workspace.example(example)?)?,
    };
    io::stdout().lock().write_all(text.as_bytes())?;
    Ok(true)
}

/// Carries out the process's arguments.
///
/// Exit code 0 when all went well, 1 when something failed, 2 when the call was wrong, in
/// which case nothing was done.
pub fn main() -> ExitCode {
    match run(&Cli::parse().command) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) if is_closed_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(if error.is::<WrongCall>() { 2 } else { 1 })
        }
    }
}

/// Whether whoever reads our output has seen enough of it.
fn is_closed_pipe(error: &Error) -> bool {
    error
        .chain()
        .filter_map(|cause| cause.downcast_ref::<io::Error>())
        .any(|cause| cause.kind() == ErrorKind::BrokenPipe)
}
