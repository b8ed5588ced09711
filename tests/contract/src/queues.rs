//! `asyncio.Queue`: what CPython's tests ask of it, on Tokio's channels.
//!
//! A clause is `NAME.METHOD.FACT`. Behind an `@` stands the counterpart, where a name has
//! several: the channel itself is `mpsc`, unless many consumers need `async-channel`.
//!
//! asyncio: asyncio.Queue, asyncio.PriorityQueue, asyncio.LifoQueue
//! differs: a channel has two ends with owners; a queue is one shared object

use std::cmp::Reverse;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex as StdMutex};

use tokio::sync::mpsc::error::{TryRecvError, TrySendError};
use tokio::sync::{Mutex, Semaphore, mpsc, watch};
use tokio::time::{sleep, timeout};
use tokio_util::task::TaskTracker;

use crate::support::priority_queue::PriorityQueue;
use crate::support::{millis, settle, try_out};

// What is there, and how much.

async fn empty() -> String {
    let (sender, mut receiver) = mpsc::channel(1);
    let before = receiver.is_empty();
    sender.send(1).await.unwrap();
    let with_one = receiver.is_empty();
    receiver.recv().await;
    format!(
        "{before}, {with_one} with an item, {} after it",
        receiver.is_empty()
    )
}

async fn full() -> String {
    let (sender, _receiver) = mpsc::unbounded_channel();
    let unbounded = (0..1000).all(|number| sender.send(number).is_ok());
    let (sender, _receiver) = mpsc::channel(1);
    let before = sender.capacity() == 0;
    sender.send(1).await.unwrap();
    let after = sender.capacity() == 0;
    format!("unbounded takes 1000: {unbounded}; of one: {before}, {after} with an item")
}

async fn order() -> String {
    let (sender, mut receiver) = mpsc::unbounded_channel();
    for item in [1, 3, 2] {
        sender.send(item).unwrap();
    }
    let mut items = Vec::new();
    for _ in 0..3 {
        items.push(receiver.recv().await.unwrap().to_string());
    }
    items.join(" ")
}

async fn maxsize() -> String {
    mpsc::channel::<u8>(2).0.max_capacity().to_string()
}

async fn maxsize_zero() -> String {
    let (sender, _receiver) = mpsc::channel(0);
    let taken = (0..1000).all(|number| sender.try_send(number).is_ok());
    format!("takes 1000: {taken}")
}

// Put and get.

async fn put_waits() -> String {
    let (sender, mut receiver) = mpsc::channel(2);
    let count = Arc::new(AtomicU32::new(0));
    let counter = Arc::clone(&count);
    let putting = tokio::spawn(async move {
        for item in 0..3 {
            sender.send(item).await.unwrap();
            counter.fetch_add(1, Ordering::SeqCst);
        }
    });
    settle().await;
    let before = count.load(Ordering::SeqCst);
    receiver.recv().await;
    settle().await;
    let after = count.load(Ordering::SeqCst);
    putting.await.unwrap();
    format!("{before} of 3 are put, after a get {after}")
}

async fn put_unbounded() -> String {
    let (sender, _receiver) = mpsc::unbounded_channel();
    for item in 0..1000 {
        sender.send(item).unwrap();
    }
    "1000 without a wait".to_owned()
}

async fn get_at_once() -> String {
    let (sender, mut receiver) = mpsc::channel(1);
    sender.send("a").await.unwrap();
    receiver.recv().await.unwrap().to_owned()
}

async fn get_waits() -> String {
    let (sender, mut receiver) = mpsc::channel(1);
    let getting = tokio::spawn(async move { receiver.recv().await.unwrap() });
    settle().await;
    let before = getting.is_finished();
    sender.send("a").await.unwrap();
    format!(
        "done before the put: {before}; then {}",
        getting.await.unwrap()
    )
}

async fn get_wakes_putter() -> String {
    let (sender, mut receiver) = mpsc::channel(1);
    sender.send("a").await.unwrap();
    let putting = tokio::spawn(async move { sender.send("b").await.is_ok() });
    settle().await;
    let first = receiver.recv().await.unwrap();
    let put = putting.await.unwrap();
    format!(
        "{first}; the waiting put is done: {put}; {}",
        receiver.recv().await.unwrap()
    )
}

