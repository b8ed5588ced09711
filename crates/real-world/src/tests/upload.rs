use std::ffi::OsStr;
use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::task::Poll;
use std::thread;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, BodyDataStream};
use axum::extract::{Path as UrlPath, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::put;
use futures::{StreamExt, stream};
use reqwest::header::{CONNECTION, CONTENT_LENGTH};
use reqwest::{Client, RequestBuilder};
use tempfile::{NamedTempFile, TempDir};
use tokio::fs::File;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::task::AbortOnDropHandle;

use crate::upload::{MAX_ANSWER, UploadError, upload};

/// Much longer than anything takes.
const PATIENCE: Duration = Duration::from_secs(120);

/// Where uploads are stored.
#[derive(Clone)]
struct Store {
    folder: Arc<Path>,
    /// In bytes.
    limit: u64,
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
    _task: AbortOnDropHandle<io::Result<()>>,
}

impl Server {
    async fn start(folder: &Path) -> io::Result<Self> {
        let store = Store {
            folder: folder.into(),
            limit: MEGABYTE,
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
        Ok(Self { url, _task })
    }

    fn url(&self, name: &str) -> String {
        format!("{}/files/{name}", self.url)
    }
}

const MEGABYTE: u64 = 1 << 20;

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
}

fn names(folder: &Path) -> io::Result<String> {
    let mut names = Vec::new();
    for entry in folder.read_dir()? {
        names.push(entry?.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    Ok(names.join(", "))
}

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

    async fn upload(&self, name: &str, path: &Path) -> Result<String, UploadError> {
        upload(self.request(name), path, PATIENCE, |_| ()).await
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
            let mut upload = pin!(setup.upload("a", &path));
            for _ in 0..polls {
                if let Poll::Ready(ended) = futures::poll!(upload.as_mut()) {
                    assert_eq!(status(ended), 200);
                    fs::remove_file(setup.stored.path().join("a")).expect("it is there");
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
    super::allow_files();
    let setup = Arc::new(Setup::new().await);
    let mut set = JoinSet::new();
    for number in 0..40 {
        let setup = Arc::clone(&setup);
        set.spawn(async move {
            let name = number.to_string();
            let path = setup.source.path().join(&name);
            fs::write(&path, [number; 200_000]).expect("there is room");
            assert_eq!(status(setup.upload(&name, &path).await), 200);
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
    for (size, expected) in [(0, 200), (MEGABYTE, 200), (MEGABYTE + 1, 413)] {
        let path = setup.file("a", size);
        assert_eq!(status(setup.upload("a", &path).await), expected);
        let stored = fs::metadata(setup.stored.path().join("a"));
        assert_eq!(stored.expect("it is there").len(), size.min(MEGABYTE));
    }
    assert_eq!(setup.stored(), "a");
    for name in ["..%2Fa", "..", "%2Fa"] {
        let path = setup.file("a", 1);
        let ended = setup.upload(name, &path).await;
        assert!([400, 404, 405].contains(&status(ended)), "{name}");
    }
    let none = setup.upload("b", Path::new("/no/such/file")).await;
    assert!(matches!(none, Err(UploadError::File(_))));
    assert_eq!(setup.stored(), "a");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_answer_of_a_server_that_refuses_arrives() {
    let setup = Setup::new().await;
    let path = setup.file("a", 64 * MEGABYTE);
    for _ in 0..30 {
        assert_eq!(status(setup.upload("a", &path).await), 413);
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
    let ended = upload(request, &path, PATIENCE, grow).await;
    assert_eq!(status(ended), 200);
    assert_eq!(count.0.load(Relaxed), MEGABYTE - 1);

    let path = setup.file("b", MEGABYTE);
    let file = fs::File::options()
        .write(true)
        .open(&path)
        .expect("it is there");
    let shrink = move |_| file.set_len(0).expect("it can be less");
    let request = setup.request("b");
    let ended = upload(request, &path, PATIENCE, shrink).await;
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
    let answer = setup.upload("a", Path::new(&path)).await;
    let expected = "11 bytes stored, length unknown";
    assert_eq!(answer.expect("it is taken"), expected);
    let stored = fs::read(setup.stored.path().join("a"));
    assert_eq!(stored.expect("it is there"), b"from a pipe");
}

#[tokio::test]
async fn the_length_of_a_file_is_sent() {
    let setup = Setup::new().await;
    for size in [0, 1, MEGABYTE] {
        let answer = setup.upload("a", &setup.file("a", size)).await;
        let expected = format!("{size} bytes stored, length known");
        assert_eq!(answer.expect("it fits"), expected);
    }
}

/// The trap: what has been read of a stream cannot be sent a second time.
#[test]
fn a_request_with_a_stream_cannot_be_cloned_for_a_second_attempt() {
    let request = Client::new().put("http://127.0.0.1:1/");
    let whole = request.try_clone().expect("it has no body").body("text");
    assert!(whole.try_clone().is_some());
    let pieces = stream::iter([Ok::<_, io::Error>("text")]);
    let streamed = request.body(reqwest::Body::wrap_stream(pieces));
    assert!(streamed.try_clone().is_none());
}

/// On one thread, whose memory is counted, to a server on another one.
#[test]
fn a_large_file_is_never_in_memory() {
    use std::io::{Read, Write};

    const SIZE: usize = 100 << 20;
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}/", listener.local_addr().expect("an address"));
    let server = thread::spawn(move || {
        let (mut stream, _) = listener.accept()?;
        let (mut read, mut piece) = (0, vec![0; 1 << 20]);
        while read < SIZE {
            read += stream.read(&mut piece)?;
        }
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\ndone")
    });
    let file = NamedTempFile::new().expect("there is room");
    file.as_file().set_len(SIZE as u64).expect("there is room");
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let runtime = runtime.expect("a runtime");
    let memory = allocation_counter::measure(|| {
        let answer = runtime.block_on(async {
            let client = Client::builder().no_proxy().build().expect("a client");
            upload(client.put(&url), file.path(), PATIENCE, |_| ()).await
        });
        assert_eq!(answer.expect("it is taken"), "done");
    });
    assert!(memory.bytes_max < 20 << 20, "{} bytes", memory.bytes_max);
    server.join().expect("no panic").expect("it is open");
}

#[tokio::test]
async fn after_a_panic() {
    let setup = Setup::new().await;
    let path = setup.file("a", MEGABYTE);
    let request = setup.request("a");
    let panics = |_| panic!("scheduled");
    let ended = upload(request, &path, PATIENCE, panics).await;
    assert!(matches!(ended, Err(UploadError::Http(_))), "{ended:?}");
    setup.until_stored("").await;
    assert_eq!(status(setup.upload("a", &path).await), 200);
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
        let ended = upload(request, &path, patience, progress).await;
        assert!(matches!(ended, Err(UploadError::Stalled(_))), "{ended:?}");
        assert!(begun.elapsed() >= patience);
        assert!((least..=64 * MEGABYTE).contains(&count.0.load(Relaxed)));
    }
}

#[tokio::test]
async fn a_slow_upload_that_makes_progress_is_not_stalled() {
    let setup = Setup::new().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}/", listener.local_addr().expect("an address"));
    let stall = Duration::from_secs(3);
    // It takes more than `stall`, in steps that are much shorter.
    let server = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await?;
        for _ in 0..8 {
            sleep(stall / 6).await;
            stream
                .read_exact(&mut vec![0; 4 * MEGABYTE as usize])
                .await?;
        }
        let answer = "HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\ndone";
        stream.write_all(answer.as_bytes()).await?;
        // What is left of the body.
        tokio::io::copy(&mut stream, &mut tokio::io::sink()).await
    });
    let server = AbortOnDropHandle::new(server);
    let path = setup.file("a", 32 * MEGABYTE);
    let begun = Instant::now();
    let ended = upload(setup.client.put(url), &path, stall, |_| ()).await;
    assert_eq!(ended.expect("it is not stalled"), "done");
    assert!(begun.elapsed() > stall);
    drop(server);
}

#[tokio::test]
async fn an_answer_of_exactly_the_limit_is_read() {
    for (size, fits) in [(MAX_ANSWER, true), (MAX_ANSWER + 1, false)] {
        let app = Router::new().fallback(move || async move { "x".repeat(size) });
        let listener = TcpListener::bind("127.0.0.1:0").await;
        let listener = listener.expect("a port");
        let url = format!("http://{}/", listener.local_addr().expect("an address"));
        let server = tokio::spawn(async { axum::serve(listener, app).await });
        let _server = AbortOnDropHandle::new(server);
        let setup = Setup::new().await;
        let (path, request) = (setup.file("a", 1), setup.client.put(url));
        match upload(request, &path, PATIENCE, |_| ()).await {
            Ok(answer) => assert!(fits && answer.len() == size),
            Err(UploadError::LongAnswer(MAX_ANSWER)) => assert!(!fits),
            Err(error) => panic!("{error}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_endless_answer_is_an_error() {
    let endless = || async {
        let forever = || Ok::<_, std::io::Error>(vec![b'x'; 65_536]);
        Body::from_stream(stream::repeat_with(forever))
    };
    let app = Router::new().fallback(endless);
    let listener = TcpListener::bind("127.0.0.1:0").await;
    let listener = listener.expect("a port");
    let url = format!("http://{}/", listener.local_addr().expect("an address"));
    let server = tokio::spawn(async { axum::serve(listener, app).await });
    let _server = AbortOnDropHandle::new(server);
    let setup = Setup::new().await;
    let (path, request) = (setup.file("a", 1), setup.client.put(url));
    let ended = upload(request, &path, PATIENCE, |_| ()).await;
    assert!(
        matches!(ended, Err(UploadError::LongAnswer(MAX_ANSWER))),
        "{ended:?}"
    );
}
