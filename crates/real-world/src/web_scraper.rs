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
    fn is_worth_a_retry(&self) -> bool {
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
fn links(html: &str, page: &Url) -> Vec<Url> {
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
struct Rules(Vec<(bool, String)>);

impl Rules {
    /// The rules for this agent, or those for `*` where it has none of its own.
    fn parse(text: &str, agent: &str) -> Self {
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
    fn allow(&self, url: &Url) -> bool {
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
fn fits(pattern: &str, path: &str) -> bool {
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
fn describe(outcome: &Outcome) -> String {
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

fn urls(texts: impl IntoIterator<Item = String>) -> Result<Vec<Url>, String> {
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

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::net::SocketAddr;
    use std::pin::pin;
    use std::sync::{Arc, Mutex};
    use std::task::Poll;
    use std::time::Duration;

    use axum::Router;
    use axum::http::{HeaderMap, Uri};
    use axum::response::{Html, IntoResponse, Redirect, Response};
    use reqwest::header::HOST;
    use reqwest::{Client, StatusCode, Url};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};
    use tokio::runtime::Handle;
    use tokio::sync::mpsc;
    use tokio::task::JoinSet;
    use tokio::time::{sleep, timeout};
    use tokio_util::sync::CancellationToken;
    use tokio_util::task::AbortOnDropHandle;

    use super::{
        Failure, Fetched, Options, Outcome, Rules, describe, fits, links, scrape, urls,
    };

    const LONG: Duration = Duration::from_secs(10);

    /// Without delay, and impatient.
    fn options() -> Options {
        Options {
            delay: Duration::ZERO,
            timeout: Duration::from_millis(300),
            bytes: 10_000,
            tries: 1,
            ..Options::default()
        }
    }

    fn client(options: &Options, address: SocketAddr) -> Client {
        let client = options.client().no_proxy().tls_certs_only([]);
        let client = client.resolve("a.example", address);
        let client = client.resolve("b.example", address).build();
        client.expect("a client")
    }

    fn parse(url: &str) -> Url {
        Url::parse(url).expect("a URL")
    }

    /// Scrapes, and returns the outcomes. Panics if a URL has two, or if it does not end.
    async fn outcomes(
        client: &Client,
        first: &[&str],
        options: &Options,
        stop: &CancellationToken,
    ) -> HashMap<String, Outcome> {
        let (sender, mut results) = mpsc::channel::<(Url, Outcome)>(1);
        let first = first.iter().map(|url| parse(url)).collect();
        let mut all = HashMap::new();
        let collecting = async {
            while let Some((url, outcome)) = results.recv().await {
                let before = all.insert(url.to_string(), outcome);
                assert!(before.is_none(), "{url} has two outcomes");
            }
        };
        let scraping = scrape(client, first, options, stop, sender);
        let both = async { tokio::join!(scraping, collecting) };
        timeout(LONG, both).await.expect("it ends");
        all
    }

    /// What was asked for, as host and path, in the order of coming.
    type Asked = Arc<Mutex<Vec<String>>>;

    /// A server that answers as the function says; it ends when the handle is dropped.
    async fn serve(
        answer: fn(&str) -> Response,
    ) -> (SocketAddr, Asked, AbortOnDropHandle<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let asked = Asked::default();
        let log = Arc::clone(&asked);
        let app = Router::new().fallback(move |headers: HeaderMap, uri: Uri| {
            let host = headers[HOST].to_str().expect("a name");
            let url = format!("{host}{uri}");
            log.lock().expect("no panic").push(url.clone());
            std::future::ready(answer(&url))
        });
        let serving = async move { axum::serve(listener, app).await.expect("it serves") };
        (
            address,
            asked,
            AbortOnDropHandle::new(tokio::spawn(serving)),
        )
    }

    async fn no_task_is_left() {
        let metrics = Handle::current().metrics();
        for _ in 0..500 {
            if metrics.num_alive_tasks() == 0 {
                return;
            }
            sleep(Duration::from_millis(10)).await;
        }
        panic!("{} tasks are left", metrics.num_alive_tasks());
    }

    /// Each path is a way to fail; the page `/` links to all.
    const FAULTS: [(&str, &str); 11] = [
        ("/most", "10000 bytes"),
        ("/too_much", "larger than 10000 bytes"),
        ("/reset", "no answer: Connection reset by peer"),
        (
            "/closed",
            "no answer: connection closed before message completed",
        ),
        (
            "/half",
            "no answer: end of file before message length reached",
        ),
        ("/no_http", "no answer: invalid HTTP version parsed"),
        ("/no_chunk", "no answer: Invalid chunk size line"),
        ("/long_header", "no answer: message head is too large"),
        ("/slow_header", "timed out"),
        ("/no_body", "timed out"),
        ("/silent", "timed out"),
    ];

    async fn fail(mut stream: TcpStream) -> std::io::Result<()> {
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            request.push(stream.read_u8().await?);
        }
        let request = String::from_utf8_lossy(&request);
        let path = request.split(' ').nth(1).unwrap_or_default();
        let close = "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-type: text/html\r\n";
        let answer = match path {
            "/" => {
                let links = FAULTS.map(|(path, _)| format!("<a href={path}>"));
                format!("{close}\r\n{}", links.concat())
            }
            "/most" => format!("{close}\r\n{}", "x".repeat(10_000)),
            "/too_much" => format!("{close}\r\n{}", "x".repeat(10_001)),
            "/half" => format!("{close}content-length: 8\r\n\r\nhalf"),
            "/no_chunk" => format!("{close}transfer-encoding: chunked\r\n\r\nx\r\n"),
            "/no_http" => "what?\r\n\r\n".to_owned(),
            "/no_body" => format!("{close}content-length: 4\r\n\r\n"),
            "/long_header" | "/slow_header" => close.to_owned(),
            "/robots.txt" => "HTTP/1.1 404 Not Found\r\nconnection: close\r\n\r\n".into(),
            _ => String::new(),
        };
        stream.write_all(answer.as_bytes()).await?;
        match path {
            "/reset" => stream.set_zero_linger(),
            "/long_header" => loop {
                stream.write_all(b"x-more: and more\r\n").await?;
            },
            "/slow_header" => loop {
                stream.write_all(b"x-more: and more\r\n").await?;
                sleep(Duration::from_millis(10)).await;
            },
            "/no_body" | "/silent" => {
                sleep(LONG).await;
                Ok(())
            }
            _ => stream.shutdown().await,
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn every_fault_is_an_outcome() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let server = AbortOnDropHandle::new(tokio::spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                connections.spawn(fail(stream));
            }
        }));
        let options = Options {
            tries: 2,
            ..options()
        };
        let client = client(&options, address);
        let stop = CancellationToken::new();
        let all = outcomes(&client, &["http://a.example/"], &options, &stop).await;
        assert_eq!(all.len(), 1 + FAULTS.len());
        for (path, expected) in FAULTS {
            let outcome = describe(&all[&format!("http://a.example{path}")]);
            assert!(outcome.starts_with(expected), "{path}: {outcome}");
        }
        drop((client, server));
        no_task_is_left().await;
    }

    #[tokio::test]
    async fn stopped_it_drops_its_requests() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let options = Options {
            timeout: 10 * LONG,
            ..options()
        };
        let client = client(&options, address);
        let stop = CancellationToken::new();
        // It takes the request, and never answers.
        let stops = async {
            let (mut stream, _) = listener.accept().await.expect("it asks");
            let _ = stream.read_u8().await;
            stop.cancel();
            stream
        };
        let scraping = outcomes(&client, &["http://a.example/"], &options, &stop);
        let (all, _stream) = tokio::join!(scraping, stops);
        assert_eq!(describe(&all["http://a.example/"]), "stopped");
        drop(client);
        no_task_is_left().await;
    }

    /// Fifty pages, each of which links to all on its host.
    fn dense(url: &str) -> Response {
        match url.ends_with("/robots.txt") {
            true => StatusCode::NOT_FOUND.into_response(),
            false => {
                let links = (0..50).map(|page| format!("<A HREF='/{page}#top'>"));
                Html(links.collect::<String>()).into_response()
            }
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn each_page_once_and_stopped_at_any_moment() {
        let (address, asked, server) = serve(dense).await;
        let options = options();
        let client = client(&options, address);
        let first = [
            "http://a.example/0",
            "http://b.example/0",
            "http://a.example/1",
        ];
        let all = outcomes(&client, &first, &options, &CancellationToken::new()).await;
        assert_eq!(all.len(), 100);
        assert!(all.values().all(|outcome| outcome.is_ok()));
        let mut paths = std::mem::take(&mut *asked.lock().expect("no panic"));
        paths.sort();
        paths.dedup();
        assert_eq!(paths.len(), 102, "with two robots.txt");

        let (mut stopped, mut pages) = (0, 0);
        for moment in (0..40).step_by(3) {
            let stop = CancellationToken::new();
            let on_time = async {
                sleep(Duration::from_millis(moment)).await;
                stop.cancel();
            };
            let scraping = outcomes(&client, &first, &options, &stop);
            let (all, ()) = tokio::join!(scraping, on_time);
            for first in first {
                assert!(all.contains_key(first), "{first} is not lost");
            }
            for outcome in all.values() {
                match outcome {
                    Ok(Fetched::Page { .. }) => pages += 1,
                    Err(Failure::Stopped) => stopped += 1,
                    other => panic!("{other:?}"),
                }
            }
        }
        assert!(stopped > 0 && pages > 0, "{stopped} stopped, {pages} pages");
        drop((client, server));
        no_task_is_left().await;
    }

    #[tokio::test]
    async fn dropped_or_with_nobody_who_receives() {
        let (address, asked, server) = serve(dense).await;
        let options = options();
        let client = client(&options, address);
        let stop = CancellationToken::new();
        for polls in 0..20 {
            let (sender, mut results) = mpsc::channel(1);
            let first = vec![parse("http://a.example/0")];
            let mut scraping = pin!(scrape(&client, first, &options, &stop, sender));
            for _ in 0..polls {
                if let Poll::Ready(()) = futures::poll!(scraping.as_mut()) {
                    break;
                }
                let _ = results.try_recv();
                sleep(Duration::from_millis(1)).await;
            }
            if polls % 2 == 0 && polls > 0 {
                drop(results);
                timeout(LONG, scraping).await.expect("it ends");
            }
            let asked = std::mem::take(&mut *asked.lock().expect("no panic"));
            assert!(asked.len() < 40, "{} of 51, {polls} polls", asked.len());
        }
        drop((client, server));
        no_task_is_left().await;
    }

    #[tokio::test]
    async fn no_more_at_once_than_allowed() {
        use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
        static RUNNING: [AtomicUsize; 3] = [const { AtomicUsize::new(0) }; 3];
        static MOST: [AtomicUsize; 3] = [const { AtomicUsize::new(0) }; 3];

        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let app = Router::new().fallback(async |headers: HeaderMap, uri: Uri| {
            let host = 1 + usize::from(headers[HOST] == "b.example");
            for index in [0, host] {
                let running = RUNNING[index].fetch_add(1, SeqCst) + 1;
                MOST[index].fetch_max(running, SeqCst);
            }
            sleep(Duration::from_millis(5)).await;
            for index in [0, host] {
                RUNNING[index].fetch_sub(1, SeqCst);
            }
            dense(uri.path())
        });
        let serving = async move { axum::serve(listener, app).await.expect("it serves") };
        let _server = AbortOnDropHandle::new(tokio::spawn(serving));
        for (at_once, expected) in [(5, [5, 3, 3]), (9, [6, 3, 3])] {
            let options = Options {
                at_once,
                per_host: 3,
                ..options()
            };
            let client = client(&options, address);
            let first = ["http://a.example/0", "http://b.example/0"];
            let stop = CancellationToken::new();
            let all = outcomes(&client, &first, &options, &stop).await;
            assert_eq!(all.len(), 100);
            let most = MOST.each_ref().map(|most| most.swap(0, SeqCst));
            assert_eq!(most, expected, "in all, and to each host");
        }
    }

    /// Each host has its own robots.txt.
    fn robots(url: &str) -> Response {
        match url {
            "a.example/robots.txt" => "User-agent: *\nDisallow: /private".into_response(),
            "a.example/" => Redirect::temporary("/private").into_response(),
            "a.example/away" => Redirect::temporary("http://b.example/").into_response(),
            "b.example/robots.txt" => StatusCode::BAD_GATEWAY.into_response(),
            _ => Html("").into_response(),
        }
    }

    #[tokio::test]
    async fn nothing_is_asked_of_a_host_without_a_readable_robots_txt() {
        let (address, asked, _server) = serve(robots).await;
        let options = options();
        let client = client(&options, address);
        let first = ["http://a.example/away", "http://b.example/x"];
        let all = outcomes(&client, &first, &options, &CancellationToken::new()).await;
        let texts = |url: &str| describe(&all[url]);
        assert_eq!(texts("http://a.example/away"), "moved to http://b.example/");
        assert_eq!(texts("http://b.example/x"), "robots.txt: status 502");
        assert_eq!(texts("http://b.example/"), "robots.txt: status 502");
        assert_eq!(all.len(), 3, "with what the redirect leads to");
        let mut asked = asked.lock().expect("no panic").clone();
        asked.sort();
        let expected = [
            "a.example/away",
            "a.example/robots.txt",
            "b.example/robots.txt",
        ];
        assert_eq!(asked, expected);
    }

    #[tokio::test]
    async fn a_robots_txt_may_move_but_not_for_ever() {
        fn answer(url: &str) -> Response {
            match url {
                "a.example/robots.txt" => Redirect::temporary("//b.example/rules"),
                "b.example/robots.txt" => Redirect::temporary("/robots.txt"),
                "b.example/rules" => {
                    return "User-agent: *\nDisallow: /x".into_response();
                }
                _ => return Html("").into_response(),
            }
            .into_response()
        }
        let (address, _, _server) = serve(answer).await;
        let options = options();
        let client = client(&options, address);
        let first = [
            "http://a.example/x",
            "http://a.example/y",
            "http://b.example/y",
        ];
        let all = outcomes(&client, &first, &options, &CancellationToken::new()).await;
        let texts = |url: &str| describe(&all[url]);
        let not_allowed = Failure::NotAllowed.to_string();
        assert_eq!(texts("http://a.example/x"), not_allowed);
        assert_eq!(texts("http://a.example/y"), "0 bytes, 0 links");
        let circle = "robots.txt: more than 5 redirects";
        assert_eq!(texts("http://b.example/y"), circle);
    }

    #[tokio::test]
    async fn a_client_that_follows_redirects_asks_for_what_is_forbidden() {
        for follows in [true, false] {
            let (address, asked, _server) = serve(robots).await;
            let options = options();
            let client = if follows {
                let client = Client::builder().no_proxy().tls_certs_only([]);
                let client = client.resolve("a.example", address).build();
                client.expect("a client")
            } else {
                client(&options, address)
            };
            let stop = CancellationToken::new();
            outcomes(&client, &["http://a.example/"], &options, &stop).await;
            let asked = asked.lock().expect("no panic");
            assert_eq!(asked.contains(&"a.example/private".to_owned()), follows);
        }
    }

    #[tokio::test]
    async fn the_client_speaks_tls() {
        let (address, _, _server) = serve(dense).await;
        let options = Options {
            timeout: LONG,
            ..options()
        };
        let url = format!("https://{address}/");
        let client = client(&options, address);
        let all = outcomes(&client, &[&url], &options, &CancellationToken::new()).await;
        let outcome = describe(&all[&url]);
        let is_understood = !outcome.contains("scheme is not http");
        let has_failed = outcome.starts_with("robots.txt: no answer");
        assert!(has_failed && is_understood, "{outcome}");
    }

    #[tokio::test]
    #[should_panic = "it would never begin"]
    async fn no_request_at_once() {
        let options = Options {
            per_host: 0,
            ..options()
        };
        let stop = CancellationToken::new();
        let client = client(&options, ([127, 0, 0, 1], 1).into());
        outcomes(&client, &[], &options, &stop).await;
    }

    #[test]
    fn what_is_worth_a_second_try() {
        let status = |code| Failure::Status(StatusCode::from_u16(code).expect("a code"));
        for code in [429, 500, 502, 503, 504] {
            assert!(status(code).is_worth_a_retry(), "{code}");
        }
        for code in [400, 403, 404, 410, 501] {
            assert!(!status(code).is_worth_a_retry(), "{code}");
        }
        assert!(!Failure::TooLarge(1).is_worth_a_retry());
    }

    #[tokio::test]
    async fn so_many_tries_and_no_more() {
        for (tries, expected) in [(0, 1), (1, 1), (3, 3)] {
            let (address, asked, _server) = serve(|url| match url {
                "a.example/robots.txt" => Html("").into_response(),
                _ => StatusCode::BAD_GATEWAY.into_response(),
            })
            .await;
            let options = Options {
                tries,
                pause: Duration::from_millis(1),
                ..options()
            };
            let client = client(&options, address);
            let stop = CancellationToken::new();
            let all = outcomes(&client, &["http://a.example/"], &options, &stop).await;
            assert_eq!(describe(&all["http://a.example/"]), "status 502");
            assert_eq!(asked.lock().expect("no panic").len(), 1 + expected);
        }
    }

    #[test]
    fn what_robots_txt_allows() {
        let text = "user-agent: other\nUSER-AGENT: Me # us\nDisallow: /\nAllow: /a\n\
            Disallow: /a/b*c$\nDisallow:\n\nUser-agent: *\nDisallow: /*?print";
        let encoded = Rules::parse("\u{feff}User-agent: *\nDisallow: /ä", "Me");
        assert!(!encoded.allow(&parse("http://a.example/ä/b")));
        assert!(encoded.allow(&parse("http://a.example/a")));
        let allows = |agent: &str, paths: [&str; 4]| {
            let rules = Rules::parse(text, agent);
            paths.map(|path| rules.allow(&parse(&format!("http://a.example{path}"))))
        };
        let paths = ["/", "/a", "/a/bxc", "/a/bxcd"];
        assert_eq!(allows("Me/1.0", paths), [false, true, false, true]);
        assert_eq!(allows("Else/1.0", paths), [true; 4]);
        assert!(!allows("Else/1.0", ["/x?print=1", "/", "/", "/"])[0]);
        for (pattern, path, expected) in [
            ("/a*b*c$", "/abcbc", true),
            ("/a*b*c$", "/abcb", false),
            ("/a$", "/a", true),
            ("/a$", "/ab", false),
            ("/a*", "/a", true),
            ("*", "/", true),
            ("/*b/", "/ab", false),
            ("/ä", "/ä", true),
        ] {
            assert_eq!(fits(pattern, path), expected, "{pattern} {path}");
        }
    }

    #[test]
    fn which_links_are_found() {
        let html = "<a href=\"/1\">1</a><A\n class='x' HREF='2?a=1&amp;b=2'>\
            <a href=/3 id=x><abbr href=/no><a data-href=/no><a href=\"/4><a>\
            <a href='http://[/'>ä<a href=";
        let found = links(html, &parse("http://a.example/x/y"));
        let found: Vec<&str> = found.iter().map(|url| url.path()).collect();
        assert_eq!(found, ["/1", "/x/2", "/3", "/4"]);
    }

    #[test]
    fn bad_arguments_are_named() {
        let parsed = |text: &str| urls([text.to_owned()]);
        for good in ["https://example.com", "http://localhost:8080/x"] {
            assert!(parsed(good).is_ok(), "{good}");
        }
        for bad in ["", "example.com", "http://"] {
            let error = parsed(bad).expect_err("it is refused");
            assert!(error.starts_with(&format!("{bad}: ")), "{error}");
        }
    }

    #[tokio::test]
    async fn what_is_no_web_address_is_told() {
        let options = options();
        let client = client(&options, ([127, 0, 0, 1], 1).into());
        let first = ["ftp://a.example/x", "data:x", "mailto:a@a.example"];
        let all = outcomes(&client, &first, &options, &CancellationToken::new()).await;
        assert_eq!(all.len(), 3);
        assert!(all.values().all(|outcome| outcome.is_err()), "{all:?}");
    }

    #[tokio::test]
    async fn two_ports_are_two_sites() {
        let (one, asked, _one) = serve(robots).await;
        let (two, _, _two) = serve(|url| match url.ends_with("/robots.txt") {
            true => "User-agent: *\nDisallow: /x".into_response(),
            false => Html("").into_response(),
        })
        .await;
        let options = options();
        let client = client(&options, one);
        let urls = [format!("http://{one}/x"), format!("http://{two}/x")];
        let first = urls.each_ref().map(String::as_str);
        let all = outcomes(&client, &first, &options, &CancellationToken::new()).await;
        assert_eq!(describe(&all[first[0]]), "0 bytes, 0 links");
        assert_eq!(describe(&all[first[1]]), Failure::NotAllowed.to_string());
        assert_eq!(asked.lock().expect("no panic").len(), 2);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn in_a_task_and_with_a_slow_receiver() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let app = Router::new().fallback(async |uri: Uri| {
            sleep(Duration::from_millis(100)).await;
            dense(uri.path())
        });
        let serving = async move { axum::serve(listener, app).await.expect("it serves") };
        let _server = AbortOnDropHandle::new(tokio::spawn(serving));
        let options = Options {
            pages: 20,
            at_once: 20,
            per_host: 20,
            ..options()
        };
        let client = client(&options, address);
        let (sender, mut results) = mpsc::channel(1);
        let timeout = options.timeout;
        let scraping = tokio::spawn(async move {
            let (first, stop) =
                (vec![parse("http://a.example/0")], CancellationToken::new());
            scrape(&client, first, &options, &stop, sender).await;
        });
        let mut pages = 0;
        while let Some((_, outcome)) = results.recv().await {
            assert!(matches!(outcome, Ok(Fetched::Page { .. })), "{outcome:?}");
            pages += 1;
            if pages == 2 {
                // Longer than a request may take.
                sleep(2 * timeout).await;
            }
        }
        assert_eq!(pages, 20);
        scraping.await.expect("it does not panic");
    }
}
