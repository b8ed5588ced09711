//! Downloads that break, stall, change in between, or meet a server that ignores ranges.

use std::collections::VecDeque;
use std::error::Error;
use std::future::pending;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract;
use axum::http::{HeaderMap, HeaderValue};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::serve::ListenerExt;
use futures::{StreamExt, stream};
use reqwest::header::{CONTENT_LENGTH, CONTENT_RANGE, ETAG, IF_RANGE, RANGE};
use reqwest::{Client, StatusCode, Url};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_util::task::AbortOnDropHandle;

use crate::resume_download::{DownloadError, Part};

pub type Failure = Box<dyn Error + Send + Sync>;

/// What the server does to its next answer.
#[derive(Clone, Copy)]
enum Trouble {
    /// The connection breaks after so many pieces of the body.
    Breaks(usize),
    /// After so many pieces nothing more comes.
    Stalls(usize),
    IgnoresRange,
}

/// A server of one file, in four pieces. Each comes 0.1 s after the client has seen the
/// one before.
#[derive(Clone)]
struct Server {
    state: Arc<Mutex<State>>,
    seen: Arc<Semaphore>,
}

#[derive(Default)]
struct State {
    version: u32,
    trouble: VecDeque<Trouble>,
}

impl Server {
    fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        change(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn have_trouble<const N: usize>(&self, trouble: [Trouble; N]) {
        self.change(|state| state.trouble = trouble.into());
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

    async fn answer(server: extract::State<Self>, headers: HeaderMap) -> Response {
        let (version, trouble) =
            server.change(|state| (state.version, state.trouble.pop_front()));
        let file = format!("version {version}\n").repeat(400).into_bytes();
        let etag = format!("\"v{version}\"");
        let header = |name| headers.get(name).and_then(|value| value.to_str().ok());
        let (range, condition) = (header(RANGE), header(IF_RANGE));
        let wanted = range.filter(|_| condition == Some(&etag));
        let wanted = wanted.filter(|_| !matches!(trouble, Some(Trouble::IgnoresRange)));
        let wanted =
            wanted.and_then(|range| range.strip_prefix("bytes=")?.strip_suffix('-'));
        let from: usize = wanted.and_then(|from| from.parse().ok()).unwrap_or(0);
        let status = match from {
            0 => StatusCode::OK,
            _ => StatusCode::PARTIAL_CONTENT,
        };
        let asked = range.zip(condition);
        let asked = asked.map(|(range, etag)| format!(" {range} if {etag}"));
        println!("server: GET{}, {status}", asked.unwrap_or_default());
        let length = file.len();
        let mut headers = HeaderMap::new();
        headers.insert(ETAG, value(&etag));
        headers.insert(CONTENT_LENGTH, (length - from).into());
        if from > 0 {
            let range = format!("bytes {from}-{}/{length}", length - 1);
            headers.insert(CONTENT_RANGE, value(&range));
        }
        let pieces = file[from..].chunks(1000).map(<[u8]>::to_vec);
        let pieces = stream::iter(pieces.collect::<Vec<_>>()).enumerate();
        let seen = Arc::clone(&server.seen);
        seen.forget_permits(usize::MAX);
        let body = pieces.then(move |(sent, piece)| {
            let seen = Arc::clone(&seen);
            async move {
                if sent > 0 {
                    if let Ok(permit) = seen.acquire().await {
                        permit.forget();
                    }
                    sleep(Duration::from_millis(100)).await;
                }
                match trouble {
                    Some(Trouble::Breaks(after)) if sent == after => {
                        Err(io::Error::other("scheduled"))
                    }
                    Some(Trouble::Stalls(after)) if sent == after => pending().await,
                    _ => Ok(piece),
                }
            }
        });
        (status, headers, Body::from_stream(body)).into_response()
    }
}

fn value(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).expect("these are letters and digits")
}

/// Downloads with retries, 0.2 s apart. With `max_bytes` and `retries`.
async fn download(
    client: &Client,
    url: &Url,
    target: &Path,
    max_bytes: u64,
    retries: u32,
    seen: &Semaphore,
) -> Result<(), DownloadError> {
    let mut part = Part::open(target).await?;
    for retries_left in (0..=retries).rev() {
        let show = |bytes, total: Option<u64>| {
            match total {
                Some(total) => println!("{bytes} of {total}"),
                None => println!("{bytes}"),
            }
            seen.add_permits(1);
        };
        match part.fetch(client.get(url.clone()), max_bytes, show).await {
            Ok(()) => break,
            Err(error) => {
                println!("{error}");
                if retries_left == 0 {
                    return Err(error);
                }
                sleep(Duration::from_millis(200)).await;
            }
        }
    }
    part.publish().await?;
    println!("done");
    Ok(())
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
        let first = text.lines().next().map(|line| format!(", {line}"));
        let first = first.unwrap_or_default();
        println!("{}: {} bytes{first}", name.display(), text.len());
    }
    Ok(())
}

/// Returns a folder in memory, if there is such a file system, as a disk may be slow.
fn in_memory() -> std::io::Result<tempfile::TempDir> {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir())
}

pub async fn run() -> Result<(), Failure> {
    let start = Instant::now();
    let at = |millis| sleep_until(start + Duration::from_millis(millis));
    let temporary = in_memory()?;
    let target = &temporary.path().join("file.txt");
    let seen = Arc::new(Semaphore::new(0));
    let server = Server {
        state: Arc::default(),
        seen: Arc::clone(&seen),
    };
    server.change(|state| state.version = 1);
    let (url, _task) = server.start().await?;
    // The server is on this machine, which no proxy would reach.
    let client = Client::builder().no_proxy();
    let client = &client.read_timeout(Duration::from_secs(2)).build()?;
    let get =
        |max_bytes, retries| download(client, &url, target, max_bytes, retries, &seen);

    at(500).await;
    println!("The connection breaks, and then it stalls:");
    server.have_trouble([Trouble::Breaks(2), Trouble::Stalls(1)]);
    let _ = get(4000, 2).await;
    show(temporary.path()).await?;

    at(4_000).await;
    println!("It breaks, and there is no retry:");
    tokio::fs::remove_file(target).await?;
    server.have_trouble([Trouble::Breaks(2)]);
    let _ = get(4000, 0).await;
    show(temporary.path()).await?;

    at(4_500).await;
    println!("The next program goes on:");
    let _ = get(4000, 0).await;
    show(temporary.path()).await?;

    at(5_000).await;
    println!("It breaks, and then the file is another one:");
    server.have_trouble([Trouble::Breaks(2)]);
    let _ = get(4000, 0).await;
    server.change(|state| state.version = 2);
    let _ = get(4000, 0).await;
    show(temporary.path()).await?;

    at(6_000).await;
    println!("It breaks, and the server ignores the range:");
    server.have_trouble([Trouble::Breaks(2), Trouble::IgnoresRange]);
    let _ = get(4000, 1).await;

    at(7_000).await;
    println!("Too large, and the old file stays:");
    let _ = get(3999, 0).await;
    show(temporary.path()).await?;

    at(7_500).await;
    println!("Stopped after 1 s:");
    server.have_trouble([Trouble::Stalls(2)]);
    let _ = timeout(Duration::from_secs(1), get(4000, 0)).await;
    show(temporary.path()).await?;
    temporary.close()?;
    Ok(())
}
