//~ error future cannot be sent between threads safely
//! A task keeps `format_args!` across an await. Make a `String` by `format!` instead.
//!
//! example: send_and_local

use std::fmt::Arguments;

use tokio::task::yield_now;

async fn write(text: Arguments<'_>) {
    yield_now().await;
    println!("{text}");
}

#[tokio::main]
async fn main() {
    let task = tokio::spawn(async {
        let count = 2;
        write(format_args!("{count} items")).await;
    });
    task.await.expect("the task does not fail");
}
