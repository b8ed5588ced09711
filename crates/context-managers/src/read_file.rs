//! Read and write a text file: tokio::fs instead of aiofiles, without an async with.
//!
//! `tokio::fs::read_to_string` opens the file, reads all of it and closes it. `fs::write`
//! creates a file, or replaces its contents. For bytes there is `fs::read`. Text that is
//! not UTF-8 is an error. Unlike Python's errors, Rust's errors do not contain the name
//! of the file: "No such file or directory (os error 2)". Add the name when you report an
//! error.
//!
//! Bounds: Unbounded: The size of the file, which is read into memory as a whole. The
//! example `async_files` reads line by line.
//!
//! See also: `async_files`, `temporary_directory`, `write_whole_file`.
//!
//! asyncio: aiofiles.open

use std::io;

use tokio::fs;

/// Copies a text file, in capital letters.
pub async fn copy_in_capitals(from: &str, to: &str) -> io::Result<()> {
    let text = fs::read_to_string(from).await?;
    fs::write(to, text.to_uppercase()).await
}

/// Copies a file, in capital letters: `cargo run -- notes.txt copy.txt`.
#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let mut args = std::env::args().skip(1);
    let (Some(from), Some(to)) = (args.next(), args.next()) else {
        return Err("usage: FROM TO".into());
    };
    Ok(copy_in_capitals(&from, &to).await?)
}

//@ try: missing.txt copy.txt -> No such file or directory
