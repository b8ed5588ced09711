//! Files that are stored, too large, or sent to a server that stalls or fails.

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
use futures::StreamExt;
use reqwest::Client;
use reqwest::header::{CONNECTION, CONTENT_LENGTH};
use tempfile::NamedTempFile;
use tokio::fs::File;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpSocket;
use tokio::time::{Instant, interval_at, sleep, timeout};
use tokio_util::io::ReaderStream;
use tokio_util::task::AbortOnDropHandle;

use crate::upload::{UploadError, upload};

pub type Failure = Box<dyn std::error::Error + Send + Sync>;

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

    /// Writes the body to a file next to the target, which nobody sees half written.
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
async fn never_read(_body: Body) {
    sleep(Duration::from_secs(60)).await;
}

struct Server {
    url: String,
    failing: Arc<AtomicU32>,
    _task: AbortOnDropHandle<io::Result<()>>,
}

impl Server {
    async fn start(folder: &Path) -> io::Result<Self> {
        let failing = Arc::default();
        let store = Store {
            folder: folder.into(),
            limit: MEGABYTE,
            failing: Arc::clone(&failing),
        };
        let app = Router::new()
            .route("/files/{name}", put(Store::put))
            .route("/stalled", put(never_read))
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

    fn url(&self, name: &str) -> String {
        format!("{}/files/{name}", self.url)
    }
}

const MEGABYTE: u64 = 1 << 20;

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
struct Count(Arc<AtomicU64>);

impl Count {
    fn progress(&self) -> impl FnMut(u64) + Send + 'static {
        let count = Arc::clone(&self.0);
        move |size| {
            count.fetch_add(size, Relaxed);
        }
    }

    fn report(&self) {
        // More than that does not fit into the buffers of the system.
        let most = (self.0.load(Relaxed) / (64 * MEGABYTE) + 1) * 64;
        println!("less than {most} of 256 MB were read");
    }
}

fn report(result: Result<String, UploadError>) {
    match result {
        Ok(answer) => println!("{answer}"),
        Err(error) => println!("{error}"),
    }
}

fn names(folder: &Path) -> io::Result<String> {
    let mut names = Vec::new();
    for entry in folder.read_dir()? {
        names.push(entry?.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    Ok(names.join(", "))
}

pub async fn run() -> Result<(), Failure> {
    // Each part begins at its time, however long the part before took.
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
    let stall = Duration::from_millis(300);
    part.tick().await;
    println!("A megabyte:");
    let request = client.put(server.url("stored"));
    report(upload(request, &small, stall, quarters()).await);

    part.tick().await;
    println!("Too large:");
    let (request, count) = (client.put(server.url("large")), Count::default());
    report(upload(request, &large, stall, count.progress()).await);
    count.report();

    part.tick().await;
    println!("A server that does not read:");
    let (request, count) = (
        client.put(format!("{}/stalled", server.url)),
        Count::default(),
    );
    let ended = upload(request, &large, stall, count.progress()).await;
    part.tick().await;
    report(ended);
    count.report();

    println!("A server that fails at first, and the same body again:");
    server.failing.store(1, Relaxed);
    let chunks = ReaderStream::new(File::open(&small).await?);
    let body = reqwest::Body::wrap_stream(chunks);
    let request = client.put(server.url("again")).body(body);
    let again = request.try_clone();
    println!("status {}", request.send().await?.status().as_u16());
    match again {
        Some(request) => println!("{}", request.send().await?.text().await?),
        None => println!("a stream cannot be sent twice"),
    }

    part.tick().await;
    println!("A new body for each attempt:");
    server.failing.store(2, Relaxed);
    for attempt in 1..=3 {
        let request = client.put(server.url("retried"));
        let ended = upload(request, &small, stall, |_| ()).await;
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
