//! Six items on three pages, from a server that is busy or broken, or does not end.

use std::error::Error;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::extract::{Path, State};
use axum::http::Uri;
use axum::response::{IntoResponse, Json, Response};
use axum::routing::get;
use futures::stream::{BoxStream, StreamExt, TryStreamExt};
use reqwest::{Client, StatusCode, Url};
use serde_json::json;
use tokio::net::TcpListener;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::task::AbortOnDropHandle;

use crate::pagination::{PageError, Source};

pub type Failure = Box<dyn Error + Send + Sync>;

/// Has six items on three pages, and counts how often it is asked.
struct Server {
    url: Url,
    requests: Arc<AtomicUsize>,
    _task: AbortOnDropHandle<io::Result<()>>,
}

impl Server {
    async fn start() -> Result<Self, Failure> {
        let requests = Arc::new(AtomicUsize::new(0));
        let app = Router::new()
            .route("/{kind}", get(page))
            .with_state(Arc::clone(&requests));
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}", listener.local_addr()?).parse()?;
        let task = tokio::spawn(async { axum::serve(listener, app).await });
        let _task = AbortOnDropHandle::new(task);
        Ok(Self {
            url,
            requests,
            _task,
        })
    }

    fn items(&self, client: &Client, kind: &str) -> Result<Items, Failure> {
        let source = Source {
            client: client.clone(),
            url: self.url.join(kind)?,
            max_retries: 2,
            max_wait: Duration::from_secs(5),
            max_pages: 3,
            max_bytes: 1_000,
        };
        Ok(source.items().boxed())
    }

    /// How many requests came since it was last asked.
    fn requests(&self) -> usize {
        self.requests.swap(0, Ordering::Relaxed)
    }
}

/// A name for the type, as a struct needs for a field.
type Items = BoxStream<'static, Result<u32, PageError>>;

async fn page(
    State(requests): State<Arc<AtomicUsize>>,
    Path(kind): Path<String>,
    uri: Uri,
) -> Response {
    let requests = requests.fetch_add(1, Ordering::Relaxed) + 1;
    sleep(Duration::from_millis(200)).await;
    let cursor = uri.query().and_then(|query| query.strip_prefix("cursor="));
    let number: u32 = cursor.and_then(|cursor| cursor.parse().ok()).unwrap_or(1);
    match (kind.as_str(), number) {
        ("busy", 2) if requests == 2 => {
            let wait = [("retry-after", "1")];
            return (StatusCode::SERVICE_UNAVAILABLE, wait).into_response();
        }
        ("broken", 2) => return StatusCode::INTERNAL_SERVER_ERROR.into_response(),
        _ => {}
    }
    let next = match (kind.as_str(), number) {
        ("circle", 2) => Some(2),
        ("endless", number) => Some(number + 1),
        (_, 1 | 2) => Some(number + 1),
        _ => None,
    };
    if (kind.as_str(), number) == ("large", 2) {
        return "[".repeat(1_001).into_response();
    }
    let next = next.map(|next| next.to_string());
    let items = [2 * number - 1, 2 * number];
    Json(json!({ "items": items, "next": next })).into_response()
}

/// Works on each item for a tenth of a second.
async fn consume(mut items: Items) {
    loop {
        match items.try_next().await {
            Ok(Some(item)) => println!("item {item}"),
            Ok(None) => return println!("the end"),
            Err(error) => return println!("{error}"),
        }
        sleep(Duration::from_millis(100)).await;
    }
}

pub async fn run() -> Result<(), Failure> {
    let start = Instant::now();
    let at = |tenths: u32| sleep_until(start + tenths * Duration::from_millis(100));
    let server = Server::start().await?;
    // In an example the server is on this machine, which no proxy would reach.
    let builder = Client::builder().no_proxy();
    let client = builder.timeout(Duration::from_secs(5)).build()?;

    at(3).await;
    println!("A page takes 0.2 s, and so does the work on its two items:");
    consume(server.items(&client, "/good")?).await;
    println!("requests: {}", server.requests());

    at(12).await;
    println!("Only one item is wanted:");
    let mut items = server.items(&client, "/good")?;
    if let Some(item) = items.try_next().await? {
        println!("item {item}");
    }
    sleep(Duration::from_millis(100)).await;
    drop(items);
    at(18).await;
    println!("requests: {}", server.requests());

    println!("The server is busy once; the second page is retried:");
    consume(server.items(&client, "/busy")?).await;
    println!("requests: {}", server.requests());

    at(40).await;
    println!("The second page does not come:");
    consume(server.items(&client, "/broken")?).await;

    at(46).await;
    println!("The second page names itself as the next page:");
    consume(server.items(&client, "/circle")?).await;

    at(54).await;
    println!("Each page names another one:");
    consume(server.items(&client, "/endless")?).await;

    at(66).await;
    println!("The second page is large:");
    consume(server.items(&client, "/large")?).await;
    Ok(())
}
