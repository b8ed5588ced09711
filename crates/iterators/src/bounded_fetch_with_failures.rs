//! Fetch many, a limited number at a time, and keep the rest running when one fails.
//!
//! Each future returns a pair: the `Result`, and the address that was fetched. So a
//! failure is an ordinary item with its address, and the other fetches keep running.
//! `buffer_unordered(limit)` runs at most `limit` futures at a time, in place of a
//! semaphore. The futures share the client: `async move` copies only the reference to the
//! client.
//!
//! Bounds: At most `limit` fetches run at the same time; the other addresses wait. The
//! lists of pages and failures are unbounded.
//!
//! Trap: If you use `?` in the loop, or `try_collect` in place of the loop, the first
//! `Err` ends the loop and drops the stream. The pages that you have so far and the
//! running fetches are lost, as with a `TaskGroup`. Use a `match` on each item, as
//! `fetch_all` does.
//!
//! Trap: If the limit is 0, `buffer_unordered` waits forever. So `fetch_all` refuses 0 by
//! a panic.
//!
//! See also: `buffered_as_completed`, `for_each_concurrent`, `page_fetcher`.
//!
//! asyncio: asyncio.Semaphore, asyncio.TaskGroup, asyncio.gather(return_exceptions=True)

use std::pin::pin;
use std::time::Duration;

use futures::{StreamExt, stream};
use tokio::time::sleep;

#[derive(Debug, thiserror::Error)]
#[error("status {status}")]
pub struct FetchError {
    status: u16,
}

/// Simulates an HTTP client.
pub struct Client {
    pub latency: Duration,
}

impl Client {
    pub async fn fetch(&self, url: &str) -> Result<String, FetchError> {
        println!("fetching {url}");
        sleep(self.latency).await;
        match url {
            "/b" => Err(FetchError { status: 404 }),
            "/d" => Err(FetchError { status: 500 }),
            _ => Ok(format!("page {url}")),
        }
    }
}

/// Fetches all, at most `limit` at a time. Returns the pages, and the failures with their
/// addresses, both in the order of completion.
///
/// # Panics
///
/// If `limit` is 0.
pub async fn fetch_all(
    client: &Client,
    urls: impl IntoIterator<Item = String>,
    limit: usize,
) -> (Vec<String>, Vec<(String, FetchError)>) {
    assert!(limit > 0, "a limit of 0 would wait for ever");
    let (mut pages, mut failures) = (Vec::new(), Vec::new());
    let fetches =
        stream::iter(urls).map(|url| async move { (client.fetch(&url).await, url) });
    let mut results = pin!(fetches.buffer_unordered(limit));
    while let Some((result, url)) = results.next().await {
        match result {
            Ok(page) => pages.push(page),
            Err(error) => {
                println!("{url} failed: {error}");
                failures.push((url, error));
            }
        }
    }
    (pages, failures)
}

#[tokio::main]
async fn main() {
    let latency = Duration::from_millis(200);
    let client = Client { latency };
    let urls = ["/a", "/b", "/c", "/d", "/e"].map(str::to_owned);
    let (pages, failures) = fetch_all(&client, urls, 2).await;
    println!("pages: {}", pages.join(", "));
    let failed: Vec<&str> = failures.iter().map(|(url, _)| url.as_str()).collect();
    println!("failed: {}", failed.join(", "));
}
