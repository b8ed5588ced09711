use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use deadpool_postgres::{Client, Manager, Pool, Transaction};
use tokio::task::JoinHandle;
use tokio::time::sleep;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Config, NoTls};
use tokio_util::sync::CancellationToken;

use super::support::{CuttingProxy, postgres, soon, unique};
use crate::pg_worker::{Failure, Handler, Job, Worker, enqueue, lag};

const TENTH: Duration = Duration::from_millis(100);
const MINUTE: Duration = Duration::from_secs(60);

/// Does what the payload says.
#[derive(Debug, Default)]
struct Script {
    running: AtomicUsize,
    reports: std::sync::Mutex<Vec<String>>,
}

impl Handler for Script {
    type Output = i64;

    async fn work(&self, job: &Job) -> Result<i64, Failure> {
        self.running.fetch_add(1, SeqCst);
        struct Inside<'a>(&'a AtomicUsize);
        impl Drop for Inside<'_> {
            fn drop(&mut self) {
                self.0.fetch_sub(1, SeqCst);
            }
        }
        let _inside = Inside(&self.running);
        match job.payload.as_str() {
            "panic" => panic!("scheduled"),
            "fail" => return Err("no\0printer".into()),
            "hang" => sleep(60 * MINUTE).await,
            millis => sleep(Duration::from_millis(millis.parse()?)).await,
        }
        Ok(job.id)
    }

    async fn store(
        &self,
        db: &Transaction<'_>,
        _job: &Job,
        output: i64,
    ) -> Result<(), Failure> {
        db.execute("INSERT INTO effects VALUES ($1)", &[&output])
            .await?;
        Ok(())
    }

    fn report(&self, error: Failure) {
        self.reports
            .lock()
            .expect("no panic")
            .push(error.to_string());
    }
}

/// Tables in a schema of their own, and workers.
struct Office {
    schema: String,
    db: Client,
    url: String,
}

fn config(url: &str, schema: &str) -> Config {
    let mut config: Config = url.parse().expect("a URL");
    let limit = "-c idle_in_transaction_session_timeout=1000";
    config.options(format!("-c search_path={schema} {limit}"));
    config
}

impl Office {
    async fn new() -> Self {
        let (url, schema) = (postgres().await, unique("worker"));
        let pool = Pool::builder(Manager::new(config(&url, &schema), NoTls)).build();
        let db = pool.expect("no hooks").get().await.expect("it runs");
        let sql =
            format!("CREATE SCHEMA {schema}; CREATE TABLE {schema}.effects (job BIGINT)");
        db.batch_execute(&sql).await.expect("it runs");
        // As `pg_job_queue` makes it.
        let table = "CREATE TABLE jobs (
                id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
                payload TEXT NOT NULL,
                state TEXT NOT NULL DEFAULT 'waiting',
                attempt INT NOT NULL DEFAULT 0,
                due TIMESTAMPTZ,
                error TEXT
            );
            CREATE INDEX jobs_due ON jobs (due, id) WHERE due IS NOT NULL";
        db.batch_execute(table).await.expect("it runs");
        Self { schema, db, url }
    }

    fn worker(&self, concurrency: usize) -> Worker<Script> {
        Worker {
            config: config(&self.url, &self.schema),
            handler: Arc::default(),
            concurrency,
            lease: 10 * TENTH,
            max_runtime: MINUTE,
            max_attempts: 3,
            backoff: TENTH / 10,
            poll: TENTH,
        }
    }

    fn start(
        &self,
        worker: Worker<Script>,
    ) -> (Arc<Script>, CancellationToken, JoinHandle<()>) {
        let (script, stop) = (worker.handler.clone(), CancellationToken::new());
        let stopped = stop.clone();
        let running = tokio::spawn(async move { worker.run(&stopped).await });
        (script, stop, running)
    }

    async fn add(&self, payload: &str) -> i64 {
        enqueue(&self.db, payload).await.expect("it runs")
    }

    async fn count(&self, state: &str) -> i64 {
        let sql = "SELECT count(*) FROM jobs WHERE state = $1";
        let row = self.db.query_one(sql, &[&state]).await.expect("it runs");
        row.get(0)
    }

    async fn until(&self, state: &str, jobs: i64) {
        let until = async {
            while self.count(state).await != jobs {
                sleep(TENTH / 10).await;
            }
        };
        soon(until).await;
    }

    /// Waits for a connection of the worker that listens, later than this one.
    async fn listens(&self, earlier: i32) -> i32 {
        let sql = "SELECT pid FROM pg_stat_activity
                   WHERE application_name = $1 AND query = 'LISTEN jobs' AND pid <> $2";
        loop {
            let values: [&(dyn ToSql + Sync); 2] = [&self.schema, &earlier];
            let rows = self.db.query(sql, &values).await.expect("it runs");
            if let [row] = &rows[..] {
                return row.get(0);
            }
            sleep(TENTH / 10).await;
        }
    }

    async fn end(self) {
        let sql = format!("DROP SCHEMA {} CASCADE", self.schema);
        self.db.batch_execute(&sql).await.expect("it runs");
    }
}

