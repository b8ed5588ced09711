//! Resume a download that broke off, even after `kill -9`.
//!
//! Received bytes go into a file next to the target, with `.part` after its name. The
//! next request asks with the header `Range` for the missing bytes only. A second
//! header, `If-Range`, names the version (the ETag) of the bytes so far: if the file on
//! the server has changed, the server sends it from its beginning. A lock on the
//! `.part` file keeps other downloads out. An answer other than 200, 206 and 416 leaves
//! the received bytes as they are.
//!
//! Bounds: `fetch` returns an error above `max_bytes`, or if one wait exceeds the
//! client's `read_timeout`. Unbounded: The whole time. Put a `timeout` around `fetch`:
//! the received bytes are kept.
//!
//! Trap: Some servers ignore an ETag in `If-Range`, for example aiohttp for static
//! files. If the file has changed, such a server sends the rest of the new version, and
//! you would join the halves of two files. So `fetch` compares the ETag of a 206 with
//! its own.
//!
//! Trap: A file may be damaged even after `fetch` succeeds. If the server names no
//! length, half a file may look whole. And lighttpd sends a changed file with the old
//! ETag for a second or two. So compare a checksum before you call `publish`, which
//! gives the file its final name.
//!
//! Platforms: Needs Rust 1.89. On Windows, `publish` fails while a program has the
//! target open.
//!
//! See also: `download_to_file`, `retry` (with jitter, for many clients).
//!
//! asyncio: asyncio.timeout, asyncio.to_thread, asyncio.sleep, aiofiles.open, async for

use std::fs;
use std::io::{self, SeekFrom};
use std::path::{Path, PathBuf};

use reqwest::header::{
    ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, ETAG, IF_RANGE,
    RANGE,
};
use reqwest::{RequestBuilder, StatusCode};
use tokio::fs::File;
use tokio::io::{AsyncSeekExt, AsyncWriteExt};
use tokio::task::spawn_blocking;

