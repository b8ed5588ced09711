//~ E0308 expected fn pointer, found closure
//! A table of functions takes no closure that captures: box the handlers.
//!
//! example: boxed_futures

use std::collections::HashMap;

use futures::future::{BoxFuture, FutureExt};

type Handler = fn(u32) -> BoxFuture<'static, u32>;

#[tokio::main]
async fn main() {
    let limit = 7;
    let limited: Handler = move |x| async move { x.min(limit) }.boxed();
    let handlers = HashMap::from([("limited", limited)]);
    println!("{}", handlers["limited"](9).await);
}
