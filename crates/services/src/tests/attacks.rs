//! Processes that share work, half of them twins in Python: killed, stopped for longer than
//! a lease, cut off, and with a server that is killed and that hangs.
//!
//! A few times each; as often as the chapter says with `ATTACKS=full`.

use std::collections::{BTreeMap, BTreeSet};
use std::env;
use std::io::{self, BufRead as _, BufReader};
use std::process::{self, Child, Command, Stdio};
use std::sync::{Arc, LazyLock};
use std::thread;
use std::time::Duration;

use async_nats::jetstream;
use catalog::python::Python;
use catalog::workspace::Workspace;
use redis::{AsyncCommands, Script};
use servers::{Kind, Server};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};
use tokio_postgres::{Client, Config, NoTls, Transaction};
use tokio_util::sync::CancellationToken;

use super::support::{CuttingProxy, child_of, private, times};
use crate::nats_work_queue::{self, WorkQueue};
use crate::pg_job_queue::{self, JobQueue, QueueError};
use crate::pg_leader::{self, LeaderError, Term};
use crate::pg_outbox::{self, Relay};
use crate::redis_lock::{self, RedisLock};
use crate::redis_streams::{self, Worker};

type Failure = Box<dyn std::error::Error + Send + Sync>;

const TICK: Duration = Duration::from_millis(1);
/// The lease of all: of a job, a lock, a leader. Also what limits a call.
const LEASE: Duration = Duration::from_millis(600);
/// Longer than all timeouts, but for a pull of NATS.
const PAUSE: Duration = Duration::from_millis(1800);
/// Within this time something happens, unless it is wedged.
const WEDGED: Duration = Duration::from_secs(120);
/// Of the schema, the stream or the lock.
const NAME: &str = "attacked";

const JOBS: JobQueue = JobQueue {
    lease: LEASE,
    max_attempts: i32::MAX,
    initial_backoff: TICK,
    max_backoff: TICK,
};

/// Returns the last number for 0, or appends this one. Nothing for a token that is lower
/// than one that it has seen, in a reading or a writing.
const STORE: &str = r"
    if tonumber(ARGV[1]) < tonumber(redis.call('GET', KEYS[1]) or 0) then return end
    redis.call('SET', KEYS[1], ARGV[1])
    if ARGV[2] == '0' then return tonumber(redis.call('LINDEX', KEYS[2], -1) or 0) end
    redis.call('RPUSH', KEYS[2], ARGV[2])
    return tonumber(ARGV[2])";

/// What a job is: long enough to be killed in it. It blocks, so that a process that was
/// stopped writes before it notices that its lease has expired.
fn work() {
    std::println!("at");
    thread::sleep(5 * TICK);
}

fn did(number: impl ToString) {
    std::println!("did {}", number.to_string());
}

async fn postgres(url: &str) -> Result<Client, Failure> {
    let mut config: Config = url.parse()?;
    config.options(format!("-c search_path={NAME}"));
    let (client, connection) = config.connect(NoTls).await?;
    tokio::spawn(connection);
    Ok(client)
}

async fn insert(to: &Transaction<'_>, number: i64) -> Result<(), tokio_postgres::Error> {
    let sql = "INSERT INTO effects VALUES ($1)";
    to.execute(sql, &[&number]).await.map(drop)
}

async fn job_queue_worker(url: &str) -> Result<(), Failure> {
    let mut client = postgres(url).await?;
    loop {
        let Some(job) = JOBS.claim(&client).await? else {
            sleep(5 * TICK).await;
            continue;
        };
        work();
        let transaction = client.transaction().await?;
        match JOBS.complete(&transaction, &job).await {
            Ok(()) => {
                insert(&transaction, job.payload.parse()?).await?;
                transaction.commit().await?;
                did(job.payload);
            }
            Err(QueueError::LeaseLost) => std::println!("late"),
            Err(error) => return Err(error.into()),
        }
    }
}

