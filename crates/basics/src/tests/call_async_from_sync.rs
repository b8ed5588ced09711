//! Where blocking and spawning panic, and with which words.

use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use futures::executor;
use tokio::runtime::{Builder, Handle};
use tokio::time::sleep;

use crate::call_async_from_sync::{fetch_price, price, price_in_place};

#[tokio::test]
#[should_panic(expected = "Cannot start a runtime from within a runtime")]
async fn block_on_is_refused_under_async_code() {
    let _ = price("tea");
}

#[test]
#[should_panic(expected = "there is no reactor running")]
fn spawn_is_refused_without_a_runtime() {
    tokio::spawn(fetch_price("tea"));
}

#[tokio::test]
#[should_panic(
    expected = "can call blocking only when running on the multi-threaded runtime"
)]
async fn in_place_needs_the_multi_threaded_runtime() {
    let _ = price_in_place("tea");
}

#[test]
#[should_panic(expected = "there is no reactor running")]
fn in_place_needs_a_runtime() {
    let _ = price_in_place("tea");
}

#[test]
fn try_current_is_an_error_only_where_there_is_no_runtime() {
    assert!(Handle::try_current().is_err());
    let runtime = Builder::new_current_thread().build().expect("it builds");
    assert!(runtime.block_on(async { Handle::try_current().is_ok() }));
}

/// The trap: it waits for a timer of the runtime whose only thread it blocks.
#[test]
fn the_block_on_of_futures_does_not_panic_under_async_code_and_hangs() {
    let (done, is_done) = mpsc::channel();
    thread::spawn(move || {
        let mut builder = Builder::new_current_thread();
        let runtime = builder.enable_time().build().expect("it builds");
        runtime.block_on(async {
            let ready = executor::block_on(async { "ready" });
            done.send(ready).expect("it is received");
            executor::block_on(sleep(Duration::from_millis(1)));
            done.send("slept").expect("it is received");
        });
    });
    assert_eq!(is_done.recv_timeout(Duration::from_secs(60)), Ok("ready"));
    let slept = is_done.recv_timeout(Duration::from_millis(200));
    // If it had panicked, the channel would be closed.
    assert_eq!(slept, Err(mpsc::RecvTimeoutError::Timeout));
}
