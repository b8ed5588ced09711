//! Forgetting `.await`: calling an async function runs nothing, in either language.
//!
//! The call gives back a future: a value that stands for work not yet begun, as a
//! coroutine object does. Nothing in it runs until it is awaited. Python warns "coroutine
//! was never awaited" while the program runs. Rust warns before: "unused implementer of
//! `Future` that must be used" (here as an error, by the line `deny`). Who prints the
//! future in place of its result is told "doesn't implement `std::fmt::Display`". The
//! trap is `let _ = fetch_data();`: the future is dropped, and the compiler is silent.
//! Only `cargo clippy` names it, by its lint `let_underscore_future` (here it is told to
//! expect it).
//!
//! asyncio: async def, await, never-awaited coroutine warning

#![deny(unused_must_use)]

use std::time::Duration;

use tokio::time::sleep;

/// A plain function: the call does the work.
pub fn regular_function() -> &'static str {
    println!("The regular function runs");
    "Hello"
}

/// An async function: the call makes a future, and awaiting that does the work.
pub async fn fetch_data() -> &'static str {
    println!("The fetch starts");
    sleep(Duration::from_secs(1)).await;
    println!("The fetch ends");
    "data"
}

pub async fn run() {
    let greeting = regular_function();
    println!("{greeting}");

    println!("Called, but not awaited:");
    let future = fetch_data();
    sleep(Duration::from_millis(500)).await;
    println!("Half a second later nothing has run");

    println!("Awaited:");
    let data = future.await;
    println!("{data}");

    println!("Dropped without an await:");
    #[expect(clippy::let_underscore_future, reason = "this is the trap")]
    let _ = fetch_data();
    sleep(Duration::from_secs(1)).await;
    println!("It never ran");
}

#[tokio::main]
pub async fn main() {
    run().await;
}
