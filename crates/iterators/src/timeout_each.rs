//! Limit the time that each item may take, without losing the stream.
//!
//! `timeout` around `next` gives up waiting, not the stream: the generator stays where it
//! is and the next call goes on with it. In asyncio `wait_for(anext(...))` cancels the
//! generator, which is then at its end. The `timeout` adapter does the same for a whole
//! chain, with a trap: its time runs from the item before, also while the loop body is
//! busy, and it reports one timeout for an item, however long that takes. It comes from
//! tokio-stream, whose `StreamExt` clashes with that of futures: import one of them.
//!
//! asyncio: wait_for, timeout, wait, anext

use std::pin::pin;
use std::time::Duration;

use async_stream::stream;
use tokio::time::{sleep, timeout};
use tokio_stream::{Stream, StreamExt};

const LIMIT: Duration = Duration::from_millis(300);

/// Yields replies 1, 2, 3 after these many milliseconds each.
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

    println!("The same as an adapter:");
    let delays = [100, 800, 100];
    let mut limited = pin!(replies(&delays).timeout(LIMIT));
    while let Some(reply) = limited.next().await {
        match reply {
            Ok(reply) => println!("reply {reply}"),
            Err(_) => println!("late"),
        }
    }

    println!("The adapter's trap, a body that takes 0.4 s:");
    let delays = [100, 200];
    let mut limited = pin!(replies(&delays).timeout(LIMIT));
    while let Some(reply) = limited.next().await {
        match reply {
            Ok(reply) => {
                println!("reply {reply}");
                sleep(Duration::from_millis(400)).await;
            }
            Err(_) => println!("late, though it was the body that took the time"),
        }
    }
}

#[tokio::main]
pub async fn main() {
    run().await;
}
