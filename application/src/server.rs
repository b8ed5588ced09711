//! The accept loop. `axum::serve` limits neither connections nor the time for headers.

use std::{sync::Arc, time::Duration};

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::{server::graceful::GracefulShutdown, service::TowerToHyperService};
use tokio::{net::TcpListener, sync::Semaphore, time::sleep};
use tokio_util::sync::CancellationToken;

/// How many connections are open at once. Further clients wait.
const MAX_CONNECTIONS: usize = 1_000;
/// The time for the headers of a request, and between two requests.
const HEAD: Duration = Duration::from_secs(10);
/// The buffer of a connection, and so the largest headers, in bytes.
const BUFFER: usize = 16 * 1024;

/// Serves until `stop`. Then refuses new clients, and returns after the last request.
pub async fn serve(
    listener: TcpListener,
    routes: Router,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let permits = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let graceful = GracefulShutdown::new();
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).max_buf_size(BUFFER);
    http.header_read_timeout(HEAD);
    let accepting = async {
        loop {
            let permit = permits.clone().acquire_owned().await;
            let next = listener.accept().await;
            let next = next.inspect_err(|error| tracing::warn!("cannot accept: {error}"));
            let Ok((stream, _)) = next else {
                // Out of file descriptors: without a pause this would spin.
                sleep(Duration::from_secs(1)).await;
                continue;
            };
            let service = TowerToHyperService::new(routes.clone());
            let serving = http.serve_connection(TokioIo::new(stream), service);
            let serving = graceful.watch(serving);
            tokio::spawn(async move {
                let _permit = permit;
                // An error comes from the client: it left, or it did not send HTTP.
                let _ = serving.await;
            });
        }
    };
    stop.run_until_cancelled(accepting).await;
    drop(listener);
    graceful.shutdown().await;
    Ok(())
}
