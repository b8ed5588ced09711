//! A file that is replaced: whole, half, and while somebody reads.

use std::error::Error;
use std::path::Path;
use std::time::Duration;

use tokio::fs;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{sleep, timeout};

use crate::write_whole_file::write_whole;

pub type Failure = Box<dyn Error + Send + Sync>;

/// The trap: a writer that is slow, under the final name.
async fn write_slowly(path: &Path, words: [&str; 2]) -> Result<(), Failure> {
    let mut file = fs::File::create(path).await?;
    for word in words {
        file.write_all(word.as_bytes()).await?;
        file.flush().await?;
        sleep(Duration::from_millis(200)).await;
    }
    Ok(())
}

/// Returns a folder in memory, if there is such a file system, as a disk may be slow.
fn in_memory() -> std::io::Result<tempfile::TempDir> {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir())
}

pub async fn run() -> Result<(), Failure> {
    let folder = in_memory()?;
    let path = &folder.path().join("settings");

    println!("Written directly under the final name, stopped after 0.1 s:");
    fs::write(path, "old settings").await?;
    let write = write_slowly(path, ["new ", "settings"]);
    let stopped = timeout(Duration::from_millis(100), write).await;
    println!("stopped: {}", stopped.is_err());
    println!("the file: {}", fs::read_to_string(path).await?);

    println!("Whole:");
    write_whole(path, "old settings").await?;
    println!("the file: {}", fs::read_to_string(path).await?);
    write_whole(path, "new settings").await?;
    println!("the file: {}", fs::read_to_string(path).await?);

    println!("A reader that has opened the old file:");
    let mut reader = fs::File::open(path).await?;
    write_whole(path, "newest").await?;
    let mut old = String::new();
    reader.read_to_string(&mut old).await?;
    println!("it reads: {old}");
    println!("the file: {}", fs::read_to_string(path).await?);

    println!("A folder has the name:");
    let taken = folder.path().join("taken");
    fs::create_dir_all(taken.join("more")).await?;
    println!("failed: {}", write_whole(&taken, "text").await.is_err());
    let mut names = Vec::new();
    let mut entries = fs::read_dir(folder.path()).await?;
    while let Some(entry) = entries.next_entry().await? {
        names.push(entry.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    println!("in the folder: {}", names.join(", "));
    Ok(())
}
