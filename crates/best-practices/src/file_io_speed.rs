//! Slow file reads: each small read is a trip to a thread pool; buffer, or read it whole.
//!
//! `tokio::fs` and aiofiles send each call to a thread, so reading four bytes costs a
//! trip. A `BufReader` around the `File` makes a trip for each 8 KiB. aiofiles buffers on
//! the far side of the trip, so its caller has to ask for chunks. A file that fits in
//! memory is best read whole, with `fs::read`. For a long loop, one `spawn_blocking` with
//! std's `File` and `BufReader` is best.
//!
//! Trap: a `spawn_blocking` that has started cannot be cancelled.
//!
//! In production: with `--cfg tokio_unstable` and the feature `io-uring`, `tokio::fs`
//! uses io_uring on Linux for some calls.
//!
//! See also: `async_files` (lines, writes and flush), `blocking_in_threads`.
//!
//! asyncio: aiofiles.open, asyncio.to_thread, concurrent.futures.ThreadPoolExecutor
//! clock: real

use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tempfile::TempDir;
use tokio::fs::{self, File};
use tokio::io::{AsyncRead, AsyncReadExt, BufReader, ReadBuf};
use tokio::task::spawn_blocking;
use tokio::time::{Instant, interval_at};

/// Counts the reads that reach what is inside: for a `File`, trips to another thread.
pub struct Counted<R> {
    inner: R,
    reads: usize,
}

impl<R> Counted<R> {
    /// Nothing is counted yet.
    pub fn new(inner: R) -> Self {
        Self { inner, reads: 0 }
    }
}

impl<R: AsyncRead + Unpin> AsyncRead for Counted<R> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let result = ready!(Pin::new(&mut self.inner).poll_read(context, buffer));
        self.reads += 1;
        Poll::Ready(result)
    }
}

/// Reads how many numbers there are, and adds them up.
async fn sum(reader: &mut (impl AsyncRead + Unpin)) -> io::Result<u64> {
    let count = reader.read_u32().await?;
    let mut sum = 0;
    for _ in 0..count {
        sum += u64::from(reader.read_u32().await?);
    }
    Ok(sum)
}

/// A trip for each number.
pub async fn sum_unbuffered(path: &Path) -> io::Result<(u64, usize)> {
    let mut file = Counted::new(File::open(path).await?);
    Ok((sum(&mut file).await?, file.reads))
}

/// A trip for each `capacity` bytes, up to the 2 MiB of `File::set_max_buf_size`.
/// `BufReader::new` has 8 KiB.
pub async fn sum_buffered(path: &Path, capacity: usize) -> io::Result<(u64, usize)> {
    let file = Counted::new(File::open(path).await?);
    let mut file = BufReader::with_capacity(capacity, file);
    Ok((sum(&mut file).await?, file.get_ref().reads))
}

/// One trip, and then no file.
pub async fn sum_of_whole(path: &Path) -> io::Result<u64> {
    let bytes = fs::read(path).await?;
    sum(&mut bytes.as_slice()).await
}

/// One trip with all that there is to do.
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

/// The numbers below `count`, after `said` as their number.
pub fn file_of_numbers(said: u32, count: u32) -> Vec<u8> {
    let numbers = std::iter::once(said).chain(0..count);
    numbers.flat_map(u32::to_be_bytes).collect()
}

/// The shortest of five times, so that what else the machine does counts less.
async fn fastest<T, F>(mut work: impl FnMut() -> F) -> io::Result<(T, Duration)>
where
    F: Future<Output = io::Result<T>>,
{
    let mut fastest = None;
    for _ in 0..5 {
        let start = Instant::now();
        let result = work().await?;
        let took = start.elapsed();
        if fastest
            .as_ref()
            .is_none_or(|(_, shortest)| took < *shortest)
        {
            fastest = Some((result, took));
        }
    }
    Ok(fastest.expect("five times"))
}

/// How many times as long the first is, up to ten: more is not the same in each run.
fn times_as_long(long: Duration, short: Duration) -> u32 {
    long.div_duration_f64(short).min(10.0) as u32
}

pub async fn run() -> io::Result<()> {
    // What a file takes is no time for a transcript: each part has a second.
    let second = Duration::from_secs(1);
    let mut part = interval_at(Instant::now() + second, second);

    println!("Number by number:");
    let folder = TempDir::new()?;
    let path = folder.path().join("numbers");
    fs::write(&path, file_of_numbers(2048, 2048)).await?;
    let start = Instant::now();
    let (sum, trips) = sum_unbuffered(&path).await?;
    let unbuffered = start.elapsed();
    part.tick().await;
    println!("sum {sum}, trips: {trips}");

    println!("Through a buffer:");
    let ((sum, trips), buffered) = fastest(|| sum_buffered(&path, 8 * 1024)).await?;
    let (same_sum, fewer_trips) = sum_buffered(&path, 64 * 1024).await?;
    part.tick().await;
    println!("sum {sum}, trips with 8 KiB: {trips}");
    println!("sum {same_sum}, trips with 64 KiB: {fewer_trips}");
    let times = times_as_long(unbuffered, buffered);
    println!("number by number takes {times} times as long or more");

    println!("The whole file, and the loop in a thread:");
    let whole = sum_of_whole(&path).await?;
    let (sum, in_thread) = fastest(|| sum_in_thread(path.clone())).await?;
    part.tick().await;
    println!("sum {whole}, sum {sum}");
    let times = times_as_long(unbuffered, in_thread);
    println!("number by number takes {times} times as long or more");

    println!("A file that ends too early:");
    fs::write(&path, file_of_numbers(4, 3)).await?;
    let results = [
        sum_unbuffered(&path).await.map(|(sum, _)| sum),
        sum_buffered(&path, 8 * 1024).await.map(|(sum, _)| sum),
        sum_of_whole(&path).await,
        sum_in_thread(path).await,
    ];
    part.tick().await;
    for result in results {
        match result {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                println!("a number is missing");
            }
            other => println!("sum {}", other?),
        }
    }
    Ok(())
}

#[tokio::main]
pub async fn main() -> io::Result<()> {
    run().await
}
