//! Put into a queue without waiting: `put_nowait` and `QueueFull`, or drop the oldest.
//!
//! `try_send` is `put_nowait`, and its error gives the item back: `Full`, as `QueueFull`,
//! or `Closed` when the receiver is gone, of which an `asyncio.Queue` knows nothing. The
//! trap is to treat both alike: `Full` passes, but `Closed` never does, so a loop that
//! tries again goes on for ever. A sender cannot take the oldest item out, as
//! `get_nowait` does: `DropOldest` is a `VecDeque` behind a lock. An item that should be
//! fresh is made when there is room: `reserve` waits for a place before there is an item.
//! Many receivers, each of which may miss items: `broadcast`. `full` and `empty` are
//! `capacity() == 0` and `is_empty`: believe them where nobody else puts or takes.
//!
//! asyncio: asyncio.Queue.put_nowait, asyncio.QueueFull, asyncio.Queue.get_nowait
//! asyncio: asyncio.Queue.full, asyncio.Queue.empty, asyncio.Queue.maxsize
//! asyncio: asyncio.Queue.qsize

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::join;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{Notify, mpsc};
use tokio::time::sleep;

const CAPACITY: usize = 2;

/// A queue that never refuses an item and never makes a producer wait: when it is full,
/// its oldest item goes. It has no end: whoever receives is stopped from outside.
pub struct DropOldest<T> {
    items: Mutex<VecDeque<T>>,
    capacity: usize,
    added: Notify,
}

impl<T> DropOldest<T> {
    /// An empty queue for so many items.
    ///
    /// # Panics
    ///
    /// If `capacity` is 0.
    pub fn new(capacity: usize) -> DropOldest<T> {
        assert!(capacity > 0, "a queue for no items");
        DropOldest {
            items: Mutex::new(VecDeque::with_capacity(capacity)),
            capacity,
            added: Notify::new(),
        }
    }

    /// Adds an item. What had to go for it, if the queue was full.
    pub fn push(&self, item: T) -> Option<T> {
        let mut items = self.items.lock().unwrap_or_else(PoisonError::into_inner);
        let full = items.len() == self.capacity;
        let oldest = if full { items.pop_front() } else { None };
        items.push_back(item);
        self.added.notify_one();
        oldest
    }

    /// The oldest item; waits while there is none. Cancel-safe: an item is either
    /// returned or still in the queue.
    pub async fn recv(&self) -> T {
        loop {
            if let Some(item) = self.pop() {
                return item;
            }
            self.added.notified().await;
        }
    }

    fn pop(&self) -> Option<T> {
        let mut items = self.items.lock().unwrap_or_else(PoisonError::into_inner);
        let item = items.pop_front();
        if !items.is_empty() {
            // `notify_one` remembers one call only, so whoever takes an item wakes the
            // next receiver if there is more.
            self.added.notify_one();
        }
        item
    }
}

/// Offers a number without waiting. Whether there is any use in offering more.
fn offer(number: u32, queue: &mpsc::Sender<u32>) -> bool {
    match queue.try_send(number) {
        Ok(()) => println!("{number} put"),
        Err(TrySendError::Full(number)) => println!("{number} refused: full"),
        Err(TrySendError::Closed(number)) => {
            println!("{number} refused: nobody takes it");
            return false;
        }
    }
    true
}

async fn process(number: u32) {
    println!("processing {number}");
    sleep(Duration::from_millis(350)).await;
}

/// Processes three numbers and leaves.
async fn consumer_of_three(mut queue: mpsc::Receiver<u32>) {
    for _ in 0..3 {
        let Some(number) = queue.recv().await else {
            return;
        };
        process(number).await;
    }
}

/// Makes four readings, each of them only when there is a place for it.
async fn read_sensor(queue: mpsc::Sender<u32>) {
    for number in 0..4 {
        let Ok(place) = queue.reserve().await else {
            return;
        };
        println!("reading {number}");
        // The place is its own, so this neither waits nor fails.
        place.send(number);
    }
}

pub async fn run() {
    println!("Refused when it is full:");
    let (sender, receiver) = mpsc::channel(CAPACITY);
    let produce = async {
        for number in 0.. {
            if !offer(number, &sender) {
                return;
            }
            sleep(Duration::from_millis(200)).await;
        }
    };
    join!(produce, consumer_of_three(receiver));

    println!("The oldest goes when it is full:");
    let queue = Arc::new(DropOldest::new(CAPACITY));
    let shared = Arc::clone(&queue);
    tokio::spawn(async move {
        for number in 0..7 {
            if let Some(oldest) = shared.push(number) {
                println!("{oldest} dropped for {number}");
            }
            sleep(Duration::from_millis(100)).await;
        }
    });
    for _ in 0..4 {
        process(queue.recv().await).await;
    }

    println!("Made when there is room:");
    let (sender, mut receiver) = mpsc::channel(CAPACITY);
    tokio::spawn(read_sensor(sender));
    sleep(Duration::from_millis(100)).await;
    while let Some(number) = receiver.recv().await {
        process(number).await;
    }

    println!("Filled and emptied by one alone:");
    let (sender, mut receiver) = mpsc::channel(CAPACITY);
    // while not queue.full():
    while sender.capacity() > 0 {
        if sender.try_send(receiver.len()).is_ok() {
            let (taken, places) = (receiver.len(), sender.max_capacity());
            println!("{taken} of {places} places taken");
        }
    }
    while !receiver.is_empty() {
        if let Ok(number) = receiver.try_recv() {
            println!("{number} taken out");
        }
    }
}

