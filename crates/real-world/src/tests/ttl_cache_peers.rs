//! Further cases after the tests of async-lru, cachetools, moka and aiocache.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::time::Duration;

use futures::FutureExt;
use futures::future::join_all;
use tokio::time::sleep;

use crate::ttl_cache::{LoadError, TtlCache};

const SECOND: Duration = Duration::from_secs(1);

type Cache = TtlCache<u32, u32, &'static str>;

fn cache(capacity: usize) -> (Cache, Arc<AtomicU32>) {
    (Cache::new(capacity, 60 * SECOND), Arc::default())
}

/// Gets the value of the key, which is the number of the load if it is not kept.
async fn get(cache: &Cache, loads: &Arc<AtomicU32>, key: u32) -> u32 {
    let loads = Arc::clone(loads);
    let load = async move {
        sleep(SECOND).await;
        Ok(loads.fetch_add(1, SeqCst) + 1)
    };
    cache.get_or_load(key, load).await.expect("it loads")
}

#[tokio::test(start_paused = true)]
async fn async_lru_a_second_call_finds_the_value() {
    let (cache, loads) = cache(2);
    assert_eq!(get(&cache, &loads, 1).await, 1);
    assert_eq!(get(&cache, &loads, 1).now_or_never(), Some(1));
    assert_eq!(get(&cache, &loads, 2).await, 2);
}

#[tokio::test(start_paused = true)]
async fn async_lru_an_error_is_not_kept() {
    let (cache, loads) = cache(2);
    let failed = cache.get_or_load(1, async { Err("down") }).await;
    assert_eq!(failed, Err(LoadError::Failed("down")));
    assert_eq!(get(&cache, &loads, 1).await, 1);
}

#[tokio::test(start_paused = true)]
async fn cachetools_a_value_expires_at_its_time() {
    let (cache, loads) = cache(2);
    get(&cache, &loads, 1).await;
    sleep(59 * SECOND).await;
    assert_eq!(cache.get(&1), Some(1));
    sleep(SECOND).await;
    assert_eq!(cache.get(&1), None);
    assert_eq!(get(&cache, &loads, 1).await, 2);
}

#[tokio::test(start_paused = true)]
async fn moka_of_many_concurrent_callers_one_loads() {
    let (cache, loads) = cache(2);
    let values = join_all((0..100).map(|_| get(&cache, &loads, 1))).await;
    assert_eq!(values, [1; 100]);
}
