//! Further cases after the tests of pyee.

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};

use super::support::tasks;
use crate::event_emitter::{EventEmitter, Subscription};

const SECOND: Duration = Duration::from_secs(1);

type Failure = Box<dyn Error + Send + Sync>;
type Emitter = EventEmitter<u32, Failure>;

/// What the listeners have received.
#[derive(Clone, Default)]
struct Calls(Arc<Mutex<Vec<(&'static str, u32)>>>);

impl Calls {
    fn get(&self) -> MutexGuard<'_, Vec<(&'static str, u32)>> {
        self.0.lock().expect("nobody panics with the lock")
    }

    /// Subscribes a listener that notes its name and what it receives.
    fn note(&self, emitter: &Emitter, event: &str, name: &'static str) -> Subscription {
        let calls = self.clone();
        emitter.on(event, move |data| {
            calls.get().push((name, data));
            async { Ok(()) }
        })
    }
}

async fn emit(emitter: &Emitter, event: &str, data: u32) {
    let errors = emitter.emit(event, data).await;
    assert!(errors.is_empty(), "{errors:?}");
}

#[tokio::test(start_paused = true)]
async fn pyee_a_listener_gets_what_is_emitted() {
    let (emitter, calls) = (Emitter::default(), Calls::default());
    let _subscription = calls.note(&emitter, "event", "a");
    emit(&emitter, "event", 1).await;
    emit(&emitter, "event", 2).await;
    assert_eq!(*calls.get(), [("a", 1), ("a", 2)]);
}

#[tokio::test(start_paused = true)]
async fn pyee_an_event_without_listeners_is_no_error() {
    emit(&Emitter::default(), "event", 1).await;
}

#[tokio::test(start_paused = true)]
async fn pyee_listeners_of_other_events_are_not_called() {
    let (emitter, calls) = (Emitter::default(), Calls::default());
    let _kept = [
        calls.note(&emitter, "event", "a"),
        calls.note(&emitter, "other", "b"),
    ];
    emit(&emitter, "event", 1).await;
    assert_eq!(*calls.get(), [("a", 1)]);
}

#[tokio::test(start_paused = true)]
async fn pyee_listeners_are_started_in_their_order() {
    let (emitter, calls) = (Emitter::default(), Calls::default());
    let _kept = ["a", "b", "c"].map(|name| calls.note(&emitter, "event", name));
    emit(&emitter, "event", 1).await;
    assert_eq!(*calls.get(), [("a", 1), ("b", 1), ("c", 1)]);
}

#[tokio::test(start_paused = true)]
async fn pyee_removed_a_listener_is_not_called() {
    let (emitter, calls) = (Emitter::default(), Calls::default());
    let first = calls.note(&emitter, "event", "a");
    let _second = calls.note(&emitter, "event", "b");
    drop(first);
    emit(&emitter, "event", 1).await;
    assert_eq!(*calls.get(), [("b", 1)]);
}

#[tokio::test(start_paused = true)]
async fn pyee_subscribed_again_a_listener_comes_last() {
    let (emitter, calls) = (Emitter::default(), Calls::default());
    drop(calls.note(&emitter, "event", "a"));
    let _kept = ["b", "a"].map(|name| calls.note(&emitter, "event", name));
    emit(&emitter, "event", 1).await;
    assert_eq!(*calls.get(), [("b", 1), ("a", 1)]);
}

#[tokio::test(start_paused = true)]
async fn pyee_all_listeners_are_removed_with_their_subscriptions() {
    let (emitter, calls) = (Emitter::default(), Calls::default());
    let kept = ["a", "b"].map(|name| calls.note(&emitter, "event", name));
    drop(kept);
    emit(&emitter, "event", 1).await;
    assert_eq!(*calls.get(), []);
}

#[tokio::test(start_paused = true)]
async fn pyee_asyncio_listeners_run_concurrently() {
    let (emitter, start) = (Emitter::default(), Instant::now());
    let _kept = [1, 3, 2].map(|seconds| {
        emitter.on("event", move |_| async move {
            sleep(seconds * SECOND).await;
            Ok(())
        })
    });
    emit(&emitter, "event", 1).await;
    assert_eq!(start.elapsed(), 3 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn pyee_asyncio_the_errors_of_listeners_are_returned_differs() {
    // In pyee they are emitted as the event "error".
    let (emitter, calls) = (Emitter::default(), Calls::default());
    let _kept = [
        emitter.on("event", async |_| Err("failed".into())),
        calls.note(&emitter, "event", "b"),
        emitter.on("event", async |_| -> Result<(), Failure> {
            panic!("scheduled")
        }),
    ];
    let errors = emitter.emit("event", 1).await;
    assert_eq!(errors.len(), 2);
    assert_eq!(errors[0].to_string(), "failed");
    assert!(errors[1].to_string().contains("panicked"));
    assert_eq!(*calls.get(), [("b", 1)]);
}

#[tokio::test(start_paused = true)]
async fn pyee_asyncio_cancelled_the_listeners_are_cancelled() {
    let (emitter, ended) = (Emitter::default(), Arc::new(AtomicU32::new(0)));
    let counted = Arc::clone(&ended);
    let _kept = emitter.on("event", move |_| {
        let counted = Arc::clone(&counted);
        async move {
            sleep(60 * SECOND).await;
            counted.fetch_add(1, SeqCst);
            Ok(())
        }
    });
    assert!(timeout(SECOND, emitter.emit("event", 1)).await.is_err());
    sleep(3600 * SECOND).await;
    assert_eq!((ended.load(SeqCst), tasks()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn pyee_a_listener_may_remove_itself() {
    let (emitter, calls) = (Emitter::default(), Calls::default());
    let own = Arc::new(Mutex::new(None));
    let (kept, noted) = (Arc::clone(&own), calls.clone());
    let subscription = emitter.on("event", move |data| {
        noted.get().push(("a", data));
        drop(kept.lock().expect("no panic").take());
        async { Ok(()) }
    });
    *own.lock().expect("no panic") = Some(subscription);
    emit(&emitter, "event", 1).await;
    emit(&emitter, "event", 2).await;
    assert_eq!(*calls.get(), [("a", 1)]);
}

#[tokio::test(start_paused = true)]
async fn pyee_a_listener_that_is_added_by_a_listener_waits_for_the_next_event() {
    let (emitter, calls) = (Emitter::default(), Calls::default());
    let (weak, noted) = (emitter.downgrade(), calls.clone());
    let _kept = emitter.once("event", move |_| {
        if let Some(emitter) = weak.upgrade() {
            noted.note(&emitter, "event", "added").keep();
        }
        async { Ok(()) }
    });
    emit(&emitter, "event", 1).await;
    assert_eq!(*calls.get(), []);
    emit(&emitter, "event", 2).await;
    assert_eq!(*calls.get(), [("added", 2)]);
}

#[tokio::test(start_paused = true)]
async fn pyee_one_listener_of_several_events() {
    let (emitter, calls) = (Emitter::default(), Calls::default());
    let _kept = ["open", "close"].map(|event| calls.note(&emitter, event, "a"));
    emit(&emitter, "open", 1).await;
    emit(&emitter, "close", 2).await;
    assert_eq!(*calls.get(), [("a", 1), ("a", 2)]);
}
