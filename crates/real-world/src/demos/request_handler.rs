//! Requests that meet in a cache of responses, and in a cache of calls.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::future::join_all;
use tokio::time::{sleep, timeout};

use crate::request_handler::{ApiError, CallCache, Response};

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

    println!(
        "A cache of calls queries once for each endpoint; other endpoints do not wait:"
    );
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
