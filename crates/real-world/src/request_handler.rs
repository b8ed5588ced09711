//! An API request handler with a cache that does no work twice: no cache stampede.
//!
//! The obvious cache looks a response up, computes it and stores it. A request that
//! comes meanwhile misses too and computes it again. Here the map holds calls: requests
//! for the same endpoint wait for one call, and later ones get its response at once.
//! asyncio awaits a task in the map through `shield`. Here a task runs the call, so that
//! it survives the caller that began it, and a `watch` hands its response to all.
//!
//! Bounds: none for endpoints that succeed. No entry expires; failed calls are removed.
//!
//! Trap: a cache that keeps failures grows with every wrong path that a client makes up.
//!
//! Trap: a `Shared` of futures can lose a wake-up when a waiter is dropped. Others hang.
//!
//! In production: `moka` limits the number of entries and their age, and its
//! `try_get_with` runs one call for a key.
//!
//! See also: `ttl_cache`, `single_flight`.
//!
//! asyncio: asyncio.create_task, asyncio.shield, asyncio.gather, asyncio.timeout

use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::FutureExt;
use futures::future::join_all;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

/// What a request is answered with: cheap to clone, as a cached one has many readers.
pub type Response = Arc<str>;

/// Why there is no response.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ApiError {
    /// 404.
    #[error("there is no {0}")]
    NotFound(String),
    /// 502: what the handler asked has failed.
    #[error("the database does not answer")]
    Database,
    /// 500: the call panicked.
    #[error("internal error")]
    Panicked,
}

/// `None` while the call runs.
type Call = watch::Receiver<Option<Result<Response, ApiError>>>;

type Calls = HashMap<String, Call>;

/// Responses by endpoint, each computed by one call at a time and kept if it succeeds.
#[derive(Default)]
pub struct CallCache {
    pub(crate) calls: Arc<Mutex<Calls>>,
}

fn lock(calls: &Mutex<Calls>) -> MutexGuard<'_, Calls> {
    // The map is whole at any time, so a panic elsewhere spoils nothing.
    calls.lock().unwrap_or_else(PoisonError::into_inner)
}

impl CallCache {
    /// Returns the response of the call that runs or has succeeded for this endpoint. If
    /// there is none, `call` runs in a task; otherwise `call` is dropped unused.
    ///
    /// Cancel-safe: dropped while it waits, it leaves the call running.
    ///
    /// # Errors
    ///
    /// The error of the call, for all that wait for it. The next request calls again.
    ///
    /// # Panics
    ///
    /// Outside of a Tokio runtime.
    pub async fn get(
        &self,
        endpoint: &str,
        call: impl Future<Output = Result<Response, ApiError>> + Send + 'static,
    ) -> Result<Response, ApiError> {
        let mut call = self.join_or_begin(endpoint, call);
        let ended = call.wait_for(Option::is_some).await;
        // Without a sender the runtime is shutting down.
        let ended = ended.ok().and_then(|ended| ended.clone());
        ended.unwrap_or(Err(ApiError::Panicked))
    }

    /// Returns the call that runs or has succeeded, or else starts this one in a task,
    /// which removes its entry if it fails.
    fn join_or_begin(
        &self,
        endpoint: &str,
        call: impl Future<Output = Result<Response, ApiError>> + Send + 'static,
    ) -> Call {
        let mut calls = lock(&self.calls);
        if let Some(running) = calls.get(endpoint) {
            return running.clone();
        }
        let (sender, receiver) = watch::channel(None);
        let (all, key) = (Arc::clone(&self.calls), endpoint.to_owned());
        tokio::spawn(async move {
            let ended = AssertUnwindSafe(call).catch_unwind().await;
            let ended = ended.unwrap_or(Err(ApiError::Panicked));
            if ended.is_err() {
                lock(&all).remove(&key);
            }
            sender.send_replace(Some(ended));
        });
        calls.insert(endpoint.to_owned(), receiver.clone());
        receiver
    }
}

