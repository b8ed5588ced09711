//~ E0373 closure may outlive the current function
//! A blocking call runs in another thread and uses a local variable without `move`.
//!
//! example: blocking_in_threads

use tokio::task::{JoinError, spawn_blocking};

#[tokio::main]
async fn main() -> Result<(), JoinError> {
    let path = String::from("notes.txt");
    let length = spawn_blocking(|| path.len()).await?;
    println!("{length}");
    Ok(())
}
