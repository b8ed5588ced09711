//! Change data and publish an event about it: none is lost, and each has one effect.
//!
//! If you commit and then publish, a crash in between loses the event. So one
//! transaction stores the change and, in a table (the outbox), its event. A relay, a
//! separate loop, publishes the event and then deletes it. If the relay is killed in
//! between, the event is published again. So a consumer stores the event's id in the
//! transaction of its effect, and ignores repeats.
//!
//! Bounds: A call of `publish_batch` publishes at most `batch` events and takes at most
//! three times `limit`. Unbounded: The tables. Delete old rows of `handled_events`.
//!
//! Trap: If your relay remembers the last id and asks for `id > last`, it loses events:
//! a transaction that took a lower id may commit later. Delete published events
//! instead.
//!
//! Trap: If two relays read events with `FOR UPDATE SKIP LOCKED`, the second one
//! publishes event 2 before event 1. Here an advisory lock (a lock of PostgreSQL that
//! belongs to no row) lets one relay publish at a time, so the order is kept.
//!
//! See also: `pg_job_queue`, `pg_listen`, `pg_transaction`.
//!
//! asyncio: asyncio.Queue, asyncio.timeout

use std::future::Future;
use std::time::Duration;

use tokio::time::{error::Elapsed, timeout};
use tokio_postgres::{Client, Error, IsolationLevel, Transaction};

/// Without the lock, of programs that start at the same moment some fail: "duplicate
/// key value".
const SCHEMA: &str = "
    SELECT pg_advisory_xact_lock(1246908246);
    CREATE TABLE IF NOT EXISTS outbox (
        id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        payload TEXT NOT NULL
    );
    CREATE TABLE IF NOT EXISTS handled_events (
        consumer TEXT,
        id BIGINT,
        handled_at TIMESTAMPTZ NOT NULL DEFAULT now(),
        PRIMARY KEY (consumer, id)
    );";

/// Asked first: a role that may not create tables can still start.
const EXISTS: &str = "
    SELECT to_regclass('outbox') IS NOT NULL
        AND to_regclass('handled_events') IS NOT NULL";

/// The lock of this outbox. The server ends the connection of a relay that hangs.
const LOCK: &str = "
    SELECT pg_try_advisory_xact_lock(1246908246, 'outbox'::REGCLASS::OID::INT),
        set_config('idle_in_transaction_session_timeout', $1, TRUE)";

/// An event that a transaction has stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// The same in every delivery, so that a consumer can recognise a repeat.
    pub id: i64,
    pub payload: String,
}

/// The settings of a relay.
#[derive(Clone, Copy, Debug)]
pub struct Relay {
    /// The most events of one transaction.
    pub batch: u32,
    /// The most time to publish a batch, without the statements before and after it.
    /// Twice as long after it began to hang, a relay loses the lock.
    pub limit: Duration,
}

/// Creates the tables, unless they are there.
pub async fn create_tables(client: &Client) -> Result<(), Error> {
    if !client.query_one(EXISTS, &[]).await?.get::<_, bool>(0) {
        client.batch_execute(SCHEMA).await?;
    }
    Ok(())
}

/// Adds an event, and returns its id. It is published if the transaction is committed.
///
/// Events about one row come in order if each transaction changes the row first.
pub async fn add_event(
    transaction: &Transaction<'_>,
    payload: &str,
) -> Result<i64, Error> {
    let sql = "INSERT INTO outbox (payload) VALUES ($1) RETURNING id";
    Ok(transaction.query_one(sql, &[&payload]).await?.get(0))
}

/// Returns whether the consumer has yet to handle the event, and marks it as handled.
/// Write the effect in the same transaction. A concurrent repeat waits for its end.
pub async fn is_new(
    transaction: &Transaction<'_>,
    consumer: &str,
    event: i64,
) -> Result<bool, Error> {
    let sql = "INSERT INTO handled_events (consumer, id) VALUES ($1, $2)
               ON CONFLICT DO NOTHING";
    Ok(transaction.execute(sql, &[&consumer, &event]).await? == 1)
}

