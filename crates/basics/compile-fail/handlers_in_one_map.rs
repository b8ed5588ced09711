//~ E0308 expected fn item, found a different fn item
//! Two async functions as handlers in one map, as they are.
//!
//! Each returns a future of its own type. Box the futures.
//!
//! example: boxed_futures

use std::collections::HashMap;

async fn me() -> String {
    "you are Ann".to_owned()
}

async fn report() -> String {
    "all is well".to_owned()
}

#[tokio::main]
async fn main() {
    let mut handlers = HashMap::new();
    handlers.insert("/users/me", me);
    handlers.insert("/report", report);
    println!("{}", handlers["/report"]().await);
}
