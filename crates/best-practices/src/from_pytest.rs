//! From pytest to `cargo test`: fixtures, parametrize, monkeypatch, caplog.
//!
//! The parts of pytest and what to write in their place:
//! - A fixture is a function that returns a struct. The teardown is the `Drop` of
//!   the struct.
//! - In place of `parametrize`, loop over a table.
//! - In place of patching with `monkeypatch`, pass the dependency. In this file it
//!   is the URL of a fake service.
//! - In place of `caplog`, `capture_logs` below returns the messages that a future logs.
//!
//! Each `#[tokio::test]` has its own thread and runtime. Add `flavor = "multi_thread"` to
//! run the tasks of a test on several threads, or `start_paused = true` to skip its waits
//! (`unit_testing`).
//!
//! Bounds: The HTTP client of a test gives up after the `timeout` that you pass.
//! Unbounded: The number of requests that the fake service records.
//!
//! Trap: If a test sets an environment variable, the other tests see it, because all
//! share one environment. So in edition 2024 `std::env::set_var` is unsafe ("call to
//! unsafe function"). In place of `monkeypatch.setenv`, pass the setting.
//!
//! Trap: If an assertion fails, a `close().await` at the end of the test is skipped, and
//! only `Drop` runs. (In pytest, the code of a fixture after `yield` runs even then.) To
//! close in both cases, use the function of the example `scoped_resource`, which closes a
//! resource even after a panic.
//!
//! In production: The crate `rstest` makes a separate test of each row of a table, and
//! passes fixtures as arguments.
//!
//! asyncio: unittest.IsolatedAsyncioTestCase, contextlib.asynccontextmanager

use std::future::Future;
use std::io;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::http::{Method, Uri};
use reqwest::{Client, StatusCode};
use tokio::net::TcpListener;
use tokio::time::sleep;
use tokio_util::task::AbortOnDropHandle;
use tracing::instrument::WithSubscriber;
use tracing::{Dispatch, warn};

/// A limit that is not reached.
const LIMIT: Duration = Duration::from_secs(30);

/// The code under test: asks a service about users.
pub struct Users {
    client: Client,
    url: String,
}

impl Users {
    /// Returns whether the service knows the user.
    ///
    /// # Errors
    ///
    /// If the service does not answer in time, or with another status than 404 or 2xx.
    pub async fn exists(&self, name: &str) -> reqwest::Result<bool> {
        let url = format!("{}/{name}", self.url);
        let response = self.client.head(url).send().await?;
        if response.status() == StatusCode::NOT_FOUND {
            warn!("no user {name}");
            return Ok(false);
        }
        response.error_for_status().map(|_| true)
    }
}

/// A fixture: an HTTP service on a free port, in place of `aioresponses`. It stops
/// when it is dropped.
pub struct FakeService {
    url: String,
    requests: Arc<Mutex<Vec<String>>>,
    _server: AbortOnDropHandle<io::Result<()>>,
}

impl FakeService {
    /// Starts a service that answers every request with this status, after a delay.
    ///
    /// # Errors
    ///
    /// If no port is free.
    pub async fn start(status: StatusCode, delay: Duration) -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}", listener.local_addr()?);
        let requests = Arc::<Mutex<Vec<String>>>::default();
        let recorded = Arc::clone(&requests);
        let app = Router::new().fallback(move |method: Method, uri: Uri| {
            let mut requests = recorded.lock().unwrap_or_else(PoisonError::into_inner);
            requests.push(format!("{method} {uri}"));
            async move {
                sleep(delay).await;
                status
            }
        });
        let server = tokio::spawn(async { axum::serve(listener, app).await });
        Ok(Self {
            url,
            requests,
            _server: AbortOnDropHandle::new(server),
        })
    }

    /// Returns the requests so far.
    pub fn requests(&self) -> Vec<String> {
        let requests = self.requests.lock();
        requests.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// A fixture that uses the other: the code under test, as a client of the service
    /// that gives up after the timeout.
    ///
    /// # Errors
    ///
    /// If the client cannot be built.
    pub fn users(&self, timeout: Duration) -> reqwest::Result<Users> {
        // A proxy would not find the service.
        let client = Client::builder().no_proxy().timeout(timeout).build()?;
        let url = self.url.clone();
        Ok(Users { client, url })
    }
}

/// Runs the future, and returns its output and the messages that it logs, in place of
/// `caplog`. A task that the future spawns needs `with_current_subscriber`.
pub async fn capture_logs<T>(future: impl Future<Output = T>) -> (T, Vec<String>) {
    // tracing remembers for each line of code whether anybody listens. With only one
    // subscriber in the process it asks the thread that runs the line first. If that
    // thread belongs to a test that captures nothing, the line is off for all tests. So
    // there is always a second subscriber.
    static SECOND: LazyLock<Dispatch> =
        LazyLock::new(|| Dispatch::new(tracing_subscriber::registry()));
    LazyLock::force(&SECOND);

    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Log {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let mut log = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            log.write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .without_time()
        .with_ansi(false)
        .with_level(false)
        .with_target(false)
        .with_writer(move || writer.clone())
        .finish();
    let output = future.with_subscriber(subscriber).await;
    let text = log.0.lock().unwrap_or_else(PoisonError::into_inner);
    let lines = String::from_utf8_lossy(&text);
    (output, lines.lines().map(str::to_owned).collect())
}

/// Makes one test by hand, with a service that answers so: `cargo run -- 404`.
#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let status = std::env::args().nth(1).ok_or("usage: STATUS")?;
    let service = FakeService::start(status.parse()?, Duration::ZERO).await?;
    let users = service.users(LIMIT)?;
    let (exists, logs) = capture_logs(users.exists("ada")).await;
    println!("requests: {}", service.requests().join(", "));
    println!("logs: {}", logs.join(", "));
    println!("exists: {}", exists?);
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use reqwest::StatusCode;

    use super::{FakeService, LIMIT, capture_logs};

    type BoxError = Box<dyn std::error::Error + Send + Sync>;

    #[tokio::test]
    async fn asks_once() -> Result<(), BoxError> {
        for (status, expected) in [
            (StatusCode::OK, Some(true)),
            (StatusCode::NO_CONTENT, Some(true)),
            (StatusCode::NOT_FOUND, Some(false)),
            (StatusCode::INTERNAL_SERVER_ERROR, None),
        ] {
            let service = FakeService::start(status, Duration::ZERO).await?;
            let exists = service.users(LIMIT)?.exists("ada").await;
            // The message names the row, as pytest's report does.
            assert_eq!(exists.ok(), expected, "{status}");
            assert_eq!(service.requests(), ["HEAD /ada"], "{status}");
        }
        Ok(())
    }

    #[tokio::test]
    async fn times_out() -> Result<(), BoxError> {
        let delay = Duration::from_secs(60);
        let service = FakeService::start(StatusCode::OK, delay).await?;
        let users = service.users(Duration::from_millis(100))?;
        let exists = users.exists("ada").await;
        assert!(exists.is_err_and(|error| error.is_timeout()));
        Ok(())
    }

    #[tokio::test]
    async fn logs_an_unknown_user() -> Result<(), BoxError> {
        let service = FakeService::start(StatusCode::NOT_FOUND, Duration::ZERO).await?;
        let (exists, logs) = capture_logs(service.users(LIMIT)?.exists("bob")).await;
        assert!(!exists?);
        assert_eq!(logs, ["no user bob"]);
        Ok(())
    }
}

//@ clock: real
//@ try: 404 -> logs: no user ada
