//~ error future cannot be sent between threads safely
//! A task runs an async method of a trait that does not promise `Send`.
//!
//! example: async_functions

use tokio::task::JoinHandle;

trait Fetch {
    async fn fetch(&self) -> String;
}

struct Cache;

impl Fetch for Cache {
    async fn fetch(&self) -> String {
        String::from("from the cache")
    }
}

fn start(fetcher: impl Fetch + Send + 'static) -> JoinHandle<String> {
    tokio::spawn(async move { fetcher.fetch().await })
}

#[tokio::main]
async fn main() {
    println!("{}", start(Cache).await.expect("the task does not fail"));
}
