//! Upload a file as a stream: level memory, progress, early refusal, stall, retry.
//!
//! `ReaderStream` makes chunks of a file, and `Body::wrap_stream` sends them, as aiohttp
//! does with an async generator: a chunk is read when the connection takes it, so a large
//! file needs no more memory than a small one. With a length the server can refuse it at
//! once. reqwest's `timeout` is for the whole upload, so here it is the time without
//! progress that counts. The trap is a second attempt: a stream is sent once. `try_clone`
//! gives `None` for it; aiohttp sends what is left of a generator, and an empty file is
//! stored. So each attempt opens the file anew. A server that refuses a body reads on for
//! a while: if it closes at once, its answer may be lost. For forms, the same streams go
//! into reqwest's `multipart`, a feature; uploads that resume need a protocol, as tus.
//!
//! asyncio: async for, yield, asyncio.timeout, asyncio.Timeout.reschedule
//! clock: real
//! differs: reqwest does not send a stream twice, aiohttp sends an empty body

use std::ffi::OsStr;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, BodyDataStream};
use axum::extract::{Path as UrlPath, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::put;
use futures::{StreamExt, TryStreamExt};
use reqwest::header::{CONNECTION, CONTENT_LENGTH};
use reqwest::{Client, RequestBuilder};
use tempfile::NamedTempFile;
use tokio::fs::File;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpSocket;
use tokio::select;
use tokio::sync::watch;
use tokio::time::{Instant, interval_at, sleep, timeout};
use tokio_util::io::ReaderStream;
use tokio_util::task::AbortOnDropHandle;

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// In bytes. A few chunks of this size are all that is in memory.
const CHUNK: usize = 256 * 1024;

/// Why a file was not uploaded.
#[derive(Debug, thiserror::Error)]
pub enum UploadError {
    /// The server neither took more of it, nor answered, for so long.
    #[error("no progress for {0:?}")]
    Stalled(Duration),
    /// The server answered, but with an error.
    #[error("status {status}: {message}")]
    Refused { status: u16, message: String },
    /// The file cannot be read.
    #[error(transparent)]
    File(#[from] io::Error),
    /// The connection failed, or the file while it was sent.
    #[error("the request failed")]
    Http(#[from] reqwest::Error),
}

/// Whether the server is told the length in advance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Length {
    /// It is, but not that of a pipe, which has none. A file that shrinks meanwhile is an
    /// error; what is added is not sent.
    Known,
    /// It is not: the body ends when the file does.
    Unknown,
}

/// The file as a body, and its size if that is told to the server. `progress` is called
/// with the size of each chunk when the connection takes it.
pub async fn body(
    path: &Path,
    length: Length,
    mut progress: impl FnMut(u64) + Send + 'static,
) -> io::Result<(reqwest::Body, Option<u64>)> {
    let file = File::open(path).await?;
    let size = match length {
        Length::Known => {
            let it = file.metadata().await?;
            it.is_file().then_some(it.len())
        }
        Length::Unknown => None,
    };
    let chunks = ReaderStream::with_capacity(file.take(size.unwrap_or(u64::MAX)), CHUNK);
    let chunks = chunks.inspect_ok(move |chunk| progress(chunk.len() as u64));
    Ok((reqwest::Body::wrap_stream(chunks), size))
}

/// Sends the file as the body of the request, and returns the server's answer.
///
/// `progress` is called with the size of each chunk when the connection takes it. No
/// progress for as long as `patience` ends the upload. Dropped, it closes the connection.
///
/// # Errors
///
/// [`UploadError`]. A refused upload may also end as `Http`, if the server closes the
/// connection before its answer was read.
pub async fn upload(
    request: RequestBuilder,
    path: &Path,
    length: Length,
    patience: Duration,
    mut progress: impl FnMut(u64) + Send + 'static,
) -> Result<String, UploadError> {
    let (moves, mut moved) = watch::channel(());
    let progress = move |size| {
        progress(size);
        moves.send_replace(());
    };
    let (body, size) = body(path, length, progress).await?;
    let mut request = request.body(body);
    if let Some(size) = size {
        request = request.header(CONTENT_LENGTH, size);
    }
    let answer = async {
        let response = request.send().await?;
        let status = response.status();
        let message = response.text().await?;
        match status.is_success() {
            true => Ok(message),
            false => Err(UploadError::Refused {
                status: status.as_u16(),
                message,
            }),
        }
    };
    let stalled = async {
        loop {
            match timeout(patience, moved.changed()).await {
                Ok(Ok(())) => {}
                Err(_) => return,
                // The body has been sent.
                Ok(Err(_)) => return sleep(patience).await,
            }
        }
    };
    select! {
        biased;
        answer = answer => answer,
        () = stalled => Err(UploadError::Stalled(patience)),
    }
}

/// Where uploads are stored.
#[derive(Clone)]
struct Store {
    folder: Arc<Path>,
    /// In bytes.
    limit: u64,
    /// How many uploads fail at their end.
    failing: Arc<AtomicU32>,
}

type Refusal = (StatusCode, String);

impl Store {
    async fn put(
        State(store): State<Self>,
        UrlPath(name): UrlPath<String>,
        headers: HeaderMap,
        body: Body,
    ) -> Response {
        let length = headers.get(CONTENT_LENGTH).and_then(|it| it.to_str().ok());
        let length = length.and_then(|length| length.parse().ok());
        let mut body = body.into_data_stream();
        match store.write(&name, length, &mut body).await {
            Ok(answer) => answer.into_response(),
            Err(refusal) => {
                // If it closed the connection now, a client that still sends might
                // see nothing but that.
                tokio::spawn(timeout(Duration::from_secs(1), async move {
                    while let Some(Ok(_)) = body.next().await {}
                }));
                // Nor may the next request be sent on it, as it ends then.
                ([(CONNECTION, "close")], refusal).into_response()
            }
        }
    }

    /// Writes the body to a file beside the target, which nobody sees half written.
    async fn write(
        &self,
        name: &str,
        length: Option<u64>,
        body: &mut BodyDataStream,
    ) -> Result<String, Refusal> {
        // A name such as `../a` would lead out of the folder.
        if Path::new(name).file_name() != Some(OsStr::new(name)) {
            return Err((StatusCode::BAD_REQUEST, "not a name".to_owned()));
        }
        let too_large = |read| {
            let message = format!("{read} bytes read, {} are the most", self.limit);
            (StatusCode::PAYLOAD_TOO_LARGE, message)
        };
        if length.is_some_and(|length| length > self.limit) {
            return Err(too_large(0));
        }
        // Removed when it is dropped, as it is when the client leaves.
        let part = NamedTempFile::new_in(&self.folder).map_err(broken)?;
        let (file, part) = part.into_parts();
        let mut file = File::from_std(file);
        let mut size = 0;
        while let Some(chunk) = body.next().await {
            let chunk = chunk.map_err(broken)?;
            size += chunk.len() as u64;
            if size > self.limit {
                return Err(too_large(self.limit));
            }
            file.write_all(&chunk).await.map_err(broken)?;
        }
        file.flush().await.map_err(broken)?;
        let one_less = |left: u32| left.checked_sub(1);
        if self
            .failing
            .fetch_update(Relaxed, Relaxed, one_less)
            .is_ok()
        {
            return Err((StatusCode::SERVICE_UNAVAILABLE, "try again".to_owned()));
        }
        part.persist(self.folder.join(name)).map_err(broken)?;
        let known = length.map_or("unknown", |_| "known");
        Ok(format!("{size} bytes stored, length {known}"))
    }
}

fn broken(error: impl std::error::Error) -> Refusal {
    (StatusCode::INTERNAL_SERVER_ERROR, error.to_string())
}

/// Does not read the body.
async fn stall(_body: Body) {
    sleep(Duration::from_secs(60)).await;
}

pub struct Server {
    pub(crate) url: String,
    failing: Arc<AtomicU32>,
    _task: AbortOnDropHandle<io::Result<()>>,
}

impl Server {
    pub(crate) async fn start(folder: &Path) -> io::Result<Self> {
        let failing = Arc::default();
        let store = Store {
            folder: folder.into(),
            limit: MEGABYTE,
            failing: Arc::clone(&failing),
        };
        let app = Router::new()
            .route("/files/{name}", put(Store::put))
            .route("/stalled", put(stall))
            .with_state(store);
        let socket = TcpSocket::new_v4()?;
        // Else the system takes in many megabytes that nobody reads.
        socket.set_recv_buffer_size(64 * 1024)?;
        socket.bind(SocketAddr::from(([127, 0, 0, 1], 0)))?;
        let listener = socket.listen(128)?;
        let url = format!("http://{}", listener.local_addr()?);
        let task = tokio::spawn(async { axum::serve(listener, app).await });
        let _task = AbortOnDropHandle::new(task);
        Ok(Self {
            url,
            failing,
            _task,
        })
    }

    pub(crate) fn url(&self, name: &str) -> String {
        format!("{}/files/{name}", self.url)
    }
}

pub const MEGABYTE: u64 = 1 << 20;

/// Prints a line for each quarter of a megabyte.
fn quarters() -> impl FnMut(u64) + Send + 'static {
    let quarter = MEGABYTE / 4;
    let mut sent = 0;
    move |size| {
        let before = sent / quarter;
        sent += size;
        if sent / quarter > before {
            println!("{sent} bytes sent");
        }
    }
}

/// Counts what was read of a large file.
#[derive(Clone, Default)]
pub struct Count(pub(crate) Arc<AtomicU64>);

impl Count {
    pub(crate) fn progress(&self) -> impl FnMut(u64) + Send + 'static {
        let count = Arc::clone(&self.0);
        move |size| {
            count.fetch_add(size, Relaxed);
        }
    }

    fn report(&self) {
        // More than that does not fit into the buffers of the system.
        let most = (self.0.load(Relaxed) / (64 * MEGABYTE) + 1) * 64;
        println!("of 256 MB less than {most} read");
    }
}

