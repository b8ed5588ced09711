//! Port `limited`. Many tasks call it, and at most two jobs run at the same time.
//!
//!     semaphore = asyncio.Semaphore(2)
//!
//!     async def limited(job):
//!         async with semaphore:
//!             return await job
//!
//! `pub async fn limited<T>(semaphore: &Semaphore, job: impl Future<Output = T>) -> T`. The
//! caller has made the semaphore with two permits, and never closes it.

use super::prelude::*;

mod naive {
    use super::Semaphore;

    pub async fn limited<T>(semaphore: &Semaphore, job: impl Future<Output = T>) -> T {
        let _ = semaphore.acquire().await.expect("it is never closed");
        job.await
    }
}

mod right {
    use super::Semaphore;

    pub async fn limited<T>(semaphore: &Semaphore, job: impl Future<Output = T>) -> T {
        let _permit = semaphore.acquire().await.expect("it is never closed");
        job.await
    }
}

judge!("permit" refuses "too many jobs at once" {
    let (semaphore, running) = (Semaphore::new(2), AtomicU32::new(0));
    let job = async |number: u32| {
        let before = running.fetch_add(1, Relaxed);
        assert!(before < 2, "too many jobs at once");
        sleep(Duration::from_secs(1)).await;
        running.fetch_sub(1, Relaxed);
        number
    };
    let start = Instant::now();
    let jobs = (0..6).map(|number| answer::limited(&semaphore, job(number)));
    assert_eq!(join_all(jobs).await, [0, 1, 2, 3, 4, 5]);
    assert_eq!(start.elapsed().as_secs(), 3);
});