async fn full_before_the_putter_runs() -> String {
    let (sender, mut receiver) = mpsc::channel(1);
    sender.send("a").await.unwrap();
    let other = sender.clone();
    let _putting = tokio::spawn(async move { other.send("b").await });
    settle().await;
    receiver.recv().await;
    match sender.try_send("c") {
        Ok(()) => "put_nowait takes the free place",
        Err(_) => "put_nowait is refused: the place belongs to the waiting put",
    }
    .to_owned()
}

async fn get_nowait() -> String {
    let (sender, mut receiver) = mpsc::channel(1);
    sender.try_send("a").unwrap();
    receiver.try_recv().unwrap().to_owned()
}

async fn get_nowait_empty() -> String {
    let (_sender, mut receiver) = mpsc::channel::<u8>(1);
    why_not(receiver.try_recv())
}

async fn put_nowait_full() -> String {
    let (sender, _receiver) = mpsc::channel(1);
    sender.try_send(1).unwrap();
    match sender.try_send(2) {
        Err(TrySendError::Full(_)) => "full",
        Err(TrySendError::Closed(_)) => "shut down",
        Ok(()) => "taken",
    }
    .to_owned()
}

async fn putters_in_order() -> String {
    let (sender, mut receiver) = mpsc::channel(1);
    for item in ["a", "b", "c"] {
        let sender = sender.clone();
        tokio::spawn(async move { sender.send(item).await });
        settle().await;
    }
    let mut items = Vec::new();
    for _ in 0..3 {
        items.push(receiver.recv().await.unwrap());
    }
    items.join(" ")
}

async fn producer_and_consumer() -> String {
    let (sender, mut receiver) = mpsc::channel(1);
    tokio::spawn(async move {
        for item in 0..5 {
            sender.send(item).await.unwrap();
        }
    });
    let mut items = Vec::new();
    while let Some(item) = receiver.recv().await {
        items.push(item.to_string());
    }
    items.join(" ")
}

async fn four_puts_one_drain() -> String {
    let (sender, mut receiver) = mpsc::channel(2);
    let putters: Vec<_> = (0..4)
        .map(|item| {
            let sender = sender.clone();
            tokio::spawn(async move { sender.send(item).await.is_ok() })
        })
        .collect();
    settle().await;
    for _ in 0..receiver.len() {
        receiver.try_recv().unwrap();
    }
    let mut done = 0;
    for putter in putters {
        done += u32::from(putter.await.unwrap());
    }
    format!("{done} of 4 puts are done")
}

// Cancelled at a get or a put.

async fn cancelled_get() -> String {
    let (sender, receiver) = async_channel::unbounded();
    let (one, two) = (receiver.clone(), receiver);
    let first = tokio::spawn(async move { one.recv().await });
    settle().await;
    let second = tokio::spawn(async move { two.recv().await });
    settle().await;
    first.abort();
    sender.send("a").await.unwrap();
    format!("the second getter gets {}", second.await.unwrap().unwrap())
}

async fn cancelled_get_locked() -> String {
    let (sender, receiver) = mpsc::unbounded_channel();
    let receiver = Arc::new(Mutex::new(receiver));
    let (one, two) = (Arc::clone(&receiver), receiver);
    let first = tokio::spawn(async move { one.lock().await.recv().await });
    settle().await;
    let second = tokio::spawn(async move { two.lock().await.recv().await });
    settle().await;
    first.abort();
    sender.send("a").unwrap();
    format!("the second getter gets {}", second.await.unwrap().unwrap())
}

async fn cancelled_after_put() -> String {
    let (sender, receiver) = async_channel::unbounded();
    let own = receiver.clone();
    let reader = tokio::spawn(async move { own.recv().await });
    settle().await;
    sender.try_send("a").unwrap();
    sender.try_send("b").unwrap();
    reader.abort();
    // On several threads the reader may have ended before the abort.
    let first = match reader.await {
        Ok(item) => item.unwrap(),
        Err(_) => receiver.recv().await.unwrap(),
    };
    format!("{first} {} are there", receiver.recv().await.unwrap())
}

