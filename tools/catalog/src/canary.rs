//! Tells a busy machine from a wrong program: a timer that should never be late, and how
//! long threads have waited for a core.

use std::fs;
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

/// A run beside which the canary is watched.
#[derive(Debug)]
pub struct Watch {
    start: Instant,
    waited: Option<Duration>,
}

impl Watch {
    /// Begins now.
    pub fn begin() -> Self {
        Self {
            start: Instant::now(),
            waited: waited_for_a_core(),
        }
    }

    /// Returns whether the machine has been busy since the beginning: a tick was late, or is
    /// late and has not come yet, or some thread waited for a core for a quarter of the time.
    /// A program that was late then, or printed lines out of order, proves nothing.
    pub fn saw_a_busy_machine(&self) -> bool {
        let (due, late) = *TICKS.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.waited.zip(waited_for_a_core());
        late.is_some_and(|came| came >= self.start)
            || due.is_some_and(|due| due.elapsed() > LATE)
            || waited.is_some_and(|(before, now)| {
                now.saturating_sub(before) > self.start.elapsed() / 4
            })
    }
}

/// Returns for how long some thread of this machine has waited for a core, since the machine
/// started: Linux counts it. A timer alone does not tell, as the scheduler prefers threads
/// that mostly sleep.
fn waited_for_a_core() -> Option<Duration> {
    let pressure = fs::read_to_string("/proc/pressure/cpu").ok()?;
    let total = pressure.lines().next()?.rsplit_once("total=")?.1;
    total.parse().ok().map(Duration::from_micros)
}
