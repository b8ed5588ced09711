//! The accept loop. `axum::serve` limits neither connections nor the time for headers.

use std::{io, pin::pin, sync::Arc, time::Duration};

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::{select, sync::Semaphore, time::sleep, time::timeout};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// The buffer of a connection, and so the largest headers, in bytes.
const BUFFER: usize = 16 * 1024;

/// What one client may take.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// How many connections are open at the same time. Further clients wait.
    pub connections: usize,
    /// The time for the headers of a request, and between two requests.
    pub head: Duration,
    /// How long a connection is used. Without this limit, a client that never reads the
    /// responses would keep its connection forever.
    pub age: Duration,
    /// The time for the request that runs when its connection has to end.
    pub last_request: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 1_000,
            head: Duration::from_secs(10),
            age: Duration::from_secs(300),
            last_request: Duration::from_secs(20),
        }
    }
}

/// Serves until `stop`. Then refuses new clients, and returns after the last request.
pub async fn serve(
    listener: TcpListener,
    routes: Router,
    stop: CancellationToken,
    limits: Limits,
) -> anyhow::Result<()> {
    let permits = Arc::new(Semaphore::new(limits.connections));
    let connections = TaskTracker::new();
    let accepting = async {
        loop {
            let permit = permits.clone().acquire_owned().await;
            match listener.accept().await {
                Ok((stream, _)) => {
                    let serving =
                        connection(stream, routes.clone(), stop.clone(), limits);
                    connections.spawn(async move {
                        let _permit = permit;
                        serving.await;
                    });
                }
                // This client left before it was accepted.
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                Err(error) => {
                    tracing::warn!("cannot accept: {error}");
                    // Out of file descriptors: without a pause this would spin.
                    sleep(Duration::from_secs(1)).await;
                }
            }
        }
    };
    stop.run_until_cancelled(accepting).await;
    drop(listener);
    connections.close();
    connections.wait().await;
    Ok(())
}

/// Serves the requests of one client, until it leaves, `stop`, or the connection's age.
async fn connection(
    stream: TcpStream,
    routes: Router,
    stop: CancellationToken,
    limits: Limits,
) {
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).max_buf_size(BUFFER);
    // A client may close its sending half after the request, and still read the response.
    http.header_read_timeout(limits.head).half_close(true);
    let service = TowerToHyperService::new(routes);
    let mut serving = pin!(http.serve_connection(TokioIo::new(stream), service));
    // An error comes from the client: it left, or it did not send HTTP.
    select! {
        _ = serving.as_mut() => return,
        () = stop.cancelled() => {}
        () = sleep(limits.age) => {}
    }
    serving.as_mut().graceful_shutdown();
    let _ = timeout(limits.last_request, serving).await;
}
