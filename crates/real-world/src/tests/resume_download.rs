use std::collections::VecDeque;
use std::env;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader};
use std::panic::AssertUnwindSafe;
use std::path::PathBuf;
use std::process;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::serve::ListenerExt;
use futures::{FutureExt, StreamExt, stream};
use reqwest::header::{CONTENT_LENGTH, CONTENT_RANGE, ETAG, IF_RANGE, RANGE};
use reqwest::{Client, StatusCode, Url};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_util::task::AbortOnDropHandle;

use super::support::{child_of, poll_and_drop, soon};
use crate::resume_download::{DownloadError, Part, is_at};

const TICK: Duration = Duration::from_millis(1);
/// Tell the child process where to get the file and where to put it.
const URL: &str = "RESUME_DOWNLOAD_TEST_URL";
const FOLDER: &str = "RESUME_DOWNLOAD_TEST_FOLDER";

type Task = AbortOnDropHandle<io::Result<()>>;

/// What the server does to its next answer.
#[derive(Clone, Copy)]
enum Trouble {
    Unavailable,
}

/// A server of one file, in pieces that come one after the other.
#[derive(Clone)]
struct Server {
    pieces: usize,
    pause: Duration,
    state: Arc<Mutex<ServerState>>,
}

struct ServerState {
    trouble: VecDeque<Trouble>,
    /// Where the bodies began.
    begun: Vec<u64>,
}

const PIECE: usize = 1000;

impl Server {
    fn file(&self) -> Vec<u8> {
        "version 1\n".repeat(self.pieces * PIECE / 10).into_bytes()
    }

    fn change<T>(&self, change: impl FnOnce(&mut ServerState) -> T) -> T {
        change(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn have_trouble(&self, trouble: impl IntoIterator<Item = Trouble>) {
        self.change(|state| state.trouble = trouble.into_iter().collect());
    }

    async fn start(&self) -> io::Result<(Url, AbortOnDropHandle<io::Result<()>>)> {
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
        let trouble = server.change(|state| state.trouble.pop_front());
        let (file, etag) = (server.file(), "\"v1\"");
        let header = |name| headers.get(name).and_then(|value| value.to_str().ok());
        let (range, condition) = (header(RANGE), header(IF_RANGE));
        let wanted = range.filter(|_| condition == Some(etag));
        let wanted =
            wanted.and_then(|range| range.strip_prefix("bytes=")?.strip_suffix('-'));
        let from: usize = wanted.and_then(|from| from.parse().ok()).unwrap_or(0);
        let status = match (trouble, from) {
            (Some(Trouble::Unavailable), _) => StatusCode::SERVICE_UNAVAILABLE,
            (_, 0) => StatusCode::OK,
            (_, from) if from >= file.len() => StatusCode::RANGE_NOT_SATISFIABLE,
            _ => StatusCode::PARTIAL_CONTENT,
        };
        if status == StatusCode::RANGE_NOT_SATISFIABLE {
            let whole = value(&format!("bytes */{}", file.len()));
            return (status, [(CONTENT_RANGE, whole)]).into_response();
        }
        if !status.is_success() {
            return status.into_response();
        }
        server.change(|state| state.begun.push(from as u64));
        let length = file.len();
        let mut headers = HeaderMap::new();
        headers.insert(ETAG, value(etag));
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
            io::Result::Ok(piece)
        });
        (status, headers, Body::from_stream(body)).into_response()
    }
}

fn value(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).expect("these are letters and digits")
}

/// A server and an empty folder.
struct Site {
    server: Server,
    folder: TempDir,
    url: Url,
    client: Client,
    _task: Task,
}

fn server(pieces: usize) -> Server {
    let state = ServerState {
        trouble: VecDeque::new(),
        begun: Vec::new(),
    };
    Server {
        pieces,
        pause: TICK,
        state: Arc::new(Mutex::new(state)),
    }
}

impl Site {
    async fn new(pieces: usize) -> Self {
        let server = server(pieces);
        let (url, _task) = server.start().await.expect("there is a port");
        Self {
            server,
            folder: tempfile::tempdir().expect("a folder"),
            url,
            client: client(),
            _task,
        }
    }

