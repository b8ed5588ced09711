//! Each kind of fault over the components of this section with state that callers share.
//!
//! Not listed: `retry`, `hedged_request` and `timeouts` have no state between two calls;
//! `deadlines` and `cancellation_tree` have such storms in their own tests.

use std::future::{pending, ready};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use tokio::time::{sleep, timeout};

use super::support::{
    Fault, Inside, interleave, leaves_no_tasks, survives_faults, time_in_time,
};
use crate::bulkhead::Bulkhead;
use crate::circuit_breaker::{CircuitBreaker, Rejected, State};
use crate::deadlines::Deadline;
use crate::hedged_request::hedged;
use crate::retry::{RetryPolicy, Retryable, retry};
use crate::retry_budget::RetryBudget;
use crate::timeouts::join_or_stop;

const HOUR: Duration = Duration::from_secs(3600);
const TICK: Duration = Duration::from_millis(1);

#[test]
fn interleaved_bulkhead() {
    struct Held(Bulkhead, Inside);
    let make = || Held(Bulkhead::new(2, 1), Inside::default());
    let call = async |it: Arc<Held>, caller| {
        // Some give up.
        if caller >= 4 {
            let _ = futures::poll!(Box::pin(it.0.run(|| it.1.at_most(2))));
        }
        let _ = it.0.run(|| it.1.at_most(2)).await;
    };
    let check = async |it: &Held| {
        let both = tokio::join!(it.0.run(|| ready(1)), it.0.run(|| ready(2)));
        assert_eq!(both, (Ok(1), Ok(2)), "a permit is lost");
    };
    interleave(3_000, make, call, check);
}

#[test]
fn interleaved_circuit_breaker() {
    struct Half(CircuitBreaker<u32>, Inside);
    // Open, and immediately half-open: one probe at a time.
    let make = || {
        let breaker = CircuitBreaker::new(1, Duration::ZERO, |_| true);
        Half(breaker, Inside::default())
    };
    let call = async |it: Arc<Half>, _| {
        let fail = async || {
            it.1.at_most(1).await;
            Err::<(), _>(503)
        };
        if it.0.state() == State::HalfOpen {
            let _ = it.0.call(fail).await;
        }
    };
    let opened = move || {
        let half = make();
        let failed = half.0.call(|| ready(Err::<(), _>(503)));
        assert!(futures::executor::block_on(failed).is_ok());
        half
    };
    let check = async |it: &Half| assert_eq!(it.0.state(), State::HalfOpen);
    interleave(3_000, opened, call, check);
}

#[test]
fn interleaved_retry_budget() {
    struct Budget(RetryBudget, AtomicUsize);
    let make = || Budget(RetryBudget::new(50, 4), AtomicUsize::new(0));
    // Ten calls of each of six callers earn at most 30 retries; there were 4.
    let call = async |it: Arc<Budget>, _| {
        for _ in 0..10 {
            it.0.deposit();
            while it.0.withdraw() {
                assert!(it.1.fetch_add(1, SeqCst) < 34, "more than was earned");
            }
        }
    };
    interleave(2_000, make, call, async |_| ());
}

#[tokio::test(start_paused = true)]
async fn faults() {
    let bulkhead = Arc::new(Bulkhead::new(1, 0));
    let call = |fault: Fault| {
        let bulkhead = Arc::clone(&bulkhead);
        async move { bulkhead.run(|| fault.future()).await }
    };
    let works = async || assert_eq!(bulkhead.run(|| ready(7)).await, Ok(7));
    survives_faults(call, works).await;

    let breaker = Arc::new(CircuitBreaker::<u32>::new(1, HOUR, |_| true));
    let call = |fault: Fault| {
        let breaker = Arc::clone(&breaker);
        let call = move || fault.result();
        async move { breaker.call(call).await }
    };
    let works = async || assert_eq!(breaker.call(|| ready(Ok(7))).await, Ok(Ok(7)));
    survives_faults(call, works).await;

    let deadline = Deadline::after(HOUR);
    let call = |fault: Fault| {
        let deadline = deadline.clone();
        async move { deadline.run(async { fault.future().await }).await }
    };
    let works = async || assert_eq!(deadline.run(ready(7)).await, Ok(7));
    survives_faults(call, works).await;

    let budget = Arc::new(RetryBudget::new(100, 1));
    let call = |fault: Fault| {
        let budget = Arc::clone(&budget);
        async move {
            let call = || fault.result::<u32>();
            budget.retry(3, TICK, call).await
        }
    };
    let works = async || {
        budget.deposit();
        assert!(budget.withdraw());
    };
    survives_faults(call, works).await;

    let call = |fault: Fault| async move {
        let call = || fault.result::<u32>();
        let first = hedged(TICK, call).await;
        let retryable = |_: &u32| Retryable::Yes;
        first.is_ok()
            && retry(&RetryPolicy::default(), retryable, call)
                .await
                .is_ok()
    };
    survives_faults(call, async || ()).await;
}

