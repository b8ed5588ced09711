use std::error::Error;
use std::future::ready;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use anyhow::Context;
use tokio::sync::{Barrier, oneshot};
use tokio::task::{JoinSet, yield_now};
use tokio::time::{sleep, timeout};

use super::support::{all_wait, assert_linear, poll_and_drop};
use crate::circuit_breaker::{CircuitBreaker, Rejected, State};

const HOUR: Duration = Duration::from_secs(3600);
const TICK: Duration = Duration::from_millis(1);

/// All numbers but 404 are failures.
fn breaker(threshold: u32, ticks: u32) -> CircuitBreaker<u32> {
    let harmless = [404];
    let counts = move |error: &u32| !harmless.contains(error);
    CircuitBreaker::new(threshold, ticks * TICK, counts)
}

/// Fails so often, with calls that take no time.
async fn fail(breaker: &CircuitBreaker<u32>, times: u32) {
    for _ in 0..times {
        let failed = breaker.call(|| ready(Err::<(), _>(503))).await;
        assert_eq!(failed, Ok(Err(503)));
    }
}

async fn succeed(breaker: &CircuitBreaker<u32>) -> Result<Result<u32, u32>, Rejected> {
    breaker.call(|| ready(Ok(200))).await
}

async fn after(ticks: u32, result: Result<u32, u32>) -> Result<u32, u32> {
    sleep(ticks * TICK).await;
    result
}

