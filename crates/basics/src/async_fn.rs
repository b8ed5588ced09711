//! Define a coroutine: write an async function, and await it in a second async function.
//!
//! `async def` becomes `async fn`, with a type for each parameter and for the result. The
//! last expression is the returned value; `return` is for leaving early. A method is
//! written in the same way, with `&self` as its first parameter.
//!
//! Trap: If you forget `.await`, you hold a future and not the returned text. The
//! compiler reports "no method named `to_uppercase` found for opaque type
//! `impl Future<Output = String>`".
//!
//! See also: `hello_async`, `lazy_futures`, `async_functions`, `async_constructor`.
//!
//! asyncio: async def, await, return

use tokio::time::{Duration, sleep};

/// Simulates a request that takes a second.
pub async fn fetch_data(name: &str) -> String {
    sleep(Duration::from_secs(1)).await;
    format!("data of {name}")
}

/// Fetches the data and returns it in capital letters.
pub async fn process_data(name: &str) -> String {
    fetch_data(name).await.to_uppercase()
}

#[tokio::main]
async fn main() {
    println!("{}", process_data("test").await);
}
