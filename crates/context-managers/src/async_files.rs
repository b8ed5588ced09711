//! Read and write files with tokio::fs (as with aiofiles): whole, by lines, appended.
//!
//! `fs::read_to_string` and `fs::write` open and close the file. To read lines, wrap the
//! `File` in a `BufReader`; for many small writes, wrap it in a `BufWriter`. Tokio sends
//! each operation to a thread for blocking work, so for many small steps `std::fs` in one
//! `spawn_blocking` is faster. The example `read_file` is the plain form.
//!
//! `write_all` of a bare `File` returns before the data is written. Only the next call,
//! such as `flush`, returns the error of that write. If `flush` returns an error, for
//! example because the disk is full, the data is lost. A second `flush` returns `Ok` and
//! writes nothing, so write the file again.
//!
//! To follow a file that grows, as `tail -f` does, read on after its end, with a sleep in
//! between. A line that is not finished yet comes in two parts: call `read_line` with the
//! same `String` until the `String` ends with a line break.
//!
//! Bounds: Unbounded: The size of a file that `read_to_string` reads into memory, and the
//! length of a line.
//!
//! Trap: If you drop a `BufWriter` or a bare `File` without `flush`, you may lose data
//! without an error. The data in the buffer of a `BufWriter` is lost, and nobody sees the
//! error of the last write of a `File`. Call `flush` at the end, and look at its result.
//!
//! See also: `read_file`, `temporary_directory`, `file_processor`.
//!
//! asyncio: aiofiles.open, async with, async for, tempfile.TemporaryDirectory
//! differs: in asyncio the end of a with block flushes

use std::io;
use std::path::Path;

use tokio::fs::{self, File};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, BufWriter};

/// Writes lines to a file. Replaces the file if it exists.
pub async fn write_lines(path: &Path, lines: &[&str]) -> io::Result<()> {
    let mut file = BufWriter::new(File::create(path).await?);
    for line in lines {
        file.write_all(line.as_bytes()).await?;
        file.write_all(b"\n").await?;
    }
    file.flush().await
}

/// Appends a line to a file, and creates the file if it is missing.
pub async fn append_line(path: &Path, line: &str) -> io::Result<()> {
    let mut options = File::options();
    let mut file = options.create(true).append(true).open(path).await?;
    file.write_all(format!("{line}\n").as_bytes()).await?;
    file.flush().await
}

/// Returns the first line that contains `word`. Reads no further.
pub async fn find_line(path: &Path, word: &str) -> io::Result<Option<String>> {
    let mut lines = BufReader::new(File::open(path).await?).lines();
    // Without the line breaks, which Python keeps.
    while let Some(line) = lines.next_line().await? {
        if line.contains(word) {
            return Ok(Some(line));
        }
    }
    Ok(None)
}

/// Returns the text of a file, or `None` if there is no such file.
///
/// # Errors
///
/// Any other error. Unlike an error of Python, it does not name the file.
pub async fn read_if_there(path: &Path) -> io::Result<Option<String>> {
    match fs::read_to_string(path).await {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

#[tokio::main]
async fn main() -> io::Result<()> {
    let folder = tokio::task::spawn_blocking(tempfile::TempDir::new).await??;
    let (poem, log) = (
        folder.path().join("poem.txt"),
        folder.path().join("log.txt"),
    );

    println!("Line by line:");
    write_lines(&poem, &["Roses are red", "Violets are blue"]).await?;
    append_line(&poem, "Rust is, too").await?;
    for word in ["are", "too", "green"] {
        let line = find_line(&poem, word).await?;
        println!("{word}: {}", line.as_deref().unwrap_or("in no line"));
    }

    println!("A whole file, and one that is not there:");
    for path in [&poem, &log] {
        match read_if_there(path).await? {
            Some(text) => println!("{} bytes", text.len()),
            None => println!("not there"),
        }
    }

    println!("Before and after a flush:");
    let mut file = BufWriter::new(File::create(&log).await?);
    file.write_all(b"started\n").await?;
    println!("{} bytes", fs::metadata(&log).await?.len());
    file.flush().await?;
    println!("{} bytes", fs::metadata(&log).await?.len());

    println!("Left without a flush:");
    file.write_all(b"ended\n").await?;
    drop(file);
    println!("{} bytes", fs::metadata(&log).await?.len());
    tokio::task::spawn_blocking(|| folder.close()).await?
}
