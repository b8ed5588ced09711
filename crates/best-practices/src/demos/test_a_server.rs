//! A shop whose handlers answer, panic, or wait, called with and without a socket.

use std::error::Error;
use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::extract::connect_info::MockConnectInfo;
use axum::extract::{ConnectInfo, Path, State};
use axum::http::StatusCode;
use axum::routing::get;
use reqwest::Client;
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};

use crate::test_a_server::{TestServer, call};

type BoxError = Box<dyn Error + Send + Sync>;
type Answer = Result<(StatusCode, String), BoxError>;

/// The app under test. Its upstream takes `upstream` to make a report.
fn app(upstream: Duration) -> Router {
    Router::new()
        .route("/items/{id}", get(item))
        .route("/report", get(report))
        .route("/address", get(address))
        .route("/slow", get(slow))
        .with_state(upstream)
}

async fn item(Path(id): Path<u32>) -> Result<String, (StatusCode, &'static str)> {
    match id {
        1..=3 => Ok(format!("item {id}")),
        4 => panic!("the bug"),
        _ => Err((StatusCode::NOT_FOUND, "no such item")),
    }
}

/// The handler of `/report` has begun.
static BEGUN: Notify = Notify::const_new();
/// The handler of `/slow` has ended.
static ENDED: Notify = Notify::const_new();

async fn report(State(upstream): State<Duration>) -> Result<&'static str, StatusCode> {
    BEGUN.notify_one();
    let fetch = timeout(Duration::from_secs(30), sleep(upstream));
    fetch.await.map_err(|_| StatusCode::GATEWAY_TIMEOUT)?;
    Ok("the report")
}

async fn address(ConnectInfo(client): ConnectInfo<SocketAddr>) -> String {
    client.ip().to_string()
}

async fn slow() {
    let _guard = LogOnDrop;
    sleep(Duration::from_secs(1)).await;
    println!("the handler has answered");
}

struct LogOnDrop;

impl Drop for LogOnDrop {
    fn drop(&mut self) {
        println!("the handler has ended");
        ENDED.notify_one();
    }
}

/// Returns a client that keeps no connections.
fn client() -> Result<Client, reqwest::Error> {
    Client::builder()
        .no_proxy()
        .pool_max_idle_per_host(0)
        .timeout(Duration::from_secs(30))
        .build()
}

/// Sends a request over a socket.
async fn ask(client: &Client, server: SocketAddr, path: &str) -> Answer {
    let response = client.get(format!("http://{server}{path}")).send().await?;
    Ok((response.status(), response.text().await?))
}

fn print(path: &str, answer: Answer) {
    match answer {
        Ok((status, text)) => println!("{path}: {} {text}", status.as_u16()),
        Err(_) => println!("{path}: no answer"),
    }
}

pub async fn run() -> Result<(), BoxError> {
    let app = app(Duration::from_millis(200));
    let client = client()?;

    println!("Without a socket:");
    for path in ["/items/1", "/items/9"] {
        print(path, call(app.clone(), path).await);
    }
    let panics = tokio::spawn(call(app.clone(), "/items/4"));
    if panics.await.is_err_and(|error| error.is_panic()) {
        println!("/items/4: the bug ends the test");
    }
    let mock = MockConnectInfo(SocketAddr::from(([10, 0, 0, 1], 80)));
    print("/address", call(app.clone().layer(mock), "/address").await);

    println!("With a socket:");
    let server = TestServer::start(app).await?;
    for path in ["/address", "/items/4", "/items/1"] {
        print(path, ask(&client, server.address, path).await);
    }

    println!("A client that leaves after 0.2 s:");
    let answer = ask(&client, server.address, "/slow");
    if timeout(Duration::from_millis(200), answer).await.is_err() {
        println!("/slow: the client has left");
    }
    ENDED.notified().await;

    println!("A shutdown during a request:");
    let last = tokio::spawn({
        let (client, address) = (client.clone(), server.address);
        async move { print("/report", ask(&client, address, "/report").await) }
    });
    BEGUN.notified().await;
    let address = server.address;
    server.shut_down().await?;
    last.await?;

    println!("After the shutdown:");
    print("/items/1", ask(&client, address, "/items/1").await);
    Ok(())
}
