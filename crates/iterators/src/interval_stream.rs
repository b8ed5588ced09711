//! A ticker as a stream that a token stops, even while the loop body works.
//!
//! `IntervalStream` turns an interval into a stream, and `take_until` ends it when a
//! `CancellationToken` is cancelled. A token stays cancelled, as an `asyncio.Event` stays
//! set. A stop while the body works ends the loop at the next turn; a stop between two
//! ticks ends the wait. Here missed ticks are skipped (`interval_ticks`).
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
