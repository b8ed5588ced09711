//! Batching: collect items from a queue and write them together, by size or after a time.
//!
//! A trip to a database or a service for each item takes its time for each item; a batch
//! takes it once. `recv_many` takes what waits, but does not wait for more. For a few
//! items to make a batch, too, wait a little, from the first of them on. The trap is in
//! both languages: a batch in a local variable is lost when the wait is cancelled, by a
//! timeout, a lost `select!`, or an abort. Here it stays in the struct until it is
//! written, and the next call goes on with it. So an item may be written twice, when only
//! the answer was lost: insert by a key. At the end the senders are dropped, and what is
//! left is the last batch, without a wait. On a stream: `chunks_and_windows`; only what
//! waits already: `drain_what_waits`.
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

#[cfg(test)]
mod tests {
    use std::panic::AssertUnwindSafe;
    use std::time::Duration;

    use futures::FutureExt;
    use tokio::sync::mpsc;
    use tokio::task::{JoinSet, yield_now};
    use tokio::time::{Instant, sleep, timeout};

    use super::Batches;

    const TICK: Duration = Duration::from_millis(1);

    /// All batches, each with its time in ticks.
    async fn all(mut batches: Batches<u32>) -> Vec<(u128, Vec<u32>)> {
        let start = Instant::now();
        let mut all = Vec::new();
        while let Some(batch) = batches.next().await {
            all.push((start.elapsed().as_millis(), batch.to_vec()));
            batches.written();
        }
        assert_eq!(batches.next().await, None);
        all
    }

    #[tokio::test(start_paused = true)]
    async fn by_size_by_time_and_at_the_end() {
        for (size, ticks, expected) in [
            (3, vec![], vec![]),
            (1, vec![0, 0], vec![(0, vec![0]), (0, vec![1])]),
            (3, vec![0, 5, 5], vec![(5, vec![0, 1, 2])]),
            (3, vec![0, 9], vec![(10, vec![0, 1])]),
            (3, vec![1, 12], vec![(11, vec![0]), (17, vec![1])]),
            (
                2,
                vec![0, 0, 0, 0, 0],
                vec![(0, vec![0, 1]), (0, vec![2, 3]), (5, vec![4])],
            ),
        ] {
            let (queue, items) = mpsc::channel(1);
            let batches = all(Batches::new(items, size, 10 * TICK));
            let send = async move {
                let start = Instant::now();
                for (number, tick) in (0..).zip(ticks) {
                    tokio::time::sleep_until(start + tick * TICK).await;
                    queue.send(number).await.expect("it is open");
                }
                sleep(5 * TICK).await;
            };
            assert_eq!(tokio::join!(send, batches).1, expected);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn dropped_at_each_await() {
        for ticks in 0..30 {
            let (queue, items) = mpsc::channel(1);
            let mut batches = Batches::new(items, 3, 10 * TICK);
            tokio::spawn(async move {
                for number in 0..8 {
                    sleep(4 * TICK).await;
                    queue.send(number).await.expect("it is open");
                }
            });
            let mut written = Vec::new();
            let start = Instant::now();
            loop {
                let step = async {
                    let batch = batches.next().await?.to_vec();
                    // The write.
                    sleep(TICK).await;
                    batches.written();
                    Some(batch)
                };
                // Dropped after so many ticks, and once more each tick after that.
                let patience = if start.elapsed() < ticks * TICK {
                    ticks
                } else {
                    3
                };
                match timeout(patience * TICK, step).await {
                    Ok(Some(batch)) => written.extend(batch),
                    Ok(None) => break,
                    Err(_) => {}
                }
            }
            assert_eq!(written, (0..8).collect::<Vec<_>>(), "{ticks}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_cancelled_wait_begins_no_new_linger() {
        let (queue, items) = mpsc::channel(1);
        let mut batches = Batches::new(items, 3, 10 * TICK);
        queue.send(1).await.expect("it is open");
        let start = Instant::now();
        for _ in 0..9 {
            assert!(timeout(TICK, batches.next()).await.is_err());
        }
        assert_eq!(batches.next().await, Some(&[1][..]));
        assert_eq!(start.elapsed(), 10 * TICK);
        queue.send(2).await.expect("it is open");
        // Not written yet, so it comes again, and the new one with it.
        assert_eq!(batches.next().await, Some(&[1, 2][..]));
        batches.written();
        drop(queue);
        assert_eq!(batches.next().await, None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_linger_without_end() {
        let (queue, items) = mpsc::channel(1);
        let mut batches = Batches::new(items, 2, Duration::MAX);
        queue.send(1).await.expect("it is open");
        assert!(timeout(3600 * 1000 * TICK, batches.next()).await.is_err());
        queue.send(2).await.expect("it is open");
        assert_eq!(batches.next().await, Some(&[1, 2][..]));
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn many_senders_on_four_threads() {
        let (queue, items) = mpsc::channel(10);
        let mut senders = JoinSet::new();
        for sender in 0..100 {
            let queue = queue.clone();
            senders.spawn(async move {
                for number in 0..100 {
                    queue.send(sender * 100 + number).await.expect("it is open");
                    yield_now().await;
                }
            });
        }
        drop(queue);
        let batches = tokio::spawn(all(Batches::new(items, 7, TICK)));
        let batches = batches.await.expect("it does not panic");
        assert!(batches.iter().all(|(_, batch)| batch.len() <= 7));
        let mut items: Vec<_> =
            batches.into_iter().flat_map(|(_, batch)| batch).collect();
        items.sort_unstable();
        assert_eq!(items, (0..10_000).collect::<Vec<_>>());
    }

    #[tokio::test(start_paused = true)]
    async fn a_write_that_panics_keeps_the_batch() {
        let (queue, items) = mpsc::channel(1);
        let mut batches = Batches::new(items, 1, TICK);
        queue.send(1).await.expect("it is open");
        let write = async {
            let _batch = batches.next().await;
            panic!("scheduled");
        };
        assert!(AssertUnwindSafe(write).catch_unwind().await.is_err());
        assert_eq!(batches.next().await, Some(&[1][..]));
    }

    #[test]
    #[should_panic(expected = "room for an item")]
    fn no_batches_of_none() {
        let (_queue, items) = mpsc::channel::<u32>(1);
        let _batches = Batches::new(items, 0, TICK);
    }
}
