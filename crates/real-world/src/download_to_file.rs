//! Download to a file: streamed, limited, and complete under its final name or absent.
//!
//! Write the body, piece by piece, into a temporary file next to the target. When all
//! bytes are on the disk, the temporary file is renamed to the target. If the download
//! fails or its future is dropped, the temporary file is removed. So half a file never
//! has the name of a whole one.
//!
//! Bounds: In [`Limits`] you set the largest number of bytes, the longest wait for a
//! piece, and the longest time of the download. Above a limit, `download` returns an
//! error. It keeps one megabyte in memory.
//!
//! Trap: With only a limit for each wait, a server that sends one byte per second keeps
//! the download running for weeks. With only a limit for the whole time, a large file
//! over a slow network is cut off. Set both limits, and choose a generous one for the
//! whole time.
//!
//! Trap: If you check the answer with `error_for_status` alone, you may store a body that
//! is not the whole file: 204, 206 and 304 are no errors. Only 200 is accepted here. If
//! the server does not name the length, even a body that breaks off may look whole:
//! compare a checksum, if the site has one.
//!
//! Platforms: Windows refuses to replace a file that somebody has open. Then the rename
//! is retried for a second and fails; the old file stays.
//!
//! See also: `resume_download` continues a broken download; `write_whole_file`, `retry`.
//!
//! asyncio: asyncio.timeout, asyncio.to_thread, aiofiles.open, async for

use std::fs;
use std::io;
use std::path::Path;
use std::time::Duration;

use reqwest::header::{ACCEPT_ENCODING, CONTENT_ENCODING};
use reqwest::{RequestBuilder, StatusCode};
use tempfile::TempPath;
use tokio::io::{AsyncWriteExt, BufWriter};
use tokio::task::spawn_blocking;
use tokio::time::{error::Elapsed, timeout};

/// The limits of a download.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    pub max_bytes: u64,
    /// The longest wait for the response, and for each piece of its body.
    pub stall: Duration,
    /// The longest time for the whole download, until it is renamed.
    pub max_time: Duration,
}

/// Why the download failed. An older file with this name is unchanged.
#[derive(Debug, thiserror::Error)]
pub enum DownloadError {
    #[error("too slow")]
    TooSlow(#[from] Elapsed),
    #[error("more than {0} bytes")]
    TooLarge(u64),
    /// Neither 200 nor an error, for example 304: the answer has no file.
    #[error("status {}", .0.as_u16())]
    NoFile(StatusCode),
    #[error("the body is compressed")]
    Compressed,
    /// The connection broke, or the server answered with an error.
    #[error(transparent)]
    Http(#[from] reqwest::Error),
    #[error("the file cannot be written")]
    Disk(#[from] io::Error),
}

/// Downloads a file, replacing one of the same name, and returns the number of bytes.
///
/// Calls `progress` with the bytes so far, and with the length if the server names it.
/// Dropping the future removes the unfinished file.
pub async fn download(
    request: RequestBuilder,
    target: &Path,
    limits: &Limits,
    progress: impl FnMut(u64, Option<u64>),
) -> Result<u64, DownloadError> {
    let receiving = receive(request, target, limits, progress);
    let (bytes, part) = timeout(limits.max_time, receiving).await??;
    let target = target.to_owned();
    // Beyond the limit of time, or it could replace the old file after that error.
    let renamed = spawn_blocking(move || {
        rename_over(&part, &target)?;
        // The name is no longer there, so nothing is to be removed.
        let _ = part.keep();
        Ok::<_, io::Error>(())
    });
    renamed.await.map_err(io::Error::from)??;
    Ok(bytes)
}

/// Returns the number of bytes, and the path of the file, which is whole and on the disk.
async fn receive(
    request: RequestBuilder,
    target: &Path,
    limits: &Limits,
    mut progress: impl FnMut(u64, Option<u64>),
) -> Result<(u64, TempPath), DownloadError> {
    // Otherwise a server may send other bytes than those of the file.
    let request = request.header(ACCEPT_ENCODING, "identity");
    let response = timeout(limits.stall, request.send()).await??;
    let mut response = response.error_for_status()?;
    if response.status() != StatusCode::OK {
        return Err(DownloadError::NoFile(response.status()));
    }
    let encoding = response.headers().get(CONTENT_ENCODING);
    if encoding.is_some_and(|encoding| encoding != "identity") {
        return Err(DownloadError::Compressed);
    }
    let total = response.content_length();
    if total.is_some_and(|total| total > limits.max_bytes) {
        return Err(DownloadError::TooLarge(limits.max_bytes));
    }
    let folder = target.parent().unwrap_or(Path::new("")).to_owned();
    let created = spawn_blocking(move || new_part(&folder)).await;
    let (file, part) = created.map_err(io::Error::from)??;
    let file = tokio::fs::File::from_std(file);
    // Each write of a `tokio::fs::File` is a trip to another thread.
    let mut file = BufWriter::with_capacity(1 << 20, file);
    let mut bytes = 0;
    while let Some(chunk) = timeout(limits.stall, response.chunk()).await?? {
        bytes += chunk.len() as u64;
        if bytes > limits.max_bytes {
            return Err(DownloadError::TooLarge(limits.max_bytes));
        }
        file.write_all(&chunk).await?;
        progress(bytes, total);
    }
    file.flush().await?;
    // Without this, a power cut may leave the name without the bytes.
    file.get_ref().sync_all().await?;
    Ok((bytes, part))
}

/// Returns a new file, which is removed when its path is dropped.
fn new_part(folder: &Path) -> io::Result<(fs::File, TempPath)> {
    // In the same folder: a file cannot be renamed into another file system.
    let folder = if folder.as_os_str().is_empty() {
        Path::new(".")
    } else {
        folder
    };
    let mut builder = tempfile::Builder::new();
    let builder = builder.prefix(".").suffix(".part");
    // `tempfile_in` would make a file that only its owner may read.
    let part = builder.make_in(folder, |path| fs::File::create_new(path))?;
    Ok(part.into_parts())
}

/// Renames the file, also over another one. Windows refuses while somebody has the target
/// open, so there it tries for a second.
fn rename_over(part: &Path, target: &Path) -> io::Result<()> {
    let retries = if cfg!(windows) { 100 } else { 0 };
    for _ in 0..retries {
        match fs::rename(part, target) {
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                std::thread::sleep(Duration::from_millis(10));
            }
            renamed => return renamed,
        }
    }
    fs::rename(part, target)
}

/// Downloads a file: `cargo run -- https://example.com/a.zip a.zip`.
#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [url, target] = args.as_slice() else {
        return Err("usage: URL FILE".into());
    };
    let limits = Limits {
        max_bytes: 10_000_000_000,
        stall: Duration::from_secs(30),
        max_time: Duration::from_secs(4 * 3_600),
    };
    let request = reqwest::Client::new().get(url);
    let bytes = download(request, Path::new(target), &limits, |_, _| ()).await?;
    println!("{bytes} bytes");
    Ok(())
}

//@ clock: real
//@ try: http://127.0.0.1:1/ file -> refused
