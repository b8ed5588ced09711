use std::cell::Cell;
use std::panic::catch_unwind;
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::FutureExt;
use tokio::sync::Semaphore;
use tokio::task::{JoinSet, yield_now};
use tokio::time::{sleep, timeout};

use super::support::poll_and_drop;
use crate::bulkhead::{Bulkhead, Full};

/// Nothing takes that long, unless something hangs.
const LONG: Duration = Duration::from_secs(120);
const TICK: Duration = Duration::from_millis(1);

/// Checks that nobody is in it: so many can run at the same time, so many wait, and no more.
async fn assert_empty(bulkhead: &Bulkhead, at_once: usize, waiting: usize) {
    let running = AtomicUsize::new(0);
    let calls = (0..at_once + waiting).map(|_| {
        bulkhead.run(async || {
            running.fetch_add(1, SeqCst);
            yield_now().await;
        })
    });
    let mut calls: Vec<_> = calls.map(Box::pin).collect();
    for call in &mut calls {
        assert!(futures::poll!(call).is_pending(), "there is a place");
    }
    assert_eq!(running.load(SeqCst), at_once, "as many as may run at once");
    let more = bulkhead.run(async || {}).now_or_never();
    assert_eq!(more, Some(Err(Full)), "and no more");
    let all = timeout(LONG, futures::future::join_all(calls)).await;
    assert!(all.expect("nobody hangs").iter().all(Result::is_ok));
}

