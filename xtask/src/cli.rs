//! The command line: what there is to call, and which exit code it ends with.

use std::io::{self, ErrorKind, Write as _};
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Error, Result};
use clap::{Args, Parser, Subcommand};

use crate::check::{self, Clock, Judge, Options, Program};
use crate::python::Python;
use crate::workspace::Workspace;
use crate::{WrongCall, bless, copy, list, new};

/// Checks, records and lists the examples of this workspace.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run every example and compare what it prints, and when, with its golden.
    CheckAll {
        #[command(flatten)]
        which: Which,
        #[command(flatten)]
        real: Real,
    },
    /// Run every asyncio twin under CPython and compare it with the same golden.
    CheckPython {
        #[command(flatten)]
        which: Which,
        #[command(flatten)]
        real: Real,
    },
    /// Run every example inside `tokio::spawn` and compare it with the same golden.
    TestSpawn {
        #[command(flatten)]
        which: Which,
    },
    /// Record the goldens of the selected examples, and show what changed.
    Bless {
        /// A part of SECTION/EXAMPLE.
        filter: String,
        #[command(flatten)]
        limit: Limit,
    },
    /// Make a Cargo project from one example, with only the dependencies that it uses.
    Copy {
        /// The example, as SECTION/EXAMPLE.
        example: String,
        /// The project's folder, which must not exist or be empty.
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
    /// Print every example with its summary.
    List,
}

#[derive(Args)]
struct Which {
    /// A part of SECTION/EXAMPLE; without it, every example is checked.
    #[arg(default_value = "")]
    filter: String,
    /// How many programs run at once [default: the number of cores, and 16 times as many
    /// on the real clock].
    #[arg(long, value_name = "N")]
    jobs: Option<NonZero<usize>>,
    /// Run each example N times, to find the ones that fail now and then.
    #[arg(long, value_name = "N", default_value = "1")]
    repeat: NonZero<u32>,
    #[command(flatten)]
    limit: Limit,
}

#[derive(Args)]
struct Real {
    /// Run every program on the real clock, many at once.
    #[arg(long)]
    real_time: bool,
    /// How late a line may be on the real clock [default: 0.25].
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    slack: Option<Duration>,
}

impl Real {
    fn judge<'a>(&self, program: Program<'a>) -> Judge<'a> {
        let clock = if self.real_time {
            Clock::Real
        } else {
            Clock::Virtual
        };
        let slack = self.slack.unwrap_or(check::SLACK);
        Judge {
            clock,
            slack,
            ..Judge::new(program)
        }
    }
}

#[derive(Args)]
struct Limit {
    /// Kill an example that runs for longer than this.
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    limit: Option<Duration>,
}

impl Which {
    fn check(&self, judge: Judge<'_>) -> Result<bool> {
        let judge = Judge {
            limit: self.limit.get(),
            ..judge
        };
        let options = Options {
            filter: &self.filter,
            jobs: self.jobs,
            repeat: self.repeat,
            judge,
        };
        check::check_all(&Workspace::open()?, &options)
    }
}

impl Limit {
    fn get(&self) -> Duration {
        self.limit.unwrap_or(check::LIMIT)
    }
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text
        .parse()
        .map_err(|_| "not a number of seconds".to_owned())?;
    match Duration::try_from_secs_f64(seconds) {
        Ok(duration) if !duration.is_zero() => Ok(duration),
        _ => Err("a time in seconds is a number above 0".to_owned()),
    }
}

fn find_python() -> Result<Python> {
    Python::find().map_err(|message| WrongCall(message).into())
}

/// Returns whether all is well.
fn run(command: &Command) -> Result<bool> {
    match command {
        Command::CheckAll { which, real } => which.check(real.judge(Program::Rust)),
        Command::CheckPython { which, real } => {
            which.check(real.judge(Program::Twin(&find_python()?)))
        }
        Command::TestSpawn { which } => which.check(Judge {
            spawn: true,
            ..Judge::new(Program::Rust)
        }),
        Command::Bless { filter, limit } => {
            bless::bless(&Workspace::open()?, filter, find_python, limit.get())
        }
        Command::Copy {
            example,
            dir: Some(dir),
            ..
        } => copy_to(example, dir),
        Command::Copy {
            example, dir: None, ..
        } => {
            let workspace = Workspace::open()?;
            let example = workspace.example(example)?;
            say(&copy::dependency_block(&workspace, example)?)
        }
        Command::New { example } => make_new(example),
        Command::List => list::list(&Workspace::open()?).map(|()| true),
    }
}

fn copy_to(example: &str, dir: &Path) -> Result<bool> {
    let workspace = Workspace::open()?;
    copy::copy(&workspace, workspace.example(example)?, dir)?;
    let dir = dir.display();
    say(&format!("made {dir}/Cargo.toml\nmade {dir}/src/main.rs\n"))
}

fn make_new(example: &str) -> Result<bool> {
    let workspace = Workspace::open()?;
    let (made, changed) = new::new(&workspace, example)?;
    let mut text = String::new();
    for path in made {
        text.push_str(&format!("made {}\n", workspace.relative(&path)));
    }
    text.push_str(&format!("changed {}\n", workspace.relative(&changed)));
    text.push_str(&format!(
        "Write the program and its twin, then record and check the transcript:\n    \
         cargo xtask bless {example}\n    cargo xtask check-all {example}\n"
    ));
    say(&text)
}

/// Prints to standard output; a closed pipe is an error that ends the xtask quietly.
fn say(text: &str) -> Result<bool> {
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
        .filter_map(|cause| cause.downcast_ref::<std::io::Error>())
        .any(|cause| cause.kind() == ErrorKind::BrokenPipe)
}
