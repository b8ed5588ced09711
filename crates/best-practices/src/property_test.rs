//! Property-based tests with proptest: any schedule of callers, on the paused clock.
//!
//! As Hypothesis in Python, proptest generates inputs, looks for one that breaks a
//! property, and shrinks it. Here an input is a schedule: when each caller comes, and
//! when it gives up. A case builds a paused runtime of its own, so waits take no time and
//! a failure can be repeated. proptest writes it to `proptest-regressions`; commit that.
//! Give the time between two callers: a caller that is left out then moves the others.
//!
//! Trap: in a `#[tokio::test]` a case panics: "Cannot start a runtime from within a
//! runtime". Write `#[test]` with the macro `proptest!`.
//!
//! Trap: generate cancellations, or bugs that need one stay hidden. Check progress as
//! well: a limiter that lets nobody through is never over its limit.
//!
//! See also: `sliding_window`, `cancel_everywhere`, `model_checking`.
//!
//! asyncio: asyncio.sleep, asyncio.timeout, asyncio.gather, loop.time
//! clock: real

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
use tokio::time::{Instant, sleep_until, timeout};

const LIMIT: usize = 2;
const WINDOW: Duration = Duration::from_millis(100);
/// Longer than any limiter here makes a caller wait.
const VERY_LONG: Duration = Duration::from_secs(60);

/// A caller of a schedule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// How many milliseconds after the caller before.
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

/// Generates callers who never give up (half of them), or within a window.
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

/// The times of the last calls.
pub type Log = Mutex<VecDeque<Instant>>;

/// It keeps the times of the last calls.
pub async fn sliding_window(log: &Log) -> Instant {
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

/// The bug: if it is cancelled in its sleep, it forgets a call that still counts.
pub async fn forgetful_window(log: &Log) -> Instant {
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

/// Tries 64 schedules, the same in each run, and shrinks the first that fails. In a test,
/// the macro `proptest!` tries 256 new ones in each run.
fn try_many<L: Default>(
    schedules: &impl Strategy<Value = Vec<Caller>>,
    acquire: impl AsyncFn(&L) -> Instant,
) -> String {
    let config = Config {
        cases: 64,
        failure_persistence: None,
        rng_seed: RngSeed::Fixed(2),
        ..Config::default()
    };
    let tried = TestRunner::new(config).run(schedules, |callers| {
        check(&callers, &L::default(), &acquire).map_err(TestCaseError::fail)
    });
    match tried {
        Ok(()) => "every schedule passes".to_owned(),
        Err(TestError::Fail(reason, callers)) => {
            let mut lines = format!("{reason}, from {} callers:", callers.len());
            for Caller { after, gives_up } in callers {
                let then = gives_up.map(|ms| format!("gives up after {ms} ms"));
                let then = then.unwrap_or_else(|| "waits".to_owned());
                lines += &format!("\n{after} ms later: {then}");
            }
            lines
        }
        Err(error) => error.to_string(),
    }
}

fn try_all() -> String {
    let (anybody, patient) = (schedules(some_give_up()), schedules(Just(None)));
    [
        "Fixed window, two calls in 100 ms:".to_owned(),
        try_many(&anybody, fixed_window),
        "A window that forgets, and nobody gives up:".to_owned(),
        try_many(&patient, forgetful_window),
        "The same, and some give up:".to_owned(),
        try_many(&anybody, forgetful_window),
        "Sliding window:".to_owned(),
        try_many(&anybody, sliding_window),
    ]
    .join("\n")
}

pub async fn run() -> Result<(), JoinError> {
    let printed_at = Instant::now() + Duration::from_secs(1);
    let lines = spawn_blocking(try_all).await?;
    sleep_until(printed_at).await;
    println!("{lines}");
    Ok(())
}

#[tokio::main]
pub async fn main() -> Result<(), JoinError> {
    run().await
}
