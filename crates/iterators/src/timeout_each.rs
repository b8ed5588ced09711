//! Limit the time that each item of a stream may take: a timeout for every `next`.
//!
//! `timeout` around `next` ends the wait, not the stream: the next call keeps waiting for
//! the same item. In Python, `wait_for(anext(..))` cancels the generator and so ends it,
//! and the loop stops without an error. tokio-stream has two adapters for this: its
//! `timeout` reports each silence once, `timeout_repeating` once per period.
//!
//! Trap: If your loop body works for longer than the limit, these adapters may report a
//! silence immediately. Their clock starts when they are made, restarts with each item,
//! and also runs while the body works. For a slow body, put `timeout` around `next`, as
//! the first loop does: that clock starts with each call of `next`.
//!
//! Trap: If you import `StreamExt` of tokio-stream and of futures, they clash: "multiple
//! applicable items in scope". Import one of them.
//!
//! See also: `deadline_for_the_loop`, `take_until_deadline`, `timeouts`.
//!
//! asyncio: asyncio.wait_for, anext, asyncio.wait(timeout=), StopAsyncIteration
//! differs: `wait_for` ends the generator; a Tokio stream continues after a timeout

use std::pin::pin;
use std::time::Duration;

use async_stream::stream;
use tokio::time::{Instant, interval_at, sleep, timeout};
use tokio_stream::{Stream, StreamExt};

const LIMIT: Duration = Duration::from_millis(300);

/// Yields the replies 1, 2 and so on, after these many milliseconds each.
fn replies(delays: &[u64]) -> impl Stream<Item = usize> + '_ {
    stream! {
        for (index, delay) in delays.iter().enumerate() {
            sleep(Duration::from_millis(*delay)).await;
            yield index + 1;
        }
    }
}

#[tokio::main]
async fn main() {
    println!("A limit on each wait:");
    let mut patient = pin!(replies(&[100, 800, 100]));
    loop {
        match timeout(LIMIT, patient.next()).await {
            Ok(Some(reply)) => println!("reply {reply}"),
            Ok(None) => break,
            Err(_) => println!("nothing for 0.3 s"),
        }
    }

    println!("A stream that reports every period of silence:");
    // A plain `interval` would report the first wait immediately.
    let ticks = interval_at(Instant::now() + LIMIT, LIMIT);
    let delays = [100, 800, 100];
    let mut reported = pin!(replies(&delays).timeout_repeating(ticks));
    while let Some(reply) = reported.next().await {
        match reply {
            Ok(reply) => println!("reply {reply}"),
            Err(_) => println!("nothing for 0.3 s"),
        }
    }
}
