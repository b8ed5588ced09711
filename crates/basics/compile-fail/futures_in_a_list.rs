//~ E0308 expected future, found a different future
//! Futures of two async functions in one list.
//!
//! example: boxed_futures

use futures::future::join_all;

async fn add(x: i32, y: i32) -> i32 {
    x + y
}

async fn subtract(x: i32, y: i32) -> i32 {
    x - y
}

#[tokio::main]
async fn main() {
    let results = join_all([add(1, 2), subtract(6, 3)]).await;
    println!("{results:?}");
}
