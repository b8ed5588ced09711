//! Port `compute`. The job blocks its thread, so it must not run on one of the event loop's.
//!
//!     async def compute(job):
//!         return await asyncio.to_thread(job)
//!
//! `pub async fn compute<T: Send + 'static>(job: impl FnOnce() -> T + Send + 'static) -> T`

use super::prelude::*;

mod naive {
    pub async fn compute<T: Send + 'static>(
        job: impl FnOnce() -> T + Send + 'static,
    ) -> T {
        tokio::spawn(async { job() }).await.expect("no panic")
    }
}

mod right {
    pub async fn compute<T: Send + 'static>(
        job: impl FnOnce() -> T + Send + 'static,
    ) -> T {
        tokio::task::spawn_blocking(job).await.expect("no panic")
    }
}

judge!("blocking" refuses "the event loop is blocked" {
    let job = || (thread::current().id(), 7);
    let (thread, result) = answer::compute(job).await;
    assert_eq!(result, 7);
    assert_ne!(thread, thread::current().id(), "the event loop is blocked");
});
