//! Limit the connections to each host: an HTTP client with a semaphore for each host.
//!
//! aiohttp has this as `TCPConnector(limit_per_host=)`. reqwest has no such limit: its
//! `pool_max_idle_per_host` limits only idle connections. So a thousand concurrent
//! requests open a thousand connections, or fail with "Too many open files". Here a
//! request first takes a permit of its host's semaphore.
//!
//! reqwest keeps idle connections for 90 seconds, any number to any number of hosts. For
//! a crawler of many hosts, set `pool_idle_timeout` to a few seconds, or
//! `pool_max_idle_per_host(0)`.
//!
//! Bounds: At most `limit` requests run for each host; further ones wait. A redirect to
//! another host is not counted there. Unbounded: The waiting requests, and their time:
//! reqwest's `timeout` does not count the wait for a permit.
//!
//! Trap: If you release the permit when `send` returns, you open too many connections:
//! `send` returns after the headers, and the connection still carries the body. Here
//! the permit is part of the response and is released with it.
//!
//! Trap: If a caller keeps `limit` responses and requests the same host again, it waits
//! forever for a permit that it holds itself. Read a response or drop it before the
//! next request.
//!
//! See also: `semaphore` limits all hosts together; `tcp_echo_server` limits a server.
//!
//! asyncio: asyncio.Semaphore, async with, asyncio.gather, asyncio.timeout

use std::collections::HashMap;
use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex, PoisonError};

use reqwest::{Client, Request, Response, Url};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// A client with a limit of concurrent requests for each host. Clones share the limits.
#[derive(Clone, Debug)]
pub struct LimitedClient {
    client: Client,
    limit: usize,
    /// By scheme, name and port. A new host removes the unused ones.
    pub(crate) hosts: Arc<Mutex<HashMap<String, Arc<Semaphore>>>>,
}

impl LimitedClient {
    /// Returns a client that sends at most `limit` concurrent requests to each host.
    ///
    /// # Panics
    ///
    /// If `limit` is 0: no request would ever be sent.
    pub fn new(client: Client, limit: usize) -> Self {
        assert!(limit > 0, "a limit of 0 would send nothing");
        Self {
            client,
            limit: limit.min(Semaphore::MAX_PERMITS),
            hosts: Arc::default(),
        }
    }

    /// Waits for a permit of the host, then sends the request. First come, first served.
    ///
    /// If the future is dropped while it waits, nothing is sent. The permit is released
    /// with the response, or when the request fails. HTTP/1 frees the connection a moment
    /// later, so there may be a few more connections than permits.
    pub async fn execute(&self, request: Request) -> reqwest::Result<LimitedResponse> {
        let permit = self.acquire(request.url()).await;
        let response = self.client.execute(request).await?;
        Ok(LimitedResponse { response, permit })
    }

    async fn acquire(&self, url: &Url) -> OwnedSemaphorePermit {
        let host = url.origin().ascii_serialization();
        let semaphore = {
            let mut hosts = self.hosts.lock().unwrap_or_else(PoisonError::into_inner);
            if !hosts.contains_key(&host) {
                // Forgets the unused hosts.
                hosts.retain(|_, semaphore| Arc::strong_count(semaphore) > 1);
            }
            let new = || Arc::new(Semaphore::new(self.limit));
            Arc::clone(hosts.entry(host).or_insert_with(new))
        };
        semaphore.acquire_owned().await.expect("it is never closed")
    }
}

/// A [`Response`] that owns its permit. Dropping it releases the permit.
#[derive(Debug)]
pub struct LimitedResponse {
    response: Response,
    permit: OwnedSemaphorePermit,
}

impl LimitedResponse {
    /// Returns the parts, for methods that consume the response. Keep the permit until
    /// the body is read: `let (response, _permit) = response.into_parts();`.
    pub fn into_parts(self) -> (Response, OwnedSemaphorePermit) {
        (self.response, self.permit)
    }

    /// Turns a status such as 404 into an error, which releases the permit.
    pub fn error_for_status(self) -> reqwest::Result<Self> {
        let (response, permit) = self.into_parts();
        let response = response.error_for_status()?;
        Ok(Self { response, permit })
    }

    /// Reads the body, of any size, and releases the permit.
    pub async fn text(self) -> reqwest::Result<String> {
        let (response, _permit) = self.into_parts();
        response.text().await
    }

    /// Reads the body, of any size, decodes its JSON and releases the permit.
    pub async fn json<T: serde::de::DeserializeOwned>(self) -> reqwest::Result<T> {
        let (response, _permit) = self.into_parts();
        response.json().await
    }
}

impl Deref for LimitedResponse {
    type Target = Response;

    fn deref(&self) -> &Response {
        &self.response
    }
}

impl DerefMut for LimitedResponse {
    fn deref_mut(&mut self) -> &mut Response {
        &mut self.response
    }
}

/// Requests URLs, at most 2 at the same time per host: `cargo run --
/// https://example.com/`.
#[tokio::main]
async fn main() -> reqwest::Result<()> {
    // Without a timeout, a server that stalls keeps its permits forever.
    let timeout = std::time::Duration::from_secs(30);
    let client = Client::builder().timeout(timeout).build()?;
    let limited = LimitedClient::new(client.clone(), 2);
    let requests = std::env::args().skip(1).map(|url| async {
        let response = limited.execute(client.get(url).build()?).await?;
        reqwest::Result::Ok(response.text().await?.len())
    });
    println!("{:?} bytes", futures::future::try_join_all(requests).await?);
    Ok(())
}

//@ clock: real
//@ try: http://127.0.0.1:1/ -> refused
