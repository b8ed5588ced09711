//! Web scraper: crawl a site politely, with robots.txt, limits, delays, retries, Ctrl-C.
//!
//! Each URL is a future that waits for its turn. All are in one `FuturesUnordered` and
//! borrow what they share; asyncio needs a task for each. Requests and the matching of
//! robots.txt run elsewhere, so that no page and no hostile file holds up the others.
//!
//! Bounds: each in [`Options`]; robots.txt and URLs by constants. Ignored are
//! `Crawl-delay`, `<base href>`, `Retry-After` and sitemaps.
//!
//! Trap: a client that follows redirects requests pages that robots.txt forbids.
//!
//! Trap: names, links and redirects may lead to internal addresses, and the robots.txt of
//! a site may redirect anywhere. A server needs a proxy or resolver that refuses them.
//!
//! In production: `spider` also runs scripts; `scraper` parses HTML as browsers do.
//!
//! asyncio: asyncio.TaskGroup, asyncio.Lock, asyncio.timeout, KeyboardInterrupt
//! clock: real
//! order: robots.txt
//! try: http://127.0.0.1:1/ -> http://127.0.0.1:1/: robots.txt: no answer

use std::collections::{HashMap, HashSet};
use std::error::Error;
use std::slice;
use std::sync::Arc;
use std::time::Duration;

use futures::stream::{FuturesUnordered, StreamExt};
use reqwest::header::{CONTENT_TYPE, LOCATION};
use reqwest::{Client, ClientBuilder, StatusCode, Url, redirect, tls};
use tokio::sync::{Mutex, Semaphore, SemaphorePermit, mpsc};
use tokio::task::{JoinError, spawn_blocking};
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

/// How sites are scraped.
#[derive(Clone, Debug)]
pub struct Options {
    /// The value of `User-Agent`. What stands before the `/` is looked up in robots.txt.
    pub agent: &'static str,
    /// The most concurrent requests in all. At least 1.
    pub max_requests: usize,
    /// The most concurrent requests to one host. At least 1.
    pub max_per_host: usize,
    /// From the start of a request to a host to the start of the next one.
    pub delay: Duration,
    /// For a request, from the connection to the last byte of the body.
    pub timeout: Duration,
    /// The largest body.
    pub max_bytes: usize,
    /// How many links away from the first pages. A redirect is a link, too.
    pub max_depth: u32,
    /// The most URLs. Others are left out.
    pub max_pages: usize,
    /// How often a URL is requested when the server is busy or the connection breaks.
    pub max_attempts: u32,
    /// The pause before the second attempt. It doubles before each further one.
    pub initial_backoff: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            agent: "asyncio-to-tokio/0.1",
            max_requests: 10,
            max_per_host: 2,
            delay: Duration::from_secs(1),
            timeout: Duration::from_secs(30),
            max_bytes: 2_000_000,
            max_depth: 3,
            max_pages: 1000,
            max_attempts: 3,
            initial_backoff: Duration::from_secs(1),
        }
    }
}

/// In bytes. Longer URLs are left out.
const MAX_URL: usize = 2_000;
/// In bytes, as much as RFC 9309 asks for. Of a host with a larger one nothing is
/// fetched.
const MAX_ROBOTS: usize = 500 * 1024;

impl Options {
    /// Returns a client with limits that reqwest does not set by itself, and that leaves
    /// redirects to [`scrape`].
    pub fn client(&self) -> ClientBuilder {
        Client::builder()
            .user_agent(self.agent)
            .timeout(self.timeout)
            .redirect(redirect::Policy::none())
            .tls_version_min(tls::Version::TLS_1_2)
    }
}

/// The outcome for a URL.
pub type Outcome = Result<Fetched, Failure>;

/// What a server answered.
#[derive(Debug)]
pub enum Fetched {
    /// The body, and the links in it if it is HTML.
    Page { body: Vec<u8>, links: Vec<Url> },
    /// The page is at this URL.
    Moved(Url),
}

