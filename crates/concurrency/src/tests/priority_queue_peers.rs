//! Further cases after the tests of CPython's `asyncio.PriorityQueue`, and of
//! async-priority-channel.

use std::cmp::Reverse;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use tokio::sync::mpsc::error::SendError;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::support::soon;
use crate::priority_queue::PriorityQueue;

const SECOND: Duration = Duration::from_secs(1);

type Queue = PriorityQueue<u32, &'static str>;

async fn filled(items: &[(u32, &'static str)]) -> Queue {
    let queue = Queue::unbounded();
    for (priority, item) in items {
        queue.put(*priority, item).await.expect("it is open");
    }
    queue
}

/// Takes all items that are there.
fn drain(queue: &Queue) -> Vec<&'static str> {
    let items = std::iter::from_fn(|| queue.get().now_or_never().flatten());
    items.map(|(_, item)| item).collect()
}

#[tokio::test(start_paused = true)]
async fn cpython_items_come_by_their_priority() {
    let queue = filled(&[(1, "b"), (3, "d"), (0, "a"), (2, "c")]).await;
    assert_eq!(drain(&queue), ["a", "b", "c", "d"]);
}

#[tokio::test(start_paused = true)]
async fn cpython_equal_priorities_keep_their_order_differs() {
    // asyncio would compare the items.
    let queue = filled(&[(1, "z"), (1, "y"), (1, "x")]).await;
    assert_eq!(drain(&queue), ["z", "y", "x"]);
}

#[tokio::test(start_paused = true)]
async fn cpython_a_lifo_queue_by_reversed_numbers() {
    let queue = PriorityQueue::unbounded();
    for number in 0..9_u32 {
        queue
            .put(Reverse(number), number)
            .await
            .expect("it is open");
    }
    let mut last = Vec::new();
    while let Some(Some((_, number))) = queue.get().now_or_never() {
        last.push(number);
    }
    assert!(last.into_iter().eq((0..9).rev()));
}

#[tokio::test(start_paused = true)]
async fn cpython_qsize_and_empty() {
    let queue = filled(&[]).await;
    assert!(queue.is_empty());
    queue.put(1, "a").await.expect("it is open");
    assert_eq!((queue.len(), queue.is_empty()), (1, false));
    drain(&queue);
    assert_eq!((queue.len(), queue.is_empty()), (0, true));
}

#[tokio::test(start_paused = true)]
async fn cpython_get_waits_for_a_put() {
    let queue = filled(&[]).await;
    let put = async {
        sleep(SECOND).await;
        queue.put(1, "a").await
    };
    let (got, put) = tokio::join!(queue.get(), put);
    assert_eq!((got, put), (Some((1, "a")), Ok(())));
}

#[tokio::test(start_paused = true)]
async fn cpython_put_waits_for_room() {
    let queue = Queue::bounded(1);
    queue.put(1, "a").await.expect("there is room");
    assert!(queue.put(1, "b").now_or_never().is_none());
    let get = async {
        sleep(SECOND).await;
        queue.get().await
    };
    let (put, got) = tokio::join!(queue.put(1, "c"), get);
    assert_eq!((put, got), (Ok(()), Some((1, "a"))));
    assert_eq!(drain(&queue), ["c"]);
}

#[tokio::test(start_paused = true)]
async fn cpython_a_cancelled_get_loses_nothing() {
    let queue = filled(&[]).await;
    for _ in 0..9 {
        assert!(timeout(SECOND, queue.get()).await.is_err());
    }
    queue.put(1, "a").await.expect("it is open");
    assert_eq!(drain(&queue), ["a"]);
}

#[tokio::test(start_paused = true)]
async fn cpython_a_cancelled_get_that_was_woken_passes_the_item_on() {
    let queue = Arc::new(filled(&[]).await);
    let get = || {
        let queue = Arc::clone(&queue);
        tokio::spawn(async move { queue.get().await })
    };
    let (first, second) = (get(), get());
    sleep(SECOND).await;
    queue.put(1, "a").await.expect("it is open");
    first.abort();
    let second = soon(second).await.expect("no panic");
    assert_eq!(second, Some((1, "a")));
}

#[tokio::test(start_paused = true)]
async fn cpython_a_cancelled_put_that_was_woken_passes_the_room_on() {
    let queue = Arc::new(Queue::bounded(1));
    queue.put(0, "a").await.expect("there is room");
    let put = |item| {
        let queue = Arc::clone(&queue);
        tokio::spawn(async move { queue.put(1, item).await })
    };
    let (first, second) = (put("b"), put("c"));
    sleep(SECOND).await;
    assert_eq!(queue.get().await, Some((0, "a")));
    first.abort();
    assert_eq!(soon(second).await.expect("no panic"), Ok(()));
    assert_eq!(drain(&queue), ["c"]);
}

#[tokio::test(start_paused = true)]
async fn cpython_shutdown_lets_what_is_there_be_taken() {
    let queue = filled(&[(2, "b"), (1, "a")]).await;
    queue.close();
    assert_eq!(queue.put(0, "c").await, Err(SendError("c")));
    assert_eq!(queue.get().await, Some((1, "a")));
    assert_eq!(queue.get().await, Some((2, "b")));
    assert_eq!(queue.get().await, None);
    assert_eq!(queue.get().await, None);
}

#[tokio::test(start_paused = true)]
async fn cpython_shutdown_wakes_all_that_wait() {
    let queue = Arc::new(Queue::bounded(1));
    let mut getters = JoinSet::new();
    for _ in 0..31 {
        let queue = Arc::clone(&queue);
        getters.spawn(async move { queue.get().await });
    }
    sleep(SECOND).await;
    queue.close();
    queue.close();
    assert_eq!(soon(getters.join_all()).await, [None; 31]);
}

#[tokio::test(start_paused = true)]
async fn cpython_shutdown_refuses_a_put_that_waits() {
    let queue = Queue::bounded(1);
    queue.put(1, "a").await.expect("there is room");
    let close = async {
        sleep(SECOND).await;
        queue.close();
    };
    let (put, ()) = tokio::join!(queue.put(1, "b"), close);
    assert_eq!(put, Err(SendError("b")));
    assert_eq!(drain(&queue), ["a"]);
}

#[tokio::test(start_paused = true)]
async fn cpython_a_full_queue_puts_waiting_items_in_their_order_of_coming_differs() {
    // An urgent item waits for its place behind the others.
    let queue = Queue::bounded(1);
    queue.put(9, "first").await.expect("there is room");
    let puts = async { tokio::join!(queue.put(5, "second"), queue.put(1, "urgent")) };
    let gets = async {
        sleep(SECOND).await;
        let mut items = Vec::new();
        for _ in 0..3 {
            items.extend(queue.get().await.map(|(_, item)| item));
        }
        items
    };
    let ((second, urgent), items) = tokio::join!(puts, gets);
    assert_eq!((second, urgent), (Ok(()), Ok(())));
    assert_eq!(items, ["first", "second", "urgent"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn async_priority_channel_every_item_has_one_receiver() {
    let queue = Arc::new(PriorityQueue::bounded(8));
    let (mut senders, mut receivers) = (JoinSet::new(), JoinSet::new());
    for sender in 0..4_u32 {
        let sent = Arc::clone(&queue);
        senders.spawn(async move {
            for number in 0..250 {
                let item = sender * 250 + number;
                sent.put(number % 5, item).await.expect("it is open");
            }
        });
        let queue = Arc::clone(&queue);
        receivers.spawn(async move {
            let mut taken = Vec::new();
            while let Some((_, item)) = queue.get().await {
                taken.push(item);
            }
            taken
        });
    }
    senders.join_all().await;
    queue.close();
    let mut taken = soon(receivers.join_all()).await.concat();
    taken.sort_unstable();
    assert!(taken.into_iter().eq(0..1000));
}
