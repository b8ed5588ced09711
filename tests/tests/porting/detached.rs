//! Port `serve_with`: a worker runs beside the server. If the worker fails, the server stops
//! and the caller gets the error at once. If the server ends, the worker is stopped.
//!
//!     async def serve_with(worker, server):
//!         async with asyncio.TaskGroup() as group:
//!             task = group.create_task(worker)
//!             await server
//!             task.cancel()
//!
//! `pub async fn serve_with<W, S>(worker: W, server: S) -> Result<(), String>` where
//! `W: Future<Output = Result<(), String>> + Send + 'static` and `S: Future<Output = ()>`.
//! The worker does not end before the server but by an error.

use super::prelude::*;

mod naive {
    pub async fn serve_with<W, S>(worker: W, server: S) -> Result<(), String>
    where
        W: Future<Output = Result<(), String>> + Send + 'static,
        S: Future<Output = ()>,
    {
        tokio::spawn(worker);
        server.await;
        Ok(())
    }
}

mod right {
    pub async fn serve_with<W, S>(worker: W, server: S) -> Result<(), String>
    where
        W: Future<Output = Result<(), String>> + Send + 'static,
        S: Future<Output = ()>,
    {
        tokio::select! {
            result = worker => result,
            () = server => Ok(()),
        }
    }
}

judge!("detached" refuses "the worker's error is lost" {
    let start = Instant::now();
    let worker = async {
        sleep(Duration::from_secs(1)).await;
        Err("the worker fails".to_owned())
    };
    let result = answer::serve_with(worker, sleep(Duration::from_secs(5))).await;
    assert_eq!(result, Err("the worker fails".to_owned()), "the worker's error is lost");
    assert_eq!(start.elapsed().as_secs(), 1, "the server is not stopped");
    let alive = Arc::new(());
    let held = Arc::clone(&alive);
    let worker = async move {
        pending::<()>().await;
        drop(held);
        Ok(())
    };
    assert_eq!(answer::serve_with(worker, sleep(Duration::from_secs(1))).await, Ok(()));
    sleep(Duration::from_secs(1)).await;
    assert_eq!(Arc::strong_count(&alive), 1, "the worker is not stopped");
});
