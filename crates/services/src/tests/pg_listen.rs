use std::time::Duration;

use servers::Kind;
use tokio::sync::mpsc::{Receiver, channel};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Instant, sleep, timeout};
use tokio_postgres::{Client, Config};

use super::support::{connect, postgres, private, soon, unique};
use crate::pg_listen::{Event, Limits, ListenError, listen};

const TENTH: Duration = Duration::from_millis(100);

const LIMITS: Limits = Limits {
    timeout: Duration::from_secs(60),
    check_interval: TENTH,
    reconnect_delay: TENTH,
};

/// A listener, and what it hears.
struct Listening {
    events: Receiver<Event>,
    name: String,
    task: JoinHandle<()>,
}

impl Listening {
    fn start(url: &str, name: String, capacity: usize, limits: Limits) -> Self {
        let mut config: Config = url.parse().expect("a URL");
        config.application_name(&name);
        let (sender, events) = channel(capacity);
        let task = tokio::spawn(listen(config, name.clone(), limits, sender));
        Self { events, name, task }
    }

    async fn next(&mut self) -> Event {
        soon(self.events.recv()).await.expect("it listens for ever")
    }

    /// Waits until it listens. Returns how often a connect has failed until then.
    async fn resync(&mut self) -> u32 {
        let mut failed = 0;
        let listens = async {
            loop {
                match self.next().await {
                    Event::Resync => return failed,
                    Event::Lost(_) => failed += 1,
                    Event::Notified(heard) => panic!("{heard:?}"),
                }
            }
        };
        soon(listens).await
    }

    async fn heard(&mut self) -> String {
        match self.next().await {
            Event::Notified(heard) => heard.payload().to_owned(),
            other => panic!("{other:?}"),
        }
    }

    /// Waits until it has read all that was sent to it: each check follows on the answer
    /// to the one before, which comes behind the notifications.
    async fn has_read_all(&self, client: &Client) {
        let sql = "SELECT max(query_start)::TEXT FROM pg_stat_activity
                   WHERE application_name = $1";
        let last = async || -> Option<String> {
            let row = client.query_one(sql, &[&self.name]).await;
            row.expect("it runs").get(0)
        };
        let three_more = async {
            for _ in 0..3 {
                let before = last().await;
                while last().await == before {
                    sleep(TENTH / 10).await;
                }
            }
        };
        soon(three_more).await;
    }

    /// Waits until the server has no connection of this name.
    async fn is_gone(&self, client: &Client) {
        let sql = "SELECT count(*) FROM pg_stat_activity WHERE application_name = $1";
        let gone = async {
            while client
                .query_one(sql, &[&self.name])
                .await
                .expect("it runs")
                .get::<_, i64>(0)
                > 0
            {
                sleep(TENTH / 10).await;
            }
        };
        soon(gone).await;
    }
}

