//! Property-based tests with proptest: any schedule of callers, on the paused clock.
//!
//! Like Hypothesis in Python, the crate `proptest` generates inputs, looks for one that
//! breaks a property, and shrinks it. In this file an input is a schedule: when each
//! caller of a rate limiter comes, and when it gives up. Each schedule runs in its own
//! runtime with a paused clock, so waits take no time and a failure can be repeated.
//! proptest records failing inputs in the folder `proptest-regressions`: commit it.
//!
//! To shrink a schedule, proptest leaves out callers. So do not generate the time at
//! which a caller comes. Generate the pause between the previous caller and this one.
//! When a caller is left out, all later callers then come earlier, and the schedule gets
//! shorter.
//!
//! Trap: If you write the property as a `#[tokio::test]`, it panics: "Cannot start a
//! runtime from within a runtime". Write `#[test]` in the macro `proptest!`.
//!
//! Trap: If no generated caller gives up, bugs that need a cancellation stay hidden.
//! Generate callers that give up, as `some_give_up` does. If the property checks only the
//! limit, even a limiter that lets nobody through passes the test. Check that each
//! patient caller gets through, too.
//!
//! See also: `sliding_window`, `cancel_everywhere`, `model_checking`.
//!
//! asyncio: asyncio.sleep, asyncio.timeout, asyncio.gather, loop.time

use std::collections::VecDeque;
use std::time::Duration;

use futures::future::join_all;
use proptest::collection::vec;
use proptest::option;
use proptest::strategy::Strategy;
use tokio::runtime::Builder;
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep_until, timeout};

pub const LIMIT: usize = 2;
pub const WINDOW: Duration = Duration::from_millis(100);
/// Longer than any wait for a limiter here.
const VERY_LONG: Duration = Duration::from_secs(60);

/// A caller of a schedule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// How many milliseconds this caller comes after the one before.
    pub after: u64,
    /// After how many milliseconds it gives up, if ever.
    pub gives_up: Option<u64>,
}

/// Generates schedules of up to eight callers, who give up as `gives_up` says.
pub fn schedules(
    gives_up: impl Strategy<Value = Option<u64>>,
) -> impl Strategy<Value = Vec<Caller>> {
    let caller = (0..100_u64, gives_up);
    let caller = caller.prop_map(|(after, gives_up)| Caller { after, gives_up });
    vec(caller, 0..=8)
}

/// Generates when a caller gives up: never (half of them), or within a window.
pub fn some_give_up() -> impl Strategy<Value = Option<u64>> {
    option::of(0..100_u64)
}

/// Runs a schedule and checks the property: at most `LIMIT` calls in any `WINDOW`, and
/// each caller that does not give up gets through.
///
/// # Errors
///
/// How the limiter breaks the property.
pub fn check<L>(
    callers: &[Caller],
    limiter: &L,
    acquire: &impl AsyncFn(&L) -> Instant,
) -> Result<(), String> {
    let mut runtime = Builder::new_current_thread();
    let runtime = runtime.enable_time().start_paused(true).build();
    let runtime = runtime.map_err(|error| error.to_string())?;
    runtime.block_on(async {
        let mut comes = Instant::now();
        let calls = callers.iter().map(|caller| {
            comes += Duration::from_millis(caller.after);
            let gives_up = caller.gives_up.map_or(VERY_LONG, Duration::from_millis);
            call(comes, gives_up, limiter, acquire)
        });
        let calls = join_all(calls).await;
        for (caller, call) in callers.iter().zip(&calls) {
            if caller.gives_up.is_none() && call.is_none() {
                return Err(format!("{caller:?} never gets through"));
            }
        }
        let mut times: Vec<_> = calls.into_iter().flatten().collect();
        times.sort_unstable();
        for calls in times.windows(LIMIT + 1) {
            let within = calls[LIMIT] - calls[0];
            if within < WINDOW {
                let (calls, ms) = (calls.len(), within.as_millis());
                return Err(format!("{calls} calls within {ms} ms"));
            }
        }
        Ok(())
    })
}

async fn call<L>(
    comes: Instant,
    gives_up: Duration,
    limiter: &L,
    acquire: &impl AsyncFn(&L) -> Instant,
) -> Option<Instant> {
    sleep_until(comes).await;
    timeout(gives_up, acquire(limiter)).await.ok()
}

/// The times of the last calls.
pub type Log = Mutex<VecDeque<Instant>>;

/// The code under test. Waits until a call is allowed, and returns its time.
pub async fn sliding_window(log: &Log) -> Instant {
    let mut calls = log.lock().await;
    if let (LIMIT, Some(&oldest)) = (calls.len(), calls.front()) {
        sleep_until(oldest + WINDOW).await;
        calls.pop_front();
    }
    let now = Instant::now();
    calls.push_back(now);
    now
}

/// Tries schedules as the test below does, but does not record failures.
pub fn main() -> Result<(), Box<dyn std::error::Error>> {
    use proptest::test_runner::{Config, TestCaseError, TestRunner};

    let config = Config {
        failure_persistence: None,
        ..Config::default()
    };
    let cases = config.cases;
    TestRunner::new(config).run(&schedules(some_give_up()), |callers| {
        check(&callers, &Log::default(), &sliding_window).map_err(TestCaseError::fail)
    })?;
    println!("{cases} schedules pass");
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::test_runner::TestCaseError;

    use super::{Log, check, schedules, sliding_window, some_give_up};

    proptest::proptest! {
        #[test]
        fn never_too_many(callers in schedules(some_give_up())) {
            check(&callers, &Log::default(), &sliding_window)
                .map_err(TestCaseError::fail)?;
        }
    }
}

//@ clock: real
//@ try: -> 256 schedules pass
