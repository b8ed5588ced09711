//! Download a file: resume it where it broke off, check it, rename it when it is whole.
//!
//! The trap is to write under the final name: a connection that breaks leaves half a file
//! there, which looks like a whole one. Here bytes go into a file beside it, with `.part`
//! behind its name. When the connection breaks, or nothing comes for a while, a request
//! with `Range` gets the rest. With it goes `If-Range`, the ETag of what is there: then a
//! file that has changed is sent from its beginning. A server that knows no ranges always
//! does that. So after `kill -9`, too, the next call goes on. Only what has the right
//! SHA-256 is renamed. Neither `ClientTimeout(total=...)` nor reqwest's `timeout` fits
//! here: each limits the whole download. A limit for each piece is `sock_read` there;
//! here it is `read_timeout`, or a `timeout` around `chunk`. Dropping a download, like
//! `cancel`, does not wait for a write that a thread has begun; the file stays locked
//! until that has ended. Many clients should not try again all at the same moment: the
//! crate `backon` adds jitter.
//!
//! asyncio: asyncio.timeout, asyncio.to_thread, asyncio.sleep, aiofiles.open, async for
//! clock: real

use std::collections::VecDeque;
use std::error::Error;
use std::fs::{self, File};
use std::future::pending;
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::serve::ListenerExt;
use futures::{StreamExt, stream};
use reqwest::header::{
    ACCEPT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, ETAG, IF_RANGE, RANGE,
};
use reqwest::{Client, StatusCode, Url};
use sha2::{Digest, Sha256};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_util::task::AbortOnDropHandle;

/// A file to download.
#[derive(Clone, Debug)]
pub struct Download {
    /// Where it comes from.
    pub url: Url,
    /// Where it goes. The folder must be there; what has this name is replaced.
    pub target: PathBuf,
    /// What it must contain.
    pub sha256: [u8; 32],
    /// The most bytes that it may have.
    pub limit: u64,
    /// The longest wait for an answer, and for each piece of its body.
    pub stall: Duration,
    /// So many times it is tried again, however much came in between.
    pub retries: u32,
    /// The pause before the first retry. Before each further one it is twice as long.
    pub pause: Duration,
}

/// What a download reports of its progress.
#[derive(Debug)]
pub enum Event<'a> {
    /// A body begins. So many bytes are there already.
    Begun { from: u64 },
    /// So many bytes are in the file by now, of so many, if the server says how many.
    Received { bytes: u64, total: Option<u64> },
    /// It failed, and goes on after a pause.
    Failed {
        error: &'a DownloadError,
        pause: Duration,
    },
}