#[tokio::test]
#[cfg_attr(no_postgres, ignore = "postgresql is not installed")]
async fn listen_wakes_an_idle_worker() {
    let office = Office::new().await;
    let worker = Worker {
        poll: 60 * MINUTE,
        ..office.worker(2)
    };
    let (_, stop, running) = office.start(worker);
    // Until it listens, a job may be found by nobody: add more.
    let wakes = async {
        while office.count("done").await == 0 {
            office.add("0").await;
            sleep(TENTH / 10).await;
        }
    };
    soon(wakes).await;
    stop.cancel();
    soon(running).await.expect("it does not panic");
    office.end().await;
}

#[tokio::test]
#[cfg_attr(no_postgres, ignore = "postgresql is not installed")]
async fn a_job_longer_than_its_lease_runs_once() {
    let office = Office::new().await;
    office.add("2500").await;
    let started = [0; 2].map(|_| office.start(office.worker(1)));
    office.until("done", 1).await;
    let runs = office.db.query_one("SELECT attempt FROM jobs", &[]).await;
    assert_eq!(runs.expect("it runs").get::<_, i32>(0), 1);
    for (_, stop, running) in started {
        stop.cancel();
        soon(running).await.expect("it does not panic");
    }
    office.end().await;
}

#[tokio::test]
#[cfg_attr(no_postgres, ignore = "postgresql is not installed")]
async fn panics_errors_and_hanging_jobs_end_their_attempt() {
    let office = Office::new().await;
    for payload in ["panic", "fail", "hang", "0"] {
        office.add(payload).await;
    }
    let worker = Worker {
        max_runtime: 3 * TENTH,
        ..office.worker(2)
    };
    let (script, stop, running) = office.start(worker);
    office.until("dead", 3).await;
    office.until("done", 1).await;
    stop.cancel();
    soon(running).await.expect("it does not panic");
    assert_eq!(script.reports.lock().expect("no panic").len(), 9);
    assert_eq!(script.running.load(SeqCst), 0);
    let sql = "SELECT count(*) FROM jobs WHERE error = 'no printer' AND attempt = 3";
    let row = office.db.query_one(sql, &[]).await.expect("it runs");
    assert_eq!(row.get::<_, i64>(0), 1);
    office.end().await;
}

#[tokio::test]
#[cfg_attr(no_postgres, ignore = "postgresql is not installed")]
async fn a_stop_finishes_the_running_jobs_and_claims_no_other() {
    let office = Office::new().await;
    let (script, stop, running) = office.start(office.worker(2));
    for _ in 0..3 {
        office.add("500").await;
    }
    let both = async {
        while script.running.load(SeqCst) < 2 {
            sleep(TENTH / 50).await;
        }
    };
    soon(both).await;
    stop.cancel();
    soon(running).await.expect("it does not panic");
    assert_eq!(
        (office.count("done").await, office.count("waiting").await),
        (2, 1)
    );
    sleep(TENTH).await;
    assert!(lag(&office.db).await.expect("it runs") >= TENTH);
    office.end().await;
}

/// A connection that says nothing gives no error. The worker finds out by itself, both
/// while it connects and later.
#[tokio::test]
#[cfg_attr(no_postgres, ignore = "postgresql is not installed")]
async fn listens_again_after_a_silent_connect_and_a_silent_connection() {
    let office = Office::new().await;
    let proxy = CuttingProxy::start(&office.url).await;
    let mut worker = office.worker(1);
    worker.config = config(proxy.url(), &office.schema);
    worker.config.application_name(&office.schema);
    proxy.slow(u32::MAX);
    let (script, stop, running) = office.start(worker);
    let times_out = async {
        while script.reports.lock().expect("no panic").is_empty() {
            sleep(TENTH / 10).await;
        }
    };
    soon(times_out).await;
    proxy.slow(0);
    let first = soon(office.listens(0)).await;
    proxy.silence();
    let second = soon(office.listens(first)).await;
    assert_ne!(first, second);
    stop.cancel();
    soon(running).await.expect("it does not panic");
    office.end().await;
}