#[tokio::test(start_paused = true)]
async fn dropped_at_each_await() {
    for (at_once, waiting) in [(1, 0), (1, 1), (1, 3), (2, 2)] {
        for before in 0..at_once + waiting {
            let mut completed = false;
            for polls in 0..40 {
                let bulkhead = Arc::new(Bulkhead::new(at_once, waiting));
                let order = Arc::new(Mutex::new(Vec::new()));
                let mut others = JoinSet::new();
                let mut other = |number| {
                    let (bulkhead, order) = (Arc::clone(&bulkhead), Arc::clone(&order));
                    others.spawn(async move {
                        let call = async || {
                            order.lock().expect("no panic").push(number);
                            sleep(5 * TICK).await;
                        };
                        // The last may be refused.
                        let result = bulkhead.run(call).await;
                        assert!(result.is_ok() || number == 99);
                    });
                };
                for number in 0..before {
                    other(number);
                    yield_now().await;
                }
                let leaves = async {
                    let call = || sleep(5 * TICK);
                    poll_and_drop(bulkhead.run(call), polls).await
                };
                let comes = async {
                    sleep(TICK / 2).await;
                    other(99);
                };
                let (left, ()) = tokio::join!(leaves, comes);
                completed |= left.is_some();
                let ended = timeout(LONG, others.join_all()).await;
                assert_eq!(ended.expect("nobody hangs").len(), before + 1);
                let order = order.lock().expect("no panic").clone();
                assert!(order.is_sorted(), "in the order of coming: {order:?}");
                assert_empty(&bulkhead, at_once, waiting).await;
            }
            assert!(completed, "40 polls are enough");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_gets_free_is_taken_at_once() {
    let bulkhead = Arc::new(Bulkhead::new(1, 1));
    let call = |ticks| {
        let bulkhead = Arc::clone(&bulkhead);
        tokio::spawn(async move { bulkhead.run(|| sleep(ticks * TICK)).await })
    };
    let running = call(100);
    yield_now().await;
    let in_line = call(100);
    yield_now().await;
    assert_eq!(bulkhead.run(async || {}).await, Err(Full));
    in_line.abort();
    assert!(in_line.await.is_err());
    let next = call(1);
    yield_now().await;
    assert_eq!(
        bulkhead.run(async || {}).await,
        Err(Full),
        "its place is taken"
    );
    running.abort();
    assert!(running.await.is_err());
    let ended = timeout(10 * TICK, next).await.expect("it is its turn");
    assert_eq!(ended.expect("it does not panic"), Ok(()));
    assert_empty(&bulkhead, 1, 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn ten_thousand_at_once() {
    const AT_ONCE: usize = 5;
    const WAITING: usize = 100;

    struct Running(Arc<AtomicUsize>);

    impl Drop for Running {
        fn drop(&mut self) {
            self.0.fetch_sub(1, SeqCst);
        }
    }

    let bulkhead = Arc::new(Bulkhead::new(AT_ONCE, WAITING));
    let running = Arc::new(AtomicUsize::new(0));
    let mut set = JoinSet::new();
    for number in 0..10_000_u64 {
        let (bulkhead, running) = (Arc::clone(&bulkhead), Arc::clone(&running));
        let task = set.spawn(async move {
            let call = async move || {
                let before = running.fetch_add(1, SeqCst);
                let _running = Running(running);
                if number % 40 == 0 {
                    sleep(Duration::from_micros(number % 50)).await;
                } else {
                    yield_now().await;
                }
                assert!(number % 100 != 7, "scheduled");
                before
            };
            let waits = Duration::from_micros(number % 300);
            match number % 3 {
                0 => timeout(waits, bulkhead.run(call)).await.ok(),
                _ => Some(bulkhead.run(call).await),
            }
        });
        if number % 10 == 9 {
            task.abort();
        }
        if number % 5 == 0 {
            yield_now().await;
        }
    }
    let (mut done, mut refused, mut left, mut panicked) = (0, 0, 0, 0);
    let all = async {
        while let Some(ended) = set.join_next().await {
            match ended {
                Ok(Some(Ok(before))) => {
                    assert!(before < AT_ONCE, "{before} were running");
                    done += 1;
                }
                Ok(Some(Err(Full))) => refused += 1,
                Ok(None) => left += 1,
                Err(error) if error.is_cancelled() => left += 1,
                Err(_) => panicked += 1,
            }
        }
    };
    timeout(LONG, all).await.expect("nobody hangs");
    assert_eq!(done + refused + left + panicked, 10_000);
    assert!(done > 0 && refused > 0 && panicked > 0);
    assert_eq!(running.load(SeqCst), 0);
    assert_empty(&bulkhead, AT_ONCE, WAITING).await;
}

#[tokio::test(start_paused = true)]
async fn limits() {
    assert!(
        catch_unwind(|| Bulkhead::new(0, 1)).is_err(),
        "none at once"
    );
    assert!(
        catch_unwind(|| Bulkhead::new(1, usize::MAX)).is_err(),
        "too many"
    );
    assert_empty(&Bulkhead::new(1, 0), 1, 0).await;
    assert_empty(&Bulkhead::new(3, 2), 3, 2).await;
    let many = Bulkhead::new(1, Semaphore::MAX_PERMITS - 1);
    assert_eq!(many.run(async || { 1 }).await, Ok(1));
}

#[tokio::test(start_paused = true)]
async fn a_rejected_call_is_not_begun() {
    let bulkhead = Bulkhead::new(1, 0);
    let mut running = pin!(bulkhead.run(|| sleep(TICK)));
    assert!(futures::poll!(running.as_mut()).is_pending());
    let begun = Cell::new(false);
    let refused = bulkhead.run(async || begun.set(true)).now_or_never();
    assert_eq!((refused, begun.get()), (Some(Err(Full)), false));
    // Some clients send the request when their method is called, as `spawn` does.
    let request = || {
        begun.set(true);
        tokio::spawn(async {})
    };
    let refused = bulkhead.run(request).now_or_never();
    assert!(matches!(refused, Some(Err(Full))) && !begun.get());
    running.await.expect("it runs");
    drop(bulkhead.run(async || begun.set(true)));
    assert!(!begun.get(), "nor is what is not awaited");
    assert_empty(&bulkhead, 1, 0).await;
}

#[tokio::test(start_paused = true)]
async fn a_panic_gives_its_turn_back() {
    let bulkhead = Arc::new(Bulkhead::new(1, 1));
    let shared = Arc::clone(&bulkhead);
    let panics = tokio::spawn(async move {
        let call = async || {
            sleep(TICK).await;
            panic!("scheduled");
        };
        shared.run(call).await
    });
    yield_now().await;
    let next = timeout(LONG, bulkhead.run(async || 2)).await;
    assert_eq!(next, Ok(Ok(2)));
    assert!(panics.await.is_err());
    assert_empty(&bulkhead, 1, 1).await;
}

#[tokio::test(start_paused = true)]
async fn a_call_within_a_call_waits_for_ever() {
    let bulkhead = Bulkhead::new(1, 1);
    let nested = bulkhead.run(|| bulkhead.run(async || {}));
    assert!(timeout(LONG, nested).await.is_err());
    assert_empty(&bulkhead, 1, 1).await;
}

#[tokio::test(start_paused = true)]
async fn one_whose_turn_it_is_has_to_be_awaited() {
    let bulkhead = Bulkhead::new(1, 2);
    let mut first = Box::pin(bulkhead.run(|| sleep(TICK)));
    assert!(futures::poll!(&mut first).is_pending());
    let mut second = Box::pin(bulkhead.run(async || {}));
    assert!(futures::poll!(&mut second).is_pending());
    assert_eq!(first.await, Ok(()));
    assert!(timeout(LONG, bulkhead.run(async || {})).await.is_err());
    assert_eq!(timeout(LONG, second).await, Ok(Ok(())));
}

struct Shop {
    name: String,
    stock: Bulkhead,
}

impl Shop {
    async fn count(&self, item: &str) -> Result<String, Full> {
        let call = async || {
            sleep(TICK).await;
            format!("{item} at {}", self.name)
        };
        self.stock.run(call).await
    }
}

#[tokio::test(start_paused = true)]
async fn in_a_struct_in_tasks_with_what_is_borrowed() {
    let (name, stock) = ("here".to_string(), Bulkhead::new(1, 1));
    let shop = Arc::new(Shop { name, stock });
    let tasks = ["pears", "plums", "figs"].map(|item| {
        let (shop, item) = (Arc::clone(&shop), item.to_string());
        tokio::spawn(async move { shop.count(&item).await })
    });
    let mut counted = Vec::new();
    for task in tasks {
        counted.push(
            timeout(LONG, task)
                .await
                .expect("it ends")
                .expect("it does not panic"),
        );
    }
    let text = |text: &str| Ok(text.to_string());
    assert_eq!(
        counted,
        [text("pears at here"), text("plums at here"), Err(Full)]
    );
}

/// What the header says of tower 0.5.
#[tokio::test(start_paused = true)]
async fn tower_rejects_what_would_wait() {
    use tower::{Service, ServiceBuilder, ServiceExt};

    let service = tower::service_fn(async |ticks: u32| {
        sleep(ticks * TICK).await;
        Ok::<_, std::convert::Infallible>(ticks)
    });
    let builder = ServiceBuilder::new().load_shed().concurrency_limit(1);
    let mut service = builder.service(service);
    let first = service.ready().await.expect("it is ready").call(1);
    let second = service.ready().await.expect("it sheds, and never waits");
    let second = second.call(1).now_or_never().expect("at once");
    assert_eq!(
        second.expect_err("no queue").to_string(),
        "service overloaded"
    );
    assert_eq!(first.await.expect("it runs"), 1);
}

#[tokio::test(start_paused = true)]
async fn a_call_within_a_call_is_rejected_if_the_queue_is_full() {
    let bulkhead = Bulkhead::new(1, 0);
    let nested = bulkhead.run(|| bulkhead.run(async || {}));
    assert_eq!(timeout(LONG, nested).await, Ok(Ok(Err(Full))));
    assert_empty(&bulkhead, 1, 0).await;
}

#[tokio::test(start_paused = true)]
async fn tasks_that_the_call_spawns_are_not_counted() {
    let bulkhead = Bulkhead::new(1, 0);
    let spawns = async || tokio::spawn(sleep(LONG));
    let task = bulkhead.run(spawns).await.expect("there is a place");
    assert!(!task.is_finished());
    assert_empty(&bulkhead, 1, 0).await;
}
