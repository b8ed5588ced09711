//! A command line tool with an async main: arguments, subcommands, and an exit code.
//!
//! Derive the parser from a struct with clap, which takes the place of argparse, parse
//! before anything is awaited, and give the result to async code. A subcommand that
//! blocks goes to `spawn_blocking`. A time limit ends the waiting for it, not its thread,
//! and at its end the program waits for that. An async main cannot return a number as its
//! code, "`main` has invalid return type `i32`", but an `ExitCode`, which is made from
//! one.
//!
//! asyncio: asyncio.run, asyncio.gather, asyncio.timeout, asyncio.to_thread
//! asyncio: argparse.ArgumentParser
//! stderr: error:

use std::env;
use std::ffi::OsString;
use std::fmt;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};
use futures::future::try_join_all;
use tokio::task::spawn_blocking;
use tokio::time::{sleep, timeout};

/// Fetches pages and checks files.
#[derive(Parser)]
#[command(name = "tool")]
struct Args {
    /// The time limit in milliseconds
    #[arg(long, default_value_t = 1000)]
    limit: u64,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Fetch pages, all at once
    Fetch {
        #[arg(required = true)]
        pages: Vec<String>,
    },
    /// Add up the bytes of a text
    Checksum { text: String },
}

#[derive(Debug)]
enum Failure {
    NoPage(String),
    TimeIsUp,
}

impl Failure {
    fn code(&self) -> u8 {
        match self {
            Self::NoPage(_) => 1,
            // 2 is for a wrong call; clap uses it, as argparse does.
            Self::TimeIsUp => 3,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoPage(page) => write!(formatter, "no page {page}"),
            Self::TimeIsUp => write!(formatter, "the time is up"),
        }
    }
}

async fn fetch(page: &str) -> Result<String, Failure> {
    match page {
        "home" => sleep(Duration::from_millis(100)).await,
        "news" => sleep(Duration::from_millis(400)).await,
        _ => return Err(Failure::NoPage(page.into())),
    }
    Ok(format!("Data from {page}"))
}

/// Stands for a calculation that blocks its thread.
fn checksum(text: &str) -> u32 {
    text.bytes().map(u32::from).sum()
}

async fn execute(command: Command) -> Result<String, Failure> {
    match command {
        Command::Fetch { pages } => {
            let data = try_join_all(pages.iter().map(|page| fetch(page))).await?;
            Ok(data.join("\n"))
        }
        Command::Checksum { text } => {
            let sum = spawn_blocking(move || checksum(&text)).await;
            Ok(sum.expect("adding up does not panic").to_string())
        }
    }
}

/// What the whole program does: its result goes to standard output, what went wrong to
/// standard error, and the number is the exit code.
pub async fn program(args: impl IntoIterator<Item = OsString>) -> u8 {
    let args = match Args::try_parse_from(args) {
        Ok(args) => args,
        Err(error) => {
            // Also how `--help` ends, which is no failure and has the code 0.
            let _ = error.print();
            return if error.use_stderr() { 2 } else { 0 };
        }
    };
    let limit = Duration::from_millis(args.limit);
    let outcome = timeout(limit, execute(args.command)).await;
    match outcome.unwrap_or(Err(Failure::TimeIsUp)) {
        Ok(text) => {
            println!("{text}");
            0
        }
        Err(failure) => {
            eprintln!("error: {failure}");
            failure.code()
        }
    }
}

/// Without arguments the program shows what it would do with some.
pub async fn run() {
    for line in [
        "tool fetch home news",
        "tool fetch home attic",
        "tool --limit 300 fetch home news",
        "tool checksum abc",
    ] {
        println!("$ {line}");
        let code = program(line.split(' ').map(OsString::from)).await;
        println!("Exit code {code}");
    }
}

#[tokio::main]
pub async fn main() -> ExitCode {
    if env::args_os().len() > 1 {
        return program(env::args_os()).await.into();
    }
    run().await;
    ExitCode::SUCCESS
}
