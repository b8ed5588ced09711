//! Delays of any length.

use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::scheduled_callbacks::{call_later, call_soon};

#[tokio::test(start_paused = true)]
async fn the_shortest_and_the_longest_delay() {
    let (called, is_called) = oneshot::channel();
    call_later(Duration::ZERO, || called.send(()).expect("it waits"));
    assert!(is_called.await.is_ok());

    let (called, mut is_called) = oneshot::channel();
    let call = call_later(Duration::MAX, || called.send(()).expect("it waits"));
    let day = Duration::from_secs(86_400);
    assert!(timeout(day, &mut is_called).await.is_err());
    call.cancel();
    assert!(is_called.await.is_err(), "the callback is dropped");
}

#[tokio::test]
async fn call_soon_calls_in_the_next_turn_unless_it_is_aborted() {
    for aborts in [false, true] {
        let (called, mut is_called) = oneshot::channel();
        let call = call_soon(|| called.send(()).expect("it waits"));
        assert!(is_called.try_recv().is_err(), "not in this turn");
        if aborts {
            call.abort();
        }
        assert_eq!(is_called.await.is_err(), aborts);
    }
}
