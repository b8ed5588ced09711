use std::io::{self, Write};
use std::path::Path;
use std::sync::mpsc;

use tempfile::TempDir;
use tokio::fs::File;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::runtime::Builder;
use tokio::task::spawn_blocking;

use crate::async_files::{append_line, find_line, read_if_there, write_lines};

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

/// Without their `flush`, both would return `Ok` and lose the line.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn both_writers_return_the_error_of_a_full_disk() {
    let full = Path::new("/dev/full");
    for written in [
        write_lines(full, &["started"]).await,
        append_line(full, "started").await,
    ] {
        let error = written.expect_err("the disk is full");
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
    }
}

#[tokio::test]
async fn write_lines_replaces_the_file_and_append_line_creates_it() -> io::Result<()> {
    let folder = TempDir::new()?;
    let path = folder.path().join("log.txt");
    for (line, expected) in [("started", "started\n"), ("ended", "started\nended\n")] {
        append_line(&path, line).await?;
        assert_eq!(std::fs::read_to_string(&path)?, expected);
    }
    for (lines, expected) in [(&["new"][..], "new\n"), (&[], "")] {
        write_lines(&path, lines).await?;
        assert_eq!(std::fs::read_to_string(&path)?, expected);
    }
    Ok(())
}

/// Behind the line that is found there is one that cannot be read.
#[tokio::test]
async fn find_line_reads_no_further_than_the_first_that_is_found() -> io::Result<()> {
    let folder = TempDir::new()?;
    let path = folder.path().join("log.txt");
    std::fs::write(&path, b"one\ntwo\ntwo again\n\xff\n")?;
    let found = find_line(&path, "two").await?;
    assert_eq!(found.as_deref(), Some("two"));
    let error = find_line(&path, "three").await.expect_err("not UTF-8");
    assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    Ok(())
}

#[tokio::test]
async fn only_a_missing_file_is_none_and_no_error_names_its_file() -> io::Result<()> {
    let folder = TempDir::new()?;
    let path = folder.path().join("log.txt");
    assert_eq!(read_if_there(&path).await?, None);
    std::fs::write(&path, b"\xff")?;
    let error = read_if_there(&path).await.expect_err("not UTF-8");
    assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    assert!(!error.to_string().contains("log.txt"), "{error}");
    Ok(())
}
