//! Pagination of an API with cursors as a stream of items, the next page fetched ahead.
//!
//! What an async generator does with `yield` stands in a state that `try_unfold` hands
//! on; the crate `async-stream` has `try_stream!` for who prefers `yield`. The next page
//! comes from a task, as a stream by itself does nothing while its consumer works on an
//! item, and `buffered` does not help with that. Who stops early has asked for one page
//! too many at most, and dropping the stream stops that request; a generator of Python
//! has to be closed, see `aclosing`. The traps: `try_collect` throws away what came
//! before an error, so take items as they come. And a server whose cursor comes again
//! would be asked for ever. Only a 503 or 429 that says when is tried again; the crates
//! `reqwest-retry` and `backon` do more.
//!
//! asyncio: yield, async for, contextlib.aclosing, asyncio.create_task
//! clock: real

use std::collections::HashSet;
use std::error::Error;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use std::vec::IntoIter;

use axum::Router;
use axum::extract::{Path, State};
use axum::http::Uri;
use axum::response::{IntoResponse, Json, Response};
use axum::routing::get;
use futures::stream::{self, BoxStream, Stream, StreamExt, TryStreamExt};
use reqwest::header::RETRY_AFTER;
use reqwest::{Client, StatusCode, Url};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::task::JoinError;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::task::AbortOnDropHandle;

/// Why there are no more items, although this was not the end.
#[derive(Debug, thiserror::Error)]
pub enum PageError {
    /// No connection, no answer in time, or one that is not a page.
    #[error("no page came")]
    Request(#[from] reqwest::Error),
    #[error("status {0}")]
    Status(StatusCode),
    /// With this cursor a page was fetched before.
    #[error("the cursor {0:?} came again")]
    Again(String),
    #[error("a fetch crashed")]
    Crashed(#[from] JoinError),
}

/// What the server answers.
#[derive(Debug, Deserialize)]
struct Page<T> {
    items: Vec<T>,
    /// Names the next page, if there is one.
    next: Option<String>,
}

/// Where the pages come from, and how patiently.
#[derive(Clone, Debug)]
pub struct Source {
    /// Set a timeout: it has none by itself.
    pub client: Client,
    /// Of the first page, without a parameter `cursor`; the others have one in addition.
    pub url: Url,
    /// How often a page is asked for again when the server is busy.
    pub retries: u32,
    /// Who is to come back later than this gives up.
    pub longest_wait: Duration,
}

impl Source {
    /// All items, page by page. While one page is consumed the next one is fetched.
    ///
    /// An error is the last that comes. Nothing is fetched before the first poll, and
    /// nothing after a drop. The stream runs in a Tokio runtime only.
    pub fn items<T>(self) -> impl Stream<Item = Result<T, PageError>> + Send
    where
        T: DeserializeOwned + Send + 'static,
    {
        stream::once(async { stream::try_unfold(Pages::begin(self), Pages::next) })
            .flatten()
    }

    async fn fetch<T: DeserializeOwned>(
        &self,
        cursor: Option<&str>,
    ) -> Result<Page<T>, PageError> {
        let mut url = self.url.clone();
        if let Some(cursor) = cursor {
            url.query_pairs_mut().append_pair("cursor", cursor);
        }
        let mut retries = self.retries;
        loop {
            let response = self.client.get(url.clone()).send().await?;
            let status = response.status();
            if status.is_success() {
                return Ok(response.json().await?);
            }
            match retry_after(&response) {
                Some(wait) if retries > 0 && wait <= self.longest_wait => {
                    retries -= 1;
                    // The connection is free while this sleeps.
                    drop(response);
                    sleep(wait).await;
                }
                _ => return Err(PageError::Status(status)),
            }
        }
    }
}

/// The seconds in `Retry-After`, which may hold a date instead, of a server that is busy.
fn retry_after(response: &reqwest::Response) -> Option<Duration> {
    const BUSY: [StatusCode; 2] = [
        StatusCode::SERVICE_UNAVAILABLE,
        StatusCode::TOO_MANY_REQUESTS,
    ];
    if !BUSY.contains(&response.status()) {
        return None;
    }
    let seconds = response.headers().get(RETRY_AFTER)?.to_str().ok()?;
    Some(Duration::from_secs(seconds.parse().ok()?))
}

/// What is left of the page that is consumed, and the fetch of the one after it.
struct Pages<T> {
    source: Source,
    items: IntoIter<T>,
    next_page: Option<AbortOnDropHandle<Result<Page<T>, PageError>>>,
    seen: HashSet<String>,
}

impl<T: DeserializeOwned + Send + 'static> Pages<T> {
    fn begin(source: Source) -> Self {
        let mut pages = Self {
            source,
            items: Vec::new().into_iter(),
            next_page: None,
            seen: HashSet::new(),
        };
        pages.fetch_ahead(None);
        pages
    }

    fn fetch_ahead(&mut self, cursor: Option<String>) {
        let source = self.source.clone();
        let new = cursor.clone().is_none_or(|cursor| self.seen.insert(cursor));
        let fetch = tokio::spawn(async move {
            match cursor {
                // This comes after the items of the page that named the cursor.
                Some(cursor) if !new => Err(PageError::Again(cursor)),
                cursor => source.fetch(cursor.as_deref()).await,
            }
        });
        self.next_page = Some(AbortOnDropHandle::new(fetch));
    }

    async fn next(mut self) -> Result<Option<(T, Self)>, PageError> {
        loop {
            if let Some(item) = self.items.next() {
                return Ok(Some((item, self)));
            }
            let Some(fetch) = self.next_page.take() else {
                return Ok(None);
            };
            let page = fetch.await??;
            self.items = page.items.into_iter();
            // With an empty one some servers say that this was the last page.
            if let Some(cursor) = page.next.filter(|cursor| !cursor.is_empty()) {
                self.fetch_ahead(Some(cursor));
            }
        }
    }
}

pub type Failure = Box<dyn Error + Send + Sync>;

/// Has six items on three pages, and counts how often it is asked.
struct Server {
    url: Url,
    requests: Arc<AtomicUsize>,
    _task: AbortOnDropHandle<io::Result<()>>,
}

impl Server {
    async fn start() -> Result<Self, Failure> {
        let requests = Arc::new(AtomicUsize::new(0));
        let app = Router::new()
            .route("/{kind}", get(page))
            .with_state(Arc::clone(&requests));
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}", listener.local_addr()?).parse()?;
        let task = tokio::spawn(async { axum::serve(listener, app).await });
        let _task = AbortOnDropHandle::new(task);
        Ok(Self {
            url,
            requests,
            _task,
        })
    }

