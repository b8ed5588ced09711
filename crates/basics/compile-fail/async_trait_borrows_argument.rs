//~ error lifetime may not live long enough
//! A boxed future of a trait's method that borrows the method's argument.
//!
//! example: dyn_async_trait

use futures::future::{BoxFuture, FutureExt};

trait Fetch {
    fn fetch(&self, page: &str) -> BoxFuture<'_, String>;
}

struct Cache;

impl Fetch for Cache {
    fn fetch(&self, page: &str) -> BoxFuture<'_, String> {
        async move { format!("{page} from the cache") }.boxed()
    }
}

#[tokio::main]
async fn main() {
    println!("{}", Cache.fetch("A page").await);
}
