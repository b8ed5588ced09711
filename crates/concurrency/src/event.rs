//! Wait for an event that another task sets, as with `asyncio.Event`; it stays set.
//!
//! A `watch` channel of a `bool` comes nearest to `asyncio.Event`. A task that waits for
//! `true` goes on when the event is set. A task that asks later goes on at once. Set the
//! event with `send_replace`: `send` changes nothing if no receiver exists.
//!
//! To wake only the tasks that wait at this moment, call `notify_waiters` of a `Notify`.
//! For an event that is set once and for all, use a `CancellationToken`: `cancel` sets
//! it.
//!
//! Trap: do not set and clear the event in one go. asyncio wakes its waiters all the
//! same. Waiters here check the value only when they run, so they keep waiting.
//!
//! See also: `watch_a_value`, `barrier`, `condition_queue`.
//!
//! asyncio: asyncio.Event, asyncio.Event.set, asyncio.Event.clear, asyncio.Event.wait
//! asyncio: asyncio.Event.is_set
//! differs: asyncio's waiters go on although the event was cleared before their turn

use std::sync::Arc;
use std::time::Duration;

use tokio::join;
use tokio::sync::watch;
use tokio::task::JoinError;
use tokio::time::{sleep, timeout};

/// A flag that any number of tasks can wait for.
#[derive(Default)]
pub struct Event(watch::Sender<bool>);

impl Event {
    /// Sets the event: all waiters go on, and later callers of `wait` do not wait.
    pub fn set(&self) {
        self.0.send_replace(true);
    }

    /// Clears the event: later callers of `wait` wait again.
    pub fn clear(&self) {
        self.0.send_replace(false);
    }

    /// Returns whether the event is set at this moment.
    pub fn is_set(&self) -> bool {
        *self.0.borrow()
    }

    /// Waits until the event is set. Cancel safety: dropping the future loses nothing.
    pub async fn wait(&self) {
        let mut flag = self.0.subscribe();
        let set = flag.wait_for(|is_set| *is_set).await;
        set.expect("the sender lives as long as the event");
    }
}

async fn pass(name: &'static str, walk: u64, gate: Arc<Event>) {
    gate.wait().await;
    sleep(Duration::from_millis(walk)).await;
    println!("{name} is through");
}

pub async fn run() -> Result<(), JoinError> {
    let millis = Duration::from_millis;
    let gate = Arc::new(Event::default());

    println!("Two wait, and one comes later:");
    let a = tokio::spawn(pass("A", 50, gate.clone()));
    let b = tokio::spawn(pass("B", 100, gate.clone()));
    sleep(millis(300)).await;
    println!("the gate opens");
    gate.set();
    a.await?;
    b.await?;
    pass("C", 0, gate.clone()).await;

    println!("Cleared, and set again later:");
    gate.clear();
    println!("{}", if gate.is_set() { "open" } else { "shut" });
    if timeout(millis(200), gate.wait()).await.is_err() {
        println!("D still waits after 0.2 s");
    }
    gate.set();
    pass("D", 0, gate.clone()).await;

    println!("Set and cleared in one go:");
    gate.clear();
    let open_and_shut = async {
        sleep(millis(100)).await;
        gate.set();
        gate.clear();
    };
    // `join!` runs both in one task, so that the waiter's turn comes after the `clear`.
    let passing = timeout(millis(300), pass("E", 0, gate.clone()));
    if join!(passing, open_and_shut).0.is_err() {
        println!("E still waits after 0.3 s");
    }
    Ok(())
}

#[tokio::main]
pub async fn main() -> Result<(), JoinError> {
    run().await
}
