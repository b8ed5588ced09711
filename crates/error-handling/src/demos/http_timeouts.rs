//! A server that is slow in several ways, or breaks off.

use std::future::pending;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Path;
use axum::http::StatusCode;
use axum::response::Redirect;
use axum::routing::get;
use futures::stream;
use reqwest::Client;
use reqwest::dns::{Name, Resolve, Resolving};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio::time::{Instant, interval_at, sleep, timeout};

use crate::http_timeouts::{Limits, fetch};

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// A name server that does not answer.
struct NoAnswer;

impl Resolve for NoAnswer {
    fn resolve(&self, _name: Name) -> Resolving {
        Box::pin(pending())
    }
}

/// Sends pieces, some milliseconds apart.
async fn pieces(Path((count, millis)): Path<(u32, u64)>) -> Body {
    let period = Duration::from_millis(millis);
    let start = (1, interval_at(Instant::now() + period, period));
    let pieces = stream::unfold(start, move |(number, mut interval)| async move {
        if number > count {
            return None;
        }
        interval.tick().await;
        Some((io::Result::Ok(number.to_string()), (number + 1, interval)))
    });
    Body::from_stream(pieces)
}

async fn late() -> &'static str {
    sleep(Duration::from_millis(600)).await;
    "late"
}

/// Starts a server on a free port.
async fn start_server(servers: &mut JoinSet<io::Result<()>>) -> io::Result<SocketAddr> {
    let app = Router::new()
        .route("/quick", get("hello"))
        .route("/late", get(late))
        .route("/pieces/{count}/{millis}", get(pieces))
        .route("/loop", get(async || Redirect::to("/loop")))
        .route("/broken", get(StatusCode::INTERNAL_SERVER_ERROR));
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    servers.spawn(async { axum::serve(listener, app).await });
    Ok(address)
}

/// A server that promises ten bytes, sends four and closes.
async fn start_cutting(servers: &mut JoinSet<io::Result<()>>) -> io::Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    servers.spawn(async move {
        loop {
            let (mut connection, _) = listener.accept().await?;
            let mut request = [0; 1024];
            let _size = connection.read(&mut request).await?;
            let head = "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n";
            connection.write_all(head.as_bytes()).await?;
            connection.write_all(b"half").await?;
        }
    });
    Ok(address)
}

/// Returns a port where nobody listens: it was free a moment ago.
async fn closed_port() -> io::Result<SocketAddr> {
    TcpListener::bind("127.0.0.1:0").await?.local_addr()
}

/// Fetches a page and prints the result.
async fn report(client: Client, what: &'static str, url: String) {
    match fetch(&client, &url).await {
        Ok(text) => println!("{what}: {text}"),
        Err(error) => println!("{what}: {error}"),
    }
}

pub async fn run() -> Result<(), Failure> {
    // Each part begins at a full second, whatever the one before it took.
    let first = Instant::now() + Duration::from_millis(100);
    let mut part = interval_at(first, Duration::from_secs(1));
    let mut servers = JoinSet::new();
    let server = start_server(&mut servers).await?;
    let cutting = start_cutting(&mut servers).await?;
    let closed = closed_port().await?;
    let limits = Limits {
        connect: Duration::from_millis(200),
        read: Duration::from_millis(400),
        total: Duration::from_millis(800),
    };
    let client = limits.client_builder().dns_resolver(NoAnswer).no_proxy();
    let client = client.build()?;

    part.tick().await;
    println!("Errors that come at once:");
    let broken = format!("http://{server}/broken");
    let status = client.get(&broken).send().await?.status();
    println!("no error: {status}");
    for (what, url) in [
        ("with a check of the status", broken),
        ("a page", format!("http://{server}/quick")),
        ("no scheme", "example.com/page".to_string()),
        (
            "a page that redirects to itself",
            format!("http://{server}/loop"),
        ),
        ("a closed port", format!("http://{closed}/")),
        ("4 bytes of 10", format!("http://{cutting}/")),
    ] {
        report(client.clone(), what, url).await;
    }

    part.tick().await;
    println!("0.2 s to connect, 0.4 s for each read, 0.8 s in all:");
    let mut requests = JoinSet::new();
    for (what, url) in [
        (
            "a name that nobody resolves",
            "http://nowhere.test/".to_string(),
        ),
        ("headers after 0.6 s", format!("http://{server}/late")),
        (
            "a piece after 0.6 s",
            format!("http://{server}/pieces/1/600"),
        ),
        ("3 pieces in 0.6 s", format!("http://{server}/pieces/3/200")),
        ("5 pieces in 1.0 s", format!("http://{server}/pieces/5/200")),
    ] {
        requests.spawn(report(client.clone(), what, url));
    }
    while let Some(ended) = requests.join_next().await {
        ended?;
    }

    part.tick().await;
    println!("This request may take 2 s in all:");
    let url = format!("http://{server}/pieces/4/200");
    let request = client.get(&url).timeout(Duration::from_secs(2));
    println!("{}", request.send().await?.text().await?);

    part.tick().await;
    println!("A timeout of 0.4 s, for the headers only:");
    let unlimited = Client::builder().no_proxy().build()?;
    let send = unlimited.get(&url).send();
    let response = timeout(Duration::from_millis(400), send).await??;
    println!("the headers are there");
    println!("{}", response.text().await?);
    Ok(())
}
