use std::convert::Infallible;
use std::fs;
use std::io::ErrorKind;
use std::path::Path;
use std::time::Duration;

use futures::future::join_all;
use futures::{StreamExt, stream};
use reqwest::{Body, Client};
use tempfile::TempDir;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::support::soon;
use crate::upload_server::{Limits, UploadStore, serve};

const LONG: Duration = Duration::from_secs(120);

struct Server {
    address: String,
    folder: TempDir,
    client: Client,
    _task: AbortOnDropHandle<()>,
}

const LIMITS: Limits = Limits {
    max_bytes: 100_000,
    max_uploads: 40,
    stall: LONG,
    max_time: LONG,
};

impl Server {
    async fn start(limits: Limits) -> Self {
        let folder = tempfile::tempdir().expect("there is room");
        let store = UploadStore::open(folder.path().to_owned(), limits).await;
        let store = store.expect("it is a folder");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address").to_string();
        let serving = axum::serve(listener, store.router()).into_future();
        let task = tokio::spawn(async { serving.await.expect("it serves") });
        let _task = AbortOnDropHandle::new(task);
        let client = Client::builder().no_proxy().build().expect("a client");
        Self {
            address,
            folder,
            client,
            _task,
        }
    }

    async fn put(&self, name: &str, body: impl Into<Body>) -> (u16, String) {
        let request = self.client.put(format!("http://{}/{name}", self.address));
        let response = soon(request.body(body).send()).await.expect("an answer");
        let status = response.status().as_u16();
        (status, response.text().await.expect("a text"))
    }

    /// Sends the begin of an upload, and keeps the connection open.
    async fn begin(&self, name: &str) -> TcpStream {
        let mut stream = TcpStream::connect(&self.address).await.expect("it listens");
        let head =
            format!("PUT /{name} HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\nx");
        stream.write_all(head.as_bytes()).await.expect("it reads");
        stream
    }

    fn names(&self) -> Vec<String> {
        names(self.folder.path())
    }