fn report(result: Result<String, UploadError>) {
    match result {
        Ok(answer) => println!("{answer}"),
        Err(error) => println!("{error}"),
    }
}

pub fn names(folder: &Path) -> io::Result<String> {
    let mut names = Vec::new();
    for entry in folder.read_dir()? {
        names.push(entry?.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    Ok(names.join(", "))
}

pub async fn run() -> Result<(), Failure> {
    // Each part begins at its time, however long the one before it took.
    let half = Duration::from_millis(500);
    let mut part = interval_at(Instant::now() + half, half);
    let (folder, stored) = (tempfile::tempdir()?, tempfile::tempdir()?);
    let small = folder.path().join("small");
    tokio::fs::write(&small, vec![b'x'; 1 << 20]).await?;
    // It takes no room on the disk.
    let large = folder.path().join("large");
    File::create(&large).await?.set_len(256 * MEGABYTE).await?;

    // Its server is on this machine, which no proxy would reach.
    let client = Client::builder().no_proxy().build()?;
    let server = Server::start(stored.path()).await?;
    let patience = Duration::from_millis(300);
    let lengths = [("known", Length::Known), ("unknown", Length::Unknown)];
    for (name, length) in lengths {
        part.tick().await;
        println!("A megabyte, its length {name}:");
        let request = client.put(server.url(name));
        report(upload(request, &small, length, patience, quarters()).await);
    }

    for (name, length) in lengths {
        part.tick().await;
        println!("Too large, its length {name}:");
        let (request, count) = (client.put(server.url("large")), Count::default());
        report(upload(request, &large, length, patience, count.progress()).await);
        count.report();
    }

    part.tick().await;
    println!("A server that does not read:");
    let (request, count) = (
        client.put(format!("{}/stalled", server.url)),
        Count::default(),
    );
    let ended = upload(request, &large, Length::Known, patience, count.progress()).await;
    part.tick().await;
    report(ended);
    count.report();

    println!("A server that fails at first, and the same body again:");
    server.failing.store(1, Relaxed);
    let (body, _) = body(&small, Length::Unknown, |_| ()).await?;
    let request = client.put(server.url("again")).body(body);
    let again = request.try_clone();
    println!("{}", request.send().await?.status().as_u16());
    match again {
        Some(request) => println!("{}", request.send().await?.text().await?),
        None => println!("a stream has no copy"),
    }

    part.tick().await;
    println!("A new body for each attempt:");
    server.failing.store(2, Relaxed);
    for attempt in 1..=3 {
        let request = client.put(server.url("retried"));
        let ended = upload(request, &small, Length::Known, patience, |_| ()).await;
        let failed = ended.is_err();
        report(ended);
        if !failed {
            break;
        }
        sleep(Duration::from_millis(100) * attempt).await;
    }
    part.tick().await;
    println!("in the folder: {}", names(stored.path())?);
    Ok(())
}

#[tokio::main]
pub async fn main() -> Result<(), Failure> {
    run().await
}