#[tokio::main]
pub async fn main() {
    run().await;
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::pin::pin;
    use std::sync::Arc;
    use std::task::Poll;
    use std::time::Duration;

    use tokio::task::{JoinSet, yield_now};
    use tokio::time::{sleep, timeout};

    use super::DropOldest;

    const LIMIT: Duration = Duration::from_secs(20);

    /// Polls the future at most `polls` times, a millisecond apart, and drops it if it is
    /// not ready then.
    async fn poll_and_drop<F: Future>(future: F, polls: usize) -> Option<F::Output> {
        let mut future = pin!(future);
        for _ in 0..polls {
            if let Poll::Ready(output) = futures::poll!(future.as_mut()) {
                return Some(output);
            }
            sleep(Duration::from_millis(1)).await;
        }
        None
    }

    #[test]
    fn the_oldest_goes() {
        let queue = DropOldest::new(1);
        assert_eq!(queue.push(1), None);
        assert_eq!(queue.push(2), Some(1));
        assert_eq!((queue.pop(), queue.pop()), (Some(2), None));
    }

    #[test]
    #[should_panic(expected = "a queue for no items")]
    fn a_queue_for_no_items() {
        DropOldest::<u32>::new(0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_receiver_dropped_at_any_poll_takes_nothing_along() {
        for polls in 1..4 {
            for added in 0..3 {
                let queue = Arc::new(DropOldest::new(2));
                let shared = Arc::clone(&queue);
                let waiting =
                    tokio::spawn(
                        async move { (shared.recv().await, shared.recv().await) },
                    );
                yield_now().await;
                let dropped = {
                    let mut receiving = pin!(queue.recv());
                    let first = poll_and_drop(receiving.as_mut(), polls).await;
                    // It is woken by these, or the other is, and then it is dropped.
                    (0..added).for_each(|number| assert_eq!(queue.push(number), None));
                    first
                };
                assert_eq!(dropped, None);
                (added..2).for_each(|number| assert_eq!(queue.push(number), None));
                let got = timeout(LIMIT, waiting).await.expect("both arrive");
                assert_eq!(got.ok(), Some((0, 1)));
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn who_is_woken_and_dropped_wakes_the_next() {
        let queue = Arc::new(DropOldest::new(2));
        let spawn = || {
            let queue = Arc::clone(&queue);
            tokio::spawn(async move { queue.recv().await })
        };
        let (first, second) = (spawn(), spawn());
        yield_now().await;
        queue.push(7);
        first.abort();
        let got = timeout(LIMIT, second).await.expect("it is woken");
        assert_eq!(got.ok(), Some(7));
    }

    #[tokio::test(start_paused = true)]
    async fn two_that_asked_before_two_items_came_get_one_each() {
        let queue = DropOldest::new(2);
        // Both have seen it empty, and neither has been registered as waiting.
        let (first, second) = (queue.added.notified(), queue.added.notified());
        queue.push(1);
        queue.push(2);
        assert!(timeout(LIMIT, first).await.is_ok());
        assert_eq!(queue.pop(), Some(1));
        assert!(timeout(LIMIT, second).await.is_ok());
        assert_eq!(queue.pop(), Some(2));
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn every_item_is_received_or_given_back() {
        const PRODUCERS: u32 = 4;
        const EACH: u32 = 2_500;
        let queue = Arc::new(DropOldest::new(8));
        let mut receivers = JoinSet::new();
        for _ in 0..3 {
            let queue = Arc::clone(&queue);
            receivers.spawn(async move {
                let mut got = Vec::new();
                let mut turn = 0;
                loop {
                    // Every other time it is dropped soon, if it waits.
                    turn += 1;
                    let limit = if turn % 2 == 0 { LIMIT } else { Duration::ZERO };
                    match timeout(limit, queue.recv()).await {
                        Ok(u32::MAX) => return got,
                        Ok(item) => got.push(item),
                        Err(_) => assert!(turn % 2 == 1, "it waits for ever"),
                    }
                }
            });
        }
        let mut producers = JoinSet::new();
        for producer in 0..PRODUCERS {
            let queue = Arc::clone(&queue);
            producers.spawn(async move {
                let mut back = Vec::new();
                for number in 0..EACH {
                    back.extend(queue.push(producer * EACH + number));
                    if number % 4 == 0 {
                        yield_now().await;
                    }
                }
                back
            });
        }
        let mut seen = producers.join_all().await.concat();
        for _ in 0..3 {
            seen.extend(queue.push(u32::MAX));
        }
        let got = timeout(LIMIT, receivers.join_all()).await.expect("all end");
        seen.extend(got.concat());
        let distinct: HashSet<u32> = seen.iter().copied().collect();
        let all = (PRODUCERS * EACH) as usize;
        assert_eq!((seen.len(), distinct.len()), (all, all));
    }
}
