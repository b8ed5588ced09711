//! Pause a stream, and resume it: a controller decides, and no item is lost.
//!
//! `pausable`, a function of this file, wraps any stream. The controller sets the value
//! of a `watch` channel (which keeps one value) to `true` to pause the stream, and to
//! `false` to resume it. In asyncio an `Event` does this. If a pause begins while the
//! stream waits for an item, that item stays in the source. When the last sender of the
//! channel is dropped, the stream keeps running.
//!
//! Bounds: `pausable` holds no item. A source that is filled during a pause needs its own
//! limit: a bounded channel makes its sender wait.
//!
//! Trap: If you pause a stream of ticks, its clock keeps running. After the pause, an
//! `interval` yields all missed ticks immediately. Set `MissedTickBehavior::Delay` or
//! `Skip`.
//!
//! See also: `stop_a_stream`, `interval_stream`, `channel_stream`, `watch_a_value`.
//!
//! asyncio: asyncio.Event, asyncio.Event.clear, asyncio.Event.set, asyncio.Event.wait

use std::pin::pin;
use std::time::Duration;

use async_stream::stream;
use futures::{Stream, StreamExt};
use tokio::select;
use tokio::sync::watch;
use tokio::time::{interval, sleep};
use tokio_stream::wrappers::IntervalStream;

/// Yields the items, and none while `paused` is true.
///
/// Lend the items as `&mut`: if you drop this stream half-way, `items` keeps the rest.
pub fn pausable<S: Stream>(
    items: S,
    mut paused: watch::Receiver<bool>,
) -> impl Stream<Item = S::Item> {
    stream! {
        let mut items = pin!(items);
        while let Some(item) = next(&mut items, &mut paused).await {
            yield item;
        }
    }
}

/// Returns the next item, or `None` at the end.
///
/// Cancel safety: a dropped call has taken no item.
async fn next<S: Stream + Unpin>(
    items: &mut S,
    paused: &mut watch::Receiver<bool>,
) -> Option<S::Item> {
    loop {
        if paused.wait_for(|paused| !paused).await.is_err() {
            // The controller is gone, and nobody could resume the stream.
            return items.next().await;
        }
        select! {
            biased;
            Ok(_) = paused.wait_for(|paused| *paused) => {}
            item = items.next() => return item,
        }
    }
}

fn pages() -> impl Stream<Item = String> {
    stream! {
        for page in 1..=3 {
            sleep(Duration::from_millis(200)).await;
            yield format!("page {page}");
        }
    }
}

fn ticks() -> impl Stream<Item = String> {
    let ticks = IntervalStream::new(interval(Duration::from_millis(100)));
    ticks.map(|_| "tick".to_owned()).take(8)
}

async fn print_all(items: impl Stream<Item = String>) {
    let mut items = pin!(items);
    while let Some(item) = items.next().await {
        println!("{item}");
    }
}

/// Starts the stream after 150 ms, pauses it 300 ms later, and then resumes it.
async fn control(paused: watch::Sender<bool>) {
    for (millis, pause) in [(150, false), (300, true), (300, false)] {
        sleep(Duration::from_millis(millis)).await;
        println!("{}", if pause { "paused" } else { "runs" });
        paused.send_replace(pause);
    }
}

#[tokio::main]
async fn main() {
    println!("Pages, read while it runs:");
    let (controller, paused) = watch::channel(true);
    tokio::join!(print_all(pausable(pages(), paused)), control(controller));

    println!("Ticks, missed while it is paused:");
    let (controller, paused) = watch::channel(true);
    tokio::join!(print_all(pausable(ticks(), paused)), control(controller));
}
