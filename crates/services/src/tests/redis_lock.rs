use std::env;
use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::time::Duration;

use redis::AsyncCommands;
use servers::Kind;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use super::support::{
    CuttingProxy, child_of, go_silent, poll_and_drop, private, redis, soon, unique,
};
use crate::redis_lock::{Lease, Lost, RedisLock};
use crate::redis_reconnect::Redis;

const POLL: Duration = Duration::from_millis(5);
const LONG: Duration = Duration::from_secs(60);

async fn lock(url: &str, name: &str, ttl: Duration) -> RedisLock<Redis> {
    let redis = Redis::connect(url, Duration::from_secs(20)).await;
    RedisLock::new(redis.expect("it connects"), name, ttl)
}

async fn acquired(lock: &RedisLock<Redis>) -> Lease<Redis> {
    soon(lock.acquire(POLL)).await.expect("it answers")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
#[cfg_attr(no_redis, ignore = "redis-server is not installed")]
async fn one_holder_at_a_time_and_tokens_grow() {
    let (url, name) = (redis().await, unique("lock"));
    let (inside, last) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(AtomicU64::new(0)),
    );
    let mut holders = JoinSet::new();
    for _ in 0..4 {
        let lock = lock(&url, &name, LONG).await;
        for _ in 0..10 {
            let (lock, inside, last) = (lock.clone(), inside.clone(), last.clone());
            holders.spawn(async move {
                let work = async move |token| {
                    assert!(!inside.swap(true, SeqCst), "two at once");
                    tokio::task::yield_now().await;
                    assert!(last.swap(token, SeqCst) < token);
                    inside.store(false, SeqCst);
                };
                acquired(&lock).await.hold(work).await
            });
        }
    }
    let held = soon(holders.join_all()).await;
    assert!(held.iter().all(Result::is_ok));
}

/// What a process of the next test does.
#[tokio::test]
async fn child() {
    if let (Ok(url), Ok(name)) = (env::var("CHILD_URL"), env::var("CHILD_NAME")) {
        let lock = lock(&url, &name, Duration::from_secs(2)).await;
        let work = async |_| {
            println!("held");
            pending().await
        };
        acquired(&lock).await.hold::<()>(work).await.expect("held");
    }
}

#[tokio::test]
#[cfg_attr(no_redis, ignore = "redis-server is not installed")]
async fn the_lease_of_a_killed_process_expires() {
    use std::io::{BufRead, BufReader};
    let (url, name) = (redis().await, unique("lock"));
    let lock = lock(&url, &name, Duration::from_secs(2)).await;
    let mut child = child_of(module_path!());
    child.env("CHILD_URL", &url).env("CHILD_NAME", &name);
    child.stdout(std::process::Stdio::piped());
    let mut child = child.spawn().expect("it starts");
    let output = child.stdout.take().expect("it is piped");
    let mut lines = BufReader::new(output).lines();
    assert!(lines.any(|line| line.is_ok_and(|line| line.contains("held"))));
    // Longer than a lease: it is renewed.
    sleep(Duration::from_millis(2500)).await;
    assert!(lock.try_acquire().await.expect("it answers").is_none());
    let killed = Instant::now();
    child.kill().expect("it runs");
    child.wait().expect("it ends");
    let lease = acquired(&lock).await;
    assert!(killed.elapsed() >= Duration::from_millis(500));
    assert!(lease.release().await.expect("it answers"));
}

#[tokio::test]
#[cfg_attr(no_redis, ignore = "redis-server is not installed")]
async fn an_old_lease_neither_renews_nor_releases_the_next_one() {
    let (url, name) = (redis().await, unique("lock"));
    let lock = lock(&url, &name, Duration::from_millis(200)).await;
    let mut old = acquired(&lock).await;
    sleep(Duration::from_millis(250)).await;
    let other = RedisLock::new(
        Redis::connect(&url, LONG).await.expect("it connects"),
        &name,
        LONG,
    );
    let new = acquired(&other).await;
    assert!(new.token() > old.token());
    assert!(!soon(answer(&mut old)).await);
    let released = old.release().await;
    assert!(!released.unwrap_or(false));
    assert!(other.try_acquire().await.expect("it answers").is_none());
    assert!(new.release().await.expect("it answers"));
}

/// Renews until Redis is in time: a machine may be busy for longer than a third of a
/// lease.
async fn answer(lease: &mut Lease<Redis>) -> bool {
    loop {
        if let Ok(held) = lease.renew().await {
            return held;
        }
    }
}

#[tokio::test]
#[cfg_attr(no_redis, ignore = "redis-server is not installed")]
async fn while_the_server_is_paused_the_work_is_dropped_when_its_lease_expires() {
    let server = private(Kind::Redis).await;
    let ttl = Duration::from_millis(900);
    let lock = lock(&server.url(), "lock", ttl).await;
    struct Stopped(Arc<AtomicBool>);
    impl Drop for Stopped {
        fn drop(&mut self) {
            self.0.store(true, SeqCst);
        }
    }
    let stopped = Arc::new(AtomicBool::new(false));
    let guard = Stopped(Arc::clone(&stopped));
    let lease = acquired(&lock).await;
    let old = lease.token();
    let work = async move |_| {
        let _guard = guard;
        pending().await
    };
    let holding = tokio::spawn(lease.hold::<()>(work));
    sleep(2 * ttl).await;
    assert!(!stopped.load(SeqCst), "it is renewed");
    server.pause();
    let paused = Instant::now();
    let ended = soon(holding).await.expect("it does not panic");
    assert_eq!(ended, Err(Lost));
    assert!(stopped.load(SeqCst));
    // The last renewal was less than a third before.
    assert!(paused.elapsed() > ttl / 4);
    server.resume();
    // Busy or not, it comes free.
    let again = async {
        loop {
            if let Ok(Some(lease)) = lock.try_acquire().await {
                return lease;
            }
            sleep(POLL).await;
        }
    };
    assert!(soon(again).await.token() > old);
}

