use std::fmt::{self, Write as _};
use std::io::{self, ErrorKind, Write as _};
use std::process;
use std::sync::RwLock;
use std::time::Duration;

use tokio::time::Instant;

/// How the lines of an example are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// `  0.200  text`, for people and for the goldens.
    Plain,
    /// Seconds, task id (or `-`) and text, separated by tabs, for programs.
    Tsv,
}

struct Running {
    started: Instant,
    form: Form,
}

/// The example that runs now. Any thread may print, so this cannot be thread-local.
static RUNNING: RwLock<Option<Running>> = RwLock::new(None);

/// Starts the clock of an example; to be called where its runtime's clock can be seen.
pub fn start(form: Form) {
    set_running(Some(Running {
        started: Instant::now(),
        form,
    }));
}

/// Ends the example and returns how long it took on its clock.
pub fn stop() -> Duration {
    let running = RUNNING
        .read()
        .unwrap_or_else(|poisoned| poisoned.into_inner());
    let elapsed = running
        .as_ref()
        .map_or(Duration::ZERO, |r| r.started.elapsed());
    drop(running);
    set_running(None);
    elapsed
}

fn set_running(running: Option<Running>) {
    *RUNNING
        .write()
        .unwrap_or_else(|poisoned| poisoned.into_inner()) = running;
}

/// Seconds with three decimals, rounded down, so that a line is never shown later than
/// it was printed and a timer that fires early is seen to be early.
pub fn seconds(elapsed: Duration) -> String {
    let millis = elapsed.as_millis();
    format!("{}.{:03}", millis / 1000, millis % 1000)
}

/// Prints the text, each of its lines with the time before it; see
/// [`println!`](crate::println).
///
/// A closed standard output ends the process quietly with exit code 0, as the reader of
/// a pipe has seen enough. Any other failure to write ends it with a message and exit
/// code 1.
pub fn print_line(text: fmt::Arguments<'_>) {
    // Formatting runs the caller's code, which may print: no lock is held here.
    let text = text.to_string();
    let mut stdout = io::stdout().lock();
    // The clock is read under the lock, so that times never go backwards on the page.
    let block = render(&text);
    let written = stdout.write_all(block.as_bytes());
    drop(stdout);
    or_exit(written);
}

/// Writes a line of the runner's own, without a time.
pub fn print_raw(text: &str) {
    or_exit(io::stdout().lock().write_all(text.as_bytes()));
}

fn render(text: &str) -> String {
    let running = RUNNING
        .read()
        .unwrap_or_else(|poisoned| poisoned.into_inner());
    let mut block = String::new();
    for line in text.split('\n') {
        // Writing to a String cannot fail.
        let _ = match running.as_ref() {
            None => writeln!(block, "{line}"),
            Some(Running { started, form }) => {
                let time = seconds(started.elapsed());
                match form {
                    Form::Plain if line.is_empty() => writeln!(block, "{time:>7}"),
                    Form::Plain => writeln!(block, "{time:>7}  {line}"),
                    Form::Tsv => match tokio::task::try_id() {
                        Some(id) => writeln!(block, "{time}\t{id}\t{line}"),
                        None => writeln!(block, "{time}\t-\t{line}"),
                    },
                }
            }
        };
    }
    block
}

fn or_exit(written: io::Result<()>) {
    match written {
        Ok(()) => {}
        Err(error) if error.kind() == ErrorKind::BrokenPipe => process::exit(0),
        Err(error) => {
            eprintln!("error: cannot write to standard output: {error}");
            process::exit(1);
        }
    }
}
