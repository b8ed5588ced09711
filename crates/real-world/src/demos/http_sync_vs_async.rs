//! Four downloads: one after the other, all at once, on a thread each, and in a task.

use std::any::Any;
use std::error::Error;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::extract::Path;
use axum::routing::get;
use futures::future::join_all;
use reqwest::{Client, blocking};
use tokio::net::TcpListener;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, interval_at, sleep};
use tokio_util::task::AbortOnDropHandle;

use crate::http_sync_vs_async::{fetch, fetch_blocking};

pub type Failure = Box<dyn Error + Send + Sync>;

const TIMEOUT: Duration = Duration::from_millis(400);

/// What a program without async code does.
fn one_after_the_other(client: &blocking::Client, urls: &[String]) {
    for url in urls {
        report(fetch_blocking(client, url));
    }
}

/// All in this one task: the sum of the waits becomes the longest of them.
async fn all_at_once(client: &Client, urls: &[String]) {
    for result in join_all(urls.iter().map(|url| fetch(client, url))).await {
        report(result);
    }
}

/// The way for a library that only blocks.
async fn on_a_thread_each(
    client: &blocking::Client,
    urls: &[String],
) -> Result<(), Failure> {
    let fetches = urls.iter().map(|url| {
        let (client, url) = (client.clone(), url.clone());
        spawn_blocking(move || fetch_blocking(&client, &url))
    });
    for result in join_all(fetches).await {
        report(result?);
    }
    Ok(())
}

fn report(result: reqwest::Result<String>) {
    match result {
        Ok(text) => println!("Fetched {} characters", text.chars().count()),
        Err(error) => match error.status() {
            Some(status) => println!("The server says {status}"),
            None if error.is_timeout() => println!("No answer in time"),
            None => println!("Failed: {}", error.without_url()),
        },
    }
}

/// Another task, which should not be blocked.
async fn tick() {
    for _ in 0..3 {
        sleep(Duration::from_millis(150)).await;
        println!("tick");
    }
}

/// Returns the first words of a panic's message.
fn panic_text(payload: &(dyn Any + Send)) -> &str {
    let text = payload.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| payload.downcast_ref().copied());
    text.and_then(|text| text.split('.').next())
        .unwrap_or("no text")
}

/// Answers after so many milliseconds, with as many characters.
async fn delay(Path(millis): Path<u64>) -> String {
    sleep(Duration::from_millis(millis)).await;
    (0..millis).map(|_| 'x').collect()
}

async fn start_server() -> io::Result<(SocketAddr, AbortOnDropHandle<io::Result<()>>)> {
    let app = Router::new().route("/delay/{millis}", get(delay));
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let task = tokio::spawn(async { axum::serve(listener, app).await });
    Ok((address, AbortOnDropHandle::new(task)))
}

pub async fn run() -> Result<(), Failure> {
    // Each part begins at its time, however long the part before took.
    let first = Instant::now() + Duration::from_millis(500);
    let mut part = interval_at(first, Duration::from_secs(1));
    let (address, _server) = start_server().await?;
    let paths = ["delay/200", "missing", "delay/300", "delay/700"];
    let urls = paths
        .map(|path| format!("http://{address}/{path}"))
        .to_vec();
    // In an example the server is on this machine, which no proxy would reach.
    let client = Client::builder().no_proxy().timeout(TIMEOUT).build()?;
    let builder = blocking::Client::builder().no_proxy().timeout(TIMEOUT);
    let blocking = spawn_blocking(|| builder.build()).await??;

    part.tick().await;
    println!("Blocking, one after the other:");
    let (own, all) = (blocking.clone(), urls.clone());
    spawn_blocking(move || one_after_the_other(&own, &all)).await?;

    part.tick().await;
    println!("Async, all at once:");
    all_at_once(&client, &urls).await;

    part.tick().await;
    println!("Blocking, on a thread each:");
    on_a_thread_each(&blocking, &urls).await?;

    part.tick().await;
    println!("Blocking, in a task, beside another one:");
    let ticks = tokio::spawn(tick());
    let (own, url) = (blocking.clone(), format!("http://{address}/delay/300"));
    let fetch = tokio::spawn(async move { fetch_blocking(&own, &url) });
    ticks.await?;
    match fetch.await {
        Ok(result) => report(result),
        Err(error) => println!("{}", panic_text(&*error.into_panic())),
    }
    Ok(())
}
