//~ E0038 is not dyn compatible
//! A list of different types that share a trait with an async method.
//!
//! example: dyn_async_trait

trait Fetch {
    async fn fetch(&self) -> String;
}

struct Cache;

impl Fetch for Cache {
    async fn fetch(&self) -> String {
        String::from("from the cache")
    }
}

#[tokio::main]
async fn main() {
    let fetchers: Vec<Box<dyn Fetch>> = vec![Box::new(Cache)];
    for fetcher in &fetchers {
        println!("{}", fetcher.fetch().await);
    }
}
