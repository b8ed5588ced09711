//! Web scraper: crawl a site politely, with robots.txt, limits, delays, retries, Ctrl-C.
//!
//! One loop for each site owns its queue and the URLs that it has seen. Requests are
//! tasks, each with a permit of a semaphore for all sites, taken when the host is due, so
//! that nobody sleeps with one in the hand. The trap is the client's own way to follow
//! redirects: it asks for what robots.txt forbids; here each comes back to the loop. In
//! asyncio Ctrl-C cancels the task of `main`, where a `finally` can tell what is left; a
//! future that is dropped tells nothing, so a token asks it to stop. Not done here:
//! Retry-After, which `retry` obeys, and sitemaps. The crate `spider` does more: it also
//! runs the scripts of pages. `scraper` is a parser for HTML.
//!
//! asyncio: asyncio.wait, asyncio.wait(timeout=), asyncio.timeout, KeyboardInterrupt
//! asyncio: KeyboardInterrupt handling in run()
//! clock: real

use std::collections::{BTreeMap, HashMap, HashSet};
use std::convert::Infallible;
use std::env;
use std::error::Error;
use std::ffi::OsString;
use std::future;
use std::mem;
use std::process;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Uri};
use axum::response::{Html, IntoResponse, Redirect, Response};
use futures::future::join_all;
use futures::stream::{self, StreamExt};
use indicatif::ProgressBar;
use reqwest::header::{CONTENT_TYPE, HOST, LOCATION};
use reqwest::{Client, ClientBuilder, StatusCode, Url, redirect, tls};
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};
use tokio::{select, signal};
use tokio_util::sync::CancellationToken;

type BoxError = Box<dyn Error + Send + Sync>;

/// How sites are scraped.
#[derive(Clone, Debug)]
pub struct Options {
    /// The name for servers. What stands before the `/` is looked up in robots.txt.
    pub agent: &'static str,
    /// The most requests at once, and the most to one host.
    pub at_once: usize,
    pub per_host: usize,
    /// From the begin of a request to a host to the begin of the next one.
    pub delay: Duration,
    /// For a connection to be made, and for a request, to the last byte of the body.
    pub connect_timeout: Duration,
    pub timeout: Duration,
    /// The largest body, in bytes.
    pub bytes: usize,
    /// How many links away from the first pages, and how many redirects in a row.
    pub depth: u32,
    pub redirects: u32,
    /// The most URLs of a host; those beyond it are left out.
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
            connect_timeout: Duration::from_secs(10),
            timeout: Duration::from_secs(30),
            bytes: 2_000_000,
            depth: 2,
            redirects: 5,
            pages: 1000,
            tries: 3,
            pause: Duration::from_secs(1),
        }
    }
}

/// What came of a URL.
pub type Outcome = Result<Fetched, Failure>;

/// What a server answered.
#[derive(Debug)]
pub enum Fetched {
    /// The body, and the links in it if it is HTML.
    Page { body: Vec<u8>, links: Vec<Url> },
    /// It is at this URL, which is followed if it is on the same host.
    Moved(Url),
}

/// Why there is no page.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    #[error("status {}", .0.as_u16())]
    Status(StatusCode),
    #[error("larger than {0} bytes")]
    TooLarge(usize),
    #[error("more than {0} redirects")]
    Redirects(u32),
    #[error("robots.txt does not allow it")]
    NotAllowed,
    #[error("{}", reason(.0))]
    NoAnswer(#[from] reqwest::Error),
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

impl Options {
    /// A client with the limits that reqwest does not set by itself, and that leaves
    /// redirects to [`scrape`].
    pub fn client(&self) -> ClientBuilder {
        Client::builder()
            .user_agent(self.agent)
            .connect_timeout(self.connect_timeout)
            .timeout(self.timeout)
            .redirect(redirect::Policy::none())
            .tls_version_min(tls::Version::TLS_1_2)
    }

    /// How long to wait before the next try, if one is worth it.
    fn pause_after(&self, tries: u32, failure: &Failure) -> Option<Duration> {
        let may_pass = match failure {
            Failure::Status(status) => matches!(status.as_u16(), 429 | 500 | 502..=504),
            Failure::NoAnswer(error) => !error.is_builder(),
            _ => false,
        };
        let doubled = 2_u32.saturating_pow(tries.saturating_sub(1));
        (may_pass && tries < self.tries).then(|| self.pause.saturating_mul(doubled))
    }
}

/// Scrapes these pages, those that they link to on the same host, and so on. Each URL is
/// sent with its outcome, once. A robots.txt is sent only if it could not be read, and
/// then nothing else is asked of its host.
///
/// When `stop` is cancelled, all requests are dropped, and what is left is sent with
/// [`Failure::Stopped`]. The scrape also stops when nobody receives any more; and when it
/// is dropped, without a word.
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
    let permits = Arc::new(Semaphore::new(options.at_once));
    let mut hosts: BTreeMap<String, Vec<Url>> = BTreeMap::new();
    for url in first {
        let host = url.host_str().unwrap_or_default();
        hosts.entry(host.to_owned()).or_default().push(url);
    }
    let sites = hosts.into_values().map(|first| {
        let site = Site {
            client,
            options,
            permits: Arc::clone(&permits),
            stop: stop.child_token(),
            results: results.clone(),
            rules: None,
            due: Instant::now(),
            seen: HashSet::new(),
            queue: BTreeMap::new(),
            queued: 0,
        };
        site.scrape(first)
    });
    join_all(sites).await;
}

