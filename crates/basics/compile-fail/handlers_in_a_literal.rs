//~ E0308 expected closure, found a different closure
//! A table of closures, each of which has a type of its own: box the handlers.
//!
//! example: boxed_futures

use std::collections::HashMap;

use futures::future::FutureExt;

async fn add(x: u32, y: u32) -> u32 {
    x + y
}

async fn multiply(x: u32, y: u32) -> u32 {
    x * y
}

#[tokio::main]
async fn main() {
    let limit = 7;
    let handlers = HashMap::from([
        ("add", move |x: u32, y: u32| add(x, y.min(limit)).boxed()),
        ("multiply", move |x: u32, y: u32| multiply(x, y.min(limit)).boxed()),
    ]);
    println!("{}", handlers["add"](9, 1).await);
}
