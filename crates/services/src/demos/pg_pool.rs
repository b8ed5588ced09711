//! Calls that share two connections, wait too long, give up, and lose their connection.

use std::env;
use std::error::Error;
use std::process;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, interval_at, sleep, timeout};
use tokio_postgres::{Config, NoTls};

use crate::pg_pool::{Limits, PgError, PgPool};

/// Keeps a connection busy for so many seconds.
async fn work(pool: PgPool, seconds: f64) -> Result<(), PgError> {
    let sleep = "SELECT pg_sleep($1)";
    pool.run(async |client| Ok(client.query_one(sleep, &[&seconds]).await.map(drop)?))
        .await
}

async fn answer(pool: &PgPool) -> Result<i32, PgError> {
    pool.run(async |client| Ok(client.query_one("SELECT 42", &[]).await?.get(0)))
        .await
}

pub async fn run() -> Result<(), Box<dyn Error + Send + Sync>> {
    // Each part begins at its time, however long the one before it took.
    let first = Instant::now() + Duration::from_millis(400);
    let mut part = interval_at(first, Duration::from_millis(700));
    let name = format!("pool {}", process::id());
    let url = env::var("DATABASE_URL").map_err(|_| "DATABASE_URL is not set")?;
    let mut config: Config = url.parse()?;
    config.application_name(&name);
    let [acquire, connect, statement, work_limit] = [300, 1000, 600, 1000];
    let limits = Limits {
        connections: 2,
        acquire: Duration::from_millis(acquire),
        connect: Duration::from_millis(connect),
        statement: Duration::from_millis(statement),
        work: Duration::from_millis(work_limit),
    };
    let pool = PgPool::new(config, limits);
    let (admin, connection) = tokio_postgres::connect(&url, NoTls).await?;
    tokio::spawn(connection);

    part.tick().await;
    println!("Three calls of 0.2 s share two connections:");
    let mut calls = JoinSet::new();
    for _ in 0..3 {
        calls.spawn(work(pool.clone(), 0.2));
    }
    while let Some(ended) = calls.join_next().await {
        ended??;
        println!("a call is done");
    }

    part.tick().await;
    println!("Two calls of 0.5 s, and a third that waits 0.3 s at most:");
    for _ in 0..2 {
        calls.spawn(work(pool.clone(), 0.5));
    }
    sleep(Duration::from_millis(50)).await;
    if let Err(error) = work(pool.clone(), 0.0).await {
        println!("the third: {error}");
    }
    while let Some(ended) = calls.join_next().await {
        ended??;
    }

    part.tick().await;
    println!("Two callers give up after 0.1 s:");
    for _ in 0..2 {
        let pool = pool.clone();
        calls.spawn(async move {
            let limit = Duration::from_millis(100);
            timeout(limit, work(pool, 60.0)).await.unwrap_or(Ok(()))
        });
    }
    calls.join_all().await;
    sleep(Duration::from_millis(200)).await;
    let count = "SELECT count(*) FROM pg_stat_activity
                 WHERE application_name = $1 AND state = 'active'";
    let running: i64 = admin.query_one(count, &[&name]).await?.get(0);
    println!("statements that still run: {running}");
    println!("the next caller gets {}", answer(&pool).await?);

    part.tick().await;
    println!("A statement takes longer than its limit:");
    if let Err(error) = work(pool.clone(), 60.0).await {
        println!("{error}");
    }

    part.tick().await;
    println!("The server closes all connections:");
    let close = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                 WHERE application_name = $1";
    admin.query(close, &[&name]).await?;
    sleep(Duration::from_millis(100)).await;
    println!("the next caller gets {}", answer(&pool).await?);
    pool.close();
    Ok(())
}
