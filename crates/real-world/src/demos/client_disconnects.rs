//! The same client leaves three handlers when their work has begun.

use std::error::Error;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::routing::get;
use reqwest::Client;
use tokio::net::TcpListener;
use tokio::select;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};
use tokio_util::task::AbortOnDropHandle;

use crate::client_disconnects::{Unfinished, stop_with_client};

/// What the handlers tell the client, and it tells them.
#[derive(Default)]
struct Signals {
    has_begun: Notify,
    may_go_on: Notify,
    has_ended: Notify,
    unfinished: Unfinished,
}

type Shared = State<Arc<Signals>>;

/// Tells the end of the work, even if it is dropped.
struct Ends(Arc<Signals>);

impl Drop for Ends {
    fn drop(&mut self) {
        self.0.has_ended.notify_one();
    }
}

/// Two steps, of which the second must follow.
async fn order(State(signals): Shared) {
    let ends = Ends(signals);
    println!("the order is charged");
    ends.0.has_begun.notify_one();
    ends.0.may_go_on.notified().await;
    println!("the order is shipped");
}

async fn finished(State(signals): Shared) {
    let work = order(State(Arc::clone(&signals)));
    let _placed = signals.unfinished.finish(work).await;
}

/// Searches a thousand files, 10 ms each.
async fn search(State(signals): Shared) {
    let searching = stop_with_client(move |token| {
        let ends = Ends(signals);
        for file in 1..=1000 {
            thread::sleep(Duration::from_millis(10));
            if file == 2 {
                println!("the search has begun");
                ends.0.has_begun.notify_one();
            }
            if token.is_cancelled() {
                println!("the search stops before its last file");
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
    let ready = Instant::now() + Duration::from_secs(1);
    let signals = Arc::new(Signals::default());
    let routes = Router::new()
        .route("/order", get(order))
        .route("/finished", get(finished))
        .route("/search", get(search))
        .with_state(Arc::clone(&signals));
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let root = format!("http://{}", listener.local_addr()?);
    let serving = tokio::spawn(async { axum::serve(listener, routes).await });
    let _serving = AbortOnDropHandle::new(serving);
    let client = Client::builder().no_proxy().build()?;
    let leave = async |path| {
        select! {
            _ = client.get(format!("{root}{path}")).send() => {
                println!("the client has its answer");
            }
            () = signals.has_begun.notified() => println!("the client has left"),
        }
    };

    // The server and the client take time to start.
    sleep_until(ready).await;

    println!("A handler that must be whole:");
    leave("/order").await;
    // Dropped at its await: it will not ship, whatever it is told.
    signals.has_ended.notified().await;

    println!("Its work in a task:");
    leave("/finished").await;
    signals.may_go_on.notify_one();
    signals.has_ended.notified().await;

    println!("Work that nobody needs without its client:");
    leave("/search").await;
    signals.has_ended.notified().await;
    signals.unfinished.drain().await;
    Ok(())
}