/// Why the file is not whole yet.
#[derive(Debug, thiserror::Error)]
pub enum DownloadError {
    /// The connection broke, or the server sent an error. The received bytes are kept.
    #[error("the request failed")]
    Http(#[from] reqwest::Error),
    /// The server sent less than it announced, or another range. The next attempt asks
    /// for the rest, or begins again.
    #[error("not all has come")]
    Incomplete,
    /// Neither 200, 206 nor 416, for example 304. The received bytes are kept.
    #[error("status {}", .0.as_u16())]
    NoFile(StatusCode),
    /// The server compresses although it was asked not to. The received bytes are kept.
    #[error("the body is compressed")]
    Compressed,
    /// The received bytes are removed.
    #[error("more than {0} bytes")]
    TooLarge(u64),
    /// The file cannot be written, or another download writes there (`WouldBlock`).
    #[error(transparent)]
    Disk(#[from] io::Error),
}

/// The locked, unfinished file. A second file holds its ETag.
#[derive(Debug)]
pub struct Part {
    file: File,
    path: PathBuf,
    etag: PathBuf,
    target: PathBuf,
}

impl Part {
    /// Opens or creates the unfinished file, and locks it until the `Part` is dropped.
    /// The folder must exist. A symlink named like the `.part` file is an error, as it
    /// would write into another file.
    pub async fn open(target: impl Into<PathBuf>) -> io::Result<Self> {
        let target = target.into();
        spawn_blocking(|| Self::open_blocking(target)).await?
    }

    fn open_blocking(target: PathBuf) -> io::Result<Self> {
        let [mut path, mut etag] = [(); 2].map(|()| target.as_os_str().to_owned());
        path.push(".part");
        etag.push(".part.etag");
        let [path, etag] = [path, etag].map(PathBuf::from);
        if fs::symlink_metadata(&path).is_ok_and(|there| !there.is_file()) {
            return Err(io::Error::other("the .part file is a link"));
        }
        let mut options = fs::File::options();
        // With `append`, Windows refuses to shorten the file.
        let options = options.read(true).write(true).create(true).truncate(false);
        let file = options.open(&path)?;
        file.try_lock()?;
        // The last holder of the lock may have renamed the file just now.
        if !is_at(&file, &path)? {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        Ok(Self {
            file: File::from_std(file),
            path,
            etag,
            target,
        })
    }

    /// Sends the request, and appends the missing bytes to the file.
    ///
    /// `progress` is called with the number of bytes so far, and with the length of the
    /// file if the server names it. Dropping the future keeps the bytes.
    pub async fn fetch(
        &mut self,
        request: RequestBuilder,
        max_bytes: u64,
        mut progress: impl FnMut(u64, Option<u64>),
    ) -> Result<(), DownloadError> {
        let mut bytes = self.file.seek(SeekFrom::End(0)).await?;
        // In a compressed body, length and ranges would differ.
        let mut request = request.header(ACCEPT_ENCODING, "identity");
        let etag = tokio::fs::read_to_string(&self.etag).await.ok();
        let known = etag.filter(|etag| bytes > 0 && is_strong(etag));
        if let Some(etag) = &known {
            let range = format!("bytes={bytes}-");
            request = request.header(RANGE, range).header(IF_RANGE, etag);
        }
        let mut response = request.send().await?;
        let status = response.status();
        if status != StatusCode::RANGE_NOT_SATISFIABLE {
            response = response.error_for_status()?;
        }
        let header = |name| response.headers().get(name)?.to_str().ok();
        if header(CONTENT_ENCODING).is_some_and(|encoding| encoding != "identity") {
            return Err(DownloadError::Compressed);
        }
        let range = header(CONTENT_RANGE).unwrap_or_default();
        // An answer need not have one.
        let is_same = header(ETAG).is_none_or(|etag| known.as_deref() == Some(etag));
        let total = match (status, parse_range(range)) {
            (StatusCode::OK, _) => {
                let etag = header(ETAG).filter(|etag| is_strong(etag));
                self.begin_anew(etag).await?;
                bytes = 0;
                header(CONTENT_LENGTH).and_then(|length| length.parse().ok())
            }
            (StatusCode::PARTIAL_CONTENT, Some((from, total)))
                if from == bytes && is_same =>
            {
                total
            }
            // All is there.
            (StatusCode::RANGE_NOT_SATISFIABLE, _)
                if is_same && range == format!("bytes */{bytes}") =>
            {
                return Ok(());
            }
            (StatusCode::PARTIAL_CONTENT | StatusCode::RANGE_NOT_SATISFIABLE, _) => {
                self.begin_anew(None).await?;
                return Err(DownloadError::Incomplete);
            }
            // For example 304, or a redirect that the client does not follow.
            _ => return Err(DownloadError::NoFile(status)),
        };
        loop {
            if bytes.max(total.unwrap_or(0)) > max_bytes {
                self.begin_anew(None).await?;
                return Err(DownloadError::TooLarge(max_bytes));
            }
            let Some(chunk) = response.chunk().await? else {
                break;
            };
            self.file.write_all(&chunk).await?;
            bytes += chunk.len() as u64;
            progress(bytes, total);
        }
        self.file.flush().await?;
        match total {
            Some(total) if total != bytes => Err(DownloadError::Incomplete),
            _ => Ok(()),
        }
    }

    /// Removes the bytes first, so that old bytes never stand with a new ETag.
    async fn begin_anew(&mut self, etag: Option<&str>) -> io::Result<()> {
        self.file.set_len(0).await?;
        self.file.rewind().await?;
        // It may be a link.
        remove_if_there(&self.etag).await?;
        if let Some(etag) = etag {
            let mut file = File::create_new(&self.etag).await?;
            file.write_all(etag.as_bytes()).await?;
            file.flush().await?;
        }
        Ok(())
    }

    /// Renames the file to its final name, and replaces an existing file.
    ///
    /// Even after a power cut, this name holds the whole file or the old one.
    pub async fn publish(self) -> io::Result<()> {
        // Otherwise a power cut may leave the name without the bytes.
        self.file.sync_all().await?;
        tokio::fs::rename(&self.path, &self.target).await?;
        remove_if_there(&self.etag).await
    }
}

/// Returns the first byte and the length of the whole: `bytes 200-999/1000`.
fn parse_range(header: &str) -> Option<(u64, Option<u64>)> {
    let (range, total) = header.strip_prefix("bytes ")?.split_once('/')?;
    let (from, _) = range.split_once('-')?;
    Some((from.parse().ok()?, total.parse().ok()))
}

/// Returns whether the ETag names these bytes and no others. A weak one, `W/"..."`, does
/// not. After a power cut, an ETag on the disk may lack its end.
fn is_strong(etag: &str) -> bool {
    let tag = etag.strip_prefix('"').and_then(|tag| tag.strip_suffix('"'));
    tag.is_some_and(|tag| tag.bytes().all(|byte| byte.is_ascii_graphic()))
}

async fn remove_if_there(path: &Path) -> io::Result<()> {
    match tokio::fs::remove_file(path).await {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

/// Returns whether the path is the name of this file, and no link to it.
pub fn is_at(file: &fs::File, path: &Path) -> io::Result<bool> {
    let there = match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        there => there?,
    };
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;

        let file = file.metadata()?;
        Ok((there.dev(), there.ino()) == (file.dev(), file.ino()))
    }
    // Elsewhere this may be wrong just when the first download ends. So do not start a
    // second one to the same target.
    #[cfg(not(unix))]
    Ok(file.metadata()?.len() == there.len())
}

/// Downloads a file, or the rest of it: `cargo run -- https://example.com/a.iso a.iso`.
#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [url, target] = args.as_slice() else {
        return Err("usage: URL FILE".into());
    };
    let stall = std::time::Duration::from_secs(30);
    let client = reqwest::Client::builder().read_timeout(stall).build()?;
    let mut part = Part::open(target).await?;
    let mut retries_left = 3;
    while let Err(error) = part.fetch(client.get(url), 1 << 40, |_, _| ()).await {
        let is_temporary = match &error {
            DownloadError::Http(error) => {
                !error.status().is_some_and(|it| it.is_client_error())
            }
            DownloadError::Incomplete => true,
            _ => false,
        };
        if retries_left == 0 || !is_temporary {
            return Err(error.into());
        }
        retries_left -= 1;
        println!("{error}, again in a second");
        tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    }
    Ok(part.publish().await?)
}

//@ clock: real
//@ try: http://127.0.0.1:1/ file -> refused
