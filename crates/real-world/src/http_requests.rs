//! HTTP requests with reqwest: send and receive JSON, tell errors apart, set limits.
//!
//! Make one `Client`, which is aiohttp's session, and clone it into tasks and structs:
//! the clones share the connections. A server may close an idle connection just when you
//! use it again, and the request fails. If that happens, set `pool_idle_timeout` below
//! the server's limit. A connection is used again when the body was read to its end; if
//! you drop a long response before that, its connection is closed. For a query, a bearer
//! token and JSON, write
//! `client.post(url).query(&[("page", "2")]).bearer_auth(token).json(&body)`.
//!
//! Bounds: The function [`client`] sets a timeout; reqwest has none by default.
//! [`read_limited`] returns an error for a body above its limit. Unbounded: The
//! concurrent requests of `fetch_all`; see `page_fetcher`.
//!
//! Trap: For reqwest a 404 is not an error, so you may take its error page for your
//! data. Check the status before you read the body: `text` and `json` use up the
//! response, and afterwards the compiler refuses `response.status()` ("borrow of moved
//! value: `response`").
//!
//! Trap: `Response::text`, `bytes` and `json` read a body of any size into memory. A
//! hostile server can fill your memory. Call `read_limited` below.
//!
//! In production: HTTPS needs reqwest's feature `rustls`, which is built without
//! OpenSSL. A client obeys the environment variables `HTTP_PROXY` and `NO_PROXY`, even
//! for localhost. To ignore them, call `no_proxy()` on its builder.
//!
//! asyncio: asyncio.gather(return_exceptions=True), async with, raise, except

use std::time::Duration;

use futures::future::join_all;
use reqwest::{Client, RequestBuilder, Response};
use serde::de::DeserializeOwned;

/// The largest body, in bytes.
pub const MAX_BODY: usize = 2_000_000;

/// Why there is no data.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    #[error("no answer in time")]
    TimedOut(#[source] reqwest::Error),
    #[error("no connection")]
    NotConnected(#[source] reqwest::Error),
    /// The server answered with this error status and this text.
    #[error("status {status}: {message}")]
    Status { status: u16, message: String },
    #[error("a body of more than {0} bytes")]
    TooLarge(usize),
    #[error("not the JSON that was expected")]
    Json(#[from] serde_json::Error),
    #[error("the request failed")]
    Broken(#[source] reqwest::Error),
}

impl From<reqwest::Error> for FetchError {
    fn from(error: reqwest::Error) -> Self {
        match (error.is_timeout(), error.is_connect()) {
            (true, _) => Self::TimedOut(error),
            (false, true) => Self::NotConnected(error),
            (false, false) => Self::Broken(error),
        }
    }
}

/// Returns a client whose requests time out: `connect` limits connecting, `total` the
/// request and its response.
///
/// Three more features of reqwest: `cookies` (then add `.cookie_store(true)` here),
/// `gzip` (then responses are decompressed), `form` (then `request.form(&fields)`).
pub fn client(connect: Duration, total: Duration) -> reqwest::Result<Client> {
    let builder = Client::builder().connect_timeout(connect);
    builder.timeout(total).build()
}

/// Sends a request and returns the decoded JSON of the response. An empty body, as that
/// of a 204, counts as `null`: take `()` or an `Option`.
///
/// `Response::json` fails with the same text for JSON of the wrong form and for a body
/// that breaks off. Here these are two errors.
pub async fn fetch_json<T: DeserializeOwned>(
    request: RequestBuilder,
) -> Result<T, FetchError> {
    let response = request.send().await?;
    let status = response.status();
    let body = read_limited(response, MAX_BODY).await;
    if !status.is_success() {
        // `error_for_status` is shorter, but loses the server's message. If the message
        // breaks off or is too large, the status is still reported.
        let message = String::from_utf8_lossy(&body.unwrap_or_default()).into_owned();
        let status = status.as_u16();
        return Err(FetchError::Status { status, message });
    }
    let body = body?;
    // Some servers put a byte order mark in front.
    let json = body.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(&body);
    Ok(serde_json::from_slice(match json {
        b"" => b"null",
        json => json,
    })?)
}

/// Returns a body of at most `max_bytes`. Counts them: `Content-Length` may be wrong.
pub async fn read_limited(
    mut response: Response,
    max_bytes: usize,
) -> Result<Vec<u8>, FetchError> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        if body.len() + chunk.len() > max_bytes {
            return Err(FetchError::TooLarge(max_bytes));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// Fetches all URLs concurrently. Returns a result for each, in the order of the URLs.
pub async fn fetch_all<T: DeserializeOwned>(
    client: &Client,
    urls: &[String],
) -> Vec<Result<T, FetchError>> {
    // await asyncio.gather(*[fetch_json(session, url) for url in urls])
    join_all(urls.iter().map(|url| fetch_json(client.get(url)))).await
}

/// Prints the JSON of a URL: `cargo run -- https://example.com/data.json`.
#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let url = std::env::args().nth(1).ok_or("usage: URL")?;
    let client = client(Duration::from_secs(5), Duration::from_secs(30))?;
    let json: serde_json::Value = fetch_json(client.get(url)).await?;
    println!("{json:#}");
    Ok(())
}

//@ clock: real
//@ try: http://127.0.0.1:1/ -> refused
