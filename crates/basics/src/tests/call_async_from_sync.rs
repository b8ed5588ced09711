//! Where blocking and spawning panic, and with which words.

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
