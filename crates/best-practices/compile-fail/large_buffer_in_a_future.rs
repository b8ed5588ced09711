//~ clippy::large_futures large future with a size of
//! The buffer lives over an await, so it is a part of the future, and of each caller's.
//!
//! example: lints

#![deny(clippy::large_futures)]

use std::io;

use tokio::io::AsyncReadExt;

async fn copy_stdin() -> io::Result<()> {
    let mut buffer = [0; 65536];
    let length = tokio::io::stdin().read(&mut buffer).await?;
    println!("{}", String::from_utf8_lossy(&buffer[..length]));
    Ok(())
}

#[tokio::main]
async fn main() -> io::Result<()> {
    copy_stdin().await
}
