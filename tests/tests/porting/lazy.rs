//! Port `both`: the first job runs while the caller awaits the second one.
//!
//!     async def both(first, second):
//!         task = asyncio.create_task(first)
//!         result = await second
//!         return await task, result
//!
//! `pub async fn both<A, B>(first: A, second: B) -> (u32, u32)` where `A` and `B` are
//! `Future<Output = u32> + Send + 'static`.

use super::prelude::*;

mod naive {
    pub async fn both<A, B>(first: A, second: B) -> (u32, u32)
    where
        A: Future<Output = u32> + Send + 'static,
        B: Future<Output = u32> + Send + 'static,
    {
        let task = first;
        let result = second.await;
        (task.await, result)
    }
}

mod right {
    pub async fn both<A, B>(first: A, second: B) -> (u32, u32)
    where
        A: Future<Output = u32> + Send + 'static,
        B: Future<Output = u32> + Send + 'static,
    {
        tokio::join!(first, second)
    }
}

judge!("lazy" refuses "one job waits for the other" {
    let job = async |seconds: u32| {
        sleep(Duration::from_secs(seconds.into())).await;
        seconds
    };
    let start = Instant::now();
    assert_eq!(answer::both(job(2), job(3)).await, (2, 3));
    assert_eq!(start.elapsed().as_secs(), 3, "one job waits for the other");
});