impl Relay {
    /// Publishes the oldest events one after the other, and deletes them. Returns their
    /// number: 0 if there are none, or if another relay publishes.
    ///
    /// If the future is dropped, those that were published are published again.
    ///
    /// # Errors
    ///
    /// The first error of `publish`, or `Elapsed`. The events before it are deleted,
    /// unless the server does not answer. Connect again after an error.
    pub async fn publish_batch<E, F>(
        &self,
        client: &mut Client,
        publish: impl FnMut(Event) -> F,
    ) -> Result<usize, E>
    where
        E: From<Error> + From<Elapsed>,
        F: Future<Output = Result<(), E>>,
    {
        let round = self.round(client, publish);
        timeout(self.limit.saturating_mul(3), round).await?
    }

    async fn round<E, F>(
        &self,
        client: &mut Client,
        mut publish: impl FnMut(Event) -> F,
    ) -> Result<usize, E>
    where
        E: From<Error> + From<Elapsed>,
        F: Future<Output = Result<(), E>>,
    {
        // Each statement sees what was committed before it, also by the last relay.
        let level = IsolationLevel::ReadCommitted;
        let builder = client.build_transaction().isolation_level(level);
        let transaction = builder.start().await?;
        // For the server, 0 is no limit.
        let limit = self.limit.saturating_mul(2).as_millis();
        let limit = limit.clamp(1, i32::MAX as u128).to_string();
        let row = transaction.query_one(LOCK, &[&limit]).await?;
        if !row.get::<_, bool>(0) {
            return Ok(0);
        }
        let sql = "SELECT id, payload FROM outbox ORDER BY id LIMIT $1";
        let rows = transaction.query(sql, &[&i64::from(self.batch)]).await?;
        let mut published: Vec<i64> = Vec::new();
        let publishing = async {
            for row in rows {
                let (id, payload) = (row.get(0), row.get(1));
                publish(Event { id, payload }).await?;
                published.push(id);
            }
            Ok::<(), E>(())
        };
        let ended = timeout(self.limit, publishing).await;
        let sql = "DELETE FROM outbox WHERE id = ANY($1)";
        transaction.execute(sql, &[&published]).await?;
        transaction.commit().await?;
        ended??;
        Ok(published.len())
    }
}

/// Stores its arguments as orders, with events: `cargo run -- tea cake`. Without
/// arguments, publishes the events.
#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    type Failure = Box<dyn std::error::Error + Send + Sync>;
    let url = std::env::var("DATABASE_URL");
    let url =
        url.map_err(|_| "set DATABASE_URL, as in postgres://user@localhost/database")?;
    let (mut client, connection) =
        tokio_postgres::connect(&url, tokio_postgres::NoTls).await?;
    // Ends when the client is dropped. The client reports the errors.
    tokio::spawn(connection);
    create_tables(&client).await?;
    let table = "CREATE TEMP TABLE orders (item TEXT)";
    client.batch_execute(table).await?;
    for item in std::env::args().skip(1) {
        let transaction = client.transaction().await?;
        let sql = "INSERT INTO orders VALUES ($1)";
        transaction.execute(sql, &[&item]).await?;
        let id = add_event(&transaction, &item).await?;
        transaction.commit().await?;
        println!("stored event {id}");
    }
    if std::env::args().len() > 1 {
        return Ok(());
    }
    let relay = Relay {
        batch: 100,
        limit: Duration::from_secs(30),
    };
    let publish = |event: Event| async move {
        println!("published event {}: {}", event.id, event.payload);
        Ok::<(), Failure>(())
    };
    while relay.publish_batch(&mut client, publish).await? > 0 {}
    Ok(())
}

//@ clock: real
//@ try: tea cake -> stored event
//@ try: -> published event
