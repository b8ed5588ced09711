//! Select in a method: wait on several fields of a struct, handle with `&mut self`.
//!
//! `select!` waits for several futures and runs the body of the first that is ready. Here
//! each branch waits for a future that borrows one field, such as `self.readings.recv()`.
//! `select!` drops these futures before it runs a body, so the body may call any
//! `&mut self` method. Rule: wait on fields, handle with `self`.
//!
//! In Python each source would be a task, and two tasks may be inside the object at the
//! same time. Here only one body runs at a time.
//!
//! Trap: If two branches wait for `&mut self` methods, the compiler reports "cannot
//! borrow `*self` as mutable more than once at a time". Let each branch wait on a field,
//! and call the methods in the bodies.
//!
//! See also: `select_in_a_loop`, `select_biased`, `task_in_a_struct`, `actor`.
//!
//! asyncio: asyncio.create_task, asyncio.Queue.get, asyncio.sleep

use std::time::Duration;

use tokio::select;
use tokio::sync::mpsc;
use tokio::time::{Instant, Interval, interval_at};

/// Adds up readings and reports the sum at intervals.
pub struct Station {
    readings: mpsc::Receiver<u32>,
    reports: Interval,
    sum: u32,
}

impl Station {
    /// Returns a station that reports each `period`, first after one.
    ///
    /// # Panics
    ///
    /// If the period is zero, or so long that the first report is beyond the clock.
    pub fn new(readings: mpsc::Receiver<u32>, period: Duration) -> Self {
        let reports = interval_at(Instant::now() + period, period);
        Self {
            readings,
            reports,
            sum: 0,
        }
    }

    /// Runs until the senders of readings are gone, and returns what was not reported.
    pub async fn run(mut self) -> u32 {
        loop {
            select! {
                reading = self.readings.recv() => match reading {
                    Some(reading) => self.add(reading),
                    None => return self.sum,
                },
                _ = self.reports.tick() => self.report(),
            }
        }
    }

    fn add(&mut self, reading: u32) {
        println!("Reading {reading}");
        self.sum += reading;
    }

    fn report(&mut self) {
        println!("Sum {}", self.sum);
        self.sum = 0;
    }
}

#[tokio::main]
async fn main() {
    let (sender, readings) = mpsc::channel(8);
    let station = Station::new(readings, Duration::from_millis(250));
    let measure = async move {
        for reading in 1..=4 {
            tokio::time::sleep(Duration::from_millis(100)).await;
            if sender.send(reading).await.is_err() {
                break;
            }
        }
    };
    let (rest, ()) = tokio::join!(station.run(), measure);
    println!("Not reported: {rest}");
}
