//! Clean up in a destructor: a drop guard for return, error, panic and cancellation.
//!
//! A guard is a value whose destructor, `drop`, cleans up, such as `Reservation` below.
//! Like a `finally`, `drop` runs however the guard's scope ends, even if the task is
//! aborted at an await. Several guards are dropped in reverse order. `drop` cannot await:
//! for a clean-up that awaits, see `async_drop`.
//!
//! Trap: If you write `let _ = Reservation::new(..)`, the guard is dropped immediately
//! and the seat is free again. Bind the guard to a name, as in `let _guard`.
//!
//! Trap: If you end the program with `process::exit` or `process::abort`, or call
//! `mem::forget` on the guard, `drop` does not run. End the program by a return from
//! `main`.
//!
//! In production: The crate `scopeguard` makes a guard of any closure, without a struct.
//!
//! See also: `async_drop`, `cleanup_on_cancel`, `exit_stack`.
//!
//! asyncio: with, finally, asyncio.Task.cancel, contextlib.closing
//! asyncio: contextlib.contextmanager

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::time::Duration;

use tokio::time::sleep;

/// A reserved seat. Dropping the reservation frees the seat, unless it was bought.
#[derive(Debug)]
#[must_use = "a reservation without a name ends immediately"]
pub struct Reservation {
    free_seats: Arc<AtomicU32>,
    guest: &'static str,
    is_bought: bool,
}

impl Reservation {
    /// Reserves a seat, or returns `None` if no seat is free.
    pub fn new(free_seats: &Arc<AtomicU32>, guest: &'static str) -> Option<Self> {
        let taken = free_seats.fetch_update(SeqCst, SeqCst, |free| free.checked_sub(1));
        taken.ok().map(|_| Self {
            free_seats: Arc::clone(free_seats),
            guest,
            is_bought: false,
        })
    }

    pub fn buy(mut self) {
        self.is_bought = true;
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        if !self.is_bought {
            // Before `println!`, which may panic.
            self.free_seats.fetch_add(1, SeqCst);
            println!("the seat of {} is free again", self.guest);
        }
    }
}

async fn book(seats: Arc<AtomicU32>, card: &str) -> Result<(), &'static str> {
    let ann = Reservation::new(&seats, "Ann").ok_or("no seat is free")?;
    let bob = Reservation::new(&seats, "Bob").ok_or("no seat is free")?;
    sleep(Duration::from_millis(300)).await;
    match card {
        "torn" => panic!("the card is torn"),
        "expired" => return Err("the card has expired"),
        _ => {}
    }
    ann.buy();
    bob.buy();
    println!("both are bought");
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), &'static str> {
    let seats = Arc::new(AtomicU32::new(3));

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
    let _ = Reservation::new(&seats, "Cid");
    std::mem::forget(Reservation::new(&seats, "Cid"));
    println!("free seats: {}", seats.load(SeqCst));
    Ok(())
}

//@ stderr: the card is torn
