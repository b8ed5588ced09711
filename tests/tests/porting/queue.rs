//! Port `copy`: a task produces, this one consumes. If the consumer is slow, the producer
//! waits: at most about ten items lie between them.
//!
//!     async def copy(items, consume):
//!         queue = asyncio.Queue(10)
//!
//!         async def produce():
//!             for item in items:
//!                 await queue.put(item)
//!             queue.shutdown()
//!         ...
//!
//! `pub async fn copy<I>(items: I, consume: impl AsyncFn(u32))` where
//! `I: IntoIterator<Item = u32, IntoIter: Send> + Send + 'static`.

use super::prelude::*;

mod naive {
    use tokio::sync::mpsc;

    pub async fn copy<I>(items: I, consume: impl AsyncFn(u32))
    where
        I: IntoIterator<Item = u32, IntoIter: Send> + Send + 'static,
    {
        let (sender, mut receiver) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            for item in items {
                let _ = sender.send(item);
            }
        });
        while let Some(item) = receiver.recv().await {
            consume(item).await;
        }
    }
}

mod right {
    use tokio::sync::mpsc;

    pub async fn copy<I>(items: I, consume: impl AsyncFn(u32))
    where
        I: IntoIterator<Item = u32, IntoIter: Send> + Send + 'static,
    {
        let (sender, mut receiver) = mpsc::channel(10);
        tokio::spawn(async move {
            for item in items {
                if sender.send(item).await.is_err() {
                    return;
                }
            }
        });
        while let Some(item) = receiver.recv().await {
            consume(item).await;
        }
    }
}

judge!("queue" refuses "the producer runs ahead" {
    static MADE: AtomicU32 = AtomicU32::new(0);
    let consumed = AtomicU32::new(0);
    let items = (0..1000).inspect(|_| {
        MADE.fetch_add(1, Relaxed);
    });
    answer::copy(items, async |item| {
        assert_eq!(item, consumed.fetch_add(1, Relaxed), "out of order");
        sleep(Duration::from_millis(1)).await;
        let ahead = MADE.load(Relaxed) - consumed.load(Relaxed);
        assert!(ahead < 20, "the producer runs ahead: {ahead}");
    })
    .await;
    assert_eq!(consumed.into_inner(), 1000, "items are missing");
});
