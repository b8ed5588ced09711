//~ E0521 borrowed data escapes outside of function
//! Work on another thread uses a name that its caller has only lent.
//!
//! example: database_connection

use tokio::task::{JoinError, spawn_blocking};

async fn letters(name: &str) -> Result<usize, JoinError> {
    spawn_blocking(move || name.chars().count()).await
}

#[tokio::main]
async fn main() -> Result<(), JoinError> {
    println!("{} letters", letters("Ada").await?);
    Ok(())
}
