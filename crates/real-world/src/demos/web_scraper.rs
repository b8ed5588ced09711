//! Two sites with hard cases: slow, moved, forbidden, huge and missing pages.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::http::{HeaderMap, Uri};
use axum::response::{Html, IntoResponse, Redirect, Response};
use reqwest::header::HOST;
use reqwest::{Client, StatusCode, Url, redirect};
use tokio::net::TcpListener;
use tokio::sync::OnceCell;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_util::task::AbortOnDropHandle;

use crate::robots_txt::Robots;
use crate::web_scraper::{Crawl, Failure, Limits, Visit, fetch};

/// Each URL, after how many milliseconds it is answered, and with what.
const SITES: &str = "\
news.example/robots.txt 0 disallow /private/
news.example/ 0 page / /slow /about#us /press /private/x /%70rivate/
news.example/slow 60000 page
news.example/about 0 page /team http://elsewhere.example/ http://[x
news.example/team 0 page /team/more
news.example/press 0 move /private/press
shop.example/robots.txt 750 status 404
shop.example/ 0 page /lamps /missing /huge /old
shop.example/lamps 900 page
shop.example/huge 0 bytes 10001
shop.example/old 0 move /lamps
";

async fn answer(headers: HeaderMap, uri: Uri) -> Response {
    let host = headers.get(HOST).and_then(|host| host.to_str().ok());
    let url = format!("{}{uri}", host.unwrap_or_default());
    println!("GET {url}");
    let mut lines = SITES.lines().map(|line| line.split(' ').collect());
    let line: Vec<&str> = lines
        .find(|line: &Vec<_>| line[0] == url)
        .unwrap_or_default();
    let millis = line.get(1).and_then(|millis| millis.parse().ok());
    sleep(Duration::from_millis(millis.unwrap_or_default())).await;
    match *line {
        [_, _, "disallow", path] => {
            format!("User-agent: *\nDisallow: {path}\n").into_response()
        }
        [_, _, "move", target] => Redirect::temporary(target).into_response(),
        [_, _, "bytes", count] => "x".repeat(count.parse().unwrap_or(0)).into_response(),
        [_, _, "page", ref links @ ..] => {
            let link = |link| format!("<a href=\"{link}\">here</a>\n");
            Html(links.iter().map(link).collect::<String>()).into_response()
        }
        _ => StatusCode::NOT_FOUND.into_response(),
    }
}

/// A client that asks robots.txt first, once for each host.
struct PoliteClient {
    client: Client,
    robots: HashMap<&'static str, OnceCell<Robots>>,
}

impl PoliteClient {
    async fn visit(&self, url: Url) -> Visit<String, Failure> {
        let host = url.host_str().unwrap_or_default();
        let robots = self.robots.get(host).ok_or("an unknown host")?;
        let robots = robots
            .get_or_try_init(|| Robots::fetch(&self.client, &url, "my-crawler/1.0"))
            .await?;
        if !robots.allow(&url).await {
            return Err("forbidden by robots.txt".into());
        }
        let page = fetch(&self.client, url, 10_000).await?;
        let text = format!("{}, {} links", page.status.as_u16(), page.links.len());
        Ok((text, page.links))
    }
}

/// Adds a line on each URL to the report.
async fn crawl(
    client: &Arc<PoliteClient>,
    first: Vec<Url>,
    limits: Limits,
    report: &mut BTreeMap<String, String>,
) {
    let client = Arc::clone(client);
    let mut crawl = Crawl::new(first, limits, move |url| {
        let client = Arc::clone(&client);
        async move { client.visit(url).await }
    });
    while let Some((url, outcome)) = crawl.next().await {
        let text = outcome.unwrap_or_else(|error| match error.downcast_ref() {
            Some(error) if reqwest::Error::is_timeout(error) => "timed out".to_owned(),
            _ => error.to_string(),
        });
        report.insert(url.into(), text);
    }
}

fn show(report: BTreeMap<String, String>) {
    println!("{} URLs:", report.len());
    for (url, text) in report {
        println!("{url}: {text}");
    }
}

pub async fn run() -> Result<(), Failure> {
    let begin = Instant::now() + Duration::from_millis(500);
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let sites = Router::new().fallback(answer);
    let serving = axum::serve(listener, sites).into_future();
    let _server = AbortOnDropHandle::new(tokio::spawn(serving));

    // The names lead to the server here, whatever the environment says of proxies.
    let names = ["news.example", "shop.example"];
    let client = Client::builder().no_proxy().tls_certs_only([]);
    let client = client.redirect(redirect::Policy::none());
    let client = client.timeout(Duration::from_millis(1_200));
    let client = names
        .iter()
        .fold(client, |client, name| client.resolve(name, address));
    let client = Arc::new(PoliteClient {
        client: client.build()?,
        robots: names.map(|name| (name, OnceCell::new())).into(),
    });
    let mut limits = Limits {
        max_visits: 3,
        delay: Duration::from_millis(600),
        max_depth: 2,
        max_pages: 100,
    };
    let mut first = vec![
        "http://news.example/".parse()?,
        "http://shop.example/".parse()?,
    ];

    sleep_until(begin).await;
    println!("Two sites, and 0.6 s between two visits to one:");
    let mut report = BTreeMap::new();
    crawl(&client, first.clone(), limits, &mut report).await;
    show(report);

    sleep_until(begin + Duration::from_millis(6_000)).await;
    println!("One site, at most three URLs, stopped after 1.5 s:");
    first.truncate(1);
    limits.max_pages = 3;
    let mut report = BTreeMap::new();
    let crawl = crawl(&client, first, limits, &mut report);
    let _ = timeout(Duration::from_millis(1_500), crawl).await;
    show(report);
    Ok(())
}
