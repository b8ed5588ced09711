use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering::SeqCst};
use std::time::Duration;

use futures::{Stream, StreamExt, TryStreamExt, stream};
use servers::Kind;
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};
use tokio_postgres::config::Host;
use tokio_postgres::{Client, Config, NoTls};
use tokio_util::io::InspectReader;

use super::support::{poll_and_drop, postgres, private, soon, unique};
use crate::pg_copy::{Reading, load, store};

const MANY: i64 = 200_000;

#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("the source broke")]
    Source,
    #[error("{}", .0.as_db_error().map_or_else(|| .0.to_string(), ToString::to_string))]
    Postgres(#[from] tokio_postgres::Error),
}

async fn connect_to(url: &str, schema: &str) -> Client {
    let mut config: Config = url.parse().expect("a URL");
    config.options(format!("-c search_path={schema}"));
    let (client, connection) = config.connect(NoTls).await.expect("it runs");
    tokio::spawn(connection);
    client
}

/// An empty table in a schema of its own.
struct Table {
    url: String,
    schema: String,
    client: Client,
}

impl Table {
    async fn new() -> Self {
        Self::at(postgres().await).await
    }

    async fn at(url: String) -> Self {
        let schema = unique("copy");
        let client = connect_to(&url, &schema).await;
        let sql = format!(
            "CREATE SCHEMA {schema};
             CREATE TABLE {schema}.readings
                 (sensor BIGINT PRIMARY KEY, value DOUBLE PRECISION, note TEXT)"
        );
        client.batch_execute(&sql).await.expect("it runs");
        Self {
            url,
            schema,
            client,
        }
    }

    async fn connect(&self) -> Client {
        connect_to(&self.url, &self.schema).await
    }

    async fn count(&self) -> i64 {
        let sql = "SELECT count(*) FROM readings";
        let row = soon(self.client.query_one(sql, &[])).await;
        row.expect("it runs").get(0)
    }

    async fn end(self) {
        let sql = format!("DROP SCHEMA {} CASCADE", self.schema);
        self.client.batch_execute(&sql).await.expect("it runs");
    }
}

fn reading(sensor: i64) -> Reading {
    Reading {
        sensor,
        value: sensor as f64 / 2.0,
        note: (sensor % 2 == 0).then(|| format!("note\t\\N {sensor}\n")),
    }
}

