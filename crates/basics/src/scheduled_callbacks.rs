//! Call a function soon, later, or at a given time, and cancel the call.
//!
//! Tokio has no `call_later`: a callback is a task that sleeps first, and aborting the
//! task is cancelling the call. Keep the `AbortHandle` for it, here with the time.
//! The trap is to drop it and believe the call cancelled: as in asyncio it comes all the
//! same. The callback must be `Send`, that is, allowed to move to another thread, and
//! `'static`: it owns what it uses, by `move ||`. Do not count on the order of calls that
//! are due together: their tasks may run on different threads.
//!
//! asyncio: loop.call_soon, loop.call_later, loop.call_at, asyncio.Handle.cancel
//! asyncio: asyncio.Handle, asyncio.TimerHandle, asyncio.TimerHandle.when

use std::time::Duration;

use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep, sleep_until};

/// A call that is to come. Dropped, it does not cancel the call.
pub struct TimerHandle {
    when: Instant,
    call: AbortHandle,
}

impl TimerHandle {
    /// When the call is due.
    pub fn when(&self) -> Instant {
        self.when
    }

    /// Cancels the call, unless it has come already.
    pub fn cancel(&self) {
        self.call.abort();
    }
}

/// Calls back as soon as the runtime gets to it.
pub fn call_soon(callback: impl FnOnce() + Send + 'static) -> AbortHandle {
    tokio::spawn(async { callback() }).abort_handle()
}

/// Calls back after the delay.
pub fn call_later(
    delay: Duration,
    callback: impl FnOnce() + Send + 'static,
) -> TimerHandle {
    call_at(Instant::now() + delay, callback)
}

/// Calls back at that time of the runtime's clock.
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
