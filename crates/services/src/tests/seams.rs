//! Examples that readers put together, each built from the files as they are: what it
//! takes to join them is the code here.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::{Timestamp, Zoned, tz::TimeZone};
use redis::RedisError;
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinSet;
use tokio::time::{error::Elapsed, sleep};
use tokio_postgres::{Client, Config, NoTls};
use tokio_util::sync::CancellationToken;

use super::support::{postgres, redis, soon, unique};
use crate::pg_leader::{self, LeaderError, Term, lead};
use crate::pg_outbox::{self, Event, Relay, add_event};
use crate::redis_job_queue::{self, Job, Outcome};
use crate::redis_reconnect::Redis;

#[allow(dead_code)]
#[path = "../../../real-world/src/background_services.rs"]
mod background_services;
#[allow(dead_code)]
#[path = "../../../real-world/src/cron.rs"]
mod cron;
#[allow(dead_code)]
#[path = "../../../real-world/src/job_workers.rs"]
mod job_workers;

use background_services::{End, Restarts, Supervisor};
use cron::run_on_schedule;
use job_workers::{Claim, Ended, Queue, Workers};

const TICK: Duration = Duration::from_millis(1);
/// Nothing takes that long unless it hangs.
const LONG: Duration = Duration::from_secs(60);

fn config(url: &str, schema: &str) -> Config {
    let mut config: Config = url.parse().expect("a URL");
    config.options(format!("-c search_path={schema}"));
    config
}

async fn client(url: &str, schema: &str) -> Result<Client, tokio_postgres::Error> {
    let (client, connection) = config(url, schema).connect(NoTls).await?;
    tokio::spawn(connection);
    Ok(client)
}

/// A client whose tables are in a schema of their own.
async fn in_schema(url: &str, schema: &str) -> Client {
    let client = client(url, schema).await.expect("it connects");
    let sql = format!("CREATE SCHEMA {schema}");
    client.batch_execute(&sql).await.expect("a schema");
    client
}

// A schedule in several processes of which one works: `cron` and `pg_leader`.

/// The next tenth of a second.
fn next_tenth(after: &Zoned) -> Result<Zoned, jiff::Error> {
    let tenths = after.timestamp().as_millisecond().div_euclid(100) + 1;
    Ok(Timestamp::from_millisecond(tenths * 100)?.to_zoned(TimeZone::UTC))
}

