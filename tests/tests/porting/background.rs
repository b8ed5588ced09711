//! Port `serve`: each request is handled by a task in the background. When there are no more
//! requests, `serve` returns after the last task has ended. A task that has ended leaves
//! nothing behind, however long the server runs.
//!
//!     async def serve(requests, handle):
//!         async with asyncio.TaskGroup() as group:
//!             async for request in requests:
//!                 group.create_task(handle(request))
//!
//! `pub async fn serve<H, F>(requests: mpsc::Receiver<u32>, handle: H)` where
//! `H: Fn(u32) -> F` and `F: Future<Output = ()> + Send + 'static`.

use super::prelude::*;

mod naive {
    use super::mpsc;

    pub async fn serve<H, F>(mut requests: mpsc::Receiver<u32>, handle: H)
    where
        H: Fn(u32) -> F,
        F: Future<Output = ()> + Send + 'static,
    {
        while let Some(request) = requests.recv().await {
            tokio::spawn(handle(request));
        }
    }
}

mod right {
    use tokio_util::task::TaskTracker;

    use super::mpsc;

    pub async fn serve<H, F>(mut requests: mpsc::Receiver<u32>, handle: H)
    where
        H: Fn(u32) -> F,
        F: Future<Output = ()> + Send + 'static,
    {
        let tasks = TaskTracker::new();
        while let Some(request) = requests.recv().await {
            tasks.spawn(handle(request));
        }
        tasks.close();
        tasks.wait().await;
    }
}

judge!("background" refuses "it returns before its tasks have ended" {
    static HANDLED: AtomicU32 = AtomicU32::new(0);
    let (sender, requests) = mpsc::channel(8);
    let handle = async |request: u32| {
        sleep(Duration::from_secs(request.into())).await;
        HANDLED.fetch_add(1, Relaxed);
    };
    let server = tokio::spawn(answer::serve(requests, handle));
    for request in [3, 1, 2] {
        sender.send(request).await.expect("it listens");
    }
    drop(sender);
    server.await.expect("no panic");
    let handled = HANDLED.load(Relaxed);
    assert_eq!(handled, 3, "it returns before its tasks have ended");
});
