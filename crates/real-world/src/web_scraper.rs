//! Web scraper: crawl a site politely, with robots.txt, limits, delays, retries, Ctrl-C.
//!
//! Each URL is a future that waits for its turn: for a place of its host, for the host's
//! delay, and last for a permit of all hosts, so that nobody sleeps with one in the hand.
//! All are in one `FuturesUnordered` and borrow what they share; asyncio needs a task for
//! each. Requests are tasks, as a future in a set stands still while the loop around it
//! sends a result. The trap is the client's own way to follow redirects: it asks for what
//! robots.txt forbids; here each comes back as a link. In asyncio Ctrl-C cancels the task
//! of `main`, where a `finally` can tell what is left; a future that is dropped tells
//! nothing, so a token asks it to stop. Not done here: Retry-After, which `retry` obeys,
//! and sitemaps. The crate `spider` does more: it also runs the scripts of pages.
//! `scraper` is a parser for HTML.
//!
//! asyncio: asyncio.TaskGroup, asyncio.Lock, asyncio.timeout, KeyboardInterrupt
//! asyncio: KeyboardInterrupt handling in run()
//! clock: real

use std::collections::{BTreeMap, HashMap, HashSet};
use std::env;
use std::error::Error;
use std::mem;
use std::process;
use std::slice;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, Uri};
use axum::response::{Html, IntoResponse, Redirect, Response};
use futures::stream::{FuturesUnordered, StreamExt};
use indicatif::ProgressBar;
use reqwest::header::{CONTENT_TYPE, HOST, LOCATION};
use reqwest::{Client, ClientBuilder, StatusCode, Url, redirect, tls};
use tokio::net::TcpListener;
use tokio::signal;
use tokio::sync::{Mutex, OnceCell, Semaphore, SemaphorePermit, mpsc};
use tokio::task::JoinError;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

type BoxError = Box<dyn Error + Send + Sync>;

/// How sites are scraped.
#[derive(Clone, Debug)]
pub struct Options {
    /// The name for servers. What stands before the `/` is looked up in robots.txt.
    pub agent: &'static str,
    /// The most requests at once, and the most to one host; neither is 0.
    pub at_once: usize,
    pub per_host: usize,
    /// From the begin of a request to a host to the begin of the next one.
    pub delay: Duration,
    /// For a request, from the connection to the last byte of the body.
    pub timeout: Duration,
    /// The largest body, in bytes.
    pub bytes: usize,
    /// How many links away from the first pages. A redirect is a link, too.
    pub depth: u32,
    /// The most URLs; those beyond it are left out.
    pub pages: usize,
    /// How often a page is asked for that may come the next time, and the pause before
    /// the second try, which doubles before each further one.
    pub tries: u32,
    pub pause: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            agent: "asyncio-to-tokio/0.1",
            at_once: 10,
            per_host: 2,
            delay: Duration::from_secs(1),
            timeout: Duration::from_secs(30),
            bytes: 2_000_000,
            depth: 3,
            pages: 1000,
            tries: 3,
            pause: Duration::from_secs(1),
        }
    }
}

impl Options {
    /// A client with limits that reqwest does not set by itself, and that leaves
    /// redirects to [`scrape`].
    pub fn client(&self) -> ClientBuilder {
        Client::builder()
            .user_agent(self.agent)
            .timeout(self.timeout)
            .redirect(redirect::Policy::none())
            .tls_version_min(tls::Version::TLS_1_2)
    }
}

/// What came of a URL.
pub type Outcome = Result<Fetched, Failure>;

