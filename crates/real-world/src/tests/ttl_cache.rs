use std::future::pending;
use std::hash::{Hash, Hasher};
use std::panic::catch_unwind;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use futures::future::join_all;
use tokio::runtime::Builder;
use tokio::task::{JoinSet, yield_now};
use tokio::time::{Instant, advance, sleep, timeout};

use super::support::{assert_linear, poll_and_drop, tasks};
use crate::ttl_cache::{LoadError, TtlCache};

const HOUR: Duration = Duration::from_secs(3600);
const TICK: Duration = Duration::from_millis(1);

type Cache = TtlCache<u32, usize, u32>;

/// A load of five ticks, which counts how often it has begun.
async fn load(begun: Arc<AtomicUsize>) -> Result<usize, u32> {
    let number = begun.fetch_add(1, SeqCst) + 1;
    sleep(5 * TICK).await;
    Ok(number)
}

/// A key of which a test can count the copies.
#[derive(Clone)]
struct Key {
    number: u32,
    _counted: Arc<()>,
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        self.number == other.number
    }
}

impl Eq for Key {}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.number.hash(state);
    }
}

#[tokio::test(start_paused = true)]
async fn dropped_at_each_await() {
    for (leaders, followers) in [(1, 0), (1, 3), (0, 1), (0, 3)] {
        let mut completed = false;
        for polls in 1..20 {
            let cache = Cache::new(1, HOUR);
            let begun = Arc::default();
            let ask = || cache.get_or_load(1, load(Arc::clone(&begun)));
            let stays = async {
                sleep(TICK * leaders).await;
                join_all((0..followers).map(|_| ask())).await
            };
            let leaves = async {
                sleep(TICK * (1 - leaders)).await;
                poll_and_drop(ask(), polls).await
            };
            let both = async { tokio::join!(stays, leaves) };
            let (stayed, left) = timeout(HOUR, both).await.expect("nobody hangs");
            assert_eq!(stayed, vec![Ok(1); followers]);
            completed |= left.is_some();
            assert_eq!(left.unwrap_or(Ok(1)), Ok(1));

            sleep(10 * TICK).await;
            assert_eq!(cache.get(&1), Some(1), "it is kept, whoever left");
            assert_eq!(begun.load(SeqCst), 1, "one load for all");
            assert_eq!(tasks(), 0);
            cache.insert(2, 2);
            assert_eq!(cache.get(&1), None, "it was evicted");
            let again = timeout(HOUR, cache.get_or_load(1, async { Ok(7) }));
            assert_eq!(again.await, Ok(Ok(7)), "its key is free");
        }
        assert!(completed, "20 polls are enough");
    }
}

