use std::future::{Ready, pending};
use std::io;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use tokio::runtime::Runtime;
use tokio::task::JoinError;
use tokio::time::{Instant, sleep, timeout};

use crate::restart_with_backoff::{RestartPolicy, restart_with_backoff};

const SECOND: Duration = Duration::from_secs(1);

fn policy(max_restarts: usize) -> RestartPolicy {
    RestartPolicy {
        max_restarts,
        within: Duration::MAX,
        initial_backoff: SECOND,
        max_backoff: 8 * SECOND,
    }
}

/// An error type of the reader's own.
#[derive(Debug)]
enum Failed {
    Run(usize),
    Panic,
}

impl From<JoinError> for Failed {
    fn from(error: JoinError) -> Self {
        assert!(error.is_panic());
        Self::Panic
    }
}

#[tokio::test(start_paused = true)]
async fn no_more_runs_than_the_budget_and_the_last_error() {
    for max_restarts in [0, 1, 31, 129, 1_000] {
        let (mut runs, mut pauses) = (0, Vec::new());
        let start = || {
            runs += 1;
            let run = runs;
            async move { Err::<(), _>(Failed::Run(run)) }
        };
        let ended = restart_with_backoff(policy(max_restarts), start, |_, pause| {
            pauses.push(pause.as_secs());
        });
        match ended.await {
            Err(Failed::Run(last)) => assert_eq!(last, max_restarts + 1),
            other => panic!("{other:?}"),
        }
        assert_eq!(runs, max_restarts + 1);
        let expected = [1, 2, 4].into_iter().chain(std::iter::repeat(8));
        assert!(pauses.iter().copied().eq(expected.take(max_restarts)));
    }
}

#[tokio::test(start_paused = true)]
async fn a_panic_is_a_failure_and_a_value_ends_it() {
    let mut runs = 0;
    let start = || {
        runs += 1;
        let run = runs;
        async move {
            assert!(run > 2, "the run {run} panics");
            Ok::<_, Failed>(run)
        }
    };
    let mut panics = 0;
    let report =
        |error: &Failed, _| panics += usize::from(matches!(error, Failed::Panic));
    let value = restart_with_backoff(policy(5), start, report).await;
    assert_eq!(value.expect("the third run succeeds"), 3);
    assert_eq!(panics, 2);

    let start = || async { panic!("always") };
    let error = restart_with_backoff::<(), Box<dyn std::error::Error + Send + Sync>, _>(
        policy(1),
        start,
        |_, _| (),
    );
    assert!(
        error
            .await
            .expect_err("a panic")
            .to_string()
            .contains("always")
    );
}

/// The window slides: a restart counts for `within`, and no longer.
#[tokio::test(start_paused = true)]
async fn restarts_count_within_the_window_only() {
    let begun = Instant::now();
    for (period, gives_up) in [(SECOND * 4, true), (SECOND * 6, false)] {
        let policy = RestartPolicy {
            within: 10 * SECOND,
            max_backoff: SECOND,
            ..policy(2)
        };
        let start = || async move {
            sleep(period - SECOND).await;
            Err::<(), _>(io::Error::other("down"))
        };
        let supervised = restart_with_backoff(policy, start, |_, _| ());
        let ended = timeout(SECOND * 3_600, supervised).await;
        assert_eq!(ended.is_ok(), gives_up, "{period:?}");
    }
    assert!(begun.elapsed() > SECOND * 3_600);
}

/// The trap: with pauses longer than the window, it never gives up.
#[tokio::test(start_paused = true)]
async fn a_window_shorter_than_the_pauses_never_gives_up() {
    for (within, gives_up) in [(15 * SECOND, false), (25 * SECOND, true)] {
        let policy = RestartPolicy {
            within,
            ..policy(4)
        };
        let mut runs = 0;
        let start = || {
            runs += 1;
            async { Err::<(), _>(io::Error::other("down")) }
        };
        let supervised = restart_with_backoff(policy, start, |_, _| ());
        let ended = timeout(SECOND * 86_400, supervised).await;
        assert_eq!(ended.is_ok(), gives_up, "{within:?}");
        assert_eq!(runs > 5, !gives_up, "{runs} runs");
    }
}

