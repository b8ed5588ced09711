//! Run something periodically, every so many seconds, without drift: `interval`.
//!
//! A loop that works and then sleeps drifts by the time that the work takes. An interval
//! ticks immediately, and then at fixed times from its start.
//!
//! Trap: If a turn takes longer than the period, the missed ticks by default all come
//! together, without a pause (`Burst`), as in a Python loop with `deadline += period`. To
//! change this, call `set_missed_tick_behavior`. With `Delay` or `Skip`, only one late
//! tick comes. With `Delay`, the next tick comes a full period after the late one. With
//! `Skip`, the next tick comes at its fixed time.
//!
//! See also: `interval_stream`, `timers`, `scheduler`.
//!
//! asyncio: asyncio.sleep, loop.time, asyncio.get_running_loop

use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval, sleep};

const PERIOD: Duration = Duration::from_millis(200);

/// Takes a quarter of a period.
async fn work() {
    sleep(PERIOD / 4).await;
}

/// Takes two and a half periods.
async fn long_work() {
    sleep(PERIOD * 5 / 2).await;
}

/// Ticks six times, and takes too long after the second.
async fn tick(behavior: MissedTickBehavior) {
    let mut interval = interval(PERIOD);
    interval.set_missed_tick_behavior(behavior);
    for turn in 1..=6 {
        interval.tick().await;
        println!("tick {turn}");
        match turn {
            2 => long_work().await,
            _ => work().await,
        }
    }
}

#[tokio::main]
async fn main() {
    println!("A loop that sleeps for a period:");
    for turn in 1..=3 {
        println!("turn {turn}");
        work().await;
        sleep(PERIOD).await;
    }

    println!("Burst, the default:");
    tick(MissedTickBehavior::default()).await;

    println!("Delay:");
    tick(MissedTickBehavior::Delay).await;

    println!("Skip:");
    tick(MissedTickBehavior::Skip).await;
}