    fn download(&self) -> Download {
        let target = self.folder.path().join("file");
        download(self.url.clone(), target, self.server.file().len())
    }

    /// Where the bodies began since the last call.
    fn begun(&self) -> Vec<u64> {
        self.server.change(|state| std::mem::take(&mut state.begun))
    }

    /// The names of the files. What has the final name is whole.
    fn files(&self) -> Vec<String> {
        let entries = fs::read_dir(self.folder.path()).expect("readable");
        let mut names = Vec::new();
        for entry in entries {
            let path = entry.expect("an entry").path();
            let name = path.file_name().expect("a name").to_owned();
            if name == "file" {
                let file = fs::read(path).expect("readable");
                assert_eq!(file.len(), self.server.pieces * PIECE);
                assert!(file == self.server.file());
            }
            names.push(name.into_string().expect("it is ASCII"));
        }
        names.sort();
        names
    }

    fn part_length(&self) -> Option<u64> {
        let part = fs::metadata(self.folder.path().join("file.part")).ok()?;
        Some(part.len())
    }
}

fn client() -> Client {
    let client = Client::builder().no_proxy().build();
    client.expect("there is nothing to fail")
}

/// What `run` downloads, and how often it tries.
#[derive(Clone)]
struct Download {
    url: Url,
    target: PathBuf,
    max_bytes: u64,
    max_retries: u32,
}

fn download(url: Url, target: PathBuf, max_bytes: usize) -> Download {
    Download {
        url,
        target,
        max_bytes: max_bytes as u64,
        max_retries: 13,
    }
}

/// A process that starts at this moment holds the locks for a moment.
async fn open(target: &std::path::Path) -> io::Result<Part> {
    for _ in 0..1000 {
        match Part::open(target).await {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => sleep(TICK).await,
            opened => return opened,
        }
    }
    Part::open(target).await
}

async fn run(
    client: &Client,
    download: &Download,
    mut progress: impl FnMut(u64, Option<u64>),
) -> Result<(), DownloadError> {
    let mut part = open(&download.target).await?;
    for retries_left in (0..=download.max_retries).rev() {
        let request = client.get(download.url.clone());
        let fetched = part.fetch(request, download.max_bytes, &mut progress);
        match fetched.await {
            Err(DownloadError::Http(_) | DownloadError::Incomplete)
                if retries_left > 0 =>
            {
                sleep(TICK).await;
            }
            ended => {
                ended?;
                break;
            }
        }
    }
    Ok(part.publish().await?)
}

fn quiet(_: u64, _: Option<u64>) {}

/// Sends each of these answers once, and closes the connection after it. Returns the
/// requests.
async fn raw(
    answers: impl IntoIterator<Item = &'static str>,
) -> (Url, Arc<Mutex<Vec<String>>>, Task) {
    let answers: Vec<_> = answers.into_iter().collect();
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("it is bound");
    let url = Url::parse(&format!("http://{address}/")).expect("a URL");
    let requests = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&requests);
    let task = tokio::spawn(async move {
        for answer in answers {
            let (mut connection, _) = listener.accept().await?;
            let mut request = vec![0; 4096];
            let size = connection.read(&mut request).await?;
            let request = String::from_utf8_lossy(&request[..size]).to_lowercase();
            seen.lock().expect("nobody panics").push(request);
            connection.write_all(answer.as_bytes()).await?;
        }
        Ok(())
    });
    (url, requests, AbortOnDropHandle::new(task))
}

