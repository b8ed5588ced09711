use std::collections::BTreeSet;
use std::env;
use std::io::{BufRead as _, BufReader};
use std::pin::pin;
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use servers::Kind;
use tokio::task::{JoinSet, yield_now};
use tokio::time::{error::Elapsed, sleep, timeout};
use tokio_postgres::{Client, Config, NoTls};

use super::support::{
    CuttingProxy, child_of, poll_and_drop, postgres, private, soon, unique,
};
use crate::pg_outbox::{Event, Relay, add_event, create_tables, is_new};

const TICK: Duration = Duration::from_millis(1);
const MINUTE: Duration = Duration::from_secs(60);
/// Tells the child process where to work.
const URL: &str = "PG_OUTBOX_TEST_URL";
const SCHEMA: &str = "PG_OUTBOX_TEST_SCHEMA";

const RELAY: Relay = Relay {
    batch: 7,
    limit: MINUTE,
};

#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("the broker is down")]
    Broker,
    #[error(transparent)]
    Elapsed(#[from] Elapsed),
    #[error(transparent)]
    Postgres(#[from] tokio_postgres::Error),
}

async fn connect_to(url: &str, schema: &str) -> Client {
    let mut config: Config = url.parse().expect("a URL");
    config.options(format!("-c search_path={schema}"));
    let (client, connection) = config.connect(NoTls).await.expect("it runs");
    tokio::spawn(connection);
    client
}

/// What a broker has received, in this process.
#[derive(Clone, Debug, Default)]
struct Broker(Arc<Mutex<Vec<i64>>>);

impl Broker {
    fn publish(&self, event: &Event) {
        self.0.lock().expect("no panic").push(event.id);
    }

    fn received(&self) -> Vec<i64> {
        self.0.lock().expect("no panic").clone()
    }
}

/// Tables in a schema of their own. A change is an order.
struct Outbox {
    url: String,
    schema: String,
    client: Client,
}

impl Outbox {
    async fn new() -> Self {
        Self::at(postgres().await).await
    }

    async fn at(url: String) -> Self {
        let schema = unique("outbox");
        let client = connect_to(&url, &schema).await;
        let sql = format!(
            "CREATE SCHEMA {schema};
             CREATE TABLE {schema}.orders (id BIGINT PRIMARY KEY);
             CREATE TABLE {schema}.effects (event BIGINT);
             CREATE TABLE {schema}.broker
                 (number BIGINT GENERATED ALWAYS AS IDENTITY, event BIGINT)"
        );
        client.batch_execute(&sql).await.expect("it runs");
        create_tables(&client).await.expect("it runs");
        Self {
            url,
            schema,
            client,
        }
    }

    async fn connect(&self) -> Client {
        connect_to(&self.url, &self.schema).await
    }

    async fn add(&self, events: i32) {
        let sql = "INSERT INTO outbox (payload)
                   SELECT 'x' FROM generate_series(1, $1::INT)";
        self.client.execute(sql, &[&events]).await.expect("it runs");
    }

    async fn numbers(&self, sql: &str) -> Vec<i64> {
        let rows = self.client.query(sql, &[]).await.expect("it runs");
        rows.iter().map(|row| row.get(0)).collect()
    }

    async fn waiting(&self) -> Vec<i64> {
        self.numbers("SELECT id FROM outbox ORDER BY id").await
    }

    async fn end(self) {
        let sql = format!("DROP SCHEMA {} CASCADE", self.schema);
        self.client.batch_execute(&sql).await.expect("it runs");
    }
}

/// Stores an order with its event, and returns the event's id.
async fn order(client: &mut Client) -> Result<i64, tokio_postgres::Error> {
    let transaction = client.transaction().await?;
    let id = add_event(&transaction, "x").await?;
    let sql = "INSERT INTO orders VALUES ($1)";
    transaction.execute(sql, &[&id]).await?;
    transaction.commit().await?;
    Ok(id)
}

/// Publishes all that waits.
async fn drain(client: &mut Client, broker: &Broker) {
    let publish = |event: Event| async move {
        broker.publish(&event);
        Ok::<(), Failure>(())
    };
    let draining = async {
        while RELAY.publish_batch(client, publish).await.expect("it runs") > 0 {}
    };
    soon(draining).await;
}

/// Handles an event with its effect, and returns whether it was new.
async fn handle(client: &mut Client, event: i64) -> Result<bool, tokio_postgres::Error> {
    let transaction = client.transaction().await?;
    let new = is_new(&transaction, "test", event).await?;
    if new {
        let sql = "INSERT INTO effects VALUES ($1)";
        transaction.execute(sql, &[&event]).await?;
    }
    transaction.commit().await?;
    Ok(new)
}

/// The first delivery of each event.
fn first_deliveries(received: &[i64]) -> Vec<i64> {
    let mut seen = BTreeSet::new();
    let first = |id: &i64| seen.insert(*id);
    received.iter().copied().filter(first).collect()
}

#[tokio::test]
#[cfg_attr(no_postgres, ignore = "postgresql is not installed")]
async fn events_of_any_number_come_once_and_in_order() {
    for events in [0, 1, 31, 1000] {
        let mut outbox = Outbox::new().await;
        outbox.add(events).await;
        let broker = Broker::default();
        drain(&mut outbox.client, &broker).await;
        let all: Vec<_> = (1..=i64::from(events)).collect();
        assert_eq!((broker.received(), outbox.waiting().await), (all, vec![]));
        outbox.end().await;
    }
}

#[tokio::test]
#[cfg_attr(no_postgres, ignore = "postgresql is not installed")]
async fn batches_of_any_size() {
    for (batch, expected) in [(0, 0), (1, 1), (3, 3), (4, 4), (u32::MAX, 4)] {
        let mut outbox = Outbox::new().await;
        outbox.add(4).await;
        for limit in [Duration::MAX, MINUTE] {
            let relay = Relay { batch, limit };
            let mut count = 0;
            let publish = |_| {
                count += 1;
                async { Err::<(), _>(Failure::Broker) }
            };
            let ended = relay.publish_batch(&mut outbox.client, publish).await;
            assert_eq!((ended.is_ok(), count), (batch == 0, batch.min(1)));
        }
        let relay = Relay { batch, ..RELAY };
        let publish = |_| async { Ok::<(), Failure>(()) };
        let ended = relay.publish_batch(&mut outbox.client, publish).await;
        assert_eq!(ended.expect("it runs"), expected);
        assert_eq!(outbox.waiting().await.len(), 4 - expected);
        outbox.end().await;
    }
}

/// Writers that change one row, and relays on many connections: never two at the same time.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
#[cfg_attr(no_postgres, ignore = "postgresql is not installed")]
async fn many_relays_keep_the_order_of_the_changes() {
    let outbox = Outbox::new().await;
    let sql = "CREATE TABLE counters (value BIGINT); INSERT INTO counters VALUES (0)";
    outbox.client.batch_execute(sql).await.expect("it runs");
    let mut writers = JoinSet::new();
    for _ in 0..4 {
        let mut client = outbox.connect().await;
        writers.spawn(async move {
            for _ in 0..50 {
                let transaction = client.transaction().await.expect("it runs");
                let sql = "UPDATE counters SET value = value + 1 RETURNING value";
                let row = transaction.query_one(sql, &[]).await.expect("it runs");
                let value = row.get::<_, i64>(0).to_string();
                add_event(&transaction, &value).await.expect("it runs");
                transaction.commit().await.expect("it runs");
            }
        });
    }
    let received = Arc::new(Mutex::new(Vec::new()));
    let (publishing, worked) = (Arc::new(AtomicBool::new(false)), AtomicI64::new(0));
    let worked = Arc::new(worked);
    let mut relays = JoinSet::new();
    for _ in 0..4 {
        let mut client = outbox.connect().await;
        let (received, publishing) = (Arc::clone(&received), Arc::clone(&publishing));
        let worked = Arc::clone(&worked);
        relays.spawn(async move {
            loop {
                let publish = |event: Event| {
                    let (received, publishing) = (&received, &publishing);
                    async move {
                        assert!(!publishing.swap(true, SeqCst), "two relays publish");
                        yield_now().await;
                        let value: i64 = event.payload.parse().expect("a number");
                        received.lock().expect("no panic").push(value);
                        publishing.store(false, SeqCst);
                        Ok::<(), Failure>(())
                    }
                };
                let ended = RELAY.publish_batch(&mut client, publish).await;
                let count = ended.expect("it runs");
                if worked.fetch_add(count as i64, SeqCst) + count as i64 >= 200 {
                    return;
                }
                sleep(TICK).await;
            }
        });
    }
    soon(writers.join_all()).await;
    soon(relays.join_all()).await;
    let received = received.lock().expect("no panic").clone();
    assert_eq!(received, (1..=200).collect::<Vec<i64>>());
    outbox.end().await;
}

/// Not a test by itself: the relay that is killed. Its broker is a table.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn child() {
    let (Ok(url), Ok(schema)) = (env::var(URL), env::var(SCHEMA)) else {
        return;
    };
    let mut client = connect_to(&url, &schema).await;
    let broker = connect_to(&url, &schema).await;
    std::println!("begun");
    let relaying = async {
        loop {
            let publish = |event: Event| {
                let broker = &broker;
                async move {
                    let sql = "INSERT INTO broker (event) VALUES ($1)";
                    broker.execute(sql, &[&event.id]).await?;
                    Ok::<(), Failure>(())
                }
            };
            RELAY.publish_batch(&mut client, publish).await?;
        }
    };
    let _: Result<Result<(), Failure>, _> = timeout(2 * MINUTE, relaying).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[cfg_attr(no_postgres, ignore = "postgresql is not installed")]
async fn killed_at_any_moment_relays_lose_no_event() {
    let mut outbox = Outbox::new().await;
    let (mut rounds, mut random) = (0, 1_u32);
    // How soon a process works, depends on what else this machine does.
    while rounds < 100 {
        rounds += 1;
        outbox.add(50).await;
        let mut child = child_of(module_path!())
            .env(URL, &outbox.url)
            .env(SCHEMA, &outbox.schema)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("it starts");
        let output = child.stdout.take().expect("it is piped");
        let mut lines = BufReader::new(output).lines();
        let begun = |line: Result<String, _>| line.is_ok_and(|l| l.contains("begun"));
        assert!(lines.any(begun), "it begins");
        random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        thread::sleep(Duration::from_micros(u64::from(random >> 17)));
        child.kill().expect("it can be killed");
        let ended = child.wait().expect("it has ended");
        assert_eq!(ended.code(), None, "it did not end by itself");
        let sql = "SELECT count(*) - count(DISTINCT event) FROM broker";
        if rounds >= 10 && outbox.numbers(sql).await[0] >= 5 {
            break;
        }
    }
    // The server may still be about to notice that the last relay is gone.
    let relaying = async {
        let broker = outbox.connect().await;
        while !outbox.waiting().await.is_empty() {
            let publish = |event: Event| {
                let broker = &broker;
                async move {
                    let sql = "INSERT INTO broker (event) VALUES ($1)";
                    broker.execute(sql, &[&event.id]).await?;
                    Ok::<(), Failure>(())
                }
            };
            let ended = RELAY.publish_batch(&mut outbox.client, publish).await;
            ended.expect("it runs");
        }
    };
    soon(relaying).await;
    let received = outbox
        .numbers("SELECT event FROM broker ORDER BY number")
        .await;
    let all: Vec<_> = (1..=50 * rounds).collect();
    assert!(received.len() > all.len(), "some have come again");
    assert_eq!(first_deliveries(&received), all);
    for event in received {
        handle(&mut outbox.client, event).await.expect("it runs");
    }
    let effects = outbox.numbers("SELECT event FROM effects ORDER BY event");
    assert_eq!(effects.await, all);
    outbox.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[cfg_attr(no_postgres, ignore = "postgresql is not installed")]
async fn a_killed_server_leaves_whole_orders() {
    let mut server = private(Kind::Postgres).await;
    let outbox = Outbox::at(server.url()).await;
    let broker = Broker::default();
    let stored = Broker::default();
    for round in 1..=5 {
        let mut tasks = JoinSet::new();
        for _ in 0..2 {
            let (mut client, stored) = (outbox.connect().await, stored.clone());
            tasks.spawn(async move {
                loop {
                    let id = order(&mut client).await?;
                    let payload = String::new();
                    stored.publish(&Event { id, payload });
                }
            });
            let (mut client, broker) = (outbox.connect().await, broker.clone());
            tasks.spawn(async move {
                loop {
                    let publish = |event: Event| {
                        broker.publish(&event);
                        async { Ok::<(), Failure>(()) }
                    };
                    match RELAY.publish_batch(&mut client, publish).await {
                        Ok(_) => {}
                        Err(Failure::Postgres(error)) => return Err(error),
                        Err(error) => panic!("{error:?}"),
                    }
                }
            });
        }
        let work = async {
            while stored.received().len() < 20 * round {
                sleep(TICK).await;
            }
        };
        soon(work).await;
        server.kill();
        for ended in soon(tasks.join_all()).await {
            let _: tokio_postgres::Error = Result::<(), _>::expect_err(ended, "killed");
        }
        server.restart().expect("it starts again");
    }
    let client = outbox.connect().await;
    let mut outbox = Outbox { client, ..outbox };
    drain(&mut outbox.client, &broker).await;
    assert!(outbox.waiting().await.is_empty());
    let orders = outbox.numbers("SELECT id FROM orders").await;
    let orders: BTreeSet<_> = orders.into_iter().collect();
    let received: BTreeSet<_> = broker.received().into_iter().collect();
    assert_eq!(received, orders);
    let stored: BTreeSet<_> = stored.received().into_iter().collect();
    assert!(stored.is_subset(&orders));
}

#[tokio::test]
#[cfg_attr(no_postgres, ignore = "postgresql is not installed")]
async fn dropped_at_each_await_all_is_whole() {
    let mut outbox = Outbox::new().await;
    let mut client = outbox.connect().await;
    let broker = Broker::default();
    let mut dropped = [0; 3];
    for polls in 0..30 {
        let ended = poll_and_drop(order(&mut client), polls).await;
        dropped[0] += usize::from(ended.is_none());
        order(&mut client).await.expect("it runs");
        let publish = |event: Event| {
            let broker = &broker;
            async move {
                sleep(TICK).await;
                broker.publish(&event);
                sleep(TICK).await;
                Ok::<(), Failure>(())
            }
        };
        let relaying = RELAY.publish_batch(&mut client, publish);
        dropped[1] += usize::from(poll_and_drop(relaying, polls).await.is_none());
        // At once: the connection is as good as new, and the lock is free.
        drain(&mut client, &broker).await;
        assert!(outbox.waiting().await.is_empty());
        let event = *broker.received().last().expect("there is one");
        let ended = poll_and_drop(handle(&mut client, event), polls).await;
        dropped[2] += usize::from(ended.is_none());
        handle(&mut client, event).await.expect("it runs");
        let sql = "SELECT count(*) FROM effects WHERE event = $1";
        let row = outbox.client.query_one(sql, &[&event]).await;
        assert_eq!(row.expect("it runs").get::<_, i64>(0), 1);
    }
    assert!(dropped.iter().all(|times| *times > 3), "{dropped:?}");
    let orders = outbox.numbers("SELECT id FROM orders ORDER BY id").await;
    assert_eq!(first_deliveries(&broker.received()), orders);
    drain(&mut outbox.client, &broker).await;
    outbox.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
#[cfg_attr(no_postgres, ignore = "postgresql is not installed")]
async fn repeats_are_handled_once() {
    let outbox = Outbox::new().await;
    let mut consumers = JoinSet::new();
    for _ in 0..8 {
        let mut client = outbox.connect().await;
        consumers.spawn(async move {
            let mut new = 0;
            for event in (1..=50).chain(1..=50) {
                new += i32::from(handle(&mut client, event).await.expect("it runs"));
            }
            new
        });
    }
    let new = soon(consumers.join_all()).await;
    assert_eq!(new.iter().sum::<i32>(), 50);
    let effects = outbox.numbers("SELECT event FROM effects ORDER BY event");
    assert_eq!(effects.await, (1..=50).collect::<Vec<_>>());
    outbox.end().await;
}

/// An effect that fails is tried again, and each consumer has effects of its own.
#[tokio::test]
#[cfg_attr(no_postgres, ignore = "postgresql is not installed")]
async fn an_event_is_new_until_a_commit() {
    let mut outbox = Outbox::new().await;
    for commits in [false, true] {
        for consumer in ["mail", "shipping"] {
            let transaction = outbox.client.transaction().await.expect("it runs");
            let new = is_new(&transaction, consumer, i64::MAX).await;
            assert!(new.expect("it runs"), "{consumer}");
            let again = is_new(&transaction, consumer, i64::MAX).await;
            assert!(!again.expect("it runs"), "{consumer}");
            match commits {
                true => transaction.commit().await,
                false => transaction.rollback().await,
            }
            .expect("it runs");
        }
    }
    let transaction = outbox.client.transaction().await.expect("it runs");
    let new = is_new(&transaction, "mail", i64::MAX).await;
    assert!(!new.expect("it runs"));
    transaction.rollback().await.expect("it runs");
    outbox.end().await;
}

#[tokio::test]
#[cfg_attr(no_postgres, ignore = "postgresql is not installed")]
async fn an_event_that_fails_stops_those_after_it() {
    let mut outbox = Outbox::new().await;
    outbox.add(5).await;
    let broker = Broker::default();
    for hangs in [false, true] {
        // The second time with a broker that hangs.
        let relay = Relay {
            limit: if hangs { 3000 * TICK } else { MINUTE },
            ..RELAY
        };
        let publish = |event: Event| {
            let broker = &broker;
            async move {
                if event.id != 3 {
                    broker.publish(&event);
                    return Ok(());
                }
                if hangs {
                    std::future::pending::<()>().await;
                }
                Err(Failure::Broker)
            }
        };
        let relaying = relay.publish_batch(&mut outbox.client, publish);
        match soon(relaying).await.expect_err("it fails") {
            Failure::Broker => assert!(!hangs),
            Failure::Elapsed(_) => assert!(hangs),
            Failure::Postgres(error) => panic!("{error:?}"),
        }
        assert_eq!(outbox.waiting().await, [3, 4, 5]);
        assert_eq!(broker.received(), [1, 2]);
    }
    drain(&mut outbox.client, &broker).await;
    assert_eq!(broker.received(), [1, 2, 3, 4, 5]);
    outbox.end().await;
}

/// A relay that is polled no more holds the lock until the server ends its connection.
#[tokio::test]
#[cfg_attr(no_postgres, ignore = "postgresql is not installed")]
async fn a_relay_that_hangs_loses_the_lock() {
    let mut outbox = Outbox::new().await;
    outbox.add(2).await;
    let mut client = outbox.connect().await;
    let relay = Relay {
        limit: 1000 * TICK,
        ..RELAY
    };
    let begun = AtomicBool::new(false);
    let publish = |_| {
        begun.store(true, SeqCst);
        std::future::pending::<Result<(), Failure>>()
    };
    let mut hangs = Box::pin(relay.publish_batch(&mut client, publish));
    let first = async {
        while !begun.load(SeqCst) {
            assert!(futures::poll!(pin!(&mut hangs)).is_pending());
            yield_now().await;
        }
    };
    soon(first).await;
    let broker = Broker::default();
    let second = async {
        while !outbox.waiting().await.is_empty() {
            drain(&mut outbox.client, &broker).await;
        }
    };
    soon(second).await;
    assert_eq!(broker.received(), [1, 2]);
    // It wakes, too late.
    let late = soon(hangs).await.expect_err("it has lost its connection");
    assert!(matches!(late, Failure::Postgres(_)), "{late:?}");
    outbox.end().await;
}

/// The first trap of the header: event 2 is committed before event 1.
#[tokio::test]
#[cfg_attr(no_postgres, ignore = "postgresql is not installed")]
async fn an_event_that_is_committed_late_is_published() {
    let mut outbox = Outbox::new().await;
    let mut writer = outbox.connect().await;
    let late = writer.transaction().await.expect("it runs");
    assert_eq!(add_event(&late, "late").await.expect("it runs"), 1);
    let early = outbox.client.transaction().await.expect("it runs");
    assert_eq!(add_event(&early, "early").await.expect("it runs"), 2);
    early.commit().await.expect("it runs");
    let broker = Broker::default();
    drain(&mut outbox.client, &broker).await;
    assert_eq!(broker.received(), [2]);
    late.commit().await.expect("it runs");
    // What a relay would find that remembers the last id.
    let after = outbox.numbers("SELECT id FROM outbox WHERE id > 2").await;
    assert!(after.is_empty());
    drain(&mut outbox.client, &broker).await;
    assert_eq!(broker.received(), [2, 1]);
    outbox.end().await;
}

/// The second trap of the header.
#[tokio::test]
#[cfg_attr(no_postgres, ignore = "postgresql is not installed")]
async fn skip_locked_loses_the_order() {
    let mut outbox = Outbox::new().await;
    outbox.add(2).await;
    let mut client = outbox.connect().await;
    let first = client.transaction().await.expect("it runs");
    let sql = "SELECT id FROM outbox ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED";
    let row = first.query_one(sql, &[]).await.expect("it runs");
    assert_eq!(row.get::<_, i64>(0), 1);
    assert_eq!(outbox.numbers(sql).await, [2]);
    first.rollback().await.expect("it runs");
    // With the lock, the second relay publishes nothing while the first one does.
    let (broker, none) = (Broker::default(), Broker::default());
    let second = tokio::sync::Mutex::new(&mut outbox.client);
    let publish = |event: Event| {
        let (broker, none, second) = (&broker, &none, &second);
        async move {
            drain(*second.lock().await, none).await;
            broker.publish(&event);
            Ok::<(), Failure>(())
        }
    };
    let ended = RELAY.publish_batch(&mut client, publish).await;
    assert_eq!(ended.expect("it runs"), 2);
    assert_eq!((broker.received(), none.received()), (vec![1, 2], vec![]));
    outbox.end().await;
}

#[tokio::test]
#[cfg_attr(no_postgres, ignore = "postgresql is not installed")]
async fn an_order_that_is_rolled_back_has_no_event() {
    let mut outbox = Outbox::new().await;
    for commits in [false, true] {
        let transaction = outbox.client.transaction().await.expect("it runs");
        add_event(&transaction, "x").await.expect("it runs");
        if commits {
            transaction.commit().await.expect("it runs");
        } else {
            transaction.rollback().await.expect("it runs");
        }
        assert_eq!(outbox.waiting().await.len(), usize::from(commits));
    }
    outbox.end().await;
}

/// Without the lock, programs that start at the same time fail.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
#[cfg_attr(no_postgres, ignore = "postgresql is not installed")]
async fn many_programs_create_the_tables() {
    let url = postgres().await;
    for _ in 0..30 {
        let schema = unique("outbox");
        let client = connect_to(&url, &schema).await;
        let sql = format!("CREATE SCHEMA {schema}");
        client.batch_execute(&sql).await.expect("it runs");
        let mut programs = JoinSet::new();
        for _ in 0..8 {
            let client = connect_to(&url, &schema).await;
            programs.spawn(async move { create_tables(&client).await });
        }
        for created in soon(programs.join_all()).await {
            created.expect("they take turns");
        }
        let sql = format!("DROP SCHEMA {schema} CASCADE");
        client.batch_execute(&sql).await.expect("it runs");
    }
}

/// Each statement of a round may be the one that gets no answer.
#[tokio::test]
#[cfg_attr(no_postgres, ignore = "postgresql is not installed")]
async fn a_round_ends_although_the_server_is_silent() {
    let outbox = Outbox::new().await;
    outbox.add(1).await;
    let relay = Relay {
        limit: 200 * TICK,
        ..RELAY
    };
    for before_the_round in [true, false] {
        let proxy = CuttingProxy::start(&outbox.url).await;
        let mut client = connect_to(proxy.url(), &outbox.schema).await;
        if before_the_round {
            proxy.silence();
        }
        let publish = |_| {
            proxy.silence();
            async { Ok::<(), Failure>(()) }
        };
        let ended = soon(relay.publish_batch(&mut client, publish)).await;
        assert!(matches!(ended, Err(Failure::Elapsed(_))), "{ended:?}");
        assert_eq!(outbox.waiting().await, [1]);
    }
    outbox.end().await;
}
