//! Boxed futures: a list of different fetchers, a list of futures, a table of handlers.
//!
//! Each async function's future has a type of its own, and a list, a table or a field
//! holds one type. So box them all. `BoxFuture<'a, T>` is any `Send` future of a `T`; it
//! may borrow for `'a`; `.boxed()` makes it. A trait for a list of different types (`dyn
//! Fetch`) has a plain method that returns a box. The box costs one allocation a call.
//!
//! Trap: an `async fn` in the trait "is not dyn compatible".
//!
//! Trap: without boxes, a list of futures of two functions says "expected future, found a
//! different future". A table of closures says "expected fn pointer, found closure".
//!
//! See also: `async_functions`, `recursion`, `router`.
//!
//! asyncio: async def, await, asyncio.gather

use std::collections::HashMap;
use std::time::Duration;

use futures::future::{BoxFuture, FutureExt, join_all};
use tokio::time::sleep;

/// A source of pages. `'_` says that the future borrows the fetcher.
pub trait Fetch: Send + Sync {
    fn fetch(&self) -> BoxFuture<'_, String>;
}

struct Cache {
    page: String,
}

impl Fetch for Cache {
    fn fetch(&self) -> BoxFuture<'_, String> {
        async { format!("{} from the cache", self.page) }.boxed()
    }
}

struct Server {
    delay: Duration,
}

impl Fetch for Server {
    fn fetch(&self) -> BoxFuture<'_, String> {
        async {
            sleep(self.delay).await;
            String::from("A page from the server")
        }
        .boxed()
    }
}

/// Prints the page of each fetcher, one after another.
pub async fn fetch_from(fetchers: &[Box<dyn Fetch>]) {
    for fetcher in fetchers {
        println!("{}", fetcher.fetch().await);
    }
}

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

pub async fn run() {
    println!("A list of different types:");
    let page = String::from("A page");
    let delay = Duration::from_millis(300);
    fetch_from(&[Box::new(Cache { page }), Box::new(Server { delay })]).await;

    println!("A list of different futures:");
    // for result in await asyncio.gather(add(1, 2), divide(6, 3)):
    for result in join_all([add(1, 2).boxed(), divide(6, 3).boxed()]).await {
        show(result);
    }

    println!("A table of async functions:");
    let limit = 7;
    let handlers = HashMap::from([
        ("add", handler(add)),
        ("divide", handler(divide)),
        // A handler with state.
        (
            "limited",
            handler(move |x, y| async move { Ok((x + y).min(limit)) }),
        ),
    ]);
    for (name, x, y) in [
        ("divide", 7, 0),
        ("add", 7, 1),
        ("limited", 7, 1),
        ("multiply", 7, 1),
    ] {
        match handlers.get(name) {
            Some(handler) => show(handler(x, y).await),
            None => println!("No handler {name}"),
        }
    }
}

#[tokio::main]
pub async fn main() {
    run().await;
}
