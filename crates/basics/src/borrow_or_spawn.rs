//! Borrow or spawn: futures may borrow from their function, tasks own their data.
//!
//! Futures in a `join!` or a `FuturesUnordered` (a set of futures, of the crate
//! `futures`) run inside the function that created them, and may borrow from that
//! function: no `Arc`, no clone, no `move`. Spawned tasks run by themselves, but must own
//! their data. Put `self` in an `Arc`, and clone the other values. A method that spawns
//! with `&self` is refused: "borrowed data escapes outside of method".
//!
//! Trap: If your loop takes long over each answer, the other futures that borrow from
//! your function stand still. They run only while your function awaits them. Here the
//! loop is busy with the first answer from 100 ms to 600 ms, so an answer due at 200 ms
//! arrives at 600 ms. If the futures must not stand still, spawn tasks instead.
//!
//! See also: `spawn_tasks`, `as_completed`, `join_or_spawn`.
//!
//! asyncio: asyncio.as_completed, asyncio.create_task
//! differs: futures that borrow run only while awaited; asyncio's tasks keep running

use std::sync::Arc;
use std::time::Duration;

use futures::stream::{FuturesUnordered, StreamExt};
use tokio::task::JoinSet;
use tokio::time::sleep;

/// How long a loop is busy with each answer.
const BUSY: Duration = Duration::from_millis(500);

pub struct Client {
    host: String,
}

impl Client {
    async fn fetch(&self, page: &str, delay: Duration) -> String {
        sleep(delay).await;
        println!("An answer for {page}");
        format!("{}: page {page}", self.host)
    }

    /// Prints the answers as they come. The futures borrow the client and the names, so
    /// this method must await the answers itself.
    pub async fn show_all(&self, pages: &[(String, Duration)]) {
        let mut answers = FuturesUnordered::new();
        for (page, delay) in pages {
            answers.push(self.fetch(page, *delay));
        }
        while let Some(answer) = answers.next().await {
            println!("{answer}");
            sleep(BUSY).await;
        }
    }

    /// Spawns tasks that own all they use, so they may be returned or kept in a struct.
    ///
    /// `self: &Arc<Self>` takes an `Arc<Client>`, and each task owns a clone of it.
    pub fn start_all(self: &Arc<Self>, pages: &[(String, Duration)]) -> JoinSet<String> {
        let mut tasks = JoinSet::new();
        for (page, delay) in pages.iter().cloned() {
            let client = Arc::clone(self);
            tasks.spawn(async move { client.fetch(&page, delay).await });
        }
        tasks
    }
}

#[tokio::main]
async fn main() -> Result<(), tokio::task::JoinError> {
    let client = Arc::new(Client {
        host: String::from("example.com"),
    });
    let pages = [("home", 100), ("news", 200)]
        .map(|(page, delay)| (String::from(page), Duration::from_millis(delay)));

    println!("Tasks that own, in a busy loop:");
    let mut tasks = client.start_all(&pages);
    while let Some(answer) = tasks.join_next().await {
        println!("{}", answer?);
        sleep(BUSY).await;
    }

    println!("Futures that borrow, in a busy loop:");
    client.show_all(&pages).await;
    Ok(())
}