/// Why there is no page.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    #[error("status {}", .0.as_u16())]
    Status(StatusCode),
    #[error("larger than {0} bytes")]
    TooLarge(usize),
    #[error("robots.txt does not allow it")]
    NotAllowed,
    #[error("robots.txt: {0}")]
    NoRules(String),
    #[error("{}", reason(.0))]
    NoAnswer(#[from] reqwest::Error),
    #[error("crashed: {0}")]
    Crashed(#[from] JoinError),
    #[error("stopped")]
    Stopped,
}

/// Returns the innermost error, such as "connection refused".
fn reason(error: &reqwest::Error) -> String {
    let mut reason: &dyn Error = error;
    while let Some(source) = reason.source() {
        reason = source;
    }
    match error.is_timeout() {
        true => "timed out".to_owned(),
        false => format!("no answer: {reason}"),
    }
}

impl Failure {
    pub(crate) fn is_worth_a_retry(&self) -> bool {
        match self {
            Self::Status(status) => matches!(status.as_u16(), 429 | 500 | 502..=504),
            Self::NoAnswer(error) => !error.is_builder(),
            _ => false,
        }
    }
}

/// Scrapes these pages, the pages of their hosts that they link to, and so on. Sends each
/// URL with its outcome, once. Fetches nothing from a host whose robots.txt cannot be
/// read.
///
/// When `stop` is cancelled, all requests are dropped, and each URL that is left is sent
/// with [`Failure::Stopped`]. When the receiver or this future is dropped, the scrape
/// just stops.
///
/// # Panics
///
/// If `max_requests` or `max_per_host` is 0, and outside of a Tokio runtime.
pub async fn scrape(
    client: &Client,
    first: Vec<Url>,
    options: &Options,
    stop: &CancellationToken,
    results: mpsc::Sender<(Url, Outcome)>,
) {
    let is_possible = options.max_requests > 0 && options.max_per_host > 0;
    assert!(
        is_possible,
        "with no concurrent request it would never begin"
    );
    let all = &Semaphore::new(options.max_requests);
    let new_host = |url| (host_name(url), Host::new(client, options, all));
    let hosts: HashMap<_, _> = first.iter().map(new_host).collect();
    let mut found: Vec<_> = first.into_iter().map(|url| (url, 0)).collect();
    let (mut seen, mut visits) = (HashSet::new(), FuturesUnordered::new());
    loop {
        for (mut url, depth) in found.drain(..) {
            url.set_fragment(None);
            if let Some(host) = hosts.get(&host_name(&url))
                && url.as_str().len() <= MAX_URL
                && seen.len() < options.max_pages
                && seen.insert(url.clone())
            {
                visits.push(async move {
                    let visit = stop.run_until_cancelled(host.visit(&url)).await;
                    (url, depth, visit.unwrap_or(Err(Failure::Stopped)))
                });
            }
        }
        let Some((url, depth, outcome)) = visits.next().await else {
            return;
        };
        let links = match &outcome {
            _ if depth == options.max_depth => &[],
            Ok(Fetched::Page { links, .. }) => &links[..],
            Ok(Fetched::Moved(target)) => slice::from_ref(target),
            Err(_) => &[],
        };
        found.extend(links.iter().map(|url| (url.clone(), depth + 1)));
        if results.send((url, outcome)).await.is_err() {
            return;
        }
    }
}

/// Returns the same for both schemes, if they have their usual ports.
fn host_name(url: &Url) -> (String, Option<u16>) {
    (url.host_str().unwrap_or_default().to_owned(), url.port())
}

/// What the visits to a host share.
struct Host<'a> {
    client: &'a Client,
    options: &'a Options,
    /// For all hosts.
    all: &'a Semaphore,
    permits: Semaphore,
    /// When the next request may start. Waiters for the lock are served in order.
    due: Mutex<Instant>,
    rules: Mutex<Option<Result<Arc<Rules>, String>>>,
}

impl<'a> Host<'a> {
    fn new(client: &'a Client, options: &'a Options, all: &'a Semaphore) -> Self {
        Self {
            client,
            options,
            all,
            permits: Semaphore::new(options.max_per_host),
            due: Mutex::new(Instant::now()),
            rules: Mutex::default(),
        }
    }

    async fn visit(&self, url: &Url) -> Outcome {
        // One at a time, so that visits keep their order.
        let mut guard = self.rules.lock().await;
        let rules = match &*guard {
            Some(rules) => rules,
            None => guard.insert(self.read_rules(url).await),
        };
        let rules =
            Arc::clone(rules.as_ref().map_err(|it| Failure::NoRules(it.clone()))?);
        let asked = url.clone();
        // A hostile robots.txt takes a tenth of a second for a long URL.
        if !spawn_blocking(move || rules.allow(&asked)).await? {
            return Err(Failure::NotAllowed);
        }
        drop(guard);
        self.get(url, self.options.max_bytes).await
    }