/// Leads or waits, as long as the process lives. A tick is a row, written in the term.
async fn work_on_schedule(url: &str, schema: &str) -> Result<(), LeaderError> {
    let db = client(url, schema).await?;
    let stop = CancellationToken::new();
    let work = move |term: Term| async move {
        let (failed, mut failures) = mpsc::channel(1);
        let db = tokio::sync::Mutex::new(db);
        let (now, tick) = (
            || Timestamp::now().to_zoned(TimeZone::UTC),
            |due: Zoned| {
                let (db, term, failed) = (&db, &term, failed.clone());
                async move {
                    let mut db = db.lock().await;
                    let written = async {
                        let transaction = db.transaction().await?;
                        term.check(&transaction).await?;
                        let due = due.timestamp().as_millisecond();
                        let sql = "INSERT INTO ticks VALUES ($1, $2)";
                        transaction.execute(sql, &[&due, &term.number]).await?;
                        Ok::<(), LeaderError>(transaction.commit().await?)
                    };
                    if let Err(error) = written.await {
                        let _ = failed.try_send(error);
                    }
                }
            },
        );
        tokio::select! {
            ended = run_on_schedule(now, next_tenth, &stop, tick) => {
                ended.expect("the year is not 9999");
                Ok(())
            }
            Some(error) = failures.recv() => Err(error),
        }
    };
    let name = format!("cron {schema}");
    lead(config(url, schema), &name, Duration::from_secs(12), work).await?
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[cfg_attr(no_postgres, ignore = "PostgreSQL is not installed")]
async fn of_three_processes_with_one_schedule_one_works_at_a_time() {
    let (url, schema) = (postgres().await, unique("cron"));
    let db = in_schema(&url, &schema).await;
    pg_leader::create_table(&db).await.expect("a table");
    let table = "CREATE TABLE ticks (due BIGINT PRIMARY KEY, term BIGINT NOT NULL)";
    db.batch_execute(table).await.expect("a table");
    let mut processes = Vec::new();
    for _ in 0..3 {
        let (url, schema) = (url.clone(), schema.clone());
        let process = async move { work_on_schedule(&url, &schema).await };
        processes.push(tokio::spawn(process));
    }
    // As often as there are processes, the one that leads is killed.
    for term in 1..=3_i64 {
        let sql = "SELECT count(*) FROM ticks WHERE term = $1";
        let ticks = async {
            while db
                .query_one(sql, &[&term])
                .await
                .expect("it answers")
                .get::<_, i64>(0)
                < 3
            {
                sleep(Duration::from_millis(10)).await;
            }
        };
        soon(ticks).await;
        let sql = "SELECT pg_terminate_backend(pid) FROM pg_locks
                   WHERE locktype = 'advisory' AND granted AND objsubid = 1
                   AND (classid::BIGINT << 32 | objid::BIGINT) = hashtextextended($1, 0)";
        let name = format!("cron {schema}");
        let killed = db.query(sql, &[&name]).await.expect("it answers");
        assert_eq!(killed.len(), 1, "one process leads");
    }
    for process in processes {
        let ended = soon(process).await.expect("no panic");
        ended.expect_err("it was killed");
    }
    let sql = "SELECT count(*), count(DISTINCT due), bool_and(term >= 1) FROM ticks";
    let row = db.query_one(sql, &[]).await.expect("it answers");
    let (ticks, distinct): (i64, i64) = (row.get(0), row.get(1));
    assert!(ticks >= 9 && ticks == distinct, "{ticks} {distinct}");
}

// A service whose changes are published: `background_services` and `pg_outbox`.

#[derive(Debug, thiserror::Error)]
enum RelayError {
    #[error("the broker is down")]
    Broker,
    #[error(transparent)]
    Late(#[from] Elapsed),
    #[error(transparent)]
    Postgres(#[from] tokio_postgres::Error),
}

/// Fails each fourth time.
#[derive(Default)]
struct Broker {
    calls: AtomicU32,
    received: Mutex<Vec<(i64, String)>>,
}

impl Broker {
    async fn publish(&self, event: Event) -> Result<(), RelayError> {
        if self.calls.fetch_add(1, SeqCst) % 4 == 3 {
            return Err(RelayError::Broker);
        }
        let mut received = self.received.lock().expect("no panic");
        received.push((event.id, event.payload));
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[cfg_attr(no_postgres, ignore = "PostgreSQL is not installed")]
async fn a_service_publishes_what_its_transactions_stored_and_nothing_else() {
    let (url, schema) = (postgres().await, unique("service"));
    let mut db = in_schema(&url, &schema).await;
    pg_outbox::create_tables(&db).await.expect("tables");
    let table = "CREATE TABLE orders (item TEXT NOT NULL)";
    db.batch_execute(table).await.expect("a table");
    let broker = Arc::<Broker>::default();

    let restarts = Restarts {
        limit: 1_000,
        pause: TICK,
        longest_pause: TICK,
        good_run: LONG,
    };
    let mut services = Supervisor::new(restarts, |_, _, _| {});
    let relay = Relay {
        batch: 10,
        limit: LONG,
    };
    let (relay_url, relay_schema, to) =
        (url.clone(), schema.clone(), Arc::clone(&broker));
    // Each run has a new connection, as the relay asks for after an error.
    let run = move |stop: CancellationToken| {
        let (url, schema, broker) =
            (relay_url.clone(), relay_schema.clone(), Arc::clone(&to));
        async move {
            let mut db = client(&url, &schema).await?;
            while !stop.is_cancelled() {
                let publish = |event| broker.publish(event);
                if relay
                    .publish_batch::<RelayError, _>(&mut db, publish)
                    .await?
                    == 0
                {
                    stop.run_until_cancelled(sleep(TICK)).await;
                }
            }
            Ok::<(), RelayError>(())
        }
    };
    services.start("relay", run).expect("the only one");

    for number in 0..60 {
        let item = format!("item {number}");
        let transaction = db.transaction().await.expect("it answers");
        let sql = "INSERT INTO orders VALUES ($1)";
        transaction
            .execute(sql, &[&item])
            .await
            .expect("it answers");
        add_event(&transaction, &item).await.expect("it answers");
        if number % 3 == 2 {
            transaction.rollback().await.expect("it answers");
        } else {
            transaction.commit().await.expect("it answers");
        }
    }
    let all = async {
        let left = "SELECT count(*) FROM outbox";
        while db
            .query_one(left, &[])
            .await
            .expect("it answers")
            .get::<_, i64>(0)
            > 0
        {
            sleep(TICK).await;
        }
    };
    soon(all).await;
    let ends = soon(services.stop(LONG)).await;
    assert_eq!(ends, [("relay".to_owned(), End::Done)]);
    let rows = db
        .query("SELECT item FROM orders", &[])
        .await
        .expect("it answers");
    let orders: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
    assert_eq!(orders.len(), 40);
    let mut received = broker.received.lock().expect("no panic").clone();
    // At least once: a repeat has the id of the first.
    assert!(received.is_sorted_by_key(|(id, _)| *id));
    received.dedup();
    let items: Vec<_> = received.into_iter().map(|(_, item)| item).collect();
    assert_eq!(items, orders);
}

// Workers of several processes on Redis: `job_workers` and `redis_job_queue`.

#[derive(Debug, thiserror::Error)]
enum QueueError {
    #[error("the job is no longer this worker's")]
    Lost,
    #[error(transparent)]
    Redis(#[from] RedisError),
}

struct RedisQueue {
    queue: redis_job_queue::Queue<Redis>,
}

fn kept(is_mine: bool) -> Result<(), QueueError> {
    if is_mine {
        Ok(())
    } else {
        Err(QueueError::Lost)
    }
}

impl Queue for RedisQueue {
    type Job = Job;
    type Output = String;
    type Failure = String;
    type Error = QueueError;

    async fn claim(&self) -> Result<Claim<Job>, QueueError> {
        Ok(match self.queue.claim().await? {
            redis_job_queue::Claim::Job(job) => Claim::Job(job),
            redis_job_queue::Claim::Empty(wait) => Claim::Empty(wait),
        })
    }

    async fn extend(&self, job: &Job) -> Result<bool, QueueError> {
        Ok(self.queue.extend(job).await?)
    }

    async fn complete(&self, job: &Job, output: String) -> Result<(), QueueError> {
        kept(self.queue.complete(job, &output).await?)
    }

    async fn fail(
        &self,
        job: &Job,
        ended: Ended<String, QueueError>,
    ) -> Result<(), QueueError> {
        let is_mine = match ended {
            Ended::Stopped => self.queue.retry(job, Duration::ZERO).await?,
            Ended::Failed(error) if job.attempt < 3 && error == "try again" => {
                self.queue.retry(job, TICK).await?
            }
            // It has its outcome.
            Ended::Aborted | Ended::Completing(_) => true,
            other => self.queue.fail(job, &other.to_string()).await?,
        };
        kept(is_mine)
    }

    fn report(&self, error: QueueError) {
        println!("the queue: {error}");
    }

    fn lost(&self, job: &Job) {
        println!(
            "{} is lost, or aborted by its id, in whichever process",
            job.id
        );
    }
}

/// Sets a flag when it is dropped.
struct SetOnDrop(Arc<AtomicBool>);

impl Drop for SetOnDrop {
    fn drop(&mut self) {
        self.0.store(true, SeqCst);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[cfg_attr(no_redis, ignore = "redis-server is not installed")]
async fn workers_on_redis_with_retries_results_abort_and_a_shutdown() {
    let url = redis().await;
    // One for the workers, and one for another process.
    let queue = redis_job_queue::Queue {
        redis: Redis::connect(&url, LONG).await.expect("it connects"),
        name: unique("workers"),
        lease: Duration::from_millis(300),
        max_attempts: 10,
        max_jobs: 1_000,
        keep_result: LONG,
    };
    let other = redis_job_queue::Queue {
        redis: Redis::connect(&url, LONG).await.expect("it connects"),
        ..queue.clone()
    };
    let workers = Arc::new(Workers {
        lease: queue.lease,
        queue: RedisQueue { queue },
        max_runtime: LONG,
        grace: TICK,
        poll: TICK,
        wake: Notify::new(),
    });
    let (started, mut has_started) = mpsc::unbounded_channel();
    let is_dropped = Arc::<AtomicBool>::default();
    let flag = Arc::clone(&is_dropped);
    let handler = move |job: Job| {
        let (started, flag) = (started.clone(), Arc::clone(&flag));
        async move {
            match (job.payload.as_str(), job.attempt) {
                ("flaky", ..3) => Err("try again".to_owned()),
                ("broken", _) => Err("no address".to_owned()),
                ("hangs" | "long", 1) => {
                    let _drop = (job.payload == "hangs").then(|| SetOnDrop(flag));
                    started.send(job.id).expect("the test listens");
                    std::future::pending().await
                }
                ("bug", _) => panic!("scheduled"),
                _ => Ok(format!("{}, attempt {}", job.payload, job.attempt)),
            }
        }
    };
    let stop = CancellationToken::new();
    let mut tasks = JoinSet::new();
    for _ in 0..2 {
        let (workers, handler, stop) =
            (Arc::clone(&workers), handler.clone(), stop.clone());
        tasks.spawn(async move { workers.work(&stop, handler).await });
    }
    let add = async |id: &str| {
        let added = other.enqueue(id, id, Duration::ZERO).await;
        assert!(added.expect("it answers"));
    };
    let outcome = async |id: &str| {
        let waiting = other.wait_for_result(id, TICK);
        soon(waiting)
            .await
            .expect("it answers")
            .expect("it is there")
    };
    for (id, expected) in [
        ("quick", Outcome::Done("quick, attempt 1".to_owned())),
        ("flaky", Outcome::Done("flaky, attempt 3".to_owned())),
        ("broken", Outcome::Failed("no address".to_owned())),
    ] {
        add(id).await;
        assert_eq!(outcome(id).await, expected);
    }
    add("bug").await;
    assert!(
        matches!(outcome("bug").await, Outcome::Failed(error) if error.contains("panic"))
    );

    add("hangs").await;
    assert_eq!(soon(has_started.recv()).await.as_deref(), Some("hangs"));
    assert!(other.abort("hangs").await.expect("it answers"));
    let dropped = async {
        while !is_dropped.load(SeqCst) {
            sleep(TICK).await;
        }
    };
    soon(dropped).await;
    assert_eq!(outcome("hangs").await, Outcome::Aborted);

    // Still running when the grace is over: it is due again, without waiting for a lease.
    add("long").await;
    assert_eq!(soon(has_started.recv()).await.as_deref(), Some("long"));
    stop.cancel();
    soon(tasks.join_all()).await;
    let Ok(redis_job_queue::Claim::Job(job)) = other.claim().await else {
        panic!("it was given back");
    };
    assert_eq!((job.id.as_str(), job.attempt), ("long", 2));
}
