//! Tells a busy machine from a wrong program: a timer that should never be late.

use std::sync::{Mutex, PoisonError};
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

/// How long the canary sleeps each time.
const TICK: Duration = Duration::from_millis(2);

/// How late a tick may come on a machine that is not busy.
const LATE: Duration = Duration::from_millis(3);

/// When the next tick is due, and when the last one came that was late.
static TICKS: Mutex<(Option<Instant>, Option<Instant>)> = Mutex::new((None, None));

/// Starts the canary. It ticks until the process ends.
pub fn start() {
    static STARTED: std::sync::Once = std::sync::Once::new();
    STARTED.call_once(|| drop(thread::spawn(watch)));
}

fn watch() {
    loop {
        let due = Instant::now() + TICK;
        TICKS.lock().unwrap_or_else(PoisonError::into_inner).0 = Some(due);
        sleep(TICK);
        let came = Instant::now();
        if came.saturating_duration_since(due) > LATE {
            TICKS.lock().unwrap_or_else(PoisonError::into_inner).1 = Some(came);
        }
    }
}

/// Returns whether a tick was late between `start` and now, or is late and has not come
/// yet. A program that ran in that time and was late, or printed lines out of order, proves
/// nothing.
pub fn was_late_since(start: Instant) -> bool {
    let (due, late) = *TICKS.lock().unwrap_or_else(PoisonError::into_inner);
    late.is_some_and(|came| came >= start) || due.is_some_and(|due| due.elapsed() > LATE)
}
