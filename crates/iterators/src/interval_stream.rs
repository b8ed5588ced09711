//! A ticker as a stream: run a loop at fixed times until a stop token ends the loop.
//!
//! `IntervalStream` turns an interval (Tokio's ticker) into a stream (an async iterator).
//! `take_until` ends the stream when a `CancellationToken` is cancelled. If you cancel
//! the token while the loop body works, the body finishes, and then the loop ends. If you
//! cancel the token between two ticks, the loop ends immediately. A token stays
//! cancelled, as an `asyncio.Event` stays set.
//!
//! If the body takes longer than a period, the missed ticks are skipped here (see the
//! example `interval_ticks`).
//!
//! To slow down any stream, so that its items come at least a period apart, call
//! `throttle(period)` of `tokio_stream::StreamExt`. It drops nothing: the source waits.
//!
//! See also: `stop_a_stream`, `interval_ticks`, `background_services`.
//!
//! asyncio: asyncio.Event, asyncio.timeout_at, loop.time

use std::time::Duration;

use futures::{Stream, StreamExt};
use tokio::time::{MissedTickBehavior, interval, sleep};
use tokio_stream::wrappers::IntervalStream;
use tokio_util::sync::CancellationToken;

const PERIOD: Duration = Duration::from_millis(400);

/// Yields 0, 1, 2 and so on, the first immediately, until `stop` is cancelled.
pub fn ticks(stop: CancellationToken) -> impl Stream<Item = usize> {
    let mut interval = interval(PERIOD);
    interval.set_missed_tick_behavior(MissedTickBehavior::Skip);
    IntervalStream::new(interval)
        .take_until(stop.cancelled_owned())
        .enumerate()
        .map(|(number, _)| number)
}

/// Works for half a period, and at tick 2 for two and a half.
async fn work(number: usize) {
    println!("tick {number}");
    let halves = if number == 2 { 5 } else { 1 };
    sleep(PERIOD / 2 * halves).await;
    println!("worked on {number}");
}

/// Returns a token that is cancelled after a delay.
fn stop_after(millis: u64) -> CancellationToken {
    let stop = CancellationToken::new();
    let token = stop.clone();
    tokio::spawn(async move {
        sleep(Duration::from_millis(millis)).await;
        println!("stop!");
        token.cancel();
    });
    stop
}

#[tokio::main]
async fn main() {
    println!("Stopped while the body works:");
    ticks(stop_after(500)).for_each(work).await;
    println!("the end");

    println!("Stopped between two ticks:");
    ticks(stop_after(2300)).for_each(work).await;
    println!("the end");
}
