//! Fetch web pages, so many at once: title, length, a failed page, results in order.
//!
//! In asyncio all tasks exist from the start and wait for a semaphore; here a task begins
//! when one has ended, so that a list of a million URLs is not a million tasks. Pages
//! come as they end, hence each with its URL, and with its place for who wants them in
//! the order of the list. Dropping the set stops what runs. The trap is
//! `buffer_unordered` over plain futures: while the loop's body awaits something else
//! they stand still, and pages that came in time fail with "operation timed out".
//! `chars().count()` is Python's `len` of a text; Rust's counts bytes. The crate
//! `scraper` reads HTML as browsers do. `web_scraper` also follows links, heeds
//! robots.txt, tries again, and limits the size of a page.
//!
//! asyncio: asyncio.Semaphore, asyncio.TaskGroup, asyncio.as_completed, asyncio.gather
//! clock: real

use std::error::Error;
use std::io;
use std::iter::Enumerate;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use std::vec::IntoIter;

use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Html;
use axum::routing::get;
use reqwest::{Client, Url};
use tokio::net::TcpListener;
use tokio::task::JoinError;
use tokio::time::{Instant, interval_at, sleep};
use tokio_util::task::{AbortOnDropHandle, JoinMap};

pub type Failure = Box<dyn Error + Send + Sync>;

/// What is wanted of a page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// What stands between the first two tags, if they are there.
    pub title: Option<String>,
    /// In characters.
    pub length: usize,
}

impl Page {
    pub(crate) fn new(text: &str) -> Self {
        let title = text
            .split_once("<title>")
            .and_then(|(_, rest)| rest.split_once("</title>"))
            .map(|(title, _)| title.trim().to_owned());
        let length = text.chars().count();
        Self { title, length }
    }
}

