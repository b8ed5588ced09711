//! Batching: collect items from a queue and write them together, by size or after a time.
//!
//! Writing a batch is one trip to a database instead of one trip for each item.
//! `recv_many` of a Tokio channel takes the waiting items and does not wait for more. So
//! if items come slowly, each would be its own batch. `Batches::next` below waits a short
//! time after the first item, the `linger`, so that several items form a batch. When all
//! senders are dropped, it returns the last items immediately.
//!
//! Trap: If you collect a batch in a local variable, it is lost when a timeout, a
//! `select!` or an abort drops the future. `Batches` keeps the batch in the struct until
//! you call `written`, and the next call of `next` continues it.
//!
//! Trap: If you write a batch again after an error, it may be in the database twice,
//! because perhaps only the reply was lost. Make the insert idempotent, for example with
//! a unique key. And if a batch contains one bad item, the batch fails each time: split
//! it.
//!
//! See also: `chunks_timeout` (on a stream), `drain_what_waits`,
//! `sqlite_batch_insert`.
//!
//! asyncio: asyncio.Queue, asyncio.Queue.get, asyncio.timeout_at, asyncio.TaskGroup

use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};

/// Takes items from a queue, several at a time, and keeps them until they are written.
#[derive(Debug)]
pub struct Batches<T> {
    items: mpsc::Receiver<T>,
    size: usize,
    linger: Duration,
    pending: Vec<T>,
    /// The deadline of the pending items, if there are any.
    flush_at: Option<Instant>,
}

impl<T> Batches<T> {
    /// Returns batches of at most `size` items. Each is complete at most `linger` after
    /// its first item was taken from the queue.
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

    /// Returns the next batch, which is never empty. Returns `None` when all senders are
    /// gone and all items are [`written`](Self::written). Until you call `written`, it
    /// returns the same items again, and adds new ones that fit.
    ///
    /// Cancel safety: dropping the future loses nothing. The next call continues the
    /// batch, with the same deadline.
    pub async fn next(&mut self) -> Option<&[T]> {
        while self.pending.len() < self.size {
            let missing = self.size - self.pending.len();
            let take = self.items.recv_many(&mut self.pending, missing);
            let taken = match self.flush_at {
                None => take.await,
                Some(flush_at) => timeout_at(flush_at, take).await.unwrap_or(0),
            };
            // The deadline has passed, or all senders are dropped.
            if taken == 0 {
                break;
            }
            // A linger that is too long for an `Instant` means no deadline.
            let flush_at = self.flush_at;
            self.flush_at = flush_at.or_else(|| Instant::now().checked_add(self.linger));
        }
        (!self.pending.is_empty()).then_some(&self.pending)
    }

    /// Drops the batch that `next` returned last. Do not call it after a cancelled
    /// `next`: the items that `next` had taken would be lost.
    pub fn written(&mut self) {
        self.pending.clear();
        self.flush_at = None;
    }
}

/// Prints the lines of standard input in batches of ten, or of one second.
#[tokio::main]
async fn main() {
    let (queue, items) = mpsc::channel(100);
    tokio::spawn(async move {
        let input = tokio::io::BufReader::new(tokio::io::stdin());
        let mut lines = tokio::io::AsyncBufReadExt::lines(input);
        while let Ok(Some(line)) = lines.next_line().await {
            if queue.send(line).await.is_err() {
                return;
            }
        }
    });
    let mut batches = Batches::new(items, 10, Duration::from_secs(1));
    let mut count = 0;
    while let Some(batch) = batches.next().await {
        println!("{batch:?}");
        count += batch.len();
        batches.written();
    }
    println!("{count} lines");
}

//@ try: -> 0 lines
