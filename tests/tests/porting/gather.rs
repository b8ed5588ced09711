//! Port `fetch_all`. At the first error the caller goes on at once, and so do the other
//! fetches, in the background.
//!
//!     async def fetch_all(fetches):
//!         return await asyncio.gather(*fetches)
//!
//! `pub async fn gather<F, T, E>(futures: impl IntoIterator<Item = F>) -> Result<Vec<T>, E>`
//! where `F: Future<Output = Result<T, E>> + Send + 'static`, `T: Send + 'static` and
//! `E: From<JoinError> + Send + 'static`.

use super::prelude::*;

mod naive {
    use futures::future::try_join_all;

    pub async fn gather<F, T, E>(
        futures: impl IntoIterator<Item = F>,
    ) -> Result<Vec<T>, E>
    where
        F: Future<Output = Result<T, E>>,
    {
        try_join_all(futures).await
    }
}

#[allow(dead_code, reason = "the example's demonstration")]
#[path = "../../../crates/concurrency/src/gather.rs"]
mod right;

judge!("gather" refuses "the other fetches did not run on" {
    static FETCHED: AtomicUsize = AtomicUsize::new(0);
    let fetch = async |id: u64| {
        sleep(Duration::from_secs(id)).await;
        if id == 1 {
            return Err("no page 1".into());
        }
        FETCHED.fetch_add(1, Relaxed);
        Ok::<u64, Box<dyn Error + Send + Sync>>(id)
    };
    let start = Instant::now();
    let error = answer::gather([3, 1, 2].map(fetch)).await.expect_err("an error");
    assert_eq!((error.to_string().as_str(), start.elapsed().as_secs()), ("no page 1", 1));
    sleep(Duration::from_secs(3)).await;
    assert_eq!(FETCHED.load(Relaxed), 2, "the other fetches did not run on");
    let pages = answer::gather([3, 2].map(fetch)).await.expect("two pages");
    assert_eq!((pages, start.elapsed().as_secs()), (vec![3, 2], 7));
});
