//! Timers: sleep for a time, sleep until a deadline, tick at an interval.
//!
//! `sleep` is `asyncio.sleep`. `sleep_until` takes an `Instant`, so work that you do
//! before the call does not delay the deadline. If the deadline has passed, `sleep_until`
//! returns immediately. An `interval` ticks immediately, and then at fixed times from its
//! start. If you are late for some ticks, they follow without a wait, one by one.
//!
//! The `Instant` of `tokio::time` is not that of std, because a test can pause Tokio's
//! clock. `Instant::from_std` and `into_std` convert.
//!
//! Trap: If you sleep for less than a millisecond, Tokio rounds up to a whole one, so ten
//! sleeps of 100 microseconds take ten milliseconds. asyncio rounds up too, on Linux and
//! Windows. For a faster rate, do several steps after each tick.
//!
//! Trap: If you sleep for `period - elapsed`, the subtraction panics when a turn takes
//! longer than the period: "overflow when subtracting durations". A `Duration` cannot be
//! negative, while asyncio takes a negative delay as zero. Write
//! `period.saturating_sub(elapsed)`, or use an `interval`. `Duration::from_secs_f64`,
//! which takes a float as `asyncio.sleep` does, panics for a negative one as well.
//!
//! Trap: If you poll with a short sleep, an idle program uses the processor: each wake-up
//! is a system call. Wait for a channel, a `Notify` or a `watch`, which cost nothing
//! until something happens.
//!
//! Platforms: On Windows, timers may be later still, because the clock may be coarser.
//!
//! See also: `interval_ticks`, `yield_now`, `call_later`, `deadlines`.
//!
//! asyncio: asyncio.sleep, loop.time, asyncio.timeout_at

use std::time::Duration;

use tokio::time::{Instant, interval, sleep, sleep_until, timeout_at};

/// Simulates a piece of work that takes this long.
async fn work(millis: u64) {
    sleep(Duration::from_millis(millis)).await;
    println!("Worked for {millis} ms");
}

#[tokio::main]
async fn main() {
    println!("Sleep after the work:");
    work(150).await;
    sleep(Duration::from_millis(500)).await;
    println!("Half a second after the work");

    println!("Sleep until a deadline:");
    let deadline = Instant::now() + Duration::from_millis(500);
    work(150).await;
    sleep_until(deadline).await;
    println!("Half a second after the start");

    println!("Sleep until a deadline that has passed:");
    sleep_until(deadline).await;
    println!("At once");

    println!("Two pieces of work, one deadline:");
    let deadline = Instant::now() + Duration::from_millis(500);
    for millis in [300, 400] {
        if timeout_at(deadline, work(millis)).await.is_err() {
            println!("{millis} ms were too long");
        }
    }

    println!("An interval of 200 ms, one turn of which takes 450:");
    let mut interval = interval(Duration::from_millis(200));
    for millis in [50, 450, 50, 50, 50] {
        interval.tick().await;
        println!("Tick");
        work(millis).await;
    }

    println!("Ten sleeps of 100 microseconds:");
    for _ in 0..10 {
        sleep(Duration::from_micros(100)).await;
    }
    println!("Done");
}