/// Does the work, and says so.
#[derive(Default)]
struct Database {
    queries: AtomicU32,
}

impl Database {
    async fn query(&self, endpoint: &str) -> Result<Response, ApiError> {
        let number = self.queries.fetch_add(1, Relaxed) + 1;
        println!("query {number}, for {endpoint}");
        sleep(Duration::from_millis(800)).await;
        println!("query {number} ends");
        match (endpoint, number) {
            // The first for this endpoint.
            ("/flaky", 4) => Err(ApiError::Database),
            _ => Ok(format!("result of query {number}").into()),
        }
    }
}

/// Handles requests. A server shares it in an `Arc` and calls it in a task for each.
#[derive(Default)]
struct ApiHandler {
    database: Arc<Database>,
    responses: Mutex<HashMap<String, Response>>,
    calls: CallCache,
}

impl ApiHandler {
    async fn handle(&self, endpoint: &str) -> Result<Response, ApiError> {
        match endpoint {
            "/fast" => {
                sleep(Duration::from_millis(150)).await;
                Ok("quick".into())
            }
            "/error" => {
                sleep(Duration::from_millis(500)).await;
                Err(ApiError::Database)
            }
            "/stampede" => self.look_up_then_store(endpoint).await,
            "/report" | "/flaky" | "/users" => {
                // The call owns what it uses.
                let (database, name) = (Arc::clone(&self.database), endpoint.to_owned());
                let call = async move { database.query(&name).await };
                self.calls.get(endpoint, call).await
            }
            _ => Err(ApiError::NotFound(endpoint.to_owned())),
        }
    }

    fn responses(&self) -> MutexGuard<'_, HashMap<String, Response>> {
        self.responses
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// The obvious cache.
    async fn look_up_then_store(&self, endpoint: &str) -> Result<Response, ApiError> {
        if let Some(response) = self.responses().get(endpoint) {
            return Ok(Arc::clone(response));
        }
        let response = self.database.query(endpoint).await?;
        let stored = Arc::clone(&response);
        self.responses().insert(endpoint.to_owned(), stored);
        Ok(response)
    }
}

/// Requests the endpoints, 0.1 s apart, each without waiting for the one before.
async fn request(api: &ApiHandler, first: usize, endpoints: &[&str]) {
    let mut requests = Vec::new();
    for (delay, endpoint) in (0..).step_by(100).zip(endpoints) {
        let number = first + requests.len();
        requests.push(async move {
            sleep(Duration::from_millis(delay)).await;
            println!("[{number}] {endpoint}");
            match api.handle(endpoint).await {
                Ok(response) => println!("[{number}] {response}"),
                Err(error) => println!("[{number}] error: {error}"),
            }
        });
    }
    join_all(requests).await;
}

pub async fn run() {
    let api = ApiHandler::default();

    println!("A cache of responses, looked up and then stored, queries twice:");
    request(&api, 1, &["/stampede", "/stampede"]).await;

    println!("A cache of calls queries once, and nobody waits who need not:");
    let endpoints = ["/fast", "/report", "/report", "/error", "/nothing", "/fast"];
    request(&api, 3, &endpoints).await;

    println!("Later the response is there at once:");
    request(&api, 9, &["/report"]).await;

    println!("A failure is shared, but not kept:");
    request(&api, 10, &["/flaky", "/flaky"]).await;
    request(&api, 12, &["/flaky"]).await;

    println!("The caller who began the call gives up after 0.3 s:");
    let begun = timeout(Duration::from_millis(300), request(&api, 13, &["/users"])).await;
    println!("{}", begun.map_or("gave up", |()| "was answered"));
    sleep(Duration::from_millis(600)).await;
    request(&api, 14, &["/users"]).await;
}

#[tokio::main]
pub async fn main() {
    run().await;
}
