//! Two tests that share a client: in turn, overlapping, and in one runtime.

use std::error::Error;
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use axum::serve::ListenerExt;
use reqwest::Client;
use tokio::net::TcpListener;
use tokio::runtime::Builder;
use tokio::sync::{Notify, oneshot};
use tokio::task::spawn_blocking;
use tokio::time::sleep;
use tokio_util::task::AbortOnDropHandle;

use crate::shared_client_in_tests::{RUNTIME, client, with_sources};

type BoxError = Box<dyn Error + Send + Sync>;

/// The mistake: a client that outlives the runtimes of the tests.
static CLIENT: LazyLock<Client> = LazyLock::new(client);

/// Runs a test as `#[tokio::test]` does: on a runtime that ends with it.
pub fn test(body: impl Future<Output = ()>) -> io::Result<()> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(body);
    Ok(())
}

pub async fn fetch(client: &Client, url: &str) -> reqwest::Result<String> {
    let response = client.get(url).send().await?;
    response.error_for_status()?.text().await
}

async fn fetch_and_print(name: &str, client: &Client, url: &str) {
    match fetch(client, url).await {
        Ok(text) => println!("{name}: {text}"),
        Err(error) => println!("{name}: {}", with_sources(&error.without_url())),
    }
}

pub async fn run() -> Result<(), BoxError> {
    let server = Server::start().await?;
    let url = format!("{}/hello", server.url);

    println!("One client, one test after the other:");
    for name in ["first", "second"] {
        let url = url.clone();
        let body = move || test(fetch_and_print(name, &CLIENT, &url));
        spawn_blocking(body).await??;
    }

    println!("One client, and the first test ends before the second:");
    server.new_connections();
    let (url_of_first, begun) = (url.clone(), Arc::clone(&server.slow_begins));
    let (free, is_free) = oneshot::channel();
    let first = spawn_blocking(move || {
        test(async move {
            fetch_and_print("first", &CLIENT, &url_of_first).await;
            // The connection can be used again a moment after the answer.
            sleep(Duration::from_millis(100)).await;
            let _ = free.send(());
            begun.notified().await;
        })
    });
    is_free.await?;
    let slow = format!("{}/slow", server.url);
    let second = spawn_blocking(move || test(fetch_and_print("second", &CLIENT, &slow)));
    first.await??;
    second.await??;
    println!("connections: {}", server.new_connections());

    println!("A client for each test:");
    for name in ["first", "second"] {
        let url = url.clone();
        let body = move || test(async { fetch_and_print(name, &client(), &url).await });
        spawn_blocking(body).await??;
    }
    println!("connections: {}", server.new_connections());

    println!("One client, and one runtime for all tests:");
    let shared = client();
    for name in ["first", "second"] {
        let (url, client) = (url.clone(), shared.clone());
        let body = async move {
            fetch_and_print(name, &client, &url).await;
            // The connection can be used again a moment after the answer.
            sleep(Duration::from_millis(100)).await;
        };
        spawn_blocking(|| RUNTIME.block_on(body)).await?;
    }
    println!("connections: {}", server.new_connections());
    Ok(())
}

/// A server that counts its connections.
pub struct Server {
    pub url: String,
    slow_begins: Arc<Notify>,
    connections: Arc<AtomicUsize>,
    _task: AbortOnDropHandle<io::Result<()>>,
}

impl Server {
    pub async fn start() -> io::Result<Self> {
        let slow_begins = Arc::<Notify>::default();
        let begins = Arc::clone(&slow_begins);
        let slow = get(async move || {
            begins.notify_one();
            sleep(Duration::from_secs(10)).await;
            "slow"
        });
        let app = Router::new().route("/hello", get("hello"));
        let app = app.route("/slow", slow);
        let connections = Arc::new(AtomicUsize::new(0));
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}", listener.local_addr()?);
        let count = Arc::clone(&connections);
        let listener = listener.tap_io(move |_| {
            count.fetch_add(1, Ordering::Relaxed);
        });
        let task = tokio::spawn(async { axum::serve(listener, app).await });
        let _task = AbortOnDropHandle::new(task);
        Ok(Self {
            url,
            slow_begins,
            connections,
            _task,
        })
    }

    /// Returns how many connections were made since the last call.
    pub fn new_connections(&self) -> usize {
        self.connections.swap(0, Ordering::Relaxed)
    }
}