#[tokio::test]
#[cfg_attr(no_redis, ignore = "redis-server is not installed")]
async fn no_call_waits_longer_than_a_third_of_a_lease() {
    let mut server = private(Kind::Redis).await;
    let ttl = Duration::from_millis(900);
    let lock = lock(&server.url(), "lock", ttl).await;
    let _silent = go_silent(&mut server);
    let mut times = Vec::new();
    for _ in 0..5 {
        let start = Instant::now();
        assert!(lock.try_acquire().await.is_err());
        times.push(start.elapsed());
    }
    // On a busy machine, one may take longer.
    assert!(times.iter().min() < Some(&(ttl * 2 / 3)), "{times:?}");
}

#[tokio::test]
#[cfg_attr(no_redis, ignore = "redis-server is not installed")]
async fn a_lease_survives_a_restart_of_the_server() {
    let mut server = private(Kind::Redis).await;
    let lock = lock(&server.url(), "lock", Duration::from_secs(30)).await;
    let mut lease = acquired(&lock).await;
    server.kill();
    assert!(lease.renew().await.is_err());
    server.restart().expect("it starts");
    assert!(soon(answer(&mut lease)).await);
    assert!(lock.try_acquire().await.expect("it answers").is_none());
    assert!(lease.release().await.expect("it answers"));
}

#[tokio::test]
#[cfg_attr(no_redis, ignore = "redis-server is not installed")]
async fn tokens_grow_even_if_redis_has_lost_everything() {
    let (url, name) = (redis().await, unique("lock"));
    let lock = lock(&url, &name, LONG).await;
    let redis = Redis::connect(&url, LONG).await.expect("it connects");
    let mut redis = redis.clone();
    let mut last = 0;
    for _ in 0..100 {
        let lease = acquired(&lock).await;
        assert!(lease.token() > last);
        last = lease.token();
        redis.del::<_, ()>(&name).await.expect("it answers");
    }
}

#[tokio::test]
#[cfg_attr(no_redis, ignore = "redis-server is not installed")]
async fn a_lease_whose_reply_is_lost_expires() {
    let url = redis().await;
    let proxy = CuttingProxy::start(&url).await;
    let lock = lock(proxy.url(), &unique("lock"), Duration::from_millis(600)).await;
    proxy.cut(1);
    assert!(lock.try_acquire().await.is_err());
    let again = async {
        loop {
            if let Ok(Some(lease)) = lock.try_acquire().await {
                return lease;
            }
            sleep(POLL).await;
        }
    };
    let _lease = soon(again).await;
}

#[tokio::test]
#[cfg_attr(no_redis, ignore = "redis-server is not installed")]
async fn after_a_drop_at_any_await_the_lock_comes_free() {
    let url = redis().await;
    let ttl = Duration::from_millis(600);
    let mut locks = Vec::new();
    for polls in 0..6 {
        let lock = lock(&url, &unique("lock"), ttl).await;
        drop(poll_and_drop(lock.acquire(POLL), polls).await);
        let held = async {
            let work = async |_| sleep(2 * POLL).await;
            lock.acquire(POLL).await?.hold(work).await.expect("held");
            Ok::<_, redis::RedisError>(())
        };
        drop(poll_and_drop(held, polls).await);
        locks.push(lock);
    }
    let free = async {
        for lock in locks {
            while !matches!(lock.try_acquire().await, Ok(Some(_))) {
                sleep(POLL).await;
            }
        }
    };
    soon(free).await;
}

#[tokio::test]
#[cfg_attr(no_redis, ignore = "redis-server is not installed")]
async fn a_panic_in_the_work_keeps_the_lock_until_it_expires() {
    let (url, name) = (redis().await, unique("lock"));
    let lock = lock(&url, &name, Duration::from_secs(1)).await;
    let lease = acquired(&lock).await;
    let holding = tokio::spawn(lease.hold(async |_| panic!("scheduled")));
    assert!(soon(holding).await.is_err_and(|error| error.is_panic()));
    drop(acquired(&lock).await);
}

#[tokio::test]
#[cfg_attr(no_redis, ignore = "redis-server is not installed")]
async fn a_lease_that_cannot_be_renewed_in_time_is_refused() {
    let redis = Redis::connect(&redis().await, LONG)
        .await
        .expect("it connects");
    for ttl in [Duration::ZERO, Duration::from_millis(2), Duration::MAX] {
        let redis = redis.clone();
        let new = std::panic::AssertUnwindSafe(|| RedisLock::new(redis, "lock", ttl));
        assert!(std::panic::catch_unwind(new).is_err());
    }
}
