//! Five pages, one of which is missing and one without an end.

use std::error::Error;
use std::io;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::routing::get;
use futures::stream;
use reqwest::Client;
use tokio::net::TcpListener;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::task::AbortOnDropHandle;

use crate::fetch_urls::fetch_all;

async fn page() -> &'static str {
    sleep(Duration::from_millis(400)).await;
    "Hello, reqwest!"
}

async fn endless() -> Body {
    let chunk = || Ok::<_, io::Error>(vec![b'x'; 65_536]);
    Body::from_stream(stream::repeat_with(chunk))
}

pub async fn run() -> Result<(), Box<dyn Error + Send + Sync>> {
    // The server and the client are there by then.
    let start = Instant::now() + Duration::from_millis(500);
    let app = Router::new()
        .route("/page/{number}", get(page))
        .route("/endless", get(endless));
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let root = format!("http://{}", listener.local_addr()?);
    let server = tokio::spawn(async { axum::serve(listener, app).await });
    let _server = AbortOnDropHandle::new(server);
    // In an example the server is on this machine, which no proxy would reach.
    let client = Client::builder().no_proxy().build()?;

    sleep_until(start).await;
    println!("Three pages that take 0.4 s each, a missing one, and an endless one:");
    let paths = ["/page/1", "/page/2", "/page/3", "/missing", "/endless"];
    let urls = paths.map(|path| format!("{root}{path}"));
    for (path, page) in paths.iter().zip(fetch_all(&client, &urls).await) {
        match page {
            Ok(text) => println!("{path}: {text}"),
            Err(error) => match error.downcast::<reqwest::Error>() {
                Ok(error) => println!("{path}: {}", error.status().unwrap_or_default()),
                Err(error) => println!("{path}: {error}"),
            },
        }
    }
    Ok(())
}