/// Why there is no new file under the final name. Bytes that came are kept in the file
/// that ends in `.part`, for the next call, unless it says otherwise here.
#[derive(Debug, thiserror::Error)]
pub enum DownloadError {
    #[error("the connection broke")]
    Broken(#[from] reqwest::Error),
    #[error("nothing came for {0:?}")]
    Stalled(Duration),
    #[error("status {}", .0.as_u16())]
    Status(StatusCode),
    /// The server sent another part than it was asked for. What was there is removed.
    #[error("not the range that was asked for")]
    WrongRange,
    /// What was there is removed.
    #[error("more than {0} bytes")]
    TooLarge(u64),
    /// What was there is removed.
    #[error("not the checksum that was expected")]
    Checksum,
    /// Another download to the same place has not ended.
    #[error("another download writes there")]
    Busy,
    #[error("the file cannot be written")]
    Disk(#[from] io::Error),
}

impl DownloadError {
    /// Whether it may go well the next time.
    pub fn is_temporary(&self) -> bool {
        match self {
            Self::Broken(error) => !error.is_builder() && !error.is_redirect(),
            Self::Status(status) => {
                status.is_server_error() || matches!(status.as_u16(), 408 | 429)
            }
            Self::Stalled(_) | Self::WrongRange | Self::Busy => true,
            Self::TooLarge(_) | Self::Checksum | Self::Disk(_) => false,
        }
    }
}

impl Download {
    /// Downloads the file, or the rest of it, and tells `report` how it goes.
    ///
    /// Under the final name there is the whole file, or what was there before, whatever
    /// stops the program; after a power failure, too. Dropped, or killed, it keeps what
    /// came for the next call. Dropped while the checksum is being computed, it may still
    /// rename the file a moment later.
    ///
    /// # Errors
    ///
    /// Those of [`DownloadError`]; temporary ones only after all retries.
    pub async fn run(
        &self,
        client: &Client,
        mut report: impl FnMut(Event<'_>),
    ) -> Result<(), DownloadError> {
        let mut pause = self.pause;
        for _ in 0..self.retries {
            match self.attempt(client, &mut report).await {
                Err(error) if error.is_temporary() => {
                    let error = &error;
                    report(Event::Failed { error, pause });
                    sleep(pause).await;
                    pause = pause.saturating_mul(2);
                }
                ended => return ended,
            }
        }
        self.attempt(client, &mut report).await
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
        // Of a compressed body the length and the places would be others.
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
            // Nothing is missing, or there is too much: the checksum tells.
            StatusCode::RANGE_NOT_SATISFIABLE if bytes > 0 => return Ok(()),
            status => return Err(DownloadError::Status(status)),
        };
        if total.is_some_and(|total| total > self.limit) {
            return Err(DownloadError::TooLarge(self.limit));
        }
        report(Event::Begun { from: bytes });
        loop {
            let chunk = timeout(self.stall, response.chunk()).await;
            let Some(chunk) = chunk.map_err(stalled)?? else {
                return Ok(());
            };
            bytes += chunk.len() as u64;
            if bytes > self.limit {
                return Err(DownloadError::TooLarge(self.limit));
            }
            // The next piece is not read before this one is in the file.
            on_disk(part, move |part| Ok((&part.file).write_all(&chunk)?)).await?;
            report(Event::Received { bytes, total });
        }
    }
}

/// From where a part begins, and how many bytes the whole has: `bytes 200-999/1000`.
fn parse_range(header: &str) -> Option<(u64, Option<u64>)> {
    let (range, total) = header.strip_prefix("bytes ")?.split_once('/')?;
    let (from, _) = range.split_once('-')?;
    Some((from.parse().ok()?, total.parse().ok()))
}

/// A weak one, W/"...", may stand for other bytes. One on disk that a power failure left
/// without its end may hold anything.
fn is_strong(etag: &str) -> bool {
    let tag = etag.strip_prefix('"').and_then(|tag| tag.strip_suffix('"'));
    tag.is_some_and(|tag| tag.bytes().all(|byte| byte.is_ascii_graphic()))
}

/// The file that is not whole yet, locked, and beside it one with its ETag.
pub struct Part {
    pub(crate) file: File,
    pub(crate) path: PathBuf,
    etag: PathBuf,
}

/// Runs `work` on a thread where it may block. It keeps the lock until it has ended, even
/// if nobody waits for it any more.
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
        let mut options = File::options();
        let file = options.read(true).append(true).create(true).open(&path)?;
        match file.try_lock() {
            Ok(()) if is_at(&file, &path)? => Ok(Self { file, path, etag }),
            // Who had the lock has renamed or removed it just now.
            Ok(()) | Err(fs::TryLockError::WouldBlock) => Err(DownloadError::Busy),
            Err(fs::TryLockError::Error(error)) => Err(error.into()),
        }
    }

    /// How many bytes there are; and their ETag, if they can be added to.
    fn look(&self) -> io::Result<(u64, Option<String>)> {
        let bytes = self.file.metadata()?.len();
        let etag = fs::read_to_string(&self.etag).ok();
        Ok((bytes, etag.filter(|etag| bytes > 0 && is_strong(etag))))
    }

    /// In this order: bytes never stand beside the ETag of others.
    fn begin_anew(&self, etag: Option<String>) -> io::Result<()> {
        self.file.set_len(0)?;
        match etag {
            Some(etag) => fs::write(&self.etag, etag),
            None => remove_if_there(&self.etag),
        }
    }

    /// Gives the file its final name, if it is what was expected.
    fn publish(&self, target: &Path, sha256: [u8; 32]) -> Result<(), DownloadError> {
        if self.checksum()? != sha256 {
            return self.keep_or_remove(DownloadError::Checksum);
        }
        // Else, after a power failure, the name may be there and the bytes may not.
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

/// Whether the path still leads to this file.
pub fn is_at(file: &File, path: &Path) -> io::Result<bool> {
    let there = match fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        there => there?,
    };
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;

        let file = file.metadata()?;
        Ok((there.dev(), there.ino()) == (file.dev(), file.ino()))
    }
    // Elsewhere do not begin a second download to the same place: this may be wrong just
    // when the first one ends.
    #[cfg(not(unix))]
    Ok(file.metadata()?.len() == there.len())
}

/// What the server does to its next answer.
#[derive(Clone, Copy)]
pub enum Trouble {
    /// The connection breaks after so many pieces of the body.
    Breaks(usize),
    /// After so many pieces nothing more comes.
    Stalls(usize),
    IgnoresRange,
    Unavailable,
}

