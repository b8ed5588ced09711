//~ error the trait `Send` is not implemented for `Rc<Cell<u32>>`
//! Two tasks share a count without a lock.
//!
//! example: lost_update

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use tokio::time::sleep;

async fn increment(count: Rc<Cell<u32>>) {
    sleep(Duration::from_millis(100)).await;
    count.set(count.get() + 1);
}

#[tokio::main]
async fn main() {
    let count = Rc::new(Cell::new(0));
    let first = tokio::spawn(increment(count.clone()));
    let second = tokio::spawn(increment(count.clone()));
    first.await.expect("the task does not fail");
    second.await.expect("the task does not fail");
    println!("{}", count.get());
}
