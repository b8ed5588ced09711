//! Cases after the tests of pybreaker, aiobreaker, purgatory, failsafe, recloser and
//! resilience4j. A name that ends in `differs` is for what the page says otherwise.

use std::cell::Cell;
use std::future::{pending, ready};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use futures::future::join_all;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::circuit_breaker::{CircuitBreaker, Rejected, State};

const SECOND: Duration = Duration::from_secs(1);

type Breaker = CircuitBreaker<&'static str>;
type Outcome = Result<Result<(), &'static str>, Rejected>;

const FAILED: Outcome = Ok(Err("failed"));

/// Opens for 30 s. "excluded" is no failure.
fn breaker(threshold: u32) -> Breaker {
    CircuitBreaker::new(threshold, 30 * SECOND, |error| *error != "excluded")
}

async fn end(breaker: &Breaker, result: Result<(), &'static str>) -> Outcome {
    breaker.call(|| ready(result)).await
}

/// Returns a circuit that has opened just now.
async fn open(threshold: u32) -> Breaker {
    let breaker = breaker(threshold);
    for _ in 0..threshold {
        assert_eq!(end(&breaker, Err("failed")).await, FAILED);
    }
    assert_eq!(breaker.state(), State::Open);
    breaker
}

async fn half_open() -> Breaker {
    let breaker = open(1).await;
    sleep(30 * SECOND).await;
    assert_eq!(breaker.state(), State::HalfOpen);
    breaker
}

#[tokio::test(start_paused = true)]
async fn pybreaker_a_success_and_a_few_failures_leave_it_closed() {
    let breaker = breaker(3);
    for result in [Ok(()), Err("failed"), Err("failed")] {
        assert_eq!(end(&breaker, result).await, Ok(result));
        assert_eq!(breaker.state(), State::Closed);
    }
}

#[tokio::test(start_paused = true)]
async fn pybreaker_a_success_resets_the_counter() {
    let breaker = breaker(3);
    for _ in 0..100 {
        for result in [Err("failed"), Err("failed"), Ok(())] {
            assert_eq!(end(&breaker, result).await, Ok(result));
        }
    }
    assert_eq!(breaker.state(), State::Closed);
}

#[tokio::test(start_paused = true)]
async fn pybreaker_at_the_threshold_it_opens_and_the_error_is_still_the_callers() {
    let breaker = open(3).await;
    let retry_after = 30 * SECOND;
    let rejected = Err(Rejected::Open { retry_after });
    assert_eq!(end(&breaker, Ok(())).await, rejected);
}

#[tokio::test(start_paused = true)]
async fn pybreaker_an_open_circuit_calls_nothing() {
    let (breaker, called) = (open(2).await, Cell::new(false));
    let call = async || {
        called.set(true);
        Ok(())
    };
    assert!(breaker.call(call).await.is_err());
    assert!(!called.get());
}

