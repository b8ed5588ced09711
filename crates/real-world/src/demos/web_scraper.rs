//! Two sites with hard cases: slow, moved, forbidden, huge, broken and for a while busy.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, Uri};
use axum::response::{Html, IntoResponse, Redirect, Response};
use indicatif::ProgressBar;
use reqwest::header::HOST;
use reqwest::{Client, StatusCode, Url};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::web_scraper::{Options, Outcome, describe, scrape};

pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Two sites with the hard cases: each URL, after how many milliseconds, and what.
const SITES: &str = "\
news.example/robots.txt 0 disallow /private/
news.example/ 0 page / /slow /about#us /old /press /private /private/x /circle /%70rivate/
news.example/slow 60000 page
news.example/about 0 page /team http://elsewhere.example/ http://[x
news.example/team 600 page /team/more
news.example/old 300 page
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
    // Each part begins at its time, however long the part before took.
    let begin = Instant::now() + Duration::from_millis(500);
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let sites = Router::new().fallback(answer).with_state(Arc::default());
    let serving = axum::serve(listener, sites).into_future();
    let _server = AbortOnDropHandle::new(tokio::spawn(serving));

    let mut options = Options {
        max_requests: 3,
        delay: Duration::from_millis(200),
        timeout: Duration::from_millis(800),
        max_bytes: 10_000,
        max_depth: 2,
        max_attempts: 2,
        initial_backoff: Duration::from_millis(250),
        ..Options::default()
    };
    // The names lead to the server here, whatever the environment says of proxies.
    let client = options.client().no_proxy().tls_certs_only([]);
    let client = client.resolve("news.example", address);
    let client = client.resolve("shop.example", address).build()?;

    let mut first = vec![
        "http://news.example/".parse()?,
        "http://shop.example/".parse()?,
    ];

    sleep_until(begin).await;
    println!("Two sites with their hard cases:");
    let stop = CancellationToken::new();
    scrape_and_report(&client, first.clone(), &options, &stop).await;

    sleep_until(begin + Duration::from_millis(3500)).await;
    println!("At most four pages, and stopped after 0.5 s:");
    options.max_pages = 4;
    first.truncate(1);
    let timer = async {
        sleep(Duration::from_millis(500)).await;
        stop.cancel();
    };
    tokio::join!(scrape_and_report(&client, first, &options, &stop), timer);
    Ok(())
}

#[tokio::main]
pub async fn main() -> Result<(), BoxError> {
    run().await
}