/// A request that is to be made, or is being made.
struct Job {
    url: Url,
    depth: u32,
    redirects: u32,
    tries: u32,
}

struct Site<'a> {
    client: &'a Client,
    options: &'a Options,
    permits: Arc<Semaphore>,
    stop: CancellationToken,
    results: mpsc::Sender<(Url, Outcome)>,
    /// `None` until robots.txt has been read.
    rules: Option<Rules>,
    /// When the next request may begin.
    due: Instant,
    seen: HashSet<Url>,
    /// By the time from which on each may begin, and in the order of coming.
    queue: BTreeMap<(Instant, usize), Job>,
    queued: usize,
}

impl Site<'_> {
    async fn scrape(mut self, first: Vec<Url>) {
        if let Ok(robots) = first[0].join("/robots.txt") {
            self.find(robots, 0, 0).await;
        }
        self.work_off().await;
        self.queue.clear();
        self.seen.clear();
        if !self.stop.is_cancelled() {
            self.rules.get_or_insert_with(Rules::allow_nothing);
        }
        for url in first {
            self.find(url, 0, 0).await;
        }
        self.work_off().await;
        for job in mem::take(&mut self.queue).into_values() {
            self.report(job.url, Err(Failure::Stopped)).await;
        }
    }

    /// Works until the queue is empty, or it is to stop; then what ran is in the queue.
    async fn work_off(&mut self) {
        let mut tasks = JoinSet::new();
        loop {
            let next = self.queue.first_key_value().map(|((due, _), _)| *due);
            let next = next.filter(|_| tasks.len() < self.options.per_host);
            if tasks.is_empty() && next.is_none() {
                return;
            }
            let now = Instant::now();
            let planned = next.unwrap_or(now).max(self.due).max(now);
            let permits = Arc::clone(&self.permits);
            let permit = async {
                sleep_until(planned).await;
                match Arc::clone(&permits).try_acquire_owned() {
                    // Timers are a little late, but not the later the more there were.
                    Ok(permit) => (permit, planned),
                    Err(_) => {
                        let permit = permits.acquire_owned().await;
                        (permit.expect("it is not closed"), Instant::now())
                    }
                }
            };
            select! {
                biased;
                () = self.stop.cancelled() => break,
                Some(ended) = tasks.join_next() => {
                    let (job, outcome) = ended.expect("it is not aborted, nor panics");
                    self.end(job, outcome).await;
                }
                (permit, begin) = permit, if next.is_some() => {
                    let Some((_, job)) = self.queue.pop_first() else { continue };
                    self.due = begin + self.options.delay;
                    let (client, stop) = (self.client.clone(), self.stop.clone());
                    let limit = self.options.bytes;
                    tasks.spawn(async move {
                        let _permit = permit;
                        let fetched = fetch(&client, &job.url, limit);
                        let fetched = stop.run_until_cancelled(fetched).await;
                        (job, fetched.unwrap_or(Err(Failure::Stopped)))
                    });
                }
            }
        }
        while let Some(Ok((job, _))) = tasks.join_next().await {
            self.queue(Instant::now(), job);
        }
    }

    fn queue(&mut self, due: Instant, job: Job) {
        self.queued += 1;
        self.queue.insert((due, self.queued), job);
    }

    /// Queues a URL if it is new and allowed.
    async fn find(&mut self, mut url: Url, depth: u32, redirects: u32) {
        url.set_fragment(None);
        if self.seen.len() >= self.options.pages || !self.seen.insert(url.clone()) {
            return;
        }
        if self.rules.as_ref().is_some_and(|rules| !rules.allow(&url)) {
            return self.report(url, Err(Failure::NotAllowed)).await;
        }
        let job = Job {
            url,
            depth,
            redirects,
            tries: 0,
        };
        self.queue(Instant::now(), job);
    }

    async fn end(&mut self, mut job: Job, mut outcome: Outcome) {
        job.tries += 1;
        if let Err(failure) = &outcome
            && let Some(pause) = self.options.pause_after(job.tries, failure)
        {
            return self.queue(Instant::now() + pause, job);
        }
        let is_robots = self.rules.is_none();
        let is_near = |url: &Url| {
            let is_web = matches!(url.scheme(), "http" | "https");
            is_web && url.host_str() == job.url.host_str()
        };
        match &outcome {
            Ok(Fetched::Moved(_)) if job.redirects == self.options.redirects => {
                outcome = Err(Failure::Redirects(job.redirects));
            }
            Ok(Fetched::Moved(url)) if is_robots || is_near(url) => {
                // A robots.txt that moves in a circle has to come to the limit.
                if is_robots {
                    self.seen.clear();
                }
                self.find(url.clone(), job.depth, job.redirects + 1).await;
            }
            Ok(Fetched::Page { links, .. }) if job.depth < self.options.depth => {
                for url in links.iter().filter(|url| is_near(url) && !is_robots) {
                    self.find(url.clone(), job.depth + 1, 0).await;
                }
            }
            _ => {}
        }
        match outcome {
            outcome if !is_robots => self.report(job.url, outcome).await,
            Ok(Fetched::Page { body, .. }) => {
                let text = String::from_utf8_lossy(&body);
                self.rules = Some(Rules::parse(&text, self.options.agent));
            }
            Ok(Fetched::Moved(_)) => {}
            // By RFC 9309 all is allowed where there is no robots.txt, and nothing while
            // the server cannot say.
            Err(Failure::Status(status))
                if status.is_client_error()
                    && status != StatusCode::TOO_MANY_REQUESTS =>
            {
                self.rules = Some(Rules::default());
            }
            Err(failure) => self.report(job.url, Err(failure)).await,
        }
    }

    async fn report(&mut self, url: Url, outcome: Outcome) {
        if self.results.send((url, outcome)).await.is_err() {
            self.stop.cancel();
        }
    }
}

