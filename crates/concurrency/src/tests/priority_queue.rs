use std::cell::Cell;
use std::cmp::Ordering;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::Duration;

use futures::FutureExt;
use tokio::sync::mpsc::error::SendError;
use tokio::task::{JoinSet, yield_now};
use tokio::time::{sleep, timeout};

use super::support::{poll_and_drop, soon};
use crate::priority_queue::PriorityQueue;

/// Nothing waits that long unless a permit is lost.
const LONG: Duration = Duration::from_secs(120);

type Queue = PriorityQueue<u32, u32>;

/// There is a permit for each item and for each free place, no more and no less: all
/// items are taken without a wait, then as many are put as there is room for, and then
/// the queue holds the same as before.
fn assert_balanced(queue: &Queue, capacity: usize) {
    let take_all = || {
        let items = std::iter::from_fn(|| queue.get().now_or_never().flatten());
        items.collect::<Vec<_>>()
    };
    let (length, items) = (queue.len(), take_all());
    assert_eq!(items.len(), length, "items");
    let puts = std::iter::from_fn(|| queue.put(0, 0).now_or_never());
    assert_eq!(puts.take(capacity + 1).count(), capacity, "room");
    assert_eq!(take_all().len(), capacity);
    for (priority, item) in items {
        let put = queue.put(priority, item).now_or_never();
        assert_eq!(put, Some(Ok(())));
    }
}