/// A relay, and the consumer of what it publishes.
async fn outbox_worker(url: &str) -> Result<(), Failure> {
    let mut client = postgres(url).await?;
    let consumer = tokio::sync::Mutex::new(postgres(url).await?);
    let (batch, limit) = (7, LEASE);
    let relay = Relay { batch, limit };
    let publish = async |event: pg_outbox::Event| {
        work();
        let number: i64 = event.payload.parse()?;
        let mut consumer = consumer.lock().await;
        let transaction = consumer.transaction().await?;
        let new = pg_outbox::is_new(&transaction, "test", event.id).await?;
        if new {
            insert(&transaction, number).await?;
        }
        transaction.commit().await?;
        std::println!("{} {number}", if new { "did" } else { "again" });
        Ok::<_, Failure>(())
    };
    loop {
        if relay.publish_batch(&mut client, publish).await? == 0 {
            sleep(5 * TICK).await;
        }
    }
}

async fn leader_worker(url: &str) -> Result<(), Failure> {
    let mut config: Config = url.parse()?;
    config.options(format!("-c search_path={NAME}"));
    let leading = async |term: Term| {
        let mut client = postgres(url).await?;
        loop {
            work();
            // In a task, which is not dropped with the leadership: it has to be refused.
            let writing = tokio::spawn(write(client, term.clone()));
            client = writing.await??;
        }
    };
    pg_leader::lead(config, NAME, LEASE, leading).await?
}

async fn write(mut client: Client, term: Term) -> Result<Client, Failure> {
    let transaction = client.transaction().await?;
    if let Err(error) = term.check(&transaction).await {
        if matches!(error, LeaderError::TermOver) {
            std::println!("late");
        }
        return Err(error.into());
    }
    let sql = "SELECT coalesce(max(job), 0) + 1 FROM effects";
    let number = transaction.query_one(sql, &[]).await?.get(0);
    insert(&transaction, number).await?;
    transaction.commit().await?;
    did(number);
    Ok(client)
}

fn stream() -> redis_streams::Queue {
    redis_streams::Queue {
        stream: NAME.to_owned(),
        group: "workers".to_owned(),
        min_idle: LEASE,
        max_attempts: u32::MAX,
    }
}

async fn stream_worker(url: &str) -> Result<(), Failure> {
    let name = format!("worker {}", process::id());
    let mut worker = Worker::connect(url, stream(), &name, 50 * TICK).await?;
    loop {
        let Some(job) = worker.next().await? else {
            continue;
        };
        work();
        did(&job.payload);
        if !worker.complete(&job).await? {
            std::println!("late");
        }
    }
}

async fn lock_worker(url: &str) -> Result<(), Failure> {
    let redis = redis_lock::connect(url, LEASE / 3).await?;
    let lock = RedisLock::new(redis.clone(), NAME, LEASE);
    let store = async |token: u64, number: u64| {
        let script = Script::new(STORE);
        let mut call = script.key(format!("{NAME}:token"));
        call.key(format!("{NAME}:log")).arg(token).arg(number);
        call.invoke_async::<Option<u64>>(&mut redis.clone()).await
    };
    let add = async |token| {
        let last = store(token, 0).await?;
        work();
        match last {
            Some(last) if store(token, last + 1).await?.is_some() => did(last + 1),
            _ => std::println!("late"),
        }
        Ok::<(), Failure>(())
    };
    loop {
        lock.acquire(5 * TICK).await?.hold(add).await??;
    }
}

async fn work_queue(url: &str) -> Result<WorkQueue, Failure> {
    let settings = nats_work_queue::Settings {
        max_jobs: 1_000_000,
        max_in_flight: 1000,
        ack_wait: LEASE,
        max_runtime: 60_000 * TICK,
        max_attempts: i64::MAX,
        backoff: 20 * TICK,
    };
    let client = async_nats::connect(url).await?;
    WorkQueue::open(jetstream::new(client), NAME, settings).await
}

async fn work_queue_worker(url: &str) -> Result<(), Failure> {
    let handler = async |job: nats_work_queue::Job| {
        work();
        did(String::from_utf8_lossy(&job.payload));
        Ok(())
    };
    let report = |error| std::println!("error {error}");
    let queue = work_queue(url).await?;
    queue.work(&CancellationToken::new(), handler, report).await;
    Ok(())
}

