use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::{FutureExt, StreamExt};
use tokio::sync::Notify;
use tokio::sync::mpsc::error::SendError;
use tokio::task::{JoinSet, yield_now};
use tokio::time::{sleep, timeout};

use super::support::{all_wait, assert_linear, poll_and_drop, soon};
use crate::condition_queue::{ConditionQueue, wait_for};

/// Nothing waits that long unless a wake-up is lost.
const LONG: Duration = Duration::from_secs(120);

/// A queue of one place that holds the items.
fn queue_of_1(items: &[u32]) -> Arc<ConditionQueue<u32>> {
    let queue = ConditionQueue::new(1);
    for item in items {
        queue.put(*item).now_or_never().unwrap().unwrap();
    }
    Arc::new(queue)
}

#[tokio::test(start_paused = true)]
async fn a_dropped_get_takes_nothing_and_wakes_the_next() {
    soon(async {
        for polls in 1..6 {
            for arrival in 0..6 {
                let queue = queue_of_1(&[]);
                let put = async {
                    sleep(Duration::from_millis(arrival)).await;
                    queue.put(1).await.unwrap();
                };
                let first = poll_and_drop(queue.get(), polls);
                let next = Arc::clone(&queue);
                let next = tokio::spawn(async move { timeout(LONG, next.get()).await });
                // Both in this task, in this order: when the item comes in the
                // millisecond in which that get ends, it is woken and then dropped.
                let ((), first) = futures::join!(put, first);
                if first.is_some() {
                    assert_eq!(first, Some(Some(1)));
                    queue.put(2).await.unwrap();
                }
                let expected = if first.is_some() { 2 } else { 1 };
                assert_eq!(
                    next.await.unwrap(),
                    Ok(Some(expected)),
                    "{polls} polls, item at {arrival}"
                );
                assert!(queue.get().now_or_never().is_none(), "empty");
            }
        }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_dropped_put_puts_nothing_and_wakes_the_next() {
    soon(async {
        for polls in 1..6 {
            for departure in 0..6 {
                let queue = queue_of_1(&[0]);
                let get = async {
                    sleep(Duration::from_millis(departure)).await;
                    assert_eq!(queue.get().await, Some(0));
                };
                let first = poll_and_drop(queue.put(1), polls);
                let next = Arc::clone(&queue);
                let next = tokio::spawn(async move { timeout(LONG, next.put(2)).await });
                let ((), first) = futures::join!(get, first);
                if first.is_some() {
                    assert_eq!(queue.get().await, Some(1));
                }
                assert_eq!(
                    next.await.unwrap(),
                    Ok(Ok(())),
                    "{polls} polls, room at {departure}"
                );
                assert_eq!(queue.get().await, Some(2));
                assert!(queue.get().now_or_never().is_none(), "empty");
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
                let empty = queue_of_1(&[]);
                let full = queue_of_1(&[0]);
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
                    putting.spawn(async move { full.put(1).await });
                }
                let (_, _, ()) = futures::join!(
                    poll_and_drop(empty.get(), polls),
                    poll_and_drop(full.put(2), polls),
                    close,
                );
                assert_eq!(getting.join_all().await, [None; 3]);
                assert_eq!(putting.join_all().await, [Err(SendError(1)); 3]);
                assert_eq!(full.get().await, Some(0));
                assert_eq!(full.get().await, None);
            }
        }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn those_in_line_are_served_in_order() {
    soon(async {
        let queue = queue_of_1(&[]);
        let mut getting = Vec::new();
        for _ in 0..3 {
            let queue = Arc::clone(&queue);
            getting.push(tokio::spawn(async move { queue.get().await }));
        }
        for item in 0..3 {
            sleep(Duration::from_millis(1)).await;
            queue.put(item).await.unwrap();
        }
        for (item, get) in (0..).zip(getting) {
            assert_eq!(get.await.unwrap(), Some(item));
        }
    })
    .await;
}

/// What the header says of wake-ups without `enable`: of two one is kept, or none.
#[tokio::test(start_paused = true)]
async fn of_two_wake_ups_before_the_wait_one_is_kept() {
    let condition = Notify::new();
    let waits = async |notified| timeout(LONG, notified).await.is_err();
    let (first, second) = (condition.notified(), condition.notified());
    condition.notify_one();
    condition.notify_one();
    assert_eq!((waits(first).await, waits(second).await), (false, true));
    condition.notify_waiters();
    assert!(waits(condition.notified()).await);
}

/// Two waiters have looked and found nothing, and do not wait yet, when two wake-ups
/// come: both have to be awake then. The second waits within the first one's look.
#[tokio::test(start_paused = true)]
async fn wake_ups_between_the_look_and_the_wait_are_not_lost() {
    soon(async {
        let condition = Notify::new();
        let (first, second) = (Mutex::new(()), Mutex::new(()));
        let mut looks = 0;
        let mut inner = pin!(wait_for(&second, &condition, |()| {
            looks += 1;
            if looks == 1 {
                condition.notify_one();
                condition.notify_one();
                return None;
            }
            Some("inner")
        }));
        let mut found = None;
        let outer = wait_for(&first, &condition, |()| {
            if found.is_none() {
                found = inner.as_mut().now_or_never();
                return None;
            }
            Some("outer")
        });
        assert_eq!(outer.await, "outer");
        assert_eq!(found, Some("inner"));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn limits() {
    soon(async {
        assert!(catch_unwind(|| ConditionQueue::<u32>::new(0)).is_err());
        let queue = queue_of_1(&[1]);
        assert!(queue.put(2).now_or_never().is_none(), "full");
        queue.close();
        assert_eq!(queue.put(2).await, Err(SendError(2)));
        assert_eq!(queue.get().await, Some(1));
        assert_eq!(queue.get().await, None);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_panic_while_the_lock_is_held_wedges_nothing() {
    soon(async {
        let (state, condition) = (Mutex::new(1), Notify::new());
        let panicked = catch_unwind(AssertUnwindSafe(|| {
            let bug = |_: &mut u32| -> Option<()> { panic!("scheduled") };
            wait_for(&state, &condition, bug).now_or_never()
        }));
        assert!(panicked.is_err());
        let found = wait_for(&state, &condition, |state| Some(*state)).await;
        assert_eq!(found, 1);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_consumer_that_panics_wedges_nothing() {
    soon(async {
        let queue = queue_of_1(&[1]);
        let bug = tokio::spawn({
            let queue = Arc::clone(&queue);
            async move {
                let item = queue.get().await;
                assert_eq!(item, None, "the bug of this consumer");
            }
        });
        timeout(LONG, queue.put(2)).await.unwrap().unwrap();
        assert!(bug.await.unwrap_err().is_panic());
        assert_eq!(queue.get().await, Some(2));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn items_need_only_be_send() {
    soon(async {
        let queue = Arc::new(ConditionQueue::new(1));
        let put = tokio::spawn({
            let queue = Arc::clone(&queue);
            async move { queue.put(Cell::new(1)).await }
        });
        assert_eq!(queue.get().await, Some(Cell::new(1)));
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
            let queue = Arc::new(ConditionQueue::new(2));
            let mut getting = Vec::new();
            let mut putting = Vec::new();
            for number in 0..4 {
                let taker = Arc::clone(&queue);
                getting.push(tokio::spawn(async move { taker.get().await }));
                let giver = Arc::clone(&queue);
                putting.push(tokio::spawn(async move {
                    giver.put(number).await.unwrap();
                    number
                }));
            }
            // From no moment to some microseconds later.
            for _ in 0..round % 8 {
                yield_now().await;
            }
            for number in 0..2 {
                getting[number].abort();
                putting[number].abort();
            }
            // Two gets and two puts were not aborted. Each aborted one may have gone
            // through in time, so help with what is missing to either side.
            let mut put = Vec::new();
            let mut taken = Vec::new();
            for task in putting.drain(..2) {
                put.extend(task.await.ok());
            }
            for task in getting.drain(..2) {
                taken.extend(task.await.ok().flatten());
            }
            for number in 0..taken.len() as u32 {
                let more = timeout(LONG, queue.put(10 + number)).await;
                more.unwrap().unwrap();
                put.push(10 + number);
            }
            for task in putting {
                put.push(timeout(LONG, task).await.expect("a put is stuck").unwrap());
            }
            for task in getting {
                let item = timeout(LONG, task).await.expect("a get is stuck").unwrap();
                taken.extend(item);
            }
            queue.close();
            while let Some(item) = queue.get().await {
                taken.push(item);
            }
            put.sort_unstable();
            taken.sort_unstable();
            assert_eq!(put, taken, "round {round}");
        }
    })
    .await;
}

#[test]
fn ten_times_as_many_that_wait_cost_ten_times_as_much() {
    assert_linear(async |number| {
        let queue = queue_of_1(&[]);
        let getting = all_wait(number, |_| {
            let queue = Arc::clone(&queue);
            async move { queue.get().await.unwrap() }
        });
        let getting = getting.await;
        for item in 0..number {
            queue.put(item).await.unwrap();
        }
        assert_eq!(getting.join_all().await.len(), number as usize);

        queue.put(0).await.unwrap();
        let putting = all_wait(number, |item| {
            let queue = Arc::clone(&queue);
            async move { queue.put(item).await }
        });
        let putting = putting.await;
        for _ in 0..=number {
            assert!(queue.get().await.is_some());
        }
        assert!(putting.join_all().await.iter().all(Result::is_ok));
    });
}

#[tokio::test(start_paused = true)]
async fn producers_in_line_are_served_in_order() {
    soon(async {
        let queue = queue_of_1(&[0]);
        let mut putting = JoinSet::new();
        for item in 1..=3 {
            let queue = Arc::clone(&queue);
            putting.spawn(async move { queue.put(item).await });
            sleep(Duration::from_millis(1)).await;
        }
        for item in 0..=3 {
            assert_eq!(queue.get().await, Some(item));
            sleep(Duration::from_millis(1)).await;
        }
        assert!(putting.join_all().await.iter().all(Result::is_ok));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_arrives_may_be_quicker_and_the_woken_waiter_waits_behind_the_others()
 {
    soon(async {
        let queue = queue_of_1(&[]);
        let [first, second] = [(); 2].map(|()| {
            let queue = Arc::clone(&queue);
            tokio::spawn(async move { queue.get().await })
        });
        sleep(Duration::from_millis(1)).await;
        queue.put(0).await.unwrap();
        // The first one is woken, and has not had its turn.
        assert_eq!(queue.get().now_or_never(), Some(Some(0)));
        for item in 1..=2 {
            sleep(Duration::from_millis(1)).await;
            queue.put(item).await.unwrap();
        }
        assert_eq!(
            (first.await.unwrap(), second.await.unwrap()),
            (Some(2), Some(1))
        );
    })
    .await;
}

/// What the page says of the crate, in version 2.
#[tokio::test]
async fn async_channel_closes_with_its_last_sender_or_its_last_receiver() {
    let (sender, receiver) = async_channel::bounded(2);
    let other = sender.clone();
    sender.send(1).await.unwrap();
    drop(sender);
    assert!(!receiver.is_closed());
    drop(other);
    // The receiver is a stream.
    assert_eq!(receiver.collect::<Vec<_>>().await, [1]);

    let (sender, receiver) = async_channel::bounded(2);
    let other = receiver.clone();
    drop(receiver);
    assert!(sender.send(1).await.is_ok());
    drop(other);
    assert!(sender.send(2).await.is_err());
}
