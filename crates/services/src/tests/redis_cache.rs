use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::time::Duration;

use redis::AsyncCommands;
use servers::Kind;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use super::support::{poll_and_drop, private, redis, soon, unique};
use crate::redis_cache::{LoadError, RedisCache};
use crate::redis_reconnect::Redis;

const LONG: Duration = Duration::from_secs(60);
const SHORT: Duration = Duration::from_millis(50);

async fn cache(url: &str, prefix: &str) -> RedisCache<Redis> {
    let limit = Duration::from_secs(20);
    RedisCache {
        redis: Redis::connect(url, limit).await.expect("it connects"),
        prefix: prefix.to_owned(),
        ttl: LONG,
        jitter: Duration::ZERO,
        load_limit: LONG,
        poll: Duration::from_millis(5),
        limit,
    }
}

/// Counts loads.
#[derive(Clone, Default)]
struct Loads(Arc<AtomicU32>);

impl Loads {
    async fn load(self, takes: Duration) -> Result<String, Infallible> {
        let number = self.0.fetch_add(1, SeqCst) + 1;
        sleep(takes).await;
        Ok(format!("value {number}"))
    }

    fn count(&self) -> u32 {
        self.0.load(SeqCst)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
#[cfg_attr(no_redis, ignore = "redis-server is not installed")]
async fn all_connections_share_one_load() {
    let url = redis().await;
    for callers in [1, 31, 129] {
        let (prefix, loads) = (unique("cache"), Loads::default());
        let mut set = JoinSet::new();
        for _ in 0..4 {
            let cache = cache(&url, &prefix).await;
            for _ in 0..callers {
                let (cache, load) = (cache.clone(), loads.clone().load(SHORT));
                set.spawn(async move { cache.get_or_load("key", load).await });
            }
        }
        for value in soon(set.join_all()).await {
            assert_eq!(value.as_deref(), Ok("value 1"));
        }
        assert_eq!(loads.count(), 1);
    }
}

#[tokio::test]
#[cfg_attr(no_redis, ignore = "redis-server is not installed")]
async fn a_load_survives_its_caller() {
    let url = redis().await;
    for polls in 0..40 {
        let (cache, loads) = (cache(&url, &unique("cache")).await, Loads::default());
        let first = cache.get_or_load("key", loads.clone().load(SHORT));
        drop(poll_and_drop(first, polls).await);
        // A call that was dropped before its answer has left a mark.
        let mut redis = cache.redis.clone();
        let key = format!("{}key", cache.prefix);
        if loads.count() == 0 {
            redis.del::<_, ()>(&key).await.expect("it answers");
        }
        let second = cache.get_or_load("key", loads.clone().load(SHORT));
        assert_eq!(soon(second).await.as_deref(), Ok("value 1"));
        assert_eq!(loads.count(), 1, "{polls} polls");
    }
}

#[tokio::test]
#[cfg_attr(no_redis, ignore = "redis-server is not installed")]
async fn the_mark_of_a_dead_process_expires() {
    let url = redis().await;
    let mut cache = cache(&url, &unique("cache")).await;
    cache.load_limit = Duration::from_millis(300);
    let loads = Loads::default();
    // A runtime that ends takes its loads along.
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let (prefix, dead) = (cache.prefix.clone(), loads.clone());
    let started = runtime.spawn(async move {
        let mut cache = self::cache(&url, &prefix).await;
        cache.load_limit = Duration::from_millis(300);
        cache.get_or_load("key", dead.load(LONG)).await
    });
    let begun = async {
        while loads.count() == 0 {
            sleep(Duration::from_millis(1)).await;
        }
    };
    soon(begun).await;
    runtime.shutdown_background();
    drop(started);
    let value = async {
        loop {
            let load = loads.clone().load(Duration::ZERO);
            match cache.get_or_load("key", load).await {
                Err(LoadError::TimedOut) => {}
                other => return other,
            }
        }
    };
    assert_eq!(soon(value).await.as_deref(), Ok("value 2"));
}

#[tokio::test]
#[cfg_attr(no_redis, ignore = "redis-server is not installed")]
async fn a_load_that_began_before_a_change_stores_nothing() {
    let url = redis().await;
    let (cache, loads) = (cache(&url, &unique("cache")).await, Loads::default());
    let old = cache.get_or_load("key", loads.clone().load(4 * SHORT));
    let changes = async {
        while loads.count() == 0 {
            sleep(Duration::from_millis(1)).await;
        }
        cache.remove("key").await.expect("it answers");
        // A second load begins while the first one runs.
        cache.get_or_load("key", loads.clone().load(SHORT)).await
    };
    let (old, new) = soon(async { tokio::join!(old, changes) }).await;
    assert_eq!(
        (old.as_deref(), new.as_deref()),
        (Ok("value 1"), Ok("value 2"))
    );
    let kept = cache.get_or_load("key", loads.clone().load(SHORT)).await;
    assert_eq!(kept.as_deref(), Ok("value 2"));
}

#[tokio::test]
#[cfg_attr(no_redis, ignore = "redis-server is not installed")]
async fn errors_panics_and_slow_loads() {
    let url = redis().await;
    let mut cache = cache(&url, &unique("cache")).await;
    let fails = async { Err("no such user") };
    let failed = cache.get_or_load("error", fails).await;
    assert_eq!(failed, Err(LoadError::Failed("no such user")));
    let next = cache.get_or_load("error", async { Ok::<_, &str>("Ann".to_owned()) });
    assert_eq!(soon(next).await.as_deref(), Ok("Ann"));

    cache.load_limit = Duration::from_millis(200);
    let panics = async { panic!("scheduled") };
    let failed = cache.get_or_load::<Infallible>("panic", panics).await;
    assert_eq!(failed, Err(LoadError::NoResult));
    let slow = cache.get_or_load("slow", Loads::default().load(LONG)).await;
    assert_eq!(slow, Err(LoadError::TimedOut));
    let late = cache
        .get_or_load("slow", Loads::default().load(SHORT))
        .await;
    assert_eq!(late.as_deref(), Ok("value 1"));
}

#[tokio::test]
#[cfg_attr(no_redis, ignore = "redis-server is not installed")]
async fn jitter_spreads_the_ends() {
    let url = redis().await;
    let mut cache = cache(&url, &unique("cache")).await;
    cache.jitter = LONG;
    let mut ends = Vec::new();
    for number in 0..50 {
        let key = number.to_string();
        let load = async { Ok::<_, Infallible>("value".to_owned()) };
        cache.get_or_load(&key, load).await.expect("a value");
        let mut redis = cache.redis.clone();
        let left: u64 = redis
            .pttl(format!("{}{key}", cache.prefix))
            .await
            .expect("it answers");
        // A busy machine may be late.
        assert!((50_000..=120_000).contains(&left), "{left}");
        ends.push(left);
    }
    ends.sort();
    assert!(ends[49] - ends[0] > 20_000, "{ends:?}");
}

#[tokio::test]
#[cfg_attr(no_redis, ignore = "redis-server is not installed")]
async fn a_time_to_live_of_zero_or_for_ever() {
    let url = redis().await;
    let mut cache = cache(&url, &unique("cache")).await;
    for ttl in [Duration::ZERO, Duration::MAX] {
        cache.ttl = ttl;
        cache.jitter = ttl;
        let key = format!("{ttl:?}");
        let load = async { Ok::<_, Infallible>("value".to_owned()) };
        let value = cache.get_or_load(&key, load).await;
        assert_eq!(value.as_deref(), Ok("value"));
        let mut redis = cache.redis.clone();
        let left: i64 = redis
            .pttl(format!("{}{key}", cache.prefix))
            .await
            .expect("it answers");
        assert!(
            if ttl.is_zero() {
                left <= 2
            } else {
                left > 1_000_000
            },
            "{left}"
        );
    }
}

#[tokio::test]
#[cfg_attr(no_redis, ignore = "redis-server is not installed")]
async fn without_redis_each_caller_loads_within_its_limits() {
    let mut server = private(Kind::Redis).await;
    let limit = Duration::from_millis(300);
    let mut cache = cache(&server.url(), "cache").await;
    cache.redis = Redis::connect(&server.url(), limit)
        .await
        .expect("it connects");
    cache.limit = limit;
    let loads = Loads::default();
    server.pause();
    for paused in [true, false] {
        for _ in 0..3 {
            let (before, start) = (loads.count(), Instant::now());
            let value = cache.get_or_load("key", loads.clone().load(SHORT)).await;
            assert_eq!(value, Ok(format!("value {}", before + 1)));
            assert!(start.elapsed() < 10 * limit, "{:?}", start.elapsed());
        }
        if paused {
            server.kill();
        }
    }
    // One that accepts connections and says nothing.
    let address = server.url().replace("redis://", "");
    let silent = std::net::TcpListener::bind(address.trim_end_matches('/'));
    let silent = silent.expect("the port is free");
    let mut times = Vec::new();
    for _ in 0..5 {
        let start = Instant::now();
        let value = cache
            .get_or_load("key", loads.clone().load(Duration::ZERO))
            .await;
        assert!(value.is_ok());
        times.push(start.elapsed());
    }
    // On a busy machine, one may take longer.
    assert!(times.iter().min() < Some(&(2 * limit)), "{times:?}");
    drop(silent);
    server.restart().expect("it starts");
    // It is a cache again.
    let shared = async {
        loop {
            let before = loads.count();
            for _ in 0..2 {
                let load = loads.clone().load(Duration::ZERO);
                cache.get_or_load("new", load).await.expect("a value");
            }
            if loads.count() < before + 2 {
                return;
            }
        }
    };
    soon(shared).await;
}

#[tokio::test]
#[cfg_attr(no_redis, ignore = "redis-server is not installed")]
async fn after_a_load_that_panics_the_next_caller_loads() {
    let url = redis().await;
    let cache = RedisCache {
        load_limit: Duration::from_secs(3600),
        ..cache(&url, &unique("cache")).await
    };
    let panics = cache.get_or_load::<&str>("tea", async {
        sleep(Duration::from_millis(100)).await;
        panic!("scheduled")
    });
    let waits = async {
        sleep(Duration::from_millis(50)).await;
        let load = async { Ok::<_, &str>("2".to_owned()) };
        cache.get_or_load("tea", load).await
    };
    let (panicked, loaded) = soon(async { tokio::join!(panics, waits) }).await;
    assert_eq!(panicked, Err(LoadError::NoResult));
    assert_eq!(loaded, Ok("2".to_owned()));
}

/// Its process hangs, and allows its loads a minute.
#[tokio::test]
#[cfg_attr(no_redis, ignore = "redis-server is not installed")]
async fn the_wait_for_the_load_of_another_caller_fails_after_load_limit() {
    let url = redis().await;
    let slow = cache(&url, &unique("cache")).await;
    let limit = Duration::from_millis(300);
    let quick = RedisCache {
        load_limit: limit,
        ..slow.clone()
    };
    let (loads, start) = (Loads::default(), Instant::now());
    let begun = loads.clone();
    let loading =
        tokio::spawn(async move { slow.get_or_load("key", begun.load(LONG)).await });
    let begins = async {
        while loads.count() == 0 {
            sleep(Duration::from_millis(1)).await;
        }
    };
    soon(begins).await;
    let waits = quick.get_or_load("key", loads.clone().load(SHORT)).await;
    assert_eq!(waits, Err(LoadError::TimedOut));
    assert!((limit..LONG).contains(&start.elapsed()));
    assert_eq!(loads.count(), 1, "it starts no second load");
    loading.abort();
}
