use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use deadpool_postgres::{Client, Manager, Pool, Transaction};
use servers::Kind;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use tokio_postgres::types::{FromSql, ToSql};
use tokio_postgres::{Config, NoTls};
use tokio_util::sync::CancellationToken;

use super::support::{CuttingProxy, postgres, private, soon, times, unique};
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
            // No effect is negative.
            "refused" => return Ok(-1),
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

impl Script {
    /// Waits until so many jobs are running.
    async fn runs(&self, jobs: usize) {
        let running = async {
            while self.running.load(SeqCst) != jobs {
                sleep(TENTH / 50).await;
            }
        };
        soon(running).await;
    }

    fn has_reports(&self) -> bool {
        !self.reports.lock().expect("no panic").is_empty()
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
    config.application_name(schema);
    config
}

impl Office {
    async fn new() -> Self {
        Self::at(postgres().await).await
    }

    async fn at(url: String) -> Self {
        let schema = unique("worker");
        let pool = Pool::builder(Manager::new(config(&url, &schema), NoTls)).build();
        let db = pool.expect("no hooks").get().await.expect("it runs");
        let sql = format!(
            "CREATE SCHEMA {schema};
             CREATE TABLE {schema}.effects (job BIGINT UNIQUE CHECK (job > 0))"
        );
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

    async fn query<T: for<'a> FromSql<'a>>(&self, sql: &str) -> T {
        self.db.query_one(sql, &[]).await.expect("it runs").get(0)
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
    office.add("5000").await;
    let worker = || Worker {
        lease: 20 * TENTH,
        ..office.worker(1)
    };
    let started = [0; 2].map(|_| office.start(worker()));
    office.until("done", 1).await;
    assert_eq!(office.query::<i32>("SELECT attempt FROM jobs").await, 1);
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
    for payload in ["panic", "fail", "hang", "refused", "0"] {
        office.add(payload).await;
    }
    let worker = Worker {
        max_runtime: 3 * TENTH,
        ..office.worker(2)
    };
    let (script, stop, running) = office.start(worker);
    office.until("dead", 4).await;
    office.until("done", 1).await;
    stop.cancel();
    soon(running).await.expect("it does not panic");
    assert_eq!(script.reports.lock().expect("no panic").len(), 12);
    assert_eq!(script.running.load(SeqCst), 0);
    for (payload, error) in [("fail", "no printer"), ("refused", "%effects_job_check%")] {
        let sql = format!(
            "SELECT error LIKE '{error}' AND attempt = 3 FROM jobs
             WHERE payload = '{payload}'"
        );
        assert!(office.query::<bool>(&sql).await, "{payload}");
    }
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
    script.runs(2).await;
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
    proxy.slow(u32::MAX);
    let (script, stop, running) = office.start(worker);
    let times_out = async {
        while !script.has_reports() {
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

#[tokio::test]
#[cfg_attr(no_postgres, ignore = "postgresql is not installed")]
async fn a_stop_takes_as_long_as_a_job_may_run_or_as_its_caller_waits() {
    let office = Office::new().await;
    office.add("hang").await;
    let worker = Worker {
        max_runtime: 3 * TENTH,
        ..office.worker(1)
    };
    let (script, stop, running) = office.start(worker);
    script.runs(1).await;
    stop.cancel();
    soon(running).await.expect("it does not panic");
    assert_eq!(office.count("waiting").await, 1);

    let (script, stop, mut running) = office.start(office.worker(1));
    script.runs(1).await;
    stop.cancel();
    let graceful = timeout(3 * TENTH, &mut running).await;
    graceful.expect_err("the job hangs");
    running.abort();
    script.runs(0).await;
    assert_eq!(office.count("running").await, 1);

    let worker = Worker {
        max_runtime: TENTH,
        ..office.worker(1)
    };
    let (_, stop, running) = office.start(worker);
    office.until("dead", 1).await;
    assert_eq!(office.query::<i32>("SELECT attempt FROM jobs").await, 3);
    stop.cancel();
    soon(running).await.expect("it does not panic");
    office.end().await;
}

#[tokio::test]
#[cfg_attr(no_postgres, ignore = "postgresql is not installed")]
async fn listens_again_after_the_server_terminated_the_connection() {
    let office = Office::new().await;
    let (script, stop, running) = office.start(office.worker(1));
    let first = soon(office.listens(0)).await;
    let sql = format!("SELECT pg_terminate_backend({first})");
    assert!(office.query::<bool>(&sql).await);
    soon(office.listens(first)).await;
    assert!(script.has_reports());
    office.add("0").await;
    office.until("done", 1).await;
    stop.cancel();
    soon(running).await.expect("it does not panic");
    office.end().await;
}

/// The jobs that were running are done again, and have one effect.
#[tokio::test]
#[cfg_attr(no_postgres, ignore = "postgresql is not installed")]
async fn listens_again_after_the_server_hung_for_many_leases() {
    let server = private(Kind::Postgres).await;
    let office = Office::at(server.url()).await;
    for _ in 0..20 {
        office.add("100").await;
    }
    let worker = Worker {
        max_attempts: 100,
        ..office.worker(2)
    };
    let (script, stop, running) = office.start(worker);
    let first = soon(office.listens(0)).await;
    script.runs(2).await;
    server.pause();
    sleep(times(40, 200) * TENTH).await;
    server.resume();
    soon(office.listens(first)).await;
    office.until("done", 20).await;
    assert_eq!(
        office.query::<i64>("SELECT count(*) FROM effects").await,
        20
    );
    stop.cancel();
    soon(running).await.expect("it does not panic");
}

/// A channel belongs to the whole database: anybody may send what they like.
#[tokio::test]
#[cfg_attr(no_postgres, ignore = "postgresql is not installed")]
async fn a_hundred_thousand_notifications_and_the_longest_wake_it_and_do_no_harm() {
    // All listeners of the database get them.
    let server = private(Kind::Postgres).await;
    let office = Office::at(server.url()).await;
    let worker = Worker {
        poll: 60 * MINUTE,
        ..office.worker(2)
    };
    let (script, stop, running) = office.start(worker);
    let first = soon(office.listens(0)).await;
    let longest = "SELECT count(pg_notify('jobs', repeat('x', 7999)))";
    let flood = "SELECT count(pg_notify('jobs', n::TEXT))
                 FROM generate_series(1, 100000) n";
    for (jobs, notify) in [(1, longest), (2, flood)] {
        // Without the notification of `enqueue`.
        let sql = "INSERT INTO jobs (payload, due) VALUES ('0', now())";
        office.db.execute(sql, &[]).await.expect("it runs");
        // Again, as it may only begin to listen.
        let wakes = async {
            while office.count("done").await < jobs {
                office.query::<i64>(notify).await;
            }
        };
        soon(wakes).await;
    }
    assert_eq!(soon(office.listens(0)).await, first);
    assert!(!script.has_reports());
    stop.cancel();
    soon(running).await.expect("it does not panic");
}

/// Some jobs take longer than their lease, which is extended during the work.
#[tokio::test]
#[cfg_attr(no_postgres, ignore = "postgresql is not installed")]
async fn at_most_concurrency_jobs_run_and_a_process_takes_two_connections_more() {
    let office = Office::new().await;
    for number in 0..12 {
        office
            .add(if number % 4 == 0 { "1500" } else { "20" })
            .await;
    }
    let (script, stop, running) = office.start(office.worker(3));
    let sql = format!(
        "SELECT count(*) FROM pg_stat_activity WHERE application_name = '{}'",
        office.schema
    );
    let (mut most_jobs, mut most_connections) = (0, 0);
    let all = async {
        while office.count("done").await < 12 {
            most_jobs = most_jobs.max(script.running.load(SeqCst));
            // Without the one that asks.
            most_connections = most_connections.max(office.query::<i64>(&sql).await - 1);
        }
    };
    soon(all).await;
    assert_eq!(most_jobs, 3);
    assert!((3..=5).contains(&most_connections), "{most_connections}");
    stop.cancel();
    soon(running).await.expect("it does not panic");
    office.end().await;
}

/// Nobody hears of the job, as nobody notifies.
#[tokio::test]
#[cfg_attr(no_postgres, ignore = "postgresql is not installed")]
async fn a_job_without_a_notification_is_found_by_the_next_poll() {
    let office = Office::new().await;
    let (_, stop, running) = office.start(office.worker(1));
    soon(office.listens(0)).await;
    for jobs in 1..=3 {
        let sql = "INSERT INTO jobs (payload, due) VALUES ('0', now())";
        office.db.execute(sql, &[]).await.expect("it runs");
        office.until("done", jobs).await;
    }
    stop.cancel();
    soon(running).await.expect("it does not panic");
    office.end().await;
}
