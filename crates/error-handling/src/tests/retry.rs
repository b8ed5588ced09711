use std::error::Error;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering::SeqCst};
use std::task::Poll;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::{Request, StatusCode};
use axum::routing;
use tokio::task::{JoinSet, yield_now};
use tokio::time::{Instant, sleep, timeout};
use tower::ServiceExt;

use crate::retry::{GaveUp, Pauses, Policy, SplitMix64, Verdict, Why, retry};

const HOUR: Duration = Duration::from_secs(3600);
const TICK: Duration = Duration::from_millis(1);

/// Polls the future at most `polls` times, a millisecond apart, and drops it if it is
/// not ready then.
async fn poll_and_drop<F: Future>(future: F, polls: usize) -> Option<F::Output> {
    let mut future = pin!(future);
    for _ in 0..polls {
        if let Poll::Ready(output) = futures::poll!(future.as_mut()) {
            return Some(output);
        }
        sleep(Duration::from_millis(1)).await;
    }
    None
}

fn fixed(tries: u32, ticks: u32) -> Policy {
    Policy {
        tries,
        within: Duration::MAX,
        pauses: Pauses::Fixed(ticks * TICK),
    }
}

fn jitter(ticks: u32, longest: u32, seed: u64) -> Pauses {
    Pauses::Jitter {
        first: ticks * TICK,
        longest: longest * TICK,
        random: SplitMix64::new(seed),
    }
}

fn again(_: &u32) -> Verdict {
    Verdict::TryAgain
}

