//! Posts from a server that is slow, wrong, missing or endless; and a new post.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse, Json, Response};
use axum::routing::get;
use axum::serve::ListenerExt;
use futures::stream;
use reqwest::Client;
use reqwest::header::AUTHORIZATION;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::Semaphore;
use tokio::time::{Instant, interval, sleep_until};
use tokio_util::task::AbortOnDropHandle;

use crate::http_requests::{FetchError, fetch_all, fetch_json};

pub type Failure = Box<dyn std::error::Error + Send + Sync>;

#[derive(Debug, Deserialize)]
struct Post {
    title: String,
}

#[derive(Serialize)]
struct NewPost {
    title: &'static str,
}

fn report(id: u32, result: Result<Post, FetchError>) {
    match result {
        Ok(post) => println!("post {id}: {}", post.title),
        Err(error) => println!("post {id}: {error}"),
    }
}

/// Post 3 comes when it is released.
async fn post(State(release): State<Arc<Semaphore>>, Path(id): Path<u32>) -> Response {
    if id == 3 {
        drop(release.acquire().await);
    }
    match id {
        1..4 => Json(json!({ "title": format!("Title {id}") })).into_response(),
        4 => Json(json!({ "headline": "Title 4" })).into_response(),
        _ => {
            let error = json!({ "error": format!("no post {id}") });
            (StatusCode::NOT_FOUND, Json(error)).into_response()
        }
    }
}

/// Tells what it was sent.
async fn add_post(headers: HeaderMap, uri: Uri, Json(post): Json<Value>) -> Response {
    let token = headers.get(AUTHORIZATION).and_then(|it| it.to_str().ok());
    if token != Some("Bearer secret") {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    let title = format!("{} ({})", post["title"], uri.query().unwrap_or_default());
    Json(json!({ "title": title })).into_response()
}

async fn endless() -> Body {
    Body::from_stream(stream::repeat_with(|| {
        Ok::<_, io::Error>(vec![b'x'; 65_536])
    }))
}

/// Counts the connections that are made to it.
struct Server {
    address: SocketAddr,
    connections: Arc<AtomicUsize>,
    _task: AbortOnDropHandle<io::Result<()>>,
}

impl Server {
    async fn start(release: Arc<Semaphore>) -> io::Result<Self> {
        let app = Router::new()
            .route("/posts/{id}", get(post))
            .route("/posts", axum::routing::post(add_post))
            .route("/endless", get(endless))
            .route("/hello", get(Json("hello")))
            .with_state(release);
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

/// The server is on this machine, which no proxy would reach.
fn client_here(connect: Duration, total: Duration) -> reqwest::Result<Client> {
    let builder = Client::builder().no_proxy();
    builder.connect_timeout(connect).timeout(total).build()
}

pub async fn run() -> Result<(), Failure> {
    let ready = Instant::now() + Duration::from_millis(500);
    // Post 3 alone takes as long as `total`.
    let [connect, total] = [30, 1].map(Duration::from_secs);
    let long = Duration::from_secs(30);
    let client = client_here(connect, total)?;
    let release = Arc::new(Semaphore::new(0));
    let server = Server::start(Arc::clone(&release)).await?;
    // It has a port, which nobody else can take, but does not listen.
    let closed = TcpSocket::new_v4()?;
    closed.bind(SocketAddr::from(([127, 0, 0, 1], 0)))?;
    let nobody = closed.local_addr()?;
    let url = |id: u32| format!("http://{}/posts/{id}", server.address);

    let one = client_here(long, long)?;
    let four = (0..4).map(|_| client_here(long, long));
    let four = four.collect::<Result<Vec<Client>, _>>()?;

    // The clients take time to make.
    sleep_until(ready).await;
    println!("Six concurrently, with 1 s for each:");
    let mut urls: Vec<String> = (1..=5).map(url).collect();
    urls.push(format!("http://{nobody}/posts/6"));
    for (id, result) in (1..).zip(fetch_all(&client, &urls).await) {
        report(id, result);
    }

    println!("Post 3 again, with 30 s:");
    release.add_permits(10);
    let request = client.get(url(3)).timeout(long);
    report(3, fetch_json(request).await);

    println!("Post 5, without a look at the status:");
    let response = client.get(url(5)).timeout(long).send().await?;
    let data: HashMap<String, String> = response.json().await?;
    println!("data: {}", data["error"]);

    println!("A new post, with a query, without and with a token:");
    let posts = format!("http://{}/posts", server.address);
    let new = NewPost { title: "New" };
    let request = || client.post(&posts).query(&[("draft", "yes")]).json(&new);
    let request = || request().timeout(long);
    report(6, fetch_json(request()).await);
    report(6, fetch_json(request().bearer_auth("secret")).await);

    println!("A body without an end:");
    let request = client.get(format!("http://{}/endless", server.address));
    report(7, fetch_json(request.timeout(long)).await);

    let url = format!("http://{}/hello", server.address);
    for (whose, clients) in [("one client", vec![one; 4]), ("four clients", four)] {
        println!("Four requests in a row with {whose}:");
        server.new_connections();
        greet_in_a_row(clients, &url).await?;
        println!("connections: {}", server.new_connections());
    }
    Ok(())
}
