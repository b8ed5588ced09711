//! Make slow file reads fast: use a buffer, or read the whole file at a time.
//!
//! `tokio::fs` and aiofiles send each call to another thread and wait for its answer.
//! So even a read of four bytes costs a trip to that thread and back. To save trips:
//! - If the file fits in memory, read it whole, with `fs::read`.
//! - Wrap the `File` in a `BufReader`. Then there is one trip for each 8 KiB.
//! - For a long loop of small reads, run the whole loop in one `spawn_blocking`, with
//!   the `File` and the `BufReader` of `std`. Then there is one trip for the loop.
//!
//! aiofiles has a buffer, too, but in the other thread, so each small read still costs a
//! trip. In Python, read large chunks instead.
//!
//! Trap: If you cancel the caller of a `spawn_blocking` that has started, the loop keeps
//! reading to its end in its thread. To stop the loop, check a flag in it, as the example
//! `timeout_of_blocking_work` does.
//!
//! In production: With `--cfg tokio_unstable` and the feature `io-uring`, `tokio::fs`
//! uses io_uring on Linux for some calls, and needs no thread for them.
//!
//! See also: `async_files` (lines, writes and flush), `blocking_in_threads`.
//!
//! asyncio: aiofiles.open, asyncio.to_thread, concurrent.futures.ThreadPoolExecutor

use std::io::{self, Read};
use std::path::{Path, PathBuf};

use tokio::fs::{self, File};
use tokio::io::{AsyncRead, AsyncReadExt, BufReader};
use tokio::task::spawn_blocking;

/// Reads a count and then that many numbers. Returns their sum.
pub async fn sum(reader: &mut (impl AsyncRead + Unpin)) -> io::Result<u64> {
    let count = reader.read_u32().await?;
    let mut sum = 0;
    for _ in 0..count {
        sum += u64::from(reader.read_u32().await?);
    }
    Ok(sum)
}

/// Reads a file with a trip to another thread for each number.
pub async fn sum_unbuffered(path: &Path) -> io::Result<u64> {
    sum(&mut File::open(path).await?).await
}

/// Reads a file with a trip for each 8 KiB. `with_capacity` helps up to 2 MiB, the
/// default of `File::set_max_buf_size`.
pub async fn sum_buffered(path: &Path) -> io::Result<u64> {
    sum(&mut BufReader::new(File::open(path).await?)).await
}

/// Reads a file with one trip for the whole file.
pub async fn sum_of_whole(path: &Path) -> io::Result<u64> {
    sum(&mut fs::read(path).await?.as_slice()).await
}

/// Reads a file with one trip for the whole loop.
pub async fn sum_in_thread(path: PathBuf) -> io::Result<u64> {
    spawn_blocking(move || {
        let mut file = io::BufReader::new(std::fs::File::open(path)?);
        let mut next = || -> io::Result<u32> {
            let mut bytes = [0; 4];
            file.read_exact(&mut bytes)?;
            Ok(u32::from_be_bytes(bytes))
        };
        let count = next()?;
        (0..count).try_fold(0, |sum, _| Ok(sum + u64::from(next()?)))
    })
    .await?
}

/// Measures three ways to read a file of that many numbers: `cargo run -- 100000`.
#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let count: u32 = std::env::args().nth(1).ok_or("usage: NUMBERS")?.parse()?;
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("numbers");
    let numbers = std::iter::once(count).chain(0..count);
    let bytes: Vec<u8> = numbers.flat_map(u32::to_be_bytes).collect();
    fs::write(&path, bytes).await?;

    let start = std::time::Instant::now();
    sum_unbuffered(&path).await?;
    let unbuffered = start.elapsed();
    sum_buffered(&path).await?;
    let buffered = start.elapsed() - unbuffered;
    sum_in_thread(path).await?;
    let in_thread = start.elapsed() - unbuffered - buffered;
    println!(
        "unbuffered {unbuffered:?}, buffered {buffered:?}, in a thread {in_thread:?}"
    );
    Ok(())
}

//@ clock: real
//@ try: 1000 -> in a thread
