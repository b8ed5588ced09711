//! Filter a stream by a condition that must be awaited.
//!
//! The simplest filter of a stream (an async iterator) is an `if` inside `stream!`, the
//! generator of the crate `async-stream`. There, the condition may borrow the item.
//!
//! The method `filter` of a stream lends each item to your closure. But the future that
//! the closure returns must not borrow the item: "lifetime may not live long enough".
//! Give the future a clone of the item. Or use `filter_map`, whose closure owns the item
//! and returns it.
//!
//! Trap: If each check takes long, the filter is slow, because it checks one item at a
//! time. Instead, `map` each item to a future that checks it, run several of these with
//! `buffered`, and then drop items with `filter_map`. The order stays.
//!
//! See also: `comprehensions`, `buffered_in_order`.
//!
//! asyncio: async comprehension, yield, asyncio.gather, asyncio.Semaphore

use std::pin::pin;
use std::time::Duration;

use async_stream::stream;
use futures::{Stream, StreamExt, stream};
use tokio::time::sleep;

/// Asks whether a user is active. The answer takes 100 ms, or 200 for Zoe.
async fn is_active(user: &str) -> bool {
    let millis = if user == "Zoe" { 200 } else { 100 };
    sleep(Duration::from_millis(millis)).await;
    user != "Bob"
}

/// Yields the active users.
pub fn active(users: impl Stream<Item = String>) -> impl Stream<Item = String> {
    stream! {
        let mut users = pin!(users);
        while let Some(user) = users.next().await {
            if is_active(&user).await {
                yield user;
            }
        }
    }
}

fn users(
    names: impl IntoIterator<Item = impl Into<String>>,
) -> impl Stream<Item = String> {
    stream::iter(names).map(Into::into)
}

#[tokio::main]
async fn main() {
    println!("An if in a generator:");
    let mut found = pin!(active(users(["Ada", "Bob", "Eve"])));
    while let Some(user) = found.next().await {
        println!("{user}");
    }

    println!("A condition in a comprehension:");
    // [user async for user in known if await is_active(user)]
    let known = users(["Ada", "Bob", "Eve"]);
    let found: Vec<String> = known
        .filter(|user| {
            let user = user.clone();
            async move { is_active(&user).await }
        })
        .collect()
        .await;
    println!("{}", found.join(", "));

    println!("Two checks at once:");
    let found: Vec<String> = users(["Bob", "Joe", "Zoe", "Ann"])
        .map(|user| async move { (is_active(&user).await, user) })
        .buffered(2)
        .filter_map(|(active, user)| std::future::ready(active.then_some(user)))
        .collect()
        .await;
    println!("{}", found.join(", "));
}
