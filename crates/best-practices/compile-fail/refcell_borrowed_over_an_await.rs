//~ clippy::await_holding_refcell_ref `RefCell` reference is held across an await point
//! A second future that borrows the cell during the await panics.
//!
//! example: lints

#![deny(clippy::await_holding_refcell_ref)]

use std::cell::RefCell;
use std::time::Duration;

use tokio::time::sleep;

#[tokio::main]
async fn main() {
    let rows = RefCell::new(0);
    let mut borrowed = rows.borrow_mut();
    sleep(Duration::from_millis(100)).await;
    *borrowed += 1;
}
