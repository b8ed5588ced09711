//! A receiver that waits forever, because a sender was not dropped.
//!
//! A channel (Tokio's queue) ends when its last sender is dropped. One forgotten sender
//! keeps `recv` waiting forever, and no error reports it. If you clone the sender for
//! tasks, drop the original after the last clone. If the receiver adds work to its own
//! channel, for example links to further pages, put a clone of the sender into each item.
//! The last sender is then dropped with the last item. In asyncio, use `Queue.join` or
//! `Queue.shutdown`.
//!
//! Trap: If a struct owns the sender and one of its methods awaits the receiving task,
//! the method waits forever: the struct still holds the sender. Let the method take
//! `self`, and drop the sender before the await.
//!
//! See also: `producer_consumer`, `queue_shutdown`, `queue_join`.
//!
//! asyncio: asyncio.Queue, asyncio.Queue.get, asyncio.Queue.join, asyncio.Task.cancel

use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};

async fn produce(number: u32, numbers: mpsc::UnboundedSender<u32>) {
    sleep(Duration::from_millis(100)).await;
    if numbers.send(number).is_err() {
        println!("nobody receives {number}");
    }
}

async fn print_all(numbers: &mut mpsc::UnboundedReceiver<u32>) {
    while let Some(number) = numbers.recv().await {
        println!("received {number}");
        sleep(Duration::from_millis(50)).await;
    }
}

/// A page to be read, and the sender for the pages that it links to.
struct Page {
    number: u32,
    found: mpsc::UnboundedSender<Page>,
}

async fn read(page: Page) {
    sleep(Duration::from_millis(100)).await;
    println!("read page {}", page.number);
    let links = match page.number {
        1 => &[2, 3][..],
        3 => &[4],
        _ => &[],
    };
    for number in links.iter().copied() {
        let found = page.found.clone();
        if page.found.send(Page { number, found }).is_err() {
            println!("nobody reads page {number}");
        }
    }
    // The page is dropped here, and its sender with it.
}

#[tokio::main]
async fn main() {
    println!("The producer has ended, and nobody tells the receiver:");
    let (sender, mut receiver) = mpsc::unbounded_channel();
    tokio::spawn(produce(1, sender.clone()));
    let limit = Duration::from_millis(500);
    if timeout(limit, print_all(&mut receiver)).await.is_err() {
        println!("no end after 0.5 s");
    }

    println!("Nothing more can come:");
    drop(sender);
    print_all(&mut receiver).await;
    println!("the end");

    println!("A receiver that sends itself more work:");
    let (found, mut pages) = mpsc::unbounded_channel();
    let (number, own) = (1, found.clone());
    if found.send(Page { number, found: own }).is_ok() {
        drop(found);
    }
    while let Some(page) = pages.recv().await {
        read(page).await;
    }
    println!("all pages are read");
}
