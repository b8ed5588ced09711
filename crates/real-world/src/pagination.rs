//! Read a paginated API as a stream of items, and fetch the next page ahead.
//!
//! Where Python has an async generator with `yield`, here `try_unfold` of the crate
//! `futures` calls a function for each item and passes the state to the next call. A
//! stream does nothing while its consumer works on an item, so a task fetches the next
//! page. Dropping the stream stops that request; Python needs `aclosing` for it. If a
//! busy server (503 or 429) sends `Retry-After`, the request is retried after that
//! time.
//!
//! Bounds: At most one page is fetched ahead. A stream ends with an error after
//! `max_pages` pages, at a page of more than `max_bytes`, after `max_retries` retries,
//! or if the server asks for a longer wait than `max_wait`. The client's timeout limits
//! each request.
//!
//! Trap: If you collect the stream with `try_collect` and the fifth page fails, you
//! lose the items of the first four pages too. Call `try_next` in a loop.
//!
//! Trap: A server with a bug may return a cursor (the mark of the next page) that it
//! has returned before, or never stop naming new cursors. The stream would then never
//! end. Here both are errors.
//!
//! In production: `reqwest-retry` is a layer around reqwest's client that retries after
//! 429 and 503.
//!
//! asyncio: yield, async for, contextlib.aclosing, asyncio.create_task

use std::collections::HashSet;
use std::time::Duration;
use std::vec::IntoIter;

use futures::stream::{self, Stream, StreamExt};
use reqwest::header::RETRY_AFTER;
use reqwest::{Client, StatusCode, Url};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::task::JoinError;
use tokio::time::sleep;
use tokio_util::task::AbortOnDropHandle;

/// Why the stream ended before the last item.
#[derive(Debug, thiserror::Error)]
pub enum PageError {
    /// No connection, no answer in time, or an answer that broke off.
    #[error("no page came")]
    Request(#[from] reqwest::Error),
    /// The server answered with an error, or was busy for too long.
    #[error("status {0}")]
    Status(StatusCode),
    /// The server named a cursor that it had named before.
    #[error("the cursor {0:?} came again")]
    RepeatedCursor(String),
    /// The last allowed page names another one.
    #[error("more than {0} pages")]
    TooManyPages(usize),
    #[error("a page of more than {0} bytes")]
    TooLarge(usize),
    #[error("not the page that was expected")]
    Json(#[from] serde_json::Error),
    /// The `Deserialize` of an item panicked.
    #[error("a fetch panicked")]
    Panicked(#[from] JoinError),
}

/// The server's answer. Other APIs name the next page in the header `Link`, or take an
/// offset: change this struct and `fetch`.
#[derive(Debug, Deserialize)]
struct Page<T> {
    items: Vec<T>,
    /// Names the next page, if there is one.
    next: Option<String>,
}

/// The API that sends the pages, and the limits for reading it.
#[derive(Clone, Debug)]
pub struct Source {
    /// Give it a timeout: by default a client has none.
    pub client: Client,
    /// The URL of the first page. The other pages add the parameter `cursor`.
    pub url: Url,
    /// How often a page is requested again while the server is busy.
    pub max_retries: u32,
    /// If `Retry-After` asks for a longer wait, the stream ends with an error.
    pub max_wait: Duration,
    /// The most pages, because a server may always name another one.
    pub max_pages: usize,
    /// The largest page, in bytes.
    pub max_bytes: usize,
}

impl Source {
    /// Returns a stream of all items. It fetches the next page while one is consumed.
    ///
    /// The stream ends after an error. It fetches nothing before the first poll, and
    /// nothing after it is dropped. It needs a Tokio runtime.
    pub fn items<T>(self) -> impl Stream<Item = Result<T, PageError>> + Send
    where
        T: DeserializeOwned + Send + 'static,
    {
        stream::once(async { stream::try_unfold(Pages::new(self), Pages::next) })
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
        let mut retries = self.max_retries;
        loop {
            let mut response = self.client.get(url.clone()).send().await?;
            let status = response.status();
            if status.is_success() {
                let mut body = Vec::new();
                while let Some(chunk) = response.chunk().await? {
                    if body.len() + chunk.len() > self.max_bytes {
                        return Err(PageError::TooLarge(self.max_bytes));
                    }
                    body.extend_from_slice(&chunk);
                }
                return Ok(serde_json::from_slice(&body)?);
            }
            match retry_after(&response) {
                Some(wait) if retries > 0 && wait <= self.max_wait => {
                    retries -= 1;
                    // Frees the connection during the sleep.
                    drop(response);
                    sleep(wait).await;
                }
                _ => return Err(PageError::Status(status)),
            }
        }
    }
}

/// Returns the wait that a busy server asks for in seconds. Dates are not supported.
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

/// The rest of the current page, and the fetch of the next one.
struct Pages<T> {
    source: Source,
    items: IntoIter<T>,
    next_page: Option<AbortOnDropHandle<Result<Page<T>, PageError>>>,
    seen: HashSet<String>,
}

impl<T: DeserializeOwned + Send + 'static> Pages<T> {
    fn new(source: Source) -> Self {
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
        let is_too_many = self.seen.len() + 1 >= source.max_pages && cursor.is_some();
        let new = cursor.clone().is_none_or(|cursor| self.seen.insert(cursor));
        let fetch = tokio::spawn(async move {
            match cursor {
                // The error comes after the items of the page that named the cursor.
                Some(cursor) if !new => Err(PageError::RepeatedCursor(cursor)),
                _ if is_too_many => Err(PageError::TooManyPages(source.max_pages)),
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
            // Some servers send an empty cursor with the last page.
            if let Some(cursor) = page.next.filter(|cursor| !cursor.is_empty()) {
                self.fetch_ahead(Some(cursor));
            }
        }
    }
}

/// Prints the items of a paginated API: `cargo run -- https://example.com/items`.
#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    use futures::TryStreamExt as _;

    let url = std::env::args().nth(1).ok_or("usage: URL")?;
    let source = Source {
        client: Client::builder().timeout(Duration::from_secs(30)).build()?,
        url: url.parse()?,
        max_retries: 2,
        max_wait: Duration::from_secs(5),
        max_pages: 10_000,
        max_bytes: 2_000_000,
    };
    let mut items = std::pin::pin!(source.items::<serde_json::Value>());
    while let Some(item) = items.try_next().await? {
        println!("{item}");
    }
    Ok(())
}

//@ clock: real
