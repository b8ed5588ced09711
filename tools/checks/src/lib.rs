//! Runs the programs of the workspace and judges them: each once, and finally, by what no
//! busy machine can spoil. [`plan::all`] lists what is judged, by name; [`Checker`] judges it.

#![warn(clippy::disallowed_methods)]

mod built;
mod checker;
pub mod compile_fail;
mod copies;
mod ends;
pub mod plan;
pub mod process;
mod report;
mod timing;

use std::num::NonZero;
use std::sync::{Mutex, PoisonError, mpsc};
use std::thread::{available_parallelism, scope};

pub use built::Built;
pub use checker::{Checker, LIMIT};
pub use plan::{Check, Run, Way};
pub use report::Report;

/// The number of cores.
pub fn cores() -> usize {
    available_parallelism().map_or(1, NonZero::get)
}

/// How many programs run at the same time: most of them wait.
pub fn at_once() -> usize {
    6 * cores()
}

/// Does the work for each item, so many at the same time, and hands on the results as they
/// come.
///
/// # Errors
///
/// What `done` returns.
pub fn in_parallel<T: Sync, R: Send>(
    workers: usize,
    items: &[T],
    work: impl Fn(&T) -> R + Sync,
    mut done: impl FnMut(&T, R) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let queue = Mutex::new(items.iter());
    let (sender, results) = mpsc::channel();
    scope(|scope| {
        for _ in 0..workers.min(items.len()) {
            let (queue, work, sender) = (&queue, &work, sender.clone());
            scope.spawn(move || {
                let next = || queue.lock().unwrap_or_else(PoisonError::into_inner).next();
                while let Some(item) = next() {
                    // Nobody receives if the results cannot be shown.
                    if sender.send((item, work(item))).is_err() {
                        break;
                    }
                }
            });
        }
        drop(sender);
        results
            .into_iter()
            .try_for_each(|(item, result)| done(item, result))
    })
}
