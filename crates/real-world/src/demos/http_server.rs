//! Requests that are slow, too large, abandoned, and answered during the shutdown.

use std::convert::Infallible;
use std::error::Error;
use std::time::Duration;

use axum::Router;
use axum::extract::Path;
use axum::routing::{get, post};
use futures::{StreamExt, stream};
use reqwest::{Body, RequestBuilder};
use tokio::net::TcpListener;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::http_server::{Limits, serve};

/// Takes as many milliseconds as the path says.
async fn nap(Path(millis): Path<u64>) {
    sleep(Duration::from_millis(millis)).await;
    println!("the handler has finished");
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
        Err(error) if error.is_timeout() => println!("{what}: the client gave up"),
        Err(error) => return Err(error),
    }
    Ok(())
}

pub async fn run() -> Result<(), Box<dyn Error + Send + Sync>> {
    let moment = Duration::from_millis(100);
    // The client takes time to make. From then on, what is late does not add up.
    let start = Instant::now() + 5 * moment;
    let at = |moments| sleep_until(start + moments * moment);
    let limits = Limits {
        connections: 100,
        body: 100,
        head: 20 * moment,
        request: 5 * moment,
        connection: 600 * moment,
        drain: 4 * moment,
    };
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let root = format!("http://{}", listener.local_addr()?);
    let routes = Router::new()
        .route("/nap/{millis}", get(nap))
        .route("/length", post(length));
    let stop = CancellationToken::new();
    let server = tokio::spawn(serve(listener, routes, limits, stop.clone()));
    let client = reqwest::Client::builder().no_proxy().timeout(50 * moment);
    // Sooner than the server closes it: what is sent on a connection in the moment in
    // which it is closed gets no answer.
    let client = client.pool_idle_timeout(limits.head / 2).build()?;
    let nap = |millis| client.get(format!("{root}/nap/{millis}"));
    let post = || client.post(format!("{root}/length"));

    at(0).await;
    println!("A body within the limit, and one that is too large:");
    send(post().body("x".repeat(100))).await?;
    send(post().body("x".repeat(101))).await?;

    at(1).await;
    println!("A handler that takes too long, and a body that never ends:");
    send(nap(2000)).await?;
    let half = stream::iter([Ok::<_, Infallible>("half")]);
    let half_a_body = Body::wrap_stream(half.chain(stream::pending()));
    send(post().body(half_a_body)).await?;

    at(12).await;
    println!("A client gives up, and its handler goes on:");
    send(nap(300).timeout(moment)).await?;

    at(16).await;
    println!("The server stops while it answers a request:");
    let late = async {
        at(17).await;
        stop.cancel();
        at(18).await;
        send(nap(0)).await
    };
    tokio::try_join!(send(nap(300)), late)?;
    server.await?;
    println!("the server has stopped");
    Ok(())
}
