use std::time::Duration;

use futures::StreamExt;
use redis::aio::MultiplexedConnection;
use redis::{AsyncCommands, Client};
use servers::Kind;
use tokio::sync::mpsc::Receiver;
use tokio::time::{Instant, sleep};

use super::support::{poll_and_drop, private, redis, soon, unique};
use crate::redis_pub_sub::{Event, Limits, subscribe};

const LIMITS: Limits = Limits {
    capacity: 10_000,
    answer: Duration::from_secs(20),
    ping: Duration::from_secs(20),
    pause: Duration::from_millis(10),
};

async fn connected(url: &str) -> MultiplexedConnection {
    let client = Client::open(url).expect("a URL");
    let connection = client.get_multiplexed_async_connection().await;
    connection.expect("it connects")
}

async fn subscribed(url: &str, channel: &str, limits: Limits) -> Receiver<Event> {
    let client = Client::open(url).expect("a URL");
    soon(subscribe(client, channel, limits))
        .await
        .expect("it connects")
}

async fn subscribers(redis: &mut MultiplexedConnection, channel: &str) -> u32 {
    let mut numbers = redis::cmd("PUBSUB");
    numbers.arg("NUMSUB").arg(channel);
    let (_, number): (String, u32) =
        numbers.query_async(redis).await.expect("it answers");
    number
}

/// Publishes until somebody hears it.
async fn publish(redis: &mut MultiplexedConnection, channel: &str, text: &str) {
    let heard = async {
        while redis
            .publish::<_, _, u32>(channel, text)
            .await
            .expect("it answers")
            == 0
        {
            sleep(Duration::from_millis(5)).await;
        }
    };
    soon(heard).await;
}

fn message(text: impl ToString) -> Option<Event> {
    Some(Event::Message(text.to_string()))
}

#[tokio::test]
#[cfg_attr(no_redis, ignore = "redis-server is not installed")]
async fn where_a_message_is_missing_there_is_a_gap() {
    const LAST: u32 = 2000;
    let server = private(Kind::Redis).await;
    let url = server.url();
    let mut events = subscribed(&url, "news", LIMITS).await;
    let mut redis = connected(&url).await;
    let publishing = async {
        for number in 0..LAST {
            let _: u32 = redis.publish("news", number).await.expect("it answers");
            if number % 200 == 100 {
                let mut kill = redis::cmd("CLIENT");
                kill.arg("KILL").arg("TYPE").arg("pubsub");
                let _: u32 = kill.query_async(&mut redis).await.expect("it answers");
                // While it is away, some are published.
                sleep(Duration::from_millis(5)).await;
            }
        }
        publish(&mut redis, "news", &LAST.to_string()).await;
    };
    let reading = async {
        let (mut next, mut gap, mut gaps, mut missing) = (0, false, 0, 0);
        while next <= LAST {
            match events.recv().await.expect("the task runs") {
                Event::Gap => {
                    gap = true;
                    gaps += 1;
                }
                Event::Message(text) => {
                    let number: u32 = text.parse().expect("a number");
                    assert!(number == next || gap && number > next, "{number} {next}");
                    missing += number - next;
                    next = number + 1;
                    gap = false;
                }
            }
        }
        println!("{gaps} gaps, {missing} of {LAST} messages missing");
        gaps
    };
    let (gaps, ()) = soon(async { tokio::join!(reading, publishing) }).await;
    assert!((1..=10).contains(&gaps), "{gaps}");
}

#[tokio::test]
#[cfg_attr(no_redis, ignore = "redis-server is not installed")]
async fn after_a_kill_of_the_server_it_subscribes_again() {
    let mut server = private(Kind::Redis).await;
    let url = server.url();
    let mut events = subscribed(&url, "news", LIMITS).await;
    for text in ["one", "two"] {
        server.kill();
        server.restart().expect("it starts");
        assert_eq!(soon(events.recv()).await, Some(Event::Gap));
        publish(&mut connected(&url).await, "news", text).await;
        assert_eq!(soon(events.recv()).await, message(text));
    }
}

#[tokio::test]
#[cfg_attr(no_redis, ignore = "redis-server is not installed")]
async fn a_server_that_does_not_answer_a_ping_is_left() {
    let server = private(Kind::Redis).await;
    let short = Duration::from_millis(200);
    let limits = Limits {
        answer: short,
        ping: short,
        ..LIMITS
    };
    let mut events = subscribed(&server.url(), "news", limits).await;
    server.pause();
    sleep(4 * short).await;
    server.resume();
    assert_eq!(soon(events.recv()).await, Some(Event::Gap));
    // A machine that is busy may be late with an answer, and have another gap.
    publish(&mut connected(&server.url()).await, "news", "tea").await;
    let heard = async { while events.recv().await == Some(Event::Gap) {} };
    soon(heard).await;
}