#[tokio::test(start_paused = true)]
async fn pybreaker_half_open_one_failure_opens_it_again() {
    let breaker = open(3).await;
    sleep(30 * SECOND).await;
    assert_eq!(breaker.state(), State::HalfOpen);
    assert_eq!(end(&breaker, Err("failed")).await, FAILED);
    assert_eq!(breaker.state(), State::Open);
    assert!(end(&breaker, Ok(())).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn pybreaker_half_open_a_success_closes_it_and_resets_the_counter() {
    let breaker = open(3).await;
    sleep(30 * SECOND).await;
    assert_eq!(end(&breaker, Ok(())).await, Ok(Ok(())));
    for state in [State::Closed, State::Closed, State::Open] {
        assert_eq!(end(&breaker, Err("failed")).await, FAILED);
        assert_eq!(breaker.state(), state);
    }
}

#[tokio::test(start_paused = true)]
async fn pybreaker_excluded_errors_do_not_open_it() {
    let breaker = breaker(2);
    for _ in 0..9 {
        let excluded = end(&breaker, Err("excluded")).await;
        assert_eq!(excluded, Ok(Err("excluded")));
    }
    assert_eq!(breaker.state(), State::Closed);
}

#[tokio::test(start_paused = true)]
async fn pybreaker_an_excluded_error_resets_the_counter() {
    let breaker = breaker(2);
    for error in ["failed", "excluded", "failed"] {
        assert_eq!(end(&breaker, Err(error)).await, Ok(Err(error)));
    }
    assert_eq!(breaker.state(), State::Closed);
}

#[tokio::test(start_paused = true)]
async fn pybreaker_one_success_closes_it_differs() {
    let breaker = half_open().await;
    assert_eq!(end(&breaker, Ok(())).await, Ok(Ok(())));
    assert_eq!(breaker.state(), State::Closed);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn pybreaker_of_many_threads_one_makes_the_trial_call() {
    let breaker = Arc::new(CircuitBreaker::<u32>::new(1, Duration::ZERO, |_| true));
    let failed = breaker.call(|| ready(Err::<(), _>(0))).await;
    assert_eq!(failed, Ok(Err(0)));
    let (trials, end) = (Arc::new(AtomicUsize::new(0)), Arc::new(Notify::new()));
    let mut tasks = JoinSet::new();
    for _ in 0..64 {
        let breaker = Arc::clone(&breaker);
        let (trials, end) = (Arc::clone(&trials), Arc::clone(&end));
        tasks.spawn(async move {
            let trial = async || {
                trials.fetch_add(1, SeqCst);
                end.notified().await;
                Ok::<_, u32>(())
            };
            breaker.call(trial).await
        });
    }
    for _ in 0..63 {
        let rejected = tasks.join_next().await.expect("64 tasks");
        assert_eq!(rejected.expect("no panic"), Err(Rejected::HalfOpen));
    }
    end.notify_one();
    assert_eq!(tasks.join_all().await, [Ok(Ok(()))]);
    assert_eq!(trials.load(SeqCst), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn pybreaker_failures_on_threads_are_all_counted() {
    let breaker = Arc::new(breaker(1500));
    let mut tasks = JoinSet::new();
    for _ in 0..3 {
        let breaker = Arc::clone(&breaker);
        tasks.spawn(async move {
            for _ in 0..500 {
                assert_eq!(end(&breaker, Err("failed")).await, FAILED);
            }
        });
    }
    tasks.join_all().await;
    assert_eq!(breaker.state(), State::Open);
}

#[tokio::test(start_paused = true)]
async fn aiobreaker_it_tells_how_long_it_stays_open() {
    let breaker = open(1).await;
    sleep(10 * SECOND).await;
    let retry_after = 20 * SECOND;
    let rejected = Err(Rejected::Open { retry_after });
    assert_eq!(end(&breaker, Ok(())).await, rejected);
    sleep(retry_after).await;
    assert_eq!(end(&breaker, Ok(())).await, Ok(Ok(())));
}

#[tokio::test(start_paused = true)]
async fn aiobreaker_two_breakers_share_nothing() {
    let states = (open(1).await.state(), breaker(1).state());
    assert_eq!(states, (State::Open, State::Closed));
}

#[tokio::test(start_paused = true)]
async fn purgatory_opened_again_it_stays_open_for_the_whole_time() {
    let breaker = half_open().await;
    sleep(5 * SECOND).await;
    assert_eq!(end(&breaker, Err("failed")).await, FAILED);
    sleep(29 * SECOND).await;
    assert_eq!(breaker.state(), State::Open);
    sleep(SECOND).await;
    assert_eq!(breaker.state(), State::HalfOpen);
}

#[tokio::test(start_paused = true)]
async fn purgatory_failures_need_not_be_close_together() {
    let breaker = breaker(2);
    assert_eq!(end(&breaker, Err("failed")).await, FAILED);
    sleep(86_400 * SECOND).await;
    assert_eq!(end(&breaker, Err("failed")).await, FAILED);
    assert_eq!(breaker.state(), State::Open);
}

#[tokio::test(start_paused = true)]
async fn failsafe_half_open_it_lets_one_call_through_differs() {
    let breaker = half_open().await;
    let slow = breaker.call(async || {
        sleep(SECOND).await;
        Ok(())
    });
    let both = tokio::join!(slow, end(&breaker, Ok(())));
    assert_eq!(both, (Ok(Ok(())), Err(Rejected::HalfOpen)));
}

#[tokio::test(start_paused = true)]
async fn failsafe_a_call_that_is_dropped_does_not_count() {
    let breaker = breaker(1);
    for _ in 0..9 {
        let hangs = breaker.call(pending::<Result<(), _>>);
        assert!(timeout(SECOND, hangs).await.is_err());
    }
    assert_eq!(breaker.state(), State::Closed);
}

#[tokio::test(start_paused = true)]
async fn recloser_concurrent_calls_that_fail_open_it_once() {
    let breaker = breaker(2);
    let call = async || {
        sleep(SECOND).await;
        Err::<(), _>("failed")
    };
    let ended = join_all((0..5).map(|_| breaker.call(call))).await;
    assert_eq!(ended, [FAILED; 5]);
    sleep(29 * SECOND).await;
    assert_eq!(breaker.state(), State::Open);
    sleep(SECOND).await;
    assert_eq!(breaker.state(), State::HalfOpen);
}

#[tokio::test(start_paused = true)]
async fn recloser_a_predicate_of_the_error() {
    let breaker = CircuitBreaker::new(2, SECOND, |status: &u32| *status >= 500);
    for (status, state) in [
        (404, State::Closed),
        (404, State::Closed),
        (503, State::Closed),
        (503, State::Open),
    ] {
        let ended = breaker.call(|| ready(Err::<(), _>(status))).await;
        assert_eq!((ended, breaker.state()), (Ok(Err(status)), state));
    }
}

#[tokio::test(start_paused = true)]
async fn resilience4j_a_late_success_does_not_close_an_open_circuit() {
    let breaker = breaker(1);
    let slow = breaker.call(async || {
        sleep(5 * SECOND).await;
        Ok(())
    });
    let fails = async {
        sleep(SECOND).await;
        end(&breaker, Err("failed")).await
    };
    assert_eq!(tokio::join!(slow, fails), (Ok(Ok(())), FAILED));
    assert_eq!(breaker.state(), State::Open);
}

#[tokio::test(start_paused = true)]
async fn resilience4j_a_late_failure_does_not_disturb_the_probe() {
    let breaker = breaker(1);
    let slow = breaker.call(async || {
        sleep(40 * SECOND).await;
        Err::<(), _>("failed")
    });
    let probe = async {
        assert_eq!(end(&breaker, Err("failed")).await, FAILED);
        sleep(31 * SECOND).await;
        let probe = async || {
            sleep(20 * SECOND).await;
            Ok(())
        };
        breaker.call(probe).await
    };
    assert_eq!(tokio::join!(slow, probe), (FAILED, Ok(Ok(()))));
    assert_eq!(breaker.state(), State::Closed);
}

#[tokio::test(start_paused = true)]
async fn resilience4j_a_cancelled_probe_makes_room_for_one_other() {
    let breaker = half_open().await;
    let hangs = breaker.call(pending::<Result<(), _>>);
    assert!(timeout(SECOND, hangs).await.is_err());
    assert_eq!(breaker.state(), State::HalfOpen);
    let calls = (0..5).map(|_| {
        breaker.call(async || {
            sleep(SECOND).await;
            Ok(())
        })
    });
    let ended = join_all(calls).await;
    assert_eq!(ended[0], Ok(Ok(())));
    assert_eq!(ended[1..], [Err(Rejected::HalfOpen); 4]);
}

#[tokio::test(start_paused = true)]
async fn resilience4j_a_panic_of_the_probe_or_of_the_predicate_frees_its_place() {
    let predicate = |error: &&str| {
        assert_ne!(*error, "bad", "scheduled");
        true
    };
    let breaker = Arc::new(Breaker::new(1, SECOND, predicate));
    assert_eq!(end(&breaker, Err("failed")).await, FAILED);
    sleep(SECOND).await;
    for panics in [true, false] {
        let breaker = Arc::clone(&breaker);
        let task = tokio::spawn(async move {
            let probe = async || {
                assert!(!panics, "scheduled");
                Err::<(), _>("bad")
            };
            breaker.call(probe).await
        });
        assert!(task.await.is_err_and(|error| error.is_panic()));
    }
    assert_eq!(end(&breaker, Ok(())).await, Ok(Ok(())));
}

#[tokio::test(start_paused = true)]
async fn resilience4j_an_ignored_error_closes_a_half_open_circuit_differs() {
    let breaker = half_open().await;
    assert_eq!(end(&breaker, Err("excluded")).await, Ok(Err("excluded")));
    assert_eq!(breaker.state(), State::Closed);
}

#[tokio::test(start_paused = true)]
async fn resilience4j_slow_calls_and_half_of_the_calls_do_not_open_it_differs() {
    let breaker = breaker(2);
    for _ in 0..50 {
        assert_eq!(end(&breaker, Err("failed")).await, FAILED);
        let slow = breaker.call(async || {
            sleep(59 * SECOND).await;
            Ok(())
        });
        assert_eq!(slow.await, Ok(Ok(())));
    }
    assert_eq!(breaker.state(), State::Closed);
}
