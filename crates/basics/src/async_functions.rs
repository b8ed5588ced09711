//! Write async methods, trait methods, closures and blocks.
//!
//! A method may be an `async fn`, and so may a method of a trait (Python's `Protocol`).
//! If spawned tasks call a trait's method, declare the method as
//! `-> impl Future<Output = T> + Send`. Otherwise the compiler reports "future cannot be
//! sent between threads safely". The implementations still write `async fn`. Rust has
//! async closures; Python has none. For plain functions, see the example `async_fn`.
//!
//! Trap: If you write a plain closure that returns an async block, the block cannot
//! borrow the closure's argument: "lifetime may not live long enough". Write an async
//! closure, `async |word: &str| ..`.
//!
//! Trap: If your function takes an `AsyncFn` (the trait of async closures) and spawns a
//! task that calls the closure, the compiler reports "`CallRefFuture<'_>` cannot be sent
//! between threads safely". You cannot demand that the closure's future is `Send`. Take a
//! plain closure that returns a future instead: `FnOnce(String) -> Fut`, with
//! `Fut: Send`.
//!
//! See also: `async_fn`, `dyn_async_trait`, `boxed_futures`, `send_and_local`.
//!
//! asyncio: async def, await, return, asyncio.coroutine (decorator)

use std::future::Future;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::sleep;

/// A source of data. Tasks may use it, too, because its futures are `Send`.
pub trait Fetch {
    fn fetch(&mut self) -> impl Future<Output = String> + Send;
}

struct Pages {
    fetched: u32,
}

impl Pages {
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

#[tokio::main]
async fn main() -> Result<(), tokio::task::JoinError> {
    println!("Method:");
    let mut pages = Pages { fetched: 0 };
    println!("{}", pages.fetch_twice().await);

    println!("Through an interface, in a task:");
    println!("{}", start(pages).await?);

    println!("Closure:");
    let delay = Duration::from_millis(200);
    // Without `move` a task refuses it: "implementation of `Send` is not general enough".
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
