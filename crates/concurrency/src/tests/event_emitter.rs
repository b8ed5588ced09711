use std::cell::Cell;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::FutureExt;
use tokio::task::{JoinSet, yield_now};
use tokio::time::{sleep, timeout};

use super::support::{most_memory, poll_and_drop, soon};
use crate::event_emitter::{EventEmitter, Subscription};

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Nothing takes that long unless something is wedged.
const LONG: Duration = Duration::from_secs(120);

type Emitter = EventEmitter<u32, Failure>;

/// What a listener has received.
type Log = Arc<Mutex<Vec<u32>>>;

/// Subscribes a listener that takes some milliseconds and then notes the number.
fn note(emitter: &Emitter, millis: u64) -> (Log, Subscription) {
    let log = Log::default();
    let noting = emitter.on("number", {
        let log = Arc::clone(&log);
        move |number| {
            let log = Arc::clone(&log);
            async move {
                sleep(Duration::from_millis(millis)).await;
                log.lock().unwrap().push(number);
                Ok(())
            }
        }
    });
    (log, noting)
}

#[tokio::test(start_paused = true)]
async fn a_dropped_emit_stops_its_listeners_and_harms_no_other() {
    soon(async {
        for polls in 1..8 {
            let emitter = Emitter::default();
            let (quick, _quick) = note(&emitter, 1);
            let (slow, _slow) = note(&emitter, 4);
            let (slower, slower_kept) = note(&emitter, 1000);
            let ended = poll_and_drop(emitter.emit("number", 1), polls).await;
            assert!(ended.is_none(), "the slower one is not done");
            sleep(Duration::from_secs(2)).await;
            // Nobody is called twice, and nothing runs on after the emit was dropped.
            let expected = |needs: usize| if polls > needs { vec![1] } else { vec![] };
            assert_eq!(*quick.lock().unwrap(), expected(1), "{polls} polls");
            assert_eq!(*slow.lock().unwrap(), expected(4), "{polls} polls");
            assert_eq!(*slower.lock().unwrap(), [], "{polls} polls");

            drop(slower_kept);
            let errors = timeout(LONG, emitter.emit("number", 2)).await;
            assert!(errors.is_ok_and(|errors| errors.is_empty()));
            assert_eq!(quick.lock().unwrap().last(), Some(&2));
            assert_eq!(slow.lock().unwrap().last(), Some(&2));
            assert_eq!(*slower.lock().unwrap(), []);
        }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_listener_may_take_any_time() {
    soon(async {
        let emitter = Emitter::default();
        assert!(emitter.emit("number", 1).await.is_empty(), "nobody listens");
        let (log, noting) = note(&emitter, 10_000);
        assert!(emitter.emit("number", 1).await.is_empty());
        assert_eq!(*log.lock().unwrap(), [1]);
        drop(emitter);
        drop(noting);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_subscription_lasts_as_long_as_it_is_kept() {
    soon(async {
        let emitter = Emitter::default();
        let fails = async |_| Err("called".into());
        let _ = emitter.on("number", fails);
        assert_eq!(emitter.emit("number", 1).await.len(), 0);
        let kept = emitter.on("number", fails);
        assert_eq!(emitter.emit("number", 1).await.len(), 1);
        emitter.on("number", fails).keep();
        assert_eq!(emitter.emit("number", 1).await.len(), 2);
        drop(kept);
        assert_eq!(emitter.clone().emit("number", 1).await.len(), 1);
    })
    .await;
}

/// Makes an emitter with listeners that emit, each of which owns `held`.
fn with_listeners_that_emit(held: &Arc<()>, weak: bool, keep: bool) -> Vec<Subscription> {
    let emitter = Emitter::default();
    let mut subscriptions = Vec::new();
    for _ in 0..3 {
        let held = Arc::clone(held);
        let strong = (!weak).then(|| emitter.clone());
        let weak = emitter.downgrade();
        let subscription = emitter.on("number", move |number| {
            let _owned = (&held, &strong);
            let weak = weak.clone();
            async move {
                let emitter = weak.upgrade().expect("it is being emitted");
                let errors = emitter.emit("other", number).await;
                assert!(errors.is_empty());
                Ok(())
            }
        });
        if keep {
            subscription.keep();
        } else {
            subscriptions.push(subscription);
        }
    }
    let errors = emitter.emit("number", 1).now_or_never();
    assert!(errors.is_none(), "the listeners run in tasks");
    subscriptions
}

#[tokio::test(start_paused = true)]
async fn an_emitter_is_freed_although_its_listeners_emit() {
    soon(async {
        for keep in [false, true] {
            let held = Arc::new(());
            for _ in 0..1000 {
                let _ended = with_listeners_that_emit(&held, true, keep);
            }
            // What `emit` has spawned and aborted.
            sleep(Duration::from_millis(1)).await;
            assert_eq!(Arc::strong_count(&held), 1, "a listener has leaked");
        }
        // The trap: with a clone of the emitter instead.
        let held = Arc::new(());
        drop(with_listeners_that_emit(&held, false, false));
        sleep(Duration::from_millis(1)).await;
        assert_eq!(Arc::strong_count(&held), 1);
        drop(with_listeners_that_emit(&held, false, true));
        sleep(Duration::from_millis(1)).await;
        assert_eq!(Arc::strong_count(&held), 4, "the cycle is not freed");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn an_error_of_a_listener_is_an_error() {
    let emitter = Emitter::default();
    emitter.on("number", async |_| Err("no".into())).keep();
    for number in [0, 1, 31, 129, 1000] {
        let emitter = Emitter::default();
        for _ in 0..number {
            emitter.on("number", async |_| Ok(())).keep();
        }
        emitter.on("number", async |_| Err("no".into())).keep();
        let errors = emitter.emit("number", 1).await;
        assert_eq!(errors.len(), 1, "beside {number}");
    }
    let weak = emitter.downgrade();
    let error = emitter.emit("number", 1).await.remove(0);
    assert_eq!(error.to_string(), "no");
    drop(emitter);
    assert!(weak.upgrade().is_none());
}

#[test]
fn names_without_listeners_do_not_pile_up() {
    let memory = |names: u32| {
        most_memory(async move {
            let emitter = Emitter::default();
            for number in 0..names {
                drop(emitter.on(&number.to_string(), async |_| Ok(())));
                emitter.once(&number.to_string(), async |_| Ok(())).keep();
                assert!(emitter.emit(&number.to_string(), 0).await.is_empty());
            }
        })
    };
    let (few, many) = (memory(10), memory(1000));
    assert!(many < 2 * few, "{many} bytes for many, {few} for few");
}

#[tokio::test(start_paused = true)]
async fn a_listener_that_panics_is_told_and_the_others_are_called() {
    soon(async {
        let emitter = Emitter::default();
        let _first = emitter.on("number", async |_| panic!("in the listener"));
        // This one panics before it has made a future.
        let _second = emitter.on("number", |number| {
            assert!(number != 1, "in the closure");
            async { Err("not today".into()) }
        });
        let (log, _noting) = note(&emitter, 1);
        let errors = timeout(LONG, emitter.emit("number", 1)).await.unwrap();
        let panicked = |error: &Failure| error.to_string().contains("panic");
        assert_eq!(errors.iter().filter(|error| panicked(error)).count(), 2);
        let errors = timeout(LONG, emitter.emit("number", 2)).await.unwrap();
        assert!(panicked(&errors[0]));
        assert_eq!(errors[1].to_string(), "not today");
        assert_eq!(*log.lock().unwrap(), [1, 2]);
    })
    .await;
}

/// In a separate thread, as it would block forever on a lock that it holds.
#[test]
fn listeners_may_subscribe_unsubscribe_and_emit() {
    let (done, ended) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        runtime
            .enable_time()
            .build()
            .unwrap()
            .block_on(listeners_that_use_their_emitter());
        done.send(()).unwrap();
    });
    ended
        .recv_timeout(LONG)
        .expect("a listener is blocked, or has panicked");
}

async fn listeners_that_use_their_emitter() {
    let emitter = Emitter::default();
    let calls = Arc::new(AtomicUsize::new(0));
    let (_log, noting) = note(&emitter, 0);
    // A listener that owns the subscription of another one.
    let owner = emitter.on("owner", move |_| {
        let _owned = &noting;
        async { Ok(()) }
    });
    let owner = Mutex::new(Some(owner));
    let _busy = emitter.on("start", {
        let calls = Arc::clone(&calls);
        let emitter = emitter.clone();
        move |number| {
            let dropped = owner.lock().unwrap().take();
            drop(dropped);
            calls.fetch_add(1, Ordering::Relaxed);
            let emitter = emitter.clone();
            async move {
                let added = emitter.on("inner", async |_| Err("inner".into()));
                let errors = emitter.emit("inner", number).await;
                drop(added);
                assert_eq!(errors.len(), 1);
                Ok(())
            }
        }
    });
    let errors = emitter.emit("start", 1).await;
    assert!(errors.is_empty(), "{errors:?}");
    assert_eq!(calls.load(Ordering::Relaxed), 1);
    assert!(emitter.emit("number", 1).await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn data_need_only_be_send() {
    soon(async {
        let emitter = EventEmitter::<Cell<u32>, Failure>::default();
        let _listening = emitter.on("cell", async |cell: Cell<u32>| {
            Err(cell.get().to_string().into())
        });
        let errors =
            tokio::spawn(async move { emitter.emit("cell", Cell::new(7)).await.len() });
        assert_eq!(errors.await.unwrap(), 1);
    })
    .await;
}

/// 10,000 emits by many tasks, a quarter of which are aborted at some moment, while
/// others subscribe and unsubscribe.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_tasks_at_once() {
    soon(async {
        let emitter = Emitter::default();
        let (first, _first) = note(&emitter, 0);
        let (mut passing, held) = (JoinSet::new(), Arc::new(()));
        for _ in 0..4 {
            let (emitter, held) = (emitter.clone(), Arc::clone(&held));
            passing.spawn(async move {
                loop {
                    let held = Arc::clone(&held);
                    let _passing = emitter.on("number", move |_| {
                        let _held = &held;
                        async { Ok(()) }
                    });
                    yield_now().await;
                }
            });
        }
        let mut completed = Vec::new();
        for round in 0..100_u32 {
            let mut emitting = Vec::new();
            for number in round * 100..(round + 1) * 100 {
                let emitter = emitter.clone();
                emitting.push(tokio::spawn(async move {
                    assert!(emitter.emit("number", number).await.is_empty());
                    number
                }));
            }
            for _ in 0..round % 8 {
                yield_now().await;
            }
            for task in emitting.iter().step_by(4) {
                task.abort();
            }
            for task in emitting {
                match timeout(LONG, task).await.expect("an emit is stuck") {
                    Ok(number) => completed.push(number),
                    Err(ended) => assert!(ended.is_cancelled()),
                }
            }
        }
        passing.shutdown().await;
        let (last, _last) = note(&emitter, 0);
        assert!(emitter.emit("number", 10_000).await.is_empty());
        assert_eq!(*last.lock().unwrap(), [10_000]);
        completed.push(10_000);

        let mut received = first.lock().unwrap().clone();
        received.sort_unstable();
        assert!(
            received.is_sorted_by(|a, b| a < b),
            "a listener was called twice"
        );
        for number in &completed {
            let found = received.binary_search(number);
            assert!(found.is_ok(), "{number} did not reach the listener");
        }
        assert!(completed.len() > 7_500, "{}", completed.len());
        assert_eq!(Arc::strong_count(&held), 1, "no passing listener is left");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn pyee_once_is_called_for_one_event_whoever_emits_it() {
    soon(async {
        for round in 0..500 {
            let emitter = Emitter::default();
            let calls = Arc::new(AtomicUsize::new(0));
            let counted = Arc::clone(&calls);
            let count = move |_| {
                counted.fetch_add(1, Ordering::SeqCst);
                async { Ok(()) }
            };
            let subscription = emitter.once("number", count);
            let emits = (0..4).map(|_| {
                let emitter = emitter.clone();
                async move { emitter.emit("number", 1).await.len() }
            });
            let emits: JoinSet<_> = emits.collect();
            assert_eq!(emits.join_all().await, [0; 4]);
            assert_eq!(calls.load(Ordering::SeqCst), 1, "round {round}");
            drop(subscription);
        }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn pyee_once_unsubscribed_before_the_event_is_not_called() {
    let emitter = Emitter::default();
    drop(emitter.once("number", async |_| panic!("it is called")));
    assert!(emitter.emit("number", 1).await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn after_unsubscribing_a_running_call_keeps_running() {
    soon(async {
        let emitter = Emitter::default();
        let (log, noting) = note(&emitter, 10);
        let unsubscribes = async {
            sleep(Duration::from_millis(5)).await;
            drop(noting);
        };
        let (errors, ()) = tokio::join!(emitter.emit("number", 1), unsubscribes);
        assert!(errors.is_empty());
        assert_eq!(*log.lock().unwrap(), [1]);
        assert!(emitter.emit("number", 2).await.is_empty());
        assert_eq!(*log.lock().unwrap(), [1], "no further call");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn if_a_listener_runs_forever_emit_waits_forever() {
    let emitter = Emitter::default();
    let hangs = emitter.on("number", async |_| std::future::pending().await);
    let emits = timeout(1000 * LONG, emitter.emit("number", 1));
    assert!(emits.await.is_err());
    drop(hangs);
    // With a timeout in the listener, as the header advises.
    let _limited = emitter.on("number", async |_| {
        Ok(timeout(LONG, std::future::pending()).await?)
    });
    let emits = timeout(2 * LONG, emitter.emit("number", 2)).await;
    assert_eq!(emits.expect("it ends").len(), 1);
}
