//! Run a coroutine for each item, at most n at a time, no results: `for_each_concurrent`.
//!
//! If nothing is collected, `for_each_concurrent` takes the place of a `TaskGroup` with a
//! semaphore. One future runs the whole loop, so the body may borrow from its
//! surroundings. Handle a failure in the body, or stop at the first failure with
//! `try_for_each_concurrent`.
//!
//! Bounds: At most `AT_ONCE` bodies run at the same time; the other items wait.
//!
//! Trap: If one body fails, `try_for_each_concurrent` drops the running bodies at their
//! current await. Their work stays half done. If they must finish, use
//! `for_each_concurrent`, and handle the failure in the body, as `send_to_each` does.
//!
//! Trap: If you set a limit of 0, all bodies run at the same time: 0 means no limit, as
//! `None` does. (In contrast, `buffered(0)` waits forever.) If the limit is computed,
//! make it at least 1.
//!
//! See also: `buffered_in_order`, `bounded_fetch_with_failures`, `map_with_limit`.
//!
//! asyncio: asyncio.Semaphore, asyncio.TaskGroup, except*

use std::time::Duration;

use futures::stream::{self, StreamExt, TryStreamExt};
use tokio::time::sleep;

/// How many messages are on their way at the same time.
const AT_ONCE: usize = 2;

#[derive(Debug, thiserror::Error)]
#[error("{name} refuses the message")]
pub struct Refused {
    name: String,
}

/// Takes 300 ms, or 500 for Ada. Bob refuses after 100.
async fn send(text: &str, name: &str) -> Result<(), Refused> {
    println!("{text} to {name}");
    let millis = match name {
        "Ada" => 500,
        "Bob" => 100,
        _ => 300,
    };
    sleep(Duration::from_millis(millis)).await;
    if name == "Bob" {
        let name = name.to_owned();
        return Err(Refused { name });
    }
    println!("{name} has it");
    Ok(())
}

/// Sends to all, and prints each refusal.
pub async fn send_to_each(text: &str, names: impl IntoIterator<Item = String>) {
    let names = stream::iter(names);
    names
        .for_each_concurrent(AT_ONCE, |name| async move {
            if let Err(error) = send(text, &name).await {
                println!("{error}");
            }
        })
        .await;
}

/// Sends to all, and returns the first refusal.
pub async fn send_to_all(
    text: &str,
    names: impl IntoIterator<Item = String>,
) -> Result<(), Refused> {
    // The adapter expects a source that may fail, so its items are `Result`s.
    let names = stream::iter(names).map(Ok);
    names
        .try_for_each_concurrent(AT_ONCE, |name| async move { send(text, &name).await })
        .await
}

#[tokio::main]
async fn main() {
    println!("Each failure by itself:");
    let names = ["Ada", "Bob", "Cy", "Dan"].map(str::to_owned);
    send_to_each("news", names).await;

    println!("The first failure ends it:");
    let names = ["Ada", "Cy", "Bob"].map(str::to_owned);
    match send_to_all("news", names).await {
        Ok(()) => println!("all have it"),
        Err(error) => println!("{error}"),
    }
    sleep(Duration::from_millis(300)).await;
    println!("0.3 s later");
}