#[tokio::test]
async fn dropped_at_each_await_it_leaves_what_came() {
    let site = Site::new(40).await;
    let download = site.download();
    let (mut polls, mut resumed) = (0, 0);
    let mut completed = false;
    while !completed {
        polls += 1;
        let dropped = poll_and_drop(run(&site.client, &download, quiet), polls).await;
        completed = dropped.is_some();
        site.begun();
        // A new one may begin at once, whatever is in progress.
        let result = run(&site.client, &download, quiet).await;
        assert!(result.is_ok(), "{result:?}");
        resumed += usize::from(site.begun().iter().any(|from| *from > 0));
        assert_eq!(site.files(), ["file"]);
        fs::remove_file(&download.target).expect("it is there");
    }
    assert!(polls > 5 && resumed > 0, "{polls} polls, {resumed} resumed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_at_once_to_one_place() {
    let site = Site::new(3).await;
    let mut all = JoinSet::new();
    for number in 0..24 {
        let (client, download) = (site.client.clone(), site.download());
        let task = all.spawn(async move { run(&client, &download, quiet).await });
        if number % 4 == 0 {
            sleep(TICK).await;
            task.abort();
        }
    }
    while let Some(ended) = all.join_next().await {
        match ended {
            Ok(result) => assert!(result.is_ok(), "{result:?}"),
            Err(error) => assert!(error.is_cancelled()),
        }
        site.files();
    }
    let result = run(&site.client, &site.download(), quiet).await;
    assert!(result.is_ok(), "{result:?}");
    assert_eq!(site.files(), ["file"]);
}

#[tokio::test]
async fn an_error_of_the_server_changes_nothing() {
    let site = Site::new(2).await;
    let part = site.folder.path().join("file.part");
    for (retries, troubles, is_ok) in [(0, 1, false), (2, 2, true), (2, 3, false)] {
        fs::write(&part, &site.server.file()[..PIECE]).expect("writable");
        fs::write(part.with_extension("part.etag"), "\"v1\"").expect("writable");
        site.server
            .have_trouble(vec![Trouble::Unavailable; troubles]);
        let download = Download {
            max_retries: retries,
            ..site.download()
        };
        let result = run(&site.client, &download, quiet).await;
        assert_eq!(result.is_ok(), is_ok);
        match is_ok {
            true => assert_eq!(site.begun(), [PIECE as u64]),
            false => assert_eq!(site.part_length(), Some(PIECE as u64)),
        }
        let _ = fs::remove_file(&download.target);
    }
}

#[tokio::test]
async fn a_panic_of_the_progress_leaves_what_came() {
    let site = Site::new(50).await;
    let download = site.download();
    let panics = run(&site.client, &download, |_, _| panic!("scheduled"));
    assert!(AssertUnwindSafe(panics).catch_unwind().await.is_err());
    // Its last write may still be on the way.
    drop(open(&download.target).await.expect("it is free"));
    let length = site.part_length().expect("it is there");
    assert!(length > 0);
    site.begun();
    let result = run(&site.client, &download, quiet).await;
    assert!(result.is_ok());
    assert_eq!(site.begun(), [length]);
}

#[tokio::test]
async fn what_the_progress_says() {
    let site = Site::new(3).await;
    let mut seen = Vec::new();
    let report = |bytes, total| seen.push((bytes, total));
    let result = run(&site.client, &site.download(), report).await;
    assert!(result.is_ok());
    let total = 3 * PIECE as u64;
    assert!(seen.is_sorted() && seen.iter().all(|(_, of)| *of == Some(total)));
    assert_eq!(seen.last(), Some(&(total, Some(total))));
}

#[tokio::test]
async fn larger_than_it_may_be() {
    // With a length, and in chunks.
    let site = Site::new(1).await;
    for answer in [
        "HTTP/1.1 200 OK\r\netag: \"1\"\r\ncontent-length: 4\r\n\r\n1234",
        "HTTP/1.1 200 OK\r\netag: \"1\"\r\ntransfer-encoding: chunked\r\n\r\n\
         3\r\n123\r\n1\r\n4\r\n0\r\n\r\n",
    ] {
        for (limit, is_ok) in [(4, true), (3, false)] {
            let (url, requests, _task) = raw([answer]).await;
            let target = site.folder.path().join("file");
            let result =
                run(&site.client, &download(url, target.clone(), limit), quiet).await;
            match result {
                Ok(()) => assert!(is_ok),
                Err(DownloadError::TooLarge(3)) => {
                    assert!(!is_ok);
                    assert_eq!(site.part_length(), Some(0));
                }
                Err(error) => panic!("{error}"),
            }
            assert_eq!(requests.lock().expect("nobody panics").len(), 1);
            let _ = fs::remove_file(target);
            let _ = fs::remove_file(site.folder.path().join("file.part"));
            assert_eq!(site.files(), [""; 0]);
        }
    }
}

#[tokio::test]
async fn without_a_strong_etag_it_begins_anew() {
    let site = Site::new(1).await;
    for etag in ["x: y", "etag: W/\"1\"", "etag: \"1\""] {
        let half = format!("HTTP/1.1 200 OK\r\n{etag}\r\ncontent-length: 4\r\n\r\n12");
        let whole = "HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\n1234";
        let (url, requests, _task) = raw([&*half.leak(), whole]).await;
        let target = site.folder.path().join("small");
        let download = download(url, target.clone(), 4);
        let result = run(&site.client, &download, quiet).await;
        assert!(result.is_ok(), "{result:?}");
        assert_eq!(fs::read(&target).expect("it is there"), b"1234");
        let requests = requests.lock().expect("nobody panics");
        assert!(requests[0].contains("accept-encoding: identity"));
        let has_range = requests[1].contains("range: bytes=2-");
        assert_eq!(has_range, etag.starts_with("etag: \""));
        assert_eq!(requests[1].contains("if-range: \"1\""), has_range);
        fs::remove_file(target).expect("it is there");
        assert_eq!(site.files(), [""; 0], "no ETag is left");
    }
}

#[tokio::test]
async fn other_bytes_than_were_requested() {
    let half = "HTTP/1.1 200 OK\r\netag: \"1\"\r\ncontent-length: 4\r\n\r\n12";
    let whole = "HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\n1234";
    let range = |range: &str, body: &str| {
        let length = format!("content-length: {}", body.len());
        let head = format!("HTTP/1.1 206 OK\r\ncontent-range: {range}\r\n{length}\r\n");
        &*format!("{head}\r\n{body}").leak()
    };
    let no_range = |range: &str| {
        let head = "HTTP/1.1 416 No\r\ncontent-length: 0\r\n";
        &*format!("{head}{range}\r\n").leak()
    };
    for (answers, expected) in [
        (vec![whole], "1234"),
        (vec![half, range("bytes 2-3/4", "34")], "1234"),
        (vec![half, range("bytes 2-3/*", "34")], "1234"),
        // Less than the rest.
        (
            vec![half, range("bytes 2-2/4", "3"), range("bytes 3-3/4", "4")],
            "1234",
        ),
        (vec![half, range("bytes 1-3/4", "234"), whole], "1234"),
        (vec![half, range("bytes 3-3/4", "4"), whole], "1234"),
        (vec![half, range("bytes */4", "34"), whole], "1234"),
        (vec![half, range("2-3/4", "34"), whole], "1234"),
        (vec![half, range("bytes 2", "34"), whole], "1234"),
        (vec![half, no_range("content-range: bytes */2\r\n")], "12"),
        (
            vec![half, no_range("content-range: bytes */1\r\n"), whole],
            "1234",
        ),
        (vec![half, no_range(""), whole], "1234"),
    ] {
        let site = Site::new(1).await;
        let number = answers.len();
        let (url, requests, _task) = raw(answers).await;
        let target = site.folder.path().join("small");
        let download = download(url, target.clone(), 4);
        let result = run(&site.client, &download, quiet).await;
        assert!(result.is_ok(), "{result:?}");
        assert_eq!(fs::read(target).expect("it is there"), expected.as_bytes());
        assert_eq!(requests.lock().expect("nobody panics").len(), number);
    }
}

#[tokio::test]
async fn killed_just_before_the_name_was_given() {
    let site = Site::new(1).await;
    let [part, etag] =
        ["file.part", "file.part.etag"].map(|name| site.folder.path().join(name));
    let whole = site.server.file();
    let too_much = [&whole[..], b"x"].concat();
    for (there, bodies) in [(whole.clone(), vec![]), (too_much, vec![0])] {
        fs::write(&part, there).expect("writable");
        fs::write(&etag, "\"v1\"").expect("writable");
        let result = run(&site.client, &site.download(), quiet).await;
        assert!(result.is_ok(), "{result:?}");
        assert_eq!(
            (site.begun(), site.files()),
            (bodies, vec!["file".to_owned()])
        );
        fs::remove_file(site.folder.path().join("file")).expect("it is there");
    }
    // Or just after it.
    fs::write(site.folder.path().join("file"), whole).expect("writable");
    fs::write(&etag, "\"v0\"").expect("writable");
    let result = run(&site.client, &site.download(), quiet).await;
    assert!(result.is_ok(), "{result:?}");
    assert_eq!(
        (site.begun(), site.files()),
        (vec![0], vec!["file".to_owned()])
    );
}

#[tokio::test]
async fn an_etag_of_which_a_power_failure_left_nothing() {
    let site = Site::new(1).await;
    let [part, etag] =
        ["file.part", "file.part.etag"].map(|name| site.folder.path().join(name));
    for left in ["", "\0\0\0\0", "\"v\0\0"] {
        fs::write(&part, "half").expect("writable");
        fs::write(&etag, left).expect("writable");
        let result = run(&site.client, &site.download(), quiet).await;
        assert!(result.is_ok(), "{left:?}: {result:?}");
        assert_eq!(
            (site.begun(), site.files()),
            (vec![0], vec!["file".to_owned()])
        );
    }
}

#[tokio::test]
async fn disk_errors() {
    let site = Site::new(2).await;
    let download = site.download();
    // A folder that is not empty has the name.
    fs::create_dir_all(download.target.join("more")).expect("writable");
    let result = run(&site.client, &download, quiet).await;
    assert!(matches!(result, Err(DownloadError::Disk(_))), "{result:?}");
    assert_eq!(site.begun(), [0]);
    assert_eq!(site.part_length(), Some(2 * PIECE as u64));
    fs::remove_dir_all(&download.target).expect("writable");
    let result = run(&site.client, &download, quiet).await;
    assert!(result.is_ok() && site.begun().is_empty(), "{result:?}");
}

#[cfg(unix)]
#[tokio::test]
async fn a_link_at_its_place_is_not_followed() {
    let site = Site::new(2).await;
    let [part, etag, victim, new] = ["file.part", "file.part.etag", "victim", "new"]
        .map(|name| site.folder.path().join(name));
    fs::write(&victim, "precious").expect("writable");
    for leads_to in [&victim, &new, std::path::Path::new("/dev/null")] {
        std::os::unix::fs::symlink(leads_to, &part).expect("writable");
        let result = run(&site.client, &site.download(), quiet).await;
        let Err(DownloadError::Disk(error)) = result else {
            panic!("{result:?}");
        };
        assert_eq!(error.to_string(), "the .part file is a link");
        assert_eq!(site.begun(), [0; 0]);
        assert_eq!(fs::read(&victim).expect("it is there"), b"precious");
        assert!(!new.exists());
        fs::remove_file(&part).expect("it is there");
    }
    // A link at the place of the ETag is replaced.
    std::os::unix::fs::symlink(&victim, &etag).expect("writable");
    let result = run(&site.client, &site.download(), quiet).await;
    assert!(result.is_ok(), "{result:?}");
    assert_eq!(fs::read(&victim).expect("it is there"), b"precious");
    assert_eq!(site.files(), ["file", "victim"]);
}

#[tokio::test]
async fn a_server_that_drips_is_timed_out_and_the_rest_comes_later() {
    let mut site = Site::new(1).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("it is bound");
    site.url = Url::parse(&format!("http://{address}/")).expect("a URL");
    let drips = async {
        let (mut connection, _) = listener.accept().await?;
        let _size = connection.read(&mut [0; 4096]).await?;
        let head = "HTTP/1.1 200 OK\r\netag: \"1\"\r\ncontent-length: 100000\r\n\r\n";
        connection.write_all(head.as_bytes()).await?;
        while connection.write_all(b"x").await.is_ok() {
            sleep(20 * TICK).await;
        }
        io::Result::Ok(())
    };
    let download = Download {
        max_bytes: 1 << 20,
        ..site.download()
    };
    let limited = timeout(2_000 * TICK, run(&site.client, &download, quiet));
    let (result, _) = soon(futures::future::join(limited, drips)).await;
    assert!(result.is_err(), "{result:?}");
    assert!(site.part_length().is_some_and(|length| length > 0));
}

#[tokio::test]
async fn another_writes_there() {
    let site = Site::new(2).await;
    let download = site.download();
    let part = Part::open(&download.target).await.expect("it is free");
    let second = Part::open(&download.target).await;
    let kind = second.map(drop).map_err(|error| error.kind());
    assert_eq!(kind, Err(io::ErrorKind::WouldBlock));
    drop(part);
    let result = run(&site.client, &download, quiet).await;
    assert!(result.is_ok(), "{result:?}");

    let path = site.folder.path().join("renamed");
    let file = File::create(&path).expect("writable");
    assert!(is_at(&file, &path).expect("readable"));
    fs::rename(&path, site.folder.path().join("other")).expect("writable");
    assert!(!is_at(&file, &path).expect("readable"), "it is gone");
    fs::write(&path, "x").expect("writable");
    assert!(!is_at(&file, &path).expect("readable"), "it is another");
}

#[test]
fn who_gets_the_lock_has_the_file_of_that_name() {
    let folder = tempfile::tempdir().expect("a folder");
    let (target, path) = (folder.path().join("file"), folder.path().join("file.part"));
    thread::scope(|scope| {
        for _ in 0..4 {
            let (target, path) = (&target, &path);
            scope.spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread().build();
                runtime.expect("a runtime").block_on(async {
                    for _ in 0..2000 {
                        let Ok(part) = Part::open(target).await else {
                            continue;
                        };
                        assert!(path.exists(), "the file has got its final name");
                        fs::remove_file(path).expect("it is there");
                        drop(part);
                    }
                });
            });
        }
    });
}

