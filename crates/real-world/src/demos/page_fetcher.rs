//! Pages that are quick, slow, missing and without a title; and a consumer that is slow.

use std::error::Error;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Html;
use axum::routing::get;
use reqwest::{Client, Url};
use tokio::net::TcpListener;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::task::AbortOnDropHandle;

use crate::page_fetcher::{FetchError, Page, Pages};

pub type Failure = Box<dyn Error + Send + Sync>;

fn report(url: &Url, page: Result<Page, FetchError>) {
    let path = url.path();
    match page {
        Ok(Page { title, length }) => {
            let title = title.as_deref().unwrap_or("no title");
            println!("{path}: {title}, {length} characters");
        }
        Err(FetchError::Http(error)) => match error.status() {
            Some(status) => println!("{path}: {status}"),
            None if error.is_timeout() => println!("{path}: no answer in time"),
            None => println!("{path}: {}", innermost(&error)),
        },
        Err(error) => println!("{path}: {error}"),
    }
}

fn innermost(mut error: &dyn Error) -> &dyn Error {
    while let Some(source) = error.source() {
        error = source;
    }
    error
}

/// How many pages it has sent.
type Sent = Arc<AtomicUsize>;

/// A page that comes after so many milliseconds.
async fn page(
    Path((name, millis)): Path<(String, u64)>,
    State(sent): State<Sent>,
) -> (StatusCode, Html<String>) {
    if name == "stuck" {
        std::future::pending::<()>().await;
    }
    sleep(Duration::from_millis(millis)).await;
    sent.fetch_add(1, Ordering::Relaxed);
    match name.as_str() {
        "untitled" => (StatusCode::OK, Html("<p>Hello</p>".to_owned())),
        "missing" => {
            let text = "<title>Not found</title>".to_owned();
            (StatusCode::NOT_FOUND, Html(text))
        }
        "Cafe" => (StatusCode::OK, Html("<title>Café</title>".to_owned())),
        _ => (StatusCode::OK, Html(format!("<title>{name}</title>"))),
    }
}

pub async fn start_server(
    sent: Sent,
) -> Result<(Url, AbortOnDropHandle<io::Result<()>>), Failure> {
    let app = Router::new()
        .route("/{name}/{millis}", get(page))
        .with_state(sent);
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let root = Url::parse(&format!("http://{}/", listener.local_addr()?))?;
    let task = tokio::spawn(async { axum::serve(listener, app).await });
    Ok((root, AbortOnDropHandle::new(task)))
}

pub async fn run() -> Result<(), Failure> {
    let start = Instant::now();
    let at = |millis| sleep_until(start + Duration::from_millis(millis));
    let sent = Sent::default();
    let (root, _server) = start_server(Arc::clone(&sent)).await?;
    let urls = |paths: &[&str]| -> Result<Vec<Url>, _> {
        paths.iter().map(|path| root.join(path)).collect()
    };
    let builder = Client::builder().timeout(Duration::from_secs(2));
    // In an example the server is on this machine, which no proxy would reach.
    let client = builder.no_proxy().build()?;
    let list = [
        "Home/400",
        "Cafe/100",
        "missing/200",
        "untitled/200",
        "stuck/0",
    ];
    let list = urls(&list)?;
    at(500).await;
    println!("As they come, 2 at once:");
    let mut pages = Pages::new(client.clone(), list.clone(), 2);
    while let Some((_, url, page)) = pages.next().await {
        report(&url, page);
    }

    at(4_000).await;
    println!("In the order of the list, 3 at once:");
    let mut pages = Pages::new(client.clone(), list, 3);
    let mut all = Vec::new();
    while let Some(page) = pages.next().await {
        all.push(page);
    }
    all.sort_by_key(|(index, ..)| *index);
    for (_, url, page) in all {
        report(&url, page);
    }

    let list = urls(&["One/100", "Two/200", "Three/300"])?;
    at(7_000).await;
    println!("Each is stored for 0.25 s before the next:");
    let mut pages = Pages::new(client.clone(), list.clone(), 3);
    while let Some((_, url, page)) = pages.next().await {
        report(&url, page);
        sleep(Duration::from_millis(250)).await;
    }

    at(8_500).await;
    println!("Only the first that comes:");
    sent.store(0, Ordering::Relaxed);
    let mut pages = Pages::new(client, list, 3);
    if let Some((_, url, page)) = pages.next().await {
        report(&url, page);
    }
    drop(pages);
    sleep(Duration::from_millis(400)).await;
    println!("the server sent {} of 3", sent.load(Ordering::Relaxed));
    Ok(())
}