    async fn until(&self, files: usize) {
        let start = Instant::now();
        while self.names().len() != files {
            assert!(start.elapsed() < LONG, "{:?}", self.names());
            sleep(Duration::from_millis(5)).await;
        }
    }
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).expect("it is there");
    let names = entries.map(|entry| entry.expect("it is there").file_name());
    let mut names: Vec<_> = names.map(|it| it.to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn files_of_all_sizes_are_stored_whole_and_readable_as_others() {
    let server = Server::start(LIMITS).await;
    for size in [0, 1, 31, 129, 1_000, 100_000] {
        let name = size.to_string();
        let stored = server.put(&name, vec![7; size]).await;
        assert_eq!(stored, (201, format!("{size} bytes stored")));
        let path = server.folder.path().join(&name);
        assert_eq!(fs::read(&path).expect("it is there"), vec![7; size]);
        let plain = server.folder.path().join("plain");
        fs::write(&plain, "").expect("there is room");
        let mode = |path: &Path| fs::metadata(path).expect("it is there").permissions();
        assert_eq!(mode(&path), mode(&plain));
    }
    let chunks = stream::repeat_with(|| Ok::<_, Infallible>("x".repeat(1_000)));
    // Without a length.
    let streamed = |bytes| {
        let piece = Ok::<_, Infallible>(vec![7; bytes]);
        Body::wrap_stream(stream::iter([piece]))
    };
    let stored = server.put("100000", streamed(100_000)).await;
    assert_eq!(stored, (201, "100000 bytes stored".to_owned()));
    for body in [
        vec![7; 100_001].into(),
        streamed(100_001),
        Body::wrap_stream(chunks),
    ] {
        let refused = server.put("large", body).await;
        assert_eq!(refused, (413, "more than 100000 bytes".to_owned()));
    }
    server.until(7).await;
}

#[tokio::test]
async fn names_that_lead_out_or_are_hidden_are_refused() {
    let server = Server::start(LIMITS).await;
    let long = "x".repeat(201);
    for name in [
        ".hidden",
        ".tmpAAAAAA",
        ".a.part",
        "a%0Ab",
        "a:b",
        "a%00",
        "%00",
        "-rf",
        "a%20b",
        "..%2Fa",
        "a%2Fb",
        "%2Fa",
        "a%5Cb",
        "%2e%2e%2fa",
        "%3C",
        &long,
    ] {
        let refused = server.put(name, "x").await;
        assert_eq!(refused, (400, "not a name for a file".to_owned()), "{name}");
    }
    for name in ["a", "A-1_b.tar.gz", "%C3%A9t%C3%A9", &long[1..]] {
        assert_eq!(server.put(name, "x").await.0, 201, "{name}");
    }
    assert_eq!(server.names().len(), 4);
}

#[tokio::test]
async fn clients_are_not_told_paths() {
    let server = Server::start(LIMITS).await;
    fs::remove_dir_all(server.folder.path()).expect("it is there");
    let failed = server.put("a", "x").await;
    assert_eq!(failed, (500, "the file cannot be stored".to_owned()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn three_hundred_clients_that_send_one_byte_are_bounded() {
    super::allow_files();
    let limits = Limits {
        stall: Duration::from_secs(2),
        ..LIMITS
    };
    let server = Server::start(limits).await;
    let names: Vec<_> = (0..300).map(|number| number.to_string()).collect();
    let begun = join_all(names.iter().map(|name| server.begin(name))).await;
    server.until(40).await;
    assert_eq!(
        server.put("a", "x").await,
        (503, "too many uploads".to_owned())
    );
    // They are still connected, but their time passes.
    server.until(0).await;
    let start = Instant::now();
    while server.put("a", "x").await.0 != 201 {
        assert!(start.elapsed() < LONG);
        sleep(Duration::from_millis(10)).await;
    }
    drop(begun);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_client_that_drips_is_too_slow() {
    let limits = Limits {
        stall: Duration::from_secs(2),
        max_time: Duration::from_secs(3),
        ..LIMITS
    };
    let server = Server::start(limits).await;
    let drip = stream::repeat_with(|| Ok::<_, Infallible>("x")).then(async |piece| {
        sleep(Duration::from_millis(100)).await;
        piece
    });
    let refused = server.put("a", Body::wrap_stream(drip)).await;
    assert_eq!(refused, (408, "too slow".to_owned()));
    server.until(0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_clients_that_leave_nothing_is_left() {
    super::allow_files();
    // A permit is released a moment after its file is gone.
    let max_uploads = 80;
    let limits = Limits {
        max_uploads,
        ..LIMITS
    };
    let server = Server::start(limits).await;
    for _ in 0..5 {
        let begun = join_all((0..40).map(|_| server.begin("a"))).await;
        server.until(40).await;
        drop(begun);
        server.until(0).await;
    }
    assert_eq!(server.put("a", "x").await.0, 201);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn after_the_stop_uploads_may_end_and_a_silent_client_is_not_waited_for() {
    for (drain, rest) in [(LONG, "123456789"), (Duration::from_millis(100), "")] {
        let folder = tempfile::tempdir().expect("there is room");
        let store = UploadStore::open(folder.path().to_owned(), LIMITS).await;
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let stop = CancellationToken::new();
        let store = store.expect("it is a folder");
        let serving = tokio::spawn(serve(listener, store, drain, stop.clone()));
        let mut client = TcpStream::connect(address).await.expect("it listens");
        let head = "PUT /a HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\n0";
        client.write_all(head.as_bytes()).await.expect("it reads");
        while names(folder.path()).is_empty() {
            sleep(Duration::from_millis(5)).await;
        }
        stop.cancel();
        client.write_all(rest.as_bytes()).await.expect("it reads");
        let ended = soon(serving).await.expect("it does not panic");
        match rest {
            "" => assert_eq!(ended.map_err(|it| it.kind()), Err(ErrorKind::TimedOut)),
            _ => {
                ended.expect("all uploads have ended");
                assert_eq!(names(folder.path()), ["a"]);
            }
        }
    }
}

#[tokio::test]
async fn a_start_removes_what_a_killed_server_has_left() {
    let folder = tempfile::tempdir().expect("there is room");
    for name in [
        ".uploading-abcdef.part",
        "whole",
        ".hidden",
        "a.part",
        ".b.part",
    ] {
        fs::write(folder.path().join(name), "x").expect("there is room");
    }
    // A folder of somebody else, whatever its name.
    let inner = folder.path().join(".uploading-folder.part");
    fs::create_dir(inner).expect("there is room");
    let store = UploadStore::open(folder.path().to_owned(), LIMITS).await;
    store.expect("it is a folder");
    let left = [
        ".b.part",
        ".hidden",
        ".uploading-folder.part",
        "a.part",
        "whole",
    ];
    assert_eq!(names(folder.path()), left);
}

/// `curl -C 5 -T file` sends the rest of a file.
#[tokio::test]
async fn a_part_of_a_file_is_refused() {
    let server = Server::start(LIMITS).await;
    assert_eq!(server.put("a", "0123456789").await.0, 201);
    let request = server.client.put(format!("http://{}/a", server.address));
    let request = request
        .header("content-range", "bytes 5-9/10")
        .body("56789");
    let response = soon(request.send()).await.expect("an answer");
    assert_eq!(response.status().as_u16(), 400);
    let stored = fs::read(server.folder.path().join("a")).expect("it is there");
    assert_eq!(stored, b"0123456789");
    assert_eq!(server.names(), ["a"]);
}
