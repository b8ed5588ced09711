//! A fixed window, a window that forgets, and a sliding one, each under many schedules.

use std::time::Duration;

use proptest::strategy::{Just, Strategy};
use proptest::test_runner::{Config, RngSeed, TestCaseError, TestError, TestRunner};
use tokio::sync::Mutex;
use tokio::task::{JoinError, spawn_blocking};
use tokio::time::{Instant, sleep_until};

use crate::property_test::{
    Caller, LIMIT, Log, WINDOW, check, schedules, sliding_window, some_give_up,
};

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

/// Tries 64 schedules, the same in each run, and shrinks the first that fails.
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
        "Forgetful window, no caller gives up:".to_owned(),
        try_many(&patient, forgetful_window),
        "Forgetful window, some callers give up:".to_owned(),
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
