//! Rows that are stored, one that is refused, a copy that is dropped, a slow reader.

use std::env;
use std::error::Error;
use std::pin::pin;
use std::process;
use std::time::Duration;

use futures::{Stream, StreamExt, TryStreamExt, stream};
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_postgres::{Client, Config, NoTls};

use crate::pg_copy::{Reading, load, store};

type Failure = Box<dyn Error + Send + Sync>;

fn readings(sensors: Vec<i64>) -> impl Stream<Item = Result<Reading, Failure>> {
    stream::iter(sensors).map(|sensor| {
        Ok(Reading {
            sensor,
            value: sensor as f64 / 2.0,
            note: (sensor == 2).then(|| "tab\tand \\N".to_owned()),
        })
    })
}

async fn count(client: &Client) -> Result<(), Failure> {
    let row = client
        .query_one("SELECT count(*) FROM readings", &[])
        .await?;
    println!("rows in the table: {}", row.get::<_, i64>(0));
    Ok(())
}

pub async fn run() -> Result<(), Failure> {
    let start = Instant::now();
    let at = |millis| sleep_until(start + Duration::from_millis(millis));
    let url = env::var("DATABASE_URL").map_err(|_| "DATABASE_URL is not set")?;
    let schema = format!("copy_{}", process::id());
    let mut config: Config = url.parse()?;
    config.options(format!("-c search_path={schema}"));
    let (client, connection) = config.connect(NoTls).await?;
    tokio::spawn(connection);
    let table = format!(
        "CREATE SCHEMA {schema};
         CREATE TABLE {schema}.readings
             (sensor BIGINT PRIMARY KEY, value DOUBLE PRECISION, note TEXT)"
    );
    client.batch_execute(&table).await?;

    at(400).await;
    println!("Three rows:");
    let stored = store(&client, readings(vec![1, 2, 3])).await?;
    println!("stored: {stored}");
    let mut rows = pin!(load(&client).await?);
    while let Some(row) = rows.try_next().await? {
        let note = row.note.as_deref().unwrap_or("no note");
        println!("sensor {}: {:.1}, {note}", row.sensor, row.value);
    }

    at(800).await;
    println!("The last of three rows is refused:");
    if store(&client, readings(vec![4, 5, 1])).await.is_err() {
        println!("refused");
    }
    count(&client).await?;

    at(1200).await;
    println!("A copy is dropped in the middle:");
    let slow = readings(vec![4, 5]).then(async |row| {
        sleep(Duration::from_millis(80)).await;
        row
    });
    if timeout(Duration::from_millis(100), store(&client, slow))
        .await
        .is_err()
    {
        println!("dropped");
    }
    count(&client).await?;

    at(1600).await;
    println!("A slow reader:");
    let mut rows = pin!(load(&client).await?);
    let mut sum = 0.0;
    while let Some(row) = rows.try_next().await? {
        sleep(Duration::from_millis(50)).await;
        sum += row.value;
    }
    println!("sum: {sum:.1}");
    let drop = format!("DROP SCHEMA {schema} CASCADE");
    Ok(client.batch_execute(&drop).await?)
}
