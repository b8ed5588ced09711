//! Web scraper: crawl a site politely, one page of a host at a time, with a delay.
//!
//! You pass a closure that visits a URL and returns the links that it has found. Each
//! visit waits until its host may be asked again, and then runs in a task, so a slow host
//! does not hold up the others. A link to a host that none of the first pages has is
//! ignored. To stop, drop the `Crawl`. The demonstration also asks `robots_txt`.
//!
//! Bounds: In [`Limits`] you set how deep links are followed, how many pages there are at
//! most, how many visits run concurrently, and the delay. `fetch` returns an error for a
//! page of more than `max_bytes` bytes. Of each page it takes at most 2,000 different
//! links, and skips links of more than 2,000 bytes. The client's timeout limits a
//! request.
//!
//! Trap: If your client follows redirects, a server can send it to pages that robots.txt
//! forbids, or to an address inside your network. Turn redirects off, and treat the
//! target of a redirect as a link of the page.
//!
//! Trap: If you parse pages into a tree, as the crate `scraper` does, a hostile page of
//! 2 MB of nested tags costs minutes. Use a parser that makes no tree: `html5gum`, used
//! here, reads a page in linear time.
//!
//! In production: The crate `spider` crawls whole sites, with robots.txt and a headless
//! browser.
//!
//! See also: `robots_txt`, `page_fetcher`, `retry`.
//!
//! asyncio: asyncio.TaskGroup, asyncio.Lock, asyncio.Semaphore, asyncio.timeout

use std::collections::{HashMap, HashSet};
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use futures::future::{BoxFuture, FutureExt};
use futures::stream::{FuturesUnordered, StreamExt};
use html5gum::{DefaultEmitter, Token, Tokenizer};
use reqwest::header::{CONTENT_TYPE, LOCATION};
use reqwest::{Client, StatusCode, Url};
use tokio::sync::{Mutex, Semaphore};
use tokio::task::{JoinError, spawn_blocking};
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
    /// If `max_visits` is 0, and outside a Tokio runtime.
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
            permits: Arc::new(Semaphore::new(
                limits.max_visits.min(Semaphore::MAX_PERMITS),
            )),
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
    /// Running visits continue while the caller does something else, but no new one
    /// starts. Cancel-safe. A visit whose future panics is an error.
    ///
    /// # Panics
    ///
    /// When the closure does, before it returns its future.
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
        let Some(host) = self.hosts.get(&host_name(&url)) else {
            return;
        };
        if url.as_str().len() <= MAX_URL
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

/// In bytes.
const MAX_URL: usize = 2_000;

/// The most links of one page. Further ones are ignored.
const MAX_LINKS: usize = 2_000;

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
    let mut page = Page {
        status,
        body,
        links: Vec::from_iter(target),
    };
    if page.links.is_empty() && kind.starts_with("text/html") {
        // On another thread, as 2 MB take a tenth of a second.
        let find = move || Page {
            links: links(&String::from_utf8_lossy(&page.body), &url),
            ..page
        };
        page = spawn_blocking(find).await?;
    }
    Ok(page)
}

/// Returns the different targets of `<a href=..>`, in their order.
pub fn links(html: &str, page: &Url) -> Vec<Url> {
    let mut emitter = DefaultEmitter::default();
    // The text of a script is not searched for tags.
    emitter.naively_switch_states(true);
    let (mut base, mut seen, mut links) = (None, HashSet::new(), Vec::new());
    for token in Tokenizer::new_with_emitter(html, emitter) {
        let Ok(Token::StartTag(tag)) = token else {
            continue;
        };
        let Some(href) = tag.attributes.get(b"href".as_slice()) else {
            continue;
        };
        if href.len() > MAX_URL {
            continue;
        }
        let from = base.as_ref().unwrap_or(page);
        let Ok(url) = from.join(&String::from_utf8_lossy(href)) else {
            continue;
        };
        match tag.name.as_slice() {
            // Only the first one counts.
            b"base" => base = base.or(Some(url)),
            b"a" if matches!(url.scheme(), "http" | "https")
                && url.as_str().len() <= MAX_URL
                && seen.insert(url.clone()) =>
            {
                links.push(url);
            }
            _ => {}
        }
        if links.len() == MAX_LINKS {
            break;
        }
    }
    links
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
