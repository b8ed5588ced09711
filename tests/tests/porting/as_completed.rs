//! Port `results`: it yields each result as soon as it is there.
//!
//!     async def results(jobs):
//!         for job in asyncio.as_completed(jobs):
//!             yield await job
//!
//! `pub fn results<F: Future>(jobs: Vec<F>) -> impl Stream<Item = F::Output>`

use super::prelude::*;

mod naive {
    use futures::{Stream, StreamExt, stream};

    pub fn results<F: Future>(jobs: Vec<F>) -> impl Stream<Item = F::Output> {
        let count = jobs.len();
        stream::iter(jobs).buffered(count.max(1))
    }
}

mod right {
    use futures::Stream;
    use futures::stream::FuturesUnordered;

    pub fn results<F: Future>(jobs: Vec<F>) -> impl Stream<Item = F::Output> {
        FuturesUnordered::from_iter(jobs)
    }
}

judge!("as_completed" refuses "a slow job holds the others up" {
    let job = async |seconds: u64| {
        sleep(Duration::from_secs(seconds)).await;
        seconds
    };
    let start = Instant::now();
    let mut results = pin!(answer::results(Vec::from([3, 1, 2].map(job))));
    while let Some(seconds) = results.next().await {
        let now = start.elapsed().as_secs();
        assert_eq!(now, seconds, "a slow job holds the others up");
    }
    assert_eq!(start.elapsed().as_secs(), 3);
    assert_eq!(pin!(answer::results(Vec::<std::future::Ready<u8>>::new())).next().await, None);
});
