use std::time::Duration;

use redis::aio::{ConnectionManager, ConnectionManagerConfig, MultiplexedConnection};
use redis::{AsyncCommands, AsyncConnectionConfig, Client, RedisResult};
use servers::Kind;
use tokio::join;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use super::support::{
    CuttingProxy, go_silent, poll_and_drop, private, redis, soon, unique,
};
use crate::redis_reconnect::Redis;

/// Nothing takes that long unless something hangs.
const LONG: Duration = Duration::from_secs(20);
/// Of calls that get no reply.
const SHORT: Duration = Duration::from_millis(300);

async fn connected(url: &str, limit: Duration) -> Redis {
    Redis::connect(url, limit).await.expect("it connects")
}

async fn other(url: &str) -> MultiplexedConnection {
    let client = Client::open(url).expect("a URL");
    let connection = client.get_multiplexed_async_connection().await;
    connection.expect("it connects")
}

/// How many connections the server has, with the one that asks.
async fn connections(redis: &mut MultiplexedConnection) -> usize {
    let mut list = redis::cmd("CLIENT");
    let list = list.arg("LIST").query_async::<String>(redis).await;
    list.expect("it answers").lines().count()
}

/// Pings until it is answered, and returns how many were not.
async fn failures(redis: &mut Redis) -> u32 {
    let mut failures = 0;
    let answered = async {
        while redis.ping::<()>().await.is_err() {
            failures += 1;
            sleep(Duration::from_millis(10)).await;
        }
    };
    soon(answered).await;
    failures
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[cfg_attr(no_redis, ignore = "redis-server is not installed")]
async fn a_silent_connection_is_replaced_and_a_manager_keeps_it() {
    let proxy = CuttingProxy::start(&redis().await).await;
    let mut redis = connected(proxy.url(), SHORT).await;
    let client = Client::open(proxy.url()).expect("a URL");
    let config = ConnectionManagerConfig::new().set_response_timeout(Some(SHORT));
    let manager = ConnectionManager::new_with_config(client, config).await;
    let mut manager = manager.expect("it connects");
    let mut times = Vec::new();
    for _ in 0..4 {
        // Else a call could be the first one after the replacement.
        redis.ping::<()>().await.expect("it answers");
        proxy.silence();
        let start = Instant::now();
        assert!(failures(&mut redis).await > 0);
        times.push(start.elapsed());
        let kept = manager.ping::<()>().await.expect_err("it is silent");
        assert!(kept.is_timeout(), "{kept}");
    }
    // About twice the limit. On a busy machine, some take longer.
    assert!(times.iter().min() < Some(&(4 * SHORT)), "{times:?}");
}

/// With RESP2 the next call would fail.
#[tokio::test]
#[cfg_attr(no_redis, ignore = "redis-server is not installed")]
async fn a_connection_that_was_closed_while_idle_is_replaced() {
    let server = private(Kind::Redis).await;
    let mut redis = connected(&server.url(), LONG).await;
    let mut other = other(&server.url()).await;
    let mut kill = redis::cmd("CLIENT");
    // All but the caller.
    kill.arg("KILL").arg("SKIPME").arg("yes");
    let killed: u32 = kill.query_async(&mut other).await.expect("it answers");
    assert_eq!(killed, 1);
    let connected = async {
        while connections(&mut other).await < 2 {
            sleep(Duration::from_millis(10)).await;
        }
    };
    soon(connected).await;
    redis.ping::<()>().await.expect("it answers");
}

/// A proxy that accepts, and has no server behind it.
#[tokio::test]
async fn while_it_connects_only_the_connection_timeout_counts() {
    let silent = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = silent.local_addr().expect("it is bound");
    let client = Client::open(format!("redis://{address}")).expect("a URL");
    for (connection, response) in [(SHORT, SHORT / 10), (SHORT / 10, LONG)] {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(connection))
            .set_response_timeout(Some(response));
        let start = Instant::now();
        let made = client.get_multiplexed_async_connection_with_config(&config);
        let error = made.await.expect_err("nobody answers");
        assert!(error.is_timeout(), "{error}");
        assert!(start.elapsed() >= connection && start.elapsed() < LONG);
    }
}

#[tokio::test]
#[cfg_attr(no_redis, ignore = "redis-server is not installed")]
async fn a_server_that_is_killed_or_hangs_is_found_again() {
    let mut server = private(Kind::Redis).await;
    let mut redis = connected(&server.url(), SHORT).await;
    for round in 0..3 {
        server.kill();
        redis.ping::<()>().await.expect_err("nobody listens");
        server.restart().expect("it starts");
        failures(&mut redis).await;
        server.pause();
        redis.ping::<()>().await.expect_err("it hangs");
        server.resume();
        println!("round {round}: {} calls failed", failures(&mut redis).await);
    }
}

