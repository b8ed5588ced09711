use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use futures::future::join_all;
use tokio::runtime::Builder;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::support::{all_wait, assert_linear, poll_and_drop, soon};
use crate::single_flight::{NoResult, SingleFlight};

const HOUR: Duration = Duration::from_secs(3600);
const TICK: Duration = Duration::from_millis(1);

/// A call of five ticks, which counts how often it has begun and ended.
async fn call(begun: Arc<AtomicUsize>, ended: Arc<AtomicUsize>) -> usize {
    let number = begun.fetch_add(1, SeqCst) + 1;
    sleep(5 * TICK).await;
    ended.fetch_add(1, SeqCst);
    number
}

#[tokio::test(start_paused = true)]
async fn dropped_at_each_await() {
    for (leaders, followers) in [(1, 0), (1, 3), (0, 1), (0, 3)] {
        let mut completed = false;
        for polls in 1..20 {
            let (flights, key) = (SingleFlight::new(), Arc::new("key"));
            let (begun, ended) = (Arc::default(), Arc::default());
            let ask = || {
                let call = call(Arc::clone(&begun), Arc::clone(&ended));
                flights.run(Arc::clone(&key), call)
            };
            let stays = async {
                sleep(TICK * u32::from(leaders > 0)).await;
                join_all((0..followers).map(|_| ask())).await
            };
            let leaves = async {
                sleep(TICK * u32::from(leaders == 0)).await;
                poll_and_drop(ask(), polls).await
            };
            let both = async { tokio::join!(stays, leaves) };
            let (stayed, left) = timeout(HOUR, both).await.expect("nobody hangs");
            assert_eq!(stayed, vec![Ok(1); followers]);
            completed |= left.is_some();
            assert_eq!(left.unwrap_or(Ok(1)), Ok(1));

            sleep(10 * TICK).await;
            assert_eq!(begun.load(SeqCst), 1, "one call for all, {polls} polls");
            assert_eq!(ended.load(SeqCst), 1, "it survives who leaves");
            assert_eq!(Arc::strong_count(&key), 1, "its key is free again");
            let next = timeout(HOUR, ask()).await;
            assert_eq!(next, Ok(Ok(2)), "the next begins a new one");
        }
        assert!(completed, "20 polls are enough");
    }
}

