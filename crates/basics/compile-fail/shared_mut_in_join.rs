//~ E0499 cannot borrow `log` as mutable more than once at a time
//! Two futures that run side by side and both write to one list.
//!
//! example: sequential_vs_concurrent

use std::time::Duration;

use tokio::join;
use tokio::time::sleep;

async fn step(name: &str, log: &mut Vec<String>) {
    sleep(Duration::from_millis(100)).await;
    log.push(format!("{name}: Done"));
}

#[tokio::main]
async fn main() {
    let mut log = Vec::new();
    join!(step("A", &mut log), step("B", &mut log));
    println!("{log:?}");
}
