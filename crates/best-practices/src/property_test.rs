//! Property-based tests with proptest: any schedule of callers, on the paused clock.
//!
//! proptest is what Hypothesis is in Python: it makes up inputs, looks for one that
//! breaks the property, and shrinks it. Here an input is a schedule: when each caller
//! comes, and after how long it is cancelled. A case is a plain function: it builds a
//! runtime of its own with a paused clock, so waiting takes no time, and what was found
//! stays found. In a `#[tokio::test]` it panics: "Cannot start a runtime from within a
//! runtime". The traps: where nobody is cancelled, what only a cancellation breaks is not
//! found; and "never too many" holds for a limiter that lets nobody through. Describe
//! callers by the time between them: what is left out then moves the others, and the case
//! gets smaller. What failed in a test is written to the folder `proptest-regressions`,
//! to be committed: from then on it is tried first. The limiter: `sliding_window`.
//!
//! asyncio: asyncio.sleep, asyncio.timeout, asyncio.gather, loop.time
//! twin: none (Hypothesis, the counterpart of proptest, is not in Python's library)

use std::collections::VecDeque;
use std::time::Duration;

use futures::future::join_all;
use proptest::collection::vec;
use proptest::option;
use proptest::strategy::{Just, Strategy};
use proptest::test_runner::{Config, RngSeed, TestCaseError, TestError, TestRunner};
use tokio::runtime::Builder;
use tokio::sync::Mutex;
use tokio::task::{JoinError, spawn_blocking};
use tokio::time::{Instant, interval_at, sleep_until, timeout};

const LIMIT: usize = 2;
const WINDOW: Duration = Duration::from_millis(100);
/// Longer than any limiter here makes anybody wait.
const FOR_EVER: Duration = Duration::from_secs(60);

/// A caller of a schedule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// So many milliseconds it comes after the one before.
    pub after: u64,
    /// How many milliseconds it waits, if not for ever.
    pub patience: Option<u64>,
}

/// Schedules of up to eight callers, whose patience is of that kind.
pub fn schedules(
    patience: impl Strategy<Value = Option<u64>>,
) -> impl Strategy<Value = Vec<Caller>> {
    let caller = (0..150_u64, patience);
    let caller = caller.prop_map(|(after, patience)| Caller { after, patience });
    vec(caller, 0..=8)
}

/// Half of them wait for ever, and half for less than two windows.
pub fn some_leave() -> impl Strategy<Value = Option<u64>> {
    option::of(0..200_u64)
}

/// Runs a schedule. The property: never more than `LIMIT` calls in any `WINDOW`, and
/// whoever waits for ever gets through.
///
/// # Errors
///
/// What is wrong with the limiter.
pub fn check<L>(
    callers: &[Caller],
    limiter: &L,
    acquire: &impl AsyncFn(&L) -> Instant,
) -> Result<(), String> {
    let mut runtime = Builder::new_current_thread();
    let runtime = runtime.enable_time().start_paused(true).build();
    let runtime = runtime.map_err(|error| error.to_string())?;
    runtime.block_on(async {
        let start = Instant::now();
        let mut comes = start;
        let calls = callers.iter().map(|caller| {
            comes += Duration::from_millis(caller.after);
            let patience = caller.patience.map_or(FOR_EVER, Duration::from_millis);
            call(comes, patience, limiter, acquire)
        });
        let calls = join_all(calls).await;
        for (caller, call) in callers.iter().zip(&calls) {
            if caller.patience.is_none() && call.is_none() {
                return Err(format!("{caller:?} waits for ever"));
            }
        }
        let mut moments: Vec<_> = calls.into_iter().flatten().collect();
        moments.sort_unstable();
        for calls in moments.windows(LIMIT + 1) {
            if calls[LIMIT] - calls[0] < WINDOW {
                let ms = calls.iter().map(|at| (*at - start).as_millis());
                return Err(format!("calls at {:?} ms", ms.collect::<Vec<_>>()));
            }
        }
        Ok(())
    })
}

async fn call<L>(
    comes: Instant,
    patience: Duration,
    limiter: &L,
    acquire: &impl AsyncFn(&L) -> Instant,
) -> Option<Instant> {
    sleep_until(comes).await;
    timeout(patience, acquire(limiter)).await.ok()
}

/// The known-bad limiter: when a window is over, the next call begins a new one.
async fn fixed_window(window: &Mutex<Option<(Instant, usize)>>) -> Instant {
    let mut window = window.lock().await;
    loop {
        let now = Instant::now();
        match &mut *window {
            Some((ends, calls)) if now < *ends => {
                if *calls < LIMIT {
                    *calls += 1;
                    return now;
                }
                sleep_until(*ends).await;
            }
            _ => *window = Some((now + WINDOW, 0)),
        }
    }
}

type Log = Mutex<VecDeque<Instant>>;