#[tokio::test]
async fn not_polled_it_does_nothing() {
    let (flights, key) = (SingleFlight::new(), Arc::new(1));
    drop(flights.run(Arc::clone(&key), async { 1 }));
    assert_eq!(Arc::strong_count(&key), 1);
    assert_eq!(flights.run(key, async { 2 }).await, Ok(2));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn ten_thousand_at_once() {
    const KEYS: usize = 7;
    let flights = SingleFlight::new();
    let running: Arc<[AtomicUsize; KEYS]> = Arc::default();
    let calls = Arc::new(AtomicUsize::new(0));
    let mut set = JoinSet::new();
    for number in 0..10_000 {
        let key = number % KEYS;
        let (running, calls) = (Arc::clone(&running), Arc::clone(&calls));
        let call = async move {
            calls.fetch_add(1, SeqCst);
            let others = running[key].fetch_add(1, SeqCst);
            sleep(Duration::from_micros(number as u64 % 300)).await;
            running[key].fetch_sub(1, SeqCst);
            // Only calls of one key fail.
            assert!(key != 0 || number % 16 != 5, "scheduled");
            (key, others)
        };
        let flights = flights.clone();
        let task = set.spawn(async move {
            let result = flights.run(key, call);
            match number % 3 {
                // Gives up early, often as the one who began it.
                0 => timeout(Duration::from_micros(50), result).await.ok(),
                _ => Some(result.await),
            }
            .map(|result| (key, result))
        });
        if number % 10 == 9 {
            task.abort();
        }
        if number % 100 == 0 {
            tokio::task::yield_now().await;
        }
    }
    let (mut results, mut failed, mut gave_up, mut aborted) = (0, 0, 0, 0);
    let all = async {
        while let Some(outcome) = set.join_next().await {
            match outcome {
                Ok(Some((key, Ok(value)))) => {
                    assert_eq!(value, (key, 0), "its own, and one at a time");
                    results += 1;
                }
                Ok(Some((key, Err(NoResult)))) => {
                    assert_eq!(key, 0, "the others do not fail");
                    failed += 1;
                }
                Ok(None) => gave_up += 1,
                Err(error) if error.is_cancelled() => aborted += 1,
                Err(error) => panic!("{error}"),
            }
        }
    };
    timeout(Duration::from_secs(60), all)
        .await
        .expect("nobody hangs");
    assert_eq!(results + failed + gave_up + aborted, 10_000);
    assert!(results > 0 && calls.load(SeqCst) < 10_000);
    // The last calls may still run, with nobody waiting for them.
    for key in 0..KEYS {
        let freed = async {
            while flights.run(key, async { (KEYS, 0) }).await != Ok((KEYS, 0)) {}
        };
        soon(freed).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn who_comes_when_a_call_ends_gets_a_result() {
    let flights = SingleFlight::new();
    let mut set = JoinSet::new();
    for _ in 0..4 {
        let flights = flights.clone();
        set.spawn(async move {
            for _ in 0..5000 {
                assert_eq!(flights.run((), async { 1 }).await, Ok(1));
            }
        });
    }
    let all = timeout(Duration::from_secs(60), set.join_all());
    all.await.expect("nobody hangs");
}

#[tokio::test(start_paused = true)]
async fn keys_do_not_wait_for_each_other() {
    let flights = SingleFlight::new();
    let calls = (0..1000).map(|key| {
        flights.run(key, async move {
            sleep(TICK).await;
            key
        })
    });
    let results = timeout(2 * TICK, join_all(calls))
        .await
        .expect("all at once");
    assert!(results.into_iter().eq((0..1000).map(Ok)));
}

#[tokio::test(start_paused = true)]
async fn who_hears_the_result_and_asks_again_begins_a_new_call() {
    let flights = SingleFlight::new();
    let (begun, ended) = (Arc::default(), Arc::default());
    for number in 1..100 {
        let call = call(Arc::clone(&begun), Arc::clone(&ended));
        assert_eq!(timeout(HOUR, flights.run((), call)).await, Ok(Ok(number)));
    }
}

#[tokio::test(start_paused = true)]
async fn after_a_panic_the_key_is_free() {
    let flights = SingleFlight::new();
    for _ in 0..3 {
        let calls = (0..4).map(|_| {
            flights.run("key", async {
                sleep(TICK).await;
                panic!("scheduled")
            })
        });
        let ends = timeout(HOUR, join_all(calls)).await.expect("nobody hangs");
        assert_eq!(ends, vec![Err::<u8, _>(NoResult); 4]);
    }
    assert_eq!(
        timeout(HOUR, flights.run("key", async { 5 })).await,
        Ok(Ok(5))
    );
}

#[test]
fn a_runtime_that_is_shut_down_gives_no_result() {
    let (report, reported) = std::sync::mpsc::channel();
    // In a separate thread, as a deadlock would block it.
    std::thread::spawn(move || {
        let gone = Builder::new_current_thread().build().expect("a runtime");
        let handle = gone.handle().clone();
        drop(gone);
        let _entered = handle.enter();
        let flights = SingleFlight::new();
        let key = Arc::new(1);
        let call = flights.run(Arc::clone(&key), async { 1 });
        let result = futures::executor::block_on(call);
        report.send((result, Arc::strong_count(&key)))
    });
    let reported = reported.recv_timeout(Duration::from_secs(60));
    assert_eq!(reported, Ok((Err(NoResult), 1)), "its key is free");
}

#[tokio::test(start_paused = true)]
async fn who_asks_for_its_own_key_waits_for_itself() {
    let flights = SingleFlight::new();
    let inner = flights.clone();
    let call = async move { inner.run(1, async { 2 }).await.unwrap_or(3) };
    assert!(timeout(HOUR, flights.run(1, call)).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_call_that_never_ends_keeps_its_key() {
    let flights = SingleFlight::new();
    assert!(
        timeout(HOUR, flights.run(1, std::future::pending()))
            .await
            .is_err()
    );
    assert!(timeout(HOUR, flights.run(1, async {})).await.is_err());
}

#[tokio::test]
async fn the_call_sees_no_task_locals() {
    tokio::task_local! {
        static REQUEST: u32;
    }
    let flights = SingleFlight::new();
    let call = flights.run(1, async { REQUEST.try_get().ok() });
    assert_eq!(REQUEST.scope(7, call).await, Ok(None));
}

#[tokio::test]
async fn an_error_that_is_not_clone_goes_into_an_arc() {
    let flights: SingleFlight<u8, Result<u8, Arc<std::io::Error>>> =
        SingleFlight::default();
    let failing = || {
        flights.run(1, async {
            tokio::task::yield_now().await;
            Err(Arc::new(std::io::Error::other("scheduled")))
        })
    };
    let (first, second) = tokio::join!(failing(), failing());
    match (first, second) {
        (Ok(Err(first)), Ok(Err(second))) => assert!(Arc::ptr_eq(&first, &second)),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn in_a_struct_in_a_task_with_what_is_only_send() {
    struct Service {
        flights: SingleFlight<String, std::cell::Cell<u8>>,
    }
    let flights = SingleFlight::new();
    let service = Arc::new(Service { flights });
    let tasks = (0..4).map(|_| {
        let service = Arc::clone(&service);
        tokio::spawn(async move {
            let call = async { std::cell::Cell::new(7) };
            service.flights.run("key".to_string(), call).await
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        let result = timeout(Duration::from_secs(60), task).await;
        assert_eq!(result.expect("it ends").expect("it is Send"), Ok(7.into()));
    }
}

#[test]
fn ten_times_as_many_that_ask_cost_ten_times_as_much() {
    for all_for_one in [true, false] {
        assert_linear(async |number| {
            let flights = SingleFlight::new();
            let asking = all_wait(number, |number| {
                let flights = flights.clone();
                let key = if all_for_one { 0 } else { number };
                async move { flights.run(key, sleep(TICK)).await }
            });
            let results = asking.await.join_all().await;
            assert!(results.iter().all(Result::is_ok));
        });
    }
}

#[tokio::test(start_paused = true)]
async fn go_after_forget_the_next_caller_starts_another_call() {
    let flights = SingleFlight::new();
    let (begun, ended) = (Arc::default(), Arc::default());
    let ask = || flights.run("key", call(Arc::clone(&begun), Arc::clone(&ended)));
    let first = ask();
    let later = async {
        sleep(2 * TICK).await;
        flights.forget(&"key");
        // The end of the first call, after 5 ticks, leaves the key to the second.
        let third = async {
            sleep(4 * TICK).await;
            ask().await
        };
        tokio::join!(ask(), third)
    };
    let (first, (second, third)) = tokio::join!(first, later);
    assert_eq!((first, second, third), (Ok(1), Ok(2), Ok(2)));
    flights.forget(&"key");
    assert_eq!(ask().await, Ok(3), "the key was free");
}
