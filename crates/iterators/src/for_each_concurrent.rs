//! Run a coroutine for each item, at most n at once, no results: `for_each_concurrent`.
//!
//! Where nothing is collected, this takes the place of a `TaskGroup` with a semaphore:
//! one future that runs the whole loop, a few bodies at a time, and may borrow what is
//! around it. A failure is dealt with in the body, or `try_for_each_concurrent` stops at
//! the first one. The traps: that drops the bodies that are still at work; and a limit of
//! 0, like `None`, is no limit at all, where `buffered(0)` waits for ever. For results
//! see `buffered_in_order` and `bounded_fetch_with_failures`.
//!
//! asyncio: asyncio.Semaphore, asyncio.TaskGroup, except*

use std::fmt;
use std::time::Duration;

use futures::stream::{self, StreamExt, TryStreamExt};
use tokio::time::sleep;

/// How many messages are on their way at the same time.
const AT_ONCE: usize = 2;

#[derive(Debug)]
pub struct Refused(String);

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} refuses the message", self.0)
    }
}

impl std::error::Error for Refused {}

/// Stands for a connection to a mail server.
pub struct Mailer {
    sender: String,
}

impl Mailer {
    /// Takes 300 ms, or 500 for Ada. Bob refuses after 100.
    pub async fn send(&self, name: &str) -> Result<(), Refused> {
        println!("{} to {name}", self.sender);
        let millis = match name {
            "Ada" => 500,
            "Bob" => 100,
            _ => 300,
        };
        sleep(Duration::from_millis(millis)).await;
        if name == "Bob" {
            return Err(Refused(name.to_owned()));
        }
        println!("{name} has it");
        Ok(())
    }
}

/// Sends to all, and says who refuses.
pub async fn send_to_each(mailer: &Mailer, names: Vec<String>) {
    stream::iter(names)
        .for_each_concurrent(AT_ONCE, |name| async move {
            if let Err(error) = mailer.send(&name).await {
                println!("{error}");
            }
        })
        .await;
}

/// Sends until somebody refuses.
pub async fn send_to_all(mailer: &Mailer, names: Vec<String>) -> Result<(), Refused> {
    stream::iter(names)
        // The source may fail as well, so its items are `Result`s; these cannot.
        .map(Ok)
        .try_for_each_concurrent(AT_ONCE, |name| async move { mailer.send(&name).await })
        .await
}

pub async fn run() {
    let sender = "news".to_owned();
    let mailer = Mailer { sender };

    println!("Each failure by itself:");
    let names = ["Ada", "Bob", "Cy", "Dan"].map(str::to_owned).to_vec();
    send_to_each(&mailer, names).await;

    println!("The first failure ends it:");
    let names = ["Ada", "Cy", "Bob"].map(str::to_owned).to_vec();
    match send_to_all(&mailer, names).await {
        Ok(()) => println!("all have it"),
        Err(error) => println!("{error}"),
    }
    sleep(Duration::from_millis(300)).await;
    println!("0.3 s later");
}

#[tokio::main]
pub async fn main() {
    run().await;
}
