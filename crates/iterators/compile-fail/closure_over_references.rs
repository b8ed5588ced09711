//~ error is not general enough
//! A stream of references, a closure that takes them, `buffered`, and all in a task.
//!
//! example: buffered_in_order

use futures::{StreamExt, stream};

async fn fetch(url: &str) -> usize {
    url.len()
}

async fn fetch_all(urls: Vec<String>) -> Vec<usize> {
    stream::iter(&urls)
        .map(|url| fetch(url))
        .buffered(2)
        .collect()
        .await
}

#[tokio::main]
async fn main() {
    let urls = vec!["api1.com".to_owned(), "api2.com".to_owned()];
    let task = tokio::spawn(fetch_all(urls));
    println!("{:?}", task.await);
}
