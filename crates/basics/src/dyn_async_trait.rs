//! A list of objects with an async method: a trait object, `dyn`, with a boxed future.
//!
//! In Python any objects with an async `fetch` go into one list. A `Vec<Box<dyn Fetch>>`
//! holds different types, but each async method's future has its own type. So the trait
//! has a plain method that returns a `BoxFuture`, and each implementation wraps its body
//! in `async { .. }.boxed()`. The box costs one allocation per call.
//!
//! Trap: A trait with an `async fn` "is not dyn compatible".
//!
//! Trap: A list of boxes takes its type from its first element, "expected `Cache`, found
//! `Server`". Name its type: `Vec<Box<dyn Fetch>>`.
//!
//! See also: `handlers_with_state`, `async_functions` (without `dyn`), `boxed_futures`,
//! `async_api_design`.
//!
//! asyncio: async def, await

use std::time::Duration;

use futures::future::{BoxFuture, FutureExt};
use tokio::time::sleep;

/// A source of pages. `'_` means that the future borrows the fetcher.
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

#[tokio::main]
async fn main() {
    let page = String::from("A page");
    let delay = Duration::from_millis(300);
    let fetchers: Vec<Box<dyn Fetch>> =
        vec![Box::new(Cache { page }), Box::new(Server { delay })];
    fetch_from(&fetchers).await;
}