#[tokio::test]
async fn not_polled_it_does_nothing() {
    let cache = Cache::new(1, HOUR);
    drop(cache.get_or_load(1, async { Ok(1) }));
    let loaded = timeout(HOUR, cache.get_or_load(1, async { Ok(2) }));
    assert_eq!(loaded.await, Ok(Ok(2)), "no load has begun");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn ten_thousand_at_once() {
    const KEYS: usize = 7;
    let ttl = Duration::from_millis(3);
    // As many as there are keys: it evicts no load that runs.
    let cache: TtlCache<usize, (usize, usize), usize> = TtlCache::new(KEYS, ttl);
    let running: Arc<[AtomicUsize; KEYS]> = Arc::default();
    let loads = Arc::new(AtomicUsize::new(0));
    let mut set = JoinSet::new();
    for number in 0..10_000 {
        let key = number % KEYS;
        let (running, loads) = (Arc::clone(&running), Arc::clone(&loads));
        let load = async move {
            loads.fetch_add(1, SeqCst);
            let others = running[key].fetch_add(1, SeqCst);
            sleep(Duration::from_micros(number as u64 % 300)).await;
            running[key].fetch_sub(1, SeqCst);
            match key {
                0 => Err(others),
                _ => Ok((key, others)),
            }
        };
        let cache = cache.clone();
        let task = set.spawn(async move {
            let result = cache.get_or_load(key, load);
            let result = match number % 3 {
                // Gives up early, often as the one who began it.
                0 => timeout(Duration::from_micros(50), result).await.ok(),
                _ => Some(result.await),
            };
            (key, result)
        });
        if number % 10 == 9 {
            task.abort();
        }
        if number % 100 == 0 {
            yield_now().await;
        }
    }
    let (mut results, mut gave_up, mut aborted) = (0, 0, 0);
    let all = async {
        while let Some(outcome) = set.join_next().await {
            match outcome {
                Ok((0, Some(result))) => {
                    assert_eq!(result, Err(LoadError::Failed(0)));
                    results += 1;
                }
                Ok((key, Some(result))) => {
                    assert_eq!(result, Ok((key, 0)), "its own, one at a time");
                    results += 1;
                }
                Ok((_, None)) => gave_up += 1,
                Err(error) if error.is_cancelled() => aborted += 1,
                Err(error) => panic!("{error}"),
            }
        }
    };
    timeout(HOUR / 60, all).await.expect("nobody hangs");
    assert_eq!(results + gave_up + aborted, 10_000);
    assert!(results > 0 && loads.load(SeqCst) < 10_000);
    // The last loads may still run, and the last entries have to expire.
    let idle = async {
        while tasks() > 0 {
            sleep(TICK).await;
        }
        sleep(2 * ttl).await;
    };
    timeout(HOUR / 60, idle).await.expect("the loads end");
    for key in 0..KEYS {
        let again = timeout(
            HOUR / 60,
            cache.get_or_load(key, async move { Ok((key, 9)) }),
        );
        assert_eq!(again.await, Ok(Ok((key, 9))), "its key is free");
    }
}

#[tokio::test(start_paused = true)]
async fn limits() {
    assert!(catch_unwind(|| Cache::new(0, HOUR)).is_err(), "no room");

    let nothing = Cache::new(1, Duration::ZERO);
    nothing.insert(1, 1);
    assert_eq!(nothing.get_or_load(2, async { Ok(2) }).await, Ok(2));
    assert_eq!((nothing.get(&1), nothing.get(&2)), (None, None));

    let one = Cache::new(1, Duration::MAX);
    one.insert(1, 1);
    one.insert(1, 2);
    assert_eq!(one.get(&1), Some(2));
    one.insert(2, 3);
    assert_eq!((one.get(&1), one.get(&2)), (None, Some(3)));
    one.remove(&2);
    assert_eq!(one.get(&2), None);
}

#[tokio::test(start_paused = true)]
async fn with_a_ttl_of_zero_concurrent_callers_share_a_load() {
    let cache = Cache::new(1, Duration::ZERO);
    let begun = Arc::new(AtomicUsize::new(0));
    for round in 1..=2 {
        let asks = (0..10).map(|_| cache.get_or_load(1, load(Arc::clone(&begun))));
        assert_eq!(join_all(asks).await, vec![Ok(round); 10]);
        assert_eq!(begun.load(SeqCst), round, "and later ones do not");
    }
}

#[tokio::test(start_paused = true)]
async fn as_a_plain_list_would() {
    const TTL: u64 = 20;
    let cache: TtlCache<Key, usize, ()> = TtlCache::new(5, TTL as u32 * TICK);
    let copies = Arc::new(());
    // Key, value and expiry, from the key not used for longest to the last used.
    let mut list: Vec<(u32, usize, Instant)> = Vec::new();
    let mut random = 1_u32;
    let counted = |number| Key {
        number,
        _counted: Arc::clone(&copies),
    };
    for number in 0..20_000 {
        random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let (key, choice) = ((random >> 24) % 8, (random >> 16) % 8);
        if choice == 1 {
            advance((random >> 20) % 8 * TICK).await;
            continue;
        }
        let now = Instant::now();
        let at = list.iter().position(|entry| entry.0 == key);
        let kept = at.map(|at| list.remove(at));
        match choice {
            0 => cache.remove(&counted(key)),
            2 | 3 => {
                cache.insert(counted(key), number);
                if list.len() == 5 {
                    list.remove(0);
                }
                list.push((key, number, now + Duration::from_millis(TTL)));
            }
            _ => {
                // An expired one that is asked for goes.
                let fresh = kept.filter(|(_, _, expiry)| *expiry > now);
                assert_eq!(cache.get(&counted(key)), fresh.map(|entry| entry.1));
                list.extend(fresh);
            }
        }
        let kept = Arc::strong_count(&copies) - 1;
        assert_eq!(kept, list.len(), "one key for each entry");
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_changed_is_not_overwritten_by_an_older_load() {
    for insert in [false, true] {
        let cache = Cache::new(2, HOUR);
        let begun = Arc::default();
        let ask = || cache.get_or_load(1, load(Arc::clone(&begun)));
        let change = async {
            sleep(TICK).await;
            if insert {
                cache.insert(1, 10);
            } else {
                cache.remove(&1);
            }
            // The next begins its own load next to the first, or has no need to.
            sleep(TICK).await;
            ask().await
        };
        let expected = if insert { Ok(10) } else { Ok(2) };
        assert_eq!(tokio::join!(ask(), change), (Ok(1), expected));
        assert_eq!(cache.get(&1), Some(if insert { 10 } else { 2 }));
        sleep(10 * TICK).await;
        assert_eq!(tasks(), 0);
        assert_eq!(cache.get(&1), Some(if insert { 10 } else { 2 }));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn who_hears_of_a_failure_and_asks_again_begins_a_new_load() {
    let cache = Cache::new(1, HOUR);
    let mut set = JoinSet::new();
    for _ in 0..4 {
        let cache = cache.clone();
        set.spawn(async move {
            for _ in 0..3000 {
                let result = cache.get_or_load(1, async { Err(7) }).await;
                assert_eq!(result, Err(LoadError::Failed(7)));
            }
        });
    }
    let all = timeout(HOUR / 60, set.join_all());
    all.await.expect("nobody hangs");
}

#[tokio::test(start_paused = true)]
async fn panics_wedge_nothing() {
    /// Panics at the clone with this number.
    struct Fragile(AtomicU32);
    impl Clone for Fragile {
        fn clone(&self) -> Self {
            let left = self.0.fetch_sub(1, SeqCst) - 1;
            assert_ne!(left, 0, "scheduled");
            Self(left.into())
        }
    }
    let cache: TtlCache<u32, Fragile, ()> = TtlCache::new(1, HOUR);
    let asks = (0..4).map(|_| cache.get_or_load(1, async { panic!("scheduled") }));
    for result in timeout(HOUR, join_all(asks)).await.expect("nobody hangs") {
        assert!(matches!(result, Err(LoadError::NoResult)));
    }
    let load = async { Ok(Fragile(9.into())) };
    assert!(
        timeout(HOUR, cache.get_or_load(1, load))
            .await
            .is_ok_and(|r| r.is_ok())
    );
    cache.insert(1, Fragile(1.into()));
    let other = cache.clone();
    let got = tokio::spawn(async move { other.get(&1).is_some() }).await;
    assert!(got.is_err_and(|error| error.is_panic()));

    let load = async { Ok(Fragile(9.into())) };
    cache.remove(&1);
    assert!(
        timeout(HOUR, cache.get_or_load(1, load))
            .await
            .is_ok_and(|r| r.is_ok())
    );
    assert!(cache.get(&1).is_some());
}

#[tokio::test(start_paused = true)]
async fn no_more_values_are_in_memory_than_fit() {
    let value = Arc::new(());
    let cache: TtlCache<u32, Arc<()>, ()> = TtlCache::new(3, 10 * TICK);
    for key in 0..9 {
        let held = Arc::clone(&value);
        assert!(cache.get_or_load(key, async { Ok(held) }).await.is_ok());
        cache.insert(100 + key, Arc::clone(&value));
        sleep(4 * TICK).await;
    }
    assert_eq!(Arc::strong_count(&value), 1 + 3, "expired ones count too");
    assert_eq!(cache.get(&8), Some(Arc::clone(&value)));
    drop(cache);
    assert_eq!(Arc::strong_count(&value), 1, "with the cache, at once");
}

#[tokio::test(start_paused = true)]
async fn a_failure_takes_no_room() {
    let cache = Cache::new(2, HOUR);
    cache.insert(1, 1);
    for key in 2..9 {
        let failed = cache.get_or_load(key, async { Err(7) }).await;
        assert_eq!(failed, Err(LoadError::Failed(7)));
    }
    assert_eq!(cache.get(&1), Some(1), "no failure evicts it for good");
}

#[tokio::test(start_paused = true)]
async fn a_load_outlives_the_cache() {
    let cache: TtlCache<u32, Arc<()>, ()> = TtlCache::new(1, HOUR);
    let (begun, entry) = (Arc::new(()), Arc::new(()));
    let held = Arc::clone(&begun);
    let asked = cache.get_or_load(1, async move {
        sleep(5 * TICK).await;
        Ok(held)
    });
    assert!(timeout(TICK, asked).await.is_err());
    cache.insert(2, Arc::clone(&entry));
    drop(cache);
    assert_eq!(Arc::strong_count(&entry), 1, "but not the entries");
    sleep(TICK).await;
    assert_eq!((Arc::strong_count(&begun), tasks()), (2, 1));
    sleep(10 * TICK).await;
    assert_eq!(tasks(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_value_may_use_the_cache_when_it_is_dropped() {
    #[derive(Clone)]
    struct Nosy(Arc<OnceLock<TtlCache<u32, Nosy, ()>>>);
    impl Drop for Nosy {
        fn drop(&mut self) {
            self.0.get().map(|cache| cache.get(&9).is_some());
        }
    }
    let nosy = Nosy(Arc::default());
    let cache = TtlCache::new(1, 10 * TICK);
    assert!(nosy.0.set(cache.clone()).is_ok());
    let (report, reported) = std::sync::mpsc::channel();
    // In a separate thread, as a deadlock would block it.
    std::thread::spawn(move || {
        let mut builder = Builder::new_current_thread();
        let runtime = builder.enable_all().start_paused(true).build();
        runtime.expect("a runtime").block_on(async {
            for key in [1, 1, 2, 3] {
                cache.insert(key, nosy.clone());
            }
            cache.remove(&3);
            cache.insert(4, nosy.clone());
            let unused = nosy.clone();
            let _ = cache.get_or_load(4, async { Ok(unused) }).await;
            sleep(30 * TICK).await;
        });
        report.send(cache.get(&9).is_some())
    });
    assert_eq!(reported.recv_timeout(HOUR / 360), Ok(false));
}

#[test]
fn it_may_outlive_its_runtime() {
    let runtime = || {
        let mut builder = Builder::new_current_thread();
        let built = builder.enable_all().start_paused(true).build();
        built.expect("a runtime")
    };
    let cache = Cache::new(3, 10 * TICK);
    cache.insert(1, 1);
    runtime().block_on(async {
        assert_eq!(cache.get(&1), Some(1));
        let load = cache.get_or_load(2, pending());
        assert!(timeout(TICK, load).await.is_err());
    });
    runtime().block_on(async {
        let load = timeout(HOUR, cache.get_or_load(2, async { Ok(2) }));
        assert_eq!(load.await, Ok(Ok(2)), "its key was freed");
        sleep(20 * TICK).await;
        assert_eq!(cache.get(&2), None);
    });
}

#[tokio::test]
async fn in_a_struct_in_a_task_with_an_error_that_is_not_clone() {
    struct Service {
        cache: TtlCache<String, u8, Arc<std::io::Error>>,
    }
    let cache = TtlCache::new(1, HOUR);
    let service = Arc::new(Service { cache });
    let tasks = (0..4).map(|number| {
        let service = Arc::clone(&service);
        tokio::spawn(async move {
            let key = format!("key {}", number % 2);
            let load = async move {
                yield_now().await;
                match number % 2 {
                    0 => Ok(7),
                    _ => Err(Arc::new(std::io::Error::other("scheduled"))),
                }
            };
            service.cache.get_or_load(key, load).await
        })
    });
    for (number, task) in tasks.collect::<Vec<_>>().into_iter().enumerate() {
        let result = timeout(HOUR / 360, task).await.expect("it ends");
        let value = result.expect("it is Send");
        match number % 2 {
            0 => assert!(matches!(value, Ok(7))),
            _ => assert!(value.is_err_and(|error| error.to_string() == "scheduled")),
        }
    }
}

#[test]
fn ten_times_as_many_entries_cost_ten_times_as_much() {
    assert_linear(async |number| {
        let cache = Cache::new(number as usize, 10 * TICK);
        // Each of the second half takes the place of one of the first.
        for key in 0..2 * number {
            cache.insert(key, 0);
        }
        // In another order than that of the last use.
        for key in 0..number {
            let key = number + key * 7919 % number;
            assert_eq!(cache.get(&key), Some(0));
        }
    });
}

/// In an outage, clients time out before the load fails.
#[tokio::test(start_paused = true)]
async fn errors_whose_callers_have_gone_evict_nothing() {
    let cache = Cache::new(100, HOUR);
    for key in 0..50 {
        cache.insert(key, 1);
    }
    for key in 1_000..2_000 {
        let fails = async {
            sleep(10 * TICK).await;
            Err(7)
        };
        assert!(timeout(TICK, cache.get_or_load(key, fails)).await.is_err());
    }
    sleep(HOUR / 2).await;
    assert_eq!(tasks(), 0);
    assert_eq!((0..50).filter(|key| cache.get(key).is_some()).count(), 50);
    // Neither does a load that panics.
    let panics = async {
        sleep(10 * TICK).await;
        panic!("scheduled")
    };
    assert!(
        timeout(TICK, cache.get_or_load(3_000, panics))
            .await
            .is_err()
    );
    sleep(HOUR / 4).await;
    assert_eq!((0..50).filter(|key| cache.get(key).is_some()).count(), 50);
    assert_eq!(cache.get_or_load(3_000, async { Ok(3) }).await, Ok(3));
}

#[tokio::test(start_paused = true)]
async fn moka_one_load_per_key_even_if_more_keys_load_than_fit() {
    let cache = Cache::new(2, HOUR);
    let begun: [Arc<AtomicUsize>; 3] = Default::default();
    let asks = (0..30).map(|number| {
        let key = number % 3;
        cache.get_or_load(key as u32, load(Arc::clone(&begun[key])))
    });
    assert!(join_all(asks).await.iter().all(|value| *value == Ok(1)));
    assert_eq!(begun.map(|begun| begun.load(SeqCst)), [1, 1, 1]);
}

#[tokio::test(start_paused = true)]
async fn cachetools_only_a_kept_value_evicts() {
    let cache = Cache::new(2, HOUR);
    cache.insert(1, 1);
    cache.insert(2, 2);
    assert!(cache.get_or_load(3, async { Err(404) }).await.is_err());
    assert_eq!((cache.get(&1), cache.get(&2)), (Some(1), Some(2)));
    assert_eq!(cache.get_or_load(3, async { Ok(3) }).await, Ok(3));
    assert_eq!((cache.get(&1), cache.get(&2)), (None, Some(2)));
}

#[tokio::test(start_paused = true)]
async fn cachetools_an_expired_value_is_freed_when_it_is_asked_for() {
    let value = Arc::new(());
    let cache: TtlCache<u32, Arc<()>, ()> = TtlCache::new(3, 10 * TICK);
    cache.insert(1, Arc::clone(&value));
    cache.insert(2, Arc::clone(&value));
    sleep(10 * TICK).await;
    assert!(cache.get(&1).is_none());
    assert_eq!(
        Arc::strong_count(&value),
        2,
        "the other one was not asked for"
    );
    assert!(cache.get_or_load(2, async { Err(()) }).await.is_err());
    assert_eq!(Arc::strong_count(&value), 1);
}

#[tokio::test(start_paused = true)]
async fn cachetools_an_expired_value_is_evicted_in_its_turn_differs() {
    // cachetools drops expired values first; the page says that this one does not.
    let cache = Cache::new(2, 10 * TICK);
    cache.insert(1, 1);
    sleep(6 * TICK).await;
    cache.insert(2, 2);
    assert_eq!(cache.get(&1), Some(1));
    sleep(5 * TICK).await;
    cache.insert(3, 3);
    assert_eq!((cache.get(&2), cache.get(&3)), (None, Some(3)));
}

#[tokio::test(start_paused = true)]
async fn cachetools_an_overwritten_value_gets_a_new_ttl() {
    let cache = Cache::new(2, 10 * TICK);
    cache.insert(1, 1);
    sleep(6 * TICK).await;
    cache.insert(1, 2);
    sleep(6 * TICK).await;
    assert_eq!(cache.get(&1), Some(2));
    sleep(4 * TICK).await;
    assert_eq!(cache.get(&1), None);
}

#[tokio::test(start_paused = true)]
async fn cachetools_a_read_does_not_prolong_a_value() {
    let cache = Cache::new(2, 10 * TICK);
    cache.insert(1, 1);
    for _ in 0..9 {
        sleep(TICK).await;
        assert_eq!(cache.get(&1), Some(1));
    }
    sleep(TICK).await;
    assert_eq!(cache.get(&1), None);
}

#[tokio::test(start_paused = true)]
async fn aiocache_clear_removes_all_and_what_loads_is_not_kept() {
    let cache = Cache::new(5, HOUR);
    for key in 0..5 {
        cache.insert(key, 1);
    }
    let begun = Arc::default();
    let clear = async {
        sleep(TICK).await;
        cache.clear();
    };
    let ask = cache.get_or_load(9, load(Arc::clone(&begun)));
    assert_eq!(tokio::join!(ask, clear), (Ok(1), ()));
    assert!((0..10).all(|key| cache.get(&key).is_none()));
    assert_eq!(cache.get_or_load(9, load(begun)).await, Ok(2));
}

#[tokio::test(start_paused = true)]
async fn async_lru_concurrent_callers_share_a_load_and_its_error() {
    let cache = Cache::new(2, HOUR);
    let begun = Arc::new(AtomicUsize::new(0));
    let asks = (0..10).map(|_| {
        let begun = Arc::clone(&begun);
        cache.get_or_load(1, async move {
            begun.fetch_add(1, SeqCst);
            sleep(TICK).await;
            Err(7)
        })
    });
    let failed = Err(LoadError::Failed(7));
    assert!(join_all(asks).await.iter().all(|it| *it == failed));
    assert_eq!(begun.load(SeqCst), 1);
    assert_eq!(
        cache.get_or_load(1, async { Ok(1) }).await,
        Ok(1),
        "not kept"
    );
}

#[tokio::test(start_paused = true)]
async fn async_lru_a_cancelled_caller_cancels_no_other() {
    let cache = Cache::new(2, HOUR);
    let begun = Arc::default();
    let first = timeout(TICK, cache.get_or_load(1, load(Arc::clone(&begun))));
    let second = cache.get_or_load(1, load(Arc::clone(&begun)));
    let (first, second) = tokio::join!(first, second);
    assert!(first.is_err());
    assert_eq!((second, begun.load(SeqCst)), (Ok(1), 1));
}

#[tokio::test(start_paused = true)]
async fn async_lru_the_ttl_counts_from_the_end_of_the_load() {
    let cache = Cache::new(2, 10 * TICK);
    let begun = Arc::default();
    assert_eq!(cache.get_or_load(1, load(begun)).await, Ok(1));
    sleep(9 * TICK).await;
    assert_eq!(cache.get(&1), Some(1));
    sleep(TICK).await;
    assert_eq!(cache.get(&1), None);
}

#[tokio::test(start_paused = true)]
async fn moka_a_panicked_load_does_not_wedge_its_key_differs() {
    // moka lets a waiter load; here all waiters get an error, and the next caller loads.
    let cache = Cache::new(2, HOUR);
    let panics = cache.get_or_load(1, async {
        sleep(TICK).await;
        panic!("scheduled")
    });
    let waits = cache.get_or_load(1, async { Ok(1) });
    let (first, second) = tokio::join!(panics, waits);
    assert_eq!(
        (first, second),
        (Err(LoadError::NoResult), Err(LoadError::NoResult))
    );
    assert_eq!(cache.get_or_load(1, async { Ok(2) }).await, Ok(2));
}

#[tokio::test(start_paused = true)]
async fn moka_different_keys_load_concurrently() {
    let cache = Cache::new(10, HOUR);
    let start = Instant::now();
    let asks = (0..10).map(|key| cache.get_or_load(key, load(Arc::default())));
    join_all(asks).await;
    assert_eq!(start.elapsed(), 5 * TICK);
}

#[tokio::test(start_paused = true)]
async fn moka_a_value_that_is_read_is_not_the_next_to_go() {
    let cache = Cache::new(3, HOUR);
    for key in 1..=3 {
        cache.insert(key, 0);
    }
    cache.get(&1);
    cache.insert(4, 0);
    let kept: Vec<_> = (1..=4).filter(|key| cache.get(key).is_some()).collect();
    assert_eq!(kept, [1, 3, 4]);
}
