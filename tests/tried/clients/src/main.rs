//! What clients of PostgreSQL and Redis do. Fails if a statement of docs/chapters or of
//! docs/neighbours.tsv no longer holds.
//!
//!     cargo run --manifest-path tests/tried/clients/Cargo.toml

use std::error::Error;
use std::future::Future;
use std::time::Duration;

use futures::FutureExt;
use redis::aio::ConnectionManagerConfig;
use servers::{Kind, Server};
use tokio::time::{sleep, timeout};
use tokio_postgres::NoTls;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// Each server answers within this time.
const ANSWER: Duration = Duration::from_secs(20);

fn claim(holds: bool, what: &str) -> Result<()> {
    println!("{} {what}", if holds { "yes:" } else { "NO LONGER:" });
    holds.then_some(()).ok_or_else(|| what.into())
}

/// Polls `call` at most `polls` times, and drops it. Returns whether it has ended. The server
/// answers between two polls.
async fn poll_and_drop(call: impl Future, polls: usize) -> bool {
    let mut call = Box::pin(call);
    for _ in 0..polls {
        if call.as_mut().now_or_never().is_some() {
            return true;
        }
        sleep(Duration::from_millis(5)).await;
    }
    false
}

/// Returns how many rows of `t` other sessions see.
async fn rows(other: &tokio_postgres::Client) -> Result<i64> {
    Ok(other.query_one("SELECT count(*) FROM t", &[]).await?.get(0))
}

/// Begins a transaction, drops the call after 1, 2, 3 .. polls, and inserts a row as another
/// caller of the pool. Returns the numbers of polls after which the row was lost, and the
/// number that `begin` needs.
async fn lost(
    other: &tokio_postgres::Client,
    insert: impl AsyncFn(usize) -> Result<bool>,
) -> Result<(Vec<usize>, usize)> {
    let mut lost = Vec::new();
    for polls in 1..50 {
        let before = rows(other).await?;
        let ready = insert(polls).await?;
        if rows(other).await? == before {
            lost.push(polls);
        }
        if ready {
            return Ok((lost, polls));
        }
    }
    Err("the transaction never begins".into())
}

async fn with_sqlx(url: &str, polls: usize, in_a_task: bool) -> Result<bool> {
    let options = sqlx::postgres::PgPoolOptions::new().max_connections(1);
    let pool = options.connect(url).await?;
    sqlx::query("SELECT 1").execute(&pool).await?;
    let clone = pool.clone();
    let begin = async move { clone.begin().await };
    let ready = match in_a_task {
        true => poll_and_drop(tokio::spawn(begin), polls).await,
        false => poll_and_drop(begin, polls).await,
    };
    // The pool takes its connection back in a task of its own.
    sleep(Duration::from_millis(100)).await;
    sqlx::query("INSERT INTO t VALUES (1)")
        .execute(&pool)
        .await?;
    pool.close().await;
    Ok(ready)
}

async fn with_deadpool(url: &str, polls: usize) -> Result<bool> {
    let manager = deadpool_postgres::Manager::new(url.parse()?, NoTls);
    let pool = deadpool_postgres::Pool::builder(manager)
        .max_size(1)
        .build()?;
    pool.get().await?.batch_execute("SELECT 1").await?;
    let begin = async {
        let mut client = pool.get().await?;
        client.transaction().await?;
        Ok::<(), Box<dyn Error>>(())
    };
    let ready = poll_and_drop(begin, polls).await;
    pool.get()
        .await?
        .execute("INSERT INTO t VALUES (1)", &[])
        .await?;
    Ok(ready)
}

async fn postgres() -> Result<()> {
    let server = Server::start(Kind::Postgres)?;
    let (other, connection) = tokio_postgres::connect(&server.url(), NoTls).await?;
    tokio::spawn(connection);
    other.batch_execute("CREATE TABLE t (id int)").await?;
    let url = server.url();
    let (after, ready) =
        lost(&other, async |polls| with_sqlx(&url, polls, false).await).await?;
    println!("sqlx: begin takes {ready} polls, a row is lost if dropped after {after:?}");
    claim(
        !after.is_empty(),
        "sqlx 0.9.0 loses a write after a dropped Pool::begin",
    )?;
    let (after, _) =
        lost(&other, async |polls| with_sqlx(&url, polls, true).await).await?;
    claim(after.is_empty(), "but none if begin is spawned as a task")?;
    let (after, _) = lost(&other, async |polls| with_deadpool(&url, polls).await).await?;
    claim(after.is_empty(), "deadpool-postgres loses none")
}

/// Asks until an answer comes. Returns the number of calls that failed before.
async fn failed_calls(mut connection: impl redis::aio::ConnectionLike) -> Option<usize> {
    for failed in 0..100 {
        let ping = redis::cmd("PING");
        let answer = timeout(ANSWER, ping.query_async::<()>(&mut connection)).await;
        if matches!(answer, Ok(Ok(()))) {
            return Some(failed);
        }
        sleep(Duration::from_millis(50)).await;
    }
    None
}

async fn redis() -> Result<()> {
    let mut server = Server::start(Kind::Redis)?;
    let client = redis::Client::open(server.url())?;
    let kept = client.get_multiplexed_async_connection().await?;
    let config = ConnectionManagerConfig::new().set_number_of_retries(2);
    let manager = client.get_connection_manager_with_config(config).await?;
    server.restart()?;
    let failed = failed_calls(kept).await;
    claim(
        failed.is_none(),
        "a kept MultiplexedConnection fails 100 of 100 calls after a restart",
    )?;
    let failed = failed_calls(manager).await;
    println!("ConnectionManager: {failed:?} calls failed before one succeeded");
    claim(failed.is_some(), "a ConnectionManager connects again")?;

    let locks = rslock::LockManager::new(vec![server.url()]);
    let mut redis = client.get_multiplexed_async_connection().await?;
    let ttl = Duration::from_secs(600);
    drop(locks.acquire("dropped", ttl).await?);
    sleep(Duration::from_millis(200)).await;
    let left: i64 = redis::cmd("PTTL")
        .arg("dropped")
        .query_async(&mut redis)
        .await?;
    claim(left > 0, "rslock leaves its key when its guard is dropped")?;
    let again = locks.lock("dropped", Duration::from_secs(1)).await;
    claim(again.is_err(), "and nobody gets the lock meanwhile")?;
    locks.acquire("released", ttl).await?.release().await;
    let left: i64 = redis::cmd("EXISTS")
        .arg("released")
        .query_async(&mut redis)
        .await?;
    claim(
        left == 0,
        "rslock removes its key when release() is awaited",
    )
}

#[tokio::main]
async fn main() -> Result<()> {
    postgres().await?;
    redis().await
}
