//! Port `fetch_all`: the calls run one after another, and one second is the limit for all of
//! them together. It returns nothing if that is exceeded.
//!
//!     async def fetch_all(calls):
//!         try:
//!             async with asyncio.timeout(1):
//!                 return [await call for call in calls]
//!         except TimeoutError:
//!             return None
//!
//! `pub async fn fetch_all<F: Future>(calls: Vec<F>) -> Option<Vec<F::Output>>`

use super::prelude::*;

mod naive {
    use tokio::time::timeout;

    use super::Duration;

    pub async fn fetch_all<F: Future>(calls: Vec<F>) -> Option<Vec<F::Output>> {
        let mut pages = Vec::new();
        for call in calls {
            pages.push(timeout(Duration::from_secs(1), call).await.ok()?);
        }
        Some(pages)
    }
}

mod right {
    use tokio::time::{Instant, timeout_at};

    use super::Duration;

    pub async fn fetch_all<F: Future>(calls: Vec<F>) -> Option<Vec<F::Output>> {
        let deadline = Instant::now() + Duration::from_secs(1);
        let mut pages = Vec::new();
        for call in calls {
            pages.push(timeout_at(deadline, call).await.ok()?);
        }
        Some(pages)
    }
}

judge!("deadline" refuses "each call has a limit of its own" {
    let call = async |millis: u64| {
        sleep(Duration::from_millis(millis)).await;
        millis
    };
    let pages = answer::fetch_all(Vec::from([400, 500].map(call))).await;
    assert_eq!(pages, Some(vec![400, 500]));
    let start = Instant::now();
    let pages = answer::fetch_all(Vec::from([400, 500, 600].map(call))).await;
    assert_eq!(pages, None, "each call has a limit of its own");
    assert_eq!(start.elapsed().as_millis(), 1000);
});
