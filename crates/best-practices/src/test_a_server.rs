//! Test an axum server: without a socket by tower's `oneshot`, or with one on port 0.
//!
//! A `Router` of axum is a function from request to response. So a test can call it, with
//! the method `oneshot` of the crate `tower`, as httpx's `ASGITransport` does in Python.
//! The call needs no port and works on Tokio's paused clock, where a timeout of 30 s is
//! over immediately. Use a socket and the real clock for tests that need a connection:
//! starting, stopping, and clients that leave.
//!
//! Trap: If a handler asks for the client's address, `axum::serve(listener, app)` makes
//! it answer 500, because the address is not passed on. Serve with
//! `into_make_service_with_connect_info`, as `TestServer::start` below does. axum's
//! `MockConnectInfo` hides the mistake in a test without a socket.
//!
//! Trap: If a handler panics, a test without a socket fails with this panic. On a
//! server, only the connection of the request is closed, and the client gets no answer.
//! Test a panic with a socket.
//!
//! See also: `shared_client_in_tests`, `test_timeouts_and_retries`, `axum_service`.
//!
//! asyncio: asyncio.start_server, asyncio.timeout, asyncio.CancelledError
//! differs: a panic gives no answer, and a handler is dropped when its client leaves

use std::error::Error;
use std::io;
use std::net::SocketAddr;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{Request, StatusCode};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tower::ServiceExt;

type BoxError = Box<dyn Error + Send + Sync>;

/// Returns the status and the body that the app gives for `GET path`, without a socket.
/// Clone the app for more than one call.
///
/// # Errors
///
/// If the path is invalid, or the body is longer than a megabyte.
pub async fn call(app: Router, path: &str) -> Result<(StatusCode, String), BoxError> {
    let response = app.oneshot(Request::get(path).body(Body::empty())?).await?;
    let status = response.status();
    let body = to_bytes(response.into_body(), 1 << 20).await?;
    Ok((status, String::from_utf8_lossy(&body).into_owned()))
}

/// An app that is served on its own port. Dropping it stops the server as well, but
/// does not wait for the requests that are running.
#[derive(Debug)]
pub struct TestServer {
    /// The address on which the server listens.
    pub address: SocketAddr,
    shut_down: oneshot::Sender<()>,
    task: JoinHandle<io::Result<()>>,
}

impl TestServer {
    /// Starts a server on 127.0.0.1. It answers as soon as this returns.
    ///
    /// # Errors
    ///
    /// If no port is free.
    pub async fn start(app: Router) -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let (shut_down, is_shut_down) = oneshot::channel();
        let app = app.into_make_service_with_connect_info::<SocketAddr>();
        // A sender that is dropped ends the wait as well.
        let server = axum::serve(listener, app).with_graceful_shutdown(async {
            let _ = is_shut_down.await;
        });
        let task = tokio::spawn(async { server.await });
        Ok(Self {
            address,
            shut_down,
            task,
        })
    }

    /// Accepts no more connections and waits until all requests are answered, without a
    /// timeout.
    ///
    /// # Errors
    ///
    /// If the server has panicked.
    pub async fn shut_down(self) -> Result<(), BoxError> {
        let _ = self.shut_down.send(());
        Ok(self.task.await??)
    }
}

/// Tests a small app in both ways: `cargo run -- /ada`.
#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let path = std::env::args().nth(1).ok_or("usage: PATH")?;
    let hello =
        |name: axum::extract::Path<String>| async move { format!("hello {}", *name) };
    let app = Router::new().route("/{name}", axum::routing::get(hello));

    let (status, body) = call(app.clone(), &path).await?;
    println!("without a socket: {status}, {body}");

    let server = TestServer::start(app).await?;
    let url = format!("http://{}{path}", server.address);
    let response = reqwest::get(url).await?;
    let (status, body) = (response.status(), response.text().await?);
    println!("with a socket: {status}, {body}");
    server.shut_down().await
}

//@ clock: real
//@ order: the handler has ended
//@ stderr: the bug
//@ try: /ada -> hello ada