/// It keeps the moments of the last calls.
async fn sliding_window(log: &Log) -> Instant {
    let mut calls = log.lock().await;
    if calls.len() == LIMIT
        && let Some(&oldest) = calls.front()
    {
        sleep_until(oldest + WINDOW).await;
        calls.pop_front();
    }
    let now = Instant::now();
    calls.push_back(now);
    now
}

/// The bug: cancelled in its sleep, it has forgotten a call that still counts.
async fn forgetful_window(log: &Log) -> Instant {
    let mut calls = log.lock().await;
    if calls.len() == LIMIT
        && let Some(oldest) = calls.pop_front()
    {
        sleep_until(oldest + WINDOW).await;
    }
    let now = Instant::now();
    calls.push_back(now);
    now
}

/// Tries 64 schedules, the same ones in each run, and shrinks the first that fails. In a
/// test the macro `proptest!` does this, with 256 others in each run.
fn try_many<L: Default>(
    schedules: &impl Strategy<Value = Vec<Caller>>,
    acquire: impl AsyncFn(&L) -> Instant,
) -> String {
    let cases = 64;
    let config = Config {
        cases,
        failure_persistence: None,
        rng_seed: RngSeed::Fixed(15),
        ..Config::default()
    };
    let tried = TestRunner::new(config).run(schedules, |callers| {
        check(&callers, &L::default(), &acquire).map_err(TestCaseError::fail)
    });
    match tried {
        Ok(()) => format!("{cases} schedules, and none fails"),
        Err(TestError::Fail(reason, callers)) => {
            let callers = callers.iter().map(|caller| format!("\n{caller:?}"));
            format!("{reason}, from:{}", callers.collect::<String>())
        }
        Err(error) => error.to_string(),
    }
}

type TryMany = fn() -> String;

pub async fn run() -> Result<(), JoinError> {
    let tries: [(&str, TryMany); 4] = [
        ("Fixed window, two calls in 100 ms:", || {
            try_many(&schedules(some_leave()), fixed_window)
        }),
        ("A window that forgets, and nobody is cancelled:", || {
            try_many(&schedules(Just(None)), forgetful_window)
        }),
        ("The same, and some are cancelled:", || {
            try_many(&schedules(some_leave()), forgetful_window)
        }),
        ("Sliding window:", || {
            try_many(&schedules(some_leave()), sliding_window)
        }),
    ];
    let tenth = Duration::from_millis(100);
    let mut part = interval_at(Instant::now() + tenth, tenth);
    for (heading, try_many) in tries {
        let outcome = spawn_blocking(try_many).await?;
        part.tick().await;
        println!("{heading}");
        println!("{outcome}");
    }
    Ok(())
}

#[tokio::main]
pub async fn main() -> Result<(), JoinError> {
    run().await
}

#[cfg(test)]
mod tests {
    use proptest::test_runner::TestCaseError;
    use tokio::time::Instant;

    use super::{
        Caller, Log, check, forgetful_window, schedules, sliding_window, some_leave,
    };

    proptest::proptest! {
        #[test]
        fn never_too_many(callers in schedules(some_leave())) {
            check(&callers, &Log::default(), &sliding_window)
                .map_err(TestCaseError::fail)?;
        }
    }

    const fn caller(after: u64, patience: Option<u64>) -> Caller {
        Caller { after, patience }
    }

    #[test]
    fn nobody_gets_through() {
        let checked = check(&[caller(0, Some(1))], &(), &async |_: &()| {
            loop_for_ever().await
        });
        assert_eq!(checked, Ok(()));
        let checked = check(&[caller(0, None)], &(), &async |_: &()| {
            loop_for_ever().await
        });
        let error = checked.expect_err("it waits for ever");
        assert_eq!(error, "Caller { after: 0, patience: None } waits for ever");
    }

    async fn loop_for_ever() -> Instant {
        std::future::pending().await
    }

    /// One millisecond decides: the window is without its end.
    #[test]
    fn at_the_end_of_the_window() {
        let now = async |_: &()| Instant::now();
        let calls = |after| [caller(0, None), caller(0, None), caller(after, None)];
        assert_eq!(check(&calls(100), &(), &now), Ok(()));
        let error = check(&calls(99), &(), &now).expect_err("too early");
        assert_eq!(error, "calls at [0, 0, 99] ms");
    }

    #[test]
    fn what_was_found_stays_found() {
        let callers = [(0, None), (0, None), (0, Some(0)), (0, None)];
        let callers = callers.map(|(after, patience)| caller(after, patience));
        let error = check(&callers, &Log::default(), &forgetful_window);
        assert_eq!(error, Err("calls at [0, 0, 0] ms".to_owned()));
        assert_eq!(check(&callers, &Log::default(), &sliding_window), Ok(()));
    }

    #[tokio::test]
    #[should_panic(expected = "Cannot start a runtime from within a runtime")]
    async fn in_a_test_of_tokio() {
        let checked = check(&[], &Log::default(), &sliding_window);
        checked.expect("it has panicked before");
    }
}
