//! A panic hook: report panics and errors of detached tasks, whose results nobody awaits.
//!
//! The hook is a function that runs for every panic, inside the task that panics. So the
//! hook can read task locals (as `contextvars`), here the name of the task. The hook
//! cannot await: it sends a report to a task that can. Call the default hook too: it
//! writes the message, the file and the line. asyncio's counterpart is called for a
//! failed task that nobody awaited, and only when that task is deleted. To end the
//! program at its first panic, call `std::process::exit` in the hook, or set
//! `panic = "abort"` in Cargo.toml.
//!
//! Bounds: At most 100 reports of panics and errors wait in the channel. Further reports
//! are dropped.
//!
//! Trap: If a detached task returns an `Err`, nobody hears of it: the hook sees panics
//! only. Spawn such a task with a function that reports the error, such as `detach`
//! below.
//!
//! Trap: If you call something in the hook that may panic, such as `unwrap`, a panic
//! there aborts the program: "thread panicked while processing panic. aborting." Handle
//! or ignore each error in the hook, as `report_panics` does.
//!
//! Platforms: Needs Rust 1.91.
//!
//! See also: `panic_in_a_task`, `log_errors`, `task_locals`, `drop_or_detach`.
//!
//! asyncio: loop.set_exception_handler, loop.default_exception_handler
//! differs: the hook sees all panics, even those that a caller awaits, and no errors

use std::fmt::Display;
use std::future::Future;
use std::panic::{Location, set_hook, take_hook};
use std::time::Duration;

use tokio::sync::mpsc::Sender;
use tokio::time::sleep;

tokio::task_local! {
    static TASK: &'static str;
}

/// A panic, or the error of a detached task.
#[derive(Debug)]
pub struct Report {
    /// The task's name, as given to `detach`.
    pub task: &'static str,
    /// The text of the panic or the error.
    pub text: String,
    /// Where the task panicked, or where the task that failed was spawned.
    pub place: String,
}

/// Sends a report of each panic of the program, after the previous hook has run.
///
/// Call this once, at the start: a second call reports each panic twice. The hook does
/// not keep the channel open: drop the senders, and `recv` returns the last reports, then
/// `None`.
pub fn report_panics(reports: &Sender<Report>) {
    let (reports, previous) = (reports.downgrade(), take_hook());
    // The hook must not panic, nor lock what other code locks.
    set_hook(Box::new(move |panic| {
        previous(panic);
        let task = TASK.try_get().unwrap_or("no name");
        let text = panic.payload_as_str().unwrap_or("no text").to_owned();
        let place = panic
            .location()
            .map(Location::to_string)
            .unwrap_or_default();
        if let Some(reports) = reports.upgrade() {
            // A hook cannot wait. If the channel is full, the report is dropped.
            let _ = reports.try_send(Report { task, text, place });
        }
    }));
}

/// Spawns a task that nobody awaits, and reports its error. Reports of its panics name
/// the task.
///
/// # Panics
///
/// Outside a Tokio runtime.
#[track_caller]
pub fn detach<F, E>(task: &'static str, reports: &Sender<Report>, future: F)
where
    F: Future<Output = Result<(), E>> + Send + 'static,
    E: Display + Send + 'static,
{
    let (reports, caller) = (reports.clone(), Location::caller());
    tokio::spawn(TASK.scope(task, async move {
        if let Err(error) = future.await {
            let (text, place) = (error.to_string(), caller.to_string());
            // A task that waited for a place would be one more report that waits.
            let _ = reports.try_send(Report { task, text, place });
        }
    }));
}

async fn pack(order: u32) -> Result<(), String> {
    sleep(Duration::from_millis(100)).await;
    assert!(order > 0, "order 0 is empty");
    Err(format!("order {order} is too heavy"))
}

#[tokio::main]
async fn main() {
    let (reports, mut reported) = tokio::sync::mpsc::channel(100);
    report_panics(&reports);
    // Here a program would log, or send the report to a service.
    let reporter = tokio::spawn(async move {
        while let Some(Report { task, text, place }) = reported.recv().await {
            println!("Report from {task}: {text}");
            eprintln!("The place: {place}");
        }
    });
    let rest = Duration::from_millis(200);

    println!("A detached task panics:");
    detach("packer", &reports, pack(0));
    sleep(rest).await;

    println!("A detached task fails:");
    detach("packer", &reports, pack(7));
    sleep(rest).await;

    println!("A spawned task fails, and nobody awaits it:");
    tokio::spawn(pack(8));
    sleep(rest).await;

    println!("A task that panics is awaited:");
    let outcome = tokio::spawn(pack(0)).await;
    sleep(rest).await;
    if outcome.is_err() {
        println!("The caller sees it");
    }

    drop(reports);
    // Ends after the last report.
    let _ = reporter.await;
}

//@ stderr: order 0 is empty
//@ stderr: The place:
