use std::convert::Infallible;
use std::error::Error;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use axum::routing::post;
use futures::future::join_all;
use futures::{Stream, StreamExt, stream};
use reqwest::Client;
use reqwest::multipart::{Form, Part};
use tempfile::{TempDir, tempdir};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, sleep};
use tokio_util::task::AbortOnDropHandle;

use super::support::{most_memory, poll_and_drop, soon};
use crate::multipart_form::{self, FormError, Limits, UNPARSED, receive};

const LONG: Duration = Duration::from_secs(120);
const LIMITS: Limits = Limits {
    form: 1 << 20,
    field: 1_000,
    parts: 10,
    stall: LONG,
    time: LONG,
};
const HEAD: &str = "content-disposition: form-data; name=\"a\"; filename=\"b\"";

fn folder() -> TempDir {
    tempdir().expect("there is room")
}

fn count(folder: &Path) -> usize {
    fs::read_dir(folder).expect("it is there").count()
}

/// A request with this body, in pieces.
fn request(pieces: impl Stream<Item = Vec<u8>> + Send + 'static) -> Request {
    let pieces = pieces.map(Ok::<_, Infallible>);
    let request = Request::builder().method("POST");
    let request = request.header("content-type", "multipart/form-data; boundary=limit");
    request
        .body(Body::from_stream(pieces))
        .expect("it is valid")
}

fn whole(text: impl Into<Vec<u8>>) -> Request {
    request(stream::iter([text.into()]))
}

fn cut(text: &str, size: usize) -> Request {
    let pieces: Vec<_> = text.as_bytes().chunks(size).map(<[u8]>::to_vec).collect();
    request(stream::iter(pieces))
}

async fn status(request: Request, folder: &Path, limits: Limits) -> StatusCode {
    match soon(receive(request, folder, limits)).await {
        Ok(_) => StatusCode::OK,
        Err(error) => error.into_response().status(),
    }
}

fn form(bytes: usize) -> String {
    let title = "content-disposition: form-data; name=\"title\"";
    let bytes = "x".repeat(bytes);
    format!(
        "--limit\r\n{title}\r\n\r\nhi\r\n--limit\r\n{HEAD}\r\n\r\n{bytes}\r\n--limit--\r\n"
    )
}

#[tokio::test]
async fn however_it_is_cut_it_is_the_same_form() {
    let folder = folder();
    for bytes in [0, 1, 31, 129, 1_000] {
        let text = form(bytes);
        for size in [1, 2, 3, 7, 100, text.len()] {
            let received = receive(cut(&text, size), folder.path(), LIMITS).await;
            let mut form = received.expect("it is a form");
            assert_eq!(form.fields, [("title".to_owned(), "hi".to_owned())]);
            let file = form.files.pop().expect("one");
            assert_eq!((file.bytes, &*file.client_name), (bytes as u64, "b"));
            let path = folder.path().join("stored");
            file.store(path.clone()).await.expect("there is room");
            assert_eq!(fs::read(&path).expect("it is there"), vec![b'x'; bytes]);
            fs::remove_file(path).expect("it is there");
        }
    }
    assert_eq!(count(folder.path()), 0);
}

#[tokio::test]
async fn what_is_no_form_is_refused_and_leaves_nothing() {
    let folder = folder();
    let text = form(100);
    // Every beginning of a form.
    for end in 0..text.len() - 4 {
        let refused = status(whole(&text[..end]), folder.path(), LIMITS).await;
        assert_eq!(refused, StatusCode::BAD_REQUEST, "{end}");
    }
    for wrong in [
        "x",
        "--limit\r\n\r\n",
        "--limit\r\nx\r\n\r\nx",
        "--limitless\r\n",
    ] {
        let refused = status(whole(wrong), folder.path(), LIMITS).await;
        assert_eq!(refused, StatusCode::BAD_REQUEST, "{wrong}");
    }
    let plain = Request::builder()
        .body(Body::from("x"))
        .expect("it is valid");
    let refused = receive(plain, folder.path(), LIMITS).await;
    assert!(
        matches!(refused, Err(FormError::NotAForm(_))),
        "{refused:?}"
    );
    let nowhere = folder.path().join("nowhere");
    let refused = receive(whole(form(1)), &nowhere, LIMITS).await;
    let error = refused.expect_err("there is no folder");
    assert!(error.source().is_some_and(|error| error.is::<io::Error>()));
    assert_eq!(error.to_string(), "the form cannot be stored");
    assert_eq!(count(folder.path()), 0);
}

