//! A ticker as a stream that a token stops, also while the loop body works.
//!
//! `IntervalStream` makes a stream of an interval, and `take_until` a `CancellationToken`
//! ends it. A token stays cancelled, as an `asyncio.Event` stays set. A stop while the
//! body works ends the loop at the next turn; a stop between two ticks ends the wait.
//! Missed ticks come all at once unless told otherwise (`interval_ticks`).
//!
//! Trap: `Notify::notify_waiters` wakes only tasks that wait just then. In a `select!`
//! that makes `notified()` anew in each turn, nobody waits while the body works, and the
//! signal is lost. `notify_one` stores a permit for the next waiter.
//!
//! See also: `stop_a_stream`, `interval_ticks`, `background_services`.
//!
//! asyncio: asyncio.Event, asyncio.Event.clear, asyncio.timeout_at, loop.time

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures::{Stream, StreamExt};
use tokio::sync::Notify;
use tokio::time::{MissedTickBehavior, interval, sleep};
use tokio_stream::wrappers::IntervalStream;
use tokio_util::sync::CancellationToken;

const PERIOD: Duration = Duration::from_millis(400);

/// Yields 0, 1, 2 and so on, the first at once, until `stop` is cancelled.
pub fn ticks(stop: CancellationToken) -> impl Stream<Item = usize> {
    let mut interval = interval(PERIOD);
    interval.set_missed_tick_behavior(MissedTickBehavior::Skip);
    IntervalStream::new(interval)
        .take_until(stop.cancelled_owned())
        .enumerate()
        .map(|(number, _)| number)
}

/// Works for half a period, and for two and a half of them on 2.
async fn work(number: usize) {
    println!("tick {number}");
    sleep(if number == 2 {
        PERIOD * 5 / 2
    } else {
        PERIOD / 2
    })
    .await;
    println!("worked on {number}");
}

/// Calls the function after a delay, as `loop.call_later` does.
fn call_later(millis: u64, function: impl FnOnce() + Send + 'static) {
    tokio::spawn(async move {
        sleep(Duration::from_millis(millis)).await;
        println!("stop!");
        function();
    });
}

pub async fn run() {
    println!("Stopped while the body works:");
    let stop = CancellationToken::new();
    let token = stop.clone();
    call_later(500, move || token.cancel());
    let mut numbers = pin!(ticks(stop));
    while let Some(number) = numbers.next().await {
        work(number).await;
    }
    println!("the end");

    println!("Stopped between two ticks:");
    let stop = CancellationToken::new();
    let token = stop.clone();
    call_later(2300, move || token.cancel());
    ticks(stop).for_each(work).await;
    println!("the end");

    println!("A signal that only wakes waiters, and one that is kept:");
    let stop = Arc::new(Notify::new());
    let notify = stop.clone();
    call_later(100, move || notify.notify_waiters());
    let notify = stop.clone();
    call_later(500, move || notify.notify_one());
    let mut interval = interval(PERIOD);
    for number in 0.. {
        tokio::select! {
            () = stop.notified() => break,
            _ = interval.tick() => work(number).await,
        }
    }
    println!("the end, at the second signal");
}

#[tokio::main]
pub async fn main() {
    run().await;
}
