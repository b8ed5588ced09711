//! `cargo xtask`: the project's own commands.

mod bless;
mod check;
mod new;
mod platforms;
mod projects;

use std::ffi::OsString;
use std::io::{self, IsTerminal as _, Write as _};
use std::process::{self, ExitCode};

use anyhow::Result;
use catalog::workspace::{Workspace, cargo};
use clap::{Parser, Subcommand};
use reading::exit_code;

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
    /// Run every example in each way in which it is used, and compare what it prints, and
    /// when, with its golden; compile what has to compile and what must not.
    CheckAll(check::Options),
    /// Record the goldens of the selected examples, and show what changed.
    Bless {
        /// The example, with or without its section, or a part of SECTION/EXAMPLE.
        filter: String,
    },
    /// Make the files of a new example, ready to be filled in.
    New {
        /// The example, as SECTION/EXAMPLE.
        example: String,
    },
    /// Measure what the patterns cost, next to asyncio and uvloop.
    #[command(disable_help_flag = true)]
    Bench {
        #[arg(trailing_var_arg = true, allow_hyphen_values = true, hide = true)]
        arguments: Vec<OsString>,
    },
    /// Make the book, a folder of static pages, from the examples.
    #[command(disable_help_flag = true)]
    Book {
        #[arg(trailing_var_arg = true, allow_hyphen_values = true, hide = true)]
        arguments: Vec<OsString>,
    },
    #[command(flatten)]
    Reading(reading::Command),
}

/// Builds and runs a tool that is a separate package, so that nobody else compiles it.
/// The tool takes the arguments and says what is wrong with them; its exit code is ours.
fn tool(package: &str, release: bool, arguments: &[OsString]) -> Result<ExitCode> {
    let mut command = process::Command::new(cargo());
    command.args(["run", "--package", package]);
    command.args(release.then_some("--release"));
    command.args((!io::stderr().is_terminal()).then_some("--quiet"));
    exit_code(command.arg("--").args(arguments))
}

fn run(command: &Command) -> Result<ExitCode> {
    let workspace = Workspace::open()?;
    match command {
        Command::CheckAll(options) => check::check_all(&workspace, options),
        Command::Bless { filter } => bless::bless(&workspace, filter),
        Command::Bench { arguments } => tool("bench", true, arguments),
        Command::Book { arguments } => tool("book", false, arguments),
        Command::New { example } => {
            let text = new::new(&workspace, example)?;
            io::stdout().lock().write_all(text.as_bytes())?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Reading(command) => command.run(&workspace),
    }
}

fn main() -> ExitCode {
    catalog::ended(run(&Cli::parse().command))
}
