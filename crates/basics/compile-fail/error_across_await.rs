//~ error the trait `Send` is not implemented for `dyn std::error::Error`
//! A task keeps a `Box<dyn Error>` while it awaits.
//!
//! Return `Box<dyn Error + Send + Sync>`, or an error type of the program's own.
//!
//! example: send_and_local

use std::error::Error;
use std::time::Duration;

use tokio::time::sleep;

async fn load() -> Result<String, Box<dyn Error>> {
    Err("the file is missing".into())
}

#[tokio::main]
async fn main() {
    let task = tokio::spawn(async {
        if let Err(error) = load().await {
            sleep(Duration::from_millis(100)).await;
            println!("{error}");
        }
    });
    task.await.expect("the task does not fail");
}
