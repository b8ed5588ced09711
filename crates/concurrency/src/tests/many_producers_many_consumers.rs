use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Mutex, mpsc};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

use super::support::poll_and_drop;
use crate::many_producers_many_consumers::SharedReceiver;

const HOUR: Duration = Duration::from_secs(3600);
const BODY: Duration = Duration::from_millis(100);

fn four_items() -> mpsc::Receiver<u32> {
    let (sender, receiver) = mpsc::channel(4);
    for item in 0..4 {
        sender.try_send(item).expect("four fit in");
    }
    receiver
}

#[tokio::test(start_paused = true)]
async fn consumers_work_at_the_same_time() {
    let receiver = SharedReceiver::new(four_items());
    let start = Instant::now();
    let mut tasks = JoinSet::new();
    for _ in 0..2 {
        let receiver = receiver.clone();
        tasks.spawn(async move {
            while receiver.recv().await.is_some() {
                sleep(BODY).await;
            }
        });
    }
    tasks.join_all().await;
    assert_eq!(start.elapsed(), BODY * 2);
}

#[tokio::test(start_paused = true)]
async fn a_guard_in_the_head_of_the_loop_makes_them_take_turns() {
    let receiver = Arc::new(Mutex::new(four_items()));
    let start = Instant::now();
    let mut tasks = JoinSet::new();
    for _ in 0..2 {
        let receiver = Arc::clone(&receiver);
        tasks.spawn(async move {
            while let Some(_item) = receiver.lock().await.recv().await {
                sleep(BODY).await;
            }
        });
    }
    tasks.join_all().await;
    assert_eq!(start.elapsed(), BODY * 4);
}

#[tokio::test(start_paused = true)]
async fn an_item_that_is_there_is_delivered_once() {
    for polls in 1..4 {
        let receiver = SharedReceiver::new(four_items());
        let mut items = Vec::new();
        items.extend(poll_and_drop(receiver.recv(), polls).await.flatten());
        while let Ok(Some(item)) = timeout(HOUR, receiver.recv()).await {
            items.push(item);
        }
        assert_eq!(items, [0, 1, 2, 3]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_consumer_dropped_while_it_waits_loses_no_item() {
    for polls in 1..4 {
        for ahead in [false, true] {
            let (sender, receiver) = mpsc::channel(1);
            let receiver = SharedReceiver::new(receiver);
            let first = receiver.clone();
            let first = ahead.then(|| tokio::spawn(async move { first.recv().await }));
            sleep(BODY).await;
            let dropped = poll_and_drop(receiver.recv(), polls).await;
            assert_eq!(dropped, None);
            sender.send(1).await.expect("a receiver is there");
            let next = match first {
                Some(first) => first.await.expect("it does not panic"),
                None => timeout(HOUR, receiver.recv()).await.expect("the next"),
            };
            assert_eq!(next, Some(1));
            sender.send(2).await.expect("a receiver is there");
            let next = timeout(HOUR, receiver.recv()).await;
            assert_eq!(next, Ok(Some(2)));
        }
    }
}

/// The trap: a waiting consumer holds the lock, which `close` would need.
#[tokio::test(start_paused = true)]
async fn nobody_closes_a_receiver_that_waits_behind_the_lock() {
    let (_sender, receiver) = mpsc::channel::<u32>(1);
    let receiver = Arc::new(Mutex::new(receiver));
    let shared = Arc::clone(&receiver);
    let consumer = tokio::spawn(async move { shared.lock().await.recv().await });
    // The consumer has its turn, and waits.
    tokio::task::yield_now().await;
    let close = async { receiver.lock().await.close() };
    assert!(timeout(HOUR, close).await.is_err());
    consumer.abort();

    let (sender, receiver) = async_channel::bounded::<u32>(1);
    let consumer = tokio::spawn(async move { receiver.recv().await });
    tokio::task::yield_now().await;
    sender.close();
    assert!(consumer.await.expect("no panic").is_err());
}

#[tokio::test(start_paused = true)]
async fn each_item_goes_to_the_clone_that_has_waited_longest() {
    let (sender, receiver) = mpsc::channel(1);
    let receiver = SharedReceiver::new(receiver);
    let mut waiting = Vec::new();
    for _ in 0..31 {
        let receiver = receiver.clone();
        waiting.push(tokio::spawn(async move { receiver.recv().await }));
        sleep(BODY).await;
    }
    for item in 0..31 {
        sender.send(item).await.expect("a receiver is there");
        sleep(BODY).await;
    }
    for (item, waits) in (0..31).zip(waiting) {
        assert_eq!(waits.await.expect("no panic"), Some(item));
    }
}

#[tokio::test(start_paused = true)]
async fn when_all_senders_are_dropped_each_consumer_gets_none() {
    let (sender, receiver) = mpsc::channel::<u32>(1);
    let receiver = SharedReceiver::new(receiver);
    let waiting: JoinSet<_> = (0..31)
        .map(|_| {
            let receiver = receiver.clone();
            async move { receiver.recv().await }
        })
        .collect();
    sleep(BODY).await;
    drop(sender);
    let ended = timeout(HOUR, waiting.join_all()).await;
    assert_eq!(ended, Ok(vec![None; 31]));
}
