use std::io;
use std::sync::mpsc;

use tempfile::TempDir;
use tokio::fs::File;
use tokio::io::AsyncWriteExt;
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