/// Why there is no page.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// A status such as 404 is an error, too.
    #[error(transparent)]
    Http(#[from] reqwest::Error),
    /// The task of the fetch panicked. Its text is on standard error.
    #[error(transparent)]
    Crashed(#[from] JoinError),
}

/// The end of a fetch.
#[derive(Debug)]
pub struct Fetched {
    /// The place of the URL in the list, from 0 on.
    pub place: usize,
    /// What was fetched.
    pub url: Url,
    /// The page, or why there is none.
    pub page: Result<Page, FetchError>,
}

/// Fetches pages, so many at once.
pub struct Pages {
    client: Client,
    urls: Enumerate<IntoIter<Url>>,
    limit: usize,
    pub(crate) running: JoinMap<(usize, Url), reqwest::Result<Page>>,
}

impl Pages {
    /// Begins nothing yet.
    ///
    /// # Panics
    ///
    /// If the limit is 0: it would fetch nothing.
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

    /// Begins as many fetches as may run, and waits for the first that ends; nothing at
    /// the end of the list. Cancel-safe: who stops waiting for it loses no page.
    ///
    /// What runs goes on while the caller does something else; no more is begun then.
    pub async fn next(&mut self) -> Option<Fetched> {
        while self.running.len() < self.limit
            && let Some((place, url)) = self.urls.next()
        {
            let client = self.client.clone();
            let key = (place, url.clone());
            self.running
                .spawn(key, async move { fetch(&client, url).await });
        }
        // The key outlives a task that panics.
        let ((place, url), ended) = self.running.join_next().await?;
        let page = ended.map_err(FetchError::from);
        let page = page.and_then(|page| Ok(page?));
        Some(Fetched { place, url, page })
    }

    /// All that are left, in the order of the list.
    pub async fn in_order(mut self) -> Vec<Fetched> {
        let mut all = Vec::new();
        while let Some(fetched) = self.next().await {
            all.push(fetched);
        }
        all.sort_by_key(|fetched| fetched.place);
        all
    }
}

pub async fn fetch(client: &Client, url: Url) -> reqwest::Result<Page> {
    let response = client.get(url).send().await?.error_for_status()?;
    // Without reqwest's feature `charset` all text is taken for UTF-8.
    Ok(Page::new(&response.text().await?))
}

fn report(fetched: &Fetched) {
    let path = fetched.url.path();
    match &fetched.page {
        Ok(Page { title, length }) => {
            let title = title.as_deref().unwrap_or("no title");
            println!("{path}: {title}, {length} characters");
        }
        Err(FetchError::Http(error)) => match error.status() {
            Some(status) => println!("{path}: {status}"),
            None if error.is_timeout() => println!("{path}: no answer in time"),
            None => println!("{path}: {}", innermost(error)),
        },
        Err(error) => println!("{path}: {error}"),
    }
}

fn innermost(mut error: &dyn Error) -> &dyn Error {
    while let Some(source) = error.source() {
        error = source;
    }
    error
}

/// How many pages it has sent.
type Sent = Arc<AtomicUsize>;

/// A page that comes after so many milliseconds.
async fn page(
    Path((name, millis)): Path<(String, u64)>,
    State(sent): State<Sent>,
) -> (StatusCode, Html<String>) {
    sleep(Duration::from_millis(millis)).await;
    sent.fetch_add(1, Ordering::Relaxed);
    match name.as_str() {
        "untitled" => (StatusCode::OK, Html("<p>Hello</p>".to_owned())),
        "missing" => {
            let text = "<title>Not found</title>".to_owned();
            (StatusCode::NOT_FOUND, Html(text))
        }
        "Cafe" => (StatusCode::OK, Html("<title>Café</title>".to_owned())),
        _ => (StatusCode::OK, Html(format!("<title>{name}</title>"))),
    }
}

pub async fn start_server(
    sent: Sent,
) -> Result<(Url, AbortOnDropHandle<io::Result<()>>), Failure> {
    let app = Router::new()
        .route("/{name}/{millis}", get(page))
        .with_state(sent);
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let root = Url::parse(&format!("http://{}/", listener.local_addr()?))?;
    let task = tokio::spawn(async { axum::serve(listener, app).await });
    Ok((root, AbortOnDropHandle::new(task)))
}

pub async fn run() -> Result<(), Failure> {
    // Each part begins at its time, however long the one before it took.
    let first = Instant::now() + Duration::from_millis(500);
    let mut part = interval_at(first, Duration::from_secs(1));
    let sent = Sent::default();
    let (root, _server) = start_server(Arc::clone(&sent)).await?;
    let urls = |paths: &[&str]| -> Result<Vec<Url>, _> {
        paths.iter().map(|path| root.join(path)).collect()
    };
    let builder = Client::builder().timeout(Duration::from_millis(500));
    // In an example the server is on this machine, which no proxy would reach.
    let client = builder.no_proxy().build()?;
    let list = [
        "Home/400",
        "Cafe/100",
        "missing/200",
        "untitled/200",
        "slow/900",
    ];
    let list = urls(&list)?;
    part.tick().await;
    println!("As they come, 2 at once:");
    let mut pages = Pages::new(client.clone(), list.clone(), 2);
    while let Some(fetched) = pages.next().await {
        report(&fetched);
    }

    part.tick().await;
    println!("In the order of the list, 3 at once:");
    let pages = Pages::new(client.clone(), list, 3);
    for fetched in pages.in_order().await {
        report(&fetched);
    }

    let list = urls(&["One/100", "Two/200", "Three/300"])?;
    part.tick().await;
    println!("Each is stored for 0.25 s before the next:");
    let mut pages = Pages::new(client.clone(), list.clone(), 3);
    while let Some(fetched) = pages.next().await {
        report(&fetched);
        sleep(Duration::from_millis(250)).await;
    }

    part.tick().await;
    println!("Only the first that comes:");
    sent.store(0, Ordering::Relaxed);
    let mut pages = Pages::new(client, list, 3);
    if let Some(fetched) = pages.next().await {
        report(&fetched);
    }
    drop(pages);
    sleep(Duration::from_millis(400)).await;
    println!("the server sent {} of 3", sent.load(Ordering::Relaxed));
    Ok(())
}

#[tokio::main]
pub async fn main() -> Result<(), Failure> {
    run().await
}
