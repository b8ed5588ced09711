//~ unused_must_use unused `Result` that must be used
//! A result that nobody looks at, and with it the error.
//!
//! example: try_except

#![deny(unused_must_use)]

use std::time::Duration;

use tokio::time::sleep;

async fn save() -> Result<(), String> {
    sleep(Duration::from_millis(100)).await;
    Err(String::from("the disk is full"))
}

#[tokio::main]
async fn main() {
    save().await;
    println!("saved");
}
