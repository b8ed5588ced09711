//! Handle an HTTP POST once, even if its client sends it twice: an idempotency key.
//!
//! The client makes a key for each order, and sends it with every retry. The server
//! stores the key, the effect and the reply in one transaction. If the same key comes
//! again, the server sends the stored reply. If it comes while the first request still
//! runs, the second request waits. If the first request fails, the key is free again.
//!
//! Bounds: A request that waits for another one with its key for longer than `limit`
//! fails (HTTP status 409). If your program hangs in the transaction, PostgreSQL ends the
//! connection after `limit`, so that the key is free again. Unbounded: The table. Delete
//! keys that no client repeats, for example after a day.
//!
//! Trap: If you look for the key by SELECT and then INSERT, two requests at the same
//! time both find nothing, and both take the customer's money. Insert first: the second
//! INSERT waits for the first.
//!
//! Trap: If your work sends a mail or calls another server, a rollback does not undo
//! this, and a retry does it again. Store an event instead, and send the mail for the
//! event: `pg_outbox`.
//!
//! See also: `pg_outbox`, `pg_transaction`, `pg_job_queue`.
//!
//! asyncio: async with, asyncio.gather

use std::time::Duration;

use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, Error, IsolationLevel, Transaction};

/// The key belongs to a user: another one may send the same.
const SCHEMA: &str = "
    SELECT pg_advisory_xact_lock(1246908250);
    CREATE TABLE IF NOT EXISTS idempotency_keys (
        account TEXT,
        key TEXT,
        request TEXT NOT NULL,
        reply TEXT NOT NULL DEFAULT '',
        created_at TIMESTAMPTZ NOT NULL DEFAULT now(),
        PRIMARY KEY (account, key)
    );";

/// Asked first: a role that may not create tables can still start.
const EXISTS: &str = "SELECT to_regclass('idempotency_keys') IS NOT NULL";

const LIMITS: &str = "
    SELECT set_config('lock_timeout', $1, TRUE),
        set_config('idle_in_transaction_session_timeout', $1, TRUE)";

/// Waits for another transaction that has inserted the key.
const BEGIN: &str = "
    INSERT INTO idempotency_keys (account, key, request) VALUES ($1, $2, $3)
    ON CONFLICT DO NOTHING";

/// A request that may come again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request<'a> {
    pub account: &'a str,
    /// The header `Idempotency-Key`.
    pub key: &'a str,
    /// What is asked for, or a hash of that: the same in every repeat.
    pub body: &'a str,
}

/// The answer to the client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    pub text: String,
    /// The request had been handled before.
    pub is_repeat: bool,
}

/// Why a request has no reply.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// HTTP 409: the client repeats it later.
    #[error("a request with this key is being handled")]
    Running,
    /// HTTP 422: the client has used a key twice.
    #[error("this key belongs to another request")]
    Mismatch,
    /// If the connection broke, the request may have been handled: repeat it.
    #[error("{}", .0.as_db_error().map_or_else(|| .0.to_string(), ToString::to_string))]
    Postgres(#[from] Error),
}

/// Creates the table, unless it is there.
pub async fn create_table(client: &Client) -> Result<(), Error> {
    if !client.query_one(EXISTS, &[]).await?.get::<_, bool>(0) {
        client.batch_execute(SCHEMA).await?;
    }
    Ok(())
}

/// Runs `work` in a transaction, stores the reply that it returns, and commits. If the
/// request has been handled before, returns that reply, and does not run `work`.
///
/// If the future is dropped, the request is handled completely or not at all.
///
/// # Errors
///
/// An error of `work`, and those of [`KeyError`]. Nothing is stored then, unless the
/// connection breaks during the commit.
pub async fn once<E: From<KeyError>>(
    client: &mut Client,
    request: Request<'_>,
    limit: Duration,
    work: impl AsyncFnOnce(&Transaction<'_>) -> Result<String, E>,
) -> Result<Reply, E> {
    let Request { account, key, body } = request;
    let begun = begin(client, request, limit).await;
    let (transaction, is_new) = begun?;
    if !is_new {
        let sql = "SELECT request, reply FROM idempotency_keys
                   WHERE account = $1 AND key = $2";
        let row = transaction.query_one(sql, &[&account, &key]).await;
        let row = row.map_err(KeyError::from)?;
        if row.get::<_, &str>(0) != body {
            return Err(KeyError::Mismatch.into());
        }
        let (text, is_repeat) = (row.get(1), true);
        return Ok(Reply { text, is_repeat });
    }
    let text = work(&transaction).await?;
    let sql = "UPDATE idempotency_keys SET reply = $3 WHERE account = $1 AND key = $2";
    let stored = transaction.execute(sql, &[&account, &key, &text]).await;
    stored.map_err(KeyError::from)?;
    transaction.commit().await.map_err(KeyError::from)?;
    let is_repeat = false;
    Ok(Reply { text, is_repeat })
}

async fn begin<'a>(
    client: &'a mut Client,
    Request { account, key, body }: Request<'_>,
    limit: Duration,
) -> Result<(Transaction<'a>, bool), KeyError> {
    // The SELECT sees what was committed during the INSERT.
    let level = IsolationLevel::ReadCommitted;
    let builder = client.build_transaction().isolation_level(level);
    let transaction = builder.start().await?;
    // For the server, 0 is no limit.
    let millis = limit.as_millis().clamp(1, i32::MAX as u128).to_string();
    transaction.query_one(LIMITS, &[&millis]).await?;
    match transaction.execute(BEGIN, &[&account, &key, &body]).await {
        Ok(rows) => Ok((transaction, rows == 1)),
        Err(error) if error.code() == Some(&SqlState::LOCK_NOT_AVAILABLE) => {
            Err(KeyError::Running)
        }
        Err(error) => Err(error.into()),
    }
}

/// Takes an order twice, as a client that got no reply: `cargo run -- order-1 tea`.
#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let url = std::env::var("DATABASE_URL");
    let url =
        url.map_err(|_| "set DATABASE_URL, as in postgres://user@localhost/database")?;
    let (mut client, connection) =
        tokio_postgres::connect(&url, tokio_postgres::NoTls).await?;
    // Ends when the client is dropped. The client reports the errors.
    tokio::spawn(connection);
    create_table(&client).await?;
    let table =
        "CREATE TEMP TABLE orders (id INT GENERATED ALWAYS AS IDENTITY, item TEXT)";
    client.batch_execute(table).await?;
    let mut arguments = std::env::args().skip(1);
    let (key, body) = arguments
        .next()
        .zip(arguments.next())
        .ok_or("usage: KEY ITEM")?;
    let request = Request {
        account: "Ada",
        key: &key,
        body: &body,
    };
    for _ in 0..2 {
        let order = async |db: &Transaction<'_>| {
            let sql = "INSERT INTO orders (item) VALUES ($1) RETURNING id";
            let row = db.query_one(sql, &[&body]).await.map_err(KeyError::from)?;
            Ok::<_, KeyError>(format!("order {}: {body}", row.get::<_, i32>(0)))
        };
        let reply = once(&mut client, request, Duration::from_secs(5), order).await?;
        println!("{}, repeated: {}", reply.text, reply.is_repeat);
    }
    Ok(())
}

//@ clock: real
//@ try: order-1 tea -> tea, repeated: true