#[tokio::test(start_paused = true)]
async fn dropped_at_each_await() {
    let policy = fixed(3, 5);
    let mut completed = false;
    for polls in 1..40 {
        let held = Arc::new(());
        let begun = AtomicUsize::new(0);
        let tried = retry(&policy, again, || {
            let held = Arc::clone(&held);
            let number = begun.fetch_add(1, SeqCst);
            async move {
                sleep(5 * TICK).await;
                drop(held);
                if number < 2 { Err(1) } else { Ok(2) }
            }
        });
        let ended = poll_and_drop(tried, polls).await;
        completed |= ended.is_some();
        assert_eq!(ended.unwrap_or(Ok(2)), Ok(2));
        let before = begun.load(SeqCst);
        assert_eq!(Arc::strong_count(&held), 1, "the try is dropped with it");
        sleep(HOUR).await;
        assert_eq!(begun.load(SeqCst), before, "no other try");
        let next = timeout(HOUR, retry(&policy, again, async || Ok(3))).await;
        assert_eq!(next, Ok(Ok(3)), "the policy holds nothing");
    }
    assert!(completed, "40 polls are enough");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn ten_thousand_at_once() {
    let policy = Arc::new(Policy {
        tries: 4,
        within: HOUR,
        pauses: jitter(1, 2, 5),
    });
    let running = Arc::new(AtomicUsize::new(0));
    let mut set = JoinSet::new();
    for number in 0..10_000_u32 {
        let (policy, running) = (Arc::clone(&policy), Arc::clone(&running));
        let task = set.spawn(async move {
            let mut begun = 0;
            let result = retry(&policy, again, || {
                begun += 1;
                let (fails, running) = (begun <= number % 6, Arc::clone(&running));
                async move {
                    running.fetch_add(1, SeqCst);
                    let _end = Ended(running);
                    yield_now().await;
                    if fails { Err(number) } else { Ok(number) }
                }
            });
            (number, result.await, begun)
        });
        if number % 10 == 9 {
            task.abort();
        }
    }
    let (mut done, mut aborted) = (0, 0);
    let all = async {
        while let Some(outcome) = set.join_next().await {
            let Ok((number, result, begun)) = outcome else {
                aborted += 1;
                continue;
            };
            let (why, tries) = (Why::LastTry, 4);
            let expected = match number % 6 {
                0..4 => Ok(number),
                _ => Err(GaveUp {
                    why,
                    tries,
                    error: number,
                }),
            };
            assert_eq!(result, expected);
            assert_eq!(begun, (number % 6 + 1).min(4));
            done += 1;
        }
    };
    timeout(Duration::from_secs(60), all)
        .await
        .expect("nobody hangs");
    assert!(done >= 9000 && done + aborted == 10_000);
    assert_eq!(running.load(SeqCst), 0);
}

/// Counts down, also when its task is aborted.
struct Ended(Arc<AtomicUsize>);

impl Drop for Ended {
    fn drop(&mut self) {
        self.0.fetch_sub(1, SeqCst);
    }
}

/// How often a call is made that always fails, how long it takes, and why it ends.
async fn fail(policy: &Policy, verdict: Verdict) -> (u32, Duration, Why) {
    let start = Instant::now();
    let mut calls = 0;
    let failed = retry(
        policy,
        |_| verdict,
        || {
            calls += 1;
            async { Err::<(), _>(7) }
        },
    );
    let failed = timeout(HOUR, failed).await.expect("it ends");
    let GaveUp { why, tries, error } = failed.expect_err("it always fails");
    assert_eq!((tries, error), (calls, 7));
    (calls, start.elapsed(), why)
}

#[tokio::test(start_paused = true)]
async fn limits() {
    let none = tokio::spawn(async { fail(&fixed(0, 1), Verdict::TryAgain).await });
    assert!(none.await.expect_err("no tries").is_panic());

    let once = fail(&fixed(1, 5), Verdict::TryAgain).await;
    assert_eq!(once, (1, Duration::ZERO, Why::LastTry));
    let thrice = fail(&fixed(3, 5), Verdict::TryAgain).await;
    assert_eq!(thrice, (3, 10 * TICK, Why::LastTry));
    let unpaused = fail(&fixed(3, 0), Verdict::TryAgain).await;
    assert_eq!((unpaused.0, unpaused.2), (3, Why::LastTry));
    let useless = fail(&fixed(3, 5), Verdict::GiveUp).await;
    assert_eq!(useless, (1, Duration::ZERO, Why::Useless));

    // A pause may end at the limit, but not after it.
    for (ticks, calls) in [(0, 1), (4, 1), (5, 2), (9, 2), (10, 3)] {
        let within = ticks * TICK;
        let policy = Policy {
            within,
            ..fixed(9, 5)
        };
        let (called, _, why) = fail(&policy, Verdict::TryAgain).await;
        assert_eq!((called, why), (calls, Why::NoTime), "{ticks}");
    }

    // The longer of the two pauses.
    for (after, took) in [(4, 5), (6, 6)] {
        let verdict = Verdict::TryAfter(after * TICK);
        let (_, elapsed, _) = fail(&fixed(2, 5), verdict).await;
        assert_eq!(elapsed, took * TICK);
    }

    // Jitter comes on top: not all that are told the same come back together.
    let pauses = jitter(1000, 1000, 9);
    let policy = Policy {
        pauses,
        ..fixed(2, 0)
    };
    let minute = HOUR / 60;
    let (_, first, _) = fail(&policy, Verdict::TryAfter(minute)).await;
    let (_, second, _) = fail(&policy, Verdict::TryAfter(minute)).await;
    assert!(first.min(second) >= minute && first.max(second) <= minute + 1000 * TICK);
    assert_ne!(first, second);

    // Nothing overflows.
    let policy = Policy {
        within: HOUR,
        ..fixed(2, 5)
    };
    let never = fail(&policy, Verdict::TryAfter(Duration::MAX)).await;
    assert_eq!(never, (1, Duration::ZERO, Why::NoTime));
    let pauses = Pauses::Fixed(Duration::MAX);
    let policy = Policy {
        pauses,
        ..fixed(2, 0)
    };
    let forever = retry(&policy, again, async || Err::<(), _>(7));
    assert!(timeout(HOUR, forever).await.is_err(), "it pauses");
    let longest = Pauses::Jitter {
        first: Duration::MAX,
        longest: Duration::MAX,
        random: SplitMix64::new(1),
    };
    assert!(longest.after(u32::MAX, HOUR) > 2 * HOUR);
}

#[test]
fn the_bound_doubles_up_to_the_longest() {
    let pauses = jitter(3, 20, 7);
    for (tries, bound) in [(1, 3), (2, 6), (3, 12), (4, 20), (5, 20), (99, 20)] {
        let drawn: Vec<_> = (0..2000)
            .map(|_| pauses.after(tries, Duration::ZERO))
            .collect();
        assert_eq!(drawn.iter().max(), Some(&(bound * TICK)), "{tries}");
        assert_eq!(drawn.iter().min(), Some(&Duration::ZERO), "{tries}");
    }
}

#[test]
fn the_numbers_are_those_of_splitmix64() {
    let random = SplitMix64::new(1_234_567);
    let expected = [
        6_457_827_717_110_365_317,
        3_203_168_211_198_807_973,
        9_817_491_932_198_370_423,
    ];
    assert_eq!(expected.map(|_| random.next()), expected);
    let most = SplitMix64::new(1);
    assert_eq!(most.up_to(u64::MAX), SplitMix64::new(1).next());
    assert_eq!(most.up_to(0), 0);
}

#[test]
fn threads_draw_different_numbers_and_processes_different_seeds() {
    let random = SplitMix64::new(3);
    let barrier = std::sync::Barrier::new(4);
    let draw = || {
        barrier.wait();
        (0..25_000).map(|_| random.next()).collect::<Vec<_>>()
    };
    let mut drawn = std::thread::scope(|scope| {
        let threads = [(); 4].map(|()| scope.spawn(draw));
        threads
            .map(|thread| thread.join().expect("no panic"))
            .concat()
    });
    drawn.sort_unstable();
    drawn.dedup();
    assert_eq!(drawn.len(), 100_000);
    let numbers = [(); 2].map(|()| SplitMix64::default().next());
    assert_ne!(numbers[0], numbers[1]);
}

#[tokio::test(start_paused = true)]
async fn calls_of_one_policy_pause_for_different_times() {
    let pauses = jitter(1000, 1000, 9);
    let policy = Policy {
        tries: 2,
        within: HOUR,
        pauses,
    };
    let mut times = Vec::new();
    for _ in 0..3 {
        times.push(fail(&policy, Verdict::TryAgain).await.1);
    }
    times.dedup();
    assert_eq!(times.len(), 3, "{times:?}");
}

#[tokio::test(start_paused = true)]
async fn a_panic_is_not_retried_and_spoils_nothing() {
    let policy = Arc::new(fixed(3, 5));
    let calls = Arc::new(AtomicU32::new(0));
    for place in 0..3 {
        let (policy, calls) = (Arc::clone(&policy), Arc::clone(&calls));
        let task = tokio::spawn(async move {
            let judge = |_: &u32| {
                assert!(place != 0, "scheduled");
                Verdict::TryAgain
            };
            retry(&policy, judge, || {
                calls.fetch_add(1, SeqCst);
                assert!(place != 1, "scheduled");
                async move {
                    yield_now().await;
                    assert!(place != 2, "scheduled");
                    Err::<(), _>(7)
                }
            })
            .await
        });
        let panicked = timeout(HOUR, task).await.expect("it ends");
        assert!(panicked.expect_err("a panic").is_panic());
    }
    assert_eq!(calls.load(SeqCst), 3);
    let next = fail(&policy, Verdict::TryAgain).await;
    assert_eq!(next, (3, 10 * TICK, Why::LastTry));
}

/// Fails as often as it was told to.
struct Service {
    policy: Policy,
    failures: AtomicU32,
}

impl Service {
    fn new(failures: u32) -> Arc<Self> {
        let (policy, failures) = (fixed(3, 5), AtomicU32::new(failures));
        Arc::new(Self { policy, failures })
    }

    async fn call(&self, number: u32, path: &str) -> Result<String, u32> {
        sleep(TICK).await;
        let left = self.failures.load(SeqCst);
        if left > 0 {
            self.failures.store(left - 1, SeqCst);
            return Err(number);
        }
        Ok(format!("{path} at try {number}"))
    }

    /// Borrows the service and the path, and counts.
    async fn get(&self, path: &str) -> Result<String, GaveUp<u32>> {
        let mut number = 0;
        retry(&self.policy, again, || {
            number += 1;
            self.call(number, path)
        })
        .await
    }
}

#[tokio::test(start_paused = true)]
async fn in_spawned_tasks() {
    let borrows = Service::new(2);
    let task = tokio::spawn(async move {
        let path = String::from("/a");
        borrows.get(&path).await
    });
    let result = timeout(HOUR, task).await.expect("it ends");
    assert_eq!(result.expect("no panic"), Ok("/a at try 3".to_string()));

    let (owned, path) = (Service::new(1), "/b".to_string());
    let policy = Arc::new(fixed(2, 5));
    let task = tokio::spawn(async move {
        let mut number = 0;
        let judge = |_: &u32| Verdict::TryAgain;
        retry(&policy, judge, move || {
            number += 1;
            let (service, path) = (Arc::clone(&owned), path.clone());
            async move { service.call(number, &path).await }
        })
        .await
    });
    let result = timeout(HOUR, task).await.expect("it ends");
    assert_eq!(result.expect("no panic"), Ok("/b at try 2".to_string()));
}

#[tokio::test(start_paused = true)]
async fn in_an_axum_handler() {
    async fn handler(service: State<Arc<Service>>) -> Result<String, StatusCode> {
        let unavailable = |_| StatusCode::SERVICE_UNAVAILABLE;
        let path = String::from("/c");
        let mut number = 10;
        let first = retry(&service.policy, again, || {
            number += 1;
            service.call(number, &path)
        });
        let first = first.await.map_err(unavailable)?;
        let owned = Arc::clone(&service);
        let second = retry(&service.policy, again, move || {
            let (service, path) = (Arc::clone(&owned), path.clone());
            async move { service.call(0, &path).await }
        });
        Ok(format!("{first}, {}", second.await.map_err(unavailable)?))
    }

    for (failures, status, text) in [
        (2, StatusCode::OK, "/c at try 13, /c at try 0"),
        (3, StatusCode::SERVICE_UNAVAILABLE, ""),
    ] {
        let router = Router::new()
            .route("/", routing::get(handler))
            .with_state(Service::new(failures));
        let request = Request::new(Body::empty());
        let response = timeout(HOUR, router.oneshot(request)).await;
        let response = response.expect("it ends").expect("it cannot fail");
        assert_eq!(response.status(), status);
        let body = axum::body::to_bytes(response.into_body(), 100).await;
        assert_eq!(body.expect("a short body"), text);
    }
}

#[tokio::test(start_paused = true)]
async fn errors_of_any_type() {
    type Boxed = Box<dyn Error + Send + Sync>;

    async fn parse(policy: &Policy) -> Result<u32, Boxed> {
        let judge = |error: &Boxed| match error.downcast_ref::<std::fmt::Error>() {
            Some(_) => Verdict::TryAgain,
            None => Verdict::GiveUp,
        };
        let mut number = 0;
        let parsed = retry(policy, judge, || {
            number += 1;
            async move {
                match number {
                    1 => Err(Boxed::from(std::fmt::Error)),
                    _ => Ok("seven".parse::<u32>()?),
                }
            }
        });
        Ok(parsed.await?)
    }

    let failed = tokio::spawn(async { parse(&fixed(3, 5)).await });
    let error = failed.await.expect("no panic").expect_err("no number");
    let text = "gave up after try 2, another would not help: invalid digit";
    assert!(error.to_string().starts_with(text), "{error}");

    async fn read(policy: &Policy) -> anyhow::Result<()> {
        retry(
            policy,
            |_| Verdict::TryAgain,
            async || anyhow::bail!("torn"),
        )
        .await?;
        Ok(())
    }
    let error = read(&fixed(2, 5)).await.expect_err("it always fails");
    assert_eq!(
        error.to_string(),
        "gave up after try 2, there are no more: torn"
    );
}
