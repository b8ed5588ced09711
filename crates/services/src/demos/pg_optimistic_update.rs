//! Two users who edit one document, and counters that lose updates or do not.

use std::env;
use std::error::Error;
use std::process;
use std::time::Duration;

use tokio::join;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_postgres::{Client, Config, NoTls};

use crate::pg_optimistic_update::{SaveError, change, change_locked, load, save};

type Failure = Box<dyn Error + Send + Sync>;

/// Connects to a schema that only this process uses.
async fn connect() -> Result<Client, Failure> {
    let url = env::var("DATABASE_URL").map_err(|_| "DATABASE_URL is not set")?;
    let mut config: Config = url.parse()?;
    config.options(format!("-c search_path=documents_{}", process::id()));
    let (client, connection) = config.connect(NoTls).await?;
    tokio::spawn(connection);
    Ok(client)
}

fn next(text: String) -> String {
    text.parse()
        .map_or(text, |number: i32| (number + 1).to_string())
}

/// Adds one, as many programs do: another one may do the same in between.
async fn change_blindly(client: &Client, id: i64) -> Result<(), Failure> {
    let document = load(client, id).await?;
    sleep(Duration::from_millis(100)).await;
    let sql = "UPDATE documents SET text = $2 WHERE id = $1";
    client.execute(sql, &[&id, &next(document.text)]).await?;
    Ok(())
}

pub async fn run() -> Result<(), Failure> {
    let start = Instant::now();
    let at = |millis| sleep_until(start + Duration::from_millis(millis));
    let (mut ada, mut bob) = (connect().await?, connect().await?);
    let name = format!("documents_{}", process::id());
    let sql = format!(
        "CREATE SCHEMA {name};
         CREATE TABLE documents (
             id BIGINT PRIMARY KEY, text TEXT NOT NULL, version BIGINT NOT NULL);
         INSERT INTO documents VALUES (1, 'buy', 1), (2, 0, 1)"
    );
    ada.batch_execute(&sql).await?;
    at(300).await;
    println!("Two users edit one document:");
    let (mut first, mut second) = (load(&ada, 1).await?, load(&bob, 1).await?);
    first.text.push_str(" tea");
    second.text.push_str(" cake");
    let saved = save(&ada, first).await?;
    println!("version {}: {}", saved.version, saved.text);
    match save(&bob, second).await {
        Err(SaveError::Conflict) => println!("{}", SaveError::Conflict),
        saved => println!("saved: {}", saved.is_ok()),
    }

    at(600).await;
    println!("Two add one, without a version:");
    let (one, other) = join!(change_blindly(&ada, 2), change_blindly(&bob, 2));
    one.and(other)?;
    println!("the sum is {}", load(&ada, 2).await?.text);

    at(900).await;
    println!("Two add one, each ten times, with a version:");
    let add = async |client: &Client| {
        for _ in 0..10 {
            change(client, 2, 100, next).await?;
        }
        Ok::<(), SaveError>(())
    };
    let (one, other) = join!(add(&ada), add(&bob));
    one.and(other)?;
    at(1200).await;
    println!("the sum is {}", load(&ada, 2).await?.text);

    println!("Two add one, each ten times, with a lock:");
    let add = async |client: &mut Client| {
        for _ in 0..10 {
            change_locked(client, 2, next).await?;
        }
        Ok::<(), SaveError>(())
    };
    let (one, other) = join!(add(&mut ada), add(&mut bob));
    one.and(other)?;
    at(1500).await;
    println!("the sum is {}", load(&ada, 2).await?.text);
    ada.batch_execute(&format!("DROP SCHEMA {name} CASCADE"))
        .await?;
    Ok(())
}
