//! Port `save`. If the caller is cancelled or has no more time, the write goes on to its end.
//!
//!     async def save(write):
//!         return await asyncio.shield(write)
//!
//! `pub async fn save<W>(write: W) -> u32` where `W: Future<Output = u32> + Send + 'static`.

use super::prelude::*;

mod naive {
    pub async fn save<W>(write: W) -> u32
    where
        W: Future<Output = u32> + Send + 'static,
    {
        write.await
    }
}

mod right {
    pub async fn save<W>(write: W) -> u32
    where
        W: Future<Output = u32> + Send + 'static,
    {
        tokio::spawn(write)
            .await
            .expect("no panic, and nobody aborts it")
    }
}

judge!("shield" refuses "the write was cancelled" {
    static WRITTEN: AtomicBool = AtomicBool::new(false);
    let write = async || {
        sleep(Duration::from_secs(2)).await;
        WRITTEN.store(true, Relaxed);
        12
    };
    let limited = timeout(Duration::from_secs(1), answer::save(write())).await;
    assert!(limited.is_err(), "the caller has to wait");
    sleep(Duration::from_secs(2)).await;
    assert!(WRITTEN.load(Relaxed), "the write was cancelled");
    assert_eq!(answer::save(write()).await, 12);
});
