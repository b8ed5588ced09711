//~ clippy::await_holding_lock this `MutexGuard` is held across an await point
//! `main` may hold the guard of a std `Mutex` over an await. A second call of the same
//! function would then block the thread forever.
//!
//! example: lints

#![deny(clippy::await_holding_lock)]

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::sleep;

#[tokio::main]
async fn main() {
    let rows = Mutex::new(0);
    let mut guard = rows.lock().unwrap_or_else(PoisonError::into_inner);
    sleep(Duration::from_millis(100)).await;
    *guard += 1;
}
