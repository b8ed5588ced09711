//~ E0277 doesn't implement `std::fmt::Display`
//! The future is printed in place of its result.
//!
//! example: lazy_futures

use std::time::Duration;

use tokio::time::sleep;

async fn fetch_data() -> String {
    sleep(Duration::from_secs(1)).await;
    String::from("data")
}

#[tokio::main]
async fn main() {
    let result = fetch_data();
    println!("{result}");
}