async fn cancelled_after_put_locked() -> String {
    let (sender, receiver) = mpsc::unbounded_channel();
    let receiver = Arc::new(Mutex::new(receiver));
    let own = Arc::clone(&receiver);
    let reader = tokio::spawn(async move { own.lock().await.recv().await });
    settle().await;
    sender.send("a").unwrap();
    sender.send("b").unwrap();
    reader.abort();
    let mut receiver = match reader.await {
        Ok(item) => return format!("{} b are there", item.unwrap()),
        Err(_) => receiver.lock().await,
    };
    let first = receiver.recv().await.unwrap();
    format!("{first} {} are there", receiver.recv().await.unwrap())
}

async fn cancelled_owner() -> String {
    let (sender, mut receiver) = mpsc::unbounded_channel();
    let reader = tokio::spawn(async move {
        receiver.recv().await;
        sleep(millis(500)).await;
        drop(receiver);
    });
    settle().await;
    sender.send("a").unwrap();
    sender.send("b").unwrap();
    settle().await;
    reader.abort();
    let _ = reader.await;
    match sender.send("c") {
        Ok(()) => "b is there, and c is put",
        Err(_) => "b is lost, and c is refused",
    }
    .to_owned()
}

async fn cancelled_one_of_three() -> String {
    let (sender, receiver) = async_channel::unbounded();
    let mut readers = Vec::new();
    for _ in 0..3 {
        let receiver = receiver.clone();
        readers.push(tokio::spawn(async move { receiver.recv().await.unwrap() }));
        settle().await;
    }
    let mut readers = readers.into_iter();
    readers.next().unwrap().abort();
    settle().await;
    sender.try_send("a").unwrap();
    settle().await;
    sender.try_send("b").unwrap();
    let (second, third) = (readers.next().unwrap(), readers.next().unwrap());
    format!(
        "the others get {} and {}",
        second.await.unwrap(),
        third.await.unwrap()
    )
}

async fn timed_out_get() -> String {
    let (sender, mut receiver) = mpsc::channel(1);
    let timed_out = timeout(millis(20), receiver.recv()).await.is_err();
    sender.send("a").await.unwrap();
    format!(
        "timed out: {timed_out}; then {}",
        receiver.recv().await.unwrap()
    )
}

async fn cancelled_put() -> String {
    /// Tells of its end.
    struct Item(Arc<AtomicU32>);
    impl Drop for Item {
        fn drop(&mut self) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }
    let dropped = Arc::new(AtomicU32::new(0));
    let (sender, _receiver) = mpsc::channel(1);
    sender.send(Item(Arc::clone(&dropped))).await.ok().unwrap();
    let put = sender.send(Item(Arc::clone(&dropped)));
    let timed_out = timeout(millis(20), put).await.is_err();
    let item = ["the caller still has the item", "the item is dropped"];
    let item = item[dropped.load(Ordering::SeqCst) as usize];
    format!("timed out: {timed_out}; {item}")
}

async fn cancelled_put_reserve() -> String {
    let item = String::from("b");
    let (sender, mut receiver) = mpsc::channel(1);
    sender.send(String::from("a")).await.unwrap();
    let timed_out = timeout(millis(20), sender.reserve()).await.is_err();
    receiver.recv().await;
    sender.send(item).await.unwrap();
    let item = "the caller still has the item";
    format!("timed out: {timed_out}; {item}")
}

async fn cancel_after_put() -> String {
    let (sender, mut receiver) = mpsc::channel(1);
    let putting = tokio::spawn(async move {
        sender.send("a").await.unwrap();
        sleep(millis(500)).await;
    });
    settle().await;
    putting.abort();
    receiver.recv().await.unwrap().to_owned()
}

async fn cancelled_putter_is_skipped() -> String {
    let (sender, mut receiver) = mpsc::channel(1);
    let mut putters = Vec::new();
    for item in ["a", "b", "c"] {
        let sender = sender.clone();
        putters.push(tokio::spawn(async move { sender.send(item).await }));
        settle().await;
    }
    putters[1].abort();
    settle().await;
    let (first, second) = (receiver.recv().await, receiver.recv().await);
    format!("{} {}", first.unwrap(), second.unwrap())
}

