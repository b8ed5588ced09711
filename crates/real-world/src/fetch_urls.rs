//! Fetch several URLs concurrently with reqwest, as asyncio.gather does with session.get.
//!
//! Create one `reqwest::Client` and share it, as you share a `ClientSession` of
//! aiohttp: a client reuses its connections. `fetch_all` takes as long as the slowest
//! page. It returns one result for each URL, in the order of the URLs. A status such as
//! 404 is an error here.
//!
//! Bounds: A request times out after 30 s. A page of more than [`MAX_PAGE`] bytes is an
//! error; reqwest's `Response::text` has no limit. Unbounded: The number of concurrent
//! requests; `page_fetcher` limits it.
//!
//! See also: `http_requests`, `page_fetcher`, `http_sync_vs_async`.
//!
//! asyncio: asyncio.gather(return_exceptions=True), async with

use futures::future::join_all;
use reqwest::Client;

/// The text of a page, or why there is none.
pub type Page = Result<String, Box<dyn std::error::Error + Send + Sync>>;

/// The largest page, in bytes.
pub const MAX_PAGE: usize = 2_000_000;

/// Returns the text of a page of at most [`MAX_PAGE`] bytes. A status such as 404 is an
/// error. Any other, such as 304, is a page.
pub async fn fetch_url(client: &Client, url: &str) -> Page {
    let mut response = client.get(url).send().await?.error_for_status()?;
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        body.extend_from_slice(&chunk);
        if body.len() > MAX_PAGE {
            return Err("the page is too large".into());
        }
    }
    Ok(String::from_utf8_lossy(&body).into_owned())
}

/// Fetches all pages concurrently. Returns a result for each, in the order of the URLs.
pub async fn fetch_all(client: &Client, urls: &[String]) -> Vec<Page> {
    join_all(urls.iter().map(|url| fetch_url(client, url))).await
}

/// Prints the length of each page: `cargo run -- https://example.com https://docs.rs`.
#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let timeout = std::time::Duration::from_secs(30);
    let client = Client::builder().timeout(timeout).build()?;
    let urls: Vec<String> = std::env::args().skip(1).collect();
    for (url, page) in urls.iter().zip(fetch_all(&client, &urls).await) {
        println!("{url}: {} bytes", page?.len());
    }
    Ok(())
}

//@ clock: real
//@ try: http://127.0.0.1:1/ -> Connection refused
