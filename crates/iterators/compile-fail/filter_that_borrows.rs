//~ error lifetime may not live long enough
//! A condition that awaits and goes on borrowing the item.
//!
//! example: async_filter

use futures::{StreamExt, stream};

async fn is_active(user: &str) -> bool {
    user != "Bob"
}

#[tokio::main]
async fn main() {
    let users = stream::iter(["Ada".to_owned(), "Bob".to_owned()]);
    let found: Vec<String> = users
        .filter(|user| async move { is_active(user).await })
        .collect()
        .await;
    println!("{found:?}");
}
