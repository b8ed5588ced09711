//! Receive uploads in a server: each file whole or not at all, with limits.
//!
//! The body of the request goes to a hidden file next to the target. When all bytes are
//! on the disk, the hidden file is renamed to its final name. So readers find the old
//! file or the whole new one, even after a power cut. If the client disconnects, the
//! hidden file is removed.
//!
//! The server refuses a resumed upload, as `curl -C` sends it with `Content-Range`. Such
//! a body is only the rest of a file, and would replace the whole file.
//!
//! Bounds: In [`Limits`] you set the largest file, the longest waits and how many uploads
//! may run concurrently. Above a limit the client gets the HTTP status 413 (file),
//! 408 (wait) or 503 (uploads). Unbounded: The stored files, and the connections that
//! send no request; `http_server` limits these connections.
//!
//! Trap: If you refuse a large body and close the connection immediately, the client may
//! never see your answer. It is still sending, and its system reports "Connection reset
//! by peer". Read on for a while after the answer; here the server does so for up to a
//! second.
//!
//! Trap: If you use a file name from the client as it is, a name such as `../../x` writes
//! outside the folder. Accept only harmless characters, as `is_name` does: letters,
//! digits, hyphens, underscores and dots, with no dot at the beginning.
//!
//! Trap: If you send the text of a disk error to the client, the client sees your paths.
//! Send a general text, and write the error to your log.
//!
//! In production: The crate `tower-http` has limits of time and of bytes that you put
//! around any handler of axum.
//!
//! Platforms: Windows refuses to replace a file that somebody has open. Then the rename
//! is retried for a second and fails; the old file stays.
//!
//! asyncio: asyncio.timeout, asyncio.to_thread, asyncio.Semaphore.locked, async for

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, BodyDataStream};
use axum::extract::{Path as UrlPath, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::put;
use futures::StreamExt;
use tokio::io::{AsyncWriteExt, BufWriter};
use tokio::net::TcpListener;
use tokio::select;
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;
use tokio::time::{error::Elapsed, sleep, timeout};
use tokio_util::sync::CancellationToken;

/// The limits of one upload, and of all together.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// The largest file.
    pub max_bytes: u64,
    /// The most concurrent uploads. Further ones are refused with 503; a client that is
    /// still sending may miss it.
    pub max_uploads: usize,
    /// The longest wait for the next piece of a body.
    pub stall: Duration,
    /// The longest time for a whole body.
    pub max_time: Duration,
}

/// A folder for uploads. Clones share its limits.
#[derive(Clone, Debug)]
pub struct UploadStore {
    folder: Arc<Path>,
    limits: Limits,
    permits: Arc<Semaphore>,
}

