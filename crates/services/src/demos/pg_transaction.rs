//! Transfers that conflict, that are dropped, and of which a part fails.

use std::env;
use std::error::Error;
use std::process;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::Duration;

use deadpool_postgres::{Manager, Pool, PoolError};
use tokio::sync::Barrier;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_postgres::{Config, Transaction};

use crate::pg_transaction::{Retry, is_conflict, serializable};

#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("{0} has only {1}")]
    Poor(&'static str, i32),
    #[error(transparent)]
    Postgres(#[from] tokio_postgres::Error),
    #[error(transparent)]
    Pool(#[from] PoolError),
}

const RETRY: Retry = Retry {
    attempts: 5,
    initial_backoff: Duration::from_millis(50),
    max_backoff: Duration::from_secs(1),
};

async fn balance(db: &Transaction<'_>, name: &str) -> Result<i32, Failure> {
    let sql = "SELECT balance FROM accounts WHERE name = $1";
    Ok(db.query_one(sql, &[&name]).await?.get(0))
}

async fn add(db: &Transaction<'_>, name: &str, amount: i32) -> Result<(), Failure> {
    let sql = "UPDATE accounts SET balance = balance + $2 WHERE name = $1";
    db.execute(sql, &[&name, &amount]).await?;
    Ok(())
}

async fn show(pool: &Pool) -> Result<(), Failure> {
    let mut client = pool.get().await?;
    let transaction = serializable(&mut client).await?;
    let ada = balance(&transaction, "Ada").await?;
    let bob = balance(&transaction, "Bob").await?;
    println!("Ada has {ada}, Bob has {bob}");
    Ok(())
}

/// Two transfers that both have read Ada's balance before one writes.
async fn conflict(pool: &Pool) {
    let (both, runs) = (Barrier::new(2), AtomicU32::new(0));
    let transfer = || async {
        let mut client = pool.get().await?;
        let transaction = serializable(&mut client).await?;
        let before = balance(&transaction, "Ada").await?;
        if runs.fetch_add(1, Relaxed) < 2 {
            both.wait().await;
        }
        if before < 60 {
            return Err(Failure::Poor("Ada", before));
        }
        add(&transaction, "Ada", -60).await?;
        add(&transaction, "Bob", 60).await?;
        Ok(transaction.commit().await?)
    };
    let again = |error: &Failure| is_conflict(error);
    let (first, second) =
        tokio::join!(RETRY.run(again, transfer), RETRY.run(again, transfer));
    println!("runs: {}", runs.into_inner());
    let ended =
        [first, second].map(|it| it.err().map_or("done".into(), |e| e.to_string()));
    let refused = ended.iter().find(|text| *text != "done");
    println!(
        "one is done, the other: {}",
        refused.map_or("done", |text| text)
    );
}

pub async fn run() -> Result<(), Box<dyn Error + Send + Sync>> {
    let start = Instant::now();
    let at = |millis| sleep_until(start + Duration::from_millis(millis));
    let schema = format!("transaction_{}", process::id());
    let url = env::var("DATABASE_URL").map_err(|_| "DATABASE_URL is not set")?;
    let mut config: Config = url.parse()?;
    config.options(format!("-c search_path={schema}"));
    let manager = Manager::new(config, tokio_postgres::NoTls);
    let pool = Pool::builder(manager).max_size(4).build()?;
    let mut client = pool.get().await?;
    let tables = format!(
        "CREATE SCHEMA {schema};
         CREATE TABLE accounts (name TEXT PRIMARY KEY, balance INT CHECK (balance >= 0));
         INSERT INTO accounts VALUES ('Ada', 100), ('Bob', 100)"
    );
    client.batch_execute(&tables).await?;
    // So that no part waits for a new connection.
    drop(tokio::try_join!(pool.get(), pool.get())?);

    at(400).await;
    println!("Two transfers of 60 read the balance at once:");
    conflict(&pool).await;
    show(&pool).await?;

    at(800).await;
    println!("A transfer is dropped in the middle:");
    let transfer = async {
        let mut client = pool.get().await?;
        let transaction = serializable(&mut client).await?;
        add(&transaction, "Ada", -10).await?;
        sleep(Duration::from_secs(60)).await;
        Ok::<(), Failure>(())
    };
    assert!(timeout(Duration::from_millis(100), transfer).await.is_err());
    show(&pool).await?;

    at(1200).await;
    println!("A part fails in its savepoint:");
    let mut transaction = serializable(&mut client).await?;
    add(&transaction, "Ada", 10).await?;
    let savepoint = transaction.transaction().await?;
    match add(&savepoint, "Bob", -1000).await {
        Ok(()) => savepoint.commit().await?,
        Err(_) => {
            println!("Bob cannot pay");
            savepoint.rollback().await?;
        }
    }
    transaction.commit().await?;
    show(&pool).await?;

    at(1600).await;
    println!("An error is ignored:");
    let transaction = serializable(&mut client).await?;
    add(&transaction, "Ada", 10).await?;
    let _ = add(&transaction, "Bob", -1000).await;
    transaction.commit().await?;
    println!("the commit succeeds");
    show(&pool).await?;
    let drop = format!("DROP SCHEMA {schema} CASCADE");
    Ok(client.batch_execute(&drop).await?)
}
