use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use deadpool_postgres::{
    Client, Manager, ManagerConfig, Pool, RecyclingMethod, Transaction,
};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use tokio_postgres::{Config, NoTls};
use tokio_util::sync::CancellationToken;

use super::support::{CuttingProxy, postgres, soon, unique};
use crate::pg_worker::{Failure, Handler, Job, Worker, enqueue};

const TENTH: Duration = Duration::from_millis(100);
const MINUTE: Duration = Duration::from_secs(60);

/// Does what the payload says.
#[derive(Debug, Default)]
struct Script {
    running: AtomicUsize,
    most: AtomicUsize,
    reports: std::sync::Mutex<Vec<String>>,
}

impl Handler for Script {
    type Output = i64;

    async fn work(&self, job: &Job) -> Result<i64, Failure> {
        let running = self.running.fetch_add(1, SeqCst) + 1;
        self.most.fetch_max(running, SeqCst);
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

    fn worker(&self, url: &str, concurrency: usize) -> Worker<Script> {
        let verified = ManagerConfig {
            recycling_method: RecyclingMethod::Verified,
        };
        let manager = Manager::from_config(config(url, &self.schema), NoTls, verified);
        let limit = Some(5 * TENTH);
        let pool = Pool::builder(manager)
            .max_size(concurrency + 1)
            .runtime(deadpool_postgres::Runtime::Tokio1)
            .timeouts(deadpool_postgres::Timeouts {
                wait: limit,
                create: limit,
                recycle: limit,
            })
            .build();
        Worker {
            pool: pool.expect("a runtime"),
            handler: Script::default(),
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
        url: &str,
        worker: Worker<Script>,
    ) -> (Arc<Worker<Script>>, CancellationToken, JoinHandle<()>) {
        let (worker, stop) = (Arc::new(worker), CancellationToken::new());
        let running = Arc::clone(&worker).run(config(url, &self.schema), stop.clone());
        (worker, stop, tokio::spawn(running))
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

    /// How often each job has had its effect.
    async fn effects(&self) -> BTreeMap<i64, i64> {
        let sql = "SELECT job, count(*) FROM effects GROUP BY job";
        let rows = self.db.query(sql, &[]).await.expect("it runs");
        rows.iter().map(|row| (row.get(0), row.get(1))).collect()
    }

    async fn end(self) {
        let sql = format!("DROP SCHEMA {} CASCADE", self.schema);
        self.db.batch_execute(&sql).await.expect("it runs");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
#[cfg_attr(no_postgres, ignore = "postgresql is not installed")]
async fn each_job_of_several_workers_is_done_once_and_the_bound_holds() {
    let office = Office::new().await;
    let sql =
        "INSERT INTO jobs (payload, due) SELECT '2', now() FROM generate_series(1, 300)";
    office.db.execute(sql, &[]).await.expect("it runs");
    let started =
        [0; 3].map(|_| office.start(&office.url, office.worker(&office.url, 4)));
    // Some are aborted in the middle, as if they were killed.
    let killed = office.start(&office.url, office.worker(&office.url, 4));
    let worker = Arc::clone(&killed.0);
    let works = async {
        while worker.handler.running.load(SeqCst) == 0 {
            sleep(TENTH / 50).await
        }
    };
    let _ = timeout(10 * TENTH, works).await;
    killed.2.abort();
    office.until("done", 300).await;
    for (worker, stop, running) in started {
        stop.cancel();
        soon(running).await.expect("it does not panic");
        let most = worker.handler.most.load(SeqCst);
        assert!(most <= 4, "{most} at the same time");
    }
    let effects = office.effects().await;
    assert_eq!(effects.len(), 300);
    assert!(effects.values().all(|count| *count == 1));
    office.end().await;
}

#[tokio::test]
#[cfg_attr(no_postgres, ignore = "postgresql is not installed")]
async fn listen_wakes_an_idle_worker() {
    let office = Office::new().await;
    let worker = Worker {
        poll: 60 * MINUTE,
        ..office.worker(&office.url, 2)
    };
    let (_, stop, running) = office.start(&office.url, worker);
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
    let started =
        [0; 2].map(|_| office.start(&office.url, office.worker(&office.url, 1)));
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
        ..office.worker(&office.url, 2)
    };
    let (worker, stop, running) = office.start(&office.url, worker);
    office.until("dead", 3).await;
    office.until("done", 1).await;
    stop.cancel();
    soon(running).await.expect("it does not panic");
    assert_eq!(worker.handler.reports.lock().expect("no panic").len(), 9);
    assert_eq!(worker.handler.running.load(SeqCst), 0);
    let sql = "SELECT count(*) FROM jobs WHERE error = 'no printer' AND attempt = 3";
    let row = office.db.query_one(sql, &[]).await.expect("it runs");
    assert_eq!(row.get::<_, i64>(0), 1);
    office.end().await;
}

#[tokio::test]
#[cfg_attr(no_postgres, ignore = "postgresql is not installed")]
async fn a_stop_finishes_the_running_jobs_and_claims_no_other() {
    let office = Office::new().await;
    let (worker, stop, running) =
        office.start(&office.url, office.worker(&office.url, 2));
    for _ in 0..3 {
        office.add("500").await;
    }
    let both = async {
        while worker.handler.running.load(SeqCst) < 2 {
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
    assert!(worker.lag().await.expect("it runs") >= TENTH);
    office.end().await;
}

/// Of the pool, and of LISTEN, while jobs run and complete.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[cfg_attr(no_postgres, ignore = "postgresql is not installed")]
async fn connections_that_go_silent_lose_and_double_nothing() {
    let office = Office::new().await;
    let proxy = CuttingProxy::start(&office.url).await;
    let worker = Worker {
        max_attempts: i32::MAX,
        ..office.worker(proxy.url(), 3)
    };
    let (_, stop, running) = office.start(proxy.url(), worker);
    for round in 1..=5 {
        for _ in 0..20 {
            office.add("5").await;
        }
        sleep(TENTH / 2).await;
        proxy.silence();
        office.until("done", 20 * round).await;
    }
    stop.cancel();
    soon(running).await.expect("it does not panic");
    let effects = office.effects().await;
    assert_eq!(effects.len(), 100);
    assert!(effects.values().all(|count| *count == 1));
    office.end().await;
}
