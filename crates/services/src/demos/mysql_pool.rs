//! Rows, a transaction that is dropped, and a pool of two connections.

use std::process;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::Duration;

use futures::future::join_all;
use mysql_async::TxOpts;
use mysql_async::prelude::Queryable;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use crate::mysql_pool::{Database, Error, Limits, add_users, find_users, longest_name};

type Failure = Box<dyn std::error::Error + Send + Sync>;

async fn slow_query(database: &Database, seconds: f64) {
    let query = async {
        let mut connection = database.connection().await?;
        Ok::<_, Error>(connection.exec_drop("SELECT SLEEP(?)", (seconds,)).await?)
    };
    match query.await {
        Ok(()) => println!("a query of {seconds} s: done"),
        Err(Error::MySql(mysql_async::Error::Server(error))) => {
            println!("a query of {seconds} s: {}", error.message);
        }
        Err(error) => println!("a query of {seconds} s: {error}"),
    }
}

async fn show(database: &Database) -> Result<(), Error> {
    let users = find_users(database, "").await?;
    let names: Vec<_> = users.into_iter().map(|user| user.name).collect();
    println!("users: {}", names.join(", "));
    Ok(())
}

pub async fn run() -> Result<(), Failure> {
    static RUNS: AtomicU32 = AtomicU32::new(0);
    let url = std::env::var("MYSQL_URL").map_err(|_| "set MYSQL_URL=mysql://...")?;
    let run = RUNS.fetch_add(1, Relaxed);
    let name = format!("pool_{}_{run}", process::id());
    let mut admin = mysql_async::Conn::from_url(&url).await?;
    admin.query_drop(format!("CREATE DATABASE {name}")).await?;
    let (server, _) = url.rsplit_once('/').ok_or("MYSQL_URL names no database")?;
    let result = demonstrate(&format!("{server}/{name}")).await;
    admin.query_drop(format!("DROP DATABASE {name}")).await?;
    admin.disconnect().await?;
    result
}

async fn demonstrate(url: &str) -> Result<(), Failure> {
    let limits = Limits {
        connections: 2,
        acquire: Duration::from_millis(250),
        statement: Duration::from_millis(500),
    };
    let database = Database::new(url, limits)?;
    let sql = "CREATE TABLE users (
                   id INT UNSIGNED PRIMARY KEY AUTO_INCREMENT, name TEXT NOT NULL)";
    database.connection().await?.query_drop(sql).await?;
    let start = Instant::now();
    let at = |millis| sleep_until(start + Duration::from_millis(millis));

    at(300).await;
    println!("Two users are added:");
    let names = ["Ada", "Bartholomew"].map(str::to_owned);
    add_users(&database, &names).await?;
    show(&database).await?;
    println!(
        "the longest name has {} letters",
        longest_name(&database).await?
    );

    println!("A transaction is cancelled before its end:");
    let adding = async {
        let mut connection = database.connection().await?;
        let mut adding = connection.start_transaction(TxOpts::default()).await?;
        adding
            .query_drop("INSERT INTO users (name) VALUES ('Eve')")
            .await?;
        println!("Eve is added");
        sleep(Duration::from_secs(10)).await;
        Ok::<_, Error>(adding.commit().await?)
    };
    let _cancelled = timeout(Duration::from_millis(100), adding).await;
    show(&database).await?;

    at(600).await;
    println!("Three queries, two connections:");
    join_all([0.2, 0.2, 0.2].map(|seconds| slow_query(&database, seconds))).await;

    at(1200).await;
    println!("The third query waits for a connection for at most 0.25 s:");
    join_all([0.4, 0.4, 0.3].map(|seconds| slow_query(&database, seconds))).await;

    at(1800).await;
    println!("The server ends a query after 0.5 s:");
    slow_query(&database, 5.0).await;
    database.close().await?;
    Ok(())
}