fn readings(count: i64) -> impl Stream<Item = Result<Reading, Failure>> {
    stream::iter(1..=count).map(|sensor| Ok(reading(sensor)))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[cfg_attr(no_postgres, ignore = "postgresql is not installed")]
async fn rows_of_any_number_come_back() {
    for count in [0, 1, 31, 129, 1000, MANY] {
        let table = Table::new().await;
        let stored = store(&table.client, readings(count)).await;
        assert_eq!(stored.expect("it runs"), count as u64);
        let mut rows = pin!(load(&table.client).await.expect("it runs"));
        let mut expected = 1;
        while let Some(row) = soon(rows.try_next()).await.expect("it runs") {
            assert_eq!(row, reading(expected));
            expected += 1;
        }
        assert_eq!(expected, count + 1);
        table.end().await;
    }
}

/// The first trap of the header: a row is refused, wherever it is, and none is stored.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[cfg_attr(no_postgres, ignore = "postgresql is not installed")]
async fn one_row_that_is_refused_stores_none() {
    let table = Table::new().await;
    store(&table.client, readings(1)).await.expect("it runs");
    for place in [0, 1000, 20_000] {
        let asked = AtomicI64::new(0);
        let rows = stream::iter(0..=20_000).map(|number| {
            asked.fetch_add(1, SeqCst);
            Ok(reading(if number == place { 1 } else { number + 2 }))
        });
        let refused = soon(store::<Failure>(&table.client, rows)).await;
        let said = refused.expect_err("it is refused").to_string();
        assert!(said.contains("duplicate key value"), "{said}");
        // All were sent before.
        assert_eq!((asked.load(SeqCst), table.count().await), (20_001, 1));
    }
    table.end().await;
}

#[tokio::test]
#[cfg_attr(no_postgres, ignore = "postgresql is not installed")]
async fn a_source_that_breaks_stores_none() {
    let table = Table::new().await;
    for before in [0, 1, 20_000] {
        let broken = stream::once(async { Err(Failure::Source) });
        let ended = store(&table.client, readings(before).chain(broken)).await;
        assert!(matches!(ended, Err(Failure::Source)), "{ended:?}");
        assert_eq!(table.count().await, 0);
    }
    table.end().await;
}

/// A source that never ends waits for a server that is blocked: it is asked for few rows.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[cfg_attr(no_postgres, ignore = "postgresql is not installed")]
async fn a_slow_server_slows_the_source() {
    let table = Table::new().await;
    let mut locker = table.connect().await;
    let lock = locker.transaction().await.expect("it runs");
    // Its first row waits for this one.
    let sql = "INSERT INTO readings (sensor) VALUES (1)";
    lock.execute(sql, &[]).await.expect("it runs");
    let asked = AtomicI64::new(0);
    let endless = stream::iter(1..).map(|sensor| {
        asked.fetch_add(1, SeqCst);
        Ok::<_, Failure>(Reading {
            note: Some("x".repeat(1000)),
            ..reading(sensor)
        })
    });
    let storing = timeout(Duration::from_secs(3), store(&table.client, endless));
    assert!(storing.await.is_err());
    // Buffers of the kernel hold megabytes. Without a limit it would be hundreds.
    let asked = asked.load(SeqCst);
    assert!(asked < 60_000, "{asked}");
    lock.rollback().await.expect("it runs");
    assert_eq!(table.count().await, 0);
    table.end().await;
}

/// A reader that does not read: the server waits, and little is in memory.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[cfg_attr(no_postgres, ignore = "postgresql is not installed")]
async fn a_slow_reader_slows_the_server() {
    let table = Table::new().await;
    let sql = "INSERT INTO readings SELECT n, n, repeat('x', 1000)
               FROM generate_series(1, 100000) n";
    table.client.batch_execute(sql).await.expect("it runs");
    let reader = table.connect().await;
    let mut rows = Box::pin(load(&reader).await.expect("it runs"));
    assert!(soon(rows.try_next()).await.expect("it runs").is_some());
    // The server sends no more until somebody reads.
    let sql = "SELECT count(*) FROM pg_stat_activity
               WHERE wait_event = 'ClientWrite' AND query LIKE '%TO STDOUT BINARY%'";
    let waits = async {
        let count = async || {
            let row = table.client.query_one(sql, &[]).await;
            row.expect("it runs").get::<_, i64>(0)
        };
        while count().await == 0 {
            sleep(Duration::from_millis(1)).await;
        }
    };
    soon(waits).await;
    let rest = soon(rows.as_mut().try_fold(1, async |count, _| Ok(count + 1))).await;
    assert_eq!(rest.expect("it runs"), 100_000);
    table.end().await;
}

/// The second trap of the header: the connection is whole after the rest.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[cfg_attr(no_postgres, ignore = "postgresql is not installed")]
async fn a_reader_that_stops_leaves_the_connection_whole() {
    let table = Table::new().await;
    store(&table.client, readings(20_000))
        .await
        .expect("it runs");
    for reads in [0, 1, 31] {
        let mut rows = Box::pin(load(&table.client).await.expect("it runs"));
        for sensor in 1..=reads {
            let row = rows.try_next().await.expect("it runs");
            assert_eq!(row, Some(reading(sensor)));
        }
        drop(rows);
        assert_eq!(table.count().await, 20_000);
    }
    table.end().await;
}

/// The second trap of the header: the rest comes before the next answer, and not with
/// LIMIT.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[cfg_attr(no_postgres, ignore = "postgresql is not installed")]
async fn after_a_reader_that_stops_the_rest_is_sent() {
    let table = Table::new().await;
    let sql = "INSERT INTO readings SELECT n, n, repeat('x', 1000)
               FROM generate_series(1, 20000) n";
    table.client.batch_execute(sql).await.expect("it runs");
    let mut config: Config = table.url.parse().expect("a URL");
    config.options(format!("-c search_path={}", table.schema));
    let [Host::Tcp(host)] = config.get_hosts() else {
        panic!("{config:?}");
    };
    let address = (host.as_str(), config.get_ports()[0]);
    let stream = TcpStream::connect(address).await.expect("it runs");
    let received = Arc::new(AtomicI64::new(0));
    let count = Arc::clone(&received);
    let stream = InspectReader::new(stream, move |bytes: &[u8]| {
        count.fetch_add(bytes.len() as i64, SeqCst);
    });
    let connected = config.connect_raw(stream, NoTls).await;
    let (client, connection) = connected.expect("it runs");
    tokio::spawn(connection);
    let mut rows = Box::pin(load(&client).await.expect("it runs"));
    assert!(soon(rows.try_next()).await.expect("it runs").is_some());
    drop(rows);
    let next = soon(client.query_one("SELECT 42", &[])).await;
    assert_eq!(next.expect("it runs").get::<_, i32>(0), 42);
    let all = received.swap(0, SeqCst);
    assert!(all > 20_000 * 1000, "{all}");
    let few = "COPY (SELECT * FROM readings LIMIT 1) TO STDOUT BINARY";
    let mut rows = Box::pin(client.copy_out(few).await.expect("it runs"));
    assert!(soon(rows.try_next()).await.expect("it runs").is_some());
    drop(rows);
    let next = soon(client.query_one("SELECT 42", &[])).await;
    assert_eq!(next.expect("it runs").get::<_, i32>(0), 42);
    let all = received.load(SeqCst);
    assert!(all < 10_000, "{all}");
    table.end().await;
}

#[tokio::test]
#[cfg_attr(no_postgres, ignore = "postgresql is not installed")]
async fn dropped_at_each_await_nothing_is_stored() {
    let table = Table::new().await;
    let (mut dropped, mut done) = (0, 0);
    for polls in 0..40 {
        let rows = readings(5).then(async |row| {
            sleep(Duration::from_millis(1)).await;
            row
        });
        let stored = poll_and_drop(store(&table.client, rows), polls).await;
        dropped += usize::from(stored.is_none());
        let count = table.count().await;
        match stored {
            Some(stored) => assert_eq!((stored.expect("it runs"), count), (5, 5)),
            // During `finish` all of it may be stored.
            None => assert!([0, 5].contains(&count), "{count}"),
        }
        done += usize::from(count > 0);
        let sql = "DELETE FROM readings";
        table.client.batch_execute(sql).await.expect("it runs");
        poll_and_drop(load(&table.client), polls).await;
    }
    assert!(dropped > 3 && done > 0, "{dropped} dropped, {done} done");
    table.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[cfg_attr(no_postgres, ignore = "postgresql is not installed")]
async fn a_killed_server_stores_all_or_none() {
    let mut server = private(Kind::Postgres).await;
    let mut table = Table::at(server.url()).await;
    for round in 0..3 {
        let begun = AtomicI64::new(0);
        let endless = stream::iter(1..).map(|sensor| {
            begun.store(sensor, SeqCst);
            Ok::<_, Failure>(reading(sensor))
        });
        let kill = async {
            while begun.load(SeqCst) < 1000 * round {
                sleep(Duration::from_millis(1)).await;
            }
            server.kill();
        };
        let (ended, ()) =
            soon(async { tokio::join!(store(&table.client, endless), kill) }).await;
        assert!(matches!(ended, Err(Failure::Postgres(_))), "{ended:?}");
        server.restart().expect("it starts again");
        table.client = table.connect().await;
        assert_eq!(table.count().await, 0);
    }
    store(&table.client, readings(100_000))
        .await
        .expect("it runs");
    let mut rows = Box::pin(load(&table.client).await.expect("it runs"));
    assert!(soon(rows.try_next()).await.expect("it runs").is_some());
    server.kill();
    // Not a short table: an error.
    let ended = soon(rows.try_for_each(async |_| Ok(()))).await;
    ended.expect_err("the server was killed");
}