#[tokio::test(start_paused = true)]
async fn dropped_at_each_await_it_leaves_no_task() {
    let tasks = || {
        tokio::runtime::Handle::current()
            .metrics()
            .num_alive_tasks()
    };
    let begun = || async { pending::<Result<(), Failed>>().await };
    drop(restart_with_backoff(policy(1), begun, |_, _| ()));
    let running = restart_with_backoff(policy(1), begun, |_, _| ());
    timeout(SECOND, running).await.expect_err("it runs");
    let failing = || async { Err::<(), _>(Failed::Run(0)) };
    let pausing = restart_with_backoff(policy(1), failing, |_, _| ());
    timeout(SECOND / 2, pausing).await.expect_err("it pauses");
    sleep(SECOND * 60).await;
    assert_eq!(tasks(), 0);
}

#[test]
fn extreme_policies_do_not_overflow() {
    let policy = RestartPolicy {
        initial_backoff: Duration::MAX,
        max_backoff: Duration::MAX,
        ..policy(0)
    };
    assert_eq!(policy.backoff(usize::MAX), Duration::MAX);
    assert_eq!(
        RestartPolicy {
            initial_backoff: Duration::ZERO,
            ..policy
        }
        .backoff(9),
        Duration::ZERO
    );
}

/// It works in a spawned task.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn it_can_be_spawned() {
    let start = || async { Ok::<_, Failed>(7) };
    let task = tokio::spawn(restart_with_backoff(policy(1), start, |_, _| ()));
    assert_eq!(task.await.expect("no panic").expect("no error"), 7);
}

/// The trap: three restarts within 10 s, but each run fails after 5 s.
#[tokio::test(start_paused = true)]
async fn failing_runs_longer_than_the_window_are_restarted_forever() {
    let policy = RestartPolicy {
        max_restarts: 3,
        within: 10 * SECOND,
        initial_backoff: SECOND / 10,
        max_backoff: SECOND,
    };
    let failing = |seconds: u32| {
        move || async move {
            sleep(seconds * SECOND).await;
            Err::<(), _>(Failed::Run(0))
        }
    };
    let day = 24 * 3600 * SECOND;
    let forever = restart_with_backoff(policy, failing(5), |_, _| ());
    assert!(timeout(day, forever).await.is_err());
    let long_enough = RestartPolicy {
        within: 30 * SECOND,
        ..policy
    };
    let gives_up = restart_with_backoff(long_enough, failing(5), |_, _| ());
    assert!(timeout(day, gives_up).await.expect("it gives up").is_err());
}

type Boxed = Box<dyn std::error::Error + Send + Sync>;

#[test]
fn when_the_runtime_shuts_down_it_returns_an_error_and_restarts_nothing() {
    let [first, second] = [(); 2].map(|()| Runtime::new().expect("it starts"));
    let start = || pending::<Result<(), Boxed>>();
    let report = |_: &Boxed, _| panic!("it is not restarted");
    let mut supervised = Box::pin(restart_with_backoff(policy(3), start, report));
    {
        let _inside = first.enter();
        assert!(supervised.as_mut().now_or_never().is_none());
    }
    first.shutdown_background();
    let error = second.block_on(supervised).expect_err("it was stopped");
    assert!(error.to_string().contains("cancelled"), "{error}");
}

/// An error that owns a connection would keep it open during the pause.
#[tokio::test(start_paused = true)]
async fn the_error_is_dropped_before_the_pause() {
    #[derive(Debug)]
    struct Failed(Arc<()>);
    impl From<JoinError> for Failed {
        fn from(error: JoinError) -> Self {
            panic!("{error}");
        }
    }
    let connection = Arc::new(());
    let start = || {
        let failed = Failed(Arc::clone(&connection));
        async { Err::<(), _>(failed) }
    };
    let report = |error: &Failed, _| assert_eq!(Arc::strong_count(&error.0), 2);
    let mut supervised = Box::pin(restart_with_backoff(policy(1), start, report));
    timeout(SECOND / 2, &mut supervised)
        .await
        .expect_err("it pauses");
    assert_eq!(Arc::strong_count(&connection), 1);
    assert!(supervised.await.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_panic_of_start_itself_goes_on_in_the_caller() {
    let start = || -> Ready<Result<(), Boxed>> { panic!("scheduled") };
    let supervised = restart_with_backoff(policy(3), start, |_, _| ());
    assert!(AssertUnwindSafe(supervised).catch_unwind().await.is_err());
}
