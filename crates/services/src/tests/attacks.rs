//! Processes that share work, half of them twins in Python: killed, stopped for longer
//! than a lease, cut off, with clocks apart, with connections that go silent, with a
//! server that is killed, hangs, is full or read-only, with a long transaction, with
//! other settings, and with a long backlog. `faults` lists which of them meet what.
//!
//! A few times each; as often as the chapter says with `ATTACKS=full`.

use std::any::Any;
use std::collections::BTreeMap;
use std::env;
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{self, Child, Command, Stdio};
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, LazyLock};
use std::thread;
use std::time::Duration;

use catalog::python::Python;
use catalog::workspace::Workspace;
use futures::{StreamExt as _, stream};
use mysql_async::prelude::Queryable as _;
use redis::AsyncCommands as _;
use servers::{Kind, Server};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};

use super::faults::{
    self, BACKLOG, FULL, Fault, LONG_TRANSACTION, NEXT_RELEASE, READ_ONLY,
};
use super::support::{CuttingProxy, child_of, private, times};
use super::workers::{self, BURST, INTERVAL, PUBLISH, ROWS, STORE};
use crate::redis_reconnect::Redis;
use crate::{pg_cron_once, pg_job_queue, pg_leader, pg_outbox};

pub type Failure = Box<dyn std::error::Error + Send + Sync>;

pub const TICK: Duration = Duration::from_millis(1);
/// The lease of all: of a job, a lock, a leader. Also what limits a call. The next
/// release has another one.
pub static LEASE: LazyLock<Duration> = LazyLock::new(|| {
    let millis = env::var("ATTACKED_LEASE").unwrap_or("600".to_owned());
    Duration::from_millis(millis.parse().expect("a number"))
});
/// Longer than all timeouts, but for a pull of NATS.
const PAUSE: Duration = Duration::from_millis(1800);
/// Within this time something happens, unless it is wedged.
const WEDGED: Duration = Duration::from_secs(120);
/// A transaction that has changed each table, and does not end.
const LONG: &str = "
    SET idle_in_transaction_session_timeout = 0;
    BEGIN;
    INSERT INTO jobs (payload, state) VALUES ('0', 'done');
    INSERT INTO outbox (payload) VALUES ('0');
    INSERT INTO leaders VALUES ('other', 1);
    INSERT INTO cron_runs VALUES ('other', now(), 1, now());
    INSERT INTO effects VALUES (0);
    INSERT INTO accounts VALUES ('Eve', 0);
    INSERT INTO readings VALUES (0, 0, '')";
/// Of the schema, the stream, the lock, and all else.
pub const NAME: &str = "attacked";

const TABLES: &str = "
    CREATE TABLE effects (job BIGINT);
    CREATE INDEX ON effects (job);
    CREATE TABLE accounts (name TEXT PRIMARY KEY, balance BIGINT);
    INSERT INTO accounts SELECT name || n, 0
    FROM unnest(ARRAY['Ada', 'Bob']) name, generate_series(0, 7) n;
    CREATE TABLE readings (sensor BIGINT, value DOUBLE PRECISION, note TEXT)";

/// Gives a process another time of day.
const FAKETIME: &str = "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1";

/// Not a test by itself: a process that works until it is killed, or its parent has
/// ended.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn child() {
    let (Ok(url), Ok(example)) = (env::var("ATTACKED_URL"), env::var("ATTACKED")) else {
        return;
    };
    thread::spawn(|| {
        for line in io::stdin().lines().map_while(Result::ok) {
            workers::RESTS.store(line == "rest", Relaxed);
        }
        process::exit(0);
    });
    std::println!("begun");
    loop {
        let Err(error) = workers::run(&example, &url).await;
        std::println!("error {error}");
        sleep(20 * TICK).await;
    }
}

/// What the processes have said.
#[derive(Debug, Default)]
struct Said {
    /// How often each process has begun a job or a call.
    begun: BTreeMap<usize, u32>,
    /// What they have told that they did.
    did: Vec<i64>,
    /// How often each process has told that it did something.
    worked: BTreeMap<usize, u32>,
    /// The effects that no server stores.
    effects: Vec<i64>,
    /// Of how many effects each process has heard.
    sees: BTreeMap<usize, usize>,
    /// How often a write was refused, as another process had the job, the lock or the
    /// term.
    late: u32,
    /// How often an event came again, and was ignored.
    again: u32,
    /// The last line of each process.
    last: BTreeMap<usize, String>,
}

