//! Web scraper: crawl a site politely, one page of a host at a time, with a delay.
//!
//! Your closure visits a URL and returns the links that it has found. Each visit waits
//! for its turn and then runs in a task, so a slow host does not hold up the others. To
//! stop, drop the `Crawl`. The demonstration asks `robots_txt`.
//!
//! Bounds: [`Limits`], `max_bytes`, the client's timeout. URLs of more than 2,000 bytes,
//! other hosts and `<base href>` are ignored.
//!
//! Trap: a client that follows redirects requests pages that robots.txt forbids. Turn
//! that off, and treat the target as a link: it may be an internal address.
//!
//! See also: `robots_txt`, `page_fetcher`, `retry`.
//!
//! asyncio: asyncio.TaskGroup, asyncio.Lock, asyncio.Semaphore, asyncio.timeout

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use futures::future::{BoxFuture, FutureExt};
use futures::stream::{FuturesUnordered, StreamExt};
use reqwest::header::{CONTENT_TYPE, LOCATION};
use reqwest::{Client, StatusCode, Url};
use tokio::sync::{Mutex, Semaphore};
use tokio::task::JoinError;
use tokio::time::{Interval, interval};
use tokio_util::task::AbortOnDropHandle;

/// How far a crawl goes, and how fast.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// The most concurrent visits, of all hosts together. At least 1.
    pub max_visits: usize,
    /// From the start of a visit to the start of the next one to its host. At least a
    /// millisecond.
    pub delay: Duration,
    /// How many links away from the first pages.
    pub max_depth: u32,
    /// The most URLs of one crawl. Further ones are ignored.
    pub max_pages: usize,
}

/// What a visit returns: an outcome and the links of the page, or an error.
pub type Visit<T, E> = Result<(T, Vec<Url>), E>;

/// A visit that waits or runs: the URL, its depth, and the result of the visit.
type Visited<T, E> = BoxFuture<'static, (Url, u32, Visit<T, E>)>;

/// A crawl in progress.
pub struct Crawl<T, E> {
    limits: Limits,
    visit: Box<dyn Fn(Url) -> BoxFuture<'static, Visit<T, E>> + Send>,
    visits: FuturesUnordered<Visited<T, E>>,
    /// When the next visit may start. The running visit holds the lock.
    hosts: HashMap<HostName, Arc<Mutex<Interval>>>,
    permits: Arc<Semaphore>,
    seen: HashSet<Url>,
}

impl<T, E> Crawl<T, E>
where
    T: Send + 'static,
    E: From<JoinError> + Send + 'static,
{
    /// Returns a crawl of these pages, and of the linked pages on the same hosts, and so
    /// on.
    ///
    /// # Panics
    ///
    /// If `max_visits` is 0, and outside of a Tokio runtime.
    pub fn new<F>(
        first: Vec<Url>,
        limits: Limits,
        visit: impl Fn(Url) -> F + Send + 'static,
    ) -> Self
    where
        F: Future<Output = Visit<T, E>> + Send + 'static,
    {
        assert!(limits.max_visits > 0, "without a visit it would never end");
        let delay = limits.delay.max(Duration::from_millis(1));
        let host = |url| (host_name(url), Arc::new(Mutex::new(interval(delay))));
        let mut crawl = Self {
            limits,
            visit: Box::new(move |url| visit(url).boxed()),
            visits: FuturesUnordered::new(),
            hosts: first.iter().map(host).collect(),
            permits: Arc::new(Semaphore::new(limits.max_visits)),
            seen: HashSet::new(),
        };
        for url in first {
            crawl.find(url, 0);
        }
        crawl
    }

    /// Returns the next URL whose visit has ended, with its outcome; `None` after the
    /// last one.
    ///
    /// Running visits go on while the caller does something else, but no new one starts.
    /// Cancel-safe. A visit that panics is an error.
    pub async fn next(&mut self) -> Option<(Url, Result<T, E>)> {
        let (url, depth, visit) = self.visits.next().await?;
        let outcome = visit.map(|(outcome, links)| {
            if depth < self.limits.max_depth {
                links
                    .into_iter()
                    .for_each(|link| self.find(link, depth + 1));
            }
            outcome
        });
        Some((url, outcome))
    }

    fn find(&mut self, mut url: Url, depth: u32) {
        url.set_fragment(None);
        if let Some(host) = self.hosts.get(&host_name(&url))
            && url.as_str().len() <= 2_000
            && self.seen.len() < self.limits.max_pages
            && self.seen.insert(url.clone())
        {
            let (host, permits) = (Arc::clone(host), Arc::clone(&self.permits));
            let visit = (self.visit)(url.clone());
            let visit = async move {
                let mut host = host.lock().await;
                host.tick().await;
                let _permit = permits.acquire().await.expect("it is never closed");
                host.reset();
                let task = AbortOnDropHandle::new(tokio::spawn(visit));
                (url, depth, task.await.unwrap_or_else(|it| Err(it.into())))
            };
            self.visits.push(visit.boxed());
        }
    }
}

