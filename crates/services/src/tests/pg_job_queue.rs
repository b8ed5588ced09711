use std::collections::BTreeMap;
use std::env;
use std::io::{BufRead as _, BufReader};
use std::process;
use std::thread;
use std::time::Duration;

use deadpool_postgres::{Client, Manager, Pool};
use servers::Kind;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_postgres::{Config, NoTls};

use super::support::{connect, poll_and_drop, postgres, private, soon, times, unique};
use crate::pg_job_queue::{Job, JobQueue, QueueError, create_table};
use crate::pg_transaction::is_conflict;

const HOUR: Duration = Duration::from_secs(3600);
const TICK: Duration = Duration::from_millis(1);
/// Tells the child process where to work.
const URL: &str = "PG_JOB_QUEUE_TEST_URL";
const SCHEMA: &str = "PG_JOB_QUEUE_TEST_SCHEMA";

const JOBS: JobQueue = JobQueue {
    lease: HOUR,
    max_attempts: 3,
    initial_backoff: TICK,
    max_backoff: HOUR,
};

/// A lease that is over soon, for jobs of workers that are killed.
const SHORT: JobQueue = JobQueue {
    lease: Duration::from_millis(200),
    max_attempts: i32::MAX,
    ..JOBS
};

async fn connect_to(url: &str, schema: &str) -> Client {
    let mut config: Config = url.parse().expect("a URL");
    config.options(format!("-c search_path={schema}"));
    let pool = Pool::builder(Manager::new(config, NoTls)).build();
    pool.expect("no hooks").get().await.expect("it runs")
}

/// Tables in a schema of their own.
struct Queue {
    url: String,
    schema: String,
    client: Client,
}

impl Queue {
    async fn new() -> Self {
        Self::at(postgres().await).await
    }

    async fn at(url: String) -> Self {
        let schema = unique("job_queue");
        let client = connect_to(&url, &schema).await;
        let sql =
            format!("CREATE SCHEMA {schema}; CREATE TABLE {schema}.effects (job BIGINT)");
        client.batch_execute(&sql).await.expect("it runs");
        create_table(&client).await.expect("it runs");
        Self {
            url,
            schema,
            client,
        }
    }

    async fn connect(&self) -> Client {
        connect_to(&self.url, &self.schema).await
    }

    async fn count(&self, condition: &str) -> i64 {
        let sql = format!("SELECT count(*) FROM jobs WHERE {condition}");
        let row = self.client.query_one(&sql, &[]).await;
        row.expect("it runs").get(0)
    }

    /// How often each job has had its effect.
    async fn effects(&self) -> BTreeMap<i64, i64> {
        let sql = "SELECT job, count(*) FROM effects GROUP BY job";
        let rows = self.client.query(sql, &[]).await.expect("it runs");
        rows.iter().map(|row| (row.get(0), row.get(1))).collect()
    }

    async fn end(self) {
        let sql = format!("DROP SCHEMA {} CASCADE", self.schema);
        self.client.batch_execute(&sql).await.expect("it runs");
    }
}

/// Completes the job and writes its effect in one transaction.
async fn complete(client: &mut Client, job: &Job) -> Result<(), QueueError> {
    let transaction = client.transaction().await?;
    JOBS.complete(&transaction, job).await?;
    let sql = "INSERT INTO effects VALUES ($1)";
    transaction.execute(sql, &[&job.id]).await?;
    Ok(transaction.commit().await?)
}

/// Works forever.
async fn work(mut client: Client, jobs: JobQueue) -> Result<(), QueueError> {
    loop {
        let Some(job) = jobs.claim(&client).await? else {
            sleep(5 * TICK).await;
            continue;
        };
        match complete(&mut client, &job).await {
            // Slower than the lease: another worker has the job.
            Ok(()) | Err(QueueError::LeaseLost) => {}
            Err(error) => return Err(error),
        }
    }
}

/// Lets four workers complete all jobs, and checks that each has had its effect once.
async fn drain_and_check(queue: &Queue, jobs: i64) {
    let mut workers = JoinSet::new();
    for _ in 0..4 {
        workers.spawn(work(queue.connect().await, SHORT));
    }
    let done = async {
        while queue.count("state = 'done'").await < jobs {
            sleep(5 * TICK).await;
        }
    };
    soon(done).await;
    let effects = queue.effects().await;
    assert_eq!(effects.len() as i64, jobs);
    assert!(effects.values().all(|times| *times == 1), "{effects:?}");
}

