//! A client disconnects: axum drops its handler at an await, and FastAPI does not.
//!
//! hyper, the HTTP library under axum, drops the future of a handler when its
//! connection ends. So decide for each handler what shall happen. If its work must be
//! completed, run the work in a task: [`Unfinished::finish`] below. If only the client
//! needs the work, stop it by a `CancellationToken`: [`stop_with_client`]. A client may
//! send its request again, so make the work idempotent, for example by a key that the
//! client sends.
//!
//! In a TCP server of your own, nothing drops the handler when the client leaves. Run the
//! handler in a `select!`, next to a wait for the end of the client's side, as the
//! example `sockets_by_hand` shows it.
//!
//! Bounds: Unbounded: Tasks whose client has left, and their time. `http_server` limits
//! both.
//!
//! Trap: If your handler charges a customer, awaits, and then ships, a client that
//! leaves during the await has paid and gets nothing. No code after the await runs, and
//! nothing is logged. Run both steps in one task.
//!
//! Trap: If you only spawn the task, it is lost when the server stops and `main`
//! returns. Call `drain`, which waits for all such tasks.
//!
//! See also: `http_server`, `shield_and_clean_up`, `api_server`, `streaming_responses`.
//!
//! asyncio: asyncio.create_task, asyncio.shield
//! differs: a handler of FastAPI keeps running after its client has left

use std::future::Future;

use tokio::task::{JoinError, spawn_blocking};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Tasks that keep running without their clients. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct Unfinished(TaskTracker);

impl Unfinished {
    /// Runs work in a task and waits for it. If this future is dropped, the task
    /// keeps running.
    ///
    /// # Errors
    ///
    /// If the work panics.
    ///
    /// # Panics
    ///
    /// Outside a Tokio runtime.
    pub async fn finish<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> Result<T, JoinError> {
        self.0.spawn(work).await
    }

    /// Waits until all tasks have ended. Call it after the server has stopped, within a
    /// `timeout`.
    pub async fn drain(&self) {
        self.0.close();
        self.0.wait().await;
    }
}

/// Runs blocking work in a thread and waits for it. If this future is dropped, the token
/// is cancelled: the work looks at `is_cancelled` now and then, and returns.
///
/// # Errors
///
/// If the work panics.
///
/// # Panics
///
/// Outside a Tokio runtime.
pub async fn stop_with_client<T: Send + 'static>(
    work: impl FnOnce(CancellationToken) -> T + Send + 'static,
) -> Result<T, JoinError> {
    let token = CancellationToken::new();
    let _cancels = token.clone().drop_guard();
    spawn_blocking(move || work(token)).await
}

/// Takes orders until Ctrl-C: `cargo run -- 127.0.0.1:8080`, then
/// `curl -m 1 http://127.0.0.1:8080/order`, which leaves after a second.
#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let address = std::env::args().nth(1).ok_or("usage: ADDRESS:PORT")?;
    let listener = tokio::net::TcpListener::bind(address).await?;
    let unfinished = Unfinished::default();
    let orders = unfinished.clone();
    let order = move || async move {
        let place = async {
            tokio::time::sleep(std::time::Duration::from_secs(3)).await;
            println!("an order is placed");
            "placed\n"
        };
        let placed = orders.finish(place).await;
        placed.map_err(|_| axum::http::StatusCode::INTERNAL_SERVER_ERROR)
    };
    let routes = axum::Router::new().route("/order", axum::routing::get(order));
    tokio::select! {
        result = axum::serve(listener, routes) => result?,
        result = tokio::signal::ctrl_c() => result?,
    }
    let limit = std::time::Duration::from_secs(20);
    Ok(tokio::time::timeout(limit, unfinished.drain()).await?)
}

//@ clock: real
//@ late: 50 (two files of 10 ms each are read before a line)
//@ try: nowhere -> invalid socket address
