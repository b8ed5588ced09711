//~ E0621 explicit lifetime required in the type of `page`
//! A struct keeps futures that borrow the name of a page: write `page: &'a str`.
//!
//! example: borrow_or_spawn

use futures::future::{BoxFuture, FutureExt};
use futures::stream::{FuturesUnordered, StreamExt};

struct Client;

impl Client {
    async fn fetch(&self, page: &str) -> String {
        format!("page {page}")
    }
}

struct Answers<'a> {
    client: &'a Client,
    waiting: FuturesUnordered<BoxFuture<'a, String>>,
}

impl<'a> Answers<'a> {
    fn ask(&mut self, page: &str) {
        self.waiting.push(self.client.fetch(page).boxed());
    }
}

#[tokio::main]
async fn main() {
    let client = Client;
    let mut answers = Answers {
        client: &client,
        waiting: FuturesUnordered::new(),
    };
    answers.ask("home");
    println!("{:?}", answers.waiting.next().await);
}
