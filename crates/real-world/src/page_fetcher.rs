//! Fetch web pages, at most N concurrently: title, length, failed pages, order.
//!
//! In asyncio, all tasks usually exist from the start and wait for a semaphore. Here
//! `limit` tasks are spawned, and the next task only when one has ended. So a million
//! URLs are never a million tasks. `Pages::next` returns each page as soon as the page
//! is ready, unlike `fetch_urls`.
//!
//! Bounds: At most `limit` tasks run. A page of more than [`MAX_PAGE`] bytes is an
//! error. The client's timeout limits a request. Unbounded: The list of URLs.
//!
//! Trap: If you use `buffer_unordered` of the crate `futures` instead of tasks, all
//! requests pause while the body of your loop awaits something else. Then even requests
//! with a fast server fail with "operation timed out". Spawned tasks, as here, keep
//! running.
//!
//! In production: If you need more than titles and links, the crate `scraper` finds
//! elements by CSS selectors. It builds a tree, which takes minutes for a hostile page.
//!
//! See also: `fetch_urls`, `web_scraper`, `map_with_limit`, `api_client`.
//!
//! asyncio: asyncio.Semaphore, asyncio.TaskGroup, asyncio.as_completed, asyncio.gather

use std::iter::Enumerate;
use std::vec::IntoIter;

use html5gum::{DefaultEmitter, Token, Tokenizer};
use reqwest::{Client, Url};
use tokio::task::{JoinError, spawn_blocking};
use tokio_util::task::JoinMap;

/// The largest page, in bytes.
pub const MAX_PAGE: usize = 2_000_000;

/// The title and the length of a page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// The text of the first `<title>`, if there is one.
    pub title: Option<String>,
    /// In characters, as `len` of a `str` in Python.
    pub length: usize,
}

impl Page {
    pub(crate) fn new(text: &str) -> Self {
        Self {
            title: title(text),
            length: text.chars().count(),
        }
    }
}

/// Returns the text of the first title, with single spaces.
fn title(html: &str) -> Option<String> {
    let mut emitter = DefaultEmitter::default();
    // A title in a script or a comment is none.
    emitter.naively_switch_states(true);
    let mut tokens = Tokenizer::new_with_emitter(html, emitter).flatten();
    tokens.find(
        |token| matches!(token, Token::StartTag(tag) if tag.name.as_slice() == b"title"),
    )?;
    let mut title = Vec::new();
    for token in tokens {
        match token {
            Token::String(text) => title.extend_from_slice(&text),
            Token::EndTag(_) => break,
            _ => {}
        }
    }
    let title = String::from_utf8_lossy(&title).into_owned();
    Some(title.split_whitespace().collect::<Vec<_>>().join(" "))
}

/// Why there is no page.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    #[error("more than {0} bytes")]
    TooLarge(usize),
    /// A status such as 404 is an error, too. Any other, such as 304, is a page.
    #[error(transparent)]
    Http(#[from] reqwest::Error),
    /// The fetch panicked. The panic's text is on standard error.
    #[error(transparent)]
    Crashed(#[from] JoinError),
}

/// Fetches pages, at most `limit` concurrently. Dropping this aborts the fetches.
#[derive(Debug)]
pub struct Pages {
    client: Client,
    urls: Enumerate<IntoIter<Url>>,
    limit: usize,
    pub(crate) running: JoinMap<(usize, Url), Result<Page, FetchError>>,
}

impl Pages {
    /// Returns the fetches, which start with the first call of `next`.
    ///
    /// # Panics
    ///
    /// If `limit` is 0: it would fetch nothing.
    pub fn new(client: Client, urls: Vec<Url>, limit: usize) -> Self {
        assert!(limit > 0, "a limit of 0 would fetch nothing");
        let (urls, running) = (urls.into_iter().enumerate(), JoinMap::new());
        Self {
            client,
            urls,
            limit,
            running,
        }
    }

    /// Starts fetches up to the limit, and waits until one of them ends. Returns the
    /// index of the URL in the list, the URL and the page; `None` after the last.
    ///
    /// Between two calls, running fetches continue, but no new one starts. Dropping the
    /// future of `next` loses no page.
    pub async fn next(&mut self) -> Option<(usize, Url, Result<Page, FetchError>)> {
        let free = self.limit.saturating_sub(self.running.len());
        for (index, url) in self.urls.by_ref().take(free) {
            let client = self.client.clone();
            let key = (index, url.clone());
            self.running
                .spawn(key, async move { fetch(&client, url).await });
        }
        // The key outlives a task that panics.
        let ((index, url), ended) = self.running.join_next().await?;
        let page = ended.unwrap_or_else(|error| Err(error.into()));
        Some((index, url, page))
    }
}

pub async fn fetch(client: &Client, url: Url) -> Result<Page, FetchError> {
    let mut response = client.get(url).send().await?.error_for_status()?;
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        if body.len() + chunk.len() > MAX_PAGE {
            return Err(FetchError::TooLarge(MAX_PAGE));
        }
        body.extend_from_slice(&chunk);
    }
    // For encodings other than UTF-8: `encoding_rs`, or reqwest's feature `charset`. A
    // large page would keep other tasks from running.
    let read = move || Page::new(&String::from_utf8_lossy(&body));
    Ok(spawn_blocking(read).await?)
}

/// Prints the titles of pages: `cargo run -- https://example.com/ https://example.org/`.
#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let urls = std::env::args().skip(1).map(|url| url.parse());
    let urls: Vec<Url> = urls.collect::<Result<_, _>>()?;
    let client = Client::builder().timeout(std::time::Duration::from_secs(30));
    let mut pages = Pages::new(client.build()?, urls, 10);
    while let Some((_, url, page)) = pages.next().await {
        match page {
            Ok(page) => println!("{url}: {}", page.title.unwrap_or_default()),
            Err(error) => println!("{url}: {error}"),
        }
    }
    Ok(())
}

//@ clock: real
//@ try: http://127.0.0.1:1/ -> http://127.0.0.1:1/: error sending request
