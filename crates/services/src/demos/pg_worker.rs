//! Four jobs on two workers, a job that is longer than its lease, one that panics, and a
//! stop.

use std::env;
use std::process;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use deadpool_postgres::{Client, Manager, Pool, Transaction};
use tokio::time::{Instant, sleep, sleep_until};
use tokio_postgres::{Config, NoTls};
use tokio_util::sync::CancellationToken;

use crate::pg_job_queue::create_table;
use crate::pg_worker::{Failure, Handler, Job, Worker, enqueue, lag};

/// Sleeps for as many milliseconds as the payload says.
#[derive(Default)]
struct Sleeps {
    running: AtomicUsize,
    most: AtomicUsize,
}

impl Handler for Sleeps {
    type Output = i32;

    async fn work(&self, job: &Job) -> Result<i32, Failure> {
        let running = self.running.fetch_add(1, SeqCst) + 1;
        self.most.fetch_max(running, SeqCst);
        let millis = job.payload.parse::<u16>();
        if let Ok(millis) = millis {
            sleep(Duration::from_millis(millis.into())).await;
        }
        self.running.fetch_sub(1, SeqCst);
        Ok(millis.map_err(|_| "no number")?.into())
    }

    async fn store(
        &self,
        db: &Transaction<'_>,
        job: &Job,
        output: i32,
    ) -> Result<(), Failure> {
        let sql = "INSERT INTO naps VALUES ($1, $2)";
        db.execute(sql, &[&job.id, &output]).await?;
        Ok(())
    }

    fn report(&self, error: Failure) {
        println!("reported: {error}");
    }
}

async fn show(db: &Client) -> Result<(), Failure> {
    let sql = "SELECT count(*) || ' ' || state FROM jobs GROUP BY state ORDER BY state";
    let rows = db.query(sql, &[]).await?;
    let states: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
    let naps: i64 = db.query_one("SELECT count(*) FROM naps", &[]).await?.get(0);
    println!("{}; {naps} stored", states.join(", "));
    Ok(())
}

pub async fn run() -> Result<(), Failure> {
    let start = Instant::now();
    let at = |millis| sleep_until(start + Duration::from_millis(millis));
    let url = env::var("DATABASE_URL").map_err(|_| "DATABASE_URL is not set")?;
    let mut config: Config = url.parse()?;
    let name = format!("worker_{}", process::id());
    config.options(format!("-c search_path={name}"));
    let pool = Pool::builder(Manager::new(config.clone(), NoTls)).build()?;
    let db = pool.get().await?;
    let tables =
        format!("CREATE SCHEMA {name}; CREATE TABLE {name}.naps (job BIGINT, ms INT)");
    db.batch_execute(&tables).await?;
    create_table(&db).await?;
    let sleeps = Arc::new(Sleeps::default());
    let worker = Worker {
        config,
        handler: sleeps.clone(),
        concurrency: 2,
        lease: Duration::from_millis(600),
        max_runtime: Duration::from_secs(30),
        max_attempts: 1,
        backoff: Duration::ZERO,
        // Without LISTEN, nothing would happen.
        poll: Duration::from_secs(60),
    };
    let stop = CancellationToken::new();
    let stopped = stop.clone();
    let running = tokio::spawn(async move { worker.run(&stopped).await });

    at(500).await;
    println!("Four jobs of 0.3 s:");
    for _ in 0..4 {
        enqueue(&db, "300").await?;
    }
    at(1300).await;
    let most = sleeps.most.load(SeqCst);
    println!("at the same time: {most}");
    show(&db).await?;

    println!("A job of 1 s, with a lease of 0.6 s, and one that fails:");
    enqueue(&db, "1000").await?;
    enqueue(&db, "many").await?;
    at(1500).await;
    show(&db).await?;
    at(2500).await;
    show(&db).await?;

    println!("A stop, with a job that runs:");
    enqueue(&db, "500").await?;
    at(2700).await;
    stop.cancel();
    running.await?;
    println!("stopped");
    enqueue(&db, "300").await?;
    at(3350).await;
    show(&db).await?;
    let waits = lag(&db).await?.as_millis() / 100 * 100;
    println!("the last one has been waiting for {waits} ms");
    db.batch_execute(&format!("DROP SCHEMA {name} CASCADE"))
        .await?;
    Ok(())
}
