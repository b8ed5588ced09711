//! A tick on three machines; one whose machine dies during the run; and one whose machine
//! hangs for longer than its lease.

use std::env;
use std::error::Error;
use std::process;
use std::time::{Duration, SystemTime};

use tokio::join;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_postgres::{Client, Config, NoTls};

use crate::pg_cron_once::{Run, Schedule, Turn, create_table};

type Failure = Box<dyn Error + Send + Sync>;

/// Connects to a schema that only this process uses.
async fn connect() -> Result<Client, Failure> {
    let url = env::var("DATABASE_URL").map_err(|_| "DATABASE_URL is not set")?;
    let mut config: Config = url.parse()?;
    config.options(format!("-c search_path=cron_{}", process::id()));
    let (client, connection) = config.connect(NoTls).await?;
    tokio::spawn(connection);
    Ok(client)
}

/// A schedule whose first tick comes soon, and the next in an hour.
fn schedule(name: &str, lease: Duration) -> Schedule {
    Schedule {
        name: name.to_owned(),
        first: SystemTime::now() + Duration::from_millis(100),
        interval: Duration::from_secs(3600),
        lease,
        max_attempts: 5,
    }
}

/// Waits for a turn, or returns nothing when another machine has run the tick.
async fn turn(client: &Client, schedule: &Schedule) -> Result<Option<Run>, Failure> {
    loop {
        match schedule.turn(client).await? {
            Turn::Run(run) => return Ok(Some(run)),
            Turn::Wait(wait) if wait > Duration::from_secs(60) => return Ok(None),
            Turn::Wait(wait) => sleep(wait).await,
        }
    }
}

/// Stores the report in the transaction that finishes the run.
async fn store(
    client: &mut Client,
    schedule: &Schedule,
    run: &Run,
) -> Result<(), Failure> {
    let transaction = client.transaction().await?;
    schedule.finish(&transaction, run).await?;
    let sql = "INSERT INTO reports VALUES ($1, $2)";
    transaction
        .execute(sql, &[&schedule.name, &run.tick])
        .await?;
    Ok(transaction.commit().await?)
}

/// Runs the tick if it has its turn, and returns how often it ran.
async fn machine(client: &mut Client, schedule: &Schedule) -> Result<i32, Failure> {
    let Some(run) = turn(client, schedule).await? else {
        return Ok(0);
    };
    println!("{}, attempt {}", schedule.name, run.attempt);
    store(client, schedule, &run).await?;
    Ok(1)
}

pub async fn run() -> Result<(), Failure> {
    let start = Instant::now();
    let at = |millis| sleep_until(start + Duration::from_millis(millis));
    let (mut ada, mut bob) = (connect().await?, connect().await?);
    let mut eve = connect().await?;
    let name = format!("cron_{}", process::id());
    let sql = format!(
        "CREATE SCHEMA {name}; CREATE TABLE {name}.reports (name TEXT, tick TIMESTAMPTZ)"
    );
    ada.batch_execute(&sql).await?;
    create_table(&ada).await?;
    let (short, long) = (Duration::from_millis(300), Duration::from_secs(30));

    at(400).await;
    println!("Three machines:");
    let tick = schedule("report", long);
    let (a, b, c) = join!(
        machine(&mut ada, &tick),
        machine(&mut bob, &tick),
        machine(&mut eve, &tick)
    );
    println!("runs: {}", a? + b? + c?);

    at(800).await;
    println!("A machine dies during its run:");
    let mut tick = schedule("backup", short);
    let died = turn(&eve, &tick).await?.ok_or("no turn")?;
    println!("backup, attempt {}", died.attempt);
    drop(eve);
    // The lease of the machine that takes over shall not run out.
    tick.lease = long;
    machine(&mut bob, &tick).await?;

    at(1500).await;
    println!("A machine hangs for longer than its lease:");
    let mut tick = schedule("cleanup", short);
    let late = turn(&ada, &tick).await?.ok_or("no turn")?;
    println!("cleanup, attempt {}", late.attempt);
    tick.lease = long;
    machine(&mut bob, &tick).await?;
    match store(&mut ada, &tick, &late).await {
        Ok(()) => println!("stored"),
        Err(error) => println!("attempt {}: {error}", late.attempt),
    }

    at(2100).await;
    let count = ada.query_one("SELECT count(*) FROM reports", &[]).await?;
    println!("stored for 3 ticks: {}", count.get::<_, i64>(0));
    ada.batch_execute(&format!("DROP SCHEMA {name} CASCADE"))
        .await?;
    Ok(())
}
