//! Two processes that start at the same time, a table that is in use, and a mistake.

use std::env;
use std::error::Error;
use std::process;
use std::time::Duration;

use tokio::join;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_postgres::{Client, Config, NoTls};

use crate::pg_migrations::Migrations;

type Failure = Box<dyn Error + Send + Sync>;

/// Connects to a schema that only this process uses.
async fn connect() -> Result<Client, Failure> {
    let url = env::var("DATABASE_URL").map_err(|_| "DATABASE_URL is not set")?;
    let mut config: Config = url.parse()?;
    config.options(format!("-c search_path=migrations_{}", process::id()));
    let (client, connection) = config.connect(NoTls).await?;
    tokio::spawn(connection);
    Ok(client)
}

async fn show(client: &Client) -> Result<(), Failure> {
    let sql = "SELECT (SELECT count(*) FROM migrations),
               (SELECT count(*) FROM information_schema.columns
                WHERE table_schema = current_schema AND table_name = 'notes')";
    let row = client.query_one(sql, &[]).await?;
    let (migrations, columns): (i64, i64) = (row.get(0), row.get(1));
    println!("migrations: {migrations}, columns of the notes: {columns}");
    Ok(())
}

pub async fn run() -> Result<(), Failure> {
    let start = Instant::now();
    let at = |millis| sleep_until(start + Duration::from_millis(millis));
    let (mut first, mut second) = (connect().await?, connect().await?);
    let name = format!("migrations_{}", process::id());
    first
        .batch_execute(&format!("CREATE SCHEMA {name}"))
        .await?;
    let first_release = Migrations {
        statements: &[
            "CREATE TABLE notes (text TEXT NOT NULL)",
            "INSERT INTO notes VALUES ('tea')",
        ],
        lock_timeout: Duration::from_millis(100),
        pause: Duration::from_millis(150),
        attempts: 10,
    };

    at(300).await;
    println!("Two processes start at the same time:");
    let (one, other) = join!(
        first_release.run(&mut first),
        first_release.run(&mut second)
    );
    at(500).await;
    println!("they run {} migrations", one? + other?);
    show(&first).await?;

    at(600).await;
    println!("The next release, while a transaction of 0.6 s uses the table:");
    let release = Migrations {
        statements: &[
            "CREATE TABLE notes (text TEXT NOT NULL)",
            "INSERT INTO notes VALUES ('tea')",
            "ALTER TABLE notes ADD COLUMN is_done BOOLEAN NOT NULL DEFAULT FALSE",
        ],
        ..first_release
    };
    let old = connect().await?;
    let uses = async {
        let transaction = first.transaction().await?;
        transaction.query("SELECT text FROM notes", &[]).await?;
        sleep(Duration::from_millis(600)).await;
        transaction.commit().await?;
        Ok::<(), Failure>(())
    };
    let reads = async {
        sleep(Duration::from_millis(50)).await;
        // Waits behind the ALTER TABLE, but not for long.
        old.query("SELECT text FROM notes", &[]).await?;
        at(900).await;
        println!("the old release has read");
        Ok::<(), Failure>(())
    };
    let (used, read, ran) = join!(uses, reads, release.run(&mut second));
    used?;
    read?;
    at(1400).await;
    println!("it runs {} migrations", ran?);
    show(&second).await?;
    println!(
        "the old release runs {} migrations",
        first_release.run(&mut first).await?
    );

    at(1600).await;
    println!("A migration has a mistake:");
    let mistake = Migrations {
        statements: &[
            "CREATE TABLE notes (text TEXT NOT NULL)",
            "INSERT INTO notes VALUES ('tea')",
            "ALTER TABLE notes ADD COLUMN is_done BOOLEAN NOT NULL DEFAULT FALSE",
            "ALTER TABLE notes ADD COLUMN color TEXT; SELECT missing FROM notes",
        ],
        ..first_release
    };
    let error = mistake.run(&mut second).await.err().ok_or("it fails")?;
    let error = error.as_db_error().ok_or("the server says why")?;
    println!("{}", error.message());
    show(&second).await?;
    first
        .batch_execute(&format!("DROP SCHEMA {name} CASCADE"))
        .await?;
    Ok(())
}
