//! `cargo xtask`: the project's own commands.

mod bless;
mod check;
mod copy;
mod find;
mod guide;
mod list;
mod new;

use std::ffi::OsString;
use std::io::{self, IsTerminal as _, Write as _};
use std::path::PathBuf;
use std::process::{Command as Process, ExitCode};

use anyhow::{Context as _, Result};
use catalog::report::Outcome;
use catalog::workspace::{Workspace, cargo};
use clap::{Parser, Subcommand};

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
    /// Make a Cargo project from one example, with only the dependencies that it uses.
    Copy {
        /// The example, with or without its section.
        example: String,
        /// Another example of the same section that this one is used with: the project has
        /// both, and the demonstration that joins them.
        #[arg(long, value_name = "EXAMPLE")]
        with: Option<String>,
        /// Take the example's tests along.
        #[arg(long)]
        with_tests: bool,
        /// The project's folder: a new or empty one.
        #[arg(required_unless_present = "print_manifest")]
        dir: Option<PathBuf>,
        /// Print the dependencies for a Cargo.toml, and make nothing.
        #[arg(long, conflicts_with_all = ["dir", "with", "with_tests"])]
        print_manifest: bool,
    },
    /// Make the files of a new example, ready to be filled in.
    New {
        /// The example, as SECTION/EXAMPLE.
        example: String,
    },
    /// Measure what the patterns cost, beside asyncio and beside the crates made for them.
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
    /// Find examples by your own words: a question, a name of Python or Rust, a message.
    Find {
        /// Any words, or a whole sentence; without words, standard input is read, such as a
        /// traceback.
        #[arg(allow_hyphen_values = true, trailing_var_arg = true)]
        words: Vec<String>,
    },
    /// Print the blocks of a guide to asyncio in their order, with the examples that answer
    /// them; without a number, the guides.
    Guide {
        /// The number of the guide.
        guide: Option<usize>,
    },
    /// Print every example with its summary.
    List,
    /// Print an example: header, both programs, transcript.
    Show {
        /// The example, with or without its section.
        example: String,
    },
}

/// Builds and runs a tool that is a package of its own, so that nobody else compiles it.
/// The tool takes the arguments and says what is wrong with them; its exit code is ours.
fn tool(package: &str, release: bool, arguments: &[OsString]) -> Result<ExitCode> {
    let mut command = Process::new(cargo());
    command.args(["run", "--package", package]);
    command.args(release.then_some("--release"));
    command.args((!io::stderr().is_terminal()).then_some("--quiet"));
    let status = command
        .arg("--")
        .args(arguments)
        .status()
        .context("cannot run cargo")?;
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    Ok(code.map_or(ExitCode::FAILURE, ExitCode::from))
}

/// Exit code 3 when the machine was too busy to judge every program.
fn code(outcome: Outcome) -> ExitCode {
    match outcome {
        Outcome::Passed => ExitCode::SUCCESS,
        Outcome::Failed => ExitCode::from(1),
        Outcome::NotJudged => ExitCode::from(3),
    }
}

fn run(command: &Command) -> Result<ExitCode> {
    let mut workspace = Workspace::open()?;
    let text = match command {
        Command::CheckAll(options) => {
            return check::check_all(&mut workspace, options).map(code);
        }
        Command::Bless { filter } => {
            return bless::bless(&mut workspace, filter).map(code);
        }
        Command::Bench { arguments } => return tool("bench", true, arguments),
        Command::Book { arguments } => return tool("book", false, arguments),
        Command::Copy {
            example,
            with,
            with_tests,
            dir,
            ..
        } => {
            let example = workspace.example(example)?;
            let with = with
                .as_deref()
                .map(|name| workspace.example(name))
                .transpose()?;
            match dir {
                Some(dir) => copy::copy(&workspace, example, with, *with_tests, dir)?,
                None => copy::dependency_block(&workspace, example)?,
            }
        }
        Command::New { example } => new::new(&workspace, example)?,
        Command::Find { words } => find::find(&workspace, words)?,
        Command::Guide { guide } => guide::guide(&workspace, *guide)?,
        Command::List => list::list(&workspace),
        Command::Show { example } => list::show(&workspace, workspace.example(example)?)?,
    };
    io::stdout().lock().write_all(text.as_bytes())?;
    Ok(ExitCode::SUCCESS)
}

fn main() -> ExitCode {
    catalog::ended(run(&Cli::parse().command))
}
