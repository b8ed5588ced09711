//! Limit of connections for each host: an HTTP client with a semaphore per host.
//!
//! This is `TCPConnector(limit_per_host=)` of aiohttp. reqwest has no such limit:
//! `ClientBuilder::pool_max_idle_per_host` is for connections that nobody uses, and a
//! thousand requests at once make a thousand connections, until there are "Too many open
//! files". The trap: a permit that is given back when `send` returns is too early, as the
//! body is still to come over the connection. So the permit goes with the response. Who
//! holds a response and asks the same host again may wait for ever, in both languages; so
//! read it, or drop it, which closes its connection if there is more to read. A
//! connection is free or closed a moment after its place, so there may be a few more
//! connections than the limit. The time in line does not count for reqwest's `timeout`,
//! as it does for aiohttp's `total`. Over HTTP/2 many requests share a connection. Where
//! a redirect leads to another host, that host's limit does not see it. For all hosts
//! together: `semaphore`.
//!
//! asyncio: asyncio.Semaphore, async with, asyncio.gather, asyncio.timeout
//! clock: real

use std::collections::HashMap;
use std::error::Error;
use std::io;
use std::ops::Deref;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::routing::get;
use axum::serve::ListenerExt;
use futures::future::try_join_all;
use reqwest::{Client, Request, Response, Url};
use tokio::net::TcpListener;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_util::task::AbortOnDropHandle;

/// A client with a limit of requests at once for each host. Clones share the limits.
#[derive(Clone)]
pub struct LimitedClient {
    client: Client,
    limit: usize,
    /// By scheme, name and port, as far as they are in use.
    pub(crate) hosts: Arc<Mutex<HashMap<String, Arc<Semaphore>>>>,
}

impl LimitedClient {
    /// # Panics
    ///
    /// If the limit is 0: no request would ever be sent.
    pub fn new(client: Client, limit: usize) -> Self {
        assert!(limit > 0, "a limit of 0 would send nothing");
        let hosts = Arc::default();
        Self {
            client,
            limit,
            hosts,
        }
    }

    /// Sends the request as soon as there is a place; who asks first is served first.
    ///
    /// Cancel-safe: dropped while it waits, it has sent nothing, and takes no place.
    ///
    /// # Errors
    ///
    /// Those of [`Client::execute`]. The place is free again then.
    pub async fn execute(&self, request: Request) -> reqwest::Result<Held> {
        let _place = self.place(request.url()).await;
        let response = self.client.execute(request).await?;
        Ok(Held { response, _place })
    }

    async fn place(&self, url: &Url) -> OwnedSemaphorePermit {
        let host = url.origin().ascii_serialization();
        let semaphore = {
            let mut hosts = self.hosts.lock().unwrap_or_else(PoisonError::into_inner);
            if !hosts.contains_key(&host) {
                // Those whom nobody waits for, and of whom nobody has a permit.
                hosts.retain(|_, semaphore| Arc::strong_count(semaphore) > 1);
            }
            let new = || Arc::new(Semaphore::new(self.limit));
            Arc::clone(hosts.entry(host).or_insert_with(new))
        };
        semaphore.acquire_owned().await.expect("it is never closed")
    }
}

/// A response, and the place that its connection takes until this is dropped.
pub struct Held {
    response: Response,
    _place: OwnedSemaphorePermit,
}

impl Deref for Held {
    type Target = Response;

    fn deref(&self) -> &Response {
        &self.response
    }
}

impl Held {
    /// Reads the body, and gives the place back.
    ///
    /// # Errors
    ///
    /// Those of [`Response::text`].
    pub async fn text(self) -> reqwest::Result<String> {
        self.response.text().await
    }
}

pub type Failure = Box<dyn Error + Send + Sync>;

#[derive(Clone, Default)]
struct Counts {
    connections: Arc<AtomicUsize>,
    requests: Arc<AtomicUsize>,
    most_at_once: Arc<AtomicUsize>,
}

/// Counts what is asked of it.
pub struct Server {
    url: Url,
    counts: Counts,
    _task: AbortOnDropHandle<io::Result<()>>,
}

impl Server {
    pub(crate) async fn start() -> Result<Self, Failure> {
        let counts = Counts::default();
        let app = Router::new()
            .route("/slow", get(slow))
            .route("/short", get("hello"))
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

    pub(crate) fn get(&self, path: &str) -> Result<Request, Failure> {
        let url = self.url.join(path)?;
        Ok(Request::new(reqwest::Method::GET, url))
    }

    /// How many requests it had at once at most since it was last asked.
    pub(crate) fn most_at_once(&self) -> usize {
        self.counts.most_at_once.swap(0, Ordering::Relaxed)
    }

    /// How many connections were made to it.
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
pub const LONG: usize = 2 << 20;

pub fn client() -> reqwest::Result<Client> {
    // In an example the server is on this machine, which no proxy would reach.
    let builder = Client::builder().no_proxy();
    // Without one, a server that stalls would keep its places for ever.
    builder.timeout(Duration::from_secs(5)).build()
}

/// Six requests to one server and two to the other, all at once.
async fn ask_both(client: &LimitedClient, servers: [&Server; 2]) -> Result<(), Failure> {
    let [a, b] = servers;
    try_join_all([a, b, a, b, a, a, a, a].map(|server| async {
        client.execute(server.get("/slow")?).await?.text().await?;
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
                println!("{}", response.text().await?);
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
        Err(_) => println!("no place for a third one"),
    }
    held.pop();
    limited.execute(a.get("/slow")?).await?.text().await?;
    println!("one is dropped, and a third one came");
    Ok(())
}

#[tokio::main]
pub async fn main() -> Result<(), Failure> {
    run().await
}
