use std::env;
use std::time::Duration;

use redis::AsyncCommands;
use servers::Kind;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use super::support::{
    CuttingProxy, child_of, go_silent, poll_and_drop, private, redis, soon, unique,
};
use crate::redis_rate_limit::{RateLimiter, Refused, seconds};
use crate::redis_reconnect::Redis;

const HOUR: Duration = Duration::from_secs(3600);
const LIMIT: Duration = Duration::from_secs(20);

async fn limiter(
    url: &str,
    prefix: &str,
    burst: u32,
    interval: Duration,
) -> RateLimiter<Redis> {
    let redis = Redis::connect(url, LIMIT).await.expect("it connects");
    RateLimiter::new(redis, prefix, burst, interval, LIMIT)
}

/// How many of so many calls are let through.
async fn passed(limiter: &RateLimiter<Redis>, calls: u32) -> u32 {
    let mut passed = 0;
    for _ in 0..calls {
        match limiter.try_acquire("key").await {
            Ok(()) => passed += 1,
            Err(Refused::RetryAfter(wait)) => assert!(wait > Duration::ZERO),
            Err(error) => panic!("{error:?}"),
        }
    }
    passed
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
#[cfg_attr(no_redis, ignore = "redis-server is not installed")]
async fn connections_share_a_bucket() {
    let url = redis().await;
    for burst in [1, 31, 129, 1000] {
        let prefix = unique("limit");
        let mut callers = JoinSet::new();
        for _ in 0..8 {
            let limiter = limiter(&url, &prefix, burst, HOUR / burst).await;
            callers.spawn(async move { passed(&limiter, burst / 2 + 1).await });
        }
        let passed: u32 = soon(callers.join_all()).await.iter().sum();
        assert_eq!(passed, burst);
    }
}

/// What a process of the next test does.
#[tokio::test]
async fn child() {
    if let (Ok(url), Ok(prefix)) = (env::var("CHILD_URL"), env::var("CHILD_PREFIX")) {
        let passed = passed(&limiter(&url, &prefix, 100, HOUR / 100).await, 80).await;
        println!("passed={passed}.");
    }
}

#[tokio::test]
#[cfg_attr(no_redis, ignore = "redis-server is not installed")]
async fn processes_share_a_bucket() {
    let (url, prefix) = (redis().await, unique("limit"));
    let start = || {
        let mut child = child_of(module_path!());
        child.env("CHILD_URL", &url).env("CHILD_PREFIX", &prefix);
        child.stdout(std::process::Stdio::piped());
        child.spawn().expect("it starts")
    };
    let children = [start(), start(), start()];
    let passed = children.map(|child| {
        let output = child.wait_with_output().expect("it ends").stdout;
        let output = String::from_utf8(output).expect("a text");
        let passed = output
            .split("passed=")
            .nth(1)
            .and_then(|it| it.split('.').next());
        passed.and_then(|it| it.parse::<u32>().ok()).expect(&output)
    });
    assert_eq!(passed.iter().sum::<u32>(), 100, "{passed:?}");
}

#[tokio::test]
#[cfg_attr(no_redis, ignore = "redis-server is not installed")]
async fn a_call_after_the_time_that_it_said_passes_and_none_before() {
    let url = redis().await;
    let interval = Duration::from_millis(30);
    let limiter = limiter(&url, &unique("limit"), 2, interval).await;
    let start = Instant::now();
    let mut passed = 0;
    while passed < 12 {
        match limiter.try_acquire("key").await {
            Ok(()) => passed += 1,
            Err(Refused::RetryAfter(wait)) => {
                assert!(wait <= interval);
                sleep(wait).await;
                assert!(limiter.try_acquire("key").await.is_ok());
                passed += 1;
            }
            Err(error) => panic!("{error:?}"),
        }
    }
    assert!(start.elapsed() >= 9 * interval);
}

#[tokio::test]
#[cfg_attr(no_redis, ignore = "redis-server is not installed")]
async fn a_key_expires_when_its_bucket_is_full() {
    let (url, prefix) = (redis().await, unique("limit"));
    let limiter = limiter(&url, &prefix, 3, Duration::from_millis(50)).await;
    assert_eq!(passed(&limiter, 3).await, 3);
    let mut redis = Redis::connect(&url, LIMIT).await.expect("it connects");
    let key = format!("{prefix}key");
    let left: i64 = redis.pttl(&key).await.expect("it answers");
    assert!(left <= 150, "{left}");
    let gone = async {
        while redis.exists(&key).await.expect("it answers") {
            sleep(Duration::from_millis(10)).await;
        }
    };
    soon(gone).await;
}

#[tokio::test]
#[cfg_attr(no_redis, ignore = "redis-server is not installed")]
async fn a_clock_that_was_set_back_refuses_nobody_for_long() {
    let (url, prefix) = (redis().await, unique("limit"));
    let mut redis = Redis::connect(&url, LIMIT).await.expect("it connects");
    let far = "9000000000000000";
    let key = format!("{prefix}key");
    redis
        .set_ex::<_, _, ()>(&key, far, 60)
        .await
        .expect("it answers");
    let limiter = limiter(&url, &prefix, 3, Duration::from_secs(1)).await;
    match limiter.try_acquire("key").await {
        Err(Refused::RetryAfter(wait)) => assert_eq!(seconds(wait), 1),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
#[cfg_attr(no_redis, ignore = "redis-server is not installed")]
async fn a_killed_server_forgets_nothing() {
    let mut server = private(Kind::Redis).await;
    let limiter = limiter(&server.url(), "limit", 10, HOUR / 10).await;
    assert_eq!(passed(&limiter, 4).await, 4);
    server.kill();
    let failed = limiter.try_acquire("key").await;
    assert!(matches!(failed, Err(Refused::Unknown(_))), "{failed:?}");
    server.restart().expect("it starts");
    // The server does not know the script any more.
    let again = async {
        while limiter.try_acquire("other").await.is_err() {
            sleep(Duration::from_millis(10)).await;
        }
    };
    soon(again).await;
    // The call that failed was not sent.
    assert_eq!(passed(&limiter, 10).await, 6);
}

#[tokio::test]
#[cfg_attr(no_redis, ignore = "redis-server is not installed")]
async fn a_paused_server_costs_each_call_its_limit_and_may_count_it_later() {
    let server = private(Kind::Redis).await;
    let limit = Duration::from_millis(300);
    let redis = Redis::connect(&server.url(), limit)
        .await
        .expect("it connects");
    let limiter = RateLimiter::new(redis, "limit", 10, HOUR / 10, limit);
    assert!(limiter.try_acquire("key").await.is_ok());
    server.pause();
    for _ in 0..3 {
        let start = Instant::now();
        let late = limiter.try_acquire("key").await;
        assert!(matches!(late, Err(Refused::Unknown(_))), "{late:?}");
        assert!(start.elapsed() < 10 * limit, "{:?}", start.elapsed());
    }
    server.resume();
    let mut tokens = 0;
    let all = async {
        loop {
            match limiter.try_acquire("key").await {
                Ok(()) => tokens += 1,
                Err(Refused::RetryAfter(_)) => break,
                // The machine is busy.
                Err(Refused::Unknown(_)) => {}
            }
        }
    };
    soon(all).await;
    // The three calls that failed have run meanwhile.
    assert!(tokens <= 6, "{tokens}");
}

#[tokio::test]
#[cfg_attr(no_redis, ignore = "redis-server is not installed")]
async fn no_call_waits_longer_than_its_limit_for_a_new_connection() {
    let mut server = private(Kind::Redis).await;
    let limit = Duration::from_millis(300);
    let redis = Redis::connect(&server.url(), limit)
        .await
        .expect("it connects");
    let limiter = RateLimiter::new(redis, "limit", 10, HOUR / 10, limit);
    let _silent = go_silent(&mut server);
    let mut times = Vec::new();
    for _ in 0..5 {
        let start = Instant::now();
        assert!(limiter.try_acquire("key").await.is_err());
        times.push(start.elapsed());
    }
    // On a busy machine, one may take longer.
    assert!(times.iter().min() < Some(&(2 * limit)), "{times:?}");
}

#[tokio::test]
#[cfg_attr(no_redis, ignore = "redis-server is not installed")]
async fn a_call_whose_reply_is_lost_counts_once() {
    let url = redis().await;
    let proxy = CuttingProxy::start(&url).await;
    let prefix = unique("limit");
    let limiter = limiter(proxy.url(), &prefix, 20, HOUR / 20).await;
    assert_eq!(passed(&limiter, 1).await, 1);
    let mut lost = 0;
    while lost < 5 {
        proxy.cut(1);
        match limiter.try_acquire("key").await {
            Err(Refused::Unknown(_)) => lost += 1,
            other => panic!("{other:?}"),
        }
        // Until it is connected again.
        let redis = Redis::connect(proxy.url(), LIMIT).await;
        let mut redis = redis.expect("it connects");
        let _: () = redis.ping().await.expect("it answers");
        while limiter.try_acquire("other").await.is_err() {
            sleep(Duration::from_millis(10)).await;
        }
    }
    assert_eq!(passed(&limiter, 20).await, 20 - 1 - lost);
}

#[tokio::test]
#[cfg_attr(no_redis, ignore = "redis-server is not installed")]
async fn a_dropped_call_takes_at_most_one_token() {
    let url = redis().await;
    let limiter = limiter(&url, &unique("limit"), 100, HOUR / 100).await;
    let mut dropped = 0;
    for polls in 0..20 {
        let call = poll_and_drop(limiter.try_acquire("key"), polls % 4);
        dropped += u32::from(call.await.is_none());
    }
    let passed = passed(&limiter, 100).await;
    assert!((80..=80 + dropped).contains(&passed), "{passed}");
}

#[test]
fn seconds_are_rounded_up() {
    for (millis, expected) in [(0, 0), (1, 1), (1000, 1), (1001, 2)] {
        assert_eq!(seconds(Duration::from_millis(millis)), expected);
    }
}

#[tokio::test]
#[cfg_attr(no_redis, ignore = "redis-server is not installed")]
async fn a_bucket_that_is_never_full_is_refused() {
    let redis = Redis::connect(&redis().await, LIMIT)
        .await
        .expect("it connects");
    for (burst, interval) in [(0, HOUR), (1, Duration::ZERO), (1, Duration::MAX)] {
        let redis = redis.clone();
        let new = move || RateLimiter::new(redis, "limit", burst, interval, LIMIT);
        let new = std::panic::AssertUnwindSafe(new);
        assert!(std::panic::catch_unwind(new).is_err());
    }
}