async fn notify(client: &Client, name: &str, text: &str) {
    let sql = "SELECT pg_notify($1, $2)";
    client.execute(sql, &[&name, &text]).await.expect("it runs");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
#[cfg_attr(no_postgres, ignore = "postgresql is not installed")]
async fn each_of_many_is_heard_once_in_order() {
    let url = postgres().await;
    let mut listening = Listening::start(&url, unique("listen"), 1000, LIMITS);
    listening.resync().await;
    let mut senders = JoinSet::new();
    for sender in 0..8 {
        let (client, name) = (connect(&url).await, listening.name.clone());
        senders.spawn(async move {
            for number in 0..100 {
                notify(&client, &name, &format!("{sender} {number}")).await;
            }
        });
    }
    let mut next = [0; 8];
    for _ in 0..800 {
        let text = listening.heard().await;
        let (sender, number) = text.split_once(' ').expect("two words");
        let next = &mut next[sender.parse::<usize>().expect("a number")];
        assert_eq!(number.parse(), Ok(*next));
        *next += 1;
    }
    soon(senders.join_all()).await;
    assert_eq!(next, [100; 8]);
    assert!(timeout(2 * TENTH, listening.events.recv()).await.is_err());
}

#[tokio::test]
#[cfg_attr(no_postgres, ignore = "postgresql is not installed")]
async fn any_name_of_a_channel() {
    let url = postgres().await;
    let client = connect(&url).await;
    for name in ["Upper and space", "quotes \" ' \"\"", "select", "ü"] {
        let name = format!("{name} {}", unique(""));
        let mut listening = Listening::start(&url, name.clone(), 10, LIMITS);
        let first = listening.next().await;
        assert!(matches!(first, Event::Resync), "{name}: {first:?}");
        notify(&client, &name, name.trim()).await;
        assert_eq!(listening.heard().await, name.trim());
    }
}

#[tokio::test]
#[cfg_attr(no_postgres, ignore = "postgresql is not installed")]
async fn a_slow_receiver_is_told_to_read_the_table() {
    let url = postgres().await;
    let client = connect(&url).await;
    for capacity in [1, 2, 31] {
        let limits = Limits {
            check_interval: TENTH / 10,
            ..LIMITS
        };
        let mut listening = Listening::start(&url, unique("listen"), capacity, limits);
        listening.resync().await;
        for number in 0..1000 {
            notify(&client, &listening.name, &number.to_string()).await;
        }
        // It reads the answers of the server although nothing is received here.
        listening.has_read_all(&client).await;
        for number in 0..capacity {
            assert_eq!(listening.heard().await, number.to_string());
        }
        assert!(matches!(listening.next().await, Event::Resync));
        // There is room again.
        notify(&client, &listening.name, "last").await;
        assert_eq!(listening.heard().await, "last");
    }
}

#[tokio::test]
#[cfg_attr(no_postgres, ignore = "postgresql is not installed")]
async fn a_killed_server_that_comes_back() {
    let mut server = private(Kind::Postgres).await;
    let limits = Limits {
        reconnect_delay: TENTH / 10,
        ..LIMITS
    };
    let mut listening = Listening::start(&server.url(), unique("listen"), 10, limits);
    for _ in 0..3 {
        listening.resync().await;
        let client = connect(&server.url()).await;
        notify(&client, &listening.name, "x").await;
        assert_eq!(listening.heard().await, "x");
        server.kill();
        let start = Instant::now();
        for _ in 0..5 {
            let lost = listening.next().await;
            assert!(
                matches!(lost, Event::Lost(ListenError::Postgres(_))),
                "{lost:?}"
            );
        }
        assert!(start.elapsed() >= 4 * limits.reconnect_delay);
        server.restart().expect("it starts again");
    }
    listening.resync().await;
}

#[tokio::test]
#[cfg_attr(no_postgres, ignore = "postgresql is not installed")]
async fn a_server_that_hangs_is_noticed() {
    let server = private(Kind::Postgres).await;
    let limits = Limits {
        timeout: 3 * TENTH,
        ..LIMITS
    };
    let mut listening = Listening::start(&server.url(), unique("listen"), 10, limits);
    listening.resync().await;
    sleep(5 * TENTH).await;
    server.pause();
    let start = Instant::now();
    for _ in 0..2 {
        // First the check, then the connect.
        let lost = listening.next().await;
        assert!(
            matches!(lost, Event::Lost(ListenError::Timeout(_))),
            "{lost:?}"
        );
        assert!(start.elapsed() >= limits.timeout);
    }
    server.resume();
    listening.resync().await;
}

#[tokio::test]
#[cfg_attr(no_postgres, ignore = "postgresql is not installed")]
async fn it_ends_with_its_receiver_or_when_it_is_dropped() {
    let url = postgres().await;
    let client = connect(&url).await;
    for aborted in [false, true] {
        let mut listening = Listening::start(&url, unique("listen"), 1, LIMITS);
        listening.resync().await;
        for text in ["a", "b", "c"] {
            notify(&client, &listening.name, text).await;
        }
        match aborted {
            true => listening.task.abort(),
            false => listening.events.close(),
        }
        let ended = soon(&mut listening.task).await;
        assert_eq!(ended.is_err(), aborted);
        listening.is_gone(&client).await;
    }
    // While it waits to connect, and to tell that it cannot.
    for capacity in [1, 100] {
        let nobody = "postgres://x@127.0.0.1:1/x";
        let limits = Limits {
            reconnect_delay: Duration::ZERO,
            ..LIMITS
        };
        let mut listening = Listening::start(nobody, unique("listen"), capacity, limits);
        let lost = listening.next().await;
        assert!(
            matches!(lost, Event::Lost(ListenError::Postgres(_))),
            "{lost:?}"
        );
        sleep(TENTH).await;
        listening.events.close();
        soon(listening.task).await.expect("it does not panic");
    }
}

/// Before each gap comes a `Resync`, however fast the receiver is.
#[tokio::test]
#[cfg_attr(no_postgres, ignore = "postgresql is not installed")]
async fn no_gap_is_kept_secret() {
    let url = postgres().await;
    let mut listening = Listening::start(&url, unique("listen"), 1, LIMITS);
    listening.resync().await;
    let (client, name) = (connect(&url).await, listening.name.clone());
    let sending = tokio::spawn(async move {
        let sql = "SELECT pg_notify($1, n::TEXT) FROM generate_series($2::INT, $2 + 9) n";
        for first in 0..200 {
            client
                .execute(sql, &[&name, &(10 * first)])
                .await
                .expect("it runs");
        }
        // Some of these may be missed as well.
        loop {
            notify(&client, &name, "2000").await;
        }
    });
    let (mut expected, mut gaps, mut told) = (0, 0, false);
    while expected <= 2000 {
        match listening.next().await {
            Event::Resync => told = true,
            Event::Notified(heard) => {
                let number = heard.payload().parse::<i32>().expect("a number");
                assert!(number == expected || told, "{number} after {expected}");
                gaps += i32::from(number > expected);
                (expected, told) = (number + 1, false);
            }
            Event::Lost(error) => panic!("{error:?}"),
        }
    }
    sending.abort();
    assert!(gaps > 0, "it was never too slow");
}

#[tokio::test]
#[cfg_attr(no_postgres, ignore = "postgresql is not installed")]
async fn a_name_that_listen_would_cut_is_refused() {
    let url = postgres().await;
    let mut listening = Listening::start(&url, "x".repeat(63), 10, LIMITS);
    listening.resync().await;
    for name in [String::new(), "a\0b".to_owned(), "x".repeat(64)] {
        let config = url.parse().expect("a URL");
        let (sender, _events) = channel(1);
        let listening = tokio::spawn(listen(config, name.clone(), LIMITS, sender));
        let ended = soon(listening).await;
        assert!(ended.is_err_and(|error| error.is_panic()), "{name:?}");
    }
}

/// The second trap.
#[tokio::test]
#[cfg_attr(no_postgres, ignore = "postgresql is not installed")]
async fn equal_notifications_of_one_transaction_are_sent_once() {
    let url = postgres().await;
    let client = connect(&url).await;
    let mut listening = Listening::start(&url, unique("listen"), 10, LIMITS);
    listening.resync().await;
    for transaction in [&["a", "a", "b", "a"][..], &["a"]] {
        client.batch_execute("BEGIN").await.expect("it runs");
        for text in transaction {
            notify(&client, &listening.name, text).await;
        }
        client.batch_execute("COMMIT").await.expect("it runs");
    }
    for expected in ["a", "b", "a"] {
        assert_eq!(listening.heard().await, expected);
    }
}
