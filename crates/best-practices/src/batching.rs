//! Batching: collect items from a queue and write them together, by size or after a time.
//!
//! A batch makes one trip to a database instead of one for each item. `recv_many` takes
//! the items that are there and does not wait for more. So that slow items form a batch
//! as well, wait a short time, counted from the first item. Dropping the senders ends the
//! wait: the rest is the last batch.
//!
//! Trap: a batch in a local variable is lost when a timeout, a `select!` or an abort
//! drops the future. Here it stays in the struct until it is written, and the next call
//! goes on.
//!
//! Trap: if only the reply is lost, a batch is written twice. Make the insert idempotent,
//! for example with a unique key. A batch with one bad item fails each time: split it.
//!
//! See also: `chunks_timeout` (on a stream), `drain_what_waits`,
//! `sqlite_batch_insert`.
//!
//! asyncio: asyncio.Queue, asyncio.Queue.get, asyncio.timeout_at, asyncio.TaskGroup

use std::error::Error;
use std::time::Duration;

use tokio::join;
use tokio::sync::mpsc;
use tokio::time::{Instant, interval, sleep, timeout, timeout_at};

/// How long the first item of a batch waits for others.
const LINGER: Duration = Duration::from_millis(400);

/// Takes items from a queue, several at a time, and keeps them until they are written.
pub struct Batches<T> {
    items: mpsc::Receiver<T>,
    size: usize,
    linger: Duration,
    pending: Vec<T>,
    /// When the pending items have waited for long enough, if there are any.
    flush_at: Option<Instant>,
}

impl<T> Batches<T> {
    /// Batches of at most `size`, each complete at most `linger` after its first item was
    /// taken from the queue.
    ///
    /// # Panics
    ///
    /// If `size` is 0.
    pub fn new(items: mpsc::Receiver<T>, size: usize, linger: Duration) -> Self {
        assert!(size > 0, "a batch needs room for an item");
        Self {
            items,
            size,
            linger,
            pending: Vec::new(),
            flush_at: None,
        }
    }

    /// The next batch, never an empty one; `None` when all senders are gone and all
    /// items are [`written`](Self::written). Until then it gives the same items again,
    /// and more if more have come and fit.
    ///
    /// Cancel-safe: dropped while it waits, it keeps what it has taken, and the time
    /// since then, for the next call.
    pub async fn next(&mut self) -> Option<&[T]> {
        while self.pending.len() < self.size {
            let missing = self.size - self.pending.len();
            let take = self.items.recv_many(&mut self.pending, missing);
            let taken = match self.flush_at {
                None => take.await,
                Some(flush_at) => timeout_at(flush_at, take).await.unwrap_or(0),
            };
            // The time is over, or there are no senders.
            if taken == 0 {
                break;
            }
            // A linger that is too long for an `Instant` is one without end.
            let flush_at = self.flush_at;
            self.flush_at = flush_at.or_else(|| Instant::now().checked_add(self.linger));
        }
        (!self.pending.is_empty()).then_some(&self.pending)
    }

    /// Drops the batch that `next` gave last. Not to be called after a cancelled `next`:
    /// what that has taken would be lost.
    pub fn written(&mut self) {
        self.pending.clear();
        self.flush_at = None;
    }
}

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

/// Inserts all, and goes on after one failure. When it is cancelled or fails, it can be
/// called again: what was not inserted is still there.
async fn insert_all(batches: &mut Batches<u32>, store: &mut Store) -> Result<(), Broken> {
    let mut failed = false;
    while let Some(batch) = batches.next().await {
        match store.insert(batch).await {
            Ok(()) => batches.written(),
            Err(error) if failed => return Err(error),
            Err(error) => {
                println!("once more: {error}");
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
    println!("They come slowly, and wait for 400 ms at most:");
    run_batches(3, &[0, 100, 700], None).await?;

    part.tick().await;
    println!("The second trip fails:");
    run_batches(3, &[0; 4], Some(2)).await?;

    part.tick().await;
    println!("Cancelled while it waits, and while it inserts:");
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

#[tokio::main]
pub async fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    run().await
}
