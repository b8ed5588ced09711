//! Filter a stream by a condition that must be awaited.
//!
//! An `if` inside `stream!` is the plainest way: the condition may borrow the item. The
//! adapter `filter` lends the item to a closure, and the future that the closure returns
//! cannot keep it: "lifetime may not live long enough". Give the future a clone, or use
//! `filter_map`, which hands the item over and gets it back. The trap of all three is
//! that they check one item after another; `buffered` before `filter_map` checks a few at
//! once and keeps their order.
//!
//! asyncio: async comprehension, yield, asyncio.gather, asyncio.Semaphore

use std::future::ready;
use std::pin::pin;
use std::time::Duration;

use async_stream::stream;
use futures::{Stream, StreamExt, TryStreamExt, stream};
use tokio::time::sleep;

#[derive(Debug)]
pub struct NoAnswer;

/// Asks whether a user is active. The answer takes 100 ms, or 200 for Zoe.
async fn is_active(user: &str) -> Result<bool, NoAnswer> {
    let millis = if user == "Zoe" { 200 } else { 100 };
    sleep(Duration::from_millis(millis)).await;
    match user {
        "Mallory" => Err(NoAnswer),
        "Bob" => Ok(false),
        _ => Ok(true),
    }
}

/// Takes no answer for a no.
async fn is_surely_active(user: &str) -> bool {
    is_active(user).await.unwrap_or(false)
}

/// Yields the active ones. One whose lookup fails is named and left out.
pub fn active(users: impl Stream<Item = String>) -> impl Stream<Item = String> {
    stream! {
        let mut users = pin!(users);
        while let Some(user) = users.next().await {
            match is_active(&user).await {
                Ok(true) => yield user,
                Ok(false) => {}
                Err(NoAnswer) => println!("{user}: no answer"),
            }
        }
    }
}

fn users(
    names: impl IntoIterator<Item = impl Into<String>>,
) -> impl Stream<Item = String> {
    stream::iter(names).map(Into::into)
}

pub async fn run() {
    println!("An if in a generator:");
    let mut found = pin!(active(users(["Ada", "Mallory", "Bob", "Eve"])));
    while let Some(user) = found.next().await {
        println!("{user}");
    }

    println!("The filter adapter, with a clone:");
    // [user async for user in users if await is_surely_active(user)]
    let known = users(["Ada", "Bob", "Mallory", "Eve"]);
    let found: Vec<String> = known
        .filter(|user| {
            let user = user.clone();
            async move { is_surely_active(&user).await }
        })
        .collect()
        .await;
    println!("{}", found.join(", "));

    println!("The first failure ends it:");
    let found = users(["Ada", "Mallory", "Eve"])
        .filter_map(|user| async move {
            let active = is_active(&user).await;
            active.map(|active| active.then_some(user)).transpose()
        })
        .try_collect::<Vec<String>>();
    match found.await {
        Ok(found) => println!("{}", found.join(", ")),
        Err(NoAnswer) => println!("no answer, and no list"),
    }

    println!("Two checks at a time:");
    let found: Vec<String> = users(["Mallory", "Joe", "Zoe", "Ann"])
        .map(|user| async move { (is_surely_active(&user).await, user) })
        .buffered(2)
        .filter_map(|(active, user)| ready(active.then_some(user)))
        .collect()
        .await;
    println!("{}", found.join(", "));
}

#[tokio::main]
pub async fn main() {
    run().await;
}