/// Not a test by itself: a process that works until it is killed, or its parent has ended.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn child() {
    let (Ok(url), Ok(example)) = (env::var("ATTACKED_URL"), env::var("ATTACKED")) else {
        return;
    };
    thread::spawn(|| {
        let _ = io::copy(&mut io::stdin(), &mut io::sink());
        process::exit(0);
    });
    std::println!("begun");
    loop {
        let ended = match &*example {
            "pg_job_queue" => job_queue_worker(&url).await,
            "pg_outbox" => outbox_worker(&url).await,
            "pg_leader" => leader_worker(&url).await,
            "redis_streams" => stream_worker(&url).await,
            "redis_lock" => lock_worker(&url).await,
            "nats_work_queue" => work_queue_worker(&url).await,
            _ => panic!("{example}"),
        };
        if let Err(error) = ended {
            std::println!("error {error}");
        }
        sleep(20 * TICK).await;
    }
}

/// What the processes have said.
#[derive(Debug, Default)]
struct Said {
    /// How often each process has begun a job.
    begun: BTreeMap<usize, u32>,
    /// The effects that were told.
    did: Vec<i64>,
    /// How often a write was refused, as another process had the job, the lock or the term.
    late: u32,
    /// How often an event came again, and was ignored.
    again: u32,
    /// The last line of each process.
    last: BTreeMap<usize, String>,
}

/// The interpreter of the twins. Without one, all processes are Rust programs.
static PYTHON: LazyLock<Option<Command>> = LazyLock::new(|| match Python::find() {
    Ok(python) => {
        let workspace = Workspace::open().expect("this is one");
        let python = python.environment(&workspace).expect("it can be made");
        let mut command = Command::new(python);
        command.current_dir(workspace.root);
        Some(command)
    }
    Err(problem) if env::var_os("REQUIRE_CPYTHON").is_some() => panic!("{problem}"),
    Err(problem) => {
        println!("without the twins: {problem}");
        None
    }
});

/// A server, and processes that work on it, through a proxy.
struct Siege {
    example: &'static str,
    server: Server,
    proxy: CuttingProxy,
    processes: Vec<Child>,
    said: Arc<watch::Sender<Said>>,
    /// How many jobs there have been. The lock and the leader have none: to this number,
    /// at least, they have to count.
    added: u32,
    /// How many effects were doubled before this attack.
    doubled: u32,
}

impl Drop for Siege {
    fn drop(&mut self) {
        for process in &mut self.processes {
            let _ = process.kill().and_then(|()| process.wait());
        }
    }
}

impl Siege {
    async fn start(example: &'static str, kind: Kind) -> Self {
        let server = private(kind).await;
        let url = server.url();
        match kind {
            Kind::Postgres => {
                let client = postgres(&url).await.expect("it runs");
                let sql =
                    format!("CREATE SCHEMA {NAME}; CREATE TABLE effects (job BIGINT)");
                client.batch_execute(&sql).await.expect("it runs");
                pg_job_queue::create_table(&client).await.expect("it runs");
                pg_leader::create_table(&client).await.expect("it runs");
                pg_outbox::create_tables(&client).await.expect("it runs");
            }
            Kind::Nats => drop(work_queue(&url).await.expect("it runs")),
            _ => {}
        }
        let mut siege = Self {
            example,
            proxy: CuttingProxy::start(&url).await,
            server,
            processes: Vec::new(),
            said: Arc::default(),
            added: 0,
            doubled: 0,
        };
        for number in 0..times(2, 8) as usize {
            let process = siege.spawn(number);
            siege.processes.push(process);
        }
        siege
    }