/// Fetches a page of at most so many bytes.
async fn fetch(client: &Client, url: &Url, limit: usize) -> Outcome {
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
        true => links(&String::from_utf8_lossy(&body), url),
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
        page.join(&value.replace("&amp;", "&")).ok()
    };
    html.split('<').filter_map(target).collect()
}

/// What a robots.txt says of a path, or of all that begin with it: whether it is allowed.
#[derive(Default)]
struct Rules(Vec<(bool, String)>);

impl Rules {
    /// The rules for this agent, or those for `*` where it has none of its own.
    fn parse(text: &str, agent: &str) -> Self {
        let mut groups: HashMap<String, Vec<(bool, String)>> = HashMap::new();
        let (mut agents, mut after_rule) = (Vec::new(), false);
        for line in text.lines() {
            let line = line.split('#').next().unwrap_or_default();
            let Some((key, value)) = line.split_once(':') else {
                continue;
            };
            let (key, value) = (key.trim().to_ascii_lowercase(), value.trim());
            if key == "user-agent" {
                if mem::take(&mut after_rule) {
                    agents.clear();
                }
                agents.push(value.to_ascii_lowercase());
            } else if key == "allow" || key == "disallow" {
                after_rule = true;
                for agent in &agents {
                    let rules = groups.entry(agent.clone()).or_default();
                    rules.push((key == "allow", value.to_owned()));
                }
            }
        }
        let product = agent.split('/').next().unwrap_or_default();
        let own = groups.remove(&product.to_ascii_lowercase());
        Self(own.or_else(|| groups.remove("*")).unwrap_or_default())
    }