#[tokio::test]
#[cfg_attr(no_redis, ignore = "redis-server is not installed")]
async fn a_slow_reader_gets_the_first_then_a_gap_and_then_new_messages() {
    let url = redis().await;
    let mut redis = connected(&url).await;
    for capacity in [1, 31, 129] {
        let channel = unique("news");
        let limits = Limits { capacity, ..LIMITS };
        let mut events = subscribed(&url, &channel, limits).await;
        for number in 0..1000 {
            let heard: u32 = redis.publish(&channel, number).await.expect("it answers");
            assert_eq!(heard, 1);
        }
        // All have reached the subscriber if one sent later has.
        let mut other = subscribed(&url, &channel, LIMITS).await;
        publish(&mut redis, &channel, "last").await;
        assert_eq!(soon(other.recv()).await, message("last"));
        sleep(Duration::from_millis(300)).await;
        for number in 0..capacity {
            assert_eq!(soon(events.recv()).await, message(number));
        }
        assert_eq!(soon(events.recv()).await, Some(Event::Gap));
        publish(&mut redis, &channel, "new").await;
        assert_eq!(soon(events.recv()).await, message("new"));
    }
}

#[tokio::test]
#[cfg_attr(no_redis, ignore = "redis-server is not installed")]
async fn no_subscription_outlives_its_receiver() {
    let url = redis().await;
    let mut redis = connected(&url).await;
    let channel = unique("news");
    for polls in 0..8 {
        let client = Client::open(url.as_str()).expect("a URL");
        let receiver = poll_and_drop(subscribe(client, &channel, LIMITS), polls).await;
        drop(receiver);
        let gone = async {
            while subscribers(&mut redis, &channel).await > 0 {
                sleep(Duration::from_millis(5)).await;
            }
        };
        soon(gone).await;
    }
}

#[tokio::test]
async fn a_server_that_says_nothing_is_an_error_in_time() {
    let silent = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = silent.local_addr().expect("it is bound");
    let limits = Limits {
        answer: Duration::from_millis(200),
        ..LIMITS
    };
    let client = Client::open(format!("redis://{address}")).expect("a URL");
    let start = Instant::now();
    let failed = subscribe(client, "news", limits).await;
    assert!(failed.expect_err("it says nothing").is_timeout());
    assert!(start.elapsed() < Duration::from_secs(10));
}

#[tokio::test]
#[cfg_attr(no_redis, ignore = "redis-server is not installed")]
async fn bytes_that_are_no_text_are_replaced() {
    let url = redis().await;
    let channel = unique("news");
    let mut events = subscribed(&url, &channel, LIMITS).await;
    let mut redis = connected(&url).await;
    let _: u32 = redis.publish(&channel, b"a\xff").await.expect("it answers");
    assert_eq!(soon(events.recv()).await, message("a\u{fffd}"));
}

/// The first trap, with the crate alone.
#[tokio::test]
#[cfg_attr(no_redis, ignore = "redis-server is not installed")]
async fn the_stream_of_a_pubsub_ends_without_an_error_when_its_connection_is_lost() {
    let server = private(Kind::Redis).await;
    let client = Client::open(server.url()).expect("a URL");
    let mut pubsub = client.get_async_pubsub().await.expect("it connects");
    pubsub.subscribe("news").await.expect("it answers");
    let mut redis = connected(&server.url()).await;
    publish(&mut redis, "news", "tea").await;
    let mut messages = pubsub.into_on_message();
    assert!(soon(messages.next()).await.is_some());
    let mut kill = redis::cmd("CLIENT");
    kill.arg("KILL").arg("TYPE").arg("pubsub");
    let killed: u32 = kill.query_async(&mut redis).await.expect("it answers");
    assert_eq!(killed, 1);
    assert!(soon(messages.next()).await.is_none());
}

/// The second trap, with the crate alone: more than the buffers of two sockets hold.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[cfg_attr(no_redis, ignore = "redis-server is not installed")]
async fn a_pubsub_keeps_unread_messages_without_a_limit() {
    const NUMBER: usize = 2000;
    let server = private(Kind::Redis).await;
    let client = Client::open(server.url()).expect("a URL");
    let mut pubsub = client.get_async_pubsub().await.expect("it connects");
    pubsub.subscribe("news").await.expect("it answers");
    let mut redis = connected(&server.url()).await;
    let text = "x".repeat(16 * 1024);
    for _ in 0..NUMBER {
        publish(&mut redis, "news", &text).await;
    }
    // Nobody reads, and yet the server has got rid of all of them.
    let sent = async {
        loop {
            let mut list = redis::cmd("CLIENT");
            list.arg("LIST").arg("TYPE").arg("pubsub");
            let list: String = list.query_async(&mut redis).await.expect("it answers");
            if list.contains(" omem=0 ") {
                return;
            }
            sleep(Duration::from_millis(10)).await;
        }
    };
    soon(sent).await;
    drop(server);
    let kept = soon(pubsub.into_on_message().count()).await;
    assert_eq!(kept, NUMBER);
}
