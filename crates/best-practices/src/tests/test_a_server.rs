use std::error::Error;
use std::net::SocketAddr;
use std::pin::pin;
use std::time::Duration;

use axum::Router;
use axum::extract::connect_info::MockConnectInfo;
use axum::extract::{ConnectInfo, Path};
use axum::http::StatusCode;
use axum::routing::get;
use futures::future::join_all;
use reqwest::Client;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio::time::{sleep, timeout};
use tokio_util::task::AbortOnDropHandle;

use crate::test_a_server::{TestServer, call};

type BoxError = Box<dyn Error + Send + Sync>;

const MS: Duration = Duration::from_millis(1);
const LONG: Duration = Duration::from_secs(20);

/// An app whose report takes that long.
fn app(report: Duration) -> Router {
    let item = async |Path(id): Path<u32>| format!("item {id}");
    let report = async move || match timeout(LONG, sleep(report)).await {
        Ok(()) => StatusCode::OK,
        Err(_) => StatusCode::GATEWAY_TIMEOUT,
    };
    let address = async |ConnectInfo(client): ConnectInfo<SocketAddr>| client.to_string();
    Router::new()
        .route("/items/{id}", get(item))
        .route("/report", get(report))
        .route("/address", get(address))
}

async fn ask(server: SocketAddr, path: &str) -> Result<(StatusCode, String), BoxError> {
    let client = Client::builder().no_proxy().timeout(LONG).build()?;
    let response = client.get(format!("http://{server}{path}")).send().await?;
    Ok((response.status(), response.text().await?))
}

#[tokio::test(start_paused = true)]
async fn the_limit_of_the_report() -> Result<(), BoxError> {
    for (upstream, expected) in [
        (LONG - MS, StatusCode::OK),
        (LONG + MS, StatusCode::GATEWAY_TIMEOUT),
    ] {
        let (status, _) = call(app(upstream), "/report").await?;
        assert_eq!(status, expected);
    }
    Ok(())
}

#[tokio::test]
async fn routes() -> Result<(), BoxError> {
    let app = app(MS);
    for (path, expected) in [("/items/3", 200), ("/items/x", 400), ("/", 404)] {
        let (status, _) = call(app.clone(), path).await?;
        assert_eq!(status.as_u16(), expected, "{path}");
    }
    assert!(call(app, "no path").await.is_err());
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn twenty_servers_at_once() -> Result<(), BoxError> {
    let one = async |number: u32| {
        let server = TestServer::start(app(MS)).await?;
        let path = format!("/items/{}", number % 3 + 1);
        let (_, text) = ask(server.address, &path).await?;
        assert_eq!(text, format!("item {}", number % 3 + 1));
        timeout(LONG, server.shut_down()).await?
    };
    join_all((0..20).map(one)).await.into_iter().collect()
}

#[tokio::test]
async fn dropped_it_stops() -> Result<(), BoxError> {
    let server = TestServer::start(app(MS)).await?;
    let address = server.address;
    drop(server);
    tokio::task::yield_now().await;
    assert!(ask(address, "/items/1").await.is_err());
    Ok(())
}

#[tokio::test]
async fn shutdown_waits_for_a_request() -> Result<(), BoxError> {
    let (begun, mut has_begun) = mpsc::channel(1);
    let (release, released) = watch::channel(false);
    let handler = async move || {
        let mut released = released.clone();
        begun.send(()).await.expect("the test is there");
        released.wait_for(|is_released| *is_released).await.is_ok()
    };
    let handler = async move || handler().await.to_string();
    let server = TestServer::start(Router::new().route("/", get(handler))).await?;
    let address = server.address;
    let request = tokio::spawn(async move { ask(address, "/").await });
    has_begun.recv().await;

    let mut shutdown = pin!(server.shut_down());
    assert!(timeout(20 * MS, shutdown.as_mut()).await.is_err());
    release.send(true)?;
    timeout(LONG, shutdown).await??;
    let (_, text) = request.await??;
    assert_eq!(text, "true");
    Ok(())
}

/// The trap: only a server that passes the addresses on answers.
#[tokio::test]
async fn a_server_without_addresses() -> Result<(), BoxError> {
    let (without_a_socket, _) = call(app(MS), "/address").await?;
    let mock = MockConnectInfo(SocketAddr::from(([10, 0, 0, 1], 80)));
    let (mocked, _) = call(app(MS).layer(mock), "/address").await?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let server = async { axum::serve(listener, app(MS)).await };
    let _server = AbortOnDropHandle::new(tokio::spawn(server));
    let (served, _) = ask(address, "/address").await?;
    let own = TestServer::start(app(MS)).await?;
    let (served_with, _) = ask(own.address, "/address").await?;
    let statuses = [without_a_socket, mocked, served, served_with];
    assert_eq!(statuses.map(|status| status.as_u16()), [500, 200, 500, 200]);
    Ok(())
}

#[tokio::test]
async fn a_body_of_a_megabyte_is_returned_and_a_longer_one_is_an_error()
-> Result<(), BoxError> {
    let body = async |Path(length): Path<usize>| "x".repeat(length);
    let app = Router::new().route("/{length}", get(body));
    let (_, text) = call(app.clone(), &format!("/{}", 1 << 20)).await?;
    assert_eq!(text.len(), 1 << 20);
    let longer = call(app, &format!("/{}", (1 << 20) + 1)).await;
    assert!(longer.is_err());
    Ok(())
}
