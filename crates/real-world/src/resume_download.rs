//! Resume a download that broke off, also after `kill -9`, and check what has come.
//!
//! Bytes go into a file beside the target, with `.part` behind its name. After a failure
//! a request with `Range` gets the rest. `If-Range` names the ETag of the bytes that are
//! there, so a file that has changed is sent from its beginning. The whole file gets its
//! final name. A lock keeps a second download out.
//!
//! Bounds: `max_bytes`, `max_retries`, `stall` for each wait, `max_time` for all.
//!
//! Trap: without a checksum the only proof is the length that the server names. If it
//! names none, half a file may look like a whole one.
//!
//! Trap: a symlink named like the `.part` file would write into another file. Here it is
//! an error.
//!
//! In production: `backon` adds jitter to the retries of many clients.
//!
//! asyncio: asyncio.timeout, asyncio.to_thread, asyncio.sleep, aiofiles.open, async for
//! clock: real
//! try: http://127.0.0.1:1/ file -> refused

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use reqwest::header::{
    ACCEPT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, ETAG, IF_RANGE, RANGE,
};
use reqwest::{Client, StatusCode, Url};
use sha2::{Digest, Sha256};
use tokio::task::spawn_blocking;
use tokio::time::{sleep, timeout};

/// A file to download.
#[derive(Clone, Debug)]
pub struct Download {
    pub url: Url,
    /// The final name. The folder must exist. A file of this name is replaced.
    pub target: PathBuf,
    /// The checksum of the whole file, if it is known.
    pub sha256: Option<[u8; 32]>,
    /// The largest file.
    pub max_bytes: u64,
    /// The longest wait for an answer, and for each piece of its body.
    pub stall: Duration,
    /// The longest time in all. What has come is kept for the next call.
    pub max_time: Duration,
    /// The retries in all. Progress does not reset the count.
    pub max_retries: u32,
    /// The pause before the first retry. It doubles before each further one.
    pub initial_backoff: Duration,
}

/// The progress of a download.
#[derive(Debug)]
pub enum Event<'a> {
    /// A body begins, after the bytes that are there already.
    Begun { from: u64 },
    /// The file has this number of bytes. `total` is what the server says.
    Received { bytes: u64, total: Option<u64> },
    /// An attempt failed, and another one starts after the backoff.
    Failed {
        error: &'a DownloadError,
        backoff: Duration,
    },
}

