//! Run something periodically, every so many seconds, without drift: `interval`.
//!
//! A loop that works and then sleeps drifts by the time that the work takes. An interval
//! keeps to its grid, and its first tick comes at once. The trap is the default for ticks
//! that were missed: `Burst` makes up for all of them as soon as the loop is back, as a
//! loop over `loop.time()` deadlines does. `Delay` counts on from the late tick. `Skip`
//! ticks late once, and then at the next place of the grid. A ticker as a stream that can
//! be stopped: `interval_stream`.
//!
//! asyncio: asyncio.sleep, loop.time, asyncio.get_running_loop

use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval, sleep};

const PERIOD: Duration = Duration::from_millis(200);

/// Stands for work that takes a quarter of a period.
async fn work() {
    sleep(PERIOD / 4).await;
}

/// Stands for work that takes two and a half periods.
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

pub async fn run() {
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

#[tokio::main]
pub async fn main() {
    run().await;
}