type HostName = (String, Option<u16>);

/// Returns the same name for http and https, if both use their default ports.
fn host_name(url: &Url) -> HostName {
    (url.host_str().unwrap_or_default().to_owned(), url.port())
}

/// A server's answer.
#[derive(Debug)]
pub struct Page {
    pub status: StatusCode,
    pub body: Vec<u8>,
    /// The targets of the links in HTML, or the target of a redirect.
    pub links: Vec<Url>,
}

/// Any error that can move to another thread. `?` converts every other error into it.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Fetches a page of at most `max_bytes`.
pub async fn fetch(client: &Client, url: Url, max_bytes: usize) -> Result<Page, Failure> {
    let mut response = client.get(url.clone()).send().await?;
    let (status, headers) = (response.status(), response.headers());
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let target = text(LOCATION).filter(|_| status.is_redirection());
    let target = target.and_then(|target| url.join(target).ok());
    let kind = text(CONTENT_TYPE).unwrap_or_default().to_ascii_lowercase();
    let mut body = Vec::new();
    // `Content-Length` may be wrong, or missing.
    while let Some(chunk) = response.chunk().await? {
        if body.len() + chunk.len() > max_bytes {
            return Err(format!("larger than {max_bytes} bytes").into());
        }
        body.extend_from_slice(&chunk);
    }
    let links = match target {
        None if kind.starts_with("text/html") => {
            links(&String::from_utf8_lossy(&body), &url)
        }
        target => Vec::from_iter(target),
    };
    Ok(Page {
        status,
        body,
        links,
    })
}

/// Returns the targets of `<a href=..>`, as far as they are found without a parser.
pub fn links(html: &str, page: &Url) -> Vec<Url> {
    let target = |tag: &str| {
        let tag = tag.split('>').next()?.replace(['\n', '\r', '\t'], " ");
        let lower = tag.to_ascii_lowercase();
        let start = lower.find(" href=").filter(|_| lower.starts_with("a "))?;
        let value = &tag[start + " href=".len()..];
        let value = match value.chars().next()? {
            quote @ ('"' | '\'') => value[1..].split(quote).next()?,
            _ => value.split(' ').next()?,
        };
        let url = page.join(&value.replace("&amp;", "&")).ok();
        url.filter(|url| matches!(url.scheme(), "http" | "https"))
    };
    html.split('<').filter_map(target).collect()
}

/// Checks the pages of your site: `cargo run -- https://example.com/`.
#[tokio::main]
async fn main() -> Result<(), Failure> {
    let first = std::env::args().skip(1).map(|url| url.parse());
    let limits = Limits {
        max_visits: 10,
        delay: Duration::from_secs(1),
        max_depth: 3,
        max_pages: 1000,
    };
    let client = Client::builder().redirect(reqwest::redirect::Policy::none());
    let client = client.timeout(Duration::from_secs(30)).build()?;
    let visit = move |url| {
        let client = client.clone();
        async move {
            let page = fetch(&client, url, 2_000_000).await?;
            let text = format!("{}, {} bytes", page.status, page.body.len());
            Ok::<_, Failure>((text, page.links))
        }
    };
    let mut crawl = Crawl::new(first.collect::<Result<_, _>>()?, limits, visit);
    while let Some((url, visited)) = crawl.next().await {
        match visited {
            Ok(text) => println!("{url}: {text}"),
            Err(error) => println!("{url}: {error}"),
        }
    }
    Ok(())
}

//@ clock: real
//@ order: robots.txt
//@ try: http://127.0.0.1:1/ -> http://127.0.0.1:1/: error sending request
