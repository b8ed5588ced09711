//! Runs the examples of a section and stamps each printed line with its time.
//!
//! A section's `main.rs` is its table of contents and nothing else:
//!
//! ```text
//! #[macro_use]
//! extern crate runner;
//!
//! mod counter;
//! mod generator;
//!
//! runner::section!();
//! ```
//!
//! `#[macro_use]` replaces the standard `println!` by [`println!`](crate::println), which
//! puts the seconds since the example's start before each line. An example that is copied
//! out of the workspace gets the standard one again and prints the bare text.
//!
//! There are two clocks. On the real clock the runner calls the example's `main`, as a
//! user of the copied file does. On the virtual clock it calls `run` on a current-thread
//! runtime whose time is paused: Tokio then moves its clock to the next timer whenever no
//! task can proceed, so that waits take no time and the printed times are exact. Each
//! example runs in a process of its own and sees no arguments but its own.

mod cli;
mod clock;
mod outcome;
mod run;
mod transcript;

use std::pin::Pin;
use std::process::ExitCode;

pub use cli::run_section;
pub use outcome::Outcome;
pub use runner_macros::section;
pub use transcript::print_line;

/// An example's `run`, to be awaited; the error is the message to report.
#[derive(Debug, Clone, Copy)]
pub enum Run {
    /// The future can move between threads, so it can also be given to `tokio::spawn`.
    Send(fn() -> SendFuture),
    /// It stays on its thread; the header says `send: no (why)`.
    Local(fn() -> LocalFuture),
}

/// Provides what the examples of these names need. If it has run this program again with all
/// that they need, it returns the exit code.
pub type Provide = fn(&[&str]) -> Result<Option<ExitCode>, String>;

/// What [`Run::Send`] returns.
pub type SendFuture = Pin<Box<dyn Future<Output = Result<ExitCode, String>> + Send>>;

/// What [`Run::Local`] returns.
pub type LocalFuture = Pin<Box<dyn Future<Output = Result<ExitCode, String>>>>;

/// One example of a section, as [`section!`] describes it.
#[derive(Debug, Clone, Copy)]
pub struct Example {
    /// The module's name, which is also the name on the command line.
    pub name: &'static str,
    /// The whole source file.
    pub source: &'static str,
    /// Calls `main`: the multi-threaded runtime and the real clock.
    pub main: fn() -> Result<ExitCode, String>,
    /// Calls `run`, to be awaited on the runtime of the runner's choice.
    pub run: Run,
}

impl Example {
    /// The first line of the file's header comment.
    pub fn summary(&self) -> &'static str {
        self.header().next().unwrap_or_default()
    }

    /// Whether the header says `clock: real`: the example uses sockets, processes,
    /// signals or threads of its own, which a paused clock would run ahead of, or blocks,
    /// which takes no virtual time.
    pub fn needs_real_clock(&self) -> bool {
        self.header().any(|line| line == "clock: real")
    }

    /// Whether the header says `exit: 1 ...`: `main` is meant to return an error.
    pub fn exits_with_error(&self) -> bool {
        self.header().any(|line| line.starts_with("exit: 1 "))
    }

    fn header(&self) -> impl Iterator<Item = &'static str> + use<> {
        self.source
            .lines()
            .map_while(|line| line.strip_prefix("//!"))
            .map(str::trim)
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