async fn cancelled_when_woken() -> String {
    let (sender, mut receiver) = mpsc::channel(1);
    sender.send("a").await.unwrap();
    let other = sender.clone();
    let putting = tokio::spawn(async move { other.send("b").await });
    settle().await;
    receiver.try_recv().unwrap();
    putting.abort();
    let _ = putting.await;
    // On several threads the put may have been quicker than the abort.
    let free = sender.try_send("c").is_ok() || receiver.try_recv() == Ok("b");
    format!("no place is lost: {free}")
}

// Other orders.

async fn lifo_by_priority() -> String {
    let queue = PriorityQueue::unbounded();
    for (number, item) in [1, 3, 2].into_iter().enumerate() {
        queue.put(Reverse(number), item).await.unwrap();
    }
    let mut items = Vec::new();
    for _ in 0..3 {
        items.push(queue.get().await.unwrap().1.to_string());
    }
    items.join(" ")
}

async fn lifo_by_vec() -> String {
    let (stack, count) = (StdMutex::new(Vec::new()), Semaphore::new(0));
    for item in [1, 3, 2] {
        stack.lock().unwrap().push(item);
        count.add_permits(1);
    }
    let mut items = Vec::new();
    for _ in 0..3 {
        count.acquire().await.unwrap().forget();
        items.push(stack.lock().unwrap().pop().unwrap().to_string());
    }
    items.join(" ")
}

async fn priority_order() -> String {
    let queue = PriorityQueue::unbounded();
    for priority in [1, 3, 2, -1] {
        queue.put(priority, ()).await.unwrap();
    }
    let mut items = Vec::new();
    for _ in 0..4 {
        items.push(queue.get().await.unwrap().0.to_string());
    }
    items.join(" ")
}

async fn priority_ties() -> String {
    let queue = PriorityQueue::unbounded();
    for item in ["b", "a", "c"] {
        queue.put(1, item).await.unwrap();
    }
    let mut items = Vec::new();
    for _ in 0..3 {
        items.push(queue.get().await.unwrap().1);
    }
    items.join(" ")
}

async fn priority_cancelled_get() -> String {
    let queue = Arc::new(PriorityQueue::unbounded());
    let (one, two) = (Arc::clone(&queue), Arc::clone(&queue));
    let first = tokio::spawn(async move { one.get().await });
    settle().await;
    let second = tokio::spawn(async move { two.get().await });
    settle().await;
    first.abort();
    queue.put(1, "a").await.unwrap();
    format!(
        "the second getter gets {}",
        second.await.unwrap().unwrap().1
    )
}

async fn priority_cancelled_put() -> String {
    let queue = Arc::new(PriorityQueue::bounded(1));
    queue.put(1, "a").await.unwrap();
    let (one, two) = (Arc::clone(&queue), Arc::clone(&queue));
    let first = tokio::spawn(async move { one.put(2, "b").await });
    settle().await;
    let second = tokio::spawn(async move { two.put(3, "c").await.is_ok() });
    settle().await;
    first.abort();
    settle().await;
    queue.get().await;
    let put = second.await.unwrap();
    format!(
        "the second put is done: {put}; {}",
        queue.get().await.unwrap().1
    )
}

// Join.

async fn join_all() -> String {
    let (sender, receiver) = async_channel::unbounded();
    let (unfinished, sum) = (TaskTracker::new(), Arc::new(AtomicU32::new(0)));
    unfinished.close();
    for number in 0..100 {
        sender.try_send((number, unfinished.token())).unwrap();
    }
    for _ in 0..2 {
        let (receiver, sum) = (receiver.clone(), Arc::clone(&sum));
        tokio::spawn(async move {
            while let Ok((number, _unfinished)) = receiver.recv().await {
                sum.fetch_add(number, Ordering::SeqCst);
            }
        });
    }
    unfinished.wait().await;
    format!("the sum is {}", sum.load(Ordering::SeqCst))
}

async fn join_empty() -> String {
    let unfinished = TaskTracker::new();
    unfinished.close();
    unfinished.wait().await;
    unfinished.wait().await;
    "joined twice".to_owned()
}

async fn join_empty_open() -> String {
    let unfinished = TaskTracker::new();
    unfinished.wait().await;
    unfinished.wait().await;
    "joined twice".to_owned()
}

async fn task_done_too_often() -> String {
    let unfinished = watch::Sender::new(0_usize);
    unfinished.send_modify(|count| *count -= 1);
    format!("{} are unfinished", *unfinished.borrow())
}

