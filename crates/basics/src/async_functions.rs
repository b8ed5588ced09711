//! Define async functions: function, method, trait method, closure, block.
//!
//! `async def` is `async fn`, as a function, a method, or in a trait (Python's
//! `Protocol`). For tasks, a trait declares its method as `-> impl Future<Output = T> +
//! Send`. Its implementations write `async fn` all the same. With `async fn` in the
//! trait, the task is refused: "future cannot be sent between threads safely". Rust also
//! has async closures; Python has none.
//!
//! Trap: a plain closure that returns an async block and borrows its argument is refused,
//! "lifetime may not live long enough". Write `async |word: &str| ..`.
//!
//! Trap: a function that spawns cannot take an `AsyncFn`: "`CallRefFuture<'_>` cannot be
//! sent between threads safely". Take `FnOnce(String) -> Fut`, with `Fut: Send`.
//!
//! See also: `dyn_async_trait`, `boxed_futures`, `send_and_local`.
//!
//! asyncio: async def, await, asyncio.sleep, asyncio.create_task, return
//! asyncio: asyncio.coroutine (decorator)

use std::time::Duration;

use tokio::task::{JoinError, JoinHandle};
use tokio::time::sleep;

/// Stands for a request that takes a second.
pub async fn fetch_data(name: &str) -> String {
    sleep(Duration::from_secs(1)).await;
    format!("data of {name}")
}

/// A source of data, for tasks too: its futures are `Send`.
pub trait Fetch {
    fn fetch(&mut self) -> impl Future<Output = String> + Send;
}

struct Pages {
    fetched: u32,
}

impl Pages {
    /// An async method.
    async fn fetch_twice(&mut self) -> String {
        let first = self.fetch().await;
        let second = self.fetch().await;
        format!("{first}, {second}")
    }
}

impl Fetch for Pages {
    async fn fetch(&mut self) -> String {
        sleep(Duration::from_millis(100)).await;
        self.fetched += 1;
        format!("Page {}", self.fetched)
    }
}

/// Spawns a task that fetches. The task owns the fetcher, which must be `Send` (it may
/// move to another thread) and `'static` (it borrows nothing).
pub fn start(mut fetcher: impl Fetch + Send + 'static) -> JoinHandle<String> {
    tokio::spawn(async move { fetcher.fetch().await })
}

/// Prints what the function returns for each word. Takes an async closure or function.
pub async fn print_all(words: &[&str], change: impl AsyncFn(&str) -> String) {
    for word in words {
        println!("{}", change(word).await);
    }
}

pub async fn run() -> Result<(), JoinError> {
    println!("Function:");
    println!("{}", fetch_data("test").await);

    println!("Method:");
    let mut pages = Pages { fetched: 0 };
    println!("{}", pages.fetch_twice().await);

    println!("Through an interface, in a task:");
    println!("{}", start(pages).await?);

    println!("Closure:");
    let delay = Duration::from_millis(200);
    // With `move` it owns what it uses. Without, this would not compile in a task:
    // "implementation of `Send` is not general enough".
    let shout = async move |word: &str| {
        sleep(delay).await;
        word.to_uppercase()
    };
    print_all(&["hello", "world"], shout).await;

    println!("Block:");
    let block = async {
        sleep(delay).await;
        "The block's last value"
    };
    println!("{}", block.await);
    Ok(())
}

#[tokio::main]
pub async fn main() -> Result<(), JoinError> {
    run().await
}
