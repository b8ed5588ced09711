//! Requests that are slow, too large, abandoned, and answered during the shutdown.

use std::convert::Infallible;
use std::error::Error;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::routing::{get, post};
use futures::{StreamExt, stream};
use reqwest::{Body, Client, RequestBuilder};
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};
use tokio::{join, select};
use tokio_util::sync::CancellationToken;

use crate::http_server::{Limits, serve};

/// What a nap and its client tell each other.
#[derive(Default)]
struct Nap {
    begun: Notify,
    end: Notify,
    ended: Notify,
}

/// Ends when it is told to.
async fn nap(State(nap): State<Arc<Nap>>) {
    nap.begun.notify_one();
    nap.end.notified().await;
    println!("the handler has finished");
    nap.ended.notify_one();
}

async fn length(body: String) -> String {
    body.len().to_string()
}

/// Sends a request, and prints the status of its response.
async fn send(request: RequestBuilder) -> reqwest::Result<()> {
    let (client, request) = request.build_split();
    let request = request?;
    let what = format!("{} {}", request.method(), request.url().path());
    match client.execute(request).await {
        Ok(response) => println!("{what}: {}", response.status().as_u16()),
        Err(error) if error.is_connect() => println!("{what}: no connection"),
        Err(error) => return Err(error),
    }
    Ok(())
}

/// No part takes as long.
const LONG: Duration = Duration::from_secs(30);

pub async fn run() -> Result<(), Box<dyn Error + Send + Sync>> {
    let ready = Instant::now() + Duration::from_millis(500);
    let signals = Arc::new(Nap::default());
    let routes = Router::new()
        .route("/nap", get(nap))
        .route("/length", post(length))
        .route("/never", get(std::future::pending::<()>))
        .with_state(Arc::clone(&signals));
    let stop = CancellationToken::new();
    let start = async |request| {
        let limits = Limits {
            connections: 100,
            body: 100,
            head: LONG,
            request,
            connection: LONG,
            drain: LONG,
        };
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let root = format!("http://{}", listener.local_addr()?);
        let serving = serve(listener, routes.clone(), limits, stop.clone());
        Ok::<_, io::Error>((root, tokio::spawn(serving)))
    };
    let (root, server) = start(LONG).await?;
    let (strict, strict_server) = start(Duration::from_millis(500)).await?;
    let client = Client::builder().no_proxy().timeout(2 * LONG).build()?;
    let post = |root: &str| client.post(format!("{root}/length"));
    // The client takes time to make.
    sleep_until(ready).await;

    println!("A body within the limit, and one that is too large:");
    send(post(&root).body("x".repeat(100))).await?;
    send(post(&root).body("x".repeat(101))).await?;

    println!("A handler that takes too long, and a body that never ends:");
    send(client.get(format!("{strict}/never"))).await?;
    let half = stream::iter([Ok::<_, Infallible>("half")]);
    let half_a_body = Body::wrap_stream(half.chain(stream::pending()));
    send(post(&strict).body(half_a_body)).await?;

    println!("A client leaves, and its handler keeps running:");
    let nap = || send(client.get(format!("{root}/nap")));
    select! {
        answered = nap() => answered?,
        () = signals.begun.notified() => println!("the client has left"),
    }
    signals.end.notify_one();
    signals.ended.notified().await;

    println!("The server stops while it answers a request:");
    let late = async {
        signals.begun.notified().await;
        stop.cancel();
        // Nobody listens any more.
        strict_server.await?;
        send(client.get(format!("{strict}/nap"))).await?;
        signals.end.notify_one();
        Ok::<_, Box<dyn Error + Send + Sync>>(())
    };
    let (answered, late) = join!(nap(), late);
    answered?;
    late?;
    server.await?;
    println!("the server has stopped");
    Ok(())
}