/// Why there is no new file under the final name. What has come is kept for the next
/// call, unless a variant says otherwise.
#[derive(Debug, thiserror::Error)]
pub enum DownloadError {
    #[error("{}", text(.0))]
    Broken(#[from] reqwest::Error),
    #[error("nothing came for {0:?}")]
    Stalled(Duration),
    #[error("not done within {0:?}")]
    TooSlow(Duration),
    #[error("status {}", .0.as_u16())]
    Status(StatusCode),
    /// The server sent another range than was requested. What has come is removed.
    #[error("not the range that was asked for")]
    WrongRange,
    /// What has come is removed.
    #[error("more than {0} bytes")]
    TooLarge(u64),
    /// What has come is removed.
    #[error("not the checksum that was expected")]
    Checksum,
    /// Another download to the same target is running.
    #[error("another download writes there")]
    Busy,
    #[error("the file cannot be written")]
    Disk(#[from] io::Error),
}

fn text(error: &reqwest::Error) -> &'static str {
    match (error.is_redirect(), error.is_connect()) {
        (true, _) => "too many redirects",
        (_, true) => "no connection",
        _ => "the connection broke",
    }
}

impl DownloadError {
    /// Returns whether another attempt may succeed.
    pub fn is_temporary(&self) -> bool {
        match self {
            Self::Broken(error) => !error.is_builder() && !error.is_redirect(),
            Self::Status(status) => {
                status.is_server_error() || matches!(status.as_u16(), 408 | 429)
            }
            Self::Stalled(_) | Self::WrongRange | Self::Busy => true,
            Self::TooSlow(_) | Self::TooLarge(_) | Self::Checksum | Self::Disk(_) => {
                false
            }
        }
    }
}

impl Download {
    /// Downloads the file, or the rest of it.
    ///
    /// Even after a power cut, the final name holds the whole file or what was there
    /// before. Dropping the future keeps what has come. Dropped during the checksum, it
    /// may still rename the file a moment later.
    ///
    /// # Errors
    ///
    /// [`DownloadError`]. Temporary errors are returned after all retries.
    pub async fn run(
        &self,
        client: &Client,
        mut report: impl FnMut(Event<'_>),
    ) -> Result<(), DownloadError> {
        let attempts = async {
            let mut backoff = self.initial_backoff;
            for _ in 0..self.max_retries {
                match self.attempt(client, &mut report).await {
                    Err(error) if error.is_temporary() => {
                        let error = &error;
                        report(Event::Failed { error, backoff });
                        sleep(backoff).await;
                        backoff = backoff.saturating_mul(2);
                    }
                    ended => return ended,
                }
            }
            self.attempt(client, &mut report).await
        };
        let ended = timeout(self.max_time, attempts).await;
        ended.unwrap_or(Err(DownloadError::TooSlow(self.max_time)))
    }

    async fn attempt(
        &self,
        client: &Client,
        report: &mut impl FnMut(Event<'_>),
    ) -> Result<(), DownloadError> {
        let target = self.target.clone();
        let part = spawn_blocking(move || Part::claim(&target)).await;
        let part = Arc::new(part.map_err(io::Error::from)??);
        let received = self.receive(client, &part, report).await;
        let (target, sha256) = (self.target.clone(), self.sha256);
        on_disk(&part, move |part| match received {
            Ok(()) => part.publish(&target, sha256),
            Err(error) => part.keep_or_remove(error),
        })
        .await
    }

    /// Adds to the file what is missing.
    async fn receive(
        &self,
        client: &Client,
        part: &Arc<Part>,
        report: &mut impl FnMut(Event<'_>),
    ) -> Result<(), DownloadError> {
        let stalled = |_| DownloadError::Stalled(self.stall);
        // In a compressed body, length and ranges would be others.
        let request = client.get(self.url.clone());
        let mut request = request.header(ACCEPT_ENCODING, "identity");
        let (mut bytes, etag) = on_disk(part, |part| Ok(part.look()?)).await?;
        if let Some(etag) = etag {
            let range = format!("bytes={bytes}-");
            request = request.header(RANGE, range).header(IF_RANGE, etag);
        }
        let response = timeout(self.stall, request.send()).await;
        let mut response = response.map_err(stalled)??;
        let header = |name| response.headers().get(name)?.to_str().ok();
        let total = match response.status() {
            StatusCode::OK => {
                let total = header(CONTENT_LENGTH).and_then(|length| length.parse().ok());
                let etag = header(ETAG).filter(|etag| is_strong(etag));
                let etag = etag.map(str::to_owned);
                on_disk(part, |part| Ok(part.begin_anew(etag)?)).await?;
                bytes = 0;
                total
            }
            StatusCode::PARTIAL_CONTENT => {
                let range = header(CONTENT_RANGE).and_then(parse_range);
                let (from, total) = range.ok_or(DownloadError::WrongRange)?;
                if from != bytes {
                    return Err(DownloadError::WrongRange);
                }
                total
            }
            // Nothing is missing, or there is too much: `bytes */1000`.
            StatusCode::RANGE_NOT_SATISFIABLE if bytes > 0 => {
                let whole =
                    header(CONTENT_RANGE).and_then(|it| it.strip_prefix("bytes */"));
                let is_whole = whole == Some(&*bytes.to_string());
                return match is_whole || self.sha256.is_some() {
                    true => Ok(()),
                    false => Err(DownloadError::WrongRange),
                };
            }
            status => return Err(DownloadError::Status(status)),
        };
        if total.is_some_and(|total| total > self.max_bytes) {
            return Err(DownloadError::TooLarge(self.max_bytes));
        }
        report(Event::Begun { from: bytes });
        loop {
            let chunk = timeout(self.stall, response.chunk()).await;
            let Some(chunk) = chunk.map_err(stalled)?? else {
                return Ok(());
            };
            bytes += chunk.len() as u64;
            if bytes > self.max_bytes {
                return Err(DownloadError::TooLarge(self.max_bytes));
            }
            // The next piece is not read before this one is in the file.
            on_disk(part, move |part| Ok((&part.file).write_all(&chunk)?)).await?;
            report(Event::Received { bytes, total });
        }
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

/// The locked file that is not whole yet, and a file with its ETag.
pub struct Part {
    pub(crate) file: File,
    pub(crate) path: PathBuf,
    etag: PathBuf,
}

/// Runs `work` on a thread for blocking calls. The lock is held until `work` has ended,
/// also if this future is dropped.
async fn on_disk<T: Send + 'static>(
    part: &Arc<Part>,
    work: impl FnOnce(&Part) -> Result<T, DownloadError> + Send + 'static,
) -> Result<T, DownloadError> {
    let part = Arc::clone(part);
    let done = spawn_blocking(move || work(&part)).await;
    done.map_err(io::Error::from)?
}

impl Part {
    pub(crate) fn claim(target: &Path) -> Result<Self, DownloadError> {
        let [mut path, mut etag] = [(); 2].map(|()| target.as_os_str().to_owned());
        path.push(".part");
        etag.push(".part.etag");
        let [path, etag] = [path, etag].map(PathBuf::from);
        if fs::symlink_metadata(&path).is_ok_and(|there| !there.is_file()) {
            return Err(io::Error::other("the .part file is a link").into());
        }
        let mut options = File::options();
        // With `append`, Windows refuses to shorten the file.
        let options = options.read(true).write(true).create(true).truncate(false);
        let file = options.open(&path)?;
        match file.try_lock() {
            Ok(()) if is_at(&file, &path)? => Ok(Self { file, path, etag }),
            // The holder of the lock has renamed or removed the file just now.
            Ok(()) | Err(fs::TryLockError::WouldBlock) => Err(DownloadError::Busy),
            Err(fs::TryLockError::Error(error)) => Err(error.into()),
        }
    }

    /// Returns how many bytes there are, and their ETag if the rest can be added.
    fn look(&self) -> io::Result<(u64, Option<String>)> {
        let bytes = (&self.file).seek(SeekFrom::End(0))?;
        let etag = fs::read_to_string(&self.etag).ok();
        Ok((bytes, etag.filter(|etag| bytes > 0 && is_strong(etag))))
    }

    /// Removes the bytes first, so that none is ever beside the ETag of others.
    fn begin_anew(&self, etag: Option<String>) -> io::Result<()> {
        self.file.set_len(0)?;
        (&self.file).rewind()?;
        // It may be a link.
        remove_if_there(&self.etag)?;
        match etag {
            Some(etag) => File::create_new(&self.etag)?.write_all(etag.as_bytes()),
            None => Ok(()),
        }
    }

    /// Gives the file its final name, if it has the checksum.
    fn publish(
        &self,
        target: &Path,
        sha256: Option<[u8; 32]>,
    ) -> Result<(), DownloadError> {
        if let Some(sha256) = sha256
            && self.checksum()? != sha256
        {
            return self.keep_or_remove(DownloadError::Checksum);
        }
        // Without it a power cut may leave the name, and no bytes.
        self.file.sync_all()?;
        fs::rename(&self.path, target)?;
        Ok(remove_if_there(&self.etag)?)
    }

    fn checksum(&self) -> io::Result<[u8; 32]> {
        let mut file = &self.file;
        file.rewind()?;
        let (mut sha256, mut buffer) = (Sha256::new(), vec![0; 64 * 1024]);
        loop {
            match file.read(&mut buffer)? {
                0 => return Ok(sha256.finalize().into()),
                bytes => sha256.update(&buffer[..bytes]),
            }
        }
    }

    /// After a failure.
    fn keep_or_remove(&self, error: DownloadError) -> Result<(), DownloadError> {
        use DownloadError::{Checksum, TooLarge, WrongRange};
        let is_useless = matches!(error, Checksum | TooLarge(_) | WrongRange);
        if is_useless || self.file.metadata()?.len() == 0 {
            remove_if_there(&self.path)?;
            remove_if_there(&self.etag)?;
        }
        Err(error)
    }
}

fn remove_if_there(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

/// Returns whether the path is the name of this file, and no link to it.
pub fn is_at(file: &File, path: &Path) -> io::Result<bool> {
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
    // Elsewhere do not start a second download to the same target: this may be wrong
    // just when the first one ends.
    #[cfg(not(unix))]
    Ok(file.metadata()?.len() == there.len())
}

/// Downloads a file, or the rest of it: `cargo run -- https://example.com/a.iso a.iso`.
#[tokio::main]
pub async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [url, target] = args.as_slice() else {
        return Err("usage: URL FILE".into());
    };
    let download = Download {
        url: url.parse()?,
        target: target.into(),
        sha256: None,
        max_bytes: 100_000_000_000,
        stall: Duration::from_secs(30),
        max_time: Duration::from_secs(24 * 3_600),
        max_retries: 3,
        initial_backoff: Duration::from_millis(500),
    };
    let report = |event: Event<'_>| {
        if let Event::Failed { error, backoff } = event {
            println!("{error}, again in {backoff:?}");
        }
    };
    Ok(download.run(&Client::new(), report).await?)
}