/// Why a file was not stored. The client is told no more than this text.
#[derive(Debug, thiserror::Error)]
enum Refusal {
    #[error("not a name for a file")]
    BadName,
    #[error("a part of a file cannot be stored: send all of it")]
    Partial,
    #[error("more than {0} bytes")]
    TooLarge(u64),
    #[error("too slow")]
    TooSlow(#[from] Elapsed),
    #[error("too many uploads")]
    Busy,
    #[error("the body broke off")]
    Broken(#[from] axum::Error),
    #[error("the file cannot be stored")]
    Disk(#[from] io::Error),
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let status = match self {
            Self::BadName | Self::Partial | Self::Broken(_) => StatusCode::BAD_REQUEST,
            Self::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::TooSlow(_) => StatusCode::REQUEST_TIMEOUT,
            Self::Busy => StatusCode::SERVICE_UNAVAILABLE,
            Self::Disk(ref error) => {
                // For the operator alone, as it contains paths.
                eprintln!("upload: {error}");
                StatusCode::INTERNAL_SERVER_ERROR
            }
        };
        // The rest of the body is on its way: no other request may follow it.
        let headers = [(header::CONNECTION, "close"), (header::RETRY_AFTER, "1")];
        (status, headers, self.to_string()).into_response()
    }
}

/// The start of the names of unfinished files. Six characters and `.part` follow.
const PREFIX: &str = ".uploading-";

impl UploadStore {
    /// Creates the folder, and removes the unfinished files of a server that was killed.
    /// Only one server may use a folder.
    pub async fn open(folder: PathBuf, limits: Limits) -> io::Result<Self> {
        let opened = spawn_blocking(move || {
            fs::create_dir_all(&folder)?;
            for entry in fs::read_dir(&folder)? {
                let entry = entry?;
                let name = entry.file_name();
                let random = name.to_str();
                let random =
                    random.and_then(|it| it.strip_prefix(PREFIX)?.strip_suffix(".part"));
                let is_part = random.is_some_and(|random| random.len() == 6);
                if is_part && entry.file_type()?.is_file() {
                    fs::remove_file(entry.path())?;
                }
            }
            Ok(Self {
                folder: folder.into(),
                limits,
                permits: Arc::new(Semaphore::new(
                    limits.max_uploads.min(Semaphore::MAX_PERMITS),
                )),
            })
        });
        opened.await?
    }

    /// Returns a service for `PUT /NAME`. A file of the same name is replaced.
    pub fn router(self) -> Router {
        Router::new()
            .route("/{name}", put(Self::put))
            .with_state(self)
    }

    async fn put(
        State(store): State<Self>,
        UrlPath(name): UrlPath<String>,
        headers: HeaderMap,
        body: Body,
    ) -> Response {
        let Ok(permit) = Arc::clone(&store.permits).try_acquire_owned() else {
            return Refusal::Busy.into_response();
        };
        let mut body = body.into_data_stream();
        match store.store(&name, &headers, &mut body).await {
            Ok(size) => {
                (StatusCode::CREATED, format!("{size} bytes stored")).into_response()
            }
            Err(refusal) => {
                let drain = async move { while let Some(Ok(_)) = body.next().await {} };
                tokio::spawn(async move {
                    let _permit = permit;
                    timeout(Duration::from_secs(1), drain).await
                });
                refusal.into_response()
            }
        }
    }

    /// Stores the body, and returns its number of bytes.
    async fn store(
        &self,
        name: &str,
        headers: &HeaderMap,
        body: &mut BodyDataStream,
    ) -> Result<u64, Refusal> {
        let limits = self.limits;
        if !is_name(name) {
            return Err(Refusal::BadName);
        }
        if headers.contains_key(header::CONTENT_RANGE) {
            return Err(Refusal::Partial);
        }
        let length = headers.get(header::CONTENT_LENGTH);
        let length = length.and_then(|it| it.to_str().ok()?.parse::<u64>().ok());
        if length.is_some_and(|length| length > limits.max_bytes) {
            return Err(Refusal::TooLarge(limits.max_bytes));
        }
        let folder = Arc::clone(&self.folder);
        let part = spawn_blocking(move || {
            let mut builder = tempfile::Builder::new();
            let builder = builder.prefix(PREFIX).rand_bytes(6).suffix(".part");
            // `tempfile_in` would make a file that only its owner may read.
            builder.make_in(folder, |path| fs::File::create_new(path))
        });
        // The file is removed when `path` is dropped.
        let (file, path) = part.await.map_err(io::Error::from)??.into_parts();
        // Each write of a `tokio::fs::File` is a trip to another thread.
        let file = tokio::fs::File::from_std(file);
        let mut file = BufWriter::with_capacity(1 << 16, file);
        let receive = async {
            let mut size = 0;
            while let Some(chunk) = timeout(limits.stall, body.next()).await? {
                let chunk = chunk?;
                size += chunk.len() as u64;
                if size > limits.max_bytes {
                    return Err(Refusal::TooLarge(limits.max_bytes));
                }
                file.write_all(&chunk).await?;
            }
            Ok(size)
        };
        let size = timeout(limits.max_time, receive).await??;
        file.flush().await?;
        // Otherwise a power cut may leave the name without the bytes.
        file.get_ref().sync_all().await?;
        let target = self.folder.join(name);
        let renamed = spawn_blocking(move || {
            rename_over(&path, &target)?;
            // The name is no longer there, so nothing is to be removed.
            let _ = path.keep();
            Ok::<_, io::Error>(())
        });
        renamed.await.map_err(io::Error::from)??;
        Ok(size)
    }
}

/// Serves until the token is cancelled, and then lets the uploads end.
///
/// # Errors
///
/// `TimedOut` if some uploads have not ended after `drain`. They keep running until the
/// runtime ends.
pub async fn serve(
    listener: TcpListener,
    store: UploadStore,
    drain: Duration,
    stop: CancellationToken,
) -> io::Result<()> {
    let server = axum::serve(listener, store.router());
    let server = server.with_graceful_shutdown(stop.clone().cancelled_owned());
    let too_late = async {
        stop.cancelled().await;
        // A client that never ends its request would keep the server running.
        sleep(drain).await;
    };
    select! {
        served = server => served,
        () = too_late => {
            let error = "some uploads had not ended";
            Err(io::Error::new(io::ErrorKind::TimedOut, error))
        }
    }
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

/// Returns whether the name is harmless in a path of Unix, a shell and a log. Windows
/// also reserves names such as `CON`.
fn is_name(name: &str) -> bool {
    let is_plain = |char: char| char.is_alphanumeric() || "-_.".contains(char);
    (1..=200).contains(&name.len())
        && !name.starts_with(['.', '-'])
        && name.chars().all(is_plain)
}

/// Stores uploads until Ctrl-C: `cargo run -- uploads 127.0.0.1:8080`.
#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [folder, address] = args.as_slice() else {
        return Err("usage: FOLDER ADDRESS:PORT".into());
    };
    let limits = Limits {
        max_bytes: 100_000_000,
        max_uploads: 50,
        stall: Duration::from_secs(30),
        max_time: Duration::from_secs(3_600),
    };
    let store = UploadStore::open(folder.into(), limits).await?;
    let listener = TcpListener::bind(address).await?;
    let stop = CancellationToken::new();
    let ctrl_c = stop.clone();
    tokio::spawn(async move {
        // If the signal cannot be caught, Ctrl-C ends the program as usual.
        if tokio::signal::ctrl_c().await.is_ok() {
            ctrl_c.cancel();
        }
    });
    Ok(serve(listener, store, Duration::from_secs(10), stop).await?)
}

//@ clock: real
//@ try: uploads nowhere -> invalid socket address
