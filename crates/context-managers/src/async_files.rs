//! Read and write files with tokio::fs (as with aiofiles): whole, by lines, appended.
//!
//! `fs::read_to_string` and `fs::write` open and close the file. For lines and many small
//! writes, wrap the `File` in a `BufReader` or `BufWriter`. Each operation is sent to a
//! blocking thread, so `std::fs` in one `spawn_blocking` is faster for many small steps.
//!
//! Bounds: unbounded: `read_to_string`, and the length of a line.
//!
//! Trap: a `BufWriter` that is dropped loses what it has buffered, without an error. End
//! with `flush`. A bare `File` needs it as well: `write_all` returns before the data is
//! written, and an error is returned by the next call.
//!
//! See also: `temporary_directory`, `file_processor`.
//!
//! asyncio: aiofiles.open, async with, async for, tempfile.TemporaryDirectory
//! differs: a with block flushes at its end

use std::io;
use std::path::Path;

use tempfile::TempDir;
use tokio::fs::{self, File, OpenOptions};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, BufWriter};
use tokio::task::spawn_blocking;

/// Writes lines to a file, and replaces a file that exists.
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
    let mut options = OpenOptions::new();
    let mut file = options.create(true).append(true).open(path).await?;
    file.write_all(format!("{line}\n").as_bytes()).await?;
    file.flush().await
}

/// Returns the first line that contains `word`, with its number. Reads no further.
pub async fn find_line(path: &Path, word: &str) -> io::Result<Option<(usize, String)>> {
    let mut lines = BufReader::new(File::open(path).await?).lines();
    let mut number = 1;
    // The ends of lines, which Python keeps, are cut off.
    while let Some(line) = lines.next_line().await? {
        if line.contains(word) {
            return Ok(Some((number, line)));
        }
        number += 1;
    }
    Ok(None)
}

/// Returns the text of a file, or `None` if there is no such file.
///
/// # Errors
///
/// Any other error. Unlike Python's it does not name the file.
pub async fn read_if_there(path: &Path) -> io::Result<Option<String>> {
    match fs::read_to_string(path).await {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

async fn print_size(path: &Path) -> io::Result<()> {
    println!("{} bytes", fs::metadata(path).await?.len());
    Ok(())
}

pub async fn run() -> io::Result<()> {
    let folder = spawn_blocking(TempDir::new).await??;
    let [hello, poem, log] =
        ["hello.txt", "poem.txt", "log.txt"].map(|name| folder.path().join(name));

    println!("A whole file:");
    fs::write(&hello, "Hello, async world!").await?;
    println!("{}", fs::read_to_string(&hello).await?);

    println!("Line by line:");
    write_lines(&poem, &["Roses are red", "Violets are blue"]).await?;
    append_line(&poem, "Rust is, too").await?;
    append_line(&poem, "And so are you").await?;
    for word in ["are", "too", "green"] {
        match find_line(&poem, word).await? {
            Some((number, line)) => println!("{word}: line {number}, {line}"),
            None => println!("{word}: in no line"),
        }
    }

    println!("A file that is not there:");
    for path in [&hello, &log] {
        match read_if_there(path).await? {
            Some(text) => println!("{} letters", text.chars().count()),
            None => println!("not there"),
        }
    }

    println!("Before and after a flush:");
    let mut file = BufWriter::new(File::create(&log).await?);
    file.write_all(b"started\n").await?;
    print_size(&log).await?;
    file.flush().await?;
    print_size(&log).await?;

    println!("Dropped without a flush:");
    let mut file = BufWriter::new(File::create(&log).await?);
    file.write_all(b"started\n").await?;
    drop(file);
    print_size(&log).await?;

    println!("The folder, and then no folder:");
    let path = folder.path().to_path_buf();
    let mut names = Vec::new();
    let mut entries = fs::read_dir(&path).await?;
    while let Some(entry) = entries.next_entry().await? {
        names.push(entry.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    println!("{}", names.join(", "));
    spawn_blocking(|| folder.close()).await??;
    match fs::read_dir(&path).await {
        Err(error) if error.kind() == io::ErrorKind::NotFound => println!("not there"),
        other => other.map(|_| ())?,
    }
    Ok(())
}

#[tokio::main]
pub async fn main() -> io::Result<()> {
    run().await
}
