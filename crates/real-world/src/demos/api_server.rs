//! Jobs that are submitted, polled, refused and dropped, and requests with errors.

use std::convert::Infallible;
use std::error::Error;
use std::time::Duration;

use axum::http::header;
use futures::stream;
use futures::{FutureExt, StreamExt};
use reqwest::{Body, RequestBuilder};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::api_server::{Limits, Work, serve};

/// Counts the words of a text, and takes 0.1 s for each.
pub fn count_words(text: String) -> Work {
    let words = text.split_whitespace().count();
    let work = async move {
        sleep(Duration::from_millis(100) * words as u32).await;
        match words {
            0 => Err("the text is empty".to_owned()),
            _ => Ok(words),
        }
    };
    work.boxed()
}

/// Asks the server, and prints what it answers.
async fn ask(request: RequestBuilder) -> reqwest::Result<()> {
    let (client, request) = request.build_split();
    let request = request?;
    let what = format!("{} {}", request.method(), request.url().path());
    let response = match client.execute(request).await {
        Err(error) if error.is_connect() => {
            println!("{what}: no connection");
            return Ok(());
        }
        answered => answered?,
    };
    let status = response.status().as_u16();
    let after = response.headers().get(header::RETRY_AFTER);
    let after = after.and_then(|value| value.to_str().ok());
    let after = after.map(|seconds| format!(", again after {seconds} s"));
    let body: Value = response.json().await?;
    println!("{what}: {status} {body}{}", after.unwrap_or_default());
    Ok(())
}

pub async fn run() -> Result<(), Box<dyn Error + Send + Sync>> {
    let moment = Duration::from_millis(100);
    // The client takes time to make. From then on, what is late does not add up.
    let start = Instant::now() + 5 * moment;
    let at = |moments| sleep_until(start + moments * moment);
    let limits = Limits {
        connections: 100,
        running: 1,
        waiting: 1,
        kept: 2,
        body: 100,
        head: 20 * moment,
        request: 5 * moment,
        connection: 600 * moment,
        leave: 5 * moment,
        drain: 4 * moment,
    };
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let root = format!("http://{}", listener.local_addr()?);
    let stop = CancellationToken::new();
    let server = tokio::spawn(serve(listener, limits, count_words, stop.clone()));
    let client = reqwest::Client::builder().no_proxy().timeout(50 * moment);
    // Sooner than the server closes it: what is sent on a connection in the moment in
    // which it is closed gets no answer.
    let client = client.pool_idle_timeout(limits.head / 2).build()?;
    let get = |path: &str| ask(client.get(format!("{root}{path}")));
    let post = || client.post(format!("{root}/jobs"));
    let submit = |text: &str| ask(post().json(&json!({ "text": text })));

    at(0).await;
    println!("A job is submitted, and its result polled:");
    submit("one two three four five six").await?;
    at(2).await;
    get("/jobs/1").await?;
    at(9).await;
    get("/jobs/1").await?;
    get("/jobs/9").await?;

    at(10).await;
    println!("One job runs, one waits, one more is too many:");
    submit("these are six words, one each").await?;
    submit("").await?;
    submit("too much").await?;
    at(12).await;
    get("/jobs/2").await?;
    get("/jobs/3").await?;

    at(19).await;
    println!("Of those that have ended two are kept:");
    for path in ["/jobs/1", "/jobs/2", "/jobs/3"] {
        get(path).await?;
    }

    at(21).await;
    println!("Errors are JSON too:");
    submit(&"x".repeat(90)).await?;
    let json = || post().header(header::CONTENT_TYPE, "application/json");
    ask(json().body("{")).await?;
    get("/jobs").await?;
    get("/nothing").await?;

    at(23).await;
    println!("A request has 0.5 s, and half of this one never comes:");
    let half = stream::iter([Ok::<_, Infallible>("{\"text\":")]);
    let half_a_body = Body::wrap_stream(half.chain(stream::pending()));
    ask(json().body(half_a_body)).await?;

    at(30).await;
    println!("The server is told to stop, with two jobs:");
    submit("this is soon done").await?;
    submit("it takes so long that it is dropped").await?;
    stop.cancel();
    at(32).await;
    get("/health").await?;
    get("/ready").await?;
    submit("no more").await?;
    at(38).await;
    get("/health").await?;
    println!("dropped are the jobs {:?}", server.await?);
    Ok(())
}

#[tokio::main]
pub async fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    run().await
}
