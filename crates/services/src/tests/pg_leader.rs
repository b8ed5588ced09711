use std::env;
use std::future::pending;
use std::io::{BufRead as _, BufReader};
use std::process;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use servers::Kind;
use tokio::sync::oneshot;
use tokio::task::{JoinHandle, JoinSet, yield_now};
use tokio::time::{Instant, sleep, timeout};
use tokio_postgres::{Client, Config, NoTls};

use super::support::{CuttingProxy, poll_and_drop, postgres, private, soon, unique};
use crate::pg_leader::{LeaderError, Term, create_table, lead};

const MINUTE: Duration = Duration::from_secs(60);
const TENTH: Duration = Duration::from_millis(100);
/// Tells the child process where to lead.
const URL: &str = "PG_LEADER_TEST_URL";
const SCHEMA: &str = "PG_LEADER_TEST_SCHEMA";

async fn connect(config: &Config) -> Client {
    let (client, connection) = config.connect(NoTls).await.expect("it runs");
    tokio::spawn(connection);
    client
}

/// A table of terms in a schema of its own, which is also the name of the lock.
struct Office {
    config: Config,
    name: String,
    client: Client,
}

impl Office {
    async fn new() -> Self {
        Self::at(&postgres().await).await
    }

    async fn at(url: &str) -> Self {
        let name = unique("leader");
        let mut config: Config = url.parse().expect("a URL");
        config.options(format!("-c search_path={name}"));
        let client = connect(&config).await;
        let sql = format!("CREATE SCHEMA {name}");
        client.batch_execute(&sql).await.expect("it runs");
        create_table(&client).await.expect("it runs");
        Self {
            config,
            name,
            client,
        }
    }

    async fn lead(&self, lease: Duration) -> Result<Term, LeaderError> {
        lead(self.config.clone(), &self.name, lease, async |term| term).await
    }

    /// Leads as soon as the lock is free. A busy machine may be slower than the lease.
    async fn soon_leads(&self) -> Term {
        let leads = async {
            loop {
                match self.lead(3 * TENTH).await {
                    Ok(term) => return term,
                    Err(LeaderError::Timeout(_)) => {}
                    Err(error) => panic!("{error:?}"),
                }
            }
        };
        soon(leads).await
    }

    /// Leads until it is aborted, or loses the lock.
    async fn for_ever(&self, lease: Duration) -> (Term, JoinHandle<LeaderError>) {
        let (sender, receiver) = oneshot::channel();
        let (config, name) = (self.config.clone(), self.name.clone());
        let work = |term| async {
            let _ = sender.send(term);
            pending::<()>().await;
        };
        let task = tokio::spawn(async move {
            lead(config, &name, lease, work)
                .await
                .expect_err("it works for ever")
        });
        (soon(receiver).await.expect("it leads"), task)
    }

