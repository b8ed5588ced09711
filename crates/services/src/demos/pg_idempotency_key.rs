//! A payment that its client sends again: at the same time, later, and with another sum.

use std::env;
use std::error::Error;
use std::process;
use std::time::Duration;

use tokio::join;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_postgres::{Client, Config, NoTls, Transaction};

use crate::pg_idempotency_key::{Reply, Request, create_table, once};

type Failure = Box<dyn Error + Send + Sync>;

/// Connects to a schema that only this process uses.
async fn connect() -> Result<Client, Failure> {
    let url = env::var("DATABASE_URL").map_err(|_| "DATABASE_URL is not set")?;
    let mut config: Config = url.parse()?;
    config.options(format!("-c search_path=payments_{}", process::id()));
    let (client, connection) = config.connect(NoTls).await?;
    tokio::spawn(connection);
    Ok(client)
}

/// Takes the money. The sum is the body of the request.
async fn pay(client: &mut Client, key: &str, body: &str) -> Result<Reply, Failure> {
    let request = Request {
        account: "Ada",
        key,
        body,
    };
    let work = async |db: &Transaction<'_>| {
        let sum: i32 = body.parse()?;
        let sql = "INSERT INTO payments (sum) VALUES ($1) RETURNING id";
        let id: i32 = db.query_one(sql, &[&sum]).await?.get(0);
        sleep(Duration::from_millis(200)).await;
        if sum > 100 {
            return Err("not enough money".into());
        }
        Ok::<_, Failure>(format!("payment {id}"))
    };
    once(client, request, Duration::from_millis(500), work).await
}

fn show(paid: Result<Reply, Failure>) {
    match paid {
        Ok(Reply { text, is_repeat }) if is_repeat => println!("{text}, again"),
        Ok(Reply { text, .. }) => println!("{text}"),
        Err(error) => println!("{error}"),
    }
}

pub async fn run() -> Result<(), Failure> {
    let start = Instant::now();
    let at = |millis| sleep_until(start + Duration::from_millis(millis));
    let (mut first, mut second) = (connect().await?, connect().await?);
    let name = format!("payments_{}", process::id());
    let sql = format!(
        "CREATE SCHEMA {name};
         CREATE TABLE {name}.payments (id INT GENERATED ALWAYS AS IDENTITY, sum INT)"
    );
    first.batch_execute(&sql).await?;
    create_table(&first).await?;
    at(300).await;
    println!("A payment comes twice at the same time:");
    let later = async {
        sleep(Duration::from_millis(100)).await;
        pay(&mut second, "key 1", "20").await
    };
    let (paid, again) = join!(pay(&mut first, "key 1", "20"), later);
    show(paid);
    show(again);

    at(600).await;
    println!("It comes again, and then with another sum:");
    show(pay(&mut second, "key 1", "20").await);
    show(pay(&mut second, "key 1", "30").await);

    at(800).await;
    println!("A payment fails, and its key is free again:");
    show(pay(&mut first, "key 2", "200").await);
    show(pay(&mut first, "key 2", "10").await);

    at(1400).await;
    println!("A transaction holds a key for too long:");
    let held = first.transaction().await?;
    let sql = "INSERT INTO idempotency_keys (account, key, request)
               VALUES ('Ada', 'key 3', '40')";
    held.execute(sql, &[]).await?;
    show(pay(&mut second, "key 3", "40").await);
    held.rollback().await?;
    at(2100).await;
    let sums = first.query_one("SELECT sum(sum), count(*) FROM payments", &[]);
    let sums = sums.await?;
    let (sum, count): (i64, i64) = (sums.get(0), sums.get(1));
    println!("paid: {sum}, in {count} payments");
    first
        .batch_execute(&format!("DROP SCHEMA {name} CASCADE"))
        .await?;
    Ok(())
}
