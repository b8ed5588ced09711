//! Tells a busy machine from a wrong program: a timer that should never be late.

use std::sync::{Mutex, PoisonError};
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

/// How long the canary sleeps each time.
const TICK: Duration = Duration::from_millis(2);

/// How late a tick may come on a machine that is not busy.
const LATE: Duration = Duration::from_millis(3);

/// When the last tick came that was late.
static LAST_LATE: Mutex<Option<Instant>> = Mutex::new(None);

/// Starts the canary. It ticks until the process ends.
pub fn start() {
    static STARTED: std::sync::Once = std::sync::Once::new();
    STARTED.call_once(|| drop(thread::spawn(watch)));
}

fn watch() {
    loop {
        let due = Instant::now() + TICK;
        sleep(TICK);
        let came = Instant::now();
        if came.saturating_duration_since(due) > LATE {
            *LAST_LATE.lock().unwrap_or_else(PoisonError::into_inner) = Some(came);
        }
    }
}

/// Returns whether a tick was late between `start` and now. A program that ran in that time
/// and was late, or printed lines out of order, proves nothing.
pub fn was_late_since(start: Instant) -> bool {
    let late = *LAST_LATE.lock().unwrap_or_else(PoisonError::into_inner);
    late.is_some_and(|came| came >= start)
}
