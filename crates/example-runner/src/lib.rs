//! Runs the examples of a section and stamps each printed line with its time.
//!
//! A section's `main.rs` is its table of contents and nothing else:
//!
//! ```text
//! #[macro_use]
//! extern crate example_runner;
//!
//! examples! { counter, generator }
//! ```
//!
//! `#[macro_use]` replaces the standard `println!` by [`println!`](crate::println), which
//! puts the seconds since the example's start before each line. An example that is copied
//! out of the workspace gets the standard one again and prints the bare text.
//!
//! There are two clocks. On the real clock the runner calls the example's `main`, as a
//! user of the copied file does. On the virtual clock it calls `run` on a current-thread
//! runtime whose time is paused: Tokio then moves its clock to the next timer whenever no
//! task can proceed, so that waits take no time and the printed times are exact.

mod cli;
mod outcome;
mod suggest;
mod transcript;

use std::pin::Pin;

pub use cli::run_section;
pub use outcome::Outcome;
pub use transcript::print_line;

/// An example's `run`, ready to be awaited; the error is the message to report.
pub type RunFuture = Pin<Box<dyn Future<Output = Result<(), String>>>>;

/// One example of a section, as [`examples!`] describes it.
#[derive(Debug, Clone, Copy)]
pub struct Example {
    /// The module's name, which is also the name on the command line.
    pub name: &'static str,
    /// The whole source file.
    pub source: &'static str,
    /// Calls `main`: the multi-threaded runtime and the real clock.
    pub main: fn() -> Result<(), String>,
    /// Calls `run`, to be awaited on the runtime of the caller's choice.
    pub run: fn() -> RunFuture,
}

impl Example {
    /// The first line of the file's header comment.
    pub fn summary(&self) -> &'static str {
        self.header().next().unwrap_or_default()
    }

    /// Whether the header says `clock: real`: the example uses sockets, processes,
    /// signals or threads of its own, which a paused clock would run ahead of.
    pub fn needs_real_clock(&self) -> bool {
        self.header().any(|line| line == "clock: real")
    }

    fn header(&self) -> impl Iterator<Item = &'static str> + use<> {
        self.source
            .lines()
            .map_while(|line| line.strip_prefix("//!"))
            .map(str::trim)
    }
}

/// Declares the section's modules and its `main`.
///
/// Every name is a file beside `main.rs` with a `pub fn main()` and a
/// `pub async fn run()`, each returning `()` or a `Result<(), E>` with `E: Debug`.
#[macro_export]
macro_rules! examples {
    ($($name:ident),+ $(,)?) => {
        $(mod $name;)+

        fn main() -> ::std::process::ExitCode {
            $crate::run_section(
                env!("CARGO_PKG_NAME"),
                env!("CARGO_PKG_DESCRIPTION"),
                &[$($crate::Example {
                    name: stringify!($name),
                    source: include_str!(concat!(stringify!($name), ".rs")),
                    main: || $crate::Outcome::into_result($name::main()),
                    run: || ::std::boxed::Box::pin(async {
                        $crate::Outcome::into_result($name::run().await)
                    }),
                }),+],
            )
        }
    };
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