#[tokio::test]
async fn limits_hold_to_the_byte() {
    let folder = folder();
    let field = |bytes: usize| {
        let title = "content-disposition: form-data; name=\"title\"";
        format!(
            "--limit\r\n{title}\r\n\r\n{}\r\n--limit--\r\n",
            "x".repeat(bytes)
        )
    };
    let parts = |number: usize| {
        let part = format!("--limit\r\n{HEAD}\r\n\r\n\r\n");
        format!("{}--limit--\r\n", part.repeat(number))
    };
    let text = form(5_000);
    let exact = Limits {
        form: text.len(),
        ..LIMITS
    };
    let less = Limits {
        form: text.len() - 1,
        ..LIMITS
    };
    for (text, limits, expected) in [
        (text.clone(), exact, StatusCode::OK),
        (text, less, StatusCode::PAYLOAD_TOO_LARGE),
        (field(1_000), LIMITS, StatusCode::OK),
        (field(1_001), LIMITS, StatusCode::PAYLOAD_TOO_LARGE),
        (parts(0), LIMITS, StatusCode::OK),
        (parts(10), LIMITS, StatusCode::OK),
        (parts(11), LIMITS, StatusCode::PAYLOAD_TOO_LARGE),
    ] {
        for size in [10, 1_000_000] {
            let answered = status(cut(&text, size), folder.path(), limits).await;
            assert_eq!(answered, expected, "{}", text.len());
        }
    }
    assert_eq!(count(folder.path()), 0);
}

/// Without the limit, each of these would be in memory as a whole.
#[test]
fn long_headers_and_preambles_are_not_kept() {
    const PIECE: usize = 16 * 1024;
    let long = |begin: &str| {
        let begin = stream::iter([begin.as_bytes().to_vec()]);
        let pieces = stream::repeat_with(|| vec![b'x'; PIECE]).take(2_000);
        request(begin.chain(pieces))
    };
    for begin in ["", "--limit", "--limit\r\n", "--limit\r\nx: "] {
        let memory = most_memory(async {
            let limits = Limits {
                form: usize::MAX,
                ..LIMITS
            };
            let refused = status(long(begin), Path::new("."), limits).await;
            assert_eq!(refused, StatusCode::BAD_REQUEST, "{begin}");
        });
        assert!(memory < 8 * UNPARSED as u64, "{begin:?}: {memory} bytes");
    }
}

/// A disk that is slower than the client: what waits is with the client.
#[test]
fn a_large_file_is_never_in_memory() {
    let folder = folder();
    let (piece, pieces) = (64 * 1024, 512);
    let begin = stream::iter([format!("--limit\r\n{HEAD}\r\n\r\n").into_bytes()]);
    let middle = stream::repeat_with(move || vec![b'x'; piece]).take(pieces);
    let end = stream::iter([b"\r\n--limit--\r\n".to_vec()]);
    let limits = Limits {
        form: usize::MAX,
        ..LIMITS
    };
    let memory = most_memory(async {
        let request = request(begin.chain(middle).chain(end));
        let form = receive(request, folder.path(), limits).await;
        let form = form.expect("it is a form");
        assert_eq!(form.files[0].bytes, (piece * pieces) as u64);
    });
    assert!(memory < 16 * UNPARSED as u64, "{memory} bytes");
}

#[tokio::test(start_paused = true)]
async fn silence_and_a_slow_drip_have_an_end() {
    let folder = folder();
    for (stall, time, after) in [(3, 60, 3), (60, 5, 5), (60, 0, 0)] {
        let limits = Limits {
            stall: Duration::from_secs(stall),
            time: Duration::from_secs(time),
            ..LIMITS
        };
        // In each state of the parser.
        for begin in ["", "--limit\r\nx", &format!("--limit\r\n{HEAD}\r\n\r\nx")] {
            let begin = stream::iter([begin.as_bytes().to_vec()]);
            let start = Instant::now();
            let refused = if stall < time {
                let silent = request(begin.chain(stream::pending()));
                status(silent, folder.path(), limits).await
            } else {
                let drip = stream::repeat(b"x".to_vec()).then(async |piece| {
                    sleep(Duration::from_secs(1)).await;
                    piece
                });
                status(request(begin.chain(drip)), folder.path(), limits).await
            };
            assert_eq!(refused, StatusCode::REQUEST_TIMEOUT);
            let late = start.elapsed().abs_diff(Duration::from_secs(after));
            assert!(late < Duration::from_secs(1), "{late:?}");
        }
    }
    assert_eq!(count(folder.path()), 0);
}

