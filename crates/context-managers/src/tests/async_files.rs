use std::io::{self, Write};
use std::sync::mpsc;

use tempfile::TempDir;
use tokio::fs::File;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::runtime::Builder;
use tokio::task::spawn_blocking;

/// The only thread that could write is busy until the test lets it go.
#[test]
fn a_write_returns_before_anything_is_written() -> io::Result<()> {
    let folder = TempDir::new()?;
    let path = folder.path().join("log.txt");
    let runtime = Builder::new_current_thread()
        .max_blocking_threads(1)
        .build()?;
    runtime.block_on(async {
        let mut file = File::create(&path).await?;
        let (release, released) = mpsc::channel::<()>();
        let busy = spawn_blocking(move || released.recv());
        file.write_all(b"started\n").await?;
        assert_eq!(std::fs::read_to_string(&path)?, "");
        drop(release);
        assert!(busy.await?.is_err());
        file.flush().await?;
        assert_eq!(std::fs::read_to_string(&path)?, "started\n");
        Ok(())
    })
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn the_next_call_tells_what_went_wrong() -> io::Result<()> {
    let mut full = File::options().write(true).open("/dev/full").await?;
    full.write_all(b"started\n").await?;
    let error = full.flush().await.expect_err("the disk is full");
    assert_eq!(error.kind(), io::ErrorKind::StorageFull);
    Ok(())
}

/// A `flush` that tried again would fail again: the disk is still full.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_second_flush_on_a_full_disk_succeeds_and_writes_nothing() -> io::Result<()> {
    let mut full = File::options().write(true).open("/dev/full").await?;
    full.write_all(b"started\n").await?;
    full.flush().await.expect_err("the disk is full");
    full.flush().await?;
    full.write_all(b"stopped\n").await?;
    full.sync_all().await.expect_err("the disk is full");
    Ok(())
}

/// The end of a file is not the end of the lines: more may be written.
#[tokio::test]
async fn lines_that_come_later_are_read_after_the_end() -> io::Result<()> {
    let folder = TempDir::new()?;
    let path = folder.path().join("log.txt");
    let mut log = std::fs::File::create(&path)?;
    log.write_all(b"one\ntw")?;
    let mut reader = BufReader::new(File::open(&path).await?);
    let mut line = String::new();
    reader.read_line(&mut line).await?;
    assert_eq!(line, "one\n");
    line.clear();
    for _ in 0..2 {
        reader.read_line(&mut line).await?;
        assert_eq!(line, "tw");
    }
    log.write_all(b"o\n")?;
    reader.read_line(&mut line).await?;
    assert_eq!(line, "two\n");
    let mut lines = reader.lines();
    assert_eq!(lines.next_line().await?, None);
    log.write_all(b"three\n")?;
    assert_eq!(lines.next_line().await?.as_deref(), Some("three"));
    Ok(())
}
