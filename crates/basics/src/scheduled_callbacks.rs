//! Call a function soon, later, or at a given time, and cancel the call.
//!
//! Tokio has no `call_later`: a callback is a task that sleeps first. To cancel the call,
//! abort the task, so keep its `AbortHandle`; here `TimerHandle` holds it. The callback
//! must be `Send` and `'static`: it owns its data, by `move ||`. Calls that are due
//! together may run in any order, on different threads.
//!
//! Trap: as in asyncio, dropping the handle does not cancel the call.
//!
//! In production: for thousands of timers, tokio-util's `DelayQueue` needs one task in
//! all.
//!
//! See also: `timers`, `interval_ticks`, `done_callbacks`.
//!
//! asyncio: loop.call_soon, loop.call_later, loop.call_at, asyncio.Handle.cancel
//! asyncio: asyncio.Handle, asyncio.TimerHandle, asyncio.TimerHandle.when

use std::time::Duration;

use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep, sleep_until};

/// A scheduled call. Dropping it does not cancel the call.
pub struct TimerHandle {
    when: Instant,
    call: AbortHandle,
}

impl TimerHandle {
    /// Returns the time at which the call is due.
    pub fn when(&self) -> Instant {
        self.when
    }

    /// Cancels the call, unless it has begun.
    pub fn cancel(&self) {
        self.call.abort();
    }
}

/// Calls back as soon as the runtime gets to it. Panics outside of a runtime.
pub fn call_soon(callback: impl FnOnce() + Send + 'static) -> AbortHandle {
    tokio::spawn(async { callback() }).abort_handle()
}

/// Calls back after the delay. Panics outside of a runtime.
pub fn call_later(
    delay: Duration,
    callback: impl FnOnce() + Send + 'static,
) -> TimerHandle {
    // An overflow of the sum would panic. tokio's `sleep` waits 30 years then, too.
    let far_future = || Instant::now() + Duration::from_secs(86_400 * 365 * 30);
    let when = Instant::now().checked_add(delay);
    call_at(when.unwrap_or_else(far_future), callback)
}

/// Calls back at this time of the runtime's clock. Panics outside of a runtime.
pub fn call_at(when: Instant, callback: impl FnOnce() + Send + 'static) -> TimerHandle {
    let call = async move {
        sleep_until(when).await;
        callback();
    };
    let call = tokio::spawn(call).abort_handle();
    TimerHandle { when, call }
}

fn callback(name: &str) {
    println!("Callback {name} executed");
}

pub async fn run() {
    println!("Event loop demonstration");
    let start = Instant::now();
    call_soon(|| callback("soon"));
    let name = String::from("later");
    call_later(Duration::from_secs(1), move || callback(&name));
    call_at(start + Duration::from_secs(2), || callback("at_time"));
    let unwanted = call_later(Duration::from_millis(1500), || callback("unwanted"));

    sleep(Duration::from_millis(500)).await;
    let due = (unwanted.when() - start).as_secs_f64();
    println!("Half a second later the one due at {due:.1} s is cancelled");
    unwanted.cancel();
    sleep(Duration::from_millis(2500)).await;
    println!("The end");
}

#[tokio::main]
pub async fn main() {
    run().await;
}
