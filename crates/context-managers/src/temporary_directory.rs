//! A temporary directory that is removed on success, error, panic and cancel.
//!
//! `tempfile::TempDir` removes its directory when it is dropped, but on the runtime's
//! thread and without reporting an error. So `with_temporary_directory` calls `close` on
//! a blocking thread and returns its error, unless it panics or is cancelled.
//!
//! Trap: `tempdir()?.path().to_path_buf()` drops the guard at once. The path then names
//! no directory. Keep the guard, as in Python.
//!
//! Trap: a call of `tokio::fs` that was dropped goes on in its thread. It may create the
//! directory again, or make its removal fail.
//!
//! See also: `async_files`, `drop_guard`.
//!
//! asyncio: tempfile.TemporaryDirectory, contextlib.asynccontextmanager
//! stderr: no template for an invoice

use std::error::Error;
use std::io;
use std::path::Path;
use std::time::Duration;

use tempfile::TempDir;
use tokio::fs;
use tokio::task::spawn_blocking;
use tokio::time::{sleep, timeout};

type Failure = Box<dyn Error + Send + Sync>;

/// Creates a temporary directory in `parent`, usually `std::env::temp_dir()`, runs the
/// body with it, and removes it with its contents.
///
/// If the body panics or the future is dropped, `Drop` removes the directory. That blocks
/// the thread and loses an error.
///
/// # Errors
///
/// That of the body, or of creating or removing the directory. If the removal fails, the
/// body's value is lost.
pub async fn with_temporary_directory<T, E: From<io::Error>>(
    parent: &Path,
    body: impl AsyncFnOnce(&Path) -> Result<T, E>,
) -> Result<T, E> {
    let parent = parent.to_path_buf();
    let made = spawn_blocking(|| TempDir::new_in(parent)).await;
    let directory = made.map_err(io::Error::from)??;
    let outcome = body(directory.path()).await;
    let removed = spawn_blocking(|| directory.close()).await;
    let value = outcome?;
    removed.map_err(io::Error::from)??;
    Ok(value)
}

/// Writes a letter in two steps and returns its size.
async fn write_letter(folder: &Path, kind: &str) -> Result<u64, Failure> {
    fs::write(folder.join("head.txt"), kind).await?;
    sleep(Duration::from_millis(200)).await;
    match kind {
        "reminder" => return Err("no address for the reminder".into()),
        "invoice" => panic!("no template for an invoice"),
        _ => {}
    }
    let text = fs::read_to_string(folder.join("head.txt")).await? + ", text";
    fs::write(folder.join("letter.txt"), text).await?;
    Ok(fs::metadata(folder.join("letter.txt")).await?.len())
}

/// Prints the number of files in each folder in `parent`.
async fn print_folders(parent: &Path) -> io::Result<()> {
    let mut counts = Vec::new();
    let mut folders = fs::read_dir(parent).await?;
    while let Some(folder) = folders.next_entry().await? {
        let mut files = fs::read_dir(folder.path()).await?;
        let mut count = 0;
        while files.next_entry().await?.is_some() {
            count += 1;
        }
        counts.push(count);
    }
    println!("files in each folder: {counts:?}");
    Ok(())
}

async fn letter(parent: &Path, kind: &str) -> Result<(), Failure> {
    let size = with_temporary_directory(parent, async |folder| {
        let size = write_letter(folder, kind).await?;
        print_folders(parent).await?;
        Ok::<_, Failure>(size)
    })
    .await?;
    println!("{kind}: {size} bytes");
    Ok(())
}

pub async fn run() -> Result<(), Failure> {
    let outer = spawn_blocking(TempDir::new).await??;
    let parent = outer.path();

    println!("All goes well:");
    letter(parent, "thanks").await?;
    print_folders(parent).await?;

    println!("The body fails:");
    if let Err(error) = letter(parent, "reminder").await {
        println!("Error: {error}");
    }
    print_folders(parent).await?;

    println!("The body has a bug:");
    let path = parent.to_path_buf();
    let task = tokio::spawn(async move { letter(&path, "invoice").await });
    if let Err(error) = task.await
        && error.is_panic()
    {
        println!("Ended by a bug");
    }
    print_folders(parent).await?;

    println!("A timeout of 0.1 s:");
    let limit = Duration::from_millis(100);
    if timeout(limit, letter(parent, "thanks")).await.is_err() {
        println!("Timed out");
    }
    print_folders(parent).await?;

    println!("The guard is not kept:");
    let folder = TempDir::new_in(parent)?.path().to_path_buf();
    print_folders(parent).await?;
    match fs::write(folder.join("head.txt"), "thanks").await {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            println!("Nowhere to write to");
        }
        other => other?,
    }
    Ok(())
}

#[tokio::main]
pub async fn main() -> Result<(), Failure> {
    run().await
}