impl Said {
    fn add(&mut self, process: usize, line: String) {
        let (word, number) = line.split_once(' ').unwrap_or((&line, ""));
        let number = || number.parse().expect("a number");
        match word {
            "at" => *self.begun.entry(process).or_default() += 1,
            "did" => {
                *self.worked.entry(process).or_default() += 1;
                self.did.push(number());
            }
            "effect" => self.effects.push(number()),
            "sees" => drop(self.sees.insert(process, number() as usize)),
            "late" => self.late += 1,
            "again" => self.again += 1,
            // Of the test that it is, or an error of a server that is away.
            _ => {}
        }
        self.last.insert(process, line);
    }
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

/// How processes share the work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Work {
    /// Each takes jobs.
    Jobs,
    /// One works, and the others wait for their turn.
    One,
    /// Each makes calls, with numbers that nobody else has.
    Calls,
    /// As with calls, and all hear of them.
    Events,
    /// One of them does what is due, and nobody knows which.
    Ticks,
}

/// A server, and processes that work on it, through a proxy.
struct Siege {
    example: &'static str,
    work: Work,
    server: Server,
    proxy: CuttingProxy,
    processes: Vec<Child>,
    said: Arc<watch::Sender<Said>>,
    since: Instant,
    /// How many jobs there have been. Calls, the lock, the leader and the schedule have
    /// none: there have to be at least so many effects.
    added: u32,
    /// How many effects were doubled before this attack.
    doubled: u32,
    /// No job can be added.
    is_full: bool,
    /// For processes that start.
    lease: Duration,
}

/// What has come of the jobs or calls.
#[derive(Debug)]
struct Outcome {
    effects: usize,
    /// Jobs without an effect, or calls that were told to be done, and have none.
    lost: usize,
    doubled: u32,
    /// How many jobs are not done.
    left: i64,
}

impl Drop for Siege {
    fn drop(&mut self) {
        for process in &mut self.processes {
            let _ = process.kill().and_then(|()| process.wait());
        }
    }
}

