//! Port `limited`. The job runs as a task of its own. A job that takes too long is stopped.
//!
//!     async def limited(job, seconds):
//!         task = asyncio.create_task(job)
//!         try:
//!             return await asyncio.wait_for(task, seconds)
//!         except TimeoutError:
//!             return None
//!
//! `pub async fn limited<J>(job: J, limit: Duration) -> Option<u32>` where
//! `J: Future<Output = u32> + Send + 'static`.

use super::prelude::*;

mod naive {
    use super::Duration;

    pub async fn limited<J>(job: J, limit: Duration) -> Option<u32>
    where
        J: Future<Output = u32> + Send + 'static,
    {
        let task = tokio::spawn(job);
        tokio::time::timeout(limit, task).await.ok()?.ok()
    }
}

mod right {
    use super::Duration;

    pub async fn limited<J>(job: J, limit: Duration) -> Option<u32>
    where
        J: Future<Output = u32> + Send + 'static,
    {
        let task = tokio::spawn(tokio::time::timeout(limit, job));
        task.await.ok()?.ok()
    }
}

judge!("timeout" refuses "the job runs on" {
    static DONE: AtomicBool = AtomicBool::new(false);
    let job = async |seconds| {
        sleep(Duration::from_secs(seconds)).await;
        DONE.store(true, Relaxed);
        5
    };
    assert_eq!(answer::limited(job(2), Duration::from_secs(1)).await, None);
    sleep(Duration::from_secs(5)).await;
    assert!(!DONE.load(Relaxed), "the job runs on");
    assert_eq!(answer::limited(job(2), Duration::from_secs(3)).await, Some(5));
});
