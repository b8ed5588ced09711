//! A receiver that waits for ever: the sender that nobody dropped.
//!
//! A channel ends when its last sender is dropped, with no end mark to put. So one that
//! was forgotten keeps `recv` waiting for ever, and nothing says so. Look at three
//! places, each shown first as it goes wrong: the sender that was cloned for the tasks
//! (drop it after the last clone), a sender in a struct (let the method that ends it take
//! `self`), and the receiver's own task, if it sends itself more work. There each item
//! brings a sender of its own: with the last item the last sender goes.
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

/// A log that is written by a task of its own. Dropped without `close` it is written
/// behind the caller's back, and what is not written when the program ends is lost.
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
        // It fails once the writer has ended, and the line is lost.
        if self.lines.send(String::from(line)).is_err() {
            println!("not written: {line}");
        }
    }

    /// Takes the log by value: with `&mut self` the sender could not be dropped.
    async fn close(self) -> Result<usize, JoinError> {
        drop(self.lines);
        self.writer.await
    }
}

/// A page to be read, and where to send the pages that it links to.
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
    // The page ends here, and its sender with it.
}

async fn read_all(pages: &mut mpsc::UnboundedReceiver<Page>) {
    while let Some(page) = pages.recv().await {
        read(page).await;
    }
}

pub async fn run() -> Result<(), JoinError> {
    let limit = Duration::from_millis(500);

    println!("Nobody says that there is no more:");
    let (sender, receiver) = mpsc::unbounded_channel();
    tokio::spawn(produce(1, sender.clone()));
    tokio::spawn(produce(10, sender.clone()));
    match timeout(limit, total(receiver)).await {
        Ok(total) => println!("total {total}"),
        Err(_) => println!("no end after 0.5 s"),
    }

    println!("Dropped after the last clone:");
    let (sender, receiver) = mpsc::unbounded_channel();
    tokio::spawn(produce(1, sender.clone()));
    tokio::spawn(produce(10, sender.clone()));
    drop(sender);
    println!("total {}", total(receiver).await);

    println!("A sender in a struct:");
    let mut log = Log::open();
    log.add("one");
    log.add("two");
    if timeout(limit, &mut log.writer).await.is_err() {
        println!("no end after 0.5 s");
    }
    println!("Dropped by `close`:");
    println!("{} bytes written", log.close().await?);

    println!("A receiver that sends itself more:");
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
    println!("Dropped:");
    drop(found);
    read_all(&mut pages).await;
    println!("all read");
    Ok(())
}

#[tokio::main]
pub async fn main() -> Result<(), JoinError> {
    run().await
}
