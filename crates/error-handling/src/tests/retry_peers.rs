//! Cases after the tests of tenacity, backoff, stamina, backon, tokio-retry, tower and
//! resilience4j. A name that ends in `differs` is for what the page says otherwise.

use std::cell::{Cell, RefCell};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};

use crate::retry::{RetryPolicy, Retryable, retry, retry_notify};

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);

/// Three attempts, after waits of 1 s and 2 s.
fn policy() -> RetryPolicy {
    RetryPolicy {
        max_attempts: 3,
        max_elapsed: HOUR,
        initial_backoff: SECOND,
        max_backoff: 40 * SECOND,
        jitter: false,
    }
}

/// Lets the first attempts fail with their number. Returns the result, and the second at
/// which each attempt began.
async fn attempts(policy: RetryPolicy, failures: u64) -> (Result<u64, u64>, Vec<u64>) {
    let (start, mut begun) = (Instant::now(), Vec::new());
    let call = || {
        let number = begun.len() as u64;
        begun.push(start.elapsed().as_secs());
        async move { (number >= failures).then_some(number).ok_or(number) }
    };
    let result = retry(&policy, |_: &u64| Retryable::Yes, call).await;
    (result, begun)
}

/// Fails always, and returns how long that takes.
async fn fail(policy: RetryPolicy, retryable: Retryable) -> Duration {
    let start = Instant::now();
    let failed = retry(&policy, |_| retryable, async || Err::<(), _>("down"));
    assert_eq!(failed.await, Err("down"));
    start.elapsed()
}

#[tokio::test(start_paused = true)]
async fn tenacity_a_success_at_first_waits_for_nothing() {
    assert_eq!(attempts(policy(), 0).await, (Ok(0), vec![0]));
}

#[tokio::test(start_paused = true)]
async fn tenacity_stops_after_three_attempts_with_the_last_error() {
    assert_eq!(attempts(policy(), 99).await, (Err(2), vec![0, 1, 3]));
}

