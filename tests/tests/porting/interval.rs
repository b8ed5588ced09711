//! Port `report`: it prints a report each second, however many messages come, until the queue
//! is shut down. It returns the number of reports.
//!
//!     async def report(queue):
//!         reports, next_report = 0, loop.time() + 1
//!         while True:
//!             try:
//!                 async with asyncio.timeout_at(next_report):
//!                     await queue.get()
//!             except TimeoutError:
//!                 reports, next_report = reports + 1, next_report + 1
//!             except asyncio.QueueShutDown:
//!                 return reports
//!
//! `pub async fn report(queue: mpsc::Receiver<u32>) -> u32`

use super::prelude::*;

mod naive {
    use super::{Duration, mpsc, sleep};

    pub async fn report(mut queue: mpsc::Receiver<u32>) -> u32 {
        let mut reports = 0;
        loop {
            tokio::select! {
                message = queue.recv() => if message.is_none() { return reports },
                () = sleep(Duration::from_secs(1)) => reports += 1,
            }
        }
    }
}

mod right {
    use tokio::time::{Instant, interval_at};

    use super::{Duration, mpsc};

    pub async fn report(mut queue: mpsc::Receiver<u32>) -> u32 {
        let mut reports = 0;
        let second = Duration::from_secs(1);
        let mut ticks = interval_at(Instant::now() + second, second);
        loop {
            tokio::select! {
                message = queue.recv() => if message.is_none() { return reports },
                _ = ticks.tick() => reports += 1,
            }
        }
    }
}

judge!("interval" refuses "each message puts the report off" {
    let (sender, queue) = mpsc::channel(8);
    let report = tokio::spawn(answer::report(queue));
    for message in 0..21 {
        sleep(Duration::from_millis(500)).await;
        sender.send(message).await.expect("it listens");
    }
    drop(sender);
    assert_eq!(report.await.expect("no panic"), 10, "each message puts the report off");
});
