//~ E0277 cannot be unpinned
//! A `select!` in a loop takes `&mut` of a sleep that is not pinned.
//!
//! example: select_in_a_loop

use std::time::Duration;

use tokio::select;
use tokio::time::{interval, sleep};

#[tokio::main]
async fn main() {
    let mut deadline = sleep(Duration::from_millis(250));
    let mut ticks = interval(Duration::from_millis(100));
    loop {
        select! {
            _ = ticks.tick() => println!("Tick"),
            () = &mut deadline => break,
        }
    }
}
