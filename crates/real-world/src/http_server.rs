//! Serve axum with limits: connections, slow headers and bodies, graceful shutdown.
//!
//! `axum::serve` limits neither the connections nor the time for headers. Here the HTTP
//! library under axum, hyper, serves each connection with limits. After the token
//! `stop` is cancelled, the server refuses new clients and finishes the requests that
//! have begun.
//!
//! A WebSocket of axum's `ws` outlives its request. For the limits and the shutdown to
//! include the WebSocket, its handler takes the argument `Extension<Place>`. As long as
//! this [`Place`] exists, the server counts the connection as open. In `on_upgrade`, pass
//! the future of the WebSocket to [`Place::run`].
//!
//! Bounds: In `Limits` you set the number of connections (further clients wait), the
//! largest body (above it, the answer is 413), and how long headers (and the pause before
//! them), a request, a connection and the stop may take. Each connection has a buffer of
//! 16 KiB. A client that never reads its answer is cut off after the times `connection`
//! and `drain` together.
//!
//! Trap: If the client leaves, hyper and axum drop the handler at its current await, so
//! half of its work may be done; FastAPI lets it finish. Here the middleware `finish`
//! runs each handler in its own task.
//!
//! Trap: If you stop `axum::serve` gracefully, it waits for clients that never end their
//! headers, and for open event streams, perhaps forever. Also, a client that ends its
//! side after the request, as `nc -N` does, often gets no answer from `axum::serve`. Call
//! [`serve`] of this file instead: its `Limits` cut off slow clients, and with hyper's
//! option `half_close` a client that has ended its side gets its answer.
//!
//! In production: `tower-http` has layers for a deadline (`TimeoutLayer`) and for
//! answering 500 after a panic (`CatchPanicLayer`). `hyper_util::server::conn::auto`
//! serves HTTP/2 as well. `tower`'s `ConcurrencyLimitLayer` limits nothing here,
//! because each connection gets its own copy of the routes with its own limit: use
//! `GlobalConcurrencyLimitLayer`.
//!
//! Platforms: On Windows (Wine), the demonstration's request for `/nap` ends with
//! "IncompleteMessage".
//!
//! asyncio: asyncio.Server, asyncio.Server.close, asyncio.Server.wait_closed

use std::future::Future;
use std::io::ErrorKind;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::StatusCode;
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::Response;
use axum::{Extension, Router};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::select;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::Layer;
use tower_http::limit::RequestBodyLimitLayer;

/// What the server allows.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// How many connections are open at the same time. A handler whose client has left
    /// counts as one. Further clients wait in the system's backlog; `TcpListener::bind`
    /// makes it 128 long.
    pub connections: usize,
    /// The largest body, in bytes, even if the handler takes `Request` or `Body`.
    pub body: usize,
    /// The time for the headers of a request, and between two requests.
    pub head: Duration,
    /// The time for a request, from the end of its headers to the head of its response.
    pub request: Duration,
    /// The age at which a connection takes no further request.
    pub connection: Duration,
    /// The time for running requests to end after the stop, and at the age `connection`.
    /// A response that takes longer is cut off there, a stream of events as well.
    pub drain: Duration,
}

/// A connection's place in the server. It is an extension of each request, and the next
/// client gets it when all its clones have been dropped.
#[derive(Clone)]
pub struct Place {
    _permit: Arc<OwnedSemaphorePermit>,
    handlers: Handlers,
    close: CancellationToken,
}

impl Place {
    /// Runs a future that may outlive its connection, such as that of a WebSocket:
    /// `ws.on_upgrade(|socket| async { place.run(talk(socket)).await; })`. The server
    /// waits for it at its end. Returns `None` if that took too long, and it was dropped.
    pub fn run<F: Future>(self, work: F) -> impl Future<Output = Option<F::Output>> {
        let tasks = self.handlers.tasks.clone();
        tasks.track_future(async move {
            let place = self;
            place.handlers.abort.run_until_cancelled(work).await
        })
    }

    /// Waits until the server stops: then close the socket.
    pub async fn stopped(&self) {
        self.close.cancelled().await;
    }
}

/// The handlers, and what drops them.
#[derive(Clone, Default)]
struct Handlers {
    tasks: TaskTracker,
    abort: CancellationToken,
}

/// Serves until `stop` is cancelled. Then refuses new clients, and ends running requests
/// within `Limits::drain`. Handlers without a client, and WebSockets, get that time once
/// more.
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
        // That of axum binds `Json` and `Bytes`, but no handler that takes `Request`.
        .layer(DefaultBodyLimit::disable())
        .layer(RequestBodyLimitLayer::new(limits.body))
        .layer(from_fn_with_state(limits.request, deadline))
        // The outermost layer, so that the deadline limits its task as well.
        .layer(from_fn(finish));
    let connections = TaskTracker::new();
    let permits = Arc::new(Semaphore::new(
        limits.connections.min(Semaphore::MAX_PERMITS),
    ));
    let close = CancellationToken::new();
    // If this future is dropped, the guards cancel both tokens.
    let _close = close.clone().drop_guard();
    let _abort = handlers.abort.clone().drop_guard();
    let accepting = async {
        loop {
            let permit = Arc::clone(&permits).acquire_owned().await;
            let permit = permit.expect("nobody closes the semaphore");
            let stream = accept(&listener).await;
            // Sends small responses immediately.
            let _ = stream.set_nodelay(true);
            let place = Place {
                _permit: Arc::new(permit),
                handlers: handlers.clone(),
                close: close.clone(),
            };
            connections.spawn(connection(stream, routes.clone(), limits, place));
        }
    };
    stop.run_until_cancelled(accepting).await;
    drop(listener);
    close.cancel();
    connections.close();
    connections.wait().await;
    // Only handlers without a client and WebSockets are left.
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
async fn connection(stream: TcpStream, routes: Router, limits: Limits, place: Place) {
    let routes = Extension(place.clone()).layer(routes);
    let serving = http1::Builder::new()
        .timer(TokioTimer::new())
        // hyper adds it to a moment, which would overflow by `Duration::MAX`.
        .header_read_timeout(limits.head.min(Duration::from_secs(365 * 24 * 3600)))
        // By default a client can make the buffer grow to 400 kB.
        .max_buf_size(16 * 1024)
        .max_headers(64)
        // Answers a client that ends its side after its request.
        .half_close(true)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(routes))
        .with_upgrades();
    let mut serving = pin!(serving);
    select! {
        // Errors come from the client: it left, or it did not send HTTP.
        _ = serving.as_mut() => return,
        () = place.stopped() => {}
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

/// Runs a handler in its own task, so that it finishes even if the client leaves.
/// Otherwise hyper would drop it. A panic becomes a response as well.
async fn finish(
    Extension(place): Extension<Place>,
    request: Request,
    next: Next,
) -> Result<Response, (StatusCode, &'static str)> {
    match tokio::spawn(place.run(next.run(request))).await {
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
