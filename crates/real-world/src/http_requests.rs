//! HTTP requests with reqwest: JSON from several URLs at once, errors, limits, a session.
//!
//! `join_all` is `gather`, and each request keeps its own `Result`, so one that fails
//! leaves the others alone. A `Client` is what a session is: make one for the program and
//! clone it into tasks and structs. Clones share its connections; a client for each
//! request makes a connection for each. Set `timeout` and `connect_timeout`: without them
//! it has no limit in time (see `http_timeouts`). The trap: a 404 is no error, and its
//! body may be taken for data. So look at the status first, also as `text` and `json` use
//! up the response: "borrow of moved value: `response`". `Response::json` has one text,
//! "error decoding response body", for JSON that does not fit and for a body that breaks
//! off; `bytes` and then `serde_json` tell them apart. URLs with https need reqwest's
//! feature `rustls`. Many URLs: `page_fetcher`. The crates `reqwest-middleware` and
//! `reqwest-retry` do more: they try again.
//!
//! asyncio: asyncio.gather(return_exceptions=True), async with, raise, except
//! clock: real

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::extract::Path;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Json, Response};
use axum::routing::get;
use axum::serve::ListenerExt;
use futures::future::join_all;
use reqwest::{Client, RequestBuilder};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::json;
use tokio::net::{TcpListener, TcpSocket};
use tokio::time::{Instant, interval, interval_at, sleep};
use tokio_util::task::AbortOnDropHandle;

pub type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Why there is no data.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    #[error("no answer in time")]
    TimedOut(#[source] reqwest::Error),
    #[error("no connection")]
    NotConnected(#[source] reqwest::Error),
    #[error("status {status}: {message}")]
    Status { status: u16, message: String },
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

/// A client whose requests give up: `connect` is for the connection, `total` for all, up
/// to the end of the body.
pub fn client(connect: Duration, total: Duration) -> reqwest::Result<Client> {
    // In an example the server is on this machine, which no proxy would reach.
    let builder = Client::builder().no_proxy();
    builder.connect_timeout(connect).timeout(total).build()
}

/// Sends a request and decodes the JSON of its answer, which may be of any size.
pub async fn fetch_json<T: DeserializeOwned>(
    request: RequestBuilder,
) -> Result<T, FetchError> {
    let response = request.send().await?;
    let status = response.status();
    if !status.is_success() {
        // `error_for_status` is shorter, but then the server's message is lost. If that
        // breaks off, the status is still told.
        let message = response.text().await.unwrap_or_default();
        let status = status.as_u16();
        return Err(FetchError::Status { status, message });
    }
    Ok(serde_json::from_slice(&response.bytes().await?)?)
}

/// Fetches all at once: a result for each URL, in the order of the URLs.
pub async fn fetch_all<T: DeserializeOwned>(
    client: &Client,
    urls: &[String],
) -> Vec<Result<T, FetchError>> {
    // await asyncio.gather(*[fetch_json(session, url) for url in urls])
    join_all(urls.iter().map(|url| fetch_json(client.get(url)))).await
}

#[derive(Debug, Deserialize)]
struct Post {
    title: String,
}

fn report(id: u32, result: Result<Post, FetchError>) {
    match result {
        Ok(post) => println!("post {id}: {}", post.title),
        Err(error) => println!("post {id}: {error}"),
    }
}

async fn post(Path(id): Path<u32>) -> Response {
    sleep(Duration::from_millis(if id == 3 { 700 } else { 300 })).await;
    match id {
        1..4 => Json(json!({ "title": format!("Title {id}") })).into_response(),
        4 => Json(json!({ "headline": "Title 4" })).into_response(),
        _ => {
            let error = json!({ "error": format!("no post {id}") });
            (StatusCode::NOT_FOUND, Json(error)).into_response()
        }
    }
}

/// Counts the connections that are made to it.
struct Server {
    address: SocketAddr,
    connections: Arc<AtomicUsize>,
    _task: AbortOnDropHandle<io::Result<()>>,
}

impl Server {
    async fn start() -> io::Result<Self> {
        let app = Router::new()
            .route("/posts/{id}", get(post))
            .route("/hello", get(Json("hello")));
        let connections = Arc::new(AtomicUsize::new(0));
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let count = Arc::clone(&connections);
        let listener = listener.tap_io(move |_| {
            count.fetch_add(1, Ordering::Relaxed);
        });
        let task = tokio::spawn(async { axum::serve(listener, app).await });
        let _task = AbortOnDropHandle::new(task);
        Ok(Self {
            address,
            connections,
            _task,
        })
    }

    /// How many connections were made since it was last asked.
    fn new_connections(&self) -> usize {
        self.connections.swap(0, Ordering::Relaxed)
    }
}

/// A request with each of the clients, 0.1 s apart.
async fn greet_in_a_row(clients: Vec<Client>, url: &str) -> Result<(), Failure> {
    let mut pause = interval(Duration::from_millis(100));
    for client in clients {
        pause.tick().await;
        // The task owns its clone of the client.
        let url = url.to_owned();
        let fetch = async move { fetch_json::<String>(client.get(url)).await };
        println!("{}", tokio::spawn(fetch).await??);
    }
    Ok(())
}

pub async fn run() -> Result<(), Failure> {
    // Each part begins at its time, however long the one before it took.
    let first = Instant::now() + Duration::from_millis(500);
    let mut part = interval_at(first, Duration::from_millis(800));
    let [connect, total] = [200, 500].map(Duration::from_millis);
    let client = client(connect, total)?;
    let server = Server::start().await?;
    // It has a port, which nobody else can take, but does not listen.
    let closed = TcpSocket::new_v4()?;
    closed.bind(SocketAddr::from(([127, 0, 0, 1], 0)))?;
    let nobody = closed.local_addr()?;
    let url = |id: u32| format!("http://{}/posts/{id}", server.address);

    part.tick().await;
    println!("Six at once, with 0.5 s for each:");
    let mut urls: Vec<String> = (1..=5).map(url).collect();
    urls.push(format!("http://{nobody}/posts/6"));
    for (id, result) in (1..).zip(fetch_all(&client, &urls).await) {
        report(id, result);
    }

    part.tick().await;
    println!("Post 3 again, with 2 s:");
    let request = client.get(url(3)).timeout(Duration::from_secs(2));
    report(3, fetch_json(request).await);

    part.tick().await;
    println!("Post 5, without a look at the status:");
    let response = client.get(url(5)).send().await?;
    let data: HashMap<String, String> = response.json().await?;
    println!("data: {}", data["error"]);

    let url = format!("http://{}/hello", server.address);
    let one = self::client(connect, total)?;
    let four = (0..4).map(|_| self::client(connect, total));
    let four = four.collect::<Result<Vec<Client>, _>>()?;
    for (whose, clients) in [("one client", vec![one; 4]), ("four clients", four)] {
        part.tick().await;
        println!("Four requests in a row with {whose}:");
        server.new_connections();
        greet_in_a_row(clients, &url).await?;
        println!("connections: {}", server.new_connections());
    }
    Ok(())
}

#[tokio::main]
pub async fn main() -> Result<(), Failure> {
    run().await
}
