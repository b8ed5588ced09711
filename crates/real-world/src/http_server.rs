//! Serve axum with limits: connections, slow headers and bodies, graceful shutdown.
//!
//! `axum::serve` limits neither connections nor the time for headers. Here hyper serves
//! each connection with limits, in a task with a permit. After `stop` the server refuses
//! new clients, and finishes the requests that have begun.
//!
//! Bounds: `Limits`, and 16 KiB of buffer for each connection. A client that never reads
//! is cut off after the times `connection` and `drain` together.
//!
//! Trap: hyper and axum drop a handler at its await when the client leaves; FastAPI does
//! not. Here the middleware `finish` runs each handler in its own task.
//!
//! Trap: the shutdown of `axum::serve` waits for clients that never end their headers.
//!
//! In production: `tower-http` has the deadline (`TimeoutLayer`) and answers 500 after a
//! panic (`CatchPanicLayer`). `hyper_util::server::conn::auto` serves HTTP/2 as well.
//!
//! asyncio: asyncio.Server, asyncio.Server.close, asyncio.Server.wait_closed

use std::io::ErrorKind;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::StatusCode;
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::select;
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// What the server allows.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// How many connections are open at once. Further clients wait in the system's
    /// backlog.
    pub connections: usize,
    /// The largest body, in bytes.
    pub body: usize,
    /// The time for the headers of a request, and between two requests.
    pub head: Duration,
    /// The time for a request, from the end of its headers to the head of its response.
    pub request: Duration,
    /// The age at which a connection takes no further request.
    pub connection: Duration,
    /// The time for running requests to end after the stop.
    pub drain: Duration,
}

/// Serves until `stop` is cancelled. Then refuses new clients, and ends running requests
/// within `Limits::drain`. Handlers without a client get that time once more.
///
/// When the future returns, all its tasks have ended. Dropping it ends the connections
/// and drops the handlers, but does not wait for them.
pub async fn serve(
    listener: TcpListener,
    routes: Router,
    limits: Limits,
    stop: CancellationToken,
) {
    let handlers = Handlers::default();
    let routes = routes
        .layer(DefaultBodyLimit::max(limits.body))
        .layer(from_fn_with_state(limits.request, deadline))
        // The outermost layer, so that the deadline limits its task as well.
        .layer(from_fn_with_state(handlers.clone(), finish));
    let connections = TaskTracker::new();
    let permits = Arc::new(Semaphore::new(limits.connections));
    let close = CancellationToken::new();
    // If this future is dropped, the guards cancel both tokens.
    let _close = close.clone().drop_guard();
    let _abort = handlers.abort.clone().drop_guard();
    let accepting = async {
        loop {
            let permit = Arc::clone(&permits).acquire_owned().await;
            let permit = permit.expect("nobody closes the semaphore");
            let stream = accept(&listener).await;
            // Sends small responses at once.
            let _ = stream.set_nodelay(true);
            let serving = connection(stream, routes.clone(), limits, close.clone());
            connections.spawn(async move {
                let _permit = permit;
                serving.await;
            });
        }
    };
    stop.run_until_cancelled(accepting).await;
    drop(listener);
    close.cancel();
    connections.close();
    connections.wait().await;
    // Only handlers without a client are left.
    handlers.tasks.close();
    if timeout(limits.drain, handlers.tasks.wait()).await.is_err() {
        handlers.abort.cancel();
        handlers.tasks.wait().await;
    }
}

/// Waits for the next connection, and retries after an error. Cancel-safe.
async fn accept(listener: &TcpListener) -> TcpStream {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => return stream,
            // The client left before it was accepted.
            Err(error) if error.kind() == ErrorKind::ConnectionAborted => {}
            // Out of file descriptors or memory: without a pause this would spin.
            Err(error) => {
                eprintln!("cannot accept: {error}");
                sleep(Duration::from_secs(1)).await;
            }
        }
    }
}

/// Serves a connection until its client leaves, it reaches its age limit, or the server
/// stops. After that a running request may end, within `Limits::drain`.
async fn connection(
    stream: TcpStream,
    routes: Router,
    limits: Limits,
    close: CancellationToken,
) {
    let serving = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head)
        // By default a client can make the buffer grow to 400 kB.
        .max_buf_size(16 * 1024)
        .max_headers(64)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(routes));
    let mut serving = pin!(serving);
    select! {
        // Errors come from the client: it left, or it did not send HTTP.
        _ = serving.as_mut() => return,
        () = close.cancelled() => {}
        () = sleep(limits.connection) => {}
    }
    serving.as_mut().graceful_shutdown();
    let _ = timeout(limits.drain, serving).await;
}

/// Drops a handler that takes too long, even if it still waits for a body.
async fn deadline(
    State(limit): State<Duration>,
    request: Request,
    next: Next,
) -> Result<Response, (StatusCode, &'static str)> {
    let answered = timeout(limit, next.run(request)).await;
    answered.map_err(|_| (StatusCode::GATEWAY_TIMEOUT, "the request took too long"))
}

/// The tasks in which handlers run.
#[derive(Clone, Default)]
struct Handlers {
    tasks: TaskTracker,
    abort: CancellationToken,
}

/// Runs a handler in its own task, so that it finishes even if the client leaves.
/// Otherwise hyper would drop it. A panic becomes a response as well.
async fn finish(
    State(handlers): State<Handlers>,
    request: Request,
    next: Next,
) -> Result<Response, (StatusCode, &'static str)> {
    let abort = handlers.abort.clone();
    let handler = async move { abort.run_until_cancelled(next.run(request)).await };
    match handlers.tasks.spawn(handler).await {
        Ok(Some(response)) => Ok(response),
        Ok(None) => Err((StatusCode::SERVICE_UNAVAILABLE, "the server stops")),
        Err(_panic) => Err((StatusCode::INTERNAL_SERVER_ERROR, "internal error")),
    }
}

/// Says hello until Ctrl-C: `cargo run -- 127.0.0.1:8080`.
#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let address = std::env::args().nth(1).ok_or("usage: ADDRESS:PORT")?;
    let listener = TcpListener::bind(address).await?;
    let hello = axum::routing::get(async || "hello\n");
    let limits = Limits {
        connections: 1_000,
        body: 100_000,
        head: Duration::from_secs(10),
        request: Duration::from_secs(30),
        connection: Duration::from_secs(600),
        drain: Duration::from_secs(20),
    };
    let stop = CancellationToken::new();
    let routes = Router::new().route("/", hello);
    let serving = tokio::spawn(serve(listener, routes, limits, stop.clone()));
    tokio::signal::ctrl_c().await?;
    stop.cancel();
    Ok(serving.await?)
}

//@ clock: real
//@ try: nowhere -> invalid socket address
