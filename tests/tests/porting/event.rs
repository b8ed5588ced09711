//! Port `Event`. A task that waits after the event was set goes on at once, and all tasks
//! that wait go on.
//!
//!     event = asyncio.Event()
//!     event.set()
//!     await event.wait()
//!
//! `#[derive(Default)] pub struct Event`, with `pub fn set(&self)` and
//! `pub async fn wait(&self)`.

use super::prelude::*;

mod naive {
    use tokio::sync::Notify;

    #[derive(Default)]
    pub struct Event(Notify);

    impl Event {
        pub fn set(&self) {
            self.0.notify_waiters();
        }

        pub async fn wait(&self) {
            self.0.notified().await;
        }
    }
}

#[allow(dead_code, reason = "the example's demonstration")]
#[path = "../../../crates/concurrency/src/event.rs"]
mod right;

judge!("event" refuses "set before the wait is forgotten" {
    let second = Duration::from_secs(1);
    let event = answer::Event::default();
    assert!(timeout(second, event.wait()).await.is_err(), "it is not set");
    let both = async { tokio::join!(event.wait(), event.wait()) };
    let set = async {
        sleep(second).await;
        event.set();
    };
    let woken = timeout(second * 2, async { tokio::join!(both, set) }).await;
    assert!(woken.is_ok(), "one of two is not woken");
    let late = timeout(second, event.wait()).await;
    assert!(late.is_ok(), "set before the wait is forgotten");
});