impl Siege {
    async fn start(example: &'static str, work: Work, kind: Kind) -> Self {
        let server = private(kind).await;
        let url = server.url();
        match kind {
            Kind::Postgres => {
                let client = workers::postgres(&url).await.expect("it runs");
                let limit = LEASE.as_millis();
                let sql = format!(
                    "ALTER DATABASE postgres
                     SET idle_in_transaction_session_timeout = {limit};
                     CREATE SCHEMA {NAME}; {TABLES}"
                );
                client.batch_execute(&sql).await.expect("it runs");
                pg_job_queue::create_table(&client).await.expect("it runs");
                pg_leader::create_table(&client).await.expect("it runs");
                pg_outbox::create_tables(&client).await.expect("it runs");
                pg_cron_once::create_table(&client).await.expect("it runs");
                // The processes may use the tables, and create none.
                let sql = format!(
                    "CREATE ROLE app LOGIN; GRANT USAGE ON SCHEMA {NAME} TO app;
                     GRANT SELECT, INSERT, UPDATE, DELETE
                     ON ALL TABLES IN SCHEMA {NAME} TO app"
                );
                client.batch_execute(&sql).await.expect("it runs");
            }
            Kind::Nats => {
                workers::work_queue(&url).await.expect("it runs");
                workers::store(&url).await.expect("it runs");
            }
            Kind::Mariadb => {
                for sql in [
                    "CREATE TABLE users (name TEXT)",
                    "CREATE USER app@'%'",
                    "GRANT SELECT, INSERT, UPDATE, DELETE ON test.* TO app@'%'",
                ] {
                    mysql(&url, sql).await;
                }
            }
            Kind::Redis => {}
        }
        let mut siege = Self {
            example,
            work,
            proxy: CuttingProxy::start(&url).await,
            server,
            processes: Vec::new(),
            said: Arc::default(),
            since: Instant::now(),
            added: 0,
            doubled: 0,
            is_full: false,
            lease: *LEASE,
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
                command.arg("crates/services/tests/attacked_twin.py");
                command.arg(format!("crates/services/python/{}.py", self.example));
                command
            }
            _ => child_of(module_path!()),
        };
        let url = self.proxy.url();
        let url = url.replace("postgres@", "app@").replace("root@", "app@");
        for (name, value) in [
            ("ATTACKED", self.example),
            ("ATTACKED_NAME", NAME),
            ("ATTACKED_URL", &url),
            ("ATTACKED_STORE", STORE),
            ("ATTACKED_PUBLISH", PUBLISH),
            ("ATTACKED_LEASE", &self.lease.as_millis().to_string()),
            ("ATTACKED_INTERVAL", &INTERVAL.as_millis().to_string()),
            ("ATTACKED_BURST", &BURST.to_string()),
            ("ATTACKED_ROWS", &ROWS.to_string()),
            ("ATTACKED_ACCOUNTS", &workers::accounts().to_string()),
        ] {
            command.env(name, value);
        }
        // The clocks of half of them, in both languages, are an hour ahead.
        if times(0, 1) == 1 && number % 4 < 2 {
            assert!(Path::new(FAKETIME).exists(), "install faketime");
            command.env("LD_PRELOAD", FAKETIME).env("FAKETIME", "+1h");
        }
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = command.spawn().expect("it starts");
        let output = process.stdout.take().expect("it is piped");
        let said = Arc::clone(&self.said);
        thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                said.send_modify(|said| said.add(number, line));
            }
        });
        process
    }

    /// Kills a process, and starts another one in its place.
    fn restart(&mut self, number: usize) {
        let process = &mut self.processes[number];
        process.kill().expect("it can be killed");
        let ended = process.wait().expect("it has ended");
        assert_eq!(ended.code(), None, "it did not end by itself");
        self.processes[number] = self.spawn(number);
    }

    /// Adds jobs. Where there are none, so many more effects have to come.
    async fn add(&mut self, jobs: u32) {
        let (first, url) = (self.added + 1, self.server.url());
        self.added += jobs;
        let last = self.added;
        let table = match self.example {
            "pg_job_queue" | "pg_worker" => "jobs (payload, due) SELECT n, now()",
            "pg_outbox" => "outbox (payload) SELECT n",
            "redis_streams" => {
                let redis = Redis::connect(&url, WEDGED).await;
                let mut all = redis::pipe();
                for number in first..=last {
                    all.xadd(NAME, "*", &[("payload", number)]);
                }
                let mut redis = redis.expect("it runs");
                let added = all.exec_async(&mut redis).await;
                return added.expect("it runs");
            }
            "nats_work_queue" => {
                let queue = workers::work_queue(&url).await.expect("it runs");
                // Many at the same time, as the workers take the jobs meanwhile.
                let adding = stream::iter(first..=last).map(|number| {
                    let (queue, number) = (&queue, number.to_string());
                    async move {
                        // On a busy machine the answer may come too late. The server
                        // knows the id, and stores no second job.
                        while queue.add(&number, number.clone()).await.is_err() {}
                    }
                });
                let mut adding = adding.buffer_unordered(500);
                while let Some(()) = timeout(WEDGED, adding.next()).await.expect("wedged")
                {
                }
                return;
            }
            _ => {
                self.added = self.said.borrow().did.len() as u32 + jobs;
                return;
            }
        };
        let sql = format!("INSERT INTO {table} FROM generate_series({first}, {last}) n");
        let client = workers::postgres(&url).await.expect("it runs");
        client.execute(&sql, &[]).await.expect("it runs");
    }

    /// Asks PostgreSQL for numbers.
    async fn query(&self, sql: &str) -> Vec<i64> {
        let client = workers::postgres(&self.server.url())
            .await
            .expect("it runs");
        let rows = client.query(sql, &[]).await.expect("it runs");
        rows.iter().map(|row| row.get(0)).collect()
    }

    /// The effects: on the server, or as the processes have told.
    async fn effects(&self) -> Vec<i64> {
        let url = self.server.url();
        match self.example {
            "mysql_pool" => {
                mysql(&url, "SELECT DISTINCT CAST(name AS INT) FROM users").await
            }
            "nats_key_value" => {
                let store = workers::store(&url).await.expect("it runs");
                let value = store.get("count").await.expect("it runs");
                (1..=workers::count(value)).collect()
            }
            "nats_request_reply" | "redis_cache" => self.said.borrow().effects.clone(),
            "nats_work_queue" | "redis_rate_limit" | "redis_streams" => {
                self.said.borrow().did.clone()
            }
            "pg_copy" => self.query("SELECT DISTINCT sensor FROM readings").await,
            "redis_lock" | "redis_pub_sub" => {
                let redis = Redis::connect(&url, WEDGED).await;
                let log = format!("{NAME}:log");
                let mut redis = redis.expect("it runs");
                let effects = redis.lrange(log, 0, -1).await;
                effects.expect("it runs")
            }
            _ => self.query("SELECT job FROM effects").await,
        }
    }

    /// What was done by half, or more than is allowed.
    async fn excess(&self) -> u32 {
        let halves = match self.example {
            "mysql_pool" => {
                let groups =
                    format!("FROM users GROUP BY name HAVING COUNT(*) <> {ROWS}");
                mysql(&self.server.url(), &format!("SELECT 1 {groups}")).await
            }
            "pg_copy" => {
                let groups = "FROM readings GROUP BY sensor HAVING count(*)";
                self.query(&format!("SELECT 1::BIGINT {groups} <> {ROWS}"))
                    .await
            }
            "pg_transaction" => {
                let sql = "SELECT 1::BIGINT FROM accounts GROUP BY left(name, 3)
                           HAVING abs(sum(balance)) <> (SELECT count(*) FROM effects)";
                self.query(sql).await
            }
            // Two that counted to the same number have lost an update.
            "nats_key_value" => {
                let mut did = self.said.borrow().did.clone();
                let all = did.len();
                did.sort_unstable();
                did.dedup();
                return (all - did.len()) as u32;
            }
            "redis_rate_limit" => {
                let did = self.said.borrow().did.len() as u128;
                let tokens = self.since.elapsed().as_micros() / INTERVAL.as_micros();
                return did.saturating_sub(tokens + u128::from(BURST)) as u32;
            }
            _ => Vec::new(),
        };
        halves.len() as u32
    }

    /// Counts the effects.
    async fn outcome(&self) -> Outcome {
        let told = self.said.borrow().did.clone();
        let mut counts = BTreeMap::new();
        for number in self.effects().await {
            *counts.entry(number).or_insert(0_u32) += 1;
        }
        let effects = counts.len();
        let calls = matches!(self.work, Work::Calls | Work::Events | Work::Ticks);
        let last = counts.keys().last().copied().unwrap_or(0);
        let expected = match calls {
            true => told,
            // Each number of the lock and of the leader is one more than the last.
            false => (1..=last.max(self.added.into())).collect(),
        };
        let lost = expected
            .iter()
            .filter(|it| !counts.contains_key(it))
            .count();
        let sql = match self.example {
            "pg_job_queue" | "pg_worker" => {
                Some("SELECT count(*) FROM jobs WHERE state <> 'done'")
            }
            "pg_outbox" => Some("SELECT count(*) FROM outbox"),
            _ => None,
        };
        let left = match sql {
            Some(sql) => self.query(sql).await[0],
            None => i64::from(self.added).saturating_sub(effects as i64).max(0),
        };
        let doubled = counts.values().map(|count| count - 1).sum::<u32>();
        let doubled = doubled + self.excess().await;
        Outcome {
            effects,
            lost,
            doubled,
            left,
        }
    }

    fn all_hear(&self, effects: usize) -> bool {
        let sees = &self.said.borrow().sees;
        (0..self.processes.len()).all(|process| sees.get(&process) == Some(&effects))
    }

    /// Tells the callers to `rest`, or to `go` on.
    fn tell(&self, word: &str) {
        for mut input in self.processes.iter().filter_map(|it| it.stdin.as_ref()) {
            writeln!(input, "{word}").expect("it reads");
        }
    }

    /// Waits until each process works again, and returns how long that took. A twin of a
    /// worker may leave all jobs to the others. Callers then call until there are enough.
    async fn all_work(&mut self, attack: &str) -> Duration {
        let worked = self.said.borrow().worked.clone();
        let (start, mut since, mut least) = (Instant::now(), Instant::now(), usize::MAX);
        let (calls, mut again) =
            (self.work == Work::Calls || self.work == Work::Events, None);
        loop {
            let said = self.said.borrow();
            let idle = (0..self.processes.len())
                .filter(|it| calls || it % 2 == 0 || PYTHON.is_none())
                .filter(|it| said.worked.get(it) == worked.get(it))
                .collect::<Vec<usize>>();
            let missing = match calls {
                true => (self.added as usize).saturating_sub(said.did.len()),
                false => 0,
            };
            if idle.is_empty() {
                let again = *again.get_or_insert(start.elapsed());
                if missing == 0 {
                    return again;
                }
            }
            if idle.len() + missing < least {
                (least, since) = (idle.len() + missing, Instant::now());
            }
            let last = &said.last;
            assert!(
                since.elapsed() < WEDGED,
                "{attack}: idle: {idle:?} of {last:?}"
            );
            let is_low = said.did.len() + 20 > self.added as usize;
            drop(said);
            if BACKLOG.meets(self.example) && is_low {
                self.add(20).await;
            }
            sleep(20 * TICK).await;
        }
    }

    /// Waits until all jobs have their effects, and returns them.
    async fn all_effects(&self, attack: &str) -> Outcome {
        let (mut least, mut since) = (i64::MAX, Instant::now());
        loop {
            let outcome = self.outcome().await;
            let missing = outcome.left + outcome.lost as i64;
            if missing == 0 {
                return outcome;
            }
            if missing < least {
                (least, since) = (missing, Instant::now());
            }
            let last = &self.said.borrow().last;
            assert!(since.elapsed() < WEDGED, "{attack}: {outcome:?}; {last:?}");
            sleep(50 * TICK).await;
        }
    }

    /// Waits until all processes work again and all jobs are done, and checks the effects.
    async fn end(&mut self, attack: &str, count: u32) {
        let start = Instant::now();
        let again = match self.is_full {
            true => Duration::ZERO,
            false => self.all_work(attack).await,
        };
        // Whoever calls would do so while the effects are counted.
        self.tell("rest");
        let outcome = self.all_effects(attack).await;
        if self.work == Work::Events {
            let all_hear = async {
                while !self.all_hear(self.effects().await.len()) {
                    sleep(50 * TICK).await;
                }
            };
            if timeout(WEDGED, all_hear).await.is_err() {
                panic!(
                    "{attack}: {:?} of {}",
                    self.said.borrow().sees,
                    outcome.effects
                );
            }
        }
        self.tell("go");
        let (late, again_events) = (self.said.borrow().late, self.said.borrow().again);
        println!(
            "{}: {attack}, {count}: each works after {:.1} s, all is done after {:.1} s; of \
             {} lost 0, doubled {}; in all refused {late}, ignored {again_events}",
            self.example,
            again.as_secs_f64(),
            start.elapsed().as_secs_f64(),
            outcome.effects,
            outcome.doubled - self.doubled,
        );
        let twice = ["redis_streams", "nats_work_queue"].contains(&self.example);
        assert!(twice || outcome.doubled == 0, "{attack}: {outcome:?}");
        self.doubled = outcome.doubled;
    }

    /// Waits until a process is in a job, of this side if not any, and adds jobs
    /// meanwhile.
    async fn in_a_job(&mut self, round: u32, side: Option<usize>) -> usize {
        let mut said = self.said.subscribe();
        let before = said.borrow().begun.clone();
        let begins = async {
            loop {
                let mut found = None;
                let has_jobs = BACKLOG.meets(self.example);
                let is_low = |said: &Said| {
                    has_jobs && said.begun.values().sum::<u32>() + 50 > self.added
                };
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

    async fn all(mut self) {
        let kills = times(2, 50);
        for round in 0..kills {
            let victim = self.in_a_job(round, Some(round as usize % 2)).await;
            self.restart(victim);
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
            match round % 2 {
                0 => self.proxy.cut(1),
                _ => self.proxy.cut_within(1),
            }
            while self.proxy.left() > 0 {
                sleep(TICK).await;
            }
        }
        self.end("a connection is cut instead of a reply, or in it", cuts)
            .await;

        let slow = times(2, 50);
        self.proxy.slow(10);
        for round in 0..slow {
            self.in_a_job(round, None).await;
        }
        self.proxy.slow(0);
        self.end("each packet takes 10 ms", slow).await;

        let silences = times(1, 20);
        for round in 0..silences {
            self.in_a_job(round, None).await;
            self.proxy.silence();
            // A twin has no limit for each reply. It is started again, as its user would.
            for twin in (1..self.processes.len()).step_by(2) {
                self.restart(twin);
            }
        }
        self.end("the open connections go silent", silences).await;

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

        for (fault, attack) in [
            (&FULL, "the server is full"),
            (&READ_ONLY, "the server is read-only"),
        ] {
            if fault.meets(self.example) {
                let rounds = times(1, 10);
                for round in 0..rounds {
                    self.in_a_job(round, None).await;
                    self.set(fault, true).await;
                    if self.example == "redis_streams" && *fault == FULL {
                        // It needs no memory to complete a job.
                        self.end("jobs on a full server", 1).await;
                    }
                    sleep(PAUSE).await;
                    self.set(fault, false).await;
                }
                self.end(attack, rounds).await;
            }
        }

        if LONG_TRANSACTION.meets(self.example) {
            self.add(50).await;
            let open = self.transaction().await;
            (0..self.processes.len()).for_each(|number| self.restart(number));
            self.in_a_job(0, None).await;
            self.end("all start beside a long transaction", 1).await;
            drop(open);
        }

        if NEXT_RELEASE.meets(self.example) {
            self.lease *= 2;
            for number in 0..self.processes.len() {
                self.in_a_job(number as u32, None).await;
                self.restart(number);
            }
            self.end("the next release has other limits", 1).await;
        }

        let jobs = times(100, 10_000);
        self.add(jobs).await;
        self.end("jobs", jobs).await;

        if BACKLOG.meets(self.example) {
            // Each job of NATS waits for the answer to the one before.
            let is_nats = self.example == "nats_work_queue";
            let backlog = if is_nats {
                times(5000, 200_000)
            } else {
                200_000
            };
            self.add(1000).await;
            let before = self.pace().await;
            self.add(backlog).await;
            let ratio = self.pace().await.div_duration_f64(before);
            println!(
                "{}: of {backlog} each costs {ratio:.1} times as much",
                self.example
            );
            assert!(ratio < 4.0, "{ratio} times as much");
        }
    }

    /// How long 50 jobs take: the shortest of five times.
    async fn pace(&self) -> Duration {
        let mut said = self.said.subscribe();
        let mut shortest = WEDGED;
        for _ in 0..5 {
            let (start, done) = (Instant::now(), said.borrow().did.len());
            let more = said.wait_for(|said| said.did.len() >= done + 50);
            let more = timeout(WEDGED, more).await.expect("wedged");
            drop(more.expect("it is there"));
            shortest = shortest.min(start.elapsed());
        }
        shortest
    }

    /// Begins a transaction, which ends when what this returns is dropped.
    async fn transaction(&self) -> Box<dyn Any> {
        let url = self.server.url();
        if self.example.starts_with("mysql") {
            let mut connection = mysql_async::Conn::from_url(url).await.expect("it runs");
            for sql in ["BEGIN", "INSERT INTO users VALUES ('0')"] {
                connection.query_drop(sql).await.expect("it runs");
            }
            return Box::new(connection);
        }
        let client = workers::postgres(&url).await.expect("it runs");
        client.batch_execute(LONG).await.expect("it runs");
        Box::new(client)
    }

    /// Makes the server full or read-only, or no longer.
    async fn set(&mut self, fault: &Fault, begins: bool) {
        self.is_full = *fault == FULL && begins;
        let kind = self.example.split('_').next().expect("it has a name");
        let statements: &[&str] = match (kind, *fault == FULL, begins) {
            ("mysql", true, true) => &[
                "ALTER USER app@'%' WITH MAX_USER_CONNECTIONS 1",
                "KILL USER app",
            ],
            ("mysql", true, false) => &["ALTER USER app@'%' WITH MAX_USER_CONNECTIONS 0"],
            ("mysql", false, true) => &["SET GLOBAL read_only = 1"],
            ("mysql", false, false) => &["SET GLOBAL read_only = 0"],
            ("redis", true, true) => &["CONFIG SET maxmemory 1"],
            ("redis", true, false) => &["CONFIG SET maxmemory 0"],
            ("redis", false, true) => &["REPLICAOF 127.0.0.1 1"],
            ("redis", false, false) => &["REPLICAOF NO ONE"],
            (_, true, true) => &[
                "ALTER ROLE app CONNECTION LIMIT 0",
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                 WHERE usename = 'app'",
            ],
            (_, true, false) => &["ALTER ROLE app CONNECTION LIMIT -1"],
            (_, false, true) => &[
                "ALTER SYSTEM SET default_transaction_read_only = on",
                "SELECT pg_reload_conf()",
            ],
            (_, false, false) => &[
                "ALTER SYSTEM RESET default_transaction_read_only",
                "SELECT pg_reload_conf()",
            ],
        };
        let url = self.server.url();
        for statement in statements {
            match kind {
                "mysql" => drop(mysql(&url, statement).await),
                "redis" => redis(&url, statement).await,
                _ => {
                    let client = workers::postgres(&url).await.expect("it runs");
                    client.batch_execute(statement).await.expect("it runs");
                }
            }
        }
    }
}

async fn redis(url: &str, command: &str) {
    let client = redis::Client::open(url).expect("a URL");
    let connection = client.get_multiplexed_async_connection().await;
    let words: Vec<&str> = command.split(' ').collect();
    let mut command = redis::cmd(words[0]);
    command.arg(&words[1..]);
    let done = command.exec_async(&mut connection.expect("it runs")).await;
    done.expect("it answers");
}

/// Asks MariaDB for numbers.
async fn mysql(url: &str, sql: &str) -> Vec<i64> {
    let mut connection = mysql_async::Conn::from_url(url).await.expect("it runs");
    connection.query(sql).await.expect("it runs")
}

macro_rules! attacks {
    ($($example:ident: $work:ident on $kind:ident, if not $missing:ident),*) => { $(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        #[cfg_attr($missing, ignore = "its server is not installed")]
        async fn $example() {
            assert!(faults::ATTACKED.contains(&stringify!($example)), "list it");
            let siege = Siege::start(stringify!($example), Work::$work, Kind::$kind);
            siege.await.all().await;
        }
    )* };
}

attacks! {
    mysql_pool: Calls on Mariadb, if not no_mariadb,
    nats_key_value: Events on Nats, if not no_nats,
    nats_request_reply: Calls on Nats, if not no_nats,
    nats_work_queue: Jobs on Nats, if not no_nats,
    pg_copy: Calls on Postgres, if not no_postgres,
    pg_cron_once: Ticks on Postgres, if not no_postgres,
    pg_job_queue: Jobs on Postgres, if not no_postgres,
    pg_leader: One on Postgres, if not no_postgres,
    pg_listen: Events on Postgres, if not no_postgres,
    pg_outbox: One on Postgres, if not no_postgres,
    pg_pool: Calls on Postgres, if not no_postgres,
    pg_transaction: Calls on Postgres, if not no_postgres,
    pg_worker: Jobs on Postgres, if not no_postgres,
    redis_cache: Calls on Redis, if not no_redis,
    redis_lock: One on Redis, if not no_redis,
    redis_pub_sub: Events on Redis, if not no_redis,
    redis_rate_limit: Calls on Redis, if not no_redis,
    redis_streams: Jobs on Redis, if not no_redis
}
