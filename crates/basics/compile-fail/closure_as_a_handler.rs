//~ E0282 type annotations needed
//! A closure as a handler: only a bound on `Fn` would tell the types of its arguments.
//!
//! Name the types: `|list: Arc<List>, item: String|`.
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

#[tokio::main]
async fn main() {
    let handler = |list, item| async move {
        let mut list = list.lock().await;
        list.push(item);
        list.len()
    };
    println!("{}", run(handler).await);
}
