//! End a stream at a deadline and let the loop's body finish: `take_until` a sleep.
//!
//! `take_until(sleep(..))` ends the stream at the deadline, not the loop: a running body
//! finishes, and `collect` returns the items so far. In asyncio, `asyncio.timeout_at`
//! around each `anext` does the same. The sleep starts when it is made, not when the loop
//! starts.
//!
//! Trap: If you put `timeout` around the loop, the loop is dropped at its current await,
//! even within the body. The work on the current item stays half done. Use `take_until`,
//! which lets the body finish.
//!
//! See also: `deadline_for_the_loop`, `stop_a_stream`, `timeout_each`.
//!
//! asyncio: asyncio.timeout_at, anext, StopAsyncIteration, asyncio.timeout

use std::pin::pin;
use std::time::Duration;

use async_stream::stream;
use futures::{Stream, StreamExt};
use tokio::time::{sleep, timeout};

const LIMIT: Duration = Duration::from_millis(500);

/// Yields the pages 1 to 4, 150 ms apart.
fn pages() -> impl Stream<Item = u32> {
    stream! {
        for page in 1..=4 {
            sleep(Duration::from_millis(150)).await;
            yield page;
        }
    }
}

/// Takes 150 ms for a page.
async fn store(page: u32) {
    println!("storing {page}");
    sleep(Duration::from_millis(150)).await;
    println!("stored {page}");
}

#[tokio::main]
async fn main() {
    println!("A list of what came until the deadline:");
    for limit in [LIMIT, 2 * LIMIT] {
        let in_time = pages().take_until(sleep(limit));
        println!("{:?}", in_time.collect::<Vec<_>>().await);
    }

    println!("Around the loop, its body is cut off:");
    if timeout(LIMIT, pages().for_each(store)).await.is_err() {
        println!("the deadline");
    }

    println!("On the stream alone, the body finishes:");
    let mut in_time = pin!(pages().take_until(sleep(LIMIT)));
    while let Some(page) = in_time.next().await {
        store(page).await;
    }
    println!("the end");
}
