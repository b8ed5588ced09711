//! Cases after the tests of trio's memory channels, Go's `range` over a channel and
//! CPython's `Queue.shutdown`; and the page's own statements.

use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

const SECOND: Duration = Duration::from_secs(1);
const YEAR: Duration = Duration::from_secs(365 * 86_400);

/// All items up to the end of the channel, or `None` if it has not ended in a year.
async fn all<T>(mut receiver: mpsc::Receiver<T>) -> Option<Vec<T>> {
    let read = async {
        let mut items = Vec::new();
        while let Some(item) = receiver.recv().await {
            items.push(item);
        }
        items
    };
    timeout(YEAR, read).await.ok()
}

#[tokio::test(start_paused = true)]
async fn go_a_range_over_a_channel_that_nobody_closes_never_ends() {
    let (sender, receiver) = mpsc::channel(9);
    tokio::spawn({
        let sender = sender.clone();
        async move { sender.send(1).await }
    });
    assert_eq!(all(receiver).await, None);
    drop(sender);
}

#[tokio::test(start_paused = true)]
async fn trio_each_clone_keeps_the_receiver_waiting_and_the_last_one_ends_it() {
    let (sender, receiver) = mpsc::channel(9);
    for number in 0..9 {
        let sender = sender.clone();
        tokio::spawn(async move {
            sleep(number * SECOND).await;
            sender.send(number).await
        });
    }
    drop(sender);
    assert_eq!(all(receiver).await, Some((0..9).collect()));
}

#[tokio::test(start_paused = true)]
async fn trio_what_was_sent_before_the_end_is_still_received() {
    let (sender, receiver) = mpsc::channel(9);
    for number in 0..9 {
        sender.try_send(number).expect("there is room");
    }
    drop(sender);
    assert_eq!(all(receiver).await, Some((0..9).collect()));
}

#[tokio::test(start_paused = true)]
async fn trio_a_sender_in_a_task_that_fails_or_is_cancelled_is_dropped() {
    let (sender, receiver) = mpsc::channel::<u32>(9);
    let fails = sender.clone();
    let failed = tokio::spawn(async move {
        fails.send(1).await.expect("open");
        panic!("scheduled");
    });
    let waits = tokio::spawn(async move {
        sender.send(2).await.expect("open");
        std::future::pending::<()>().await;
    });
    sleep(SECOND).await;
    assert!(failed.await.expect_err("it panics").is_panic());
    waits.abort();
    assert_eq!(all(receiver).await, Some(vec![1, 2]));
}

#[tokio::test(start_paused = true)]
async fn trio_a_receiver_that_has_gone_is_told_to_the_senders() {
    let (sender, receiver) = mpsc::channel(1);
    sender.try_send(1).expect("there is room");
    let waiting = tokio::spawn(async move { sender.send(2).await });
    sleep(SECOND).await;
    drop(receiver);
    let refused = waiting.await.expect("no panic").expect_err("closed");
    assert_eq!(refused.0, 2);
}

#[tokio::test(start_paused = true)]
async fn tokio_a_weak_sender_does_not_keep_the_receiver_waiting() {
    let (sender, receiver) = mpsc::channel(1);
    let weak = sender.downgrade();
    weak.upgrade().expect("open").try_send(1).expect("room");
    drop(sender);
    assert_eq!(all(receiver).await, Some(vec![1]));
    assert!(weak.upgrade().is_none());
}

#[tokio::test(start_paused = true)]
async fn cpython_shutdown_is_close_by_the_receiver() {
    let (sender, mut receiver) = mpsc::channel(9);
    sender.try_send(1).expect("there is room");
    receiver.close();
    sender.try_send(2).expect_err("it takes no more");
    // The sender is still there, and yet the rest has an end.
    assert_eq!(all(receiver).await, Some(vec![1]));
    drop(sender);
}

struct Page {
    number: u32,
    found: Option<mpsc::UnboundedSender<Page>>,
}

/// Reads a tree of pages, of which each may carry its sender. Returns how many there were,
/// or `None` if the channel has no end.
async fn crawl(pages: u32, each_carries_one: bool) -> Option<u32> {
    let (sender, mut receiver) = mpsc::unbounded_channel();
    let own =
        |sender: &mpsc::UnboundedSender<Page>| each_carries_one.then(|| sender.clone());
    let found = own(&sender);
    let first = Page { number: 1, found };
    assert!(sender.send(first).is_ok());
    let kept = (!each_carries_one).then(|| sender.clone());
    drop(sender);
    let read = async {
        let mut read = 0;
        while let Some(page) = receiver.recv().await {
            read += 1;
            let found = page.found.as_ref().or(kept.as_ref()).expect("one of them");
            for number in [2 * page.number, 2 * page.number + 1] {
                if number <= pages {
                    let page = Page {
                        number,
                        found: own(found),
                    };
                    assert!(found.send(page).is_ok());
                }
            }
        }
        read
    };
    timeout(YEAR, read).await.ok()
}

#[tokio::test(start_paused = true)]
async fn with_the_last_item_the_last_sender_is_dropped() {
    for pages in [1, 2, 31, 129, 1_000] {
        assert_eq!(crawl(pages, true).await, Some(pages));
    }
    // One that the receiver keeps for itself is never dropped.
    assert_eq!(crawl(9, false).await, None);
}

/// The trap: it owns the sender, and the task that receives.
struct Log {
    lines: mpsc::UnboundedSender<u32>,
    writer: JoinHandle<u32>,
}

impl Log {
    fn new() -> Self {
        let (lines, mut receiver) = mpsc::unbounded_channel();
        let writer = tokio::spawn(async move {
            let mut sum = 0;
            while let Some(line) = receiver.recv().await {
                sum += line;
            }
            sum
        });
        Self { lines, writer }
    }

    async fn finish_badly(&mut self) -> u32 {
        (&mut self.writer).await.expect("no panic")
    }

    async fn finish(self) -> u32 {
        drop(self.lines);
        self.writer.await.expect("no panic")
    }
}

#[tokio::test(start_paused = true)]
async fn a_method_that_keeps_the_sender_waits_forever_and_one_that_takes_self_does_not() {
    let mut log = Log::new();
    log.lines.send(3).expect("open");
    log.lines.send(4).expect("open");
    timeout(YEAR, log.finish_badly()).await.expect_err("no end");
    assert_eq!(timeout(YEAR, log.finish()).await, Ok(7));
}