    async fn end(self) {
        let sql = format!("DROP SCHEMA {} CASCADE", self.name);
        self.client.batch_execute(&sql).await.expect("it runs");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
#[cfg_attr(no_postgres, ignore = "postgresql is not installed")]
async fn one_at_a_time_some_aborted_some_panicking() {
    let office = Arc::new(Office::new().await);
    let running = Arc::new(AtomicUsize::new(0));
    let last = Arc::new(AtomicUsize::new(0));
    let mut programs = JoinSet::new();
    for number in 0..20 {
        let (office, running, last) =
            (Arc::clone(&office), Arc::clone(&running), Arc::clone(&last));
        let task = programs.spawn(async move {
            let work = async |term: Term| {
                /// Leaves also when its task is aborted.
                struct Inside(Arc<AtomicUsize>);
                impl Drop for Inside {
                    fn drop(&mut self) {
                        self.0.fetch_sub(1, SeqCst);
                    }
                }
                assert_eq!(running.fetch_add(1, SeqCst), 0, "two lead");
                let _inside = Inside(Arc::clone(&running));
                let number_of_term = usize::try_from(term.number).expect("it is small");
                assert!(last.swap(number_of_term, SeqCst) < number_of_term);
                yield_now().await;
                assert!(number % 16 != 5, "scheduled");
            };
            // A third is the pause between two tries.
            let led = lead(office.config.clone(), &office.name, MINUTE / 20, work);
            soon(led).await.expect("the server runs")
        });
        if number % 10 == 9 {
            task.abort();
        }
    }
    let (mut led, mut panicked) = (0, 0);
    while let Some(ended) = soon(programs.join_next()).await {
        match ended {
            Ok(()) => led += 1,
            Err(error) => panicked += usize::from(error.is_panic()),
        }
    }
    assert!(led >= 15 && panicked <= 2, "{led} led, {panicked} panicked");
    Arc::into_inner(office).expect("all have ended").end().await;
}

#[tokio::test]
#[cfg_attr(no_postgres, ignore = "postgresql is not installed")]
async fn dropped_at_each_await_it_keeps_no_lock() {
    let office = Office::new().await;
    let mut last = 0;
    for polls in 0..30 {
        let (config, name) = (office.config.clone(), &office.name);
        let leading = lead(config, name, MINUTE, |_| pending::<()>());
        assert!(poll_and_drop(leading, polls).await.is_none());
        let term = office.soon_leads().await;
        assert!(term.number > last);
        last = term.number;
    }
    assert!(last > 35, "{last}: many led before they were dropped");
    office.end().await;
}

/// The leader does not run for longer than the lease: the next one leads, and what the
/// late one writes is refused.
#[tokio::test]
#[cfg_attr(no_postgres, ignore = "postgresql is not installed")]
async fn a_leader_that_hangs() {
    let office = Office::new().await;
    let (sender, mut receiver) = oneshot::channel();
    let (config, name) = (office.config.clone(), &office.name);
    let hanging = lead(config, name, 15 * TENTH, |term| async {
        let _ = sender.send(term);
        pending::<()>().await;
    });
    let mut hanging = Box::pin(hanging);
    let term = loop {
        assert!(timeout(TENTH / 10, &mut hanging).await.is_err());
        if let Ok(term) = receiver.try_recv() {
            break term;
        }
    };
    term.check(&office.client).await.expect("it leads");
    // Nobody polls it.
    let next = office.soon_leads().await;
    assert!(next.number > term.number);
    let over = term.check(&office.client).await;
    assert!(matches!(over, Err(LeaderError::TermOver)), "{over:?}");
    next.check(&office.client)
        .await
        .expect("no other one leads");
    let lost = soon(hanging).await.expect_err("the server has closed it");
    assert!(
        matches!(lost, LeaderError::Postgres(_) | LeaderError::Timeout(_)),
        "{lost:?}"
    );
    office.end().await;
}

/// A leader that sends signs of life stays one.
#[tokio::test]
#[cfg_attr(no_postgres, ignore = "postgresql is not installed")]
async fn a_leader_stays_for_many_leases() {
    let office = Office::new().await;
    let (term, task) = office.for_ever(6 * TENTH).await;
    assert!(timeout(15 * TENTH, office.lead(MINUTE)).await.is_err());
    term.check(&office.client).await.expect("it leads");
    task.abort();
    assert!(office.soon_leads().await.number > term.number);
    office.end().await;
}

#[tokio::test]
#[cfg_attr(no_postgres, ignore = "postgresql is not installed")]
async fn no_term_begins_during_a_write() {
    let office = Office::new().await;
    let mut writer = connect(&office.config).await;
    let (term, task) = office.for_ever(MINUTE).await;
    let write = writer.transaction().await.expect("it runs");
    term.check(&write).await.expect("it leads");
    task.abort();
    // The next one has the lock, but its term does not begin.
    assert!(timeout(3 * TENTH, office.lead(MINUTE)).await.is_err());
    write.commit().await.expect("it runs");
    assert!(office.soon_leads().await.number > term.number);
    office.end().await;
}

#[tokio::test]
#[cfg_attr(no_postgres, ignore = "postgresql is not installed")]
async fn a_server_that_hangs_or_is_killed() {
    let mut server = private(Kind::Postgres).await;
    let office = Office::at(&server.url()).await;
    let (first, task) = office.for_ever(9 * TENTH).await;
    server.pause();
    let start = Instant::now();
    let lost = soon(task).await.expect("it does not panic");
    assert!(matches!(lost, LeaderError::Timeout(_)), "{lost:?}");
    assert!(start.elapsed() >= 2 * TENTH);
    server.resume();
    assert!(office.soon_leads().await.number > first.number);
    let (second, task) = office.for_ever(10 * MINUTE).await;
    server.kill();
    let lost = soon(task).await.expect("it does not panic");
    assert!(matches!(lost, LeaderError::Postgres(_)), "{lost:?}");
    let refused = office.lead(MINUTE).await;
    assert!(
        matches!(refused, Err(LeaderError::Postgres(_))),
        "{refused:?}"
    );
    server.restart().expect("it starts again");
    assert!(office.soon_leads().await.number > second.number);
}

/// Not a test by itself: the process that is killed.
#[tokio::test]
async fn child() {
    let (Ok(url), Ok(name)) = (env::var(URL), env::var(SCHEMA)) else {
        return;
    };
    let mut config: Config = url.parse().expect("a URL");
    config.options(format!("-c search_path={name}"));
    let work = async |term: Term| {
        std::println!("leads {}", term.number);
        sleep(2 * MINUTE).await;
    };
    let _ = lead(config, &name, MINUTE, work).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[cfg_attr(no_postgres, ignore = "postgresql is not installed")]
async fn a_killed_program_leads_no_longer() {
    let office = Office::new().await;
    let (_crate, module) = module_path!().split_once("::").expect("a module");
    for round in 0..5 {
        let mut child = process::Command::new(env::current_exe().expect("itself"))
            .args(["--exact", "--nocapture", &format!("{module}::child")])
            .env(URL, postgres().await)
            .env(SCHEMA, &office.name)
            .stdout(process::Stdio::piped())
            .stderr(process::Stdio::null())
            .spawn()
            .expect("it starts");
        let mut lines = BufReader::new(child.stdout.take().expect("it is piped")).lines();
        let begun = |line: Result<String, _>| line.is_ok_and(|l| l.contains("leads"));
        assert!(lines.any(begun), "it leads");
        assert!(timeout(2 * TENTH, office.lead(MINUTE)).await.is_err());
        child.kill().expect("it can be killed");
        child.wait().expect("it has ended");
        // Long before its lease is over.
        let start = Instant::now();
        assert!(office.soon_leads().await.number >= 2 * round + 2);
        assert!(start.elapsed() < MINUTE / 2);
    }
    office.end().await;
}

#[tokio::test]
#[cfg_attr(no_postgres, ignore = "postgresql is not installed")]
async fn leases_of_any_length() {
    let office = Office::new().await;
    let none = office.lead(Duration::ZERO).await;
    assert!(matches!(none, Err(LeaderError::Timeout(_))), "{none:?}");
    let term = soon(office.lead(Duration::MAX)).await.expect("it leads");
    assert_eq!(term.number, 1);
    office.end().await;
}

/// The trap of the header: a second call on the same connection is granted.
#[tokio::test]
#[cfg_attr(no_postgres, ignore = "postgresql is not installed")]
async fn a_connection_gets_its_lock_again() {
    let office = Office::new().await;
    let other = connect(&office.config).await;
    let number = i64::from(process::id()) << 20;
    let call = async |client: &Client, function: &str| -> bool {
        let sql = format!("SELECT {function}($1::BIGINT)");
        client
            .query_one(&sql, &[&number])
            .await
            .expect("it runs")
            .get(0)
    };
    for _ in 0..2 {
        assert!(call(&office.client, "pg_try_advisory_lock").await);
        assert!(!call(&other, "pg_try_advisory_lock").await);
    }
    assert!(call(&office.client, "pg_advisory_unlock").await);
    assert!(!call(&other, "pg_try_advisory_lock").await);
    assert!(call(&office.client, "pg_advisory_unlock").await);
    assert!(call(&other, "pg_try_advisory_lock").await);
    office.end().await;
}

#[tokio::test]
#[cfg_attr(no_postgres, ignore = "postgresql is not installed")]
async fn each_name_has_its_leader() {
    let office = Office::new().await;
    let (term, task) = office.for_ever(MINUTE).await;
    let other = format!("{} 2", office.name);
    let led = lead(office.config.clone(), &other, MINUTE, async |term| term);
    let led = soon(led).await.expect("nobody has this name");
    assert_eq!((led.name, led.number), (other, 1));
    term.check(&office.client).await.expect("it leads");
    task.abort();
    office.end().await;
}

#[tokio::test]
#[cfg_attr(no_postgres, ignore = "postgresql is not installed")]
async fn the_table_is_created_by_one_at_a_time() {
    let office = Office::new().await;
    let mut other = connect(&office.config).await;
    let sql = "DROP TABLE leaders";
    other.batch_execute(sql).await.expect("it runs");
    let transaction = other.transaction().await.expect("it runs");
    let sql = "SELECT pg_advisory_xact_lock(1246908245)";
    transaction.batch_execute(sql).await.expect("it is free");
    let waits = timeout(2 * TENTH, create_table(&office.client)).await;
    assert!(waits.is_err(), "{waits:?}");
    transaction.commit().await.expect("it runs");
    soon(create_table(&office.client)).await.expect("it runs");
    office.end().await;
}

/// Its connection goes silent in the transaction that writes: the server keeps that open.
#[tokio::test]
#[cfg_attr(no_postgres, ignore = "postgresql is not installed")]
async fn a_leader_that_hangs_in_its_transaction_is_replaced() {
    let office = Office::new().await;
    let proxy = CuttingProxy::start(&postgres().await).await;
    let mut config: Config = proxy.url().parse().expect("a URL");
    config.options(format!("-c search_path={}", office.name));
    let mut writer = connect(&config).await;
    let (sender, receiver) = oneshot::channel();
    let work = |term: Term| async move {
        let write = writer.transaction().await.expect("it runs");
        term.check(&write).await.expect("it leads");
        let _ = sender.send(term);
        pending::<()>().await;
    };
    let name = office.name.clone();
    let task = tokio::spawn(async move { lead(config, &name, 9 * TENTH, work).await });
    let first = soon(receiver).await.expect("it leads");
    proxy.silence();
    let next = office.soon_leads().await;
    assert!(next.number > first.number);
    task.abort();
    office.end().await;
}

/// It waits for the row of the terms, and its connection has the lock.
#[tokio::test]
#[cfg_attr(no_postgres, ignore = "postgresql is not installed")]
async fn a_dropped_statement_that_waits_for_a_row_ends_and_releases_the_lock() {
    let office = Office::new().await;
    let mut writer = connect(&office.config).await;
    let (term, task) = office.for_ever(MINUTE).await;
    let write = writer.transaction().await.expect("it runs");
    term.check(&write).await.expect("it leads");
    task.abort();
    let (config, name) = (office.config.clone(), office.name.clone());
    // A third of this is the limit of each statement.
    let lease = 60 * TENTH;
    let next =
        tokio::spawn(async move { lead(config, &name, lease, async |term| term).await });
    let sql = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'
               AND query LIKE '%INSERT INTO leaders%' AND datname = current_database()
               AND pid IN (SELECT pid FROM pg_locks WHERE relation = 'leaders'::REGCLASS)";
    let waits = async {
        while office
            .client
            .query_one(sql, &[])
            .await
            .expect("it runs")
            .get::<_, i64>(0)
            == 0
        {
            sleep(TENTH / 20).await;
        }
    };
    soon(waits).await;
    next.abort();
    let free = async {
        let sql = "SELECT pg_try_advisory_lock(hashtextextended($1, 0))";
        while !office
            .client
            .query_one(sql, &[&office.name])
            .await
            .expect("it runs")
            .get::<_, bool>(0)
        {
            sleep(TENTH / 10).await;
        }
    };
    soon(free).await;
    write.commit().await.expect("it runs");
    office.end().await;
}
