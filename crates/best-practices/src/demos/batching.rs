//! A store that is 200 ms away, slow items, a trip that fails, and cancellations.

use std::error::Error;
use std::time::Duration;

use tokio::join;
use tokio::sync::mpsc;
use tokio::time::{interval, sleep, timeout};

use crate::batching::Batches;

/// How long the first item of a batch waits for others.
const LINGER: Duration = Duration::from_millis(400);

#[derive(Debug, thiserror::Error)]
#[error("the connection is broken")]
struct Broken;

/// A database that is 200 ms away.
#[derive(Default)]
struct Store {
    trips: usize,
    items: usize,
    /// The trip that fails, if one does.
    failing: Option<usize>,
}

impl Store {
    async fn insert(&mut self, items: &[u32]) -> Result<(), Broken> {
        self.trips += 1;
        sleep(Duration::from_millis(200)).await;
        if self.failing == Some(self.trips) {
            return Err(Broken);
        }
        self.items += items.len();
        println!("inserted {items:?}");
        Ok(())
    }
}

/// Inserts all, and continues after one failure. When it is cancelled or fails, it can be
/// called again: what was not inserted is still there.
async fn insert_all(batches: &mut Batches<u32>, store: &mut Store) -> Result<(), Broken> {
    let mut failed = false;
    while let Some(batch) = batches.next().await {
        match store.insert(batch).await {
            Ok(()) => batches.written(),
            Err(error) if failed => return Err(error),
            Err(error) => {
                println!("retrying: {error}");
                failed = true;
            }
        }
    }
    println!("{} items in {} trips", store.items, store.trips);
    Ok(())
}

/// Sends the numbers from 1 on, each after a pause in milliseconds, and waits once more.
async fn send_after(pauses: &[u64], end: u64, queue: mpsc::Sender<u32>) {
    for (number, pause) in (1..).zip(pauses) {
        sleep(Duration::from_millis(*pause)).await;
        if queue.send(number).await.is_err() {
            return;
        }
    }
    sleep(Duration::from_millis(end)).await;
}

/// The mistake: what it has taken is dropped with it.
async fn take_batch(items: &mut mpsc::Receiver<u32>, size: usize) -> Vec<u32> {
    let mut batch = Vec::new();
    while batch.len() < size {
        let missing = size - batch.len();
        if items.recv_many(&mut batch, missing).await == 0 {
            break;
        }
    }
    batch
}

async fn run_batches(
    size: usize,
    pauses: &[u64],
    failing: Option<usize>,
) -> Result<(), Broken> {
    let (queue, items) = mpsc::channel(100);
    let mut batches = Batches::new(items, size, LINGER);
    let mut store = Store {
        failing,
        ..Store::default()
    };
    let source = send_after(pauses, 100, queue);
    join!(source, insert_all(&mut batches, &mut store)).1
}

pub async fn run() -> Result<(), Box<dyn Error + Send + Sync>> {
    // Each part begins at its time, however late the one before it ended.
    let mut part = interval(Duration::from_millis(1500));

    part.tick().await;
    println!("One by one:");
    run_batches(1, &[0; 4], None).await?;

    part.tick().await;
    println!("Up to three at once:");
    run_batches(3, &[0; 4], None).await?;

    part.tick().await;
    println!("Items come slowly; a batch waits for at most 400 ms:");
    run_batches(3, &[0, 100, 700], None).await?;

    part.tick().await;
    println!("The second trip fails:");
    run_batches(3, &[0; 4], Some(2)).await?;

    part.tick().await;
    println!("Cancelled while waiting for items, and while inserting:");
    let (queue, items) = mpsc::channel(100);
    let mut batches = Batches::new(items, 3, LINGER);
    let mut store = Store::default();
    let insert = async {
        for patience in [100, 400] {
            let patience = Duration::from_millis(patience);
            let insert = insert_all(&mut batches, &mut store);
            if timeout(patience, insert).await.is_err() {
                println!("cancelled");
            }
        }
        insert_all(&mut batches, &mut store).await
    };
    join!(send_after(&[0, 200], 700, queue), insert).1?;

    part.tick().await;
    println!("The same, with the batch in a local variable:");
    let (queue, mut items) = mpsc::channel(100);
    let take = async {
        let patience = Duration::from_millis(100);
        if timeout(patience, take_batch(&mut items, 3)).await.is_err() {
            println!("cancelled");
        }
        println!("taken {:?}", take_batch(&mut items, 3).await);
    };
    join!(send_after(&[0, 200], 200, queue), take);
    Ok(())
}
