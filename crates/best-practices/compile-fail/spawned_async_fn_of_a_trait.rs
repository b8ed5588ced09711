//~ error future cannot be sent between threads safely
//! A trait declares an `async fn`, and a generic function spawns its future.
//!
//! example: async_api_design

use std::sync::Arc;

trait Store: Send + Sync + 'static {
    async fn get(&self) -> u32;
}

fn prefetch<S: Store>(store: Arc<S>) {
    tokio::spawn(async move { store.get().await });
}

struct Memory;

impl Store for Memory {
    async fn get(&self) -> u32 {
        7
    }
}

#[tokio::main]
async fn main() {
    prefetch(Arc::new(Memory));
}