    /// By RFC 9309 all is allowed where there is no robots.txt, nothing while the server
    /// cannot say, and five redirects are followed.
    async fn read_rules(&self, page: &Url) -> Result<Arc<Rules>, String> {
        let joined = page.join("/robots.txt");
        let mut url = joined.map_err(|error| error.to_string())?;
        for _ in 0..=5 {
            match self.get(&url, MAX_ROBOTS).await {
                Ok(Fetched::Page { body, .. }) => {
                    let agent = self.options.agent;
                    let parse =
                        move || Rules::parse(&String::from_utf8_lossy(&body), agent);
                    let rules = spawn_blocking(parse).await;
                    return rules.map(Arc::new).map_err(|panic| panic.to_string());
                }
                Ok(Fetched::Moved(target)) => url = target,
                Err(Failure::Status(status))
                    if status.is_client_error() && status.as_u16() != 429 =>
                {
                    return Ok(Arc::default());
                }
                Err(failure) => return Err(failure.to_string()),
            }
        }
        Err("more than 5 redirects".to_owned())
    }

    /// Requests in its turn, and after a failure again in another one.
    async fn get(&self, url: &Url, max_bytes: usize) -> Outcome {
        let (mut attempts, mut backoff) = (1, self.options.initial_backoff);
        loop {
            let outcome = {
                let _permits = self.turn().await;
                let fetch = fetch(self.client.clone(), url.clone(), max_bytes);
                AbortOnDropHandle::new(tokio::spawn(fetch)).await?
            };
            match outcome {
                Err(failure)
                    if failure.is_worth_a_retry()
                        && attempts < self.options.max_attempts =>
                {
                    sleep(backoff).await;
                }
                outcome => return outcome,
            }
            (attempts, backoff) = (attempts + 1, backoff.saturating_mul(2));
        }
    }

    /// Waits until a request may start: for a permit of the host, for the delay, and last
    /// for a permit of all hosts, so that no sleeper holds one.
    async fn turn(&self) -> [SemaphorePermit<'_>; 2] {
        const OPEN: &str = "it is never closed";
        let permit = self.permits.acquire().await.expect(OPEN);
        let mut due = self.due.lock().await;
        let mut start = Instant::now();
        // Even for no time at all, a sleep would last until the next millisecond.
        if start < *due {
            start = *due;
            sleep_until(start).await;
        }
        // Timers are a little late. The lateness must not add up.
        let of_all = match self.all.try_acquire() {
            Ok(of_all) => of_all,
            Err(_) => {
                let of_all = self.all.acquire().await.expect(OPEN);
                start = Instant::now();
                of_all
            }
        };
        *due = start + self.options.delay;
        [permit, of_all]
    }
}

