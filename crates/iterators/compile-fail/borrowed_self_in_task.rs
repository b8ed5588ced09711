//~ E0521 borrowed data escapes outside of method
//! A method that moves a stream over its own struct's data into a task.
//!
//! example: stream_in_a_struct

use futures::{StreamExt, stream};
use tokio::task::JoinHandle;

struct Market {
    quotes: Vec<u32>,
}

impl Market {
    fn watch(&self) -> JoinHandle<usize> {
        tokio::spawn(stream::iter(&self.quotes).count())
    }
}

#[tokio::main]
async fn main() {
    let market = Market {
        quotes: vec![40, 45],
    };
    println!("{:?}", market.watch().await);
}
