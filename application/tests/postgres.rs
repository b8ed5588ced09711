//! The store in PostgreSQL, when connections are cut or silent, and next to other processes.

#![cfg(all(unix, feature = "postgres"))]
#![expect(clippy::unwrap_used, reason = "these are tests, which fail by it")]

use std::collections::HashSet;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use app::error::AppError;
use app::store::{Database, Note, Store};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{self, JoinSet};
use tokio::time::{self, Instant, sleep, timeout};
use tokio_postgres::Config;
use tokio_util::task::AbortOnDropHandle;

mod databases;
use databases::{admin, postgres};

/// No machine is so busy that this runs out.
const LIMIT: Duration = Duration::from_secs(60);

async fn open(setting: &str) -> Store {
    let database = setting.parse().unwrap();
    Store::open(database, 100).await.unwrap().0
}

async fn add(store: &Store) -> Result<Note, AppError> {
    store.add("a note".to_owned()).await
}

/// Stands between the service and its server, and does to connections what networks do.
struct Network {
    setting: String,
    is_gone: Arc<AtomicBool>,
    cuts: watch::Sender<()>,
    silences: watch::Sender<()>,
    _forwarding: AbortOnDropHandle<()>,
}

impl Network {
    async fn of(setting: &str) -> Self {
        let config: Config = setting.parse().unwrap();
        let [tokio_postgres::config::Host::Tcp(host)] = config.get_hosts() else {
            panic!("DATABASE_URL has one host");
        };
        let port = config.get_ports().first().copied().unwrap_or(5432);
        let server = format!("{host}:{port}");
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let here = listener.local_addr().unwrap().to_string();
        let (cuts, silences) = (watch::Sender::new(()), watch::Sender::new(()));
        let is_gone = Arc::<AtomicBool>::default();
        let setting = setting.replace(&server, &here);
        assert!(setting.contains(&here), "DATABASE_URL names {server}");
        let (cut, silence, gone) = (cuts.clone(), silences.clone(), is_gone.clone());
        let forwarding = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((mut client, _)) = listener.accept().await {
                if gone.load(Relaxed) {
                    continue;
                }
                let mut server = TcpStream::connect(&server).await.unwrap();
                let (mut cut, mut silence) = (cut.subscribe(), silence.subscribe());
                connections.spawn(async move {
                    let silent = tokio::select! {
                        _ = copy_bidirectional(&mut client, &mut server) => false,
                        _ = cut.changed() => false,
                        _ = silence.changed() => true,
                    };
                    if silent {
                        let _ = cut.changed().await;
                    }
                });
            }
        });
        let _forwarding = AbortOnDropHandle::new(forwarding);
        Self {
            setting,
            is_gone,
            cuts,
            silences,
            _forwarding,
        }
    }
}

/// Adds notes until it is over, and returns those that were acknowledged.
async fn load(store: Store, is_over: Arc<AtomicBool>) -> Vec<Note> {
    let mut acknowledged = Vec::new();
    while !is_over.load(Relaxed) {
        match add(&store).await {
            Ok(note) => acknowledged.push(note),
            Err(_) => sleep(Duration::from_millis(10)).await,
        }
    }
    acknowledged
}

/// Waits until a hundred notes were added without an error between.
async fn works(store: &Store) {
    let mut in_a_row = 0;
    while in_a_row < 100 {
        in_a_row = add(store).await.map_or(0, |_| in_a_row + 1);
    }
}

/// Under load, all connections are cut, then silent, then the server is gone for a while.
/// Each time the store works again, and what it has acknowledged is there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_cut_a_silence_and_an_end_the_store_works_again() {
    let database = postgres("network").await;
    let network = Network::of(&database.setting).await;
    let store = open(&network.setting).await;
    let mut acknowledged = Vec::new();
    for fault in ["cut", "silent", "gone"] {
        let mut clients = JoinSet::new();
        let is_over = Arc::<AtomicBool>::default();
        for _ in 0..16 {
            clients.spawn(load(store.clone(), is_over.clone()));
        }
        works(&store).await;
        match fault {
            "cut" => network.cuts.send_replace(()),
            "silent" => network.silences.send_replace(()),
            _ => {
                network.is_gone.store(true, Relaxed);
                network.cuts.send_replace(());
                let fails = async {
                    while !matches!(add(&store).await, Err(AppError::Unavailable)) {}
                };
                timeout(LIMIT, fails)
                    .await
                    .expect("it says that it is gone");
                network.is_gone.store(false, Relaxed);
            }
        }
        let start = Instant::now();
        timeout(LIMIT, works(&store)).await.expect("it works again");
        println!("{fault}: it works after {:?}", start.elapsed());
        is_over.store(true, Relaxed);
        while let Some(notes) = clients.join_next().await {
            acknowledged.extend(notes.unwrap());
        }
    }
    println!("{} were acknowledged", acknowledged.len());
    let sql = "SELECT id FROM note";
    let stored = admin("network").await.query(sql, &[]).await.unwrap();
    let stored: HashSet<i64> = stored.iter().map(|row| row.get(0)).collect();
    for note in acknowledged {
        assert!(stored.contains(&note.id), "{note:?} was acknowledged");
    }
}

