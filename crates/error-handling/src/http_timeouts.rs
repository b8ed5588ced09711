//! HTTP timeouts and errors with reqwest: connect, read and total limits; status codes.
//!
//! A `reqwest` client has no time limit unless you set one; aiohttp stops after 300 s.
//! `connect_timeout` includes the name lookup. `read_timeout` limits each wait, so a slow
//! drip stays within it. `timeout` limits the whole request with its body.
//!
//! Bounds: the time of a request. Unbounded: the size of a page.
//!
//! Trap: `send` returns when the headers have arrived. A `timeout` around `send` alone
//! does not cover the body.
//!
//! Trap: a status of 500 is no error without `error_for_status`. A connection that takes
//! too long is both `is_connect` and `is_timeout`.
//!
//! See also: `timeouts`, `retry`, `http_requests`.
//!
//! asyncio: asyncio.timeout, asyncio.start_server, raise, except
//! clock: real
//! order: a piece after 0.5 s
//! try: http://127.0.0.1:1/ -> NotConnected

use std::time::Duration;

use reqwest::{Client, ClientBuilder};

/// Why a page could not be fetched, by what a caller would do about it.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    #[error("not a URL to ask")]
    NoUrl(#[source] reqwest::Error),
    #[error("too many redirects")]
    Redirects(#[source] reqwest::Error),
    #[error("no connection in time")]
    ConnectTimedOut(#[source] reqwest::Error),
    #[error("no connection")]
    NotConnected(#[source] reqwest::Error),
    #[error("no answer in time")]
    TimedOut(#[source] reqwest::Error),
    #[error("the server says {0}")]
    Status(reqwest::StatusCode),
    #[error("the answer breaks off")]
    Broken(#[source] reqwest::Error),
    #[error("the request failed")]
    Other(#[source] reqwest::Error),
}

impl From<reqwest::Error> for FetchError {
    fn from(error: reqwest::Error) -> Self {
        match error.status() {
            Some(status) => Self::Status(status),
            None if error.is_builder() => Self::NoUrl(error),
            None if error.is_redirect() => Self::Redirects(error),
            None if error.is_connect() && error.is_timeout() => {
                Self::ConnectTimedOut(error)
            }
            None if error.is_connect() => Self::NotConnected(error),
            None if error.is_timeout() => Self::TimedOut(error),
            None if error.is_body() || error.is_decode() => Self::Broken(error),
            None => Self::Other(error),
        }
    }
}

/// Returns the beginnings of a client for all requests. The limits are those for
/// connecting, for each read and for the whole request.
pub fn client_builder([connect, read, total]: [Duration; 3]) -> ClientBuilder {
    Client::builder()
        .connect_timeout(connect)
        .read_timeout(read)
        .timeout(total)
}

/// Returns the text of a page.
pub async fn fetch(client: &Client, url: &str) -> Result<String, FetchError> {
    let response = client.get(url).send().await?.error_for_status()?;
    Ok(response.text().await?)
}

/// Fetches a page: `cargo run -- http://localhost:8080/`.
#[tokio::main]
pub async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let url = std::env::args().nth(1).ok_or("usage: URL")?;
    let limits = [5, 10, 30].map(Duration::from_secs);
    println!("{}", fetch(&client_builder(limits).build()?, &url).await?);
    Ok(())
}
