//! The same client leaves three handlers after 0.15 s.

use std::error::Error;
use std::thread;
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use reqwest::Client;
use tokio::net::TcpListener;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::task::AbortOnDropHandle;

use crate::client_disconnects::{Unfinished, stop_with_client};

const MOMENT: Duration = Duration::from_millis(100);

/// Two steps, of which the second must follow.
async fn order() {
    sleep(MOMENT).await;
    println!("the order is charged");
    sleep(2 * MOMENT).await;
    println!("the order is shipped");
}

/// Searches ten files, a moment each.
async fn search() {
    let searching = stop_with_client(|token| {
        for file in 1..=10 {
            thread::sleep(MOMENT);
            if token.is_cancelled() {
                println!("the search stops after file {file}");
                return;
            }
        }
        println!("the search has read all files");
    });
    if searching.await.is_err() {
        println!("the search has panicked");
    }
}

pub async fn run() -> Result<(), Box<dyn Error + Send + Sync>> {
    // The server and the client take time to start.
    let start = Instant::now() + 5 * MOMENT;
    let part = |number: u32| sleep_until(start + 5 * number * MOMENT);
    let unfinished = Unfinished::default();
    let orders = unfinished.clone();
    let finished = async move || {
        let _placed = orders.finish(order()).await;
    };
    let routes = Router::new()
        .route("/order", get(order))
        .route("/finished", get(finished))
        .route("/search", get(search));
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let root = format!("http://{}", listener.local_addr()?);
    let serving = tokio::spawn(async { axum::serve(listener, routes).await });
    let serving = AbortOnDropHandle::new(serving);
    let client = Client::builder().no_proxy();
    let client = client.timeout(MOMENT * 3 / 2).build()?;
    let leave = async |path| match client.get(format!("{root}{path}")).send().await {
        Err(error) if error.is_timeout() => println!("the client has left"),
        Err(_) => println!("the request has failed"),
        Ok(_) => println!("the client has its answer"),
    };

    part(0).await;
    println!("A handler that must be whole:");
    leave("/order").await;

    part(1).await;
    println!("Its work in a task:");
    leave("/finished").await;

    part(2).await;
    println!("Work that nobody needs without its client:");
    leave("/search").await;

    part(3).await;
    drop(serving);
    unfinished.drain().await;
    Ok(())
}
