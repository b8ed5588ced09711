//! A temporary directory that is removed on success, error, panic and cancel.
//!
//! When a `tempfile::TempDir` is dropped, it removes its directory, but it blocks the
//! runtime's thread and reports no error. So the function `with_temporary_directory`
//! below calls `TempDir::close` with `spawn_blocking` and returns its error. After a
//! panic or a cancellation, only the drop removes the directory.
//!
//! Trap: If you write `tempdir()?.path().to_path_buf()`, the directory is removed
//! immediately, because nothing keeps the `TempDir`. The path then names no directory.
//! Keep the `TempDir` in a variable for as long as you use the path.
//!
//! Trap: If a call of `tokio::fs` is dropped, for example by a timeout, it keeps
//! running in its thread. The call may then create the directory again, or make the
//! removal fail. To prevent this, spawn the call of `with_temporary_directory` as a
//! task, and put the timeout around its handle.
//!
//! See also: `async_files`, `drop_guard`.
//!
//! asyncio: tempfile.TemporaryDirectory, contextlib.asynccontextmanager

use std::error::Error;
use std::io;
use std::path::Path;
use std::time::Duration;

use tempfile::TempDir;
use tokio::fs;
use tokio::task::spawn_blocking;
use tokio::time::sleep;

type Failure = Box<dyn Error + Send + Sync>;

/// Creates a temporary directory in `parent`, usually `std::env::temp_dir()`. Runs the
/// body, and removes the directory with its contents.
///
/// If the body panics or the future is dropped, `Drop` removes the directory.
///
/// # Errors
///
/// The error of the body, or of creating or removing the directory. If the removal fails,
/// the body's value is lost.
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

async fn write(parent: &Path, kind: &str) -> Result<(), Failure> {
    with_temporary_directory(parent, async |directory| {
        fs::write(directory.join("letter.txt"), kind).await?;
        print_count(parent).await?;
        sleep(Duration::from_millis(200)).await;
        match kind {
            "reminder" => Err("no address for the reminder".into()),
            "invoice" => panic!("no template for an invoice"),
            _ => Ok(()),
        }
    })
    .await
}

async fn print_count(parent: &Path) -> Result<(), Failure> {
    let parent = parent.to_path_buf();
    let entries = spawn_blocking(|| std::fs::read_dir(parent)).await??;
    println!("temporary directories: {}", entries.count());
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    use tokio::time::timeout;

    let outer = spawn_blocking(TempDir::new).await??;
    let parent = outer.path();

    println!("Success, and an error of the body:");
    write(parent, "thanks").await?;
    print_count(parent).await?;
    if let Err(error) = write(parent, "reminder").await {
        println!("error: {error}");
    }
    print_count(parent).await?;

    println!("The body has a bug:");
    let path = parent.to_path_buf();
    let task = tokio::spawn(async move { write(&path, "invoice").await });
    if task.await.is_err_and(|error| error.is_panic()) {
        print_count(parent).await?;
    }

    println!("A timeout of 0.1 s:");
    let limit = Duration::from_millis(100);
    if timeout(limit, write(parent, "thanks")).await.is_err() {
        print_count(parent).await?;
    }

    println!("The guard is not kept:");
    let path = TempDir::new_in(parent)?.path().join("letter.txt");
    if fs::write(path, "thanks").await.is_err() {
        println!("cannot write: the directory is already removed");
    }
    Ok(())
}

//@ stderr: no template for an invoice