/// All eight connections go silent, idle or with a statement. Only the test moves the
/// clock, so a busy machine changes nothing.
#[tokio::test]
async fn after_a_silence_the_store_works_within_8_seconds() {
    let database = postgres("silence").await;
    // The server lets a statement wait for the lock.
    let setting = format!("{}%20-c%20statement_timeout%3D0", database.setting);
    let network = Network::of(&setting).await;
    let lock = admin("silence").await;
    let sql = "SELECT count(*) FROM pg_locks
        WHERE NOT granted AND relation = 'note'::regclass";
    let waiting = async || lock.query_one(sql, &[]).await.unwrap().get::<_, i64>(0);
    for are_idle in [true, false] {
        let store = open(&network.setting).await;
        // A paused clock stands still while a blocking call runs. If the test hangs, the
        // call ends, and the clock jumps to the next timer.
        let (holds, held) = std::sync::mpsc::channel::<()>();
        task::spawn_blocking(move || held.recv_timeout(LIMIT));
        time::pause();
        let mut calls = JoinSet::new();
        let sql = "BEGIN; LOCK TABLE note IN ACCESS EXCLUSIVE MODE";
        lock.batch_execute(sql).await.unwrap();
        for number in 1..=8 {
            let store = store.clone();
            calls.spawn(async move { add(&store).await });
            while waiting().await < number {}
        }
        if are_idle {
            lock.batch_execute("ROLLBACK").await.unwrap();
            while let Some(ended) = calls.join_next().await {
                ended.unwrap().unwrap();
            }
            network.silences.send_replace(());
        } else {
            network.silences.send_replace(());
            lock.batch_execute("ROLLBACK").await.unwrap();
        }
        let start = Instant::now();
        let next = store.clone();
        calls.spawn(async move { add(&next).await });
        for seconds in [2, 4] {
            // The call begins to wait. Timers round up to the next millisecond.
            task::yield_now().await;
            time::advance(Duration::from_millis(seconds * 1000 + 1)).await;
        }
        let fail = async {
            while let Some(ended) = calls.join_next().await {
                ended.unwrap().unwrap_err();
            }
        };
        timeout(LIMIT, fail).await.expect("a limit for a silence");
        time::advance(Duration::from_secs(2)).await;
        timeout(LIMIT, works(&store)).await.expect("it works again");
        assert_eq!(start.elapsed().as_secs(), 8, "idle: {are_idle}");
        drop(holds);
        time::resume();
    }
}

/// While a lock holds up all statements: the calls that have a connection end with the
/// limit of a statement, and the others have none in time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_statement_and_the_wait_for_a_connection_have_limits() {
    let database = postgres("limits").await;
    let store = open(&database.setting).await;
    let lock = admin("limits").await;
    let sql = "BEGIN; LOCK TABLE note IN ACCESS EXCLUSIVE MODE";
    lock.batch_execute(sql).await.unwrap();
    let (mut calls, mut ends) = (JoinSet::new(), HashSet::new());
    let both = async {
        while ends.len() < 2 {
            // One by one, so that there are more batches than connections.
            let store = store.clone();
            calls.spawn(async move { add(&store).await });
            if let Ok(ended) = timeout(Duration::from_millis(50), calls.join_next()).await
            {
                let error = ended.unwrap().unwrap().unwrap_err();
                if !matches!(error, AppError::Overloaded) {
                    ends.insert(error.to_string());
                }
            }
        }
    };
    timeout(LIMIT, both).await.expect("both limits");
    assert!(ends.contains("internal error"), "{ends:?}");
    assert!(ends.contains("the database does not answer"), "{ends:?}");
    calls.join_all().await;
    // The server has ended the statements, too.
    let sql = "SELECT count(*) FROM pg_stat_activity
        WHERE pg_backend_pid() = ANY (pg_blocking_pids(pid))";
    let waiting = async || lock.query_one(sql, &[]).await.unwrap().get::<_, i64>(0);
    let none = async { while waiting().await > 0 {} };
    timeout(LIMIT, none).await.expect("a limit for a statement");
    lock.batch_execute("ROLLBACK").await.unwrap();
    add(&store).await.unwrap();
}

