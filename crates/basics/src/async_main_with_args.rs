//! A command line tool with an async main: arguments, a timeout, and an exit code.
//!
//! The crate clap takes the place of argparse: derive the parser from a struct. Parse
//! before the first await, and pass the arguments to async code. Wrong arguments end with
//! exit code 2, as with argparse.
//!
//! This program prints each page as soon as the page has come, and ends at the first
//! error. Results go to standard output, errors to standard error. `println!` panics if
//! the reader of a pipe has left (`| head -1`). So this program prints with `writeln!`,
//! which returns an error.
//!
//! Bounds: The program sends at most 10 requests at the same time. After `--timeout-ms`
//! the whole run ends with an error, "timed out".
//!
//! Trap: If your async main returns a number, the compiler reports "`main` has invalid
//! return type `i32`". Return an `ExitCode`, which is made from a `u8`.
//!
//! See also: `exit_codes`, `map_with_limit`, `timeout_of_blocking_work`.
//!
//! asyncio: asyncio.run, asyncio.timeout, asyncio.TaskGroup, argparse.ArgumentParser

use std::error::Error;
use std::io;
use std::time::Duration;

use clap::Parser;
use futures::stream::{self, StreamExt, TryStreamExt};
use tokio::time::{sleep, timeout};

/// Fetches pages.
#[derive(Debug, Parser)]
#[command(name = "tool")]
pub struct Args {
    /// For all pages together
    #[arg(long, default_value_t = 1000)]
    timeout_ms: u64,
    #[arg(required = true)]
    pages: Vec<String>,
}

type BoxError = Box<dyn Error + Send + Sync>;

/// Simulates a request.
async fn fetch(page: &str) -> Result<String, BoxError> {
    let millis = match page {
        "home" => 100,
        "news" => 400,
        _ => return Err(format!("no page {page}").into()),
    };
    sleep(Duration::from_millis(millis)).await;
    Ok(format!("Data from {page}"))
}

/// Prints each page when it comes.
async fn fetch_all(
    pages: &[String],
    print: impl Fn(&str) -> io::Result<()>,
) -> Result<(), BoxError> {
    let pages = stream::iter(pages).map(Ok);
    let fetch_and_print = async |page: &String| Ok(print(&fetch(page).await?)?);
    // Unlike `try_join_all`, this returns the first error immediately, however many pages
    // there are.
    pages.try_for_each_concurrent(10, fetch_and_print).await
}

/// Fetches and prints the pages in the arguments, and returns the exit code.
pub async fn execute(args: Args, print: impl Fn(&str) -> io::Result<()>) -> u8 {
    let limit = Duration::from_millis(args.timeout_ms);
    let timed_out = |_| Err("timed out".into());
    match timeout(limit, fetch_all(&args.pages, print))
        .await
        .unwrap_or_else(timed_out)
    {
        Ok(()) => 0,
        Err(error) => {
            eprintln!("error: {error}");
            1
        }
    }
}

/// Prints pages: `cargo run -- --timeout-ms 300 home news`.
#[tokio::main]
async fn main() -> std::process::ExitCode {
    use std::io::Write as _;

    let print = |line: &str| writeln!(io::stdout(), "{line}");
    execute(Args::parse(), print).await.into()
}

//@ stderr: error:
//@ try: home news -> Data from home
//@ try: home attic -> no page attic
