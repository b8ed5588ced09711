//! A list of objects with an async method: a trait object, `dyn`, with a boxed future.
//!
//! In Python any objects with an async `fetch` go into one list. In Rust, a
//! `Vec<Box<dyn Fetch>>` holds different types that implement the trait `Fetch` of this
//! file. But each async method's future has its own type. So the trait has a plain method
//! that returns a `BoxFuture`, a boxed future of any type. Each implementation wraps its
//! body in `async move { .. }.boxed()`. The box costs one allocation per call. An
//! optional method, a hook, has a default body in the trait:
//! `std::future::ready(None).boxed()`.
//!
//! Trap: If you write `async fn` in the trait, the compiler reports that the trait "is
//! not dyn compatible". Return a `BoxFuture`. If you write the type as
//! `BoxFuture<'_, String>`, the future may borrow from `self` but not from the argument
//! `page`: "lifetime may not live long enough". Name one lifetime for `self`, the
//! argument and the future: `'a` here.
//!
//! Trap: If you do not write the type of the list, the list takes the type of its first
//! element, and the compiler reports "expected `Cache`, found `Server`". Write
//! `Vec<Box<dyn Fetch>>`.
//!
//! See also: `handlers_with_state`, `async_functions` (without `dyn`), `boxed_futures`,
//! `async_api_design`.
//!
//! asyncio: async def, await

use std::time::Duration;

use futures::future::{BoxFuture, FutureExt};
use tokio::time::sleep;

/// A source of pages. `'a` means that the future borrows the fetcher and the page's name.
pub trait Fetch: Send + Sync {
    fn fetch<'a>(&'a self, page: &'a str) -> BoxFuture<'a, String>;
}

struct Cache {
    name: String,
}

impl Fetch for Cache {
    fn fetch<'a>(&'a self, page: &'a str) -> BoxFuture<'a, String> {
        async move { format!("{page} from {}", self.name) }.boxed()
    }
}

struct Server {
    delay: Duration,
}

impl Fetch for Server {
    fn fetch<'a>(&'a self, page: &'a str) -> BoxFuture<'a, String> {
        async move {
            sleep(self.delay).await;
            format!("{page} from the server")
        }
        .boxed()
    }
}

/// Prints a page of each fetcher, one after another.
pub async fn fetch_from(fetchers: &[Box<dyn Fetch>], page: &str) {
    for fetcher in fetchers {
        println!("{}", fetcher.fetch(page).await);
    }
}

#[tokio::main]
async fn main() {
    let name = String::from("the cache");
    let delay = Duration::from_millis(300);
    let fetchers: Vec<Box<dyn Fetch>> =
        vec![Box::new(Cache { name }), Box::new(Server { delay })];
    fetch_from(&fetchers, "A page").await;
}
