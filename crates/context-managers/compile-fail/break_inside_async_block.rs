//~ E0267 `break` inside `async` block
//! A loop cannot be left from inside an async block: the block is a future of its own.
//!
//! example: asynccontextmanager

async fn next_line() -> Option<String> {
    None
}

#[tokio::main]
async fn main() {
    loop {
        async {
            if next_line().await.is_none() {
                break;
            }
        }
        .await;
    }
}