#[tokio::test]
async fn dropped_at_each_await_nothing_is_left() {
    let folder = folder();
    let text = form(200);
    for polls in 0..60 {
        let received =
            poll_and_drop(receive(cut(&text, 20), folder.path(), LIMITS), polls);
        drop(received.await);
        let start = Instant::now();
        // A file that a thread is just creating.
        while count(folder.path()) > 0 {
            assert!(start.elapsed() < LONG, "{polls}");
            sleep(Duration::from_millis(1)).await;
        }
    }
}

/// Stores the files, and answers with what has come.
async fn create(
    request: Request,
    folder: PathBuf,
    limits: Limits,
) -> Result<(StatusCode, String), FormError> {
    let form = receive(request, &folder, limits).await?;
    let mut answer = format!("{:?}", form.fields);
    for file in form.files {
        answer += &format!(" {} {:?} {}", file.field, file.client_name, file.bytes);
        let target = format!("{:016x}", fastrand::u64(..));
        file.store(folder.join(target)).await?;
    }
    Ok((StatusCode::CREATED, answer))
}

struct Server {
    address: String,
    folder: TempDir,
    client: Client,
    _task: AbortOnDropHandle<()>,
}

impl Server {
    async fn start(limits: Limits) -> Self {
        let folder = folder();
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address").to_string();
        let path = folder.path().to_owned();
        let create = move |request: Request| create(request, path.clone(), limits);
        let routes = Router::new().route("/", post(create));
        let serving = axum::serve(listener, routes).into_future();
        let task = tokio::spawn(async { serving.await.expect("it serves") });
        let client = Client::builder().no_proxy().build().expect("a client");
        Self {
            address,
            folder,
            client,
            _task: AbortOnDropHandle::new(task),
        }
    }

