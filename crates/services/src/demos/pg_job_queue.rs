//! Workers that share jobs, one that is killed, one that is slow, and a job that fails
//! always.

use std::env;
use std::error::Error;
use std::process;
use std::time::Duration;

use deadpool_postgres::{Client, Manager, Pool};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_postgres::{Config, NoTls};

use crate::pg_job_queue::{Job, JobQueue, QueueError, create_table};

type Failure = Box<dyn Error + Send + Sync>;

const JOBS: JobQueue = JobQueue {
    lease: Duration::from_millis(300),
    max_attempts: 2,
    initial_backoff: Duration::from_millis(100),
    max_backoff: Duration::from_secs(1),
};

/// Connects to a schema that only this process uses.
async fn connect() -> Result<Client, Failure> {
    let url = env::var("DATABASE_URL").map_err(|_| "DATABASE_URL is not set")?;
    let mut config: Config = url.parse()?;
    config.options(format!("-c search_path=job_queue_{}", process::id()));
    let pool = Pool::builder(Manager::new(config, NoTls)).build()?;
    Ok(pool.get().await?)
}

async fn claim(client: &Client) -> Result<Option<Job>, QueueError> {
    let job = JOBS.claim(client).await?;
    match &job {
        Some(job) => println!("job {}, attempt {}: claimed", job.id, job.attempt),
        None => println!("no job is due"),
    }
    Ok(job)
}

/// Completes the job, and writes its effect in the same transaction.
async fn complete(client: &mut Client, job: &Job) -> Result<(), QueueError> {
    let transaction = client.transaction().await?;
    JOBS.complete(&transaction, job).await?;
    let insert = "INSERT INTO invoices VALUES ($1)";
    transaction.execute(insert, &[&job.payload]).await?;
    Ok(transaction.commit().await?)
}

/// Completes jobs until none is due. Each takes 0.1 s.
async fn work() -> Result<u32, Failure> {
    let mut client = connect().await?;
    let mut done = 0;
    while let Some(job) = JOBS.claim(&client).await? {
        sleep(Duration::from_millis(50)).await;
        JOBS.extend(&client, &job).await?;
        sleep(Duration::from_millis(50)).await;
        complete(&mut client, &job).await?;
        done += 1;
    }
    Ok(done)
}

pub async fn run() -> Result<(), Failure> {
    let start = Instant::now();
    let at = |millis| sleep_until(start + Duration::from_millis(millis));
    let mut client = connect().await?;
    let schema = format!("job_queue_{}", process::id());
    client
        .batch_execute(&format!(
            "CREATE SCHEMA {schema}; CREATE TABLE {schema}.invoices (item TEXT)"
        ))
        .await?;
    create_table(&client).await?;

    at(400).await;
    println!("Three workers share nine jobs of 0.1 s:");
    for number in 1..=9 {
        let item = format!("item {number}");
        JOBS.enqueue(&client, &item, Duration::ZERO).await?;
    }
    let workers: JoinSet<_> = (0..3).map(|_| work()).collect();
    let done: Result<Vec<u32>, Failure> = workers.join_all().await.into_iter().collect();
    println!("jobs done: {}", done?.iter().sum::<u32>());
    let count = "SELECT count(*), count(DISTINCT item) FROM invoices";
    let row = client.query_one(count, &[]).await?;
    let (invoices, items): (i64, i64) = (row.get(0), row.get(1));
    println!("invoices: {invoices}, of {items} items");

    at(1200).await;
    println!("A worker is killed; its lease is 0.3 s:");
    JOBS.enqueue(&client, "tea", Duration::ZERO).await?;
    let killed = tokio::spawn(async move {
        let client = connect().await?;
        claim(&client).await?;
        std::future::pending::<Result<(), Failure>>().await
    });
    at(1400).await;
    killed.abort();
    claim(&client).await?;
    at(1600).await;
    let slow = claim(&client).await?.ok_or("no job")?;
    complete(&mut client, &slow).await?;
    println!("job {}, attempt {}: completed", slow.id, slow.attempt);

    at(1800).await;
    println!("A worker is slower than its lease:");
    JOBS.enqueue(&client, "cake", Duration::ZERO).await?;
    let slow = claim(&client).await?.ok_or("no job")?;
    at(2200).await;
    let job = claim(&client).await?.ok_or("no job")?;
    for job in [slow, job] {
        match complete(&mut client, &job).await {
            Ok(()) => println!("job {}, attempt {}: completed", job.id, job.attempt),
            Err(error) => println!("job {}, attempt {}: {error}", job.id, job.attempt),
        }
    }

    at(2400).await;
    println!("A job fails twice; the backoff is 0.1 s:");
    JOBS.enqueue(&client, "jam", Duration::ZERO).await?;
    for wait in [2600, 2700] {
        let job = claim(&client).await?.ok_or("no job")?;
        JOBS.fail(&client, &job, "no printer").await?;
        claim(&client).await?;
        at(wait).await;
    }
    for (Job { id, payload, .. }, error) in JOBS.dead_letters(&client, 100).await? {
        println!("dead: job {id}, {payload}: {error}");
    }
    let drop = format!("DROP SCHEMA {schema} CASCADE");
    Ok(client.batch_execute(&drop).await?)
}
