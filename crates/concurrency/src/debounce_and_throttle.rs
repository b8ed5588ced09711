//! Debounce and throttle: act on the last of many events, or on one in each interval.
//!
//! `Debounce`, a struct of this file, waits until no event has come for a while, and
//! returns the last event. For example, it saves a file when the writer pauses.
//! `Throttle` returns an event immediately, and after that at most one in each interval,
//! always the newest. For example, it shows progress ten times a second.
//!
//! You await `next` of either struct. While `next` waits, it reads a bounded channel and
//! drops all events but the newest, so a sender waits only while nobody calls `next`.
//! When all senders are dropped, `next` returns the last event and then `None`.
//!
//! Bounds: The channel holds as many events as you choose, and the struct holds one. A
//! sender waits while the channel is full.
//!
//! Trap: If you debounce events that come without a pause, they are held back forever. So
//! pass a longest delay to `Debounce::new`, the argument `at_most`. When this time has
//! passed since the first event, `next` returns the newest event, even if more are
//! coming.
//!
//! See also: `token_bucket`, `watch_a_value`, `chunks_timeout`, `interval_ticks`.
//!
//! asyncio: asyncio.timeout, asyncio.Queue, loop.time

use std::future::pending;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout};

/// Returns an event when no other has come for a while.
#[derive(Debug)]
pub struct Debounce<T> {
    events: mpsc::Receiver<T>,
    quiet: Duration,
    at_most: Duration,
    /// The newest event, when it came, and when the first one came.
    held: Option<(T, Instant, Instant)>,
}

impl<T> Debounce<T> {
    /// Returns a debouncer: an event is due when none has come for `quiet`, or `at_most`
    /// after the first one.
    pub fn new(events: mpsc::Receiver<T>, quiet: Duration, at_most: Duration) -> Self {
        let held = None;
        Self {
            events,
            quiet,
            at_most,
            held,
        }
    }

    /// Waits until an event is due and returns the newest; `None` when the senders are
    /// gone.
    ///
    /// Cancel safety: nothing is lost.
    pub async fn next(&mut self) -> Option<T> {
        if self.held.is_none() {
            let (event, now) = (self.events.recv().await?, Instant::now());
            self.held = Some((event, now, now));
        }
        while let Some((event, last, first)) = &mut self.held {
            let quiet = self.quiet.saturating_sub(last.elapsed());
            let at_most = self.at_most.saturating_sub(first.elapsed());
            if !quiet.min(at_most).is_zero() {
                match timeout(quiet.min(at_most), self.events.recv()).await {
                    Ok(Some(newer)) => (*event, *last) = (newer, Instant::now()),
                    Ok(None) => break,
                    Err(_) => {}
                }
                continue;
            }
            // Events that came while nobody called `next` are newer, and wait.
            let newer = newest(&mut self.events);
            let was_quiet = newer.is_none() || self.quiet.is_zero();
            if let Some(newer) = newer {
                (*event, *last) = (newer, Instant::now());
            }
            if was_quiet || at_most.is_zero() {
                break;
            }
        }
        self.held.take().map(|(event, ..)| event)
    }
}

/// Returns at most one event in each interval.
#[derive(Debug)]
pub struct Throttle<T> {
    events: mpsc::Receiver<T>,
    interval: Duration,
    held: Option<T>,
    /// When the last event was returned.
    last: Option<Instant>,
}

impl<T> Throttle<T> {
    /// Returns a throttle: between two events at least `interval` passes.
    pub fn new(events: mpsc::Receiver<T>, interval: Duration) -> Self {
        let (held, last) = (None, None);
        Self {
            events,
            interval,
            held,
            last,
        }
    }

    /// Waits for an event and for the end of the interval, and returns the newest event;
    /// `None` when the senders are gone.
    ///
    /// Cancel safety: nothing is lost.
    pub async fn next(&mut self) -> Option<T> {
        if self.held.is_none() {
            self.held = Some(self.events.recv().await?);
        }
        let wait = self
            .last
            .map(|last| self.interval.saturating_sub(last.elapsed()));
        if let Some(wait) = wait.filter(|wait| !wait.is_zero()) {
            // Reads meanwhile: a full channel would slow the senders down.
            let read = async {
                while let Some(newer) = self.events.recv().await {
                    self.held = Some(newer);
                }
                pending().await
            };
            let _: Result<(), _> = timeout(wait, read).await;
        }
        let newest = newest(&mut self.events);
        self.last = Some(Instant::now());
        newest.or(self.held.take())
    }
}

/// Takes the events that wait now, and returns the newest. No more than were there at the
/// start: senders on other threads may keep up.
fn newest<T>(events: &mut mpsc::Receiver<T>) -> Option<T> {
    let waiting = 0..events.len();
    waiting.map_while(|_| events.try_recv().ok()).last()
}

/// Sends ten events, one each 100 ms but for a pause of 400 ms after the fourth.
async fn type_words(events: mpsc::Sender<u32>) {
    for event in 1..=10 {
        if events.send(event).await.is_err() {
            return;
        }
        let pause = if event == 4 { 400 } else { 100 };
        sleep(Duration::from_millis(pause)).await;
    }
}

#[tokio::main]
async fn main() {
    println!("Debounced by 250 ms:");
    let (sender, events) = mpsc::channel(8);
    let quiet = Duration::from_millis(250);
    let mut debounced = Debounce::new(events, quiet, 10 * quiet);
    tokio::spawn(type_words(sender));
    while let Some(event) = debounced.next().await {
        println!("Event {event}");
    }

    println!("Throttled to one in 220 ms:");
    let (sender, events) = mpsc::channel(8);
    let mut throttled = Throttle::new(events, Duration::from_millis(220));
    tokio::spawn(type_words(sender));
    while let Some(event) = throttled.next().await {
        println!("Event {event}");
    }
}