    fn items(&self, client: &Client, kind: &str) -> Result<Items, Failure> {
        let source = Source {
            client: client.clone(),
            url: self.url.join(kind)?,
            retries: 2,
            longest_wait: Duration::from_secs(5),
        };
        Ok(source.items().boxed())
    }

    /// How many requests came since it was last asked.
    fn requests(&self) -> usize {
        self.requests.swap(0, Ordering::Relaxed)
    }
}

/// A name for the type, as a struct needs for a field.
type Items = BoxStream<'static, Result<u32, PageError>>;

async fn page(
    State(requests): State<Arc<AtomicUsize>>,
    Path(kind): Path<String>,
    uri: Uri,
) -> Response {
    let requests = requests.fetch_add(1, Ordering::Relaxed) + 1;
    sleep(Duration::from_millis(200)).await;
    let cursor = uri.query().and_then(|query| query.strip_prefix("cursor="));
    let number: u32 = cursor.and_then(|cursor| cursor.parse().ok()).unwrap_or(1);
    match (kind.as_str(), number) {
        ("busy", 2) if requests == 2 => {
            let wait = [("retry-after", "1")];
            return (StatusCode::SERVICE_UNAVAILABLE, wait).into_response();
        }
        ("broken", 2) => return StatusCode::INTERNAL_SERVER_ERROR.into_response(),
        _ => {}
    }
    let next = match (kind.as_str(), number) {
        ("circle", 2) => Some("2"),
        (_, 1) => Some("2"),
        (_, 2) => Some("3"),
        _ => None,
    };
    let items = [2 * number - 1, 2 * number];
    Json(json!({ "items": items, "next": next })).into_response()
}

/// Works on each item for a tenth of a second.
async fn consume(mut items: Items) {
    loop {
        match items.try_next().await {
            Ok(Some(item)) => println!("item {item}"),
            Ok(None) => return println!("the end"),
            Err(error) => return println!("{error}"),
        }
        sleep(Duration::from_millis(100)).await;
    }
}

pub async fn run() -> Result<(), Failure> {
    let start = Instant::now();
    let at = |tenths: u32| sleep_until(start + tenths * Duration::from_millis(100));
    let server = Server::start().await?;
    // In an example the server is on this machine, which no proxy would reach.
    let builder = Client::builder().no_proxy();
    let client = builder.timeout(Duration::from_secs(5)).build()?;

    at(3).await;
    println!("A page takes 0.2 s, and so does the work on its two items:");
    consume(server.items(&client, "/good")?).await;
    println!("requests: {}", server.requests());

    at(12).await;
    println!("Only one item is wanted:");
    let mut items = server.items(&client, "/good")?;
    if let Some(item) = items.try_next().await? {
        println!("item {item}");
    }
    sleep(Duration::from_millis(100)).await;
    drop(items);
    at(18).await;
    println!("requests: {}", server.requests());

    println!("The second page comes only when it is asked for again:");
    consume(server.items(&client, "/busy")?).await;
    println!("requests: {}", server.requests());

    at(40).await;
    println!("The second page does not come:");
    consume(server.items(&client, "/broken")?).await;

    at(46).await;
    println!("After the second page comes the second page:");
    consume(server.items(&client, "/circle")?).await;
    Ok(())
}

#[tokio::main]
pub async fn main() -> Result<(), Failure> {
    run().await
}