#[tokio::test(start_paused = true)]
async fn callers_leave() {
    let bulkhead = Bulkhead::new(1, 1);
    leaves_no_tasks(0, || bulkhead.run(|| sleep(3 * TICK))).await;
    assert_eq!(bulkhead.run(|| ready(7)).await, Ok(7));

    let breaker = CircuitBreaker::<u32>::new(1, TICK, |_| true);
    let call = || async {
        sleep(3 * TICK).await;
        Err::<(), _>(503)
    };
    leaves_no_tasks(0, || breaker.call(call)).await;
    sleep(TICK).await;
    assert_eq!(breaker.call(|| ready(Ok(7))).await, Ok(Ok(7)));

    let deadline = Deadline::after(HOUR);
    leaves_no_tasks(0, || deadline.run(sleep(3 * TICK))).await;
    let call = async || {
        sleep(3 * TICK).await;
        Ok::<_, u32>(())
    };
    leaves_no_tasks(0, || hedged(TICK, call)).await;
}

/// Not listed: `call_with_timeout` and `fallback` are a `timeout` each, and the work of
/// `timeout_of_blocking_work` cannot be stopped. A `CircuitBreaker` and a `Bulkhead` that
/// reject a call do so without a wait, so a loop over them needs a `retry`.
#[tokio::test(start_paused = true)]
async fn time_inside_time() {
    let policy = |max_elapsed| RetryPolicy {
        max_attempts: u32::MAX,
        max_elapsed,
        initial_backoff: 10 * TICK,
        max_backoff: 10 * TICK,
        jitter: false,
    };
    let fails = async || {
        sleep(10 * TICK).await;
        Err::<(), _>(503)
    };
    time_in_time(async |limit| {
        let ended = retry(&policy(limit), |_| Retryable::Yes, fails).await;
        assert_eq!(ended, Err(503));
    })
    .await;
    // The deadline is seen by each attempt, and the retry goes on after it.
    time_in_time(async |limit| {
        let deadline = Deadline::after(limit);
        let attempt = async || deadline.run(pending::<()>()).await;
        let ended = retry(&policy(limit), |_| Retryable::Yes, attempt).await;
        assert!(ended.is_err());
    })
    .await;
    let whole = Deadline::after(Duration::MAX);
    time_in_time(async |limit| {
        let part = whole.at_most(limit);
        let ended = whole.run(part.run(pending::<()>())).await;
        assert!(ended.is_ok_and(|part| part.is_err()));
    })
    .await;
    time_in_time(async |limit| {
        let joined = join_or_stop(limit, tokio::spawn(pending::<()>())).await;
        assert!(joined.is_ok_and(|value| value.is_none()));
    })
    .await;
    time_in_time(|limit| timeout(limit, hedged(10 * TICK, pending::<Result<(), ()>>)))
        .await;
    let budget = RetryBudget::new(100, 9);
    time_in_time(|limit| timeout(limit, budget.retry(9, TICK, fails))).await;
    let bulkhead = Bulkhead::new(1, 0);
    time_in_time(async |limit| {
        let ended = bulkhead.run(|| timeout(limit, pending::<()>())).await;
        assert!(matches!(ended, Ok(Err(_))));
    })
    .await;
    // Open for as long as the call may take: a retry waits for its end, or gives up.
    time_in_time(async |limit| {
        let breaker = CircuitBreaker::new(1, limit, |_: &u32| true);
        let attempt = async || match breaker.call(fails).await {
            Err(Rejected::Open { retry_after }) => Err::<(), _>(retry_after),
            _ => Err(Duration::ZERO),
        };
        let after = |wait: &Duration| Retryable::After(*wait);
        assert!(retry(&policy(limit), after, attempt).await.is_err());
    })
    .await;
}