/// A server of one file, in pieces that come one after the other.
#[derive(Clone)]
pub struct Server {
    pub pieces: usize,
    pub pause: Duration,
    pub state: Arc<Mutex<ServerState>>,
}

pub struct ServerState {
    pub version: u32,
    pub trouble: VecDeque<Trouble>,
    pub log: fn(String),
}

pub const PIECE: usize = 1000;

impl Server {
    pub(crate) fn file(&self, version: u32) -> Vec<u8> {
        format!("version {version}\n")
            .repeat(self.pieces * PIECE / 10)
            .into_bytes()
    }

    pub(crate) fn change<T>(&self, change: impl FnOnce(&mut ServerState) -> T) -> T {
        change(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn have_trouble(&self, trouble: impl IntoIterator<Item = Trouble>) {
        self.change(|state| state.trouble = trouble.into_iter().collect());
    }

    pub(crate) async fn start(
        &self,
    ) -> io::Result<(Url, AbortOnDropHandle<io::Result<()>>)> {
        let app = Router::new().route("/file", get(Self::answer));
        let app = app.with_state(self.clone());
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}/file", listener.local_addr()?);
        let url = Url::parse(&url).expect("an address makes a URL");
        // Small pieces are not to wait for each other.
        let listener = listener.tap_io(|connection| {
            let _ = connection.set_nodelay(true);
        });
        let task = tokio::spawn(async { axum::serve(listener, app).await });
        Ok((url, AbortOnDropHandle::new(task)))
    }

    async fn answer(State(server): State<Self>, headers: HeaderMap) -> Response {
        let (version, trouble, log) =
            server.change(|state| (state.version, state.trouble.pop_front(), state.log));
        let (file, etag) = (server.file(version), format!("\"v{version}\""));
        let header = |name| headers.get(name).and_then(|value| value.to_str().ok());
        let (range, condition) = (header(RANGE), header(IF_RANGE));
        let wanted = range.filter(|_| condition == Some(&etag));
        let wanted = wanted.filter(|_| !matches!(trouble, Some(Trouble::IgnoresRange)));
        let wanted =
            wanted.and_then(|range| range.strip_prefix("bytes=")?.strip_suffix('-'));
        let from: usize = wanted.and_then(|from| from.parse().ok()).unwrap_or(0);
        let status = match (trouble, from) {
            (Some(Trouble::Unavailable), _) => StatusCode::SERVICE_UNAVAILABLE,
            (_, 0) => StatusCode::OK,
            (_, from) if from >= file.len() => StatusCode::RANGE_NOT_SATISFIABLE,
            _ => StatusCode::PARTIAL_CONTENT,
        };
        let asked = range.zip(condition);
        let asked = asked.map(|(range, etag)| format!(" {range} if {etag}"));
        log(format!(
            "server: GET{}, {}",
            asked.unwrap_or_default(),
            status.as_u16()
        ));
        if !status.is_success() {
            return status.into_response();
        }
        let length = file.len();
        let mut headers = HeaderMap::new();
        headers.insert(ETAG, value(&etag));
        headers.insert(CONTENT_LENGTH, (length - from).into());
        if from > 0 {
            let range = format!("bytes {from}-{}/{length}", length - 1);
            headers.insert(CONTENT_RANGE, value(&range));
        }
        let pieces = file[from..].chunks(PIECE).map(<[u8]>::to_vec);
        let pieces = stream::iter(pieces.collect::<Vec<_>>()).enumerate();
        let start = Instant::now();
        let body = pieces.then(move |(sent, piece)| async move {
            sleep_until(start + server.pause * sent as u32).await;
            match trouble {
                Some(Trouble::Breaks(after)) if sent == after => {
                    Err(io::Error::other("scheduled"))
                }
                Some(Trouble::Stalls(after)) if sent == after => pending().await,
                _ => Ok(piece),
            }
        });
        (status, headers, Body::from_stream(body)).into_response()
    }
}

fn value(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).expect("these are letters and digits")
}

fn show_event(event: Event<'_>) {
    match event {
        Event::Begun { from } => println!("a body, from byte {from} on"),
        Event::Received { bytes, total } => match total {
            Some(total) => println!("{bytes} of {total}"),
            None => println!("{bytes}"),
        },
        Event::Failed { error, pause } => println!("{error}, again in {pause:?}"),
    }
}

fn show_result(result: Result<(), DownloadError>) {
    match result {
        Ok(()) => println!("done"),
        Err(error) => println!("{error}"),
    }
}

