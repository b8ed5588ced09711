//~ E0499 cannot borrow `*self` as mutable more than once at a time
//! Two branches of a `select!` call methods that take `&mut self`: give each branch a
//! field of its own, as in `self.readings.recv()`.
//!
//! example: select_in_a_struct

use std::time::Duration;

use tokio::select;
use tokio::sync::mpsc;
use tokio::time::{Interval, interval};

struct Station {
    readings: mpsc::Receiver<u32>,
    clock: Interval,
}

impl Station {
    async fn reading(&mut self) -> Option<u32> {
        self.readings.recv().await
    }

    async fn tick(&mut self) {
        self.clock.tick().await;
    }

    async fn work(&mut self) {
        select! {
            reading = self.reading() => println!("{reading:?}"),
            () = self.tick() => println!("Tick"),
        }
    }
}

#[tokio::main]
async fn main() {
    let (_sender, readings) = mpsc::channel(1);
    let clock = interval(Duration::from_secs(1));
    Station { readings, clock }.work().await;
}
