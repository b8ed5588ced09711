//! A file that is copied, and one that is missing.

use std::error::Error;
use std::io::ErrorKind;

use tempfile::TempDir;
use tokio::fs;
use tokio::task::spawn_blocking;

use crate::read_file::copy_in_capitals;

pub async fn run() -> Result<(), Box<dyn Error + Send + Sync>> {
    let folder = spawn_blocking(TempDir::new).await??;
    let path = |name| folder.path().join(name).display().to_string();
    let (notes, copy) = (path("notes.txt"), path("copy.txt"));

    fs::write(&notes, "Hello, async world!").await?;
    copy_in_capitals(&notes, &copy).await?;
    println!("File content: {}", fs::read_to_string(&copy).await?);

    match copy_in_capitals(&path("missing.txt"), &copy).await {
        Err(error) if error.kind() == ErrorKind::NotFound => println!("Not there"),
        other => other?,
    }
    Ok(spawn_blocking(|| folder.close()).await??)
}
