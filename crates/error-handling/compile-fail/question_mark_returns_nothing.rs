//~ E0277 can only be used in an async block that returns `Result` or `Option`
//! `?` in a main that returns nothing.
//!
//! example: try_except

use std::time::Duration;

use tokio::time::sleep;

async fn fetch() -> Result<String, String> {
    sleep(Duration::from_millis(100)).await;
    Err(String::from("no answer"))
}

#[tokio::main]
async fn main() {
    println!("{}", fetch().await?);
}
