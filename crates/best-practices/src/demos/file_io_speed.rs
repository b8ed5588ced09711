//! A file of numbers, read in four ways: how many trips each takes, and how long.

use std::io;
use std::path::Path;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tempfile::TempDir;
use tokio::fs::{self, File};
use tokio::io::{AsyncRead, BufReader, ReadBuf};
use tokio::time::{Instant, interval_at};

use crate::file_io_speed::{
    sum, sum_buffered, sum_in_thread, sum_of_whole, sum_unbuffered,
};

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

/// Returns the sum and the number of trips.
pub async fn unbuffered_trips(path: &Path) -> io::Result<(u64, usize)> {
    let mut file = Counted::new(File::open(path).await?);
    Ok((sum(&mut file).await?, file.reads))
}

/// Returns the sum and the number of trips.
pub async fn buffered_trips(path: &Path, capacity: usize) -> io::Result<(u64, usize)> {
    let file = Counted::new(File::open(path).await?);
    let mut file = BufReader::with_capacity(capacity, file);
    Ok((sum(&mut file).await?, file.get_ref().reads))
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

/// How many times as long the first is, up to five: more is not the same in each run.
fn times_as_long(long: Duration, short: Duration) -> u32 {
    long.div_duration_f64(short).min(5.0) as u32
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
    let (sum, trips) = unbuffered_trips(&path).await?;
    let unbuffered = start.elapsed();
    part.tick().await;
    println!("sum {sum}, trips: {trips}");

    println!("Through a buffer:");
    let ((sum, trips), buffered) = fastest(|| buffered_trips(&path, 8 * 1024)).await?;
    let (same_sum, fewer_trips) = buffered_trips(&path, 64 * 1024).await?;
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
        sum_unbuffered(&path).await,
        sum_buffered(&path).await,
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
