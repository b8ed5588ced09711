//! A deadlock, a lock timeout, and half a transaction.

use std::process;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::Duration;

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Error, TxOpts};
use tokio::sync::Barrier;
use tokio::time::{Instant, sleep, sleep_until};
use tokio::{join, spawn};

use crate::mysql_transaction::{Retry, is_conflict};

type Failure = Box<dyn std::error::Error + Send + Sync>;

const ADD: &str = "UPDATE accounts SET balance = balance + ? WHERE name = ?";

const RETRY: Retry = Retry {
    attempts: 10,
    initial_backoff: Duration::from_millis(50),
    max_backoff: Duration::from_secs(1),
};

async fn connect(url: &str) -> Result<Conn, Error> {
    let mut connection = Conn::from_url(url).await?;
    let limit = "SET innodb_lock_wait_timeout = 1";
    connection.query_drop(limit).await?;
    Ok(connection)
}

/// Takes ten from one account and gives them to another. In its first run it waits until
/// the other transfer has its first row.
async fn transfer(
    url: &str,
    [from, to]: [&str; 2],
    both: Option<&Barrier>,
) -> Result<u32, Error> {
    let runs = AtomicU32::new(0);
    let transact = || async {
        let mut connection = connect(url).await?;
        let mut transaction = connection.start_transaction(TxOpts::default()).await?;
        transaction.exec_drop(ADD, (-10, from)).await?;
        if let Some(both) = both.filter(|_| runs.fetch_add(1, Relaxed) == 0) {
            both.wait().await;
        }
        transaction.exec_drop(ADD, (10, to)).await?;
        transaction.commit().await?;
        connection.disconnect().await
    };
    RETRY
        .run(|error: &Error| is_conflict(error), transact)
        .await?;
    Ok(runs.into_inner())
}

async fn show(connection: &mut Conn) -> Result<(), Error> {
    let sql = "SELECT name, balance FROM accounts ORDER BY name";
    let rows: Vec<(String, i32)> = connection.query(sql).await?;
    let rows = rows
        .iter()
        .map(|(name, balance)| format!("{name} {balance}"));
    println!("{}", rows.collect::<Vec<_>>().join(", "));
    Ok(())
}

pub async fn run() -> Result<(), Failure> {
    static RUNS: AtomicU32 = AtomicU32::new(0);
    let url = std::env::var("MYSQL_URL").map_err(|_| "set MYSQL_URL=mysql://...")?;
    let run = RUNS.fetch_add(1, Relaxed);
    let name = format!("transaction_{}_{run}", process::id());
    let mut admin = Conn::from_url(&url).await?;
    admin.query_drop(format!("CREATE DATABASE {name}")).await?;
    let (server, _) = url.rsplit_once('/').ok_or("MYSQL_URL names no database")?;
    let result = demonstrate(&format!("{server}/{name}")).await;
    admin.query_drop(format!("DROP DATABASE {name}")).await?;
    admin.disconnect().await?;
    result
}

async fn demonstrate(url: &str) -> Result<(), Failure> {
    let start = Instant::now();
    let at = |millis| sleep_until(start + Duration::from_millis(millis));
    let mut connection = connect(url).await?;
    for sql in [
        "CREATE TABLE accounts (name VARCHAR(20) PRIMARY KEY, balance INT)",
        "INSERT INTO accounts VALUES ('Ada', 100), ('Bob', 100)",
    ] {
        connection.query_drop(sql).await?;
    }

    at(400).await;
    println!("Two transfers lock two rows in different orders:");
    let both = Barrier::new(2);
    let (one, other) = join!(
        transfer(url, ["Ada", "Bob"], Some(&both)),
        transfer(url, ["Bob", "Ada"], Some(&both))
    );
    at(900).await;
    println!("runs: {}", one? + other?);
    show(&mut connection).await?;

    println!("A row is locked for longer than the limit of 1 s:");
    let mut locker = connect(url).await?;
    let mut lock = locker.start_transaction(TxOpts::default()).await?;
    lock.exec_drop(ADD, (0, "Bob")).await?;
    let address = url.to_owned();
    let waits = spawn(async move { transfer(&address, ["Ada", "Bob"], None).await });
    sleep(Duration::from_millis(1500)).await;
    lock.rollback().await?;
    waits.await??;
    at(2800).await;
    show(&mut connection).await?;

    println!("A program commits after the lock timeout:");
    let mut lock = locker.start_transaction(TxOpts::default()).await?;
    lock.exec_drop(ADD, (0, "Bob")).await?;
    let mut half = connection.start_transaction(TxOpts::default()).await?;
    half.exec_drop(ADD, (-10, "Ada")).await?;
    if let Err(Error::Server(error)) = half.exec_drop(ADD, (10, "Bob")).await {
        println!("error {}", error.code);
    }
    half.commit().await?;
    lock.rollback().await?;
    at(4200).await;
    show(&mut connection).await?;
    locker.disconnect().await?;
    connection.disconnect().await?;
    Ok(())
}