    fn allow_nothing() -> Self {
        Self(vec![(false, "/".to_owned())])
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

/// `*` stands for any text. With `$` at its end the pattern is the whole path, and else
/// what the path begins with.
fn fits(pattern: &str, path: &str) -> bool {
    let text = pattern.trim_end_matches('$');
    let (first, others) = text.split_once('*').unwrap_or((text, ""));
    let rest = path.strip_prefix(first).and_then(|rest| {
        let mut others = others.split('*');
        others.try_fold(rest, |rest, part| Some(rest.split_once(part)?.1))
    });
    let ends = text
        .rsplit_once('*')
        .is_some_and(|(_, last)| path.ends_with(last));
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

/// Two sites with the hard cases: each URL, and what is answered.
const SITES: &str = "\
news.example/robots.txt robots /private/
news.example/ page 0 / /slow /about#us /archive /press /private /private/notes /circle
news.example/slow page 60000
news.example/about page 0 /team http://shop.example/
news.example/team page 600 /team/more
news.example/archive page 400
news.example/press move /private/press
news.example/circle move /circle/back
news.example/circle/back move /circle
shop.example/ page 200 /lamps /chairs /error /missing /endless /next/1 /busy
shop.example/lamps page 600
shop.example/chairs page 600
shop.example/error status 500
shop.example/endless endless
shop.example/next/1 move /next/2
shop.example/next/2 move /next/3
shop.example/next/3 move /next/4
shop.example/busy once 503
";

async fn answer(headers: &HeaderMap, uri: &Uri, was_busy: &AtomicBool) -> Response {
    let host = headers.get(HOST).and_then(|host| host.to_str().ok());
    let url = format!("{}{uri}", host.unwrap_or_default());
    println!("GET {url}");
    let mut lines = SITES
        .lines()
        .map(|line| line.split(' ').collect::<Vec<_>>());
    let line = lines.find(|line| line[0] == url).unwrap_or_default();
    let status = |code: &str| code.parse().unwrap_or(StatusCode::NOT_FOUND);
    match *line {
        [_, "robots", path] => {
            format!("User-agent: *\nDisallow: {path}\n").into_response()
        }
        [_, "move", target] => Redirect::temporary(target).into_response(),
        [_, "once", code] if !was_busy.swap(true, SeqCst) => status(code).into_response(),
        [_, "once", _] => Html("").into_response(),
        [_, "endless"] => {
            let more = stream::repeat("more ".repeat(1000)).then(async |text| {
                sleep(Duration::from_millis(20)).await;
                Ok::<_, Infallible>(text)
            });
            Body::from_stream(more).into_response()
        }
        [_, "page", millis, ref links @ ..] => {
            let millis = millis.parse().unwrap_or_default();
            sleep(Duration::from_millis(millis)).await;
            let links = links
                .iter()
                .map(|link| format!("<a href=\"{link}\">here</a>\n"));
            Html(links.collect::<String>()).into_response()
        }
        [_, _, code] => status(code).into_response(),
        _ => StatusCode::NOT_FOUND.into_response(),
    }
}

/// Scrapes the two sites and prints a report, in the order of the URLs.
async fn scrape_sites(
    options: &Options,
    first: &[&str],
    stop: &CancellationToken,
) -> Result<(), BoxError> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let was_busy = Arc::new(AtomicBool::new(false));
    let sites = Router::new().fallback(move |headers: HeaderMap, uri: Uri| {
        let was_busy = Arc::clone(&was_busy);
        async move { answer(&headers, &uri, &was_busy).await }
    });
    let ended = CancellationToken::new();
    let serving = axum::serve(listener, sites)
        .with_graceful_shutdown(ended.clone().cancelled_owned());
    let server = tokio::spawn(serving.into_future());

    // The names lead to the server here, whatever the environment says of proxies.
    let client = options.client().no_proxy().tls_certs_only([]);
    let client = client.resolve("news.example", address);
    let client = client.resolve("shop.example", address).build()?;
    let first: Result<_, _> = first.iter().map(|url| Url::parse(url)).collect();
    let (sender, mut results) = mpsc::channel(1);
    let scraping = scrape(&client, first?, options, stop, sender);
    let mut report = BTreeMap::new();
    let reporting = async {
        while let Some((url, outcome)) = results.recv().await {
            report.insert(url.to_string(), describe(&outcome));
        }
    };
    tokio::join!(scraping, reporting);
    println!("Report:");
    for (url, outcome) in report {
        println!("{url}: {outcome}");
    }
    drop(client);
    ended.cancel();
    server.await??;
    Ok(())
}

pub async fn run() -> Result<(), BoxError> {
    let mut options = Options {
        at_once: 3,
        per_host: 2,
        delay: Duration::from_millis(200),
        timeout: Duration::from_millis(800),
        bytes: 10_000,
        depth: 2,
        redirects: 2,
        tries: 2,
        pause: Duration::from_millis(250),
        ..Options::default()
    };
    println!("Two sites with their hard cases:");
    let first = ["http://news.example/", "http://shop.example/"];
    scrape_sites(&options, &first, &CancellationToken::new()).await?;

    println!("At most four pages, and stopped after 0.5 s:");
    options.pages = 4;
    let stop = CancellationToken::new();
    let scraped = scrape_sites(&options, &first[..1], &stop);
    let timer = async {
        sleep(Duration::from_millis(500)).await;
        stop.cancel();
    };
    let (scraped, ()) = tokio::join!(scraped, timer);
    scraped
}

/// The URLs on the command line, or what is wrong with it.
fn urls(arguments: impl Iterator<Item = OsString>) -> Result<Vec<Url>, String> {
    let url = |argument: OsString| {
        let text = argument.to_string_lossy();
        let url = Url::parse(&text).ok();
        url.filter(|url| matches!(url.scheme(), "http" | "https"))
            .ok_or_else(|| format!("`{text}` is no URL such as https://example.com/"))
    };
    arguments.map(url).collect()
}

/// Scrapes these pages until all is done or Ctrl-C is pressed; returns the exit code.
async fn program(first: Vec<Url>) -> Result<i32, BoxError> {
    let options = Options::default();
    let client = options.client().build()?;
    let stop = CancellationToken::new();
    let ctrl_c = async {
        match signal::ctrl_c().await {
            Ok(()) => stop.cancel(),
            Err(error) => eprintln!("Ctrl-C ends without a report: {error}"),
        }
        future::pending().await
    };
    let (sender, mut results) = mpsc::channel(1);
    let scraping = scrape(&client, first, &options, &stop, sender);
    // On standard error, and nothing where that is no terminal.
    let bar = ProgressBar::new_spinner();
    let (mut pages, mut failed) = (0, 0);
    let reporting = async {
        while let Some((url, outcome)) = results.recv().await {
            match &outcome {
                Ok(Fetched::Page { .. }) => pages += 1,
                Ok(Fetched::Moved(_)) => {}
                Err(_) => failed += 1,
            }
            bar.suspend(|| println!("{url}: {}", describe(&outcome)));
            bar.set_message(format!("{pages} pages, {failed} failed"));
            bar.tick();
        }
    };
    select! {
        _ = async { tokio::join!(scraping, reporting) } => {}
        () = ctrl_c => {}
    }
    bar.finish_and_clear();
    println!("{pages} pages, {failed} failed");
    Ok(i32::from(pages == 0))
}

/// Without arguments the program shows what it does with two sites of its own.
#[tokio::main]
pub async fn main() -> Result<(), BoxError> {
    if env::args_os().len() < 2 {
        return run().await;
    }
    let code = match urls(env::args_os().skip(1)) {
        Ok(first) => program(first).await?,
        Err(message) => {
            eprintln!("error: {message}\nusage: web_scraper [URL]...");
            2
        }
    };
    // The end of `main` would wait for threads that still look a name up.
    process::exit(code)
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
            pause: Duration::from_millis(1),
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
        assert_eq!(texts("http://b.example/robots.txt"), "status 502");
        assert_eq!(texts("http://b.example/x"), Failure::NotAllowed.to_string());
        assert_eq!(all.len(), 3, "nor is it where a redirect leads to");
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
        assert_eq!(
            texts("http://b.example/robots.txt"),
            "more than 5 redirects"
        );
        assert_eq!(texts("http://b.example/y"), not_allowed);
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
        let outcome = describe(&all[&format!("{url}robots.txt")]);
        let is_understood = !outcome.contains("scheme is not http");
        assert!(
            outcome.starts_with("no answer") && is_understood,
            "{outcome}"
        );
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
        let options = Options {
            tries: 3,
            pause: Duration::from_secs(1),
            ..options()
        };
        let pauses = |failure: Failure| {
            let pause = |tries| options.pause_after(tries, &failure);
            [1, 2, 3].map(|tries| pause(tries).map(|pause| pause.as_secs()))
        };
        let status = |code| Failure::Status(StatusCode::from_u16(code).expect("a code"));
        for code in [429, 500, 502, 503, 504] {
            assert_eq!(pauses(status(code)), [Some(1), Some(2), None], "{code}");
        }
        for code in [400, 403, 404, 410, 501] {
            assert_eq!(pauses(status(code)), [None; 3], "{code}");
        }
        assert_eq!(pauses(Failure::TooLarge(1)), [None; 3]);
    }

    #[test]
    fn what_robots_txt_allows() {
        let text = "user-agent: other\nUSER-AGENT: Me # us\nDisallow: /\nAllow: /a\n\
            Disallow: /a/b*c$\nDisallow:\n\nUser-agent: *\nDisallow: /*?print";
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
        let parsed = |text: &str| urls([text.into()].into_iter());
        for good in ["https://example.com", "http://localhost:8080/x"] {
            assert!(parsed(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "example.com",
            "localhost:80",
            "ftp://a.example/",
            "http://",
        ] {
            let error = parsed(bad).expect_err("it is refused");
            assert!(error.starts_with(&format!("`{bad}` is no URL")), "{error}");
        }
    }
}
