//! Fetch many with a limit on how many at once, and let the rest go on when one fails.
//!
//! Each future returns its address beside its `Result`. So a failure is an ordinary item
//! that says where it belongs, and the other fetches go on. The argument of
//! `buffer_unordered` is the limit, in place of a semaphore. The futures share the client
//! by reference, which `async move` copies.
//!
//! Bounds: `limit` fetches at once. The lists of pages and failures are unbounded.
//!
//! Trap: to stop at the first `Err`, with `?` or `try_collect`, drops the stream. The
//! pages so far and the fetches in flight are lost, as with a `TaskGroup`.
//!
//! Trap: with a limit of 0, `buffer_unordered` waits for ever. Here it panics.
//!
//! See also: `buffered_as_completed`, `for_each_concurrent`, `page_fetcher`.
//!
//! asyncio: asyncio.Semaphore, asyncio.TaskGroup, asyncio.gather(return_exceptions=True)

use std::collections::HashMap;
use std::pin::pin;
use std::time::Duration;

use futures::{StreamExt, TryStreamExt, stream};
use tokio::time::sleep;

#[derive(Debug, thiserror::Error)]
#[error("status {status}")]
pub struct FetchError {
    status: u16,
}

/// Stands for an HTTP client: how long an answer takes, and its status.
pub struct Client {
    pub answers: HashMap<&'static str, (u64, u16)>,
}

impl Client {
    pub async fn fetch(&self, url: &str) -> Result<String, FetchError> {
        println!("fetching {url}");
        let (millis, status) = *self.answers.get(url).unwrap_or(&(200, 200));
        sleep(Duration::from_millis(millis)).await;
        if status != 200 {
            return Err(FetchError { status });
        }
        println!("fetched {url}");
        Ok(format!("page {url}"))
    }
}

/// Fetches all, at most `limit` at once. Returns the pages, and the failures with their
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

/// Fetches all, at most `limit` at once, and stops at the first failure.
///
/// # Errors
///
/// The first failure.
///
/// # Panics
///
/// If `limit` is 0.
pub async fn fetch_all_or_none(
    client: &Client,
    urls: impl IntoIterator<Item = String>,
    limit: usize,
) -> Result<Vec<String>, FetchError> {
    assert!(limit > 0, "a limit of 0 would wait for ever");
    stream::iter(urls)
        .map(|url| async move { client.fetch(&url).await })
        .buffer_unordered(limit)
        .try_collect()
        .await
}

pub async fn run() {
    let slow = [("/a", (300, 200)), ("/c", (700, 200))];
    let failing = [("/b", (100, 404)), ("/d", (100, 500))];
    let answers = slow.into_iter().chain(failing).collect();
    let client = Client { answers };

    println!("Failures are noted, the rest goes on:");
    let urls = ["/a", "/b", "/c", "/d", "/e"].map(str::to_owned);
    let (pages, failures) = fetch_all(&client, urls, 2).await;
    println!("pages: {}", pages.join(", "));
    let failed: Vec<&str> = failures.iter().map(|(url, _)| url.as_str()).collect();
    println!("failed: {}", failed.join(", "));

    println!("The first failure ends everything:");
    let urls = ["/e", "/c", "/b"].map(str::to_owned);
    match fetch_all_or_none(&client, urls, 2).await {
        Ok(pages) => println!("pages: {}", pages.join(", ")),
        Err(error) => println!("{error}, and no pages"),
    }
    sleep(Duration::from_millis(500)).await;
    println!("0.5 s later");
}

#[tokio::main]
pub async fn main() {
    run().await;
}