#[tokio::test]
#[cfg_attr(no_redis, ignore = "redis-server is not installed")]
async fn no_call_waits_longer_than_its_limit_for_a_new_connection() {
    let mut server = private(Kind::Redis).await;
    let mut redis = connected(&server.url(), SHORT).await;
    let _silent = go_silent(&mut server);
    let mut times = Vec::new();
    for _ in 0..5 {
        let start = Instant::now();
        redis.ping::<()>().await.expect_err("it is silent");
        times.push(start.elapsed());
        let (start, mut both) = (Instant::now(), redis::pipe());
        let sent = both.ping().ping().exec_async(&mut redis).await;
        sent.expect_err("it is silent");
        times.push(start.elapsed());
    }
    // On a busy machine, some take longer.
    times.sort_unstable();
    assert!(times[5] < 2 * SHORT, "{times:?}");
}

#[tokio::test]
#[cfg_attr(no_redis, ignore = "redis-server is not installed")]
async fn a_call_whose_reply_is_lost_may_be_done_and_is_not_repeated() {
    let proxy = CuttingProxy::start(&redis().await).await;
    let (mut redis, key) = (connected(proxy.url(), LONG).await, unique("count"));
    let mut calls = 0;
    for _ in 0..5 {
        proxy.cut(1);
        let lost = redis.incr::<_, _, u32>(&key, 1).await;
        calls += 1;
        lost.expect_err("its reply is lost");
        failures(&mut redis).await;
    }
    let count: u32 = redis.get(&key).await.expect("it answers");
    // A ping of the connection may have lost its reply instead, and the call was not sent.
    assert!((1..=calls).contains(&count), "{count}");
    redis.del::<_, ()>(&key).await.expect("it answers");
}

#[tokio::test]
#[cfg_attr(no_redis, ignore = "redis-server is not installed")]
async fn no_connection_outlives_its_clones() {
    let server = private(Kind::Redis).await;
    let mut other = other(&server.url()).await;
    let closed = async |other: &mut _| {
        while connections(other).await > 1 {
            sleep(Duration::from_millis(10)).await;
        }
    };
    for _ in 0..3 {
        let redis = connected(&server.url(), LONG).await;
        let clone = redis.clone();
        drop(redis);
        assert_eq!(connections(&mut other).await, 2);
        drop(clone);
        soon(closed(&mut other)).await;
    }
    for polls in 0..20 {
        drop(poll_and_drop(Redis::connect(&server.url(), LONG), polls).await);
    }
    soon(closed(&mut other)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
#[cfg_attr(no_redis, ignore = "redis-server is not installed")]
async fn a_thousand_calls_some_dropped_get_their_own_replies() {
    let redis = connected(&redis().await, LONG).await;
    let mut calls = JoinSet::new();
    for number in 0..1000_usize {
        let mut redis = redis.clone();
        calls.spawn(async move {
            let mut echo = redis::cmd("ECHO");
            echo.arg(number);
            if number % 3 == 0 {
                let call = echo.query_async::<usize>(&mut redis);
                drop(poll_and_drop(call, number % 5).await);
            }
            let mut two = redis::pipe();
            two.add_command(echo.clone()).add_command(echo);
            let echoed: RedisResult<(usize, usize)> = two.query_async(&mut redis).await;
            assert_eq!(echoed.expect("it answers"), (number, number));
        });
    }
    soon(calls.join_all()).await;
}

#[tokio::test]
#[cfg_attr(no_redis, ignore = "redis-server is not installed")]
async fn a_blocking_command_blocks_all_calls_of_its_connection() {
    let mut redis = connected(&redis().await, LONG).await;
    let (mut blocked, key) = (redis.clone(), unique("empty"));
    let start = Instant::now();
    let pings = async {
        // The other one is sent before.
        sleep(Duration::from_millis(50)).await;
        blocked.ping::<()>().await.expect("it answers");
        start.elapsed()
    };
    let (popped, waited) = join!(redis.blpop(&key, 0.8), pings);
    let none: Option<(String, String)> = popped.expect("it answers");
    assert!(none.is_none());
    assert!(waited >= Duration::from_millis(700), "{waited:?}");
    // With a shorter limit, the pings replace the connection, and the call fails.
    let mut short = connected(&super::support::redis().await, SHORT).await;
    let popped: RedisResult<Option<(String, String)>> = short.blpop(&key, 2.0).await;
    assert!(popped.expect_err("it is late").is_timeout());
}

#[tokio::test]
async fn a_server_that_is_not_there_is_an_error_and_no_password_is_shown() {
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = nobody.local_addr().expect("it is bound").port();
    drop(nobody);
    let url = format!("redis://ann:secret@127.0.0.1:{port}");
    let error = soon(Redis::connect(&url, LONG))
        .await
        .expect_err("nobody listens");
    assert!(!format!("{error:?} {error}").contains("secret"));
    let error = Redis::connect("127.0.0.1", LONG).await.expect_err("no URL");
    assert!(error.to_string().contains("URL"), "{error}");
}
