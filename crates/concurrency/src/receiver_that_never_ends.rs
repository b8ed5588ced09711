//! A receiver that waits for ever: the sender that nobody dropped.
//!
//! A channel ends when its last sender is dropped. A forgotten sender keeps `recv`
//! waiting, without any message. It hides in three places, each shown first as it goes
//! wrong.
//!
//! If you clone the sender for tasks, drop it after the last clone. If a struct owns the
//! sender, let the method that closes the struct take `self`. If a receiver sends itself
//! more work, let each item carry a sender of its own. With the last item the last sender
//! is dropped.
//!
//! In asyncio, `Queue.join` or `Queue.shutdown` tells that nothing more will come.
//!
//! See also: `producer_consumer`, `queue_shutdown`, `queue_join`.
//!
//! asyncio: asyncio.Queue, asyncio.Queue.get, asyncio.Queue.join, asyncio.wait(timeout=)

use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::{JoinError, JoinHandle};
use tokio::time::{sleep, timeout};

async fn produce(first: u32, numbers: mpsc::UnboundedSender<u32>) {
    for number in [first, first + 1] {
        sleep(Duration::from_millis(100)).await;
        if numbers.send(number).is_err() {
            return;
        }
    }
}

async fn total(mut numbers: mpsc::UnboundedReceiver<u32>) -> u32 {
    let mut total = 0;
    while let Some(number) = numbers.recv().await {
        total += number;
    }
    total
}

/// A log that is written by a task of its own. If it is dropped without `close`, the task
/// goes on writing, and lines that are not written when the program ends are lost.
struct Log {
    lines: mpsc::UnboundedSender<String>,
    writer: JoinHandle<usize>,
}

impl Log {
    fn open() -> Self {
        let (lines, mut receiver) = mpsc::unbounded_channel::<String>();
        let writer = tokio::spawn(async move {
            let mut written = 0;
            while let Some(line) = receiver.recv().await {
                sleep(Duration::from_millis(100)).await;
                written += line.len();
            }
            written
        });
        Self { lines, writer }
    }

    fn add(&self, line: &str) {
        // An error means that the writer has ended.
        if self.lines.send(String::from(line)).is_err() {
            println!("not written: {line}");
        }
    }

    /// Waits until all lines are written, and returns their number of bytes. It takes the
    /// log by value: with `&mut self` the sender could not be dropped.
    async fn close(self) -> Result<usize, JoinError> {
        drop(self.lines);
        self.writer.await
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
    for number in links {
        let found = page.found.clone();
        let linked = Page {
            number: *number,
            found,
        };
        if page.found.send(linked).is_err() {
            println!("nobody reads page {number}");
        }
    }
    // The page is dropped here, and its sender with it.
}

async fn read_all(pages: &mut mpsc::UnboundedReceiver<Page>) {
    while let Some(page) = pages.recv().await {
        read(page).await;
    }
}

pub async fn run() -> Result<(), JoinError> {
    let limit = Duration::from_millis(500);

    println!("The producers have ended:");
    let (sender, receiver) = mpsc::unbounded_channel();
    tokio::spawn(produce(1, sender.clone()));
    tokio::spawn(produce(10, sender.clone()));
    match timeout(limit, total(receiver)).await {
        Ok(total) => println!("total {total}"),
        Err(_) => println!("no end after 0.5 s"),
    }

    println!("And nothing more can come:");
    let (sender, receiver) = mpsc::unbounded_channel();
    tokio::spawn(produce(1, sender.clone()));
    tokio::spawn(produce(10, sender.clone()));
    drop(sender);
    println!("total {}", total(receiver).await);

    println!("A log:");
    let mut log = Log::open();
    log.add("one");
    log.add("two");
    if timeout(limit, &mut log.writer).await.is_err() {
        println!("no end after 0.5 s");
    }
    println!("Closed:");
    println!("{} bytes written", log.close().await?);

    println!("A reader that finds more to read:");
    let (found, mut pages) = mpsc::unbounded_channel();
    let first = Page {
        number: 1,
        found: found.clone(),
    };
    if found.send(first).is_err() {
        println!("nobody reads page 1");
    }
    if timeout(limit, read_all(&mut pages)).await.is_err() {
        println!("no end after 0.5 s");
    }
    println!("Ended with the last page:");
    drop(found);
    read_all(&mut pages).await;
    println!("all read");
    Ok(())
}

#[tokio::main]
pub async fn main() -> Result<(), JoinError> {
    run().await
}
