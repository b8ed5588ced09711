//! What older versions of CPython do otherwise, or have not.
//!
//! The counterparts are the same as in the groups of these names.
//!
//! asyncio: asyncio.wait_for

use tokio::sync::oneshot;
use tokio::time::{sleep, timeout};

use crate::support::{millis, settle, try_out};

async fn cancelled_as_the_inner_ends() -> String {
    let (sender, receiver) = oneshot::channel();
    let waiting = tokio::spawn(async {
        let _ = timeout(millis(500), receiver).await;
        sleep(millis(500)).await;
    });
    settle().await;
    sender.send(()).unwrap();
    waiting.abort();
    let cancelled = waiting.await.is_err_and(|error| error.is_cancelled());
    format!("the waiter is cancelled: {cancelled}")
}

#[tokio::main]
async fn main() {
    try_out! { millis(2_000),
        "wait_for.cancel.as-inner-ends" => cancelled_as_the_inner_ends(),
    }
}

//@ python: 3.12
