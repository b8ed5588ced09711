//! Clean up in a destructor: a drop guard for return, error, panic and cancellation.
//!
//! `drop` runs wherever the guard's scope ends, as a `finally` does. It also runs when a
//! task is aborted at an await. Several guards are dropped in reverse order.
//!
//! Trap: `let _ = seats.reserve(..)` drops the guard at once. Bind it to a name, as in
//! `let _seat`.
//!
//! Trap: `drop` does not run after `mem::forget`, `process::exit` or `process::abort`,
//! and it cannot await: see `async_drop`.
//!
//! In production: `scopeguard` makes a guard of any closure, without a struct.
//!
//! See also: `async_drop`, `cleanup_on_cancel`, `exit_stack`.
//!
//! asyncio: with, finally, asyncio.Task.cancel
//! stderr: the card is torn

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::sleep;

/// The free seats. Clones share them.
#[derive(Clone, Debug)]
pub struct Seats(Arc<Mutex<BTreeSet<&'static str>>>);

impl Seats {
    pub fn new(names: impl IntoIterator<Item = &'static str>) -> Self {
        Self(Arc::new(Mutex::new(names.into_iter().collect())))
    }

    /// Takes a free seat until the reservation is dropped, or for good if it is bought.
    pub fn reserve(&self, seat: &'static str) -> Option<Reservation> {
        let is_free = self.lock().remove(seat);
        is_free.then(|| Reservation {
            seats: self.clone(),
            unsold: Some(seat),
        })
    }

    fn lock(&self) -> MutexGuard<'_, BTreeSet<&'static str>> {
        // No panic here: a second one, in a `drop`, would abort the process.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A seat that is free again when this is dropped, unless it was bought.
#[must_use = "a reservation without a name ends at once"]
pub struct Reservation {
    seats: Seats,
    unsold: Option<&'static str>,
}

impl Reservation {
    pub fn buy(mut self) {
        self.unsold = None;
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        if let Some(seat) = self.unsold {
            // First of all, as `println!` may panic.
            self.seats.lock().insert(seat);
            println!("{seat} is free again");
        }
    }
}

/// Books both seats or none.
async fn book(seats: Seats, card: &str) -> Result<(), &'static str> {
    let first = seats.reserve("A1").ok_or("A1 is taken")?;
    let second = seats.reserve("A2").ok_or("A2 is taken")?;
    sleep(Duration::from_millis(300)).await;
    match card {
        "torn" => panic!("the card is torn"),
        "expired" => return Err("the card has expired"),
        _ => {}
    }
    first.buy();
    second.buy();
    println!("both are bought");
    Ok(())
}

pub async fn run() -> Result<(), &'static str> {
    let seats = Seats::new(["A1", "A2", "B1"]);

    println!("The payment fails:");
    if let Err(error) = book(seats.clone(), "expired").await {
        println!("{error}");
    }

    println!("A bug:");
    let task = tokio::spawn(book(seats.clone(), "torn"));
    if task.await.is_err_and(|error| error.is_panic()) {
        println!("the booking has a bug");
    }

    println!("A task that is cancelled after 0.1 s:");
    let task = tokio::spawn(book(seats.clone(), "valid"));
    sleep(Duration::from_millis(100)).await;
    task.abort();
    if task.await.is_err_and(|error| error.is_cancelled()) {
        println!("the booking was cancelled");
    }

    println!("Success:");
    book(seats.clone(), "valid").await?;

    println!("A reservation without a name, and one that is never dropped:");
    let _ = seats.reserve("B1");
    std::mem::forget(seats.reserve("B1"));
    println!("free seats: {}", seats.lock().len());
    Ok(())
}

#[tokio::main]
pub async fn main() -> Result<(), &'static str> {
    run().await
}