#[tokio::test(start_paused = true)]
async fn tenacity_stops_before_a_wait_that_ends_after_the_deadline() {
    let policy = RetryPolicy {
        max_attempts: 99,
        max_elapsed: 4 * SECOND,
        ..policy()
    };
    // The third wait would end at 7 s.
    assert_eq!(attempts(policy, 99).await, (Err(2), vec![0, 1, 3]));
    assert_eq!(fail(policy, Retryable::Yes).await, 3 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn tenacity_attempts_or_time_whichever_ends_first() {
    for (max_attempts, seconds) in [(2, 100), (99, 1)] {
        let policy = RetryPolicy {
            max_attempts,
            max_elapsed: seconds * SECOND,
            ..policy()
        };
        assert_eq!(attempts(policy, 99).await.1, [0, 1]);
    }
}

#[tokio::test(start_paused = true)]
async fn tenacity_without_a_limit_it_never_stops() {
    let policy = RetryPolicy {
        max_attempts: u32::MAX,
        max_elapsed: Duration::MAX,
        max_backoff: SECOND,
        ..policy()
    };
    assert_eq!(attempts(policy, 5000).await.0, Ok(5000));
}

#[tokio::test(start_paused = true)]
async fn tenacity_only_some_errors_are_retried() {
    let mut errors = ["timed out", "no such page", "timed out"].into_iter();
    let retryable = |error: &&str| match *error {
        "timed out" => Retryable::Yes,
        _ => Retryable::No,
    };
    let call = || {
        let error = errors.next();
        async move { error.map_or(Ok(()), Err) }
    };
    let result = retry(&policy(), retryable, call).await;
    assert_eq!(result, Err("no such page"));
    assert_eq!(errors.len(), 1, "no third attempt");
}

#[tokio::test(start_paused = true)]
async fn tenacity_concurrent_calls_count_their_own_attempts() {
    let both = tokio::join!(attempts(policy(), 2), attempts(policy(), 1));
    assert_eq!(both, ((Ok(2), vec![0, 1, 3]), (Ok(1), vec![0, 1])));
}

#[tokio::test(start_paused = true)]
async fn tenacity_cancelled_during_a_wait_it_starts_no_other_attempt() {
    let calls = Cell::new(0);
    let policy = policy();
    let call = async || {
        calls.set(calls.get() + 1);
        Err::<(), _>(())
    };
    let retried = retry(&policy, |()| Retryable::Yes, call);
    assert!(timeout(SECOND / 2, retried).await.is_err());
    sleep(HOUR).await;
    assert_eq!(calls.get(), 1);
}

#[tokio::test(start_paused = true)]
async fn tenacity_the_predicate_is_asked_after_the_last_attempt_too_differs() {
    let mut asked = 0;
    let retryable = |(): &()| {
        asked += 1;
        Retryable::Yes
    };
    let failed = retry(&policy(), retryable, async || Err::<(), _>(())).await;
    assert_eq!((failed, asked), (Err(()), 3));
}

#[tokio::test(start_paused = true)]
async fn tenacity_a_value_is_retried_if_the_call_makes_an_error_of_it() {
    let mut states = ["pending", "pending", "done"].into_iter();
    let call = || {
        let state = states.next().expect("a third state ends it");
        async move {
            if state == "done" {
                Ok(state)
            } else {
                Err(state)
            }
        }
    };
    let polled = retry(&policy(), |_| Retryable::Yes, call).await;
    assert_eq!(polled, Ok("done"));
}

#[tokio::test(start_paused = true)]
async fn tenacity_fixed_waits() {
    let policy = RetryPolicy {
        max_attempts: 4,
        max_backoff: SECOND,
        ..policy()
    };
    assert_eq!(attempts(policy, 99).await.1, [0, 1, 2, 3]);
}

#[tokio::test(start_paused = true)]
async fn backoff_one_try_is_one_call() {
    let policy = RetryPolicy {
        max_attempts: 1,
        ..policy()
    };
    assert_eq!(attempts(policy, 99).await, (Err(0), vec![0]));
    assert_eq!(fail(policy, Retryable::Yes).await, Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn backoff_the_server_names_each_wait() {
    let policy = RetryPolicy {
        initial_backoff: Duration::ZERO,
        ..policy()
    };
    let (start, mut asked) = (Instant::now(), [7, 3].into_iter());
    let call = || {
        let wait = asked.next();
        async move { wait.map_or(Ok(()), Err) }
    };
    let after = |wait: &u32| Retryable::After(*wait * SECOND);
    assert_eq!(retry(&policy, after, call).await, Ok(()));
    assert_eq!(start.elapsed(), 10 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn backoff_the_backoff_is_added_to_what_the_server_asks_for_differs() {
    let policy = RetryPolicy {
        max_attempts: 2,
        ..policy()
    };
    assert_eq!(fail(policy, Retryable::After(7 * SECOND)).await, 8 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn backoff_the_limit_counts_the_time_of_the_attempts() {
    let policy = RetryPolicy {
        max_attempts: 99,
        max_elapsed: 10 * SECOND,
        max_backoff: SECOND,
        ..policy()
    };
    let calls = Cell::new(0);
    let call = async || {
        calls.set(calls.get() + 1);
        sleep(4 * SECOND).await;
        Err::<(), _>(())
    };
    assert!(retry(&policy, |()| Retryable::Yes, call).await.is_err());
    // From 0 to 4, 5 to 9 and 10 to 14. A fourth would begin at 15.
    assert_eq!(calls.get(), 3);
}

#[tokio::test(start_paused = true)]
async fn backoff_a_wait_is_not_cut_to_the_time_that_is_left_differs() {
    let policy = RetryPolicy {
        max_attempts: 99,
        max_elapsed: 6 * SECOND,
        ..policy()
    };
    assert_eq!(attempts(policy, 99).await.1, [0, 1, 3]);
    assert_eq!(fail(policy, Retryable::Yes).await, 3 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn backoff_with_full_jitter_it_takes_less_time_than_without() {
    let policy = RetryPolicy {
        jitter: true,
        ..policy()
    };
    let mut times = Vec::new();
    for _ in 0..100 {
        times.push(fail(policy, Retryable::Yes).await);
    }
    assert!(times.iter().all(|time| *time <= 3 * SECOND));
    assert!(times.iter().any(|time| *time != times[0]), "they vary");
}

#[tokio::test(start_paused = true)]
async fn stamina_a_timeout_of_zero_is_one_call() {
    let policy = RetryPolicy {
        max_elapsed: Duration::ZERO,
        ..policy()
    };
    assert_eq!(attempts(policy, 99).await, (Err(0), vec![0]));
    assert_eq!(attempts(policy, 0).await, (Ok(0), vec![0]));
}

#[test]
fn stamina_no_wait_is_above_the_longest() {
    let waits: Vec<_> = [1, 2, 6, 7, 50, 1000, u32::MAX]
        .map(|attempts| policy().backoff(attempts).as_secs())
        .into();
    assert_eq!(waits, [1, 2, 32, 40, 40, 40, 40]);
}

#[tokio::test(start_paused = true)]
async fn stamina_a_wait_beyond_the_timeout_gives_up_immediately() {
    for wait in [HOUR + SECOND, Duration::MAX] {
        assert_eq!(fail(policy(), Retryable::After(wait)).await, Duration::ZERO);
    }
}

#[tokio::test(start_paused = true)]
async fn stamina_waits_of_zero_retry_immediately() {
    let policy = RetryPolicy {
        initial_backoff: Duration::ZERO,
        ..policy()
    };
    assert_eq!(attempts(policy, 2).await, (Ok(2), vec![0, 0, 0]));
}

#[tokio::test(start_paused = true)]
async fn backon_four_calls_are_three_notices() {
    let policy = RetryPolicy {
        max_attempts: 4,
        ..policy()
    };
    let (mut calls, mut waits) = (0, Vec::new());
    let call = || {
        calls += 1;
        async { Err::<(), _>("down") }
    };
    let notify = |_: &&str, _, wait: Duration| waits.push(wait.as_secs());
    let failed = retry_notify(&policy, |_| Retryable::Yes, notify, call).await;
    assert_eq!((failed, calls), (Err("down"), 4));
    assert_eq!(waits, [1, 2, 4]);
}

#[test]
fn backon_jitter_shortens_a_wait_differs() {
    let policy = RetryPolicy {
        jitter: true,
        ..policy()
    };
    assert!((0..1000).all(|_| policy.backoff(1) <= SECOND));
}

#[tokio::test(start_paused = true)]
async fn backon_an_error_that_is_final_is_one_call() {
    assert_eq!(fail(policy(), Retryable::No).await, Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn tower_the_policy_sees_each_error_in_order() {
    let (seen, calls) = (RefCell::new(Vec::new()), Cell::new(0));
    let retryable = |error: &u32| {
        seen.borrow_mut().push(*error);
        Retryable::Yes
    };
    let call = async || Err::<(), _>(calls.replace(calls.get() + 1));
    assert_eq!(retry(&policy(), retryable, call).await, Err(2));
    assert_eq!(*seen.borrow(), [0, 1, 2]);
}

#[test]
fn tokio_retry_a_longest_wait_below_the_first_is_what_counts() {
    let policy = RetryPolicy {
        max_backoff: SECOND / 5,
        ..policy()
    };
    assert_eq!(
        [1, 2].map(|attempts| policy.backoff(attempts)),
        [SECOND / 5; 2]
    );
}

#[tokio::test(start_paused = true)]
async fn resilience4j_the_error_is_dropped_before_the_wait() {
    let held = Arc::new(());
    let policy = policy();
    let call = || {
        let held = Arc::clone(&held);
        async move { Err::<(), _>(held) }
    };
    let retried = retry(&policy, |_| Retryable::Yes, call);
    let limited = timeout(SECOND / 2, async {
        let check = async {
            sleep(SECOND / 4).await;
            assert_eq!(Arc::strong_count(&held), 1);
        };
        tokio::join!(retried, check)
    });
    assert!(limited.await.is_err());
}