    fn spawn(&self, number: usize) -> Child {
        let mut command = match &*PYTHON {
            Some(python) if number % 2 == 1 => {
                let mut command = Command::new(python.get_program());
                command.current_dir(python.get_current_dir().expect("it is set"));
                command.arg("tests/tests/attacked_twin.py");
                command.arg(format!("crates/services/python/{}.py", self.example));
                command
            }
            _ => child_of(module_path!()),
        };
        command
            .env("ATTACKED", self.example)
            .env("ATTACKED_NAME", NAME);
        command
            .env("ATTACKED_URL", self.proxy.url())
            .env("ATTACKED_STORE", STORE);
        command.env("ATTACKED_LEASE", LEASE.as_millis().to_string());
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = command.spawn().expect("it starts");
        let output = process.stdout.take().expect("it is piped");
        let said = Arc::clone(&self.said);
        thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                let (word, job) = line.split_once(' ').unwrap_or((&line, ""));
                said.send_modify(|said| {
                    match word {
                        "at" => *said.begun.entry(number).or_default() += 1,
                        "did" => said.did.push(job.parse().expect("a number")),
                        "late" => said.late += 1,
                        "again" => said.again += 1,
                        // Of the test that it is, or an error of a server that is away.
                        _ => {}
                    }
                    said.last.insert(number, line.clone());
                });
            }
        });
        process
    }

    /// Adds jobs, where there are any.
    async fn add(&mut self, jobs: u32) {
        let (first, url) = (self.added + 1, self.server.url());
        self.added += jobs;
        let last = self.added;
        let table = match self.example {
            "pg_job_queue" => "jobs (payload, due) SELECT n, now()",
            "pg_outbox" => "outbox (payload) SELECT n",
            "redis_streams" => {
                let redis = redis_streams::connect(&url, LEASE).await;
                let mut all = redis::pipe();
                for number in first..=last {
                    all.xadd(NAME, "*", &[("payload", number)]);
                }
                let added = all.exec_async(&mut redis.expect("it runs")).await;
                return added.expect("it runs");
            }
            "nats_work_queue" => {
                let queue = work_queue(&url).await.expect("it runs");
                for number in first..=last {
                    let number = number.to_string();
                    queue
                        .add(&number, number.clone())
                        .await
                        .expect("it is stored");
                }
                return;
            }
            _ => return,
        };
        let sql = format!("INSERT INTO {table} FROM generate_series($1::INT, $2) n");
        let client = postgres(&url).await.expect("it runs");
        let numbers = [first, last].map(|it| i32::try_from(it).expect("it is small"));
        let added = client.execute(&sql, &[&numbers[0], &numbers[1]]).await;
        added.expect("it runs");
    }

    /// How many jobs are not done, by the database or by what the processes have told.
    async fn left(&self) -> i64 {
        let url = self.server.url();
        let table = match self.example {
            "pg_job_queue" => "jobs WHERE state <> 'done'",
            "pg_outbox" => "outbox",
            _ => {
                let done: BTreeSet<i64> = self.effects().await.into_iter().collect();
                return i64::from(self.added) - done.len() as i64;
            }
        };
        let client = postgres(&url).await.expect("it runs");
        let sql = format!("SELECT count(*) FROM {table}");
        client.query_one(&sql, &[]).await.expect("it runs").get(0)
    }

    /// The effects: in the database, or as the processes have told.
    async fn effects(&self) -> Vec<i64> {
        let url = self.server.url();
        match self.example {
            "redis_lock" => {
                let redis = redis_lock::connect(&url, LEASE).await;
                let log = format!("{NAME}:log");
                let effects = redis.expect("it runs").lrange(log, 0, -1).await;
                effects.expect("it runs")
            }
            "redis_streams" | "nats_work_queue" => self.said.borrow().did.clone(),
            _ => {
                let client = postgres(&url).await.expect("it runs");
                let rows = client.query("SELECT job FROM effects", &[]).await;
                let rows = rows.expect("it runs");
                rows.iter().map(|row| row.get(0)).collect()
            }
        }
    }

    /// Waits until a process is in a job, of this side if not any, and adds jobs meanwhile.
    async fn in_a_job(&mut self, round: u32, side: Option<usize>) -> usize {
        let alone = ["pg_leader", "pg_outbox", "redis_lock"].contains(&self.example);
        let side = side.filter(|_| !alone);
        let mut said = self.said.subscribe();
        let before = said.borrow().begun.clone();
        let begins = async {
            loop {
                let mut found = None;
                let is_low =
                    |said: &Said| said.begun.values().sum::<u32>() + 50 > self.added;
                let waiting = said.wait_for(|said| {
                    let mut begun = said.begun.iter();
                    let new = begun.find(|(number, count)| {
                        before.get(number) != Some(count)
                            && side.is_none_or(|side| *number % 2 == side)
                    });
                    found = new.map(|(number, _)| *number);
                    found.is_some() || is_low(said)
                });
                drop(waiting.await.expect("it is there"));
                match found {
                    Some(found) => return found,
                    None => self.add(100).await,
                }
            }
        };
        let found = timeout(WEDGED, begins).await.expect("wedged");
        sleep(Duration::from_micros(u64::from(round % 8) * 500)).await;
        found
    }

    /// Waits until all jobs are done, and checks the effects.
    async fn end(&mut self, attack: &str, count: u32) {
        let (mut least, mut since) = (i64::MAX, Instant::now());
        loop {
            let left = self.left().await;
            if left <= 0 {
                break;
            }
            if left < least {
                (least, since) = (left, Instant::now());
            }
            let last = &self.said.borrow().last;
            assert!(since.elapsed() < WEDGED, "{attack}: {left} left; {last:?}");
            sleep(20 * TICK).await;
        }
        let mut counts = BTreeMap::new();
        for number in self.effects().await {
            *counts.entry(number).or_insert(0_u32) += 1;
        }
        // Each number of the lock and of the leader is one more than the last.
        let last = counts
            .keys()
            .copied()
            .max()
            .unwrap_or(0)
            .max(self.added.into());
        let lost = (1..=last)
            .filter(|number| !counts.contains_key(number))
            .count();
        let doubled = counts.values().map(|count| count - 1).sum::<u32>();
        let (late, again) = (self.said.borrow().late, self.said.borrow().again);
        println!(
            "{}: {attack}, {count}: of {last} lost {lost}, doubled {}; in all refused {late}, \
             ignored {again}",
            self.example,
            doubled - self.doubled,
        );
        let twice = ["redis_streams", "nats_work_queue"].contains(&self.example);
        assert_eq!(lost, 0, "{attack}");
        assert!(twice || doubled == 0, "{attack}: {doubled}");
        self.doubled = doubled;
    }

    async fn all(mut self) {
        let kills = times(2, 50);
        for round in 0..kills {
            let victim = self.in_a_job(round, Some(round as usize % 2)).await;
            let process = &mut self.processes[victim];
            process.kill().expect("it can be killed");
            let ended = process.wait().expect("it has ended");
            assert_eq!(ended.code(), None, "it did not end by itself");
            self.processes[victim] = self.spawn(victim);
        }
        self.end("a process is killed", kills).await;

        let stops = times(1, 20);
        for round in 0..stops {
            let victim = self.in_a_job(round, Some(round as usize % 2)).await;
            let pid = self.processes[victim].id().to_string();
            for (signal, pause) in [("-STOP", PAUSE), ("-CONT", TICK)] {
                let sent = Command::new("kill").args([signal, &pid]).status();
                assert!(sent.expect("it runs").success());
                sleep(pause).await;
            }
        }
        self.end("a process is stopped for longer than its lease", stops)
            .await;

        let cuts = times(2, 200);
        for round in 0..cuts {
            self.in_a_job(round, None).await;
            self.proxy.cut(1);
            while self.proxy.left() > 0 {
                sleep(TICK).await;
            }
        }
        self.end("a connection is cut instead of a reply", cuts)
            .await;

        let kills = times(1, 20);
        for round in 0..kills {
            self.in_a_job(round, None).await;
            self.server.kill();
            self.server.restart().expect("it starts again");
        }
        self.end("the server is killed", kills).await;

        let pauses = times(1, 5);
        for round in 0..pauses {
            self.in_a_job(round, None).await;
            self.server.pause();
            let of_a_pull = self.example == "nats_work_queue" && pauses > 1;
            sleep(if of_a_pull { 7 * PAUSE } else { PAUSE }).await;
            self.server.resume();
        }
        self.end("the server hangs for longer than each timeout", pauses)
            .await;

        let jobs = times(100, 10_000);
        self.add(jobs).await;
        self.end("jobs", jobs).await;
    }
}

macro_rules! attacks {
    ($($example:ident on $kind:ident, if not $missing:ident),*) => { $(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        #[cfg_attr($missing, ignore = "its server is not installed")]
        async fn $example() {
            Siege::start(stringify!($example), Kind::$kind).await.all().await;
        }
    )* };
}

attacks! {
    pg_job_queue on Postgres, if not no_postgres,
    pg_outbox on Postgres, if not no_postgres,
    pg_leader on Postgres, if not no_postgres,
    redis_streams on Redis, if not no_redis,
    redis_lock on Redis, if not no_redis,
    nats_work_queue on Nats, if not no_nats
}