#[tokio::test]
async fn notes_that_wait_share_a_commit() {
    let database = postgres("commits").await;
    let store = open(&database.setting).await;
    let mut adds = JoinSet::new();
    for number in 0..100 {
        let store = store.clone();
        adds.spawn(async move {
            let text = number.to_string();
            let note = store.add(text.clone()).await.unwrap();
            assert_eq!(note.text, text, "each gets its own");
        });
    }
    while let Some(added) = adds.join_next().await {
        added.unwrap();
    }
    let sql = "SELECT count(*), count(DISTINCT xmin::TEXT) FROM note";
    let row = admin("commits").await.query_one(sql, &[]).await.unwrap();
    let (notes, commits): (i64, i64) = (row.get(0), row.get(1));
    assert!(notes == 100 && commits <= 10, "{notes} {commits}");
}

/// Two processes: a job is begun by one of them, and by the other when its lease is over.
#[tokio::test]
async fn a_job_is_begun_once_until_its_lease_expires() {
    let database = postgres("leases").await;
    let (one, other) = (open(&database.setting).await, open(&database.setting).await);
    let id = add(&one).await.unwrap().id;
    let first = one.next_job().await.unwrap().unwrap();
    assert_eq!(first.attempt, 1);
    assert_eq!(other.next_job().await.unwrap(), None);
    databases::expire("leases", &database.setting).await;
    let second = other.next_job().await.unwrap().unwrap();
    assert_eq!(second.attempt, 2);
    let words = async || one.get(id).await.unwrap().unwrap().words;
    one.complete(first, 1).await.unwrap();
    assert_eq!(words().await, None, "the lease was lost");
    other.complete(second, 2).await.unwrap();
    assert_eq!(words().await, Some(2));
    databases::expire("leases", &database.setting).await;
    assert_eq!(one.next_job().await.unwrap(), None, "it is done");
}

/// Processes of one release start together, and one of the release before still starts, as
/// does one whose role may not change the schema.
#[tokio::test]
async fn processes_that_start_together_migrate_once() {
    let database = postgres("migrations").await;
    let mut starts = JoinSet::new();
    for _ in 0..8 {
        let setting = database.setting.clone();
        starts.spawn(async move { add(&open(&setting).await).await });
    }
    while let Some(added) = starts.join_next().await {
        added.unwrap().unwrap();
    }
    let admin = admin("migrations").await;
    admin
        .batch_execute(
            "INSERT INTO migration SELECT max(number) + 1 FROM migration;
             DROP ROLE IF EXISTS migrations_test;
             CREATE ROLE migrations_test;
             GRANT USAGE ON SCHEMA migrations TO migrations_test;
             GRANT ALL ON ALL TABLES IN SCHEMA migrations TO migrations_test",
        )
        .await
        .unwrap();
    let role = format!("{}%20-c%20role%3Dmigrations_test", database.setting);
    assert_eq!(add(&open(&role).await).await.unwrap().id, 9);
    admin
        .batch_execute("DROP OWNED BY migrations_test; DROP ROLE migrations_test")
        .await
        .unwrap();
}

/// Otherwise the first note with a character that the database does not have would fail.
#[tokio::test]
async fn a_database_of_another_encoding_is_refused() {
    let admin = admin("public").await;
    let drop = "DROP DATABASE IF EXISTS encoding_test WITH (FORCE)";
    admin.batch_execute(drop).await.unwrap();
    let sql = "CREATE DATABASE encoding_test
        ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0";
    admin.batch_execute(sql).await.unwrap();
    let mut config: Config = databases::server().parse().unwrap();
    config.dbname("encoding_test");
    let database = Database::Postgres(Box::new(config));
    let Err(error) = Store::open(database, 1).await else {
        panic!("it is opened");
    };
    let words = "the database has the encoding LATIN1, not UTF8";
    assert_eq!(error.to_string(), words);
    admin.batch_execute(drop).await.unwrap();
}

#[tokio::test]
async fn a_server_that_refuses_is_told_at_the_start() {
    let gone = TcpListener::bind("127.0.0.1:0")
        .await
        .unwrap()
        .local_addr()
        .unwrap();
    let program = env!("CARGO_BIN_EXE_server");
    let mut command = Command::new(program);
    let output = command
        .arg("--database")
        .arg(format!("postgres://me:secret@{gone}/notes"));
    let output = output.output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    let words = "Error: cannot open PostgreSQL at [Tcp(\"127.0.0.1\")]";
    assert!(
        said.contains(words) && said.contains("Connection refused"),
        "{said}"
    );
    assert!(!said.contains("secret"), "{said}");
}