/// Prints the names of the files, how long they are and what they begin with.
async fn show(folder: &Path) -> io::Result<()> {
    let mut files = Vec::new();
    let mut entries = tokio::fs::read_dir(folder).await?;
    while let Some(entry) = entries.next_entry().await? {
        let text = tokio::fs::read_to_string(entry.path()).await?;
        files.push((entry.file_name(), text));
    }
    files.sort();
    for (name, text) in files {
        let first = text.lines().next().unwrap_or_default();
        println!("{}: {} bytes, {first}", name.display(), text.len());
    }
    Ok(())
}

/// The trap.
async fn download_to_final_name(
    client: &Client,
    url: Url,
    target: &Path,
) -> Result<(), Box<dyn Error + Send + Sync>> {
    let mut response = client.get(url).send().await?.error_for_status()?;
    let mut file = tokio::fs::File::create(target).await?;
    while let Some(chunk) = response.chunk().await.transpose() {
        file.write_all(&chunk?).await?;
        file.flush().await?;
    }
    Ok(())
}

/// Begins a part of the demonstration so long after the start. Delays do not add up then.
async fn part(start: Instant, millis: u64, title: &str) {
    sleep_until(start + Duration::from_millis(millis)).await;
    println!("{title}");
}

pub async fn run() -> Result<(), Box<dyn Error + Send + Sync>> {
    let start = Instant::now();
    let temporary = tempfile::tempdir()?;
    let folder = temporary.path();
    let server = Server {
        pieces: 4,
        pause: Duration::from_millis(100),
        state: Arc::new(Mutex::new(ServerState {
            version: 1,
            trouble: VecDeque::new(),
            log: |line| println!("{line}"),
        })),
    };
    let (url, _task) = server.start().await?;
    // In an example the server is on this machine, which no proxy would reach.
    let client = Client::builder().no_proxy();
    let client = client.connect_timeout(Duration::from_secs(5)).build()?;
    let sha256 = |version| Sha256::digest(server.file(version)).into();
    let download = Download {
        url: url.clone(),
        target: folder.join("file.txt"),
        sha256: sha256(1),
        limit: 4000,
        stall: Duration::from_millis(300),
        retries: 2,
        pause: Duration::from_millis(200),
    };

    part(
        start,
        500,
        "Under its final name, and the connection breaks:",
    )
    .await;
    server.have_trouble([Trouble::Breaks(2)]);
    let target = folder.join("half.txt");
    if download_to_final_name(&client, url, &target).await.is_err() {
        println!("the connection broke");
    }
    show(folder).await?;
    tokio::fs::remove_file(target).await?;

    part(start, 1000, "Beside it, and it breaks, and stalls:").await;
    server.have_trouble([Trouble::Breaks(2), Trouble::Stalls(1)]);
    show_result(download.run(&client, show_event).await);
    show(folder).await?;
    tokio::fs::remove_file(&download.target).await?;

    part(start, 2500, "It breaks more often than it is tried again:").await;
    server.have_trouble([Trouble::Breaks(1), Trouble::Unavailable, Trouble::Breaks(1)]);
    show_result(download.run(&client, show_event).await);
    show(folder).await?;

    part(start, 3600, "The next call, as after a restart:").await;
    show_result(download.run(&client, show_event).await);
    show(folder).await?;

    part(start, 4200, "It breaks, and meanwhile the file changes:").await;
    let newer = Download {
        sha256: sha256(2),
        retries: 1,
        ..download.clone()
    };
    server.have_trouble([Trouble::Breaks(2)]);
    let change = |event: Event<'_>| {
        if matches!(event, Event::Failed { .. }) {
            server.change(|state| state.version = 2);
        }
        show_event(event);
    };
    show_result(newer.run(&client, change).await);
    show(folder).await?;

    part(start, 5300, "It breaks, and the server knows no ranges:").await;
    server.have_trouble([Trouble::Breaks(2), Trouble::IgnoresRange]);
    show_result(newer.run(&client, show_event).await);

    part(
        start,
        6400,
        "What is not tried again, and leaves what was there:",
    )
    .await;
    show_result(download.run(&client, |_| ()).await);
    let smaller = Download {
        limit: 3999,
        ..newer.clone()
    };
    show_result(smaller.run(&client, |_| ()).await);
    let nowhere = Download {
        target: folder.join("nowhere/file.txt"),
        ..newer
    };
    show_result(nowhere.run(&client, |_| ()).await);
    show(folder).await?;
    temporary.close()?;
    Ok(())
}

#[tokio::main]
pub async fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    run().await
}
