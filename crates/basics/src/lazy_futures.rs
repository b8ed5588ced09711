//! Forgetting `.await`: calling an async function runs nothing, in either language.
//!
//! The call returns a future, which is like a coroutine object: work that has not begun.
//! Nothing in the future runs until it is awaited. Python warns at run time, "coroutine
//! was never awaited". Rust warns when it compiles, "unused implementer of `Future` that
//! must be used". With `deny(unused_must_use)`, as here, the warning is an error. If you
//! print a future in place of its result, the compiler reports that it "doesn't implement
//! `std::fmt::Display`".
//!
//! Trap: If you write `let _ = fetch_data();`, the future is dropped, so nothing is
//! fetched, and the compiler is silent. Only `cargo clippy` reports the line, by its lint
//! `let_underscore_future`. Await the future: `let _ = fetch_data().await;`.
//!
//! See also: `hello_async`, `sequential_vs_concurrent`, `spawn_tasks`.
//!
//! asyncio: async def, await, never-awaited coroutine warning

#![deny(unused_must_use)]

use std::time::Duration;

use tokio::time::sleep;

/// Returns its result when it is called.
pub fn regular_function() -> &'static str {
    "Hello"
}

/// Returns a future when it is called, and does its work when the future is awaited.
pub async fn fetch_data() -> &'static str {
    println!("The fetch starts");
    sleep(Duration::from_secs(1)).await;
    println!("The fetch ends");
    "data"
}

#[tokio::main]
async fn main() {
    println!("{}", regular_function());

    println!("Called, but not awaited:");
    let future = fetch_data();
    sleep(Duration::from_millis(500)).await;
    println!("Half a second later nothing has run");

    println!("Awaited:");
    println!("{}", future.await);

    println!("Dropped without an await:");
    #[expect(clippy::let_underscore_future, reason = "this is the trap")]
    let _ = fetch_data();
    sleep(Duration::from_secs(1)).await;
    println!("It never ran");
}