#[tokio::test(start_paused = true)]
async fn dropped_at_each_await() {
    for result in [Ok(200), Err(404), Err(503)] {
        let mut completed = false;
        for polls in 1..10 {
            let closed = breaker(3, 5);
            fail(&closed, 2).await;
            let call = closed.call(|| after(5, result));
            let ended = poll_and_drop(call, polls).await.is_some();
            completed |= ended;
            if !ended {
                assert_eq!(closed.state(), State::Closed);
                fail(&closed, 1).await;
                assert_eq!(closed.state(), State::Open, "the row goes on");
            }

            let half_open = breaker(1, 5);
            fail(&half_open, 1).await;
            sleep(5 * TICK).await;
            let call = half_open.call(|| after(5, result));
            if poll_and_drop(call, polls).await.is_none() {
                assert_eq!(half_open.state(), State::HalfOpen);
                let trial = half_open.call(|| after(5, Ok(200)));
                let second = async {
                    sleep(TICK).await;
                    succeed(&half_open).await
                };
                let ends = tokio::join!(trial, second);
                let rejected = Err(Rejected::HalfOpen);
                assert_eq!(ends, (Ok(Ok(200)), rejected));
                assert_eq!(half_open.state(), State::Closed);
            }
        }
        assert!(completed, "10 polls are enough");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn one_probe_of_four_at_once() {
    let breaker = Arc::new(breaker(1, 0));
    let barrier = Arc::new(Barrier::new(4));
    let asked = Arc::new(AtomicUsize::new(0));
    let trials = Arc::new(AtomicUsize::new(0));
    let awake = Arc::new(AtomicUsize::new(0));
    let mut set = JoinSet::new();
    for _ in 0..4 {
        let (breaker, barrier) = (Arc::clone(&breaker), Arc::clone(&barrier));
        let (asked, trials) = (Arc::clone(&asked), Arc::clone(&trials));
        let awake = Arc::clone(&awake);
        set.spawn(async move {
            for round in 1..=1000 {
                if barrier.wait().await.is_leader() {
                    fail(&breaker, 1).await;
                }
                // All are awake when they ask.
                awake.fetch_add(1, SeqCst);
                while awake.load(SeqCst) < 4 * round {
                    yield_now().await;
                }
                let trial = breaker.call(async || {
                    trials.fetch_add(1, SeqCst);
                    asked.fetch_add(1, SeqCst);
                    // It ends when all have asked, so that none comes after it.
                    while asked.load(SeqCst) < 4 * round {
                        yield_now().await;
                    }
                    Ok::<_, u32>(round)
                });
                match trial.await {
                    Ok(ended) => assert_eq!(ended, Ok(round)),
                    Err(error) => {
                        let rejected = Rejected::HalfOpen;
                        assert_eq!(error, rejected);
                        asked.fetch_add(1, SeqCst);
                    }
                }
                barrier.wait().await;
                assert_eq!(trials.load(SeqCst), round, "one in each round");
                assert_eq!(breaker.state(), State::Closed);
            }
        });
    }
    let all = timeout(Duration::from_secs(60), set.join_all()).await;
    assert_eq!(all.expect("nobody hangs").len(), 4);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn ten_thousand_at_once() {
    let breaker = Arc::new(breaker(2, 1));
    let begun = Arc::new(AtomicUsize::new(0));
    let mut set = JoinSet::new();
    for number in 0..10_000_u32 {
        let (breaker, begun) = (Arc::clone(&breaker), Arc::clone(&begun));
        let task = set.spawn(async move {
            let call = breaker.call(async || {
                begun.fetch_add(1, SeqCst);
                yield_now().await;
                assert!(number % 100 != 7, "scheduled");
                match number {
                    4000..8000 => Err(503),
                    _ => Ok(number),
                }
            });
            (number, call.await)
        });
        if number % 10 == 9 {
            task.abort();
        }
        if number % 100 == 0 {
            yield_now().await;
        }
    }
    let (mut ended, mut rejected, mut stopped) = (0, 0, 0);
    let all = async {
        while let Some(outcome) = set.join_next().await {
            match outcome {
                Ok((number, Ok(Ok(value)))) => {
                    assert_eq!(value, number);
                    ended += 1;
                }
                Ok((number, Ok(Err(503)))) => {
                    assert!((4000..8000).contains(&number));
                    ended += 1;
                }
                Ok((_, Err(Rejected::Open { .. } | Rejected::HalfOpen))) => rejected += 1,
                Ok(other) => panic!("{other:?}"),
                Err(_) => stopped += 1,
            }
        }
    };
    timeout(Duration::from_secs(60), all)
        .await
        .expect("nobody hangs");
    assert_eq!(ended + rejected + stopped, 10_000);
    let begun = begun.load(SeqCst);
    assert!(rejected > 0 && ended <= begun && begun <= ended + stopped);
    sleep(2 * TICK).await;
    assert_eq!(succeed(&breaker).await, Ok(Ok(200)), "it closes again");
    assert_eq!(breaker.state(), State::Closed);
}

#[tokio::test(start_paused = true)]
async fn limits() {
    assert!(std::panic::catch_unwind(|| breaker(0, 1)).is_err());

    for threshold in [1, 2, 5] {
        let breaker = breaker(threshold, 5);
        fail(&breaker, threshold - 1).await;
        assert_eq!(breaker.state(), State::Closed);
        fail(&breaker, 1).await;
        for left in (1..=5).rev() {
            let retry_after = left * TICK;
            let rejected = Rejected::Open { retry_after };
            assert_eq!(succeed(&breaker).await, Err(rejected));
            assert_eq!(breaker.state(), State::Open);
            sleep(TICK).await;
        }
        assert_eq!(breaker.state(), State::HalfOpen);
        fail(&breaker, 1).await;
        assert_eq!(breaker.state(), State::Open, "one failure is enough");
        sleep(5 * TICK).await;
        assert_eq!(succeed(&breaker).await, Ok(Ok(200)));
        fail(&breaker, threshold - 1).await;
        assert_eq!(breaker.state(), State::Closed, "a new row");
    }

    let for_ever = CircuitBreaker::new(1, Duration::MAX, |_| true);
    fail(&for_ever, 1).await;
    sleep(HOUR).await;
    let retry_after = Duration::MAX - HOUR;
    let rejected = Rejected::Open { retry_after };
    assert_eq!(succeed(&for_ever).await, Err(rejected));
}

#[tokio::test(start_paused = true)]
async fn a_probe_that_never_ends_keeps_all_others_out() {
    let breaker = breaker(1, 5);
    fail(&breaker, 1).await;
    sleep(5 * TICK).await;
    let trial = breaker.call(std::future::pending::<Result<u32, u32>>);
    let second = async {
        sleep(HOUR).await;
        succeed(&breaker).await
    };
    tokio::select! {
        _ = trial => panic!("it never ends"),
        second = second => {
            let rejected = Rejected::HalfOpen;
            assert_eq!(second, Err(rejected));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_began_before_a_change_does_not_count() {
    for late in [Ok(200), Err(503), Err(404)] {
        for (ends, state) in [(3, State::Open), (8, State::HalfOpen), (12, State::Closed)]
        {
            let breaker = breaker(2, 5);
            let late = breaker.call(|| after(ends, late));
            let others = async {
                sleep(TICK).await;
                fail(&breaker, 2).await;
                sleep(5 * TICK).await;
                // The trial runs from tick 6 on.
                let trial = breaker.call(|| after(4, Ok(200))).await;
                assert_eq!(trial, Ok(Ok(200)), "it was let through");
                fail(&breaker, 1).await;
            };
            let observe = async {
                sleep(ends * TICK).await;
                yield_now().await;
                breaker.state()
            };
            let (_, (), seen) = tokio::join!(late, others, observe);
            assert_eq!(seen, state, "{ends}");
            let row = breaker.state();
            assert_eq!(row, State::Closed);
            fail(&breaker, 1).await;
            assert_eq!(breaker.state(), State::Open, "the row was not ended");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_earlier_call_that_is_dropped_makes_no_way_beside_the_probe() {
    let breaker = breaker(1, 5);
    let earlier = timeout(8 * TICK, breaker.call(|| after(20, Ok(200))));
    let others = async {
        sleep(TICK).await;
        fail(&breaker, 1).await;
        sleep(5 * TICK).await;
        // From tick 6 to tick 16.
        breaker.call(|| after(10, Ok(200))).await
    };
    let second = async {
        sleep(10 * TICK).await;
        succeed(&breaker).await
    };
    let (earlier, trial, second) = tokio::join!(earlier, others, second);
    assert!(earlier.is_err(), "it is dropped while the trial runs");
    assert_eq!(trial, Ok(Ok(200)));
    let rejected = Rejected::HalfOpen;
    assert_eq!(second, Err(rejected));
}

#[tokio::test(start_paused = true)]
async fn what_is_no_failure_ends_the_row_and_the_probe() {
    let breaker = breaker(2, 5);
    for _ in 0..3 {
        fail(&breaker, 1).await;
        let answer = breaker.call(|| ready(Err::<(), _>(404))).await;
        assert_eq!(answer, Ok(Err(404)));
        assert_eq!(breaker.state(), State::Closed);
    }
    fail(&breaker, 2).await;
    sleep(5 * TICK).await;
    let answer = breaker.call(|| ready(Err::<(), _>(404))).await;
    assert_eq!(answer, Ok(Err(404)));
    assert_eq!(breaker.state(), State::Closed);
}

/// Some clients send the request when their method is called, as `spawn` starts a task.
#[tokio::test(start_paused = true)]
async fn a_rejected_call_is_not_begun() {
    let breaker = breaker(1, 5);
    fail(&breaker, 1).await;
    let (held, dropped) = oneshot::channel::<()>();
    let orders = Arc::new(AtomicUsize::new(0));
    let placed = Arc::clone(&orders);
    let order = move || {
        let order = tokio::spawn(async move { placed.fetch_add(1, SeqCst) });
        async move {
            let _held = held;
            order.await.map_err(|_| 500)
        }
    };
    let retry_after = 5 * TICK;
    let rejected = Rejected::Open { retry_after };
    assert_eq!(breaker.call(order).await, Err(rejected));
    assert!(dropped.await.is_err(), "it is dropped");
    drop(breaker.call(async || Ok(1)));
    sleep(5 * TICK).await;
    assert_eq!(orders.load(SeqCst), 0);
    drop(breaker.call(async || Ok(1)));
    let polled = succeed(&breaker).await;
    assert_eq!(
        polled,
        Ok(Ok(200)),
        "the call that was not polled is no probe"
    );
}

#[tokio::test(start_paused = true)]
async fn a_panic_wedges_nothing() {
    let panicking = Arc::new(CircuitBreaker::new(2, 5 * TICK, |error: &u32| {
        assert_ne!(*error, 500, "scheduled");
        *error != 404
    }));
    for rests in [false, true] {
        if rests {
            fail(&panicking, 1).await;
            sleep(5 * TICK).await;
            assert_eq!(panicking.state(), State::HalfOpen);
        } else {
            fail(&panicking, 1).await;
        }
        for bug in ["in the future", "in `counts`"] {
            let breaker = Arc::clone(&panicking);
            let task = tokio::spawn(async move {
                let call = async || {
                    yield_now().await;
                    assert_ne!(bug, "in the future", "scheduled");
                    Err::<(), _>(500)
                };
                breaker.call(call).await
            });
            let panicked = timeout(HOUR, task).await.expect("it ends");
            assert!(panicked.expect_err("a panic").is_panic(), "{bug}");
        }
    }
    assert_eq!(panicking.state(), State::HalfOpen);
    assert_eq!(succeed(&panicking).await, Ok(Ok(200)));
    assert_eq!(panicking.state(), State::Closed);
}

/// A service behind a breaker, as an application holds it.
struct Service {
    breaker: CircuitBreaker<u32>,
    host: String,
}

impl Service {
    fn new() -> Arc<Self> {
        let (breaker, host) = (breaker(2, 5), "api.com".to_string());
        Arc::new(Self { breaker, host })
    }

    async fn fetch(&self, path: &str) -> Result<String, u32> {
        sleep(TICK).await;
        match path {
            "broken" => Err(503),
            "missing" => Err(404),
            _ => Ok(format!("{}/{path}", self.host)),
        }
    }

    /// Borrows the service and the path.
    async fn get(&self, path: &str) -> Result<Result<String, u32>, Rejected> {
        self.breaker.call(|| self.fetch(path)).await
    }
}

#[tokio::test(start_paused = true)]
async fn in_a_spawned_task() {
    let service = Service::new();
    let shared = Arc::clone(&service);
    let task = tokio::spawn(async move {
        let path = String::from("a");
        let mut calls = 0;
        let call = async || {
            calls += 1;
            shared.fetch(&path).await
        };
        (shared.breaker.call(call).await, calls)
    });
    let ended = timeout(HOUR, task).await.expect("it ends");
    let value = Ok(Ok("api.com/a".to_string()));
    assert_eq!(ended.expect("no panic"), (value, 1));
    let task = tokio::spawn(async move { service.get(&String::from("missing")).await });
    let ended = timeout(HOUR, task).await.expect("it ends");
    assert_eq!(ended.expect("no panic"), Ok(Err(404)));
}

#[tokio::test]
async fn errors_of_any_type() {
    type Boxed = Box<dyn Error + Send + Sync>;

    async fn parse(breaker: &CircuitBreaker<Boxed>, text: &str) -> Result<u8, Boxed> {
        breaker.call(async || Ok(text.parse()?)).await?
    }

    let boxed = CircuitBreaker::new(1, HOUR, |error: &Boxed| {
        !error.is::<std::num::ParseIntError>()
    });
    for _ in 0..2 {
        let error = parse(&boxed, "seven").await.expect_err("no number");
        assert_eq!(error.to_string(), "invalid digit found in string");
    }
    let torn = boxed.call(async || Err::<(), _>("torn".into())).await;
    assert!(matches!(torn, Ok(Err(_))));
    let error = parse(&boxed, "7").await.expect_err("it is open");
    assert_eq!(error.to_string(), "the circuit is open");
    let anyhow: CircuitBreaker<anyhow::Error> = CircuitBreaker::new(1, HOUR, |_| true);
    let read = async || -> anyhow::Result<u8> {
        let disk = || Err(std::io::Error::other("the disk"));
        let call = async || Ok(disk().context("torn")?);
        anyhow.call(call).await?
    };
    let error = read().await.expect_err("it fails");
    assert_eq!(format!("{error:#}"), "torn: the disk");
    let rejected = read().await.expect_err("it is open");
    assert!(rejected.is::<Rejected>());

    #[derive(Debug, thiserror::Error)]
    enum Mine {
        #[error(transparent)]
        Rejected(#[from] Rejected),
        #[error("cannot read")]
        Io(#[from] std::io::Error),
    }
    let io = CircuitBreaker::new(1, HOUR, |_: &std::io::Error| true);
    let read = async || -> Result<u8, Mine> {
        Ok(io
            .call(async || Err(std::io::Error::other("the disk")))
            .await??)
    };
    let error = read().await.expect_err("it fails");
    let cause = error.source().expect("the error of the call");
    assert_eq!(cause.to_string(), "the disk");
    assert!(matches!(read().await, Err(Mine::Rejected(_))));
}

#[test]
fn ten_times_as_many_calls_cost_ten_times_as_much() {
    assert_linear(async |number| {
        let breaker = Arc::new(breaker(1, 5));
        let calling = all_wait(number, |_| {
            let breaker = Arc::clone(&breaker);
            async move { breaker.call(|| after(1, Ok(200))).await }
        });
        let ends = calling.await.join_all().await;
        assert!(ends.iter().all(Result::is_ok));
    });
}

#[tokio::test(start_paused = true)]
async fn pybreaker_listeners_are_told_of_each_change() {
    let changes = Arc::new(std::sync::Mutex::new(Vec::new()));
    let told = Arc::clone(&changes);
    let breaker = breaker(2, 5);
    let breaker = breaker.on_change(move |state| told.lock().expect("sound").push(state));
    fail(&breaker, 2).await;
    assert!(
        succeed(&breaker).await.is_err(),
        "a rejected call changes nothing"
    );
    sleep(5 * TICK).await;
    fail(&breaker, 1).await;
    sleep(5 * TICK).await;
    assert_eq!(succeed(&breaker).await, Ok(Ok(200)));
    assert_eq!(succeed(&breaker).await, Ok(Ok(200)));
    let changes = changes.lock().expect("sound");
    assert_eq!(*changes, [State::Open, State::Open, State::Closed]);
}

#[tokio::test(start_paused = true)]
async fn a_listener_may_ask_for_the_state_and_panic() {
    let breaker = Arc::new(std::sync::OnceLock::<CircuitBreaker<u32>>::new());
    let asked = Arc::clone(&breaker);
    let own = self::breaker(1, 5).on_change(move |state| {
        assert_eq!(asked.get().expect("it is there").state(), state);
        panic!("scheduled");
    });
    assert!(breaker.set(own).is_ok());
    let called = Arc::clone(&breaker);
    let call = async move {
        let breaker = called.get().expect("it is there");
        breaker.call(|| ready(Err::<(), _>(503))).await
    };
    assert!(tokio::spawn(call).await.expect_err("it panics").is_panic());
    let breaker = breaker.get().expect("it is there");
    assert_eq!(breaker.state(), State::Open);
}
