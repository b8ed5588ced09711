//! Jobs that are submitted, polled, refused and dropped, behind `http_server`.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use axum::http::header;
use futures::FutureExt;
use reqwest::{Client, RequestBuilder};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::api_server::{Jobs, Work};
use crate::http_server::{Limits, serve};

/// Counts the words of a text, and takes 0.1 s for each.
pub fn count_words(text: String) -> Work {
    let words = text.split_whitespace().count();
    let work = async move {
        sleep(Duration::from_millis(100) * words as u32).await;
        match words {
            0 => Err("the text is empty".to_owned()),
            _ => Ok(json!(words)),
        }
    };
    work.boxed()
}

/// Sends a request, and prints what the server answers.
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

/// No part takes as long.
const LONG: Duration = Duration::from_secs(30);

pub async fn run() -> Result<(), Box<dyn Error + Send + Sync>> {
    let ready = Instant::now() + Duration::from_millis(500);
    let limits = Limits {
        connections: 100,
        body: 10_000,
        head: LONG,
        request: LONG,
        connection: LONG,
        drain: LONG,
    };
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let root = format!("http://{}", listener.local_addr()?);
    let jobs = Jobs::new(2, 2, count_words);
    let stop = CancellationToken::new();
    let serving = serve(listener, Arc::clone(&jobs).routes(), limits, stop.clone());
    let server = tokio::spawn(serving);
    let client = Client::builder().no_proxy().timeout(LONG);
    // A connection for each request: a kept one may be closed while something is sent.
    let client = client.pool_max_idle_per_host(0).build()?;
    let get = |path: &str| ask(client.get(format!("{root}{path}")));
    let post = || client.post(format!("{root}/jobs"));
    let submit = |text: &str| ask(post().json(&json!({ "text": text })));
    let ended = async |path: &str| loop {
        let response = client.get(format!("{root}{path}")).send().await?;
        let job: Value = response.json().await?;
        if job["status"] != "running" {
            return get(path).await;
        }
        sleep(Duration::from_millis(10)).await;
    };
    // The client takes time to make.
    sleep_until(ready).await;

    println!("A job is submitted, and its result polled:");
    submit("one two three four five six seven eight nine ten").await?;
    get("/jobs/1").await?;
    ended("/jobs/1").await?;
    submit("").await?;
    ended("/jobs/2").await?;

    println!("Two jobs run, one more is too many:");
    submit("nine words, of which each takes a tenth more").await?;
    submit("ten words, of which each takes one tenth more time").await?;
    submit("too much").await?;

    println!("The results of the last two are kept:");
    for path in ["/jobs/3", "/jobs/4", "/jobs/2"] {
        ended(path).await?;
    }

    println!("A body that is no JSON:");
    let json = post().header(header::CONTENT_TYPE, "application/json");
    ask(json.body("{")).await?;

    println!("The server is told to stop, with two jobs:");
    submit("soon done").await?;
    submit(&"and so on ".repeat(200)).await?;
    jobs.stop();
    get("/health").await?;
    get("/ready").await?;
    submit("no more").await?;
    ended("/jobs/5").await?;
    stop.cancel();
    server.await?;
    get("/health").await?;
    let limit = Duration::from_millis(400);
    println!("dropped are the jobs {:?}", jobs.drain(limit).await);
    Ok(())
}
