//! Four downloads: in turn, concurrently, on a thread each; and one in a task.

use std::any::Any;
use std::error::Error;
use std::future::pending;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::extract::Path;
use axum::routing::get;
use reqwest::{Client, blocking};
use tokio::net::TcpListener;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::task::AbortOnDropHandle;

use crate::http_sync_vs_async::{concurrently, fetch_blocking, in_turn, on_threads};

pub type Failure = Box<dyn Error + Send + Sync>;

/// The limit that the page "never" meets. All others answer much sooner.
const TIMEOUT: Duration = Duration::from_secs(1);

fn report(results: Vec<reqwest::Result<String>>) {
    results.into_iter().for_each(report_one);
}

fn report_one(result: reqwest::Result<String>) {
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
    let app = Router::new()
        .route("/delay/{millis}", get(delay))
        .route("/never", get(async || pending::<String>().await));
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let task = tokio::spawn(async { axum::serve(listener, app).await });
    Ok((address, AbortOnDropHandle::new(task)))
}

pub async fn run() -> Result<(), Failure> {
    let ready = Instant::now() + Duration::from_millis(500);
    let (address, _server) = start_server().await?;
    let paths = ["delay/100", "missing", "delay/200", "never"];
    let urls = paths
        .map(|path| format!("http://{address}/{path}"))
        .to_vec();
    // In an example the server is on this machine, which no proxy would reach.
    let client = Client::builder().no_proxy().timeout(TIMEOUT).build()?;
    let builder = blocking::Client::builder().no_proxy().timeout(TIMEOUT);
    let blocking = spawn_blocking(|| builder.build()).await??;
    // The clients take time to make.
    sleep_until(ready).await;

    println!("Blocking, one after the other:");
    let (own, all) = (blocking.clone(), urls.clone());
    report(spawn_blocking(move || in_turn(&own, &all)).await?);

    println!("Async, all concurrently:");
    report(concurrently(&client, &urls).await);

    println!("Blocking, on a thread each:");
    report(on_threads(&blocking, &urls).await?);

    println!("Blocking, in a task, next to another one:");
    let ticks = tokio::spawn(tick());
    let (own, url) = (blocking.clone(), format!("http://{address}/delay/300"));
    let fetch = tokio::spawn(async move { fetch_blocking(&own, &url) });
    ticks.await?;
    match fetch.await {
        Ok(result) => report_one(result),
        Err(error) => println!("{}", panic_text(&*error.into_panic())),
    }
    Ok(())
}
