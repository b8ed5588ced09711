//! Limit the time that each item of a stream may take: a timeout for every `next`.
//!
//! `timeout` around `next` gives up waiting, not the stream: the generator stays where it
//! is and the next call goes on with it. `wait_for(anext(..))` cancels the generator,
//! which is then at its end, so the loop stops as if all had come. Of tokio-stream's
//! adapters `timeout` reports each silence once, `timeout_repeating` each period of it.
//! The trap: their time runs from the moment they are made, and also while the loop body
//! is busy. Their `StreamExt` clashes with that of futures ("multiple applicable items in
//! scope"): import one. A limit for all items together: `deadline_for_the_loop`.
//!
//! asyncio: asyncio.wait_for, anext, asyncio.wait(timeout=), StopAsyncIteration
//! differs: wait_for ends the generator; the adapter's limit runs on while the body works

use std::pin::pin;
use std::time::Duration;

use async_stream::stream;
use tokio::time::{Instant, interval_at, sleep, timeout};
use tokio_stream::{Stream, StreamExt};

const LIMIT: Duration = Duration::from_millis(300);

/// Yields replies 1, 2 and so on, after these many milliseconds each.
fn replies(delays: &[u64]) -> impl Stream<Item = usize> {
    stream! {
        for (index, delay) in delays.iter().enumerate() {
            sleep(Duration::from_millis(*delay)).await;
            yield index + 1;
        }
    }
}

pub async fn run() {
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
    // A plain `interval` would report the first wait at once.
    let ticks = interval_at(Instant::now() + LIMIT, LIMIT);
    let delays = [100, 800, 100];
    let mut reported = pin!(replies(&delays).timeout_repeating(ticks));
    while let Some(reply) = reported.next().await {
        match reply {
            Ok(reply) => println!("reply {reply}"),
            Err(_) => println!("nothing for 0.3 s"),
        }
    }

    println!("And each silence once, made 0.4 s before a loop whose body takes 0.4 s:");
    let delays = [100, 200, 800];
    let mut limited = pin!(replies(&delays).timeout(LIMIT));
    sleep(Duration::from_millis(400)).await;
    while let Some(reply) = limited.next().await {
        let Ok(reply) = reply else {
            println!("nothing for 0.3 s");
            continue;
        };
        println!("reply {reply}");
        sleep(Duration::from_millis(400)).await;
    }
}

#[tokio::main]
pub async fn main() {
    run().await;
}
