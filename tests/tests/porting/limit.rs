//! Port `map_limited`: at most three calls run at the same time, and the results are in the
//! order of the list.
//!
//!     async def map_limited(f, items):
//!         semaphore = asyncio.Semaphore(3)
//!
//!         async def one(item):
//!             async with semaphore:
//!                 return await f(item)
//!
//!         return await asyncio.gather(*(one(item) for item in items))
//!
//! `pub async fn map_limited(f: impl AsyncFn(u32) -> u32, items: Vec<u32>) -> Vec<u32>`

use super::prelude::*;

mod naive {
    use futures::future::join_all;

    pub async fn map_limited(f: impl AsyncFn(u32) -> u32, items: Vec<u32>) -> Vec<u32> {
        let mut results = Vec::new();
        for chunk in items.chunks(3) {
            results.extend(join_all(chunk.iter().map(|item| f(*item))).await);
        }
        results
    }
}

mod right {
    use futures::future::join_all;
    use tokio::sync::Semaphore;

    pub async fn map_limited(f: impl AsyncFn(u32) -> u32, items: Vec<u32>) -> Vec<u32> {
        let (semaphore, f) = (&Semaphore::new(3), &f);
        let one = async |item| {
            let _permit = semaphore.acquire().await.expect("it is never closed");
            f(item).await
        };
        join_all(items.into_iter().map(one)).await
    }
}

judge!("limit" refuses "a slow call holds up the next ones" {
    let running = AtomicU32::new(0);
    let call = async |seconds: u32| {
        assert!(running.fetch_add(1, Relaxed) < 3, "too many at once");
        sleep(Duration::from_secs(seconds.into())).await;
        running.fetch_sub(1, Relaxed);
        seconds * 10
    };
    let start = Instant::now();
    let results = answer::map_limited(call, vec![4, 1, 1, 1, 1, 1, 1]).await;
    assert_eq!(results, [40, 10, 10, 10, 10, 10, 10]);
    assert_eq!(start.elapsed().as_secs(), 4, "a slow call holds up the next ones");
});