async fn fetch(client: Client, url: Url, max_bytes: usize) -> Outcome {
    let mut response = client.get(url.clone()).send().await?;
    let (status, headers) = (response.status(), response.headers());
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let target = text(LOCATION).and_then(|target| url.join(target).ok());
    match target {
        Some(target) if status.is_redirection() => return Ok(Fetched::Moved(target)),
        _ if !status.is_success() => return Err(Failure::Status(status)),
        _ => {}
    }
    let kind = text(CONTENT_TYPE).unwrap_or_default().to_ascii_lowercase();
    let mut body = Vec::new();
    // `Content-Length` may be wrong, or missing.
    while let Some(chunk) = response.chunk().await? {
        if body.len() + chunk.len() > max_bytes {
            return Err(Failure::TooLarge(max_bytes));
        }
        body.extend_from_slice(&chunk);
    }
    let links = match kind.starts_with("text/html") {
        true => links(&String::from_utf8_lossy(&body), &url),
        false => Vec::new(),
    };
    Ok(Fetched::Page { body, links })
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

/// The rules of a robots.txt for one agent, by RFC 9309. Older versions of Python's
/// `robotparser` let the first rule that matches decide, and know no `*` and `$`.
#[derive(Debug, Default)]
pub struct Rules(Vec<Rule>);

#[derive(Debug)]
struct Rule {
    allow: bool,
    /// `*` stands for any text.
    pattern: String,
    /// Whether it is the pattern of the whole path: it ended in `$`.
    whole: bool,
}

impl Rules {
    /// Returns the rules for this agent, or those for `*` if it has none of its own.
    pub(crate) fn parse(text: &str, agent: &str) -> Self {
        let product = agent.split('/').next().unwrap_or_default();
        let (mut own, mut general) = (None, Vec::new());
        let (mut agents, mut after_rule) = (Vec::new(), false);
        // Some editors put a mark before the first line.
        for line in text.trim_start_matches('\u{feff}').split(['\r', '\n']) {
            let line = line.split('#').next().unwrap_or_default();
            let (key, value) = line.split_once(':').unwrap_or_default();
            let (key, value) = (key.trim().to_ascii_lowercase(), value.trim());
            if key == "user-agent" {
                if std::mem::take(&mut after_rule) {
                    agents.clear();
                }
                agents.push(value);
            } else if key == "allow" || key == "disallow" {
                after_rule = true;
                let whole = value.ends_with('$');
                let parts = value.trim_end_matches('$').split('*').map(normalize);
                let pattern = parts.collect::<Vec<_>>().join("*");
                let allow = key == "allow";
                let rule = Rule {
                    allow,
                    pattern,
                    whole,
                };
                // An empty rule says nothing, but its agent has rules of its own.
                let rule = Some(rule).filter(|_| !value.is_empty());
                if agents.iter().any(|name| name.eq_ignore_ascii_case(product)) {
                    own.get_or_insert_with(Vec::new).extend(rule);
                } else if agents.contains(&"*") {
                    general.extend(rule);
                }
            }
        }
        Self(own.unwrap_or(general))
    }

    /// Returns whether the longest rule that matches allows the URL.
    pub(crate) fn allow(&self, url: &Url) -> bool {
        let query = url.query().map(|query| format!("?{query}"));
        let path = format!("{}{}", url.path(), query.unwrap_or_default());
        let path = normalize(&path);
        let matching = self.0.iter().filter(|rule| rule.matches(&path));
        let longest = matching.max_by_key(|rule| {
            (rule.pattern.len() + usize::from(rule.whole), rule.allow)
        });
        longest.is_none_or(|rule| rule.allow)
    }
}

impl Rule {
    fn matches(&self, path: &str) -> bool {
        let mut parts = self.pattern.split('*');
        let first = parts.next().unwrap_or_default();
        let rest = path.strip_prefix(first).and_then(|rest| {
            parts.try_fold(rest, |rest, part| Some(rest.split_once(part)?.1))
        });
        let last = self.pattern.rsplit_once('*').map(|(_, last)| last);
        let ends = last.is_some_and(|last| path.ends_with(last));
        rest.is_some_and(|rest| !self.whole || rest.is_empty() || ends)
    }
}

/// Encodes a path so that two spellings are equal: `%7e` as `~`, `%3c` and `<` as `%3C`,
/// `ä` as `%C3%A4`. `*` and `$` are encoded too, because in a pattern they are no text.
fn normalize(path: &str) -> String {
    let mut normal = String::with_capacity(path.len());
    let mut bytes = path.as_bytes().iter();
    while let Some(&byte) = bytes.next() {
        let code = bytes.as_slice().get(..2).filter(|_| byte == b'%');
        let code = code.and_then(|code| str::from_utf8(code).ok());
        let code = code.filter(|code| code.bytes().all(|it| it.is_ascii_hexdigit()));
        let encoded = code.and_then(|code| u8::from_str_radix(code, 16).ok());
        if encoded.is_some() {
            bytes.nth(1);
        }
        let unreserved =
            |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
        match encoded {
            None if unreserved(byte) || b"/?#[]@!&'()+,;=:".contains(&byte) => {
                normal.push(char::from(byte));
            }
            Some(byte) if unreserved(byte) => normal.push(char::from(byte)),
            _ => normal.push_str(&format!("%{:02X}", encoded.unwrap_or(byte))),
        }
    }
    normal
}

/// Returns a line on an outcome.
pub fn describe(outcome: &Outcome) -> String {
    match outcome {
        Ok(Fetched::Page { body, links }) => {
            format!("{} bytes, {} links", body.len(), links.len())
        }
        Ok(Fetched::Moved(target)) => format!("moved to {target}"),
        Err(failure) => failure.to_string(),
    }
}

/// Scrapes until all is done, or Ctrl-C: `cargo run -- https://example.com/`.
#[tokio::main]
pub async fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    let first = std::env::args().skip(1).map(|url| url.parse());
    let first: Vec<Url> = first.collect::<Result<_, _>>()?;
    let options = Options::default();
    let (client, stop) = (options.client().build()?, CancellationToken::new());
    let cancel = stop.clone();
    tokio::spawn(async move {
        // Where nobody can listen for it, it ends the program as usual.
        if tokio::signal::ctrl_c().await.is_ok() {
            cancel.cancel();
        }
    });
    let (sender, mut results) = mpsc::channel(1);
    let printing = async {
        while let Some((url, outcome)) = results.recv().await {
            println!("{url}: {}", describe(&outcome));
        }
    };
    tokio::join!(scrape(&client, first, &options, &stop, sender), printing);
    // The end of `main` would wait for threads that still look up a name.
    std::process::exit(0)
}
