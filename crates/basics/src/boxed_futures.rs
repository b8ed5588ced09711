//! Keep different futures in a list, or async handlers in a table: box the futures.
//!
//! Each async function's future has its own type, but a list, a table or a field holds
//! one type. So box all the futures with `.boxed()`. Each is then a `BoxFuture<'a, T>`:
//! any `Send` future of a `T`, which may borrow for the lifetime `'a`. The box costs one
//! allocation per call.
//!
//! Trap: Without boxes, a list of futures of two functions fails with "expected future,
//! found a different future". A table of closures fails with "expected fn pointer,
//! found closure".
//!
//! See also: `handlers_with_state`, `dyn_async_trait`, `recursion`, `router`.
//!
//! asyncio: async def, await, asyncio.gather

use std::future::Future;
use std::time::Duration;

use futures::future::{BoxFuture, FutureExt};
use tokio::time::sleep;

async fn add(x: i32, y: i32) -> Result<i32, String> {
    sleep(Duration::from_millis(100)).await;
    Ok(x + y)
}

async fn divide(x: i32, y: i32) -> Result<i32, String> {
    sleep(Duration::from_millis(200)).await;
    x.checked_div(y)
        .ok_or_else(|| format!("{x} cannot be divided by {y}"))
}

/// An async function in a table, or a closure that returns a future. Its future borrows
/// nothing (`'static`).
pub type Handler =
    Box<dyn Fn(i32, i32) -> BoxFuture<'static, Result<i32, String>> + Send + Sync>;

/// Makes functions and closures of different types one type, for a table.
pub fn handler<F, Fut>(function: F) -> Handler
where
    F: Fn(i32, i32) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<i32, String>> + Send + 'static,
{
    Box::new(move |x, y| function(x, y).boxed())
}

fn show(result: Result<i32, String>) {
    match result {
        Ok(number) => println!("{number}"),
        Err(error) => println!("Error: {error}"),
    }
}

#[tokio::main]
async fn main() {
    println!("A list of different futures:");
    // for result in await asyncio.gather(add(1, 2), divide(6, 3)):
    for result in
        futures::future::join_all([add(1, 2).boxed(), divide(6, 3).boxed()]).await
    {
        show(result);
    }

    println!("A table of async functions:");
    let limit = 7;
    // A handler with state.
    let limited = handler(move |x, y| async move { Ok((x + y).min(limit)) });
    let mut handlers =
        std::collections::HashMap::from([("add", handler(add)), ("limited", limited)]);
    handlers.insert("divide", handler(divide));
    for (name, y) in [("divide", 0), ("add", 1), ("limited", 1), ("multiply", 1)] {
        match handlers.get(name) {
            Some(handler) => show(handler(7, y).await),
            None => println!("No handler {name}"),
        }
    }
}
