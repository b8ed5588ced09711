//~ E0277 CallRefFuture<'_>` cannot be sent between threads safely
//! A function spawns an async closure: take `FnOnce(String) -> Fut` and `Fut: Send`.
//!
//! example: async_functions

use tokio::task::JoinHandle;

async fn print(change: impl AsyncFn(&str) -> String) {
    println!("{}", change("hello").await);
}

fn start(change: impl AsyncFn(&str) -> String + Send + 'static) -> JoinHandle<()> {
    tokio::spawn(print(change))
}

#[tokio::main]
async fn main() {
    let task = start(async |word: &str| word.to_uppercase());
    task.await.expect("the task does not fail");
}
