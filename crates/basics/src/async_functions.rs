//! Define async functions: function, method, trait method, closure, block.
//!
//! Where Python has `async def`, Rust has `async fn`, as a function, as a method and in a
//! trait (what a `Protocol` is in Python). A trait whose methods will run in tasks writes
//! `-> impl Future<Output = T> + Send` in place of `async fn`, or the task is refused,
//! "future cannot be sent between threads safely"; who implements it writes `async fn`
//! all the same. Python has no async lambda; Rust has the async closure. The trap is a
//! plain closure that returns an async block: "lifetime may not live long enough". A list
//! of different types needs a box: see `boxed_futures`.
//!
//! asyncio: async def, await, asyncio.sleep, asyncio.create_task, return
//! asyncio: asyncio.coroutine (decorator)

use std::time::Duration;

use tokio::task::{JoinError, JoinHandle};
use tokio::time::sleep;

/// Stands for a request that takes a second.
pub async fn fetch_data() -> String {
    sleep(Duration::from_secs(1)).await;
    String::from("data")
}

/// An async function that awaits another one, and has arguments.
pub async fn process_data(name: &str, delay: Duration) -> String {
    println!("Starting {name}");
    let data = fetch_data().await;
    sleep(delay).await;
    println!("Finished {name}");
    format!("{name}: {}", data.to_uppercase())
}

/// Whatever data can be fetched from, also in a task.
pub trait Fetch {
    fn fetch(&mut self) -> impl Future<Output = String> + Send;
}

struct DataFetcher {
    prefix: String,
    fetched: u32,
}

impl DataFetcher {
    /// An async method.
    async fn fetch_twice(&mut self) -> String {
        let first = self.fetch().await;
        let second = self.fetch().await;
        format!("{first}, {second}")
    }
}

impl Fetch for DataFetcher {
    async fn fetch(&mut self) -> String {
        sleep(Duration::from_millis(100)).await;
        self.fetched += 1;
        format!("{} {}", self.prefix, self.fetched)
    }
}

/// Takes anything that fetches, may be moved to another thread (`Send`) and borrows
/// nothing (`'static`): that is what a task may own.
pub fn start(mut fetcher: impl Fetch + Send + 'static) -> JoinHandle<String> {
    tokio::spawn(async move { fetcher.fetch().await })
}

/// Takes an async closure or an async function.
pub async fn print_all(words: [&str; 2], change: impl AsyncFn(&str) -> String) {
    for word in words {
        println!("{}", change(word).await);
    }
}

pub async fn run() -> Result<(), JoinError> {
    println!("Function:");
    println!("{}", process_data("test", Duration::from_millis(500)).await);

    println!("Method:");
    let mut fetcher = DataFetcher {
        prefix: String::from("Page"),
        fetched: 0,
    };
    println!("{}", fetcher.fetch_twice().await);

    println!("Through what a type promises, in a task:");
    println!("{}", start(fetcher).await?);

    println!("Closure:");
    let delay = Duration::from_millis(200);
    // With `move` it owns what it uses. Without, this would not compile in a task:
    // "implementation of `Send` is not general enough".
    let shout = async move |word: &str| {
        sleep(delay).await;
        word.to_uppercase()
    };
    print_all(["hello", "world"], shout).await;

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
