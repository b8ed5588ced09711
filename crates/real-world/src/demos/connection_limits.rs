//! Two servers, with a limit for each or without; and responses that are held.

use std::error::Error;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::routing::get;
use axum::serve::ListenerExt;
use futures::future::try_join_all;
use reqwest::{Client, Request, Url};
use tokio::net::TcpListener;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_util::task::AbortOnDropHandle;

use crate::connection_limits::LimitedClient;

pub type Failure = Box<dyn Error + Send + Sync>;

#[derive(Clone, Default)]
struct Counts {
    connections: Arc<AtomicUsize>,
    requests: Arc<AtomicUsize>,
    most_at_once: Arc<AtomicUsize>,
}

/// Counts its requests and connections.
struct Server {
    url: Url,
    counts: Counts,
    _task: AbortOnDropHandle<io::Result<()>>,
}

impl Server {
    async fn start() -> Result<Self, Failure> {
        let counts = Counts::default();
        let app = Router::new()
            .route("/slow", get(slow))
            .route("/short", get(axum::Json("hello")))
            .route("/long", get(|| async { "x".repeat(LONG) }))
            .with_state(counts.clone());
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}", listener.local_addr()?).parse()?;
        let connections = Arc::clone(&counts.connections);
        let listener = listener.tap_io(move |_| {
            connections.fetch_add(1, Ordering::Relaxed);
        });
        let task = tokio::spawn(async { axum::serve(listener, app).await });
        let _task = AbortOnDropHandle::new(task);
        Ok(Self { url, counts, _task })
    }

    fn get(&self, path: &str) -> Result<Request, Failure> {
        let url = self.url.join(path)?;
        Ok(Request::new(reqwest::Method::GET, url))
    }

    /// Returns the most concurrent requests since the last call.
    fn most_at_once(&self) -> usize {
        self.counts.most_at_once.swap(0, Ordering::Relaxed)
    }

    /// Returns how many connections were made to it.
    fn connections(&self) -> usize {
        self.counts.connections.load(Ordering::Relaxed)
    }
}

async fn slow(State(counts): State<Counts>) {
    let now = counts.requests.fetch_add(1, Ordering::Relaxed) + 1;
    counts.most_at_once.fetch_max(now, Ordering::Relaxed);
    sleep(Duration::from_millis(200)).await;
    counts.requests.fetch_sub(1, Ordering::Relaxed);
}

/// More bytes than come in before somebody reads.
const LONG: usize = 2 << 20;

fn client() -> reqwest::Result<Client> {
    // In an example the server is on this machine, which no proxy would reach.
    let builder = Client::builder().no_proxy();
    // Without one, a server that stalls would keep its permits forever.
    builder.timeout(Duration::from_secs(5)).build()
}

/// Six requests to one server and two to the other, all at the same time.
async fn ask_both(client: &LimitedClient, servers: [&Server; 2]) -> Result<(), Failure> {
    let [a, b] = servers;
    try_join_all([a, b, a, b, a, a, a, a].map(|server| async {
        let response = client.execute(server.get("/slow")?).await?;
        response.error_for_status()?.text().await?;
        Ok::<(), Failure>(())
    }))
    .await?;
    let [a, b] = servers.map(Server::most_at_once);
    println!("at once: {a} and {b}");
    Ok(())
}

pub async fn run() -> Result<(), Failure> {
    let start = Instant::now();
    let at = |tenths: u32| sleep_until(start + tenths * Duration::from_millis(100));
    let (a, b) = (Server::start().await?, Server::start().await?);
    let client = client()?;
    let limited = LimitedClient::new(client.clone(), 2);

    for (tenths, server, path, read) in [(4, &a, "/short", true), (9, &b, "/long", false)]
    {
        at(tenths).await;
        println!("Four in a row, {}:", if read { "read" } else { "not read" });
        for number in 0..4 {
            at(tenths + number).await;
            let response = limited.execute(server.get(path)?).await?;
            if read {
                println!("{}", response.json::<String>().await?);
            }
        }
        println!("connections: {}", server.connections());
    }

    at(14).await;
    println!("Six requests to one host, two to another:");
    ask_both(&LimitedClient::new(client, 6), [&a, &b]).await?;

    at(17).await;
    println!("No more than two at once to each host:");
    ask_both(&limited, [&a, &b]).await?;

    at(24).await;
    println!("Two responses are held:");
    let mut held = Vec::new();
    for _ in 0..2 {
        let response = limited.execute(a.get("/long")?).await?;
        println!("status {}", response.status().as_u16());
        held.push(response);
    }
    let patience = Duration::from_millis(300);
    match timeout(patience, limited.execute(a.get("/slow")?)).await {
        Ok(_) => println!("a third one came"),
        Err(_) => println!("no permit for a third one"),
    }
    held.pop();
    limited.execute(a.get("/slow")?).await?.text().await?;
    println!("one is dropped, and a third one came");
    Ok(())
}
