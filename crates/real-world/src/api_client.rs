//! A client for a JSON API: base URL, a token that is renewed, retries, JSON errors.
//!
//! Share this struct in an `Arc` where you would share an `httpx.AsyncClient`. `send`
//! takes a closure that completes the request. In the closure, set what you would pass to
//! httpx as `params`, `json` or `data`, for example
//! `|request| request.query(&[("page", "2")])`. If the server answers 401, the bearer
//! token has expired: the first caller logs in again, and all other callers wait for the
//! new token.
//!
//! Like httpx, this client does not follow redirects, because a redirect could send your
//! secret to another host.
//!
//! Bounds: In [`Limits`] you set the number of attempts, the longest pause and the
//! largest body. A larger body is an error. reqwest has no timeout by default: give `new`
//! a builder with a timeout, which then limits each attempt. Unbounded: Concurrent calls;
//! see `connection_limits`.
//!
//! Trap: If you build URLs with `Url::join`, a call may go to the wrong place, because
//! `join` follows the rules of links. "users" joined to "https://x/v1" is
//! "https://x/users", without "v1". "//y/users" is a URL of the host y, which would get
//! your token. Append the path to the base instead, as the method `url` below does.
//!
//! Trap: If a POST times out, the server may have executed it, for example placed the
//! order. A retry would place a second order. So idempotent methods (GET, PUT, DELETE)
//! are retried here, but POST only if no connection was made.
//!
//! See also: `http_requests`, `retry`, `single_flight`, `pagination`.
//!
//! asyncio: asyncio.Lock, asyncio.gather, async with, raise

use std::time::Duration;

use reqwest::header::RETRY_AFTER;
use reqwest::redirect::Policy;
use reqwest::{Client, ClientBuilder, Method, RequestBuilder, Response, StatusCode, Url};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;
use tokio::time::sleep;

/// What the client allows.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// How often an idempotent call is sent, including the first time. 0 counts as 1.
    pub attempts: u32,
    /// The pause after the first attempt. It doubles with each further one.
    pub backoff: Duration,
    /// The longest pause. It limits the header `Retry-After` as well.
    pub max_pause: Duration,
    /// Whether to wait for a random part of the backoff, so that clients spread out.
    pub jitter: bool,
    /// The largest body of a response, in bytes.
    pub body: usize,
}