/// What a server answered.
#[derive(Debug)]
pub enum Fetched {
    /// The body, and the links in it if it is HTML.
    Page { body: Vec<u8>, links: Vec<Url> },
    /// It is at this URL.
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

/// What lies under "error sending request", such as "connection refused".
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

/// Scrapes these pages, those of their hosts that they link to, and so on. Each URL is
/// sent with its outcome, once. If the robots.txt of a host cannot be read, nothing else
/// is asked of it.
///
/// When `stop` is cancelled, all requests are dropped, and what is left is sent with
/// [`Failure::Stopped`]. When nobody receives any more, or when it is dropped, it stops
/// without a word.
///
/// # Panics
///
/// If `at_once` or `per_host` is 0, and outside of a Tokio runtime.
pub async fn scrape(
    client: &Client,
    first: Vec<Url>,
    options: &Options,
    stop: &CancellationToken,
    results: mpsc::Sender<(Url, Outcome)>,
) {
    let is_possible = options.at_once > 0 && options.per_host > 0;
    assert!(is_possible, "with no request at once it would never begin");
    let all = &Semaphore::new(options.at_once);
    let new_host = |url| (host_name(url), Host::new(client, options, all));
    let hosts: HashMap<_, _> = first.iter().map(new_host).collect();
    let mut found: Vec<_> = first.into_iter().map(|url| (url, 0)).collect();
    let (mut seen, mut visits) = (HashSet::new(), FuturesUnordered::new());
    loop {
        for (mut url, depth) in found.drain(..) {
            url.set_fragment(None);
            if let Some(host) = hosts.get(&host_name(&url))
                && seen.len() < options.pages
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
            _ if depth == options.depth => &[],
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

/// One for both schemes, if they have their usual ports.
fn host_name(url: &Url) -> (String, Option<u16>) {
    (url.host_str().unwrap_or_default().to_owned(), url.port())
}

/// What the visits to a host share.
struct Host<'a> {
    client: &'a Client,
    options: &'a Options,
    /// For all hosts.
    permits: &'a Semaphore,
    places: Semaphore,
    /// When the next request may begin. The lock is the line.
    due: Mutex<Instant>,
    rules: OnceCell<Result<Rules, String>>,
}

impl<'a> Host<'a> {
    fn new(client: &'a Client, options: &'a Options, permits: &'a Semaphore) -> Self {
        Self {
            client,
            options,
            permits,
            places: Semaphore::new(options.per_host),
            due: Mutex::new(Instant::now()),
            rules: OnceCell::new(),
        }
    }

    async fn visit(&self, url: &Url) -> Outcome {
        match self.rules.get_or_init(|| self.read_rules(url)).await {
            Ok(rules) if rules.allow(url) => self.get(url).await,
            Ok(_) => Err(Failure::NotAllowed),
            Err(text) => Err(Failure::NoRules(text.clone())),
        }
    }

    /// By RFC 9309 all is allowed where there is no robots.txt, nothing while the server
    /// cannot say, and five redirects are followed.
    async fn read_rules(&self, page: &Url) -> Result<Rules, String> {
        let mut url = page
            .join("/robots.txt")
            .map_err(|error| error.to_string())?;
        for _ in 0..=5 {
            match self.get(&url).await {
                Ok(Fetched::Page { body, .. }) => {
                    let text = String::from_utf8_lossy(&body);
                    return Ok(Rules::parse(&text, self.options.agent));
                }
                Ok(Fetched::Moved(target)) => url = target,
                Err(Failure::Status(status))
                    if status.is_client_error() && status.as_u16() != 429 =>
                {
                    return Ok(Rules::default());
                }
                Err(failure) => return Err(failure.to_string()),
            }
        }
        Err("more than 5 redirects".to_owned())
    }

    /// Asks in its turn, and after a failure again in another one.
    async fn get(&self, url: &Url) -> Outcome {
        let (mut tries, mut pause) = (1, self.options.pause);
        loop {
            let outcome = {
                let _permits = self.turn().await;
                let fetch = fetch(self.client.clone(), url.clone(), self.options.bytes);
                AbortOnDropHandle::new(tokio::spawn(fetch)).await?
            };
            match outcome {
                Err(failure)
                    if failure.is_worth_a_retry() && tries < self.options.tries =>
                {
                    sleep(pause).await;
                }
                outcome => return outcome,
            }
            (tries, pause) = (tries + 1, pause.saturating_mul(2));
        }
    }

    /// Waits until a request may begin. It ends before the permits are given back.
    async fn turn(&self) -> [SemaphorePermit<'_>; 2] {
        const OPEN: &str = "it is never closed";
        let place = self.places.acquire().await.expect(OPEN);
        let mut due = self.due.lock().await;
        let mut begin = Instant::now();
        // Even for no time at all, a sleep would last until the next millisecond.
        if begin < *due {
            begin = *due;
            sleep_until(begin).await;
        }
        // Timers are a little late, but not the later the more there were.
        let permit = match self.permits.try_acquire() {
            Ok(permit) => permit,
            Err(_) => {
                let permit = self.permits.acquire().await.expect(OPEN);
                begin = Instant::now();
                permit
            }
        };
        *due = begin + self.options.delay;
        [place, permit]
    }
}

/// Fetches a page of at most so many bytes.
async fn fetch(client: Client, url: Url, limit: usize) -> Outcome {
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
    // What a server says of the length may be wrong, or missing.
    while let Some(chunk) = response.chunk().await? {
        if body.len() + chunk.len() > limit {
            return Err(Failure::TooLarge(limit));
        }
        body.extend_from_slice(&chunk);
    }
    let links = match kind.starts_with("text/html") {
        true => links(&String::from_utf8_lossy(&body), &url),
        false => Vec::new(),
    };
    Ok(Fetched::Page { body, links })
}

/// The targets of `<a href=..>`, as far as they are found without a parser.
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

/// What a robots.txt says of a path, or of all that begin with it: whether it is allowed.
#[derive(Debug, Default)]
pub struct Rules(Vec<(bool, String)>);

impl Rules {
    /// The rules for this agent, or those for `*` where it has none of its own.
    pub(crate) fn parse(text: &str, agent: &str) -> Self {
        let product = agent.split('/').next().unwrap_or_default();
        let (mut own, mut general) = (None, Vec::new());
        let (mut agents, mut after_rule) = (Vec::new(), false);
        // Some editors put a mark before the first line.
        for line in text.trim_start_matches('\u{feff}').lines() {
            let line = line.split('#').next().unwrap_or_default();
            let (key, value) = line.split_once(':').unwrap_or_default();
            let (key, value) = (key.trim().to_ascii_lowercase(), value.trim());
            if key == "user-agent" {
                if mem::take(&mut after_rule) {
                    agents.clear();
                }
                agents.push(value);
            } else if key == "allow" || key == "disallow" {
                after_rule = true;
                let rule = (key == "allow", encode(value));
                if agents.iter().any(|name| name.eq_ignore_ascii_case(product)) {
                    own.get_or_insert_with(Vec::new).push(rule);
                } else if agents.contains(&"*") {
                    general.push(rule);
                }
            }
        }
        Self(own.unwrap_or(general))
    }

    /// The longest path that fits decides. An empty one says nothing.
    pub(crate) fn allow(&self, url: &Url) -> bool {
        let query = url.query().map(|query| format!("?{query}"));
        let path = format!("{}{}", url.path(), query.unwrap_or_default());
        let fits = |rule: &&(bool, String)| !rule.1.is_empty() && fits(&rule.1, &path);
        let fitting = self.0.iter().filter(fits);
        let longest = fitting.max_by_key(|(allow, pattern)| (pattern.len(), *allow));
        longest.is_none_or(|(allow, _)| *allow)
    }
}

/// As in URLs: `ä` is `%C3%A4`.
fn encode(path: &str) -> String {
    let encode = |byte: u8| match byte.is_ascii() {
        true => char::from(byte).to_string(),
        false => format!("%{byte:02X}"),
    };
    path.bytes().map(encode).collect()
}

/// `*` stands for any text. With `$` at its end the pattern is the whole path, and else
/// what the path begins with.
pub fn fits(pattern: &str, path: &str) -> bool {
    let text = pattern.trim_end_matches('$');
    let (first, others) = text.split_once('*').unwrap_or((text, ""));
    let rest = path.strip_prefix(first).and_then(|rest| {
        let mut others = others.split('*');
        others.try_fold(rest, |rest, part| Some(rest.split_once(part)?.1))
    });
    let last = text.rsplit_once('*').map(|(_, last)| last);
    let ends = last.is_some_and(|last| path.ends_with(last));
    rest.is_some_and(|rest| text == pattern || rest.is_empty() || ends)
}

/// What is printed of an outcome.
pub fn describe(outcome: &Outcome) -> String {
    match outcome {
        Ok(Fetched::Page { body, links }) => {
            format!("{} bytes, {} links", body.len(), links.len())
        }
        Ok(Fetched::Moved(target)) => format!("moved to {target}"),
        Err(failure) => failure.to_string(),
    }
}

/// Two sites with the hard cases: each URL, after how many milliseconds, and what.
const SITES: &str = "\
news.example/robots.txt 0 disallow /private/
news.example/ 0 page / /slow /about#us /archive /press /private /private/notes /circle
news.example/slow 60000 page
news.example/about 0 page /team http://elsewhere.example/
news.example/team 600 page /team/more
news.example/archive 300 page
news.example/press 0 move /private/press
news.example/circle 0 move /circle/back
news.example/circle/back 0 move /circle
shop.example/robots.txt 300 status 404
shop.example/ 150 page /lamps /chairs /error /missing /huge /next/1 /busy
shop.example/lamps 600 page
shop.example/chairs 600 page
shop.example/error 0 status 500
shop.example/huge 0 bytes 10001
shop.example/next/1 0 move /next/2
shop.example/next/2 0 move /next/3
shop.example/busy 0 once 503
";

async fn answer(
    State(was_busy): State<Arc<AtomicBool>>,
    headers: HeaderMap,
    uri: Uri,
) -> Response {
    let host = headers.get(HOST).and_then(|host| host.to_str().ok());
    let url = format!("{}{uri}", host.unwrap_or_default());
    println!("GET {url}");
    let mut lines = SITES
        .lines()
        .map(|line| line.split(' ').collect::<Vec<_>>());
    let line = lines.find(|line| line[0] == url).unwrap_or_default();
    let millis = line.get(1).and_then(|millis| millis.parse().ok());
    sleep(Duration::from_millis(millis.unwrap_or_default())).await;
    let status = |code: &str| code.parse().unwrap_or(StatusCode::NOT_FOUND);
    match *line {
        [_, _, "disallow", path] => {
            format!("User-agent: *\nDisallow: {path}\n").into_response()
        }
        [_, _, "move", target] => Redirect::temporary(target).into_response(),
        [_, _, "bytes", count] => "x".repeat(count.parse().unwrap_or(0)).into_response(),
        [_, _, "status", code] => status(code).into_response(),
        [_, _, "once", code] if !was_busy.swap(true, SeqCst) => {
            status(code).into_response()
        }
        [_, _, "once", _] => Html("").into_response(),
        [_, _, "page", ref links @ ..] => {
            let link = |link| format!("<a href=\"{link}\">here</a>\n");
            Html(links.iter().map(link).collect::<String>()).into_response()
        }
        _ => StatusCode::NOT_FOUND.into_response(),
    }
}

/// Scrapes, and then prints a report in the order of the URLs.
async fn scrape_and_report(
    client: &Client,
    first: Vec<Url>,
    options: &Options,
    stop: &CancellationToken,
) {
    let (sender, mut results) = mpsc::channel::<(Url, Outcome)>(1);
    let (mut report, mut failed) = (BTreeMap::new(), 0);
    // On standard error, and nothing where that is no terminal.
    let bar = ProgressBar::new_spinner();
    let reporting = async {
        while let Some((url, outcome)) = results.recv().await {
            failed += usize::from(outcome.is_err());
            report.insert(url.to_string(), describe(&outcome));
            bar.set_message(format!("{} URLs, {failed} failed", report.len()));
            bar.tick();
        }
    };
    tokio::join!(scrape(client, first, options, stop, sender), reporting);
    bar.finish_and_clear();
    println!("{} URLs, {failed} failed:", report.len());
    for (url, outcome) in report {
        println!("{url}: {outcome}");
    }
}

pub async fn run() -> Result<(), BoxError> {
    // Each part begins at its time, however long what stands before it took.
    let begin = Instant::now() + Duration::from_millis(500);
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let sites = Router::new().fallback(answer).with_state(Arc::default());
    let serving = axum::serve(listener, sites).into_future();
    let _server = AbortOnDropHandle::new(tokio::spawn(serving));

    let mut options = Options {
        at_once: 3,
        delay: Duration::from_millis(200),
        timeout: Duration::from_millis(800),
        bytes: 10_000,
        depth: 2,
        tries: 2,
        pause: Duration::from_millis(250),
        ..Options::default()
    };
    // The names lead to the server here, whatever the environment says of proxies.
    let client = options.client().no_proxy().tls_certs_only([]);
    let client = client.resolve("news.example", address);
    let client = client.resolve("shop.example", address).build()?;

    let first = ["http://news.example/", "http://shop.example/"];
    let mut first = urls(first.map(String::from))?;

    sleep_until(begin).await;
    println!("Two sites with their hard cases:");
    let stop = CancellationToken::new();
    scrape_and_report(&client, first.clone(), &options, &stop).await;

    sleep_until(begin + Duration::from_millis(3500)).await;
    println!("At most four pages, and stopped after 0.5 s:");
    options.pages = 4;
    first.truncate(1);
    let timer = async {
        sleep(Duration::from_millis(500)).await;
        stop.cancel();
    };
    tokio::join!(scrape_and_report(&client, first, &options, &stop), timer);
    Ok(())
}

pub fn urls(texts: impl IntoIterator<Item = String>) -> Result<Vec<Url>, String> {
    let url =
        |text: String| Url::parse(&text).map_err(|error| format!("{text}: {error}"));
    texts.into_iter().map(url).collect()
}

/// Scrapes the URLs that are given, until Ctrl-C; without any, two sites of its own.
#[tokio::main]
pub async fn main() -> Result<(), BoxError> {
    let first = urls(env::args().skip(1))?;
    if first.is_empty() {
        return run().await;
    }
    let options = Options::default();
    let (client, stop) = (options.client().build()?, CancellationToken::new());
    let cancel = stop.clone();
    tokio::spawn(async move {
        // Where nobody can listen for it, it ends the program as usual.
        if signal::ctrl_c().await.is_ok() {
            cancel.cancel();
        }
    });
    scrape_and_report(&client, first, &options, &stop).await;
    // The end of `main` would wait for threads that still look a name up.
    process::exit(0)
}
