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
async fn body(
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
        println!("of 256 MB less than {most} read");
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

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::{Path, PathBuf};
    use std::pin::pin;
    use std::sync::Arc;
    use std::sync::atomic::Ordering::Relaxed;
    use std::task::Poll;
    use std::time::Duration;

    use reqwest::{Client, RequestBuilder};
    use tempfile::TempDir;
    use tokio::task::JoinSet;
    use tokio::time::{Instant, sleep};

    use super::{Count, Length, MEGABYTE, Server, UploadError, body, names, upload};

    /// Much longer than anything takes.
    const PATIENCE: Duration = Duration::from_secs(10);

    struct Setup {
        server: Server,
        client: Client,
        source: TempDir,
        stored: TempDir,
    }

    impl Setup {
        async fn new() -> Self {
            let stored = tempfile::tempdir().expect("there is room");
            let server = Server::start(stored.path()).await.expect("it starts");
            Self {
                server,
                client: Client::builder()
                    .no_proxy()
                    .build()
                    .expect("no TLS is used"),
                source: tempfile::tempdir().expect("there is room"),
                stored,
            }
        }

        fn file(&self, name: &str, size: u64) -> PathBuf {
            let path = self.source.path().join(name);
            let file = fs::File::create(&path).expect("there is room");
            file.set_len(size).expect("there is room");
            path
        }

        fn request(&self, name: &str) -> RequestBuilder {
            self.client.put(self.server.url(name))
        }

        async fn upload(
            &self,
            name: &str,
            path: &Path,
            length: Length,
        ) -> Result<String, UploadError> {
            upload(self.request(name), path, length, PATIENCE, |_| ()).await
        }

        fn stored(&self) -> String {
            names(self.stored.path()).expect("the folder is there")
        }

        async fn until_stored(&self, names: &str) {
            let begun = Instant::now();
            while self.stored() != names {
                assert!(begun.elapsed() < PATIENCE, "{} remain", self.stored());
                sleep(Duration::from_millis(1)).await;
            }
        }
    }

    fn status(result: Result<String, UploadError>) -> u16 {
        match result {
            Ok(_) => 200,
            Err(UploadError::Refused { status, .. }) => status,
            Err(error) => panic!("{error:?}"),
        }
    }

    #[tokio::test]
    async fn dropped_at_each_await_nothing_is_left() {
        let setup = Setup::new().await;
        let path = setup.file("a", MEGABYTE);
        for polls in [0, 1, 2, 3, 4, 5, 6, 8, 10, 15] {
            {
                let mut upload = pin!(setup.upload("a", &path, Length::Known));
                for _ in 0..polls {
                    if let Poll::Ready(ended) = futures::poll!(upload.as_mut()) {
                        assert_eq!(status(ended), 200);
                        fs::remove_file(setup.stored.path().join("a"))
                            .expect("it is there");
                        break;
                    }
                    tokio::task::yield_now().await;
                }
            }
            // What the server has read to the end may be stored all the same.
            let begun = Instant::now();
            while !["", "a"].contains(&&*setup.stored()) {
                assert!(begun.elapsed() < PATIENCE, "{} remain", setup.stored());
                sleep(Duration::from_millis(1)).await;
            }
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn many_at_once() {
        let setup = Arc::new(Setup::new().await);
        let mut set = JoinSet::new();
        for number in 0..40 {
            let setup = Arc::clone(&setup);
            set.spawn(async move {
                let name = number.to_string();
                let path = setup.source.path().join(&name);
                fs::write(&path, [number; 200_000]).expect("there is room");
                let length = [Length::Known, Length::Unknown][usize::from(number % 2)];
                assert_eq!(status(setup.upload(&name, &path, length).await), 200);
                let stored = fs::read(setup.stored.path().join(&name));
                assert_eq!(stored.expect("it is there"), [number; 200_000]);
            });
        }
        while let Some(ended) = set.join_next().await {
            ended.expect("all are stored");
        }
    }

    #[tokio::test]
    async fn limits() {
        let setup = Setup::new().await;
        for length in [Length::Known, Length::Unknown] {
            for (size, expected) in [(0, 200), (MEGABYTE, 200), (MEGABYTE + 1, 413)] {
                let path = setup.file("a", size);
                assert_eq!(status(setup.upload("a", &path, length).await), expected);
                let stored = fs::metadata(setup.stored.path().join("a"));
                assert_eq!(stored.expect("it is there").len(), size.min(MEGABYTE));
            }
        }
        assert_eq!(setup.stored(), "a");
        for name in ["..%2Fa", "..", "%2Fa"] {
            let path = setup.file("a", 1);
            let ended = setup.upload(name, &path, Length::Known).await;
            assert!([400, 404, 405].contains(&status(ended)), "{name}");
        }
        let none = setup
            .upload("b", Path::new("/no/such/file"), Length::Known)
            .await;
        assert!(matches!(none, Err(UploadError::File(_))));
        assert_eq!(setup.stored(), "a");
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn the_answer_of_who_refuses_arrives() {
        let setup = Setup::new().await;
        let path = setup.file("a", 64 * MEGABYTE);
        for _ in 0..30 {
            for length in [Length::Known, Length::Unknown] {
                assert_eq!(status(setup.upload("a", &path, length).await), 413);
            }
        }
        assert_eq!(setup.stored(), "");
    }

    #[tokio::test]
    async fn a_file_that_changes_meanwhile() {
        let setup = Setup::new().await;
        let path = setup.file("a", MEGABYTE - 1);
        let file = fs::File::options()
            .write(true)
            .open(&path)
            .expect("it is there");
        let count = Count::default();
        let mut progress = count.progress();
        let grow = move |size| {
            progress(size);
            file.set_len(2 * MEGABYTE).expect("there is room");
        };
        let request = setup.request("a");
        let ended = upload(request, &path, Length::Known, PATIENCE, grow).await;
        assert_eq!(status(ended), 200);
        assert_eq!(count.0.load(Relaxed), MEGABYTE - 1);

        let path = setup.file("b", MEGABYTE);
        let file = fs::File::options()
            .write(true)
            .open(&path)
            .expect("it is there");
        let shrink = move |_| file.set_len(0).expect("it can be less");
        let request = setup.request("b");
        let ended = upload(request, &path, Length::Known, PATIENCE, shrink).await;
        assert!(matches!(ended, Err(UploadError::Http(_))), "{ended:?}");
        setup.until_stored("a").await;
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn what_has_no_size() {
        use std::io::Write;
        use std::os::fd::AsRawFd;

        let setup = Setup::new().await;
        let (reader, mut writer) = std::io::pipe().expect("there are pipes");
        writer.write_all(b"from a pipe").expect("it has room");
        drop(writer);
        let path = format!("/dev/fd/{}", reader.as_raw_fd());
        let ended = setup.upload("a", Path::new(&path), Length::Known).await;
        assert_eq!(status(ended), 200);
        let stored = fs::read(setup.stored.path().join("a"));
        assert_eq!(stored.expect("it is there"), b"from a pipe");
    }

    #[tokio::test]
    async fn after_a_panic() {
        let setup = Setup::new().await;
        let path = setup.file("a", MEGABYTE);
        let request = setup.request("a");
        let panics = |_| panic!("scheduled");
        let ended = upload(request, &path, Length::Known, PATIENCE, panics).await;
        assert!(matches!(ended, Err(UploadError::Http(_))), "{ended:?}");
        setup.until_stored("").await;
        assert_eq!(status(setup.upload("a", &path, Length::Known).await), 200);
    }

    #[tokio::test]
    async fn stalled_before_and_after_the_end_of_the_body() {
        let setup = Setup::new().await;
        let url = format!("{}/stalled", setup.server.url);
        let patience = Duration::from_millis(100);
        for (size, least) in [(0, 0), (1, 1), (256 * MEGABYTE, MEGABYTE)] {
            let (path, count) = (setup.file("a", size), Count::default());
            let request = setup.client.put(&url);
            let begun = Instant::now();
            let progress = count.progress();
            let ended = upload(request, &path, Length::Known, patience, progress).await;
            assert!(matches!(ended, Err(UploadError::Stalled(_))), "{ended:?}");
            assert!(begun.elapsed() >= patience);
            assert!((least..=64 * MEGABYTE).contains(&count.0.load(Relaxed)));
        }
    }

    #[tokio::test]
    async fn a_stream_has_no_copy() {
        let setup = Setup::new().await;
        let path = setup.file("a", 1);
        let (stream, _) = body(&path, Length::Known, |_| ())
            .await
            .expect("it is there");
        assert!(setup.request("a").body(stream).try_clone().is_none());
        assert!(setup.request("a").body("bytes").try_clone().is_some());
    }
}