/// Why a call has no result.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    #[error("not a base URL: {0}")]
    BaseUrl(String),
    /// The URL parser would drop the control character, after the check for "..".
    #[error("not a path: {0:?}")]
    Path(String),
    /// The server answered with an error status and this text.
    #[error("status {}: {message}", .status.as_u16())]
    Status { status: StatusCode, message: String },
    #[error("a body of more than {0} bytes")]
    TooLarge(usize),
    #[error("not the JSON that was expected")]
    Json(#[from] serde_json::Error),
    #[error(transparent)]
    Http(#[from] reqwest::Error),
}

/// What the client logs in with. It has no `Debug`, so that no log shows the secret.
#[derive(Clone, Serialize)]
pub struct Credentials {
    pub client_id: String,
    pub client_secret: String,
}

#[derive(Deserialize)]
struct Login {
    access_token: String,
}

/// A client of one API.
pub struct ApiClient {
    http: Client,
    base: Url,
    credentials: Credentials,
    limits: Limits,
    token: Mutex<Option<String>>,
}

impl ApiClient {
    /// Returns a client that logs in with its first call, at `token` below the base. The
    /// redirects of the builder are switched off: a 3xx is an [`ApiError::Status`].
    ///
    /// # Errors
    ///
    /// [`ApiError::BaseUrl`] if `base` is no URL of http or https, and those of `build`.
    pub fn new(
        http: ClientBuilder,
        base: &str,
        credentials: Credentials,
        limits: Limits,
    ) -> Result<Self, ApiError> {
        let url = Url::parse(base).ok();
        let url = url.filter(|url| matches!(url.scheme(), "http" | "https"));
        Ok(Self {
            base: url.ok_or_else(|| ApiError::BaseUrl(base.to_owned()))?,
            http: http.redirect(Policy::none()).build()?,
            credentials,
            limits,
            token: Mutex::default(),
        })
    }

    /// Sends a call and returns the decoded JSON of its response. An empty body, as that
    /// of a 204, counts as `null`: take `()` or an `Option`. `build` adds query, headers
    /// and body to the request; each attempt calls it.
    ///
    /// If a call is dropped while it renews the token, the next one renews it.
    ///
    /// # Errors
    ///
    /// Those of the last attempt. A token that is rejected twice is a status of 401.
    pub async fn send<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        build: impl Fn(RequestBuilder) -> RequestBuilder,
    ) -> Result<T, ApiError> {
        let url = self.url(path)?;
        let (mut attempt, mut rejected) = (1, None);
        loop {
            let request = || build(self.http.request(method.clone(), url.clone()));
            let may_retry = attempt < self.limits.attempts;
            let is_idempotent = method.is_idempotent();
            let asked = match self.attempt(rejected.as_ref(), request).await {
                Ok((token, response))
                    if response.status() == StatusCode::UNAUTHORIZED
                        && rejected.is_none() =>
                {
                    rejected = Some(token);
                    continue;
                }
                Ok((_, response)) if may_retry && is_idempotent && is_busy(&response) => {
                    retry_after(&response)
                }
                Ok((_, response)) => return self.decode(response).await,
                Err(ApiError::Http(error))
                    if may_retry
                        && (error.is_connect()
                            || error.is_request() && is_idempotent) =>
                {
                    None
                }
                Err(error) => return Err(error),
            };
            let pause = asked.unwrap_or_else(|| self.backoff(attempt));
            sleep(pause.min(self.limits.max_pause)).await;
            attempt += 1;
        }
    }

    /// Sends a request with a token. Returns both the token and the response.
    async fn attempt(
        &self,
        rejected: Option<&String>,
        request: impl FnOnce() -> RequestBuilder,
    ) -> Result<(String, Response), ApiError> {
        let token = self.token(rejected).await?;
        let response = request().bearer_auth(&token).send().await?;
        Ok((token, response))
    }

    /// Returns the URL of a path below the base. No path leaves the base.
    fn url(&self, path: &str) -> Result<Url, ApiError> {
        if path.contains(char::is_control) {
            return Err(ApiError::Path(path.to_owned()));
        }
        let mut url = self.base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments
                .pop_if_empty()
                .extend(path.trim_start_matches('/').split('/'));
        }
        Ok(url)
    }

    /// Returns the token, unless it is the rejected one: then logs in again. The lock
    /// makes all other callers wait for the login.
    async fn token(&self, rejected: Option<&String>) -> Result<String, ApiError> {
        let mut token = self.token.lock().await;
        if let Some(token) = token.as_ref().filter(|token| Some(*token) != rejected) {
            return Ok(token.clone());
        }
        let form = self.http.post(self.url("token")?).form(&self.credentials);
        let login: Login = self.decode(form.send().await?).await?;
        Ok(token.insert(login.access_token).clone())
    }

    async fn decode<T: DeserializeOwned>(
        &self,
        mut response: Response,
    ) -> Result<T, ApiError> {
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await? {
            if body.len() + chunk.len() > self.limits.body {
                return Err(ApiError::TooLarge(self.limits.body));
            }
            body.extend_from_slice(&chunk);
        }
        let status = response.status();
        if !status.is_success() {
            let message = String::from_utf8_lossy(&body).into_owned();
            return Err(ApiError::Status { status, message });
        }
        if body.is_empty() {
            body.extend_from_slice(b"null");
        }
        Ok(serde_json::from_slice(&body)?)
    }

    fn backoff(&self, attempt: u32) -> Duration {
        let doubled = 2_u32.saturating_pow(attempt - 1);
        let pause = self.limits.backoff.saturating_mul(doubled);
        let pause = pause.min(self.limits.max_pause);
        if self.limits.jitter {
            pause.mul_f64(fastrand::f64())
        } else {
            pause
        }
    }
}

/// Whether the server may have an answer later.
fn is_busy(response: &Response) -> bool {
    matches!(response.status().as_u16(), 429 | 502..=504)
}

/// Returns the pause that the server asks for in seconds. A date is ignored.
fn retry_after(response: &Response) -> Option<Duration> {
    let seconds = response.headers().get(RETRY_AFTER)?.to_str().ok()?;
    seconds.parse().ok().map(Duration::from_secs)
}

/// Prints the JSON of a path: `cargo run -- https://api.example.com/v1 users/7`. Takes
/// what to log in with from `CLIENT_ID` and `CLIENT_SECRET`.
#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let mut arguments = std::env::args().skip(1);
    let base = arguments.next().ok_or("usage: BASE PATH")?;
    let path = arguments.next().ok_or("usage: BASE PATH")?;
    let http = Client::builder().timeout(Duration::from_secs(30));
    let credentials = Credentials {
        client_id: std::env::var("CLIENT_ID").unwrap_or_default(),
        client_secret: std::env::var("CLIENT_SECRET").unwrap_or_default(),
    };
    let limits = Limits {
        attempts: 3,
        backoff: Duration::from_millis(500),
        max_pause: Duration::from_secs(10),
        jitter: true,
        body: 2_000_000,
    };
    let api = ApiClient::new(http, &base, credentials, limits)?;
    let json: serde_json::Value = api.send(Method::GET, &path, |it| it).await?;
    println!("{json:#}");
    Ok(())
}

//@ clock: real
//@ try: http://127.0.0.1:1/v1 users -> refused
