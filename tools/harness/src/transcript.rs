use std::fmt::{self, Write as _};
use std::io::{self, ErrorKind, Write as _};
use std::process;
use std::sync::{PoisonError, RwLock};
use std::thread::{self, ThreadId};
use std::time::Duration;

use crate::clock::Clock;

struct Running {
    clock: Clock,
    /// Whether the lines are for programs: seconds, who printed it and text, separated by
    /// tabs. Who is the id of a task, `-` for the thread of the example's `main`, or
    /// `thread` for another one.
    tsv: bool,
    thread: ThreadId,
}

/// The example that runs now. Any thread may print, so this cannot be thread-local.
static RUNNING: RwLock<Option<Running>> = RwLock::new(None);

/// Lets the lines be stamped by this clock from now on.
pub fn start(clock: Clock, tsv: bool) {
    let thread = thread::current().id();
    let running = Some(Running { clock, tsv, thread });
    *RUNNING.write().unwrap_or_else(PoisonError::into_inner) = running;
}

/// Ends the example and returns how long it took on its clock.
pub fn stop() -> Duration {
    let mut running = RUNNING.write().unwrap_or_else(PoisonError::into_inner);
    let running = running.take();
    running.map_or(Duration::ZERO, |running| running.clock.elapsed())
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
    let running = RUNNING.read().unwrap_or_else(PoisonError::into_inner);
    let Some(running) = running.as_ref() else {
        // In a unit test: cargo shows what a test has printed only if it failed.
        std::println!("{text}");
        return;
    };
    // The clock is read under the lock, so that times never go backwards on the page.
    write(|| render(running, &text));
}

/// Writes a line of the harness's own, without a time.
pub fn print_raw(text: &str) {
    write(|| text);
}

fn write<T: AsRef<[u8]>>(text: impl FnOnce() -> T) {
    let mut stdout = io::stdout().lock();
    let written = stdout.write_all(text().as_ref());
    drop(stdout);
    match written {
        Ok(()) => {}
        Err(error) if error.kind() == ErrorKind::BrokenPipe => process::exit(0),
        Err(error) => {
            eprintln!("error: cannot write to standard output: {error}");
            process::exit(1);
        }
    }
}

fn render(running: &Running, text: &str) -> String {
    let Running { clock, tsv, thread } = running;
    let time = seconds(clock.elapsed());
    let who = match tokio::task::try_id() {
        Some(id) => id.to_string(),
        None if thread::current().id() == *thread => "-".to_owned(),
        None => "thread".to_owned(),
    };
    let mut block = String::new();
    for line in text.split('\n') {
        // Writing to a String cannot fail.
        let _ = match (tsv, line) {
            (true, _) => writeln!(block, "{time}\t{who}\t{line}"),
            (false, "") => writeln!(block, "{time:>7}"),
            (false, _) => writeln!(block, "{time:>7}  {line}"),
        };
    }
    block
}
