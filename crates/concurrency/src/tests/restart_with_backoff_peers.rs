//! Cases after the tests of suture, and of the waits of backon and stamina.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::time::Duration;

use tokio::task::JoinError;
use tokio::time::{Instant, sleep, timeout};

use super::support::tasks;
use crate::restart_with_backoff::{RestartPolicy, restart_with_backoff};

const SECOND: Duration = Duration::from_secs(1);

#[derive(Debug, PartialEq, Eq)]
enum Failure {
    Run(u32),
    Panicked,
    Cancelled,
}

impl From<JoinError> for Failure {
    fn from(error: JoinError) -> Self {
        match error.is_panic() {
            true => Self::Panicked,
            false => Self::Cancelled,
        }
    }
}

fn policy() -> RestartPolicy {
    RestartPolicy {
        max_restarts: 3,
        within: 60 * SECOND,
        initial_backoff: SECOND,
        max_backoff: 8 * SECOND,
    }
}

/// Runs a service that fails this often. Each run takes so long. Returns the result, the
/// number of runs and the pauses in seconds.
async fn supervise(
    policy: RestartPolicy,
    failures: u32,
    time: Duration,
) -> (Result<u32, Failure>, u32, Vec<u64>) {
    let (mut runs, mut pauses) = (0, Vec::new());
    let service = || {
        runs += 1;
        let run = runs;
        async move {
            sleep(time).await;
            (run > failures).then_some(run).ok_or(Failure::Run(run))
        }
    };
    let report = |_: &Failure, pause: Duration| pauses.push(pause.as_secs());
    let result = restart_with_backoff(policy, service, report).await;
    (result, runs, pauses)
}

#[tokio::test(start_paused = true)]
async fn suture_a_service_that_ends_normally_is_not_restarted() {
    let ended = supervise(policy(), 0, SECOND).await;
    assert_eq!(ended, (Ok(1), 1, vec![]));
}

#[tokio::test(start_paused = true)]
async fn suture_a_failing_service_is_restarted() {
    let ended = supervise(policy(), 2, SECOND).await;
    assert_eq!(ended, (Ok(3), 3, vec![1, 2]));
}

#[tokio::test(start_paused = true)]
async fn suture_a_panicking_service_is_restarted() {
    let (mut runs, mut reports) = (0, Vec::new());
    let service = || {
        runs += 1;
        let run = runs;
        async move {
            assert!(run > 2, "scheduled");
            Ok::<_, Failure>(run)
        }
    };
    let report = |error: &Failure, _| reports.push(matches!(error, Failure::Panicked));
    assert_eq!(restart_with_backoff(policy(), service, report).await, Ok(3));
    assert_eq!(reports, [true, true]);
}

#[tokio::test(start_paused = true)]
async fn suture_the_threshold_of_failures_ends_it_with_the_last_error() {
    let ended = supervise(policy(), 99, SECOND).await;
    assert_eq!(ended, (Err(Failure::Run(4)), 4, vec![1, 2, 4]));
}

#[tokio::test(start_paused = true)]
async fn suture_without_restarts_it_runs_once() {
    let policy = RestartPolicy {
        max_restarts: 0,
        ..policy()
    };
    let ended = supervise(policy, 99, SECOND).await;
    assert_eq!(ended, (Err(Failure::Run(1)), 1, vec![]));
}

#[tokio::test(start_paused = true)]
async fn suture_failures_decay_after_a_quiet_time() {
    let ended = supervise(policy(), 20, 70 * SECOND).await;
    assert_eq!(ended, (Ok(21), 21, vec![1; 20]));
}

#[tokio::test(start_paused = true)]
async fn suture_only_the_failures_of_the_window_count() {
    let policy = RestartPolicy {
        max_restarts: 1,
        within: 10 * SECOND,
        ..policy()
    };
    assert!(supervise(policy, 1, SECOND).await.0.is_ok());
    assert!(supervise(policy, 2, SECOND).await.0.is_err());
    // A run of 10 s lets the window pass before the next failure.
    assert!(supervise(policy, 9, 10 * SECOND).await.0.is_ok());
}

#[tokio::test(start_paused = true)]
async fn suture_the_failure_is_reported_before_the_pause() {
    let (start, mut reported) = (Instant::now(), Vec::new());
    let service = async || {
        sleep(SECOND).await;
        Err::<(), _>(Failure::Run(0))
    };
    let report = |_: &Failure, _| reported.push(start.elapsed().as_secs());
    assert!(
        restart_with_backoff(policy(), service, report)
            .await
            .is_err()
    );
    // Runs begin at 0, 2, 5 and 10 s.
    assert_eq!(reported, [1, 3, 6]);
}

#[tokio::test(start_paused = true)]
async fn suture_stopping_the_supervisor_stops_the_service() {
    let service = async || {
        sleep(3600 * SECOND).await;
        Ok::<_, Failure>(())
    };
    let supervised = restart_with_backoff(policy(), service, |_, _| {});
    assert!(timeout(SECOND, supervised).await.is_err());
    sleep(SECOND).await;
    assert_eq!(tasks(), 0);
}

#[tokio::test(start_paused = true)]
async fn suture_stopped_in_a_pause_it_starts_no_service() {
    let runs = Arc::new(AtomicU32::new(0));
    let service = || {
        runs.fetch_add(1, SeqCst);
        async { Err::<(), _>(Failure::Run(0)) }
    };
    let supervised = restart_with_backoff(policy(), service, |_, _| {});
    assert!(timeout(SECOND / 2, supervised).await.is_err());
    sleep(3600 * SECOND).await;
    assert_eq!(runs.load(SeqCst), 1);
}

#[tokio::test(start_paused = true)]
async fn suture_a_final_error_is_returned_as_a_value_differs() {
    let mut runs = 0;
    let service = || {
        runs += 1;
        async { Ok::<Result<(), &str>, Failure>(Err("no such table")) }
    };
    let ended = restart_with_backoff(policy(), service, |_, _| {}).await;
    assert_eq!((ended, runs), (Ok(Err("no such table")), 1));
}

#[tokio::test(start_paused = true)]
async fn suture_a_service_that_hangs_is_not_noticed_differs() {
    let hangs = async || {
        std::future::pending::<()>().await;
        Ok::<_, Failure>(())
    };
    let mut reports = 0;
    let supervised = restart_with_backoff(policy(), hangs, |_, _| reports += 1);
    assert!(timeout(86_400 * SECOND, supervised).await.is_err());
    assert_eq!(reports, 0);
}

#[tokio::test(start_paused = true)]
async fn suture_two_services_fail_on_their_own() {
    let both = tokio::join!(
        supervise(policy(), 99, SECOND),
        supervise(policy(), 1, SECOND)
    );
    assert_eq!(both.0.0, Err(Failure::Run(4)));
    assert_eq!(both.1.0, Ok(2));
}

#[tokio::test(start_paused = true)]
async fn backon_the_pauses_double_up_to_the_longest() {
    let policy = RestartPolicy {
        max_restarts: 6,
        within: 3600 * SECOND,
        ..policy()
    };
    let (_, runs, pauses) = supervise(policy, 99, Duration::ZERO).await;
    assert_eq!((runs, pauses), (7, vec![1, 2, 4, 8, 8, 8]));
}

#[test]
fn stamina_large_numbers_do_not_overflow() {
    let policy = RestartPolicy {
        initial_backoff: Duration::MAX,
        max_backoff: Duration::MAX,
        ..policy()
    };
    for restart in [0, 1, 31, 32, 33, 64, usize::MAX] {
        assert_eq!(policy.backoff(restart), Duration::MAX);
    }
}
