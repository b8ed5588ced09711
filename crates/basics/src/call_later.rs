//! Call a function later, as `loop.call_later` does: spawn a task that sleeps first.
//!
//! Tokio's runtime (its event loop) takes tasks only, no callbacks. A task that calls the
//! function is asyncio's `call_soon`. With a `sleep` before the call it is `call_later`,
//! with a `sleep_until` it is `call_at`. To cancel the call, keep the handle of the task
//! and call `abort`.
//!
//! See also: `scheduled_callbacks`, `timers`, `interval_ticks`.
//!
//! asyncio: loop.call_soon, loop.call_later, loop.call_at, loop.time

use std::time::Duration;

use tokio::time::sleep;

fn callback(name: &str) {
    println!("Callback {name} executed");
}

/// Calls back after the delay. Spawn this future: a caller that awaits it waits as well.
pub async fn call_later(delay: Duration, name: &str) {
    sleep(delay).await;
    callback(name);
}

#[tokio::main]
async fn main() {
    println!("Event loop demonstration");
    tokio::spawn(async { callback("soon") });
    tokio::spawn(call_later(Duration::from_secs(1), "later"));
    let unwanted = tokio::spawn(call_later(Duration::from_millis(1500), "unwanted"));
    let when = tokio::time::Instant::now() + Duration::from_secs(2);
    tokio::spawn(async move {
        tokio::time::sleep_until(when).await;
        callback("at_time");
    });
    unwanted.abort();
    sleep(Duration::from_secs(3)).await;
}
