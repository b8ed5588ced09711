//! Timers: sleep, sleep until a time, tick at an interval; the grain of the clock.
//!
//! `sleep` is `asyncio.sleep`. `sleep_until` takes an `Instant`, a point on the runtime's
//! clock, so that a deadline is not put off by the work before it; one that has passed
//! returns at once. The first tick of an `interval` comes at once, and all keep to the
//! grid: ticks that were missed are made up one straight after the other
//! (`interval_ticks` shows what else it can do). The trap is short sleeps: Tokio's timers
//! know only whole milliseconds, and ten sleeps of 100 microseconds take ten of them, not
//! one.
//!
//! asyncio: asyncio.sleep, loop.time, asyncio.timeout_at
//! differs: Tokio rounds each sleep up to the next millisecond, asyncio does not

use std::time::Duration;

use tokio::time::{Instant, interval, sleep, sleep_until, timeout_at};

/// Stands for a piece of work that takes this long.
async fn work(millis: u64) {
    sleep(Duration::from_millis(millis)).await;
    println!("Worked for {millis} ms");
}

pub async fn run() {
    println!("Sleep after the work:");
    work(150).await;
    sleep(Duration::from_millis(500)).await;
    println!("Half a second after the work");

    println!("Sleep until a time:");
    let deadline = Instant::now() + Duration::from_millis(500);
    work(150).await;
    sleep_until(deadline).await;
    println!("Half a second after the start");

    println!("Sleep until a time that has passed:");
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

#[tokio::main]
pub async fn main() {
    run().await;
}
