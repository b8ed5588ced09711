//~ E0507 cannot move out of `client`, a captured variable in an `FnMut` closure
//! A client that is moved into each of the futures, though there is only one.
//!
//! example: bounded_fetch_with_failures

use futures::{StreamExt, stream};

struct Client;

impl Client {
    async fn fetch(&self, url: &str) -> usize {
        url.len()
    }
}

async fn fetch_all(client: Client, urls: Vec<String>) -> Vec<usize> {
    stream::iter(urls)
        .map(|url| async move { client.fetch(&url).await })
        .buffer_unordered(2)
        .collect()
        .await
}

#[tokio::main]
async fn main() {
    let urls = vec!["/a".to_owned(), "/b".to_owned()];
    println!("{:?}", fetch_all(Client, urls).await);
}