    async fn post(&self, form: Form) -> (u16, String) {
        let request = self.client.post(format!("http://{}/", self.address));
        let response = soon(request.multipart(form).send())
            .await
            .expect("an answer");
        let status = response.status().as_u16();
        (status, response.text().await.expect("a text"))
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn forty_at_once_of_files_on_the_disk() {
    super::allow_files();
    let server = Server::start(LIMITS).await;
    let source = folder();
    let sending = (0..40_u8).map(|number| {
        let (server, path) = (&server, source.path().join(number.to_string()));
        async move {
            fs::write(&path, vec![number; 20_000 * usize::from(number)])?;
            let form = Form::new().text("title", "x").file("file", &path).await?;
            let bytes = 20_000 * u32::from(number);
            let expected = format!("[(\"title\", \"x\")] file \"{number}\" {bytes}");
            assert_eq!(server.post(form).await, (201, expected));
            io::Result::Ok(())
        }
    });
    for sent in join_all(sending).await {
        sent.expect("there is room");
    }
    assert_eq!(count(server.folder.path()), 40);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_answer_arrives_although_the_client_is_still_sending() {
    let server = Server::start(LIMITS).await;
    for _ in 0..10 {
        let large = Part::bytes(vec![0; 20 << 20]).file_name("large");
        let answer = server.post(Form::new().part("file", large)).await;
        assert_eq!(answer, (413, "the form is too large".to_owned()));
    }
    for name in [
        "",
        "..",
        "../../etc/passwd",
        "/etc/passwd",
        "a\0b",
        "C:\\a",
        "a\"b",
    ] {
        let part = Part::text("x").file_name(name);
        let (status, _) = server.post(Form::new().part("file", part)).await;
        assert!([201, 400].contains(&status), "{name:?}");
    }
    for entry in fs::read_dir(server.folder.path()).expect("it is there") {
        let name = entry.expect("it is there").file_name();
        let name = name.to_string_lossy();
        assert!(name.len() == 16, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_clients_that_leave_nothing_is_left() {
    super::allow_files();
    let server = Server::start(LIMITS).await;
    let head = "POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 1000\r\n\
                content-type: multipart/form-data; boundary=limit\r\n\r\n";
    let text = format!("{head}--limit\r\n{HEAD}\r\n\r\nx");
    for _ in 0..5 {
        let begun = join_all((0..40).map(|_| async {
            let mut stream = TcpStream::connect(&server.address).await?;
            stream.write_all(text.as_bytes()).await?;
            io::Result::Ok(stream)
        }))
        .await;
        let until = async |files: usize| {
            while count(server.folder.path()) != files {
                sleep(Duration::from_millis(5)).await;
            }
        };
        soon(until(40)).await;
        drop(begun);
        soon(until(0)).await;
    }
}

/// The trap: without `receive`, a header of any length is in memory.
#[test]
fn the_multipart_of_axum_keeps_long_headers() {
    use axum::extract::{DefaultBodyLimit, FromRequest, Multipart};

    let memory = most_memory(async {
        let begin = stream::iter([b"--limit\r\nx: ".to_vec()]);
        let pieces = stream::repeat_with(|| vec![b'x'; 1 << 20]).take(20);
        let mut request = request(begin.chain(pieces));
        DefaultBodyLimit::disable().apply(&mut request);
        let parts = Multipart::from_request(request, &()).await;
        let mut parts = parts.expect("it has a boundary");
        assert!(parts.next_field().await.is_err());
    });
    assert!(memory > 20 << 20, "{memory} bytes");
}

#[test]
fn its_errors_and_items_can_be_sent() {
    fn send<T: Send + 'static>() {}
    send::<FormError>();
    send::<multipart_form::Form>();
}

/// A client that still sends is not cut off before it has read the answer.
#[tokio::test(start_paused = true)]
async fn the_rest_of_a_refused_form_is_read_for_a_second_at_most() {
    for (pieces, read) in [(2, 2), (1_000, 3)] {
        let taken = Arc::new(AtomicUsize::new(0));
        let begin = "--limit\r\ncontent-disposition: form-data; name=\"a\"\r\n\r\n";
        let begin = stream::iter([begin.as_bytes().to_vec(), vec![b'x'; 1_001]]);
        let counts = Arc::clone(&taken);
        let rest = stream::repeat(counts).take(pieces).then(async |counts| {
            sleep(Duration::from_millis(300)).await;
            counts.fetch_add(1, SeqCst);
            vec![b'x'; 1_000]
        });
        let start = Instant::now();
        let refused = status(request(begin.chain(rest)), Path::new("."), LIMITS).await;
        assert_eq!(refused, StatusCode::PAYLOAD_TOO_LARGE);
        assert_eq!((start.elapsed(), taken.load(SeqCst)), (Duration::ZERO, 0));
        sleep(Duration::from_secs(600)).await;
        assert_eq!(taken.load(SeqCst), read);
        assert_eq!(Arc::strong_count(&taken), 1, "the body is kept");
    }
}

#[tokio::test]
async fn a_stored_file_replaces_no_other_file() {
    let folder = folder();
    let target = folder.path().join("taken");
    for is_free in [true, false] {
        let form = receive(whole(form(100)), folder.path(), LIMITS).await;
        let file = form.expect("it is a form").files.pop().expect("one");
        assert_eq!(file.store(target.clone()).await.is_ok(), is_free);
        assert_eq!(count(folder.path()), 1);
    }
}

/// Names stay in memory, as many as there are parts.
#[tokio::test]
async fn names_are_short_and_there() {
    let folder = folder();
    let part = |head: &str| {
        let head = format!("content-disposition: form-data{head}");
        whole(format!("--limit\r\n{head}\r\n\r\nhi\r\n--limit--\r\n"))
    };
    let name = |bytes: usize| "x".repeat(bytes);
    for (head, expected) in [
        (format!("; name=\"{}\"", name(1_000)), StatusCode::OK),
        (
            format!("; name=\"{}\"", name(1_001)),
            StatusCode::PAYLOAD_TOO_LARGE,
        ),
        (
            format!("; name=a; filename=\"{}\"", name(1_001)),
            StatusCode::PAYLOAD_TOO_LARGE,
        ),
        ("; name=\"\"".to_owned(), StatusCode::OK),
        // As busboy, werkzeug and RFC 7578 have them.
        (String::new(), StatusCode::BAD_REQUEST),
        ("; filename=b".to_owned(), StatusCode::BAD_REQUEST),
        (
            "; name=a; filename*=UTF-8''f%20g".to_owned(),
            StatusCode::BAD_REQUEST,
        ),
        (
            "; name=a; FileName*=UTF-8''f%20g".to_owned(),
            StatusCode::BAD_REQUEST,
        ),
        (
            "; name=a; filename=b; filename*=UTF-8''f".to_owned(),
            StatusCode::OK,
        ),
    ] {
        let status = status(part(&head), folder.path(), LIMITS).await;
        assert_eq!(status, expected, "{head}");
    }
    assert_eq!(count(folder.path()), 0);
}
