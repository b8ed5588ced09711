//! Boxed futures: a list of different fetchers, a list of futures, a table of handlers.
//!
//! Each async function's future is a type of its own, and a list, a table or a struct's
//! field holds one type. A box makes them one: `BoxFuture<'a, T>` is any future that
//! gives a `T`, may be moved to another thread and borrows for as long as `'a`;
//! `.boxed()` makes it. So a trait whose types stand in one list (`dyn Fetch`: any type
//! that fetches) has a plain method that returns a box. With an `async fn` in it, it "is
//! not dyn compatible". Futures of two functions in one list without boxes: "expected
//! future, found a different future". The box costs one allocation for each call.
//!
//! asyncio: async def, await, asyncio.gather

use std::collections::HashMap;
use std::time::Duration;

use futures::future::{BoxFuture, FutureExt, join_all};
use tokio::time::sleep;

/// Whatever a page can be fetched from. `'_`: the future borrows the fetcher.
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

/// Asks one after another.
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

/// An async function in a table; `'static`: its future borrows nothing.
type Handler = fn(i32, i32) -> BoxFuture<'static, Result<i32, String>>;

fn handlers() -> HashMap<&'static str, Handler> {
    let add: Handler = |x, y| add(x, y).boxed();
    let divide: Handler = |x, y| divide(x, y).boxed();
    HashMap::from([("add", add), ("divide", divide)])
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
    let handlers = handlers();
    for (name, x, y) in [("divide", 7, 0), ("add", 7, 1), ("multiply", 7, 1)] {
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
