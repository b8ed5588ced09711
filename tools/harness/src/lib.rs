//! Runs the examples of a section and stamps each printed line with its time.
//!
//! A section's `main.rs` is its table of contents and nothing else:
//!
//! ```text
//! #[macro_use(println)]
//! extern crate harness as tokio;
//!
//! mod counter;
//! mod generator;
//!
//! harness::section!();
//! ```
//!
//! `#[macro_use(println)]` replaces the standard `println!` by [`println!`](crate::println), which
//! puts the seconds since the example's start before each line. An example that is copied
//! out of the workspace gets the standard one again and prints the bare text.
//!
//! `extern crate harness as tokio` puts this crate in Tokio's place: it is all of Tokio, but
//! for the attribute `tokio::main`, which leaves `main` async, for the harness to await. There are two clocks. On the real clock that is done
//! on the runtime that `tokio::main` makes of its arguments, as for a user of the copied file.
//! On the virtual clock it is done on a current-thread runtime whose time is paused: Tokio then
//! moves its clock to the next timer whenever no task can proceed, so that waits take no time
//! and the printed times are exact. Each example runs in a separate process and sees no
//! arguments but its own.
#![warn(clippy::disallowed_methods)]

mod cli;
mod clock;
mod outcome;
mod run;
mod transcript;

use std::pin::Pin;
use std::process::ExitCode;

pub use cli::run_section;
pub use harness_macros::{main, section};
pub use outcome::Outcome;
pub use tokio::main as own_main;
pub use tokio::*;
pub use transcript::print_line;

/// An example's `main`; the error is the message to report.
#[derive(Debug, Clone, Copy)]
pub enum Main {
    /// The future can move between threads, so it can also be given to `tokio::spawn`.
    Send(fn() -> SendFuture),
    /// It stays on its thread; the example says `send: no (why)`.
    Local(fn() -> LocalFuture),
    /// It is not async, and makes its own runtime.
    Plain(fn() -> Result<ExitCode, String>),
}

/// Provides what the examples of these names need. If it has run this program again with all
/// that they need, it returns the exit code.
pub type Provide = fn(&[&str]) -> Result<Option<ExitCode>, String>;

/// What [`Main::Send`] returns.
pub type SendFuture = Pin<Box<dyn Future<Output = Result<ExitCode, String>> + Send>>;

/// What [`Main::Local`] returns.
pub type LocalFuture = Pin<Box<dyn Future<Output = Result<ExitCode, String>>>>;

/// Awaits the `main` of an example on the runtime that `#[tokio::main]` makes.
pub fn default_runtime(main: LocalFuture) -> Result<ExitCode, String> {
    let runtime = tokio::runtime::Runtime::new();
    let cannot = |error| format!("cannot build the runtime: {error}");
    runtime.map_err(cannot)?.block_on(main)
}

/// One example of a section, as [`section!`] describes it.
#[derive(Debug, Clone, Copy)]
pub struct Example {
    /// The module's name, which is also the name on the command line.
    pub name: &'static str,
    /// The whole source file.
    pub source: &'static str,
    /// What runs.
    pub main: Main,
    /// Awaits it on the runtime that its `tokio::main` makes, and on the real clock.
    pub runtime: fn(LocalFuture) -> Result<ExitCode, String>,
    /// `clock: real`: the example uses sockets, processes, signals or its own threads, which
    /// a paused clock would run ahead of, or blocks, which takes no virtual time.
    pub needs_real_clock: bool,
    /// `exit: 1 ...`: `main` is meant to return an error.
    pub exits_with_error: bool,
}

impl Example {
    /// The first line of the file's header comment.
    pub fn summary(&self) -> &'static str {
        let first = self.source.lines().next();
        let first = first.and_then(|line| line.strip_prefix("//!"));
        first.map(str::trim).unwrap_or_default()
    }
}

/// Prints to standard output like [`std::println!`], with the time before each line.
///
/// The time is that of the clock in use, in seconds since the example's start, three
/// decimals, rounded down. Outside an example (in a unit test, say) there is no time to
/// show and the bare text is printed.
#[macro_export]
macro_rules! println {
    () => { $crate::print_line(::std::format_args!("")) };
    ($($arg:tt)*) => { $crate::print_line(::std::format_args!($($arg)*)) };
}
