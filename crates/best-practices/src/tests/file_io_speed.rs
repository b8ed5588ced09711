use std::io;

use tempfile::TempDir;
use tokio::fs;
use tokio::io::{AsyncBufReadExt, BufReader};

use crate::file_io_speed::{sum_buffered, sum_in_thread, sum_of_whole, sum_unbuffered};

/// The numbers below `count`, after `said` as their number.
fn file_of_numbers(said: u32, count: u32) -> Vec<u8> {
    let numbers = std::iter::once(said).chain(0..count);
    numbers.flat_map(u32::to_be_bytes).collect()
}

#[tokio::test]
async fn all_ways_give_the_same_sum() -> io::Result<()> {
    let folder = TempDir::new()?;
    let path = folder.path().join("numbers");
    for count in [0, 1, 31, 129, 1000, 3000] {
        fs::write(&path, file_of_numbers(count, count)).await?;
        let sum: u64 = (0..u64::from(count)).sum();
        assert_eq!(sum_unbuffered(&path).await?, sum);
        assert_eq!(sum_buffered(&path).await?, sum);
        assert_eq!(sum_of_whole(&path).await?, sum);
        assert_eq!(sum_in_thread(path.clone()).await?, sum);
    }
    Ok(())
}

#[tokio::test]
async fn a_trip_has_8_kibibytes_and_never_more_than_two_mebibytes() -> io::Result<()> {
    let folder = TempDir::new()?;
    let path = folder.path().join("numbers");
    fs::write(&path, vec![0; 3 << 20]).await?;
    let mut file = BufReader::new(fs::File::open(&path).await?);
    file.fill_buf().await?;
    assert_eq!(file.buffer().len(), 8 << 10);
    let mut file = BufReader::with_capacity(4 << 20, fs::File::open(&path).await?);
    file.fill_buf().await?;
    assert_eq!(file.buffer().len(), 2 << 20);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn in_many_tasks() -> io::Result<()> {
    let folder = TempDir::new()?;
    let path = folder.path().join("numbers");
    fs::write(&path, file_of_numbers(20, 20)).await?;
    let tasks = (0..50).map(|_| {
        let path = path.clone();
        tokio::spawn(async move { sum_buffered(&path).await })
    });
    for task in tasks.collect::<Vec<_>>() {
        assert_eq!(task.await??, 190);
    }
    Ok(())
}

#[tokio::test]
async fn no_file_and_half_a_file() -> io::Result<()> {
    let folder = TempDir::new()?;
    let path = folder.path().join("numbers");
    for (content, kind) in [
        (None, io::ErrorKind::NotFound),
        (Some(vec![]), io::ErrorKind::UnexpectedEof),
        (Some(vec![0, 0, 0, 1, 0]), io::ErrorKind::UnexpectedEof),
    ] {
        if let Some(content) = content {
            fs::write(&path, content).await?;
        }
        let results = [
            sum_unbuffered(&path).await,
            sum_buffered(&path).await,
            sum_of_whole(&path).await,
            sum_in_thread(path.clone()).await,
        ];
        for result in results {
            assert_eq!(result.map_err(|error| error.kind()), Err(kind));
        }
    }
    Ok(())
}
