//~ E0277 the trait bound `Box<dyn Fetch>: Fetch` is not satisfied
//! A generic function gets a box: pass `fetcher.as_ref()`, and let it take `?Sized`.
//!
//! example: dyn_async_trait

use futures::future::{BoxFuture, FutureExt};

trait Fetch: Send + Sync {
    fn fetch(&self) -> BoxFuture<'_, String>;
}

struct Cache;

impl Fetch for Cache {
    fn fetch(&self) -> BoxFuture<'_, String> {
        async { String::from("from the cache") }.boxed()
    }
}

async fn show(fetcher: &impl Fetch) {
    println!("{}", fetcher.fetch().await);
}

#[tokio::main]
async fn main() {
    let fetcher: Box<dyn Fetch> = Box::new(Cache);
    show(&fetcher).await;
}