/// Calls again after a conflict, as the documentation of `claim` says.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
#[cfg_attr(no_postgres, ignore = "postgresql is not installed")]
async fn where_transactions_are_serializable_a_call_is_repeated_after_a_conflict() {
    let queue = Queue::new().await;
    let sql = "INSERT INTO jobs (payload, due) SELECT 'x', now()
               FROM generate_series(1, 100)";
    queue.client.execute(sql, &[]).await.expect("it runs");
    let repeat = |error: QueueError| match error {
        QueueError::Postgres(error) if is_conflict(&error) => {}
        other => panic!("{other:?}"),
    };
    let mut workers = JoinSet::new();
    for _ in 0..8 {
        let mut client = queue.connect().await;
        let level = "SET default_transaction_isolation = serializable";
        client.batch_execute(level).await.expect("it runs");
        workers.spawn(async move {
            loop {
                match JOBS.claim(&client).await {
                    Ok(None) => return,
                    Ok(Some(job)) => {
                        while let Err(error) = complete(&mut client, &job).await {
                            repeat(error);
                        }
                    }
                    Err(error) => repeat(error),
                }
            }
        });
    }
    soon(workers.join_all()).await;
    let effects = queue.effects().await;
    assert_eq!(effects.len(), 100);
    assert!(effects.values().all(|times| *times == 1), "{effects:?}");
    queue.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
#[cfg_attr(no_postgres, ignore = "postgresql is not installed")]
async fn each_job_is_claimed_once() {
    for jobs in [0, 1, 31, 1000] {
        let queue = Queue::new().await;
        let sql = "INSERT INTO jobs (payload, due) SELECT 'x', now()
                   FROM generate_series(1, $1::INT)";
        queue.client.execute(sql, &[&jobs]).await.expect("it runs");
        let mut workers = JoinSet::new();
        for _ in 0..8 {
            let client = queue.connect().await;
            workers.spawn(async move {
                let mut ids = Vec::new();
                while let Some(job) = JOBS.claim(&client).await.expect("it runs") {
                    assert_eq!((&*job.payload, job.attempt), ("x", 1));
                    ids.push(job.id);
                }
                ids
            });
        }
        let mut claimed = soon(workers.join_all()).await.concat();
        claimed.sort_unstable();
        assert_eq!(claimed, (1..=i64::from(jobs)).collect::<Vec<_>>());
        queue.end().await;
    }
}

/// Not a test by itself: the process that is killed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn child() {
    let (Ok(url), Ok(schema)) = (env::var(URL), env::var(SCHEMA)) else {
        return;
    };
    let mut workers = JoinSet::new();
    for _ in 0..4 {
        workers.spawn(work(connect_to(&url, &schema).await, SHORT));
    }
    std::println!("begun");
    let _ = timeout(Duration::from_secs(120), workers.join_all()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[cfg_attr(no_postgres, ignore = "postgresql is not installed")]
async fn killed_at_any_moment_workers_lose_and_double_no_job() {
    let queue = Queue::new().await;
    let (_crate, module) = module_path!().split_once("::").expect("a module");
    let child = format!("{module}::child");
    let (mut killed_at_work, mut rounds, mut random) = (0, 0, 1_u32);
    // How soon a process works, depends on what else this machine does.
    while rounds < 10 || killed_at_work < 5 && rounds < 100 {
        rounds += 1;
        for _ in 0..30 {
            let added = JOBS.enqueue(&queue.client, "x", Duration::ZERO).await;
            added.expect("it runs");
        }
        let mut children = [(); 2].map(|()| {
            process::Command::new(env::current_exe().expect("itself"))
                .args(["--exact", "--nocapture", &child])
                .env(URL, &queue.url)
                .env(SCHEMA, &queue.schema)
                .stdout(process::Stdio::piped())
                .stderr(process::Stdio::null())
                .spawn()
                .expect("it starts")
        });
        // Kept: a closed pipe would end the child's printing, and so the child.
        let mut outputs = Vec::new();
        for child in &mut children {
            let output = child.stdout.take().expect("it is piped");
            let mut lines = BufReader::new(output).lines();
            let begun = |line: Result<String, _>| line.is_ok_and(|l| l.contains("begun"));
            assert!(lines.any(begun), "it begins");
            outputs.push(lines);
        }
        random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        thread::sleep(Duration::from_micros(u64::from(random >> 17)));
        for child in &mut children {
            child.kill().expect("it can be killed");
            let ended = child.wait().expect("it has ended");
            assert_eq!(ended.code(), None, "it did not end by itself");
        }
        killed_at_work += usize::from(queue.count("state = 'running'").await > 0);
        let effects = queue.effects().await;
        assert!(effects.values().all(|times| *times == 1), "{effects:?}");
    }
    assert!(killed_at_work >= 5, "{killed_at_work} were killed at work");
    drain_and_check(&queue, 30 * rounds).await;
    queue.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[cfg_attr(no_postgres, ignore = "postgresql is not installed")]
async fn a_killed_server_loses_and_doubles_no_job() {
    let mut server = private(Kind::Postgres).await;
    let queue = Queue::at(server.url()).await;
    for round in 1..=5 {
        let client = connect_to(&queue.url, &queue.schema).await;
        for _ in 0..50 {
            let added = JOBS.enqueue(&client, "x", Duration::ZERO).await;
            added.expect("it runs");
        }
        let mut workers = JoinSet::new();
        for _ in 0..4 {
            workers.spawn(work(connect_to(&queue.url, &queue.schema).await, SHORT));
        }
        sleep(round * 5 * TICK).await;
        server.kill();
        while let Some(ended) = soon(workers.join_next()).await {
            let ended = ended.expect("it does not panic");
            assert!(matches!(ended, Err(QueueError::Postgres(_))), "{ended:?}");
        }
        server.restart().expect("it starts again");
    }
    let client = connect_to(&queue.url, &queue.schema).await;
    let queue = Queue { client, ..queue };
    drain_and_check(&queue, 250).await;
}

#[tokio::test]
#[cfg_attr(no_postgres, ignore = "postgresql is not installed")]
async fn only_the_latest_attempt_changes_a_job() {
    let jobs = JobQueue {
        lease: Duration::ZERO,
        ..JOBS
    };
    let mut queue = Queue::new().await;
    let add = jobs.enqueue(&queue.client, "x", Duration::ZERO);
    add.await.expect("it runs");
    let mut claims = Vec::new();
    for attempt in 1..=3 {
        let job = jobs.claim(&queue.client).await.expect("it runs");
        let job = job.expect("the lease is over at once");
        assert_eq!(job.attempt, attempt);
        claims.push(job);
    }
    for job in &claims[..2] {
        let client = &mut queue.client;
        let lost = [
            complete(client, job).await,
            jobs.extend(client, job).await,
            jobs.fail(client, job, "late").await,
        ];
        assert!(
            lost.iter()
                .all(|it| matches!(it, Err(QueueError::LeaseLost))),
            "{lost:?}"
        );
    }
    // The last lease is over: the next claim buries the job.
    assert_eq!(jobs.claim(&queue.client).await.expect("it runs"), None);
    let dead = jobs
        .dead_letters(&queue.client, 100)
        .await
        .expect("it runs");
    assert_eq!(dead, [(claims[2].clone(), "the lease expired".to_owned())]);
    // Late, but the latest.
    complete(&mut queue.client, &claims[2])
        .await
        .expect("it may");
    let again = complete(&mut queue.client, &claims[2]).await;
    assert!(matches!(again, Err(QueueError::LeaseLost)), "{again:?}");
    assert!(queue.effects().await.values().eq([&1]));
    queue.end().await;
}

#[tokio::test]
#[cfg_attr(no_postgres, ignore = "postgresql is not installed")]
async fn dropped_at_each_await_a_job_is_whole() {
    let jobs = JobQueue {
        lease: Duration::ZERO,
        max_attempts: i32::MAX,
        ..JOBS
    };
    let queue = Queue::new().await;
    let mut client = queue.connect().await;
    for polls in 0..12 {
        poll_and_drop(jobs.enqueue(&client, "x", Duration::ZERO), polls).await;
        poll_and_drop(jobs.claim(&client), polls).await;
        if let Ok(Some(job)) = jobs.claim(&client).await {
            poll_and_drop(complete(&mut client, &job), polls).await;
        }
        // A statement behind those that were dropped.
        client.batch_execute("").await.expect("it runs");
        let done = queue.count("state = 'done'").await;
        let effects = queue.effects().await;
        assert!(effects.values().all(|times| *times == 1), "{effects:?}");
        assert_eq!(effects.len() as i64, done);
    }
    let jobs = queue.count("true").await;
    drain_and_check(&queue, jobs).await;
    queue.end().await;
}

#[tokio::test]
#[cfg_attr(no_postgres, ignore = "postgresql is not installed")]
async fn delays_and_backoffs_of_any_length() {
    let longest = Duration::MAX;
    let jobs = JobQueue {
        lease: longest,
        max_attempts: i32::MAX,
        initial_backoff: longest,
        max_backoff: longest,
    };
    let queue = Queue::new().await;
    let add = async |delay| {
        jobs.enqueue(&queue.client, "x", delay)
            .await
            .expect("it runs")
    };
    let never = add(longest).await;
    let first = add(Duration::ZERO).await;
    let job = jobs.claim(&queue.client).await.expect("it runs");
    let job = job.expect("one is due");
    assert_eq!(job.id, first);
    jobs.extend(&queue.client, &job).await.expect("it is ours");
    jobs.fail(&queue.client, &job, "x")
        .await
        .expect("it is ours");
    let none = JobQueue {
        initial_backoff: Duration::ZERO,
        ..jobs
    };
    let second = add(Duration::ZERO).await;
    for attempt in 1..=3 {
        let job = none.claim(&queue.client).await.expect("it runs");
        let job = job.expect("it is due again at once");
        assert_eq!((job.id, job.attempt), (second, attempt));
        none.fail(&queue.client, &job, "x")
            .await
            .expect("it is ours");
    }
    // After an attempt that is as late as can be.
    let late = Job {
        attempt: i32::MAX,
        ..job
    };
    let lost = jobs.fail(&queue.client, &late, "x").await;
    assert!(matches!(lost, Err(QueueError::LeaseLost)), "{lost:?}");
    assert_eq!(
        queue.count(&format!("id = {never} AND attempt = 0")).await,
        1
    );
    queue.end().await;
}

/// A job that is added in a transaction comes with its commit, or not at all.
#[tokio::test]
#[cfg_attr(no_postgres, ignore = "postgresql is not installed")]
async fn a_job_of_a_transaction() {
    let queue = Queue::new().await;
    let mut client = queue.connect().await;
    for commits in [false, true] {
        let transaction = client.transaction().await.expect("it runs");
        let add = JOBS.enqueue(&transaction, "x", Duration::ZERO);
        add.await.expect("it runs");
        let claimed = JOBS.claim(&queue.client).await.expect("it does not wait");
        assert_eq!(claimed, None);
        match commits {
            true => transaction.commit().await,
            false => transaction.rollback().await,
        }
        .expect("it runs");
        let claimed = JOBS.claim(&queue.client).await.expect("it runs");
        assert_eq!(claimed.is_some(), commits);
    }
    queue.end().await;
}

/// The trap of the header: what SQL says of one row, a plan may do for each.
#[tokio::test]
#[cfg_attr(no_postgres, ignore = "postgresql is not installed")]
async fn a_subselect_may_claim_all_jobs() {
    let queue = Queue::new().await;
    for _ in 0..5 {
        let add = JOBS.enqueue(&queue.client, "x", Duration::ZERO);
        add.await.expect("it runs");
    }
    // A planner whose numbers are wrong may come to this by itself.
    let plan = "SET enable_hashjoin = off; SET enable_mergejoin = off;
                SET enable_material = off; SET enable_hashagg = off; SET enable_sort = off";
    queue.client.batch_execute(plan).await.expect("it runs");
    let sql = "UPDATE jobs SET state = 'running' WHERE id IN
                   (SELECT id FROM jobs WHERE state = 'waiting' LIMIT 1
                    FOR UPDATE SKIP LOCKED)";
    let begin = queue.client.batch_execute("BEGIN").await;
    begin.expect("it runs");
    let claimed = queue.client.execute(sql, &[]).await.expect("it runs");
    assert_eq!(claimed, 5);
    queue
        .client
        .batch_execute("ROLLBACK")
        .await
        .expect("it runs");
    let job = JOBS.claim(&queue.client).await.expect("it runs");
    assert_eq!(
        (job.map(|job| job.id), queue.count("attempt > 0").await),
        (Some(1), 1)
    );
    queue.end().await;
}

/// Without the lock, programs that start at the same time fail.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
#[cfg_attr(no_postgres, ignore = "postgresql is not installed")]
async fn many_programs_create_the_table() {
    let url = postgres().await;
    let mut refused = None;
    for _ in 0..100 {
        let schema = unique("job_queue");
        let client = connect_to(&url, &schema).await;
        let sql = format!("CREATE SCHEMA {schema}");
        client.batch_execute(&sql).await.expect("it runs");
        let mut programs = JoinSet::new();
        let mut naive = JoinSet::new();
        for _ in 0..8 {
            let client = connect_to(&url, &schema).await;
            programs.spawn(async move { (create_table(&client).await, client) });
        }
        for (created, client) in soon(programs.join_all()).await {
            created.expect("they take turns");
            naive.spawn(async move {
                let sql = "CREATE TABLE IF NOT EXISTS naive (id BIGINT PRIMARY KEY)";
                client.batch_execute(sql).await
            });
        }
        let failed = soon(naive.join_all())
            .await
            .into_iter()
            .find_map(Result::err);
        refused = refused.or(failed);
        let sql = format!("DROP SCHEMA {schema} CASCADE");
        client.batch_execute(&sql).await.expect("it runs");
        if refused.is_some() {
            break;
        }
    }
    let refused = refused.expect("some collide");
    let said = refused.as_db_error().expect("the server says it").message();
    assert!(
        said.contains("duplicate key value") || said.contains("exists"),
        "{said}"
    );
}

/// Those whose rows others have locked are passed by: no claim waits for them.
#[tokio::test]
#[cfg_attr(no_postgres, ignore = "postgresql is not installed")]
async fn a_claim_waits_for_no_other_transaction() {
    let jobs = JobQueue {
        lease: Duration::ZERO,
        max_attempts: 1,
        ..JOBS
    };
    let queue = Queue::new().await;
    let add = async || {
        let added = jobs.enqueue(&queue.client, "x", Duration::ZERO).await;
        added.expect("it runs")
    };
    let claim = async || soon(jobs.claim(&queue.client)).await.expect("it runs");
    // The first is in its last attempt, and its lease is over. The second waits.
    add().await;
    let last = claim().await.expect("it is due");
    let waiting = add().await;
    let mut other = queue.connect().await;
    let transaction = other.transaction().await.expect("it runs");
    let done = jobs.complete(&transaction, &last).await;
    done.expect("it is the latest");
    let sql = "SELECT FROM jobs WHERE id = $1 FOR UPDATE";
    transaction
        .execute(sql, &[&waiting])
        .await
        .expect("it runs");
    assert_eq!(claim().await, None);
    let free = add().await;
    assert_eq!(claim().await.map(|job| job.id), Some(free));
    transaction.commit().await.expect("it was not buried");
    assert_eq!(queue.count("state = 'done' AND due IS NULL").await, 1);
    assert_eq!(claim().await.map(|job| job.id), Some(waiting));
    queue.end().await;
}

/// The index would give this order by chance.
#[tokio::test]
#[cfg_attr(no_postgres, ignore = "postgresql is not installed")]
async fn the_job_that_is_due_longest_comes_first() {
    let queue = Queue::new().await;
    let sql = "DROP INDEX jobs_due;
               INSERT INTO jobs (payload, due)
               SELECT 'x', now() - n / 2 * INTERVAL '1 hour' FROM generate_series(0, 9) n;
               UPDATE jobs SET payload = 'y' WHERE id % 2 = 1";
    queue.client.batch_execute(sql).await.expect("it runs");
    let mut ids = Vec::new();
    while let Some(job) = JOBS.claim(&queue.client).await.expect("it runs") {
        ids.push(job.id);
    }
    assert_eq!(ids, [9, 10, 7, 8, 5, 6, 3, 4, 1, 2]);
    queue.end().await;
}

/// Measured in hours, which no machine is late by.
#[tokio::test]
#[cfg_attr(no_postgres, ignore = "postgresql is not installed")]
async fn leases_and_backoffs_in_hours() {
    let jobs = JobQueue {
        lease: 7 * HOUR,
        max_attempts: 4,
        initial_backoff: HOUR,
        max_backoff: 3 * HOUR,
    };
    let queue = Queue::new().await;
    let hours = async || {
        let sql = "SELECT round(extract(epoch FROM due - now()) / 3600)::INT FROM jobs";
        let row = queue.client.query_one(sql, &[]).await.expect("it runs");
        row.get::<_, Option<i32>>(0)
    };
    let add = jobs.enqueue(&queue.client, "x", 5 * HOUR);
    add.await.expect("it runs");
    assert_eq!(hours().await, Some(5));
    for backoff in [Some(1), Some(2), Some(3), None] {
        let sql = "UPDATE jobs SET due = now()";
        queue.client.execute(sql, &[]).await.expect("it runs");
        let job = jobs.claim(&queue.client).await.expect("it runs");
        let job = job.expect("it is due");
        assert_eq!(hours().await, Some(7));
        let longer = JobQueue {
            lease: 9 * HOUR,
            ..jobs
        };
        let extended = longer.extend(&queue.client, &job).await;
        extended.expect("it is ours");
        assert_eq!(hours().await, Some(9));
        let failed = jobs.fail(&queue.client, &job, "broken").await;
        failed.expect("it is ours");
        assert_eq!(hours().await, backoff);
    }
    let dead = jobs
        .dead_letters(&queue.client, 100)
        .await
        .expect("it runs");
    assert_eq!((dead[0].0.attempt, &*dead[0].1), (4, "broken"));
    queue.end().await;
}

#[tokio::test]
#[cfg_attr(no_postgres, ignore = "postgresql is not installed")]
async fn the_table_is_created_by_one_at_a_time() {
    let queue = Queue::new().await;
    let mut other = queue.connect().await;
    let sql = "DROP TABLE jobs";
    other.batch_execute(sql).await.expect("it runs");
    let transaction = other.transaction().await.expect("it runs");
    create_lock(&transaction).await;
    let waits = timeout(200 * TICK, create_table(&queue.client)).await;
    assert!(waits.is_err(), "{waits:?}");
    transaction.commit().await.expect("it runs");
    soon(create_table(&queue.client)).await.expect("it runs");
    queue.end().await;
}

async fn create_lock(transaction: &tokio_postgres::Transaction<'_>) {
    let sql = "SELECT pg_advisory_xact_lock(1246908244)";
    transaction.batch_execute(sql).await.expect("it is free");
}

/// `CREATE INDEX IF NOT EXISTS` would wait for the transaction, and the claims for that.
#[tokio::test]
#[cfg_attr(no_postgres, ignore = "postgresql is not installed")]
async fn a_program_that_starts_waits_for_no_transaction() {
    let queue = Queue::new().await;
    for payload in ["long", "short"] {
        let added = JOBS.enqueue(&queue.client, payload, Duration::ZERO).await;
        added.expect("it runs");
    }
    let mut worker = queue.connect().await;
    let job = JOBS.claim(&worker).await.expect("it runs");
    let transaction = worker.transaction().await.expect("it runs");
    let job = job.expect("it is due");
    JOBS.complete(&transaction, &job).await.expect("it runs");
    let starts = queue.connect().await;
    soon(create_table(&starts)).await.expect("it is there");
    let next = soon(JOBS.claim(&starts)).await.expect("it runs");
    assert_eq!(next.expect("it is due").payload, "short");
    transaction.commit().await.expect("it runs");
    queue.end().await;
}

/// A thousand times as many, in full.
#[tokio::test]
#[cfg_attr(no_postgres, ignore = "postgresql is not installed")]
async fn a_claim_costs_the_same_in_a_long_backlog() {
    let queue = Queue::new().await;
    let mut least = Vec::new();
    for jobs in [200, i64::from(times(20_000, 200_000))] {
        let sql = "INSERT INTO jobs (payload, due)
                   SELECT '', now() FROM generate_series(1, $1::BIGINT)";
        queue.client.execute(sql, &[&jobs]).await.expect("it runs");
        let mut costs = Vec::new();
        for _ in 0..30 {
            let start = std::time::Instant::now();
            let job = JOBS.claim(&queue.client).await.expect("it runs");
            costs.push(start.elapsed());
            let job = job.expect("it is due");
            JOBS.complete(&queue.client, &job).await.expect("it runs");
        }
        least.extend(costs.into_iter().min());
    }
    let ratio = least[1].div_duration_f64(least[0]);
    assert!(ratio < 5.0, "{ratio} times as much: {least:?}");
    queue.end().await;
}

#[tokio::test]
#[cfg_attr(no_postgres, ignore = "postgresql is not installed")]
async fn no_statement_changes_more_than_one_row() {
    let queue = Queue::new().await;
    let sql = "
        INSERT INTO jobs (payload, state, attempt, due)
            SELECT 'bad', 'running', 3, now() FROM generate_series(1, 31);
        INSERT INTO jobs (payload, due) VALUES ('good', now());
        CREATE FUNCTION at_most_one() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            ASSERT (SELECT count(*) <= 1 FROM changed);
            RETURN NULL;
        END $$;
        CREATE TRIGGER at_most_one AFTER UPDATE ON jobs REFERENCING NEW TABLE AS changed
            FOR EACH STATEMENT EXECUTE FUNCTION at_most_one()";
    queue.client.batch_execute(sql).await.expect("it runs");
    let job = JOBS.claim(&queue.client).await.expect("one row each");
    assert_eq!(job.expect("it is due").payload, "good");
    assert_eq!(queue.count("state = 'dead'").await, 31);
    let letters = JOBS.dead_letters(&queue.client, 10).await;
    let letters = letters.expect("it runs");
    assert_eq!(letters.len(), 10);
    assert!(letters.iter().all(|letter| letter.1 == "the lease expired"));
    queue.end().await;
}

#[tokio::test]
#[cfg_attr(no_postgres, ignore = "postgresql is not installed")]
async fn an_error_may_contain_a_nul() {
    let queue = Queue::new().await;
    let once = JobQueue {
        max_attempts: 1,
        ..JOBS
    };
    let added = once.enqueue(&queue.client, "tea", Duration::ZERO).await;
    added.expect("it runs");
    let job = once.claim(&queue.client).await.expect("it runs");
    let job = job.expect("it is due");
    let failed = once.fail(&queue.client, &job, "no\0tea").await;
    failed.expect("it is stored");
    let dead = once.dead_letters(&queue.client, 1).await.expect("it runs");
    assert_eq!(dead, [(job, "no tea".to_owned())]);
    queue.end().await;
}

/// asyncpg prepares a statement with Parse and Flush, and not with Sync. If it goes silent
/// then, its transaction is not idle for the server, and `statement_timeout` is ignored.
/// tokio-postgres sends a Sync.
#[tokio::test]
#[cfg_attr(no_postgres, ignore = "postgresql is not installed")]
async fn silent_after_a_parse_it_keeps_its_lock() {
    let server = private(Kind::Postgres).await;
    let url = server.url();
    let client = connect(&url).await;
    let limits = "CREATE TABLE one AS SELECT 1 AS n;
        ALTER DATABASE postgres SET statement_timeout = 1000;
        ALTER DATABASE postgres SET idle_in_transaction_session_timeout = 1000";
    client.batch_execute(limits).await.expect("it runs");
    let is_locked = async || {
        let sql = "SELECT count(*) FROM (SELECT n FROM one FOR UPDATE SKIP LOCKED) free";
        let row = client.query_one(sql, &[]).await.expect("it runs");
        row.get::<_, i64>(0) == 0
    };
    let (_, address) = url.rsplit_once('@').expect("a user");
    let (address, _) = address.split_once('/').expect("a database");
    let mut silent = TcpStream::connect(address).await.expect("it listens");
    let parameters = b"\0\x03\0\0user\0postgres\0database\0postgres\0\0";
    let mut sent = Vec::from((parameters.len() as u32 + 4).to_be_bytes());
    sent.extend(parameters);
    let update = b"BEGIN; UPDATE one SET n = 2\0".as_slice();
    for (kind, body) in [(b'Q', update), (b'P', b"\0SELECT 1\0\0\0"), (b'H', b"")] {
        sent.push(kind);
        sent.extend((body.len() as u32 + 4).to_be_bytes());
        sent.extend(body);
    }
    silent.write_all(&sent).await.expect("it is open");
    let (mut reply, parsed) = (Vec::new(), b"1\0\0\0\x04");
    let parses = async {
        while !reply.ends_with(parsed) {
            let read = silent.read_buf(&mut reply).await.expect("it is open");
            assert!(read > 0, "{}", String::from_utf8_lossy(&reply));
        }
    };
    soon(parses).await;
    sleep(Duration::from_secs(3)).await;
    assert!(is_locked().await);
    silent.write_all(b"S\0\0\0\x04").await.expect("it is open");
    let comes_free = async {
        while is_locked().await {
            sleep(Duration::from_millis(10)).await;
        }
    };
    soon(comes_free).await;
}
