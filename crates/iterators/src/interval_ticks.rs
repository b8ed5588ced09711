//! Tick at a steady rate, and decide what happens to the ticks that were missed.
//!
//! A loop that works and then sleeps drifts by the time that the work takes; an interval
//! keeps to its grid, and its first tick comes at once. The trap is the default for
//! missed ticks: `Burst` makes up for them all at once as soon as the loop is back.
//! `Delay` starts a new grid from the late tick, `Skip` waits for the next place on the
//! old one. asyncio has no interval, so its users write these three by hand.
//!
//! asyncio: sleep in a loop, loop.time, loop.call_at

use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval, sleep};

const PERIOD: Duration = Duration::from_millis(200);

/// Prints five ticks and is busy for two and a half periods after the second.
async fn tick(name: &str, behavior: MissedTickBehavior) {
    let mut interval = interval(PERIOD);
    interval.set_missed_tick_behavior(behavior);
    for number in 1..=5 {
        interval.tick().await;
        println!("{name}: tick {number}");
        if number == 2 {
            sleep(Duration::from_millis(500)).await;
        }
    }
}

/// Stands for work that takes half a period.
async fn work() {
    sleep(PERIOD / 2).await;
}

pub async fn run() {
    for turn in 1..=3 {
        println!("sleep loop: turn {turn}");
        work().await;
        sleep(PERIOD).await;
    }

    let mut steady = interval(PERIOD);
    for turn in 1..=3 {
        steady.tick().await;
        println!("interval: turn {turn}");
        work().await;
    }

    tick("burst", MissedTickBehavior::Burst).await;
    tick("delay", MissedTickBehavior::Delay).await;
    tick("skip", MissedTickBehavior::Skip).await;
}

#[tokio::main]
pub async fn main() {
    run().await;
}
