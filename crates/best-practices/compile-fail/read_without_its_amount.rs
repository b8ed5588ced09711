//~ clippy::unused_io_amount read amount is not handled
//! `read` may return after one byte. `read_exact` fills the whole buffer.
//!
//! example: lints

#![deny(clippy::unused_io_amount)]

use std::io;

use tokio::io::AsyncReadExt;

#[tokio::main]
async fn main() -> io::Result<()> {
    let mut length = [0; 4];
    tokio::io::stdin().read(&mut length).await?;
    println!("{}", u32::from_be_bytes(length));
    Ok(())
}
