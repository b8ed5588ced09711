//! Cases after the tests of CPython's `asyncio.Event`.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::time::Duration;

use futures::FutureExt;
use tokio::runtime::Builder;
use tokio::task::{JoinSet, yield_now};
use tokio::time::{sleep, timeout};

use crate::event::Event;

const SECOND: Duration = Duration::from_secs(1);

/// Returns an event and so many tasks that wait for it.
async fn waiting(number: u32) -> (Arc<Event>, JoinSet<()>, Arc<AtomicU32>) {
    let (event, through) = (Arc::new(Event::default()), Arc::new(AtomicU32::new(0)));
    let mut tasks = JoinSet::new();
    for _ in 0..number {
        let (event, through) = (Arc::clone(&event), Arc::clone(&through));
        tasks.spawn(async move {
            event.wait().await;
            through.fetch_add(1, SeqCst);
        });
    }
    sleep(SECOND).await;
    (event, tasks, through)
}

#[test]
fn cpython_a_new_event_is_not_set() {
    assert!(!Event::default().is_set());
}

#[test]
fn cpython_it_is_made_outside_of_a_loop() {
    let event = Event::default();
    event.set();
    let runtime = Builder::new_current_thread().build().expect("a runtime");
    runtime.block_on(event.wait());
}

#[test]
fn cpython_set_and_cleared_it_says_so() {
    let event = Event::default();
    for _ in 0..3 {
        event.set();
        assert!(event.is_set());
        event.clear();
        assert!(!event.is_set());
    }
}

#[test]
fn cpython_set_twice_or_cleared_twice_is_the_same_as_once() {
    let event = Event::default();
    event.set();
    event.set();
    assert!(event.is_set());
    event.clear();
    event.clear();
    assert!(!event.is_set());
}

#[tokio::test(start_paused = true)]
async fn cpython_a_set_event_is_not_waited_for() {
    let event = Event::default();
    event.set();
    assert!(event.wait().now_or_never().is_some());
    assert!(event.wait().now_or_never().is_some(), "it stays set");
}

#[tokio::test(start_paused = true)]
async fn cpython_a_set_wakes_all_waiters() {
    for number in [1, 31, 1000] {
        let (event, tasks, through) = waiting(number).await;
        assert_eq!(through.load(SeqCst), 0);
        event.set();
        tasks.join_all().await;
        assert_eq!(through.load(SeqCst), number);
    }
}

#[tokio::test(start_paused = true)]
async fn cpython_cleared_it_is_waited_for_again() {
    let (event, tasks, _) = waiting(3).await;
    event.set();
    tasks.join_all().await;
    event.clear();
    assert!(timeout(SECOND, event.wait()).await.is_err());
    event.set();
    assert!(event.wait().now_or_never().is_some());
}

#[tokio::test(start_paused = true)]
async fn cpython_set_and_cleared_in_one_go_it_wakes_nobody_differs() {
    let (event, mut tasks, through) = waiting(3).await;
    event.set();
    event.clear();
    sleep(SECOND).await;
    assert_eq!(through.load(SeqCst), 0, "asyncio's waiters would go on");
    tasks.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn cpython_a_clear_after_the_turn_of_the_waiters_is_too_late_to_keep_them() {
    let (event, tasks, through) = waiting(3).await;
    event.set();
    sleep(SECOND).await;
    event.clear();
    tasks.join_all().await;
    assert_eq!(through.load(SeqCst), 3);
}

#[tokio::test(start_paused = true)]
async fn cpython_a_cancelled_waiter_harms_no_other() {
    let (event, mut tasks, through) = waiting(3).await;
    tasks.spawn(async {}).abort();
    let cancelled = timeout(SECOND, event.wait());
    assert!(cancelled.await.is_err());
    event.set();
    while tasks.join_next().await.is_some() {}
    assert_eq!(through.load(SeqCst), 3);
}

#[tokio::test(start_paused = true)]
async fn cpython_set_without_a_waiter_it_is_seen_later() {
    let event = Arc::new(Event::default());
    event.set();
    sleep(3600 * SECOND).await;
    let later = Arc::clone(&event);
    let waited = tokio::spawn(async move { later.wait().await });
    assert!(timeout(SECOND, waited).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn cpython_a_wait_that_is_set_in_the_same_turn() {
    let event = Event::default();
    let (_, ()) = tokio::join!(event.wait(), async { event.set() });
    assert!(event.is_set());
}

#[tokio::test(start_paused = true)]
async fn cpython_two_events_are_independent() {
    let (first, second) = (Event::default(), Event::default());
    first.set();
    assert!(!second.is_set());
    assert!(timeout(SECOND, second.wait()).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn cpython_its_repr_shows_whether_it_is_set() {
    let event = Event::default();
    let unset = format!("{event:?}");
    event.set();
    assert_ne!(format!("{event:?}"), unset);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn cpython_set_from_another_thread_differs() {
    // asyncio needs `call_soon_threadsafe` for it.
    for _ in 0..200 {
        let event = Arc::new(Event::default());
        let mut tasks = JoinSet::new();
        for _ in 0..8 {
            let event = Arc::clone(&event);
            tasks.spawn(async move { event.wait().await });
        }
        yield_now().await;
        let setter = std::thread::spawn(move || event.set());
        tasks.join_all().await;
        setter.join().expect("no panic");
    }
}