async fn join_with_a_dead_worker() -> String {
    let (sender, mut receiver) = mpsc::unbounded_channel();
    let unfinished = TaskTracker::new();
    unfinished.close();
    for number in 0..3 {
        sender.send((number, unfinished.token())).unwrap();
    }
    let worker = tokio::spawn(async move {
        while let Some((_number, _unfinished)) = receiver.recv().await {
            sleep(millis(500)).await;
        }
    });
    settle().await;
    worker.abort();
    match timeout(millis(100), unfinished.wait()).await {
        Ok(()) => "join returns, the work is undone",
        Err(_) => "join still waits",
    }
    .to_owned()
}

async fn join_priority() -> String {
    let (queue, unfinished) = (PriorityQueue::unbounded(), TaskTracker::new());
    unfinished.close();
    queue.put(1, unfinished.token()).await.unwrap();
    let before = timeout(millis(20), unfinished.wait()).await.is_ok();
    drop(queue.get().await);
    unfinished.wait().await;
    format!("joined before: {before}, after: true")
}

fn why_not<T>(got: Result<T, TryRecvError>) -> String {
    match got {
        Ok(_) => "an item",
        Err(TryRecvError::Empty) => "empty",
        Err(TryRecvError::Disconnected) => "shut down",
    }
    .to_owned()
}

#[tokio::main]
async fn main() {
    try_out! { millis(10_000),
        "queue.empty.follows-items" => empty(),
        "queue.full.at-maxsize" => full(),
        "queue.order.first-in-first-out" => order(),
        "queue.maxsize.tells-limit" => maxsize(),
        "queue.maxsize.zero-is-unbounded" => maxsize_zero(),
        "queue.put.waits-when-full" => put_waits(),
        "queue.put.never-waits-unbounded" => put_unbounded(),
        "queue.get.returns-item-there" => get_at_once(),
        "queue.get.waits-for-put" => get_waits(),
        "queue.get.wakes-putter" => get_wakes_putter(),
        "queue.full.before-woken-put-runs" => full_before_the_putter_runs(),
        "queue.get_nowait.returns-item" => get_nowait(),
        "queue.get_nowait.refuses-empty" => get_nowait_empty(),
        "queue.put_nowait.refuses-full" => put_nowait_full(),
        "queue.put.waiting-puts-keep-order" => putters_in_order(),
        "queue.put.producer-and-consumer" => producer_and_consumer(),
        "queue.put.all-woken-after-drain" => four_puts_one_drain(),
        "queue.get.cancelled-takes-nothing" => cancelled_get(),
        "queue.get.cancelled-takes-nothing@locked" => cancelled_get_locked(),
        "queue.get.cancelled-after-put" => cancelled_after_put(),
        "queue.get.cancelled-after-put@locked" => cancelled_after_put_locked(),
        "queue.get.cancelled-consumer-keeps-items@owner" => cancelled_owner(),
        "queue.get.cancelled-one-of-three" => cancelled_one_of_three(),
        "queue.get.timed-out-loses-nothing" => timed_out_get(),
        "queue.put.cancelled-keeps-item" => cancelled_put(),
        "queue.put.cancelled-keeps-item@reserve" => cancelled_put_reserve(),
        "queue.put.done-is-not-undone" => cancel_after_put(),
        "queue.put.cancelled-is-skipped" => cancelled_putter_is_skipped(),
        "queue.put.cancelled-frees-its-place" => cancelled_when_woken(),
        "lifo.order.last-in-first-out@priority" => lifo_by_priority(),
        "lifo.order.last-in-first-out@vec" => lifo_by_vec(),
        "priority.order.smallest-first" => priority_order(),
        "priority.order.ties" => priority_ties(),
        "priority.get.cancelled-takes-nothing" => priority_cancelled_get(),
        "priority.put.cancelled-is-skipped" => priority_cancelled_put(),
        "queue.join.waits-for-all" => join_all(),
        "queue.join.returns-if-empty" => join_empty(),
        "queue.join.returns-if-empty@open" => join_empty_open(),
        "queue.task_done.refused-too-often@count" => task_done_too_often(),
        "queue.join.waits-if-worker-dies" => join_with_a_dead_worker(),
        "priority.join.waits-for-all" => join_priority(),
    }
}
