//~ unused_results unused result of type `tokio::task::JoinHandle<Result<(), String>>`
//! Nobody sees the error of a task whose handle is thrown away, as ruff's RUF006 says.
//!
//! example: lints

#![deny(unused_results)]

async fn save() -> Result<(), String> {
    Err(String::from("the disk is full"))
}

#[tokio::main]
async fn main() {
    tokio::spawn(save());
}
