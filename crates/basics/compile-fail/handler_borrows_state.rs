//~ E0631 type mismatch in function arguments
//! A handler that borrows the state, in a table whose handlers get an `Arc` of it.
//!
//! example: handlers_with_state

use std::sync::Arc;

use futures::future::{BoxFuture, FutureExt};
use tokio::sync::Mutex;

type List = Mutex<Vec<String>>;

trait Handler: Send + Sync {
    fn call(&self, list: Arc<List>, text: String) -> BoxFuture<'static, usize>;
}

impl<F, Fut> Handler for F
where
    F: Fn(Arc<List>, String) -> Fut + Send + Sync,
    Fut: Future<Output = usize> + Send + 'static,
{
    fn call(&self, list: Arc<List>, text: String) -> BoxFuture<'static, usize> {
        self(list, text).boxed()
    }
}

async fn run(handler: impl Handler) -> usize {
    handler.call(Arc::default(), "milk".to_owned()).await
}

async fn add(list: &List, item: String) -> usize {
    let mut list = list.lock().await;
    list.push(item);
    list.len()
}

#[tokio::main]
async fn main() {
    println!("{}", run(add).await);
}