#[tokio::test]
async fn no_answer() {
    let site = Site::new(1).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("it is bound");
    let download = Download {
        url: Url::parse(&format!("http://{address}/")).expect("a URL"),
        max_retries: 1,
        ..site.download()
    };
    let client = Client::builder().no_proxy().read_timeout(20 * TICK);
    let client = client.build().expect("a client");
    let result = run(&client, &download, quiet).await;
    assert!(
        matches!(&result, Err(DownloadError::Http(error)) if error.is_timeout()),
        "{result:?}"
    );
    assert_eq!(site.part_length(), Some(0));
}

/// In which the child process gets the file, a millisecond for each.
const PIECES: usize = 25;

/// Not a test by itself: the process that is killed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn child() {
    let (Ok(url), Some(folder)) = (env::var(URL), env::var_os(FOLDER)) else {
        return;
    };
    let url = Url::parse(&url).expect("it is a URL");
    let target = PathBuf::from(folder).join("file");
    let download = download(url, target, PIECES * PIECE);
    let begun = |_, _| std::println!("begun");
    let result = run(&client(), &download, begun).await;
    result.expect("it is completed");
    std::println!("begun, and completed");
}

/// Starts the child process, which ends when what it prints is no longer read.
fn start_child(site: &Site) -> (process::Child, io::Lines<impl BufRead>) {
    let child = child_of(module_path!())
        .env(URL, site.url.as_str())
        .env(FOLDER, site.folder.path())
        .stdout(process::Stdio::piped())
        .stderr(process::Stdio::null())
        .spawn();
    let mut child = child.expect("it starts");
    let output = BufReader::new(child.stdout.take().expect("it is piped"));
    let mut lines = output.lines();
    let begun = |line: Result<String, _>| line.is_ok_and(|l| l.contains("begun"));
    assert!(lines.any(begun), "it begins");
    (child, lines)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_at_any_moment_it_leaves_no_half_file_and_goes_on() {
    let site = Site::new(PIECES).await;
    let (mut kills, mut kept, mut completed, mut random) = (0, 0, 0, 1_u32);
    while kills < 50 || completed == 0 {
        assert!(kills < 1000, "none is completed");
        let before = site.part_length().unwrap_or(0);
        let (mut child, _output) = start_child(&site);
        random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        // Longer and longer on a machine where none is completed.
        let pause = Duration::from_micros(u64::from(random >> 17));
        thread::sleep(pause * (1 + kills / 50));
        child.kill().expect("it can be killed");
        let ended = child.wait().expect("it has ended");
        kills += u32::from(ended.code().is_none());
        assert!(ended.code().is_none_or(|code| code == 0), "it did not fail");
        // Here it is seen that what has the final name is whole.
        if site.files().iter().any(|name| name == "file") {
            completed += 1;
            fs::remove_file(site.folder.path().join("file")).expect("it is there");
        } else {
            let length = site.part_length().unwrap_or(0);
            assert!(length >= before, "what came stays");
            kept += usize::from(length > 0);
        }
    }
    assert!(kept > 10, "{kept} kept, {completed} completed");
    let before = site.part_length().unwrap_or(0);
    site.begun();
    let result = run(&site.client, &site.download(), quiet).await;
    assert!(result.is_ok(), "{result:?}");
    let rest = (before < (PIECES * PIECE) as u64).then_some(before);
    assert_eq!(
        (site.begun(), site.files()),
        (Vec::from_iter(rest), vec!["file".into()])
    );
}

/// As aiohttp's static files answer, which ignore an ETag in `If-Range`.
#[tokio::test]
async fn the_rest_of_another_version_is_never_appended() {
    let half = "HTTP/1.1 200 OK\r\netag: \"1\"\r\ncontent-length: 4\r\n\r\n12";
    let whole = "HTTP/1.1 200 OK\r\netag: \"2\"\r\ncontent-length: 4\r\n\r\nabcd";
    for other in [
        "HTTP/1.1 206 OK\r\netag: \"2\"\r\ncontent-range: bytes 2-3/4\r\n\
         content-length: 2\r\n\r\ncd",
        "HTTP/1.1 206 OK\r\netag: W/\"1\"\r\ncontent-range: bytes 2-3/4\r\n\
         content-length: 2\r\n\r\ncd",
        "HTTP/1.1 416 No\r\netag: \"2\"\r\ncontent-range: bytes */2\r\n\
         content-length: 0\r\n\r\n",
    ] {
        let site = Site::new(1).await;
        let (url, _, _task) = raw([half, other, whole]).await;
        let target = site.folder.path().join("small");
        let download = download(url, target.clone(), 4);
        let result = run(&site.client, &download, quiet).await;
        assert!(result.is_ok(), "{result:?}");
        assert_eq!(fs::read(target).expect("it is there"), b"abcd");
    }
}

#[tokio::test]
async fn an_answer_that_is_no_file_keeps_what_came() {
    let half = "HTTP/1.1 200 OK\r\netag: \"1\"\r\ncontent-length: 4\r\n\r\n12";
    for answer in [
        "HTTP/1.1 204 No Content\r\n\r\n",
        "HTTP/1.1 300 Choices\r\ncontent-length: 0\r\n\r\n",
        "HTTP/1.1 304 Not Modified\r\n\r\n",
        "HTTP/1.1 307 Elsewhere\r\ncontent-length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 4\r\n\r\nzip!",
    ] {
        let site = Site::new(1).await;
        let (url, _, _task) = raw([half, answer]).await;
        let target = site.folder.path().join("small");
        let download = download(url, target.clone(), 4);
        let result = run(&site.client, &download, quiet).await;
        let is_refused = matches!(
            result,
            Err(DownloadError::NoFile(_) | DownloadError::Compressed)
        );
        assert!(is_refused, "{result:?}");
        assert!(!target.exists());
        let part = site.folder.path().join("small.part");
        assert_eq!(fs::read(part).expect("it is there"), b"12");
    }
}
