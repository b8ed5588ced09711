//! Find the task that blocks the runtime: a watchdog thread reports it while it blocks.
//!
//! Tokio runs a task from one await to the next; such a step is called a poll. A poll
//! should take less than a millisecond. If a poll blocks its thread, it may stop all
//! timers and sockets of the program (`blocking_vs_async`). `Watchdog::watch` below wraps
//! a future and notes when each poll begins. A separate thread reports a poll that runs
//! too long, even one that never ends. The warning of asyncio's debug mode
//! (`slow_callback_duration`) comes only when the step has ended. A call in
//! `spawn_blocking` is not reported.
//!
//! Bounds: The watchdog keeps one entry for each running poll. Each poll takes a lock
//! twice, which costs time.
//!
//! In production: The crate `tokio-metrics` counts slow polls and does not name them. A
//! debugger shows the stack of the blocked thread, like py-spy in Python:
//! `gdb -p PID -batch -ex bt`.
//!
//! See also: `profiling`, `task_dump`, `cooperative_loops`, `blocking_in_threads`.
//!
//! asyncio: loop.slow_callback_duration, loop.set_debug, PYTHONASYNCIODEBUG
//! asyncio: asyncio.run(debug=)
//! differs: asyncio reports a slow step when it has ended, the watchdog while it runs

use std::collections::{HashMap, HashSet};
use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// The polls that are running, each with the name of its future and when it began.
#[derive(Debug, Default)]
pub(crate) struct Polls {
    running: Mutex<HashMap<u64, (Arc<str>, Instant)>>,
    next_id: AtomicU64,
}

impl Polls {
    pub(crate) fn lock(&self) -> MutexGuard<'_, HashMap<u64, (Arc<str>, Instant)>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Removes its poll from `polls`, even after a panic.
struct RunningPoll<'a> {
    polls: &'a Polls,
    id: u64,
}

impl Drop for RunningPoll<'_> {
    fn drop(&mut self) {
        self.polls.lock().remove(&self.id);
    }
}

/// Watches the polls of some futures in a thread, which stops when this is dropped.
#[derive(Debug)]
pub struct Watchdog {
    pub(crate) polls: Arc<Polls>,
    _stops_when_dropped: Sender<Infallible>,
}

impl Watchdog {
    /// Starts the thread. The thread looks four times within each `limit`, and calls
    /// `report` once for each poll that then has run for `limit` or longer. If `report`
    /// panics, as `eprintln!` does when stderr is closed, the thread keeps watching.
    ///
    /// # Panics
    ///
    /// If the system starts no more threads.
    pub fn start(
        limit: Duration,
        report: impl Fn(&str, Duration) + Send + 'static,
    ) -> Self {
        let polls = Arc::new(Polls::default());
        let (_stops_when_dropped, stopped) = channel::<Infallible>();
        let watched = Arc::clone(&polls);
        let period = (limit / 4).max(Duration::from_millis(1));
        thread::spawn(move || {
            let mut reported = HashSet::new();
            while stopped.recv_timeout(period) == Err(RecvTimeoutError::Timeout) {
                let mut slow = watched.lock().clone();
                slow.retain(|_, (_, began)| began.elapsed() >= limit);
                reported.retain(|id| slow.contains_key(id));
                for (id, (name, began)) in slow {
                    if reported.insert(id) {
                        let call = || report(&name, began.elapsed());
                        let _ = catch_unwind(AssertUnwindSafe(call));
                    }
                }
            }
        });
        Self {
            polls,
            _stops_when_dropped,
        }
    }

    /// Returns the future with its polls watched. Wrap each future that you spawn.
    pub fn watch<F: Future>(
        &self,
        name: &str,
        future: F,
    ) -> impl Future<Output = F::Output> + use<F> {
        let name: Arc<str> = name.into();
        let polls = Arc::clone(&self.polls);
        async move {
            let mut future = pin!(future);
            poll_fn(|cx| {
                let id = polls.next_id.fetch_add(1, Ordering::Relaxed);
                let poll = (Arc::clone(&name), Instant::now());
                polls.lock().insert(id, poll);
                let _poll = RunningPoll { polls: &polls, id };
                future.as_mut().poll(cx)
            })
            .await
        }
    }
}

fn print_labels() {
    thread::sleep(Duration::from_millis(900));
    println!("labels printed");
}

#[tokio::main]
async fn main() -> Result<(), tokio::task::JoinError> {
    let limit = Duration::from_millis(400);
    let watchdog = Watchdog::start(limit, |name, _| println!("slow: {name}"));

    println!("A task that blocks for 0.9 s, and a limit of 0.4 s:");
    let labels = watchdog.watch("labels", async { print_labels() });
    tokio::spawn(labels).await?;

    println!("The same call in a thread:");
    let labels = watchdog.watch("labels", tokio::task::spawn_blocking(print_labels));
    tokio::spawn(labels).await??;
    Ok(())
}

//@ clock: real
