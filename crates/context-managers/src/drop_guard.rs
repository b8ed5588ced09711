//! Clean up in a destructor: a drop guard for return, error, panic and cancellation.
//!
//! `drop` runs wherever the guard's scope ends, as a `finally` does. It also runs when a
//! task is aborted or timed out at an await. Several guards are dropped in reverse order.
//!
//! Trap: `let _ = seats.reserve(..)` drops the guard at once. Bind it to a name, as in
//! `let _seat`.
//!
//! Trap: `drop` does not run after `mem::forget`, `process::exit` or `process::abort`,
//! and it cannot await: see `goodbye_on_close`.
//!
//! In production: `scopeguard` makes a guard of any closure, without a struct.
//!
//! See also: `goodbye_on_close`, `cleanup_on_cancel`, `exit_stack`.
//!
//! asyncio: with, finally, asyncio.timeout, asyncio.Task.cancel
//! stderr: the card is torn

use std::collections::BTreeSet;
use std::error::Error;
use std::fmt;
use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::{sleep, timeout};

type Failure = Box<dyn Error + Send + Sync>;

/// The free seats. Clones share them.
#[derive(Clone, Debug)]
pub struct Seats(Arc<Mutex<BTreeSet<String>>>);

#[derive(Debug, thiserror::Error)]
#[error("{0} is taken")]
pub struct Taken(pub String);

impl Seats {
    /// Returns these seats, all of them free.
    pub fn new<const N: usize>(names: [&str; N]) -> Self {
        Self(Arc::new(Mutex::new(names.map(String::from).into())))
    }

    /// Takes a free seat until the reservation is dropped, or for good if it is bought.
    ///
    /// # Errors
    ///
    /// [`Taken`] if the seat is not free.
    pub fn reserve(&self, seat: &str) -> Result<Reservation, Taken> {
        let seat = self.lock().take(seat).ok_or_else(|| Taken(seat.into()))?;
        Ok(Reservation {
            seats: self.clone(),
            seat,
            is_bought: false,
        })
    }

    fn lock(&self) -> MutexGuard<'_, BTreeSet<String>> {
        // No panic here: a second one, in a `drop`, would abort the process.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Display for Seats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.lock().iter().cloned().collect();
        f.write_str(&names.join(", "))
    }
}

/// A seat that is free again when this is dropped, unless it was bought.
#[must_use = "a reservation without a name ends at once"]
pub struct Reservation {
    seats: Seats,
    seat: String,
    is_bought: bool,
}

impl Reservation {
    /// Ends the reservation and keeps the seat.
    pub fn buy(mut self) -> String {
        self.is_bought = true;
        mem::take(&mut self.seat)
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        if !self.is_bought {
            let seat = mem::take(&mut self.seat);
            // First of all, as `println!` may panic.
            self.seats.lock().insert(seat.clone());
            println!("{seat} is free again");
        }
    }
}

async fn pay(card: &str) -> Result<(), &'static str> {
    sleep(Duration::from_millis(300)).await;
    match card {
        "torn" => panic!("the card is torn"),
        "expired" => Err("the card has expired"),
        _ => Ok(()),
    }
}

/// Books both seats or none.
async fn book(seats: Seats, pair: [&str; 2], card: &str) -> Result<(), Failure> {
    let [first, second] = pair;
    let one = seats.reserve(first)?;
    println!("{first} is reserved");
    let two = seats.reserve(second)?;
    println!("{second} is reserved");
    pay(card).await?;
    println!("{} and {} are bought", one.buy(), two.buy());
    Ok(())
}

pub async fn run() -> Result<(), Failure> {
    let seats = Seats::new(["A1", "A2", "B1", "B2", "C1"]);

    println!("A pair is bought:");
    book(seats.clone(), ["A1", "A2"], "valid").await?;

    println!("The payment fails:");
    if let Err(error) = book(seats.clone(), ["B1", "B2"], "expired").await {
        println!("{error}");
    }

    println!("The second seat is not free:");
    if let Err(error) = book(seats.clone(), ["B1", "A2"], "valid").await {
        println!("{error}");
    }

    println!("A bug:");
    let task = tokio::spawn(book(seats.clone(), ["B1", "B2"], "torn"));
    if task.await.is_err_and(|error| error.is_panic()) {
        println!("the booking has a bug");
    }

    println!("A timeout of 0.2 s:");
    let limit = Duration::from_millis(200);
    let booking = book(seats.clone(), ["B1", "B2"], "valid");
    if timeout(limit, booking).await.is_err() {
        println!("timed out");
    }

    println!("A task that is cancelled after 0.1 s:");
    let task = tokio::spawn(book(seats.clone(), ["B1", "B2"], "valid"));
    sleep(Duration::from_millis(100)).await;
    task.abort();
    if task.await.is_err_and(|error| error.is_cancelled()) {
        println!("the booking was cancelled");
    }

    println!("A reservation without a name:");
    let _ = seats.reserve("C1")?;
    println!("free: {seats}");

    println!("A reservation that is never dropped:");
    println!("free: {seats}");
    mem::forget(seats.reserve("C1")?);
    println!("free: {seats}");
    Ok(())
}

#[tokio::main]
pub async fn main() -> Result<(), Failure> {
    run().await
}