#[tokio::test(start_paused = true)]
async fn a_dropped_get_takes_nothing_and_leaves_the_next_its_item() {
    soon(async {
        for polls in 1..6 {
            for arrival in 0..6 {
                let queue = Arc::new(Queue::bounded(1));
                let put = async {
                    sleep(Duration::from_millis(arrival)).await;
                    queue.put(0, 1).await.unwrap();
                };
                let first = poll_and_drop(queue.get(), polls);
                let next = Arc::clone(&queue);
                let next = tokio::spawn(async move { timeout(LONG, next.get()).await });
                // Both in this task, in this order: when the item comes in the
                // millisecond in which that get ends, it is woken and then dropped.
                let ((), first) = futures::join!(put, first);
                if first.is_some() {
                    queue.put(0, 1).await.unwrap();
                }
                let next = next.await.unwrap();
                assert_eq!(next, Ok(Some((0, 1))), "{polls} polls, item at {arrival}");
                assert_balanced(&queue, 1);
            }
        }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_dropped_put_puts_nothing_and_leaves_the_next_its_place() {
    soon(async {
        for polls in 1..6 {
            for departure in 0..6 {
                let queue = Arc::new(Queue::bounded(1));
                queue.put(0, 0).await.unwrap();
                let get = async {
                    sleep(Duration::from_millis(departure)).await;
                    assert_eq!(queue.get().await, Some((0, 0)));
                };
                let first = poll_and_drop(queue.put(0, 1), polls);
                let next = Arc::clone(&queue);
                let next =
                    tokio::spawn(async move { timeout(LONG, next.put(0, 2)).await });
                let ((), first) = futures::join!(get, first);
                if first.is_some() {
                    assert_eq!(queue.get().await, Some((0, 1)));
                }
                let next = next.await.unwrap();
                assert_eq!(next, Ok(Ok(())), "{polls} polls, room at {departure}");
                assert_balanced(&queue, 1);
                assert_eq!(queue.get().await, Some((0, 2)));
                assert_balanced(&queue, 1);
            }
        }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn closing_reaches_everyone_in_line_whoever_is_dropped() {
    soon(async {
        for polls in 1..4 {
            for closing in 0..4 {
                let empty = Arc::new(Queue::bounded(1));
                let full = Arc::new(Queue::bounded(1));
                full.put(0, 0).await.unwrap();
                let close = async {
                    sleep(Duration::from_millis(closing)).await;
                    empty.close();
                    full.close();
                    full.close();
                };
                let mut getting = JoinSet::new();
                let mut putting = JoinSet::new();
                for _ in 0..3 {
                    let (empty, full) = (Arc::clone(&empty), Arc::clone(&full));
                    getting.spawn(async move { empty.get().await });
                    putting.spawn(async move { full.put(0, 1).await });
                }
                let (_, _, ()) = futures::join!(
                    poll_and_drop(empty.get(), polls),
                    poll_and_drop(full.put(0, 2), polls),
                    close,
                );
                assert_eq!(getting.join_all().await, [None; 3]);
                assert_eq!(putting.join_all().await, [Err(SendError(1)); 3]);
                assert_eq!(full.get().await, Some((0, 0)));
                assert_eq!(full.get().await, None);
            }
        }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn those_in_line_are_served_in_order_whatever_their_priority() {
    soon(async {
        let queue = Arc::new(Queue::bounded(1));
        let mut waiting = JoinSet::new();
        queue.put(9, 9).await.unwrap();
        for priority in [3, 1, 2] {
            let queue = Arc::clone(&queue);
            waiting.spawn(async move { queue.put(priority, priority).await });
            sleep(Duration::from_millis(1)).await;
        }
        let mut order = Vec::new();
        for _ in 0..4 {
            order.extend(queue.get().await.map(|(priority, _)| priority));
            sleep(Duration::from_millis(1)).await;
        }
        assert_eq!(order, [9, 3, 1, 2]);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn limits() {
    soon(async {
        assert!(catch_unwind(|| Queue::bounded(0)).is_err());
        let queue = Queue::bounded(1);
        queue.put(0, 1).await.unwrap();
        assert!(futures::poll!(pin!(queue.put(0, 2))).is_pending());
        assert_balanced(&queue, 1);
        queue.close();
        assert_eq!(queue.put(0, 2).await, Err(SendError(2)));
        assert_eq!(queue.get().await, Some((0, 1)));
        assert_eq!(queue.get().await, None);

        let queue = Queue::unbounded();
        for item in 0..10_000 {
            queue.put(item % 3, item).await.unwrap();
        }
        let mut taken = Vec::new();
        while !queue.is_empty() {
            taken.extend(queue.get().await);
        }
        // Sorted by priority, then by item, which here is the order of arrival.
        assert!(taken.is_sorted());
    })
    .await;
}

/// A priority whose comparison is a bug for 13.
#[derive(Debug, PartialEq, Eq)]
struct Unlucky(u32);

impl PartialOrd for Unlucky {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Unlucky {
    fn cmp(&self, other: &Self) -> Ordering {
        assert!(self.0 != 13 && other.0 != 13, "bad luck");
        self.0.cmp(&other.0)
    }
}

#[tokio::test(start_paused = true)]
async fn a_comparison_that_panics_wedges_nothing() {
    soon(async {
        let queue = Arc::new(PriorityQueue::bounded(3));
        queue.put(Unlucky(2), "two").await.unwrap();
        for _ in 0..5 {
            let queue = Arc::clone(&queue);
            let bug = tokio::spawn(async move { queue.put(Unlucky(13), "bug").await });
            assert!(bug.await.unwrap_err().is_panic());
        }
        timeout(LONG, queue.put(Unlucky(3), "three"))
            .await
            .unwrap()
            .unwrap();
        timeout(LONG, queue.put(Unlucky(1), "one"))
            .await
            .unwrap()
            .unwrap();
        for item in ["one", "two", "three"] {
            assert_eq!(queue.get().await.map(|(_, item)| item), Some(item));
        }
    })
    .await;
}

/// An item that asks the queue when it is dropped.
struct Asks(Arc<PriorityQueue<Unlucky, Asks>>);

impl Drop for Asks {
    fn drop(&mut self) {
        assert!(self.0.len() < 9);
    }
}

/// In a separate thread, as it would block forever on a lock that it holds.
#[test]
fn after_a_comparison_that_panics_the_lock_is_released_before_the_item_is_dropped() {
    let (done, ended) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let queue = Arc::new(PriorityQueue::bounded(3));
        for (number, is_ok) in [(1, true), (13, false), (2, true)] {
            let item = Asks(Arc::clone(&queue));
            let put = queue.put(Unlucky(number), item).map(|put| put.is_ok());
            let put = AssertUnwindSafe(put).catch_unwind().now_or_never();
            assert_eq!(put.unwrap().is_ok(), is_ok);
        }
        while queue
            .get()
            .now_or_never()
            .is_some_and(|item| item.is_some())
        {}
        done.send(()).unwrap();
    });
    assert!(ended.recv_timeout(LONG / 4).is_ok(), "blocked");
}

/// A priority that asks the queue when it is dropped.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct AsksToo(Unlucky, ByAddress);

struct ByAddress(Arc<PriorityQueue<AsksToo, u32>>);

impl PartialEq for ByAddress {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for ByAddress {}

impl PartialOrd for ByAddress {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for ByAddress {
    fn cmp(&self, _: &Self) -> Ordering {
        Ordering::Equal
    }
}

impl Drop for ByAddress {
    fn drop(&mut self) {
        assert!(self.0.len() < 9);
    }
}

#[test]
fn after_a_comparison_that_panics_the_lock_is_released_before_the_priority_is_dropped() {
    let (done, ended) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let queue = Arc::new(PriorityQueue::bounded(3));
        for (number, is_ok) in [(1, true), (13, false), (2, true)] {
            let priority = AsksToo(Unlucky(number), ByAddress(Arc::clone(&queue)));
            let put = queue.put(priority, number).map(|put| put.is_ok());
            let put = AssertUnwindSafe(put).catch_unwind().now_or_never();
            assert_eq!(put.unwrap().is_ok(), is_ok);
        }
        while let Some(Some(_)) = queue.get().now_or_never() {}
        done.send(()).unwrap();
    });
    assert!(ended.recv_timeout(LONG / 4).is_ok(), "blocked");
}

/// What the page says of the crate, in version 0.2.
#[tokio::test]
async fn async_priority_channel_takes_the_highest_first_and_ties_in_no_order() {
    let (sender, receiver) = async_priority_channel::unbounded();
    for (item, priority) in [2, 3, 2, 2, 2, 3, 3].into_iter().enumerate() {
        sender.send(item, priority).await.unwrap();
    }
    drop(sender);
    let mut taken = Vec::new();
    while let Ok((item, priority)) = receiver.recv().await {
        taken.push((priority, item));
    }
    assert!(taken.is_sorted_by(|a, b| a.0 >= b.0), "highest first");
    assert!(
        !taken.is_sorted_by(|a, b| a.0 > b.0 || a.1 < b.1),
        "no order"
    );
    assert_eq!(taken.len(), 7);
    // It closes with its last sender, as above, and with its last receiver.
    let (sender, receiver) = async_priority_channel::unbounded();
    drop(receiver);
    assert!(sender.send(1, 1).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn items_need_only_be_send() {
    soon(async {
        let queue = Arc::new(PriorityQueue::bounded(1));
        let put = tokio::spawn({
            let queue = Arc::clone(&queue);
            async move { queue.put(1, Cell::new(1)).await }
        });
        assert_eq!(queue.get().await, Some((1, Cell::new(1))));
        assert_eq!(put.await.unwrap(), Ok(()));
    })
    .await;
}

/// 1,250 rounds of four puts and four gets at a time, half of which are aborted at some
/// moment. The others have to get through, and every item is taken once or still
/// there.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_tasks_at_once() {
    soon(async {
        for round in 0..1250_u32 {
            let queue = Arc::new(Queue::bounded(2));
            let mut getting = Vec::new();
            let mut putting = Vec::new();
            for number in 0..4 {
                let taker = Arc::clone(&queue);
                getting.push(tokio::spawn(async move { taker.get().await }));
                let giver = Arc::clone(&queue);
                putting.push(tokio::spawn(async move {
                    giver.put(number % 2, number).await.unwrap();
                    number
                }));
            }
            for _ in 0..round % 8 {
                yield_now().await;
            }
            for number in 0..2 {
                getting[number].abort();
                putting[number].abort();
            }
            let mut put = Vec::new();
            let mut taken = Vec::new();
            for task in putting.drain(..2) {
                put.extend(task.await.ok());
            }
            for task in getting.drain(..2) {
                taken.extend(task.await.ok().flatten().map(|(_, item)| item));
            }
            // What the aborted gets took in time is missing to the others.
            for number in 0..taken.len() as u32 {
                let more = timeout(LONG, queue.put(2, 10 + number)).await;
                more.unwrap().unwrap();
                put.push(10 + number);
            }
            for task in putting {
                put.push(timeout(LONG, task).await.expect("a put is stuck").unwrap());
            }
            for task in getting {
                let item = timeout(LONG, task).await.expect("a get is stuck").unwrap();
                taken.extend(item.map(|(_, item)| item));
            }
            assert_balanced(&queue, 2);
            queue.close();
            while let Some((_, item)) = queue.get().await {
                taken.push(item);
            }
            put.sort_unstable();
            taken.sort_unstable();
            assert_eq!(put, taken, "round {round}");
        }
    })
    .await;
}

/// A put may have claimed its place, and be about to take the lock, when the close comes.
#[test]
fn a_close_between_claim_and_lock_refuses_the_item() {
    for round in 0..20_000_u32 {
        let (queue, start) = (Queue::bounded(1), AtomicBool::new(false));
        std::thread::scope(|scope| {
            let putting = scope.spawn(|| {
                while !start.load(SeqCst) {
                    std::hint::spin_loop();
                }
                futures::executor::block_on(queue.put(0, 1))
            });
            start.store(true, SeqCst);
            (0..round % 100).for_each(|_| std::hint::spin_loop());
            queue.close();
            let got = futures::executor::block_on(queue.get());
            let put = putting.join().unwrap();
            assert_eq!(put.is_ok(), got.is_some(), "round {round}");
            assert!(queue.is_empty(), "round {round}");
        });
    }
}

/// What was put before the close is taken, whatever gets and puts are under way.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn closing_among_many_tasks_loses_nothing() {
    soon(async {
        for round in 0..1000_u32 {
            let queue = Arc::new(Queue::bounded(2));
            let mut putting = JoinSet::new();
            let mut getting = JoinSet::new();
            for number in 0..5 {
                let giver = Arc::clone(&queue);
                putting.spawn(async move { giver.put(0, number).await.is_ok() });
                let taker = Arc::clone(&queue);
                getting.spawn(async move { taker.get().await.is_some() });
            }
            for _ in 0..round % 8 {
                yield_now().await;
            }
            queue.close();
            let put = timeout(LONG, putting.join_all())
                .await
                .expect("a put is stuck");
            let got = timeout(LONG, getting.join_all())
                .await
                .expect("a get is stuck");
            let put = put.into_iter().filter(|done| *done).count();
            let got = got.into_iter().filter(|done| *done).count();
            assert_eq!(put, got + queue.len(), "round {round}");
            // `None` means that there will never be an item again.
            assert!(got == 5 || queue.is_empty(), "round {round}");
        }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn consumers_in_line_are_served_in_order() {
    soon(async {
        let queue = Arc::new(Queue::bounded(1));
        let mut getting = Vec::new();
        for _ in 0..3 {
            let queue = Arc::clone(&queue);
            getting.push(tokio::spawn(async move { queue.get().await }));
            sleep(Duration::from_millis(1)).await;
        }
        for priority in [3, 1, 2] {
            queue.put(priority, 0).await.unwrap();
            sleep(Duration::from_millis(1)).await;
        }
        for (priority, get) in [3, 1, 2].into_iter().zip(getting) {
            assert_eq!(get.await.unwrap(), Some((priority, 0)));
        }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn an_item_waits_forever_while_more_urgent_ones_keep_coming() {
    soon(async {
        let queue = Queue::unbounded();
        queue.put(2, 0).await.unwrap();
        for item in 1..1000 {
            queue.put(1, item).await.unwrap();
            assert_eq!(queue.get().await, Some((1, item)));
        }
        assert_eq!(queue.get().await, Some((2, 0)));
    })
    .await;
}
