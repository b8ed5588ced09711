//~ unused_must_use unused implementer of `Future` that must be used
//! A future that is made and never awaited.
//!
//! example: lazy_futures

#![deny(unused_must_use)]

use std::time::Duration;

use tokio::time::sleep;

async fn fetch_data() {
    sleep(Duration::from_secs(1)).await;
    println!("data");
}

#[tokio::main]
async fn main() {
    fetch_data();
}
