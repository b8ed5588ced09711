//! Downloads that break, stall, change meanwhile, or meet a server that knows no ranges.

use std::collections::VecDeque;
use std::error::Error;
use std::future::pending;
use std::io;
use std::path::Path;
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
use reqwest::header::{CONTENT_LENGTH, CONTENT_RANGE, ETAG, IF_RANGE, RANGE};
use reqwest::{Client, StatusCode, Url};
use sha2::{Digest, Sha256};
use tokio::net::TcpListener;
use tokio::time::{Instant, sleep_until};
use tokio_util::task::AbortOnDropHandle;

use crate::resume_download::{Download, DownloadError, Event};

pub type Failure = Box<dyn Error + Send + Sync>;

/// What the server does to its next answer.
#[derive(Clone, Copy)]
enum Trouble {
    /// The connection breaks after so many pieces of the body.
    Breaks(usize),
    /// After so many pieces nothing more comes.
    Stalls(usize),
    IgnoresRange,
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
    version: u32,
    trouble: VecDeque<Trouble>,
    log: fn(String),
}

const PIECE: usize = 1000;

impl Server {
    fn file(&self, version: u32) -> Vec<u8> {
        format!("version {version}\n")
            .repeat(self.pieces * PIECE / 10)
            .into_bytes()
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
        Event::Failed { error, backoff } => println!("{error}, again in {backoff:?}"),
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

/// Begins a part of the demonstration so long after the start. Delays do not add up then.
async fn part(start: Instant, millis: u64, title: &str) {
    sleep_until(start + Duration::from_millis(millis)).await;
    println!("{title}");
}

/// Returns a folder in memory, if there is such a file system, as a disk may be slow.
fn in_memory() -> std::io::Result<tempfile::TempDir> {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir())
}

pub async fn run() -> Result<(), Failure> {
    let start = Instant::now();
    let temporary = in_memory()?;
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
        url,
        target: folder.join("file.txt"),
        sha256: Some(sha256(1)),
        max_bytes: 4000,
        stall: Duration::from_millis(300),
        max_time: Duration::from_secs(10),
        max_retries: 2,
        initial_backoff: Duration::from_millis(200),
    };

    part(start, 1000, "The connection breaks, and stalls:").await;
    server.have_trouble([Trouble::Breaks(2), Trouble::Stalls(1)]);
    show_result(download.run(&client, show_event).await);
    show(folder).await?;
    tokio::fs::remove_file(&download.target).await?;

    part(start, 2500, "It breaks more often than there are retries:").await;
    server.have_trouble([Trouble::Breaks(1), Trouble::Unavailable, Trouble::Breaks(1)]);
    show_result(download.run(&client, show_event).await);
    show(folder).await?;

    part(start, 3600, "The next call, as after a restart:").await;
    show_result(download.run(&client, show_event).await);
    show(folder).await?;

    part(start, 4200, "It breaks, and meanwhile the file changes:").await;
    let newer = Download {
        sha256: Some(sha256(2)),
        max_retries: 1,
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

    part(start, 6400, "Without a retry, and the old file stays:").await;
    show_result(download.run(&client, |_| ()).await);
    let smaller = Download {
        max_bytes: 3999,
        ..newer.clone()
    };
    show_result(smaller.run(&client, |_| ()).await);
    let nowhere = Download {
        target: folder.join("nowhere/file.txt"),
        ..newer
    };
    show_result(nowhere.run(&client, |_| ()).await);
    show(folder).await?;

    part(start, 7100, "No checksum is known; and too slow in all:").await;
    let unchecked = Download {
        sha256: None,
        max_retries: 1,
        ..download.clone()
    };
    server.have_trouble([Trouble::Breaks(2)]);
    show_result(unchecked.run(&client, show_event).await);
    let slow = Download {
        max_time: Duration::from_millis(150),
        ..unchecked
    };
    show_result(slow.run(&client, show_event).await);
    show(folder).await?;
    temporary.close()?;
    Ok(())
}

#[tokio::main]
pub async fn main() -> Result<(), Failure> {
    run().await
}
