use std::fmt::{self, Write as _};
use std::io::{self, ErrorKind, Write as _};
use std::process;
use std::sync::{Mutex, PoisonError, RwLock};
use std::thread::{self, ThreadId};
use std::time::Duration;

use crate::clock::Clock;
use crate::timeline::{Mark, Who};

/// How the lines of an example are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// `  0.200  text`, for people and for the goldens.
    Plain,
    /// Seconds, who printed it and text, separated by tabs, for programs. Who is the id of
    /// a task, `-` for the thread of the example's `main`, or `thread` for another one.
    Tsv,
    /// As [`Plain`](Self::Plain), and each line is kept for the timeline.
    Timeline,
}

struct Running {
    clock: Clock,
    form: Form,
    thread: ThreadId,
    marks: Mutex<Vec<Mark>>,
}

/// The example that runs now. Any thread may print, so this cannot be thread-local.
static RUNNING: RwLock<Option<Running>> = RwLock::new(None);

/// Lets the lines be stamped by this clock from now on.
pub fn start(clock: Clock, form: Form) {
    let thread = thread::current().id();
    *RUNNING.write().unwrap_or_else(PoisonError::into_inner) = Some(Running {
        clock,
        form,
        thread,
        marks: Mutex::default(),
    });
}

/// Ends the example and returns how long it took on its clock, and its lines if it was
/// started with [`Form::Timeline`].
pub fn stop() -> (Duration, Vec<Mark>) {
    let mut running = RUNNING.write().unwrap_or_else(PoisonError::into_inner);
    running.take().map_or_else(Default::default, |running| {
        let marks = running.marks.into_inner();
        let marks = marks.unwrap_or_else(PoisonError::into_inner);
        (running.clock.elapsed(), marks)
    })
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
    let running = RUNNING.read().unwrap_or_else(PoisonError::into_inner);
    let Some(Running {
        clock,
        form,
        thread,
        marks,
    }) = running.as_ref()
    else {
        return format!("{text}\n");
    };
    let at = clock.elapsed();
    let time = seconds(at);
    let own = thread::current().id();
    let who = match tokio::task::try_id() {
        Some(id) => Who::Task(id),
        None if own == *thread => Who::Main,
        None => Who::Thread(own),
    };
    let name = match who {
        Who::Task(id) => id.to_string(),
        Who::Main => "-".to_owned(),
        Who::Thread(_) => "thread".to_owned(),
    };
    let mut block = String::new();
    for line in text.split('\n') {
        // Writing to a String cannot fail.
        let _ = match form {
            Form::Tsv => writeln!(block, "{time}\t{name}\t{line}"),
            _ if line.is_empty() => writeln!(block, "{time:>7}"),
            _ => writeln!(block, "{time:>7}  {line}"),
        };
        if *form == Form::Timeline {
            let text = line.to_owned();
            let mut marks = marks.lock().unwrap_or_else(PoisonError::into_inner);
            marks.push(Mark { who, at, text });
        }
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
