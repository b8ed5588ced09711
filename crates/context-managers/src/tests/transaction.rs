use std::cell::RefCell;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::task::Poll;
use std::time::Duration;

use futures::FutureExt;
use futures::future::join_all;
use rusqlite::{Connection, params};
use tokio::runtime::Builder;
use tokio::sync::oneshot;
use tokio::task::{JoinSet, spawn_blocking};
use tokio::time::{sleep, timeout};

use crate::transaction::{Database, Transaction, TransactionError};

const HOUR: Duration = Duration::from_secs(3600);
const TICK: Duration = Duration::from_millis(1);

type Done = Result<(), TransactionError>;

/// Runs a test with one blocking thread.
fn test(test: impl Future<Output = ()>) {
    let mut runtime = Builder::new_current_thread();
    runtime
        .enable_time()
        .start_paused(true)
        .max_blocking_threads(1);
    runtime.build().expect("a runtime").block_on(test);
}

/// Polls the future at most `polls` times, and drops it if it is not ready then.
///
/// As the blocking thread is kept busy during each poll, no call ends within one. The
/// drop comes before the last call runs, or after.
async fn poll_and_drop<T>(
    future: impl Future<Output = T>,
    polls: usize,
    before: bool,
) -> Option<T> {
    let mut future = Box::pin(future);
    for poll in 1..=polls {
        let (release, busy) = channel::<()>();
        spawn_blocking(move || busy.recv());
        if let Poll::Ready(output) = futures::poll!(future.as_mut()) {
            return Some(output);
        }
        if poll == polls && before {
            drop(future);
            drop(release);
            sleep(TICK).await;
            return None;
        }
        drop(release);
        sleep(TICK).await;
    }
    None
}

const NUMBERS: &str = "CREATE TABLE numbers (number PRIMARY KEY, id)";

fn numbers() -> Database {
    let connection = Connection::open_in_memory().expect("it opens");
    connection.execute_batch(NUMBERS).expect("it is made");
    Database::new(connection)
}

async fn insert(transaction: &mut Transaction, number: u32, id: u32) -> Done {
    let sql = "INSERT INTO numbers VALUES (?1, ?2)";
    let insert =
        move |connection: &Connection| connection.execute(sql, params![number, id]);
    transaction.call(insert).await.map(|_| ())
}

async fn all(database: &Database) -> Vec<u32> {
    let sql = "SELECT number FROM numbers ORDER BY number";
    let all = database.transaction(async |transaction| {
        let read = |connection: &Connection| {
            let mut statement = connection.prepare(sql)?;
            statement.query_map([], |row| row.get(0))?.collect()
        };
        transaction.call(read).await
    });
    let all: Result<_, TransactionError> = timeout(HOUR, all).await.expect("wedged");
    all.expect("it can be read")
}

#[test]
fn dropped_at_each_await_it_is_there_wholly_or_not() {
    test(async {
        for before in [false, true] {
            // Polled at BEGIN, 1, sleep, sleep, 2, COMMIT, and the end.
            for (polls, expected) in [0, 0, 0, 0, 0, 0, 2, 2].into_iter().enumerate() {
                let database = numbers();
                let two = database.transaction(async |transaction| {
                    insert(transaction, 1, 0).await?;
                    sleep(2 * TICK).await;
                    insert(transaction, 2, 0).await
                });
                let done: Option<Done> = poll_and_drop(two, polls, before).await;
                assert_eq!(done.is_some(), polls == 7, "{polls} polls");
                let there = all(&database).await;
                assert_eq!(there, [1, 2][..expected], "{polls} polls, {before}");
            }
        }
    });
}

/// Until the only thread is free, the file stays locked.
#[test]
fn dropped_it_is_rolled_back_on_a_blocking_thread() {
    test(async {
        let (_dir, database, other) = two_programs();
        let mut one = Box::pin(database.transaction(async |transaction| {
            insert(transaction, 1, 0).await?;
            sleep(HOUR).await;
            Ok::<_, TransactionError>(())
        }));
        assert!(timeout(10 * TICK, one.as_mut()).await.is_err());
        let (release, busy) = channel::<()>();
        spawn_blocking(move || busy.recv());
        drop(one);
        let locked = other.execute_batch("BEGIN IMMEDIATE");
        assert!(locked.is_err(), "not here and now");
        drop(release);
        assert_eq!(all(&database).await, []);
        other.execute_batch("BEGIN IMMEDIATE").expect("it is free");
    });
}

#[test]
fn dropped_while_it_waits_it_leaves_the_line() {
    test(async {
        let database = numbers();
        let (release, released) = oneshot::channel();
        let held = database.clone();
        let held = tokio::spawn(async move {
            let hold = held.transaction(async |_| {
                let _ = released.await;
                Done::Ok(())
            });
            hold.await.is_ok()
        });
        sleep(TICK).await;
        let mut done = Vec::new();
        for number in 0..3 {
            let database = database.clone();
            done.push(tokio::spawn(async move {
                let one = database.transaction(async |transaction| {
                    insert(transaction, number, 0).await
                });
                one.await.is_ok()
            }));
            sleep(TICK).await;
        }
        done[1].abort();
        release.send(()).expect("it waits");
        assert_eq!(held.await.ok(), Some(true));
        sleep(TICK).await;
        assert_eq!(all(&database).await, [0, 2]);
    });
}

#[test]
fn transactions_come_in_their_order() {
    test(async {
        let (database, order) = (numbers(), RefCell::new(Vec::new()));
        let (database, order) = (&database, &order);
        let all = join_all((0..31).map(|number| async move {
            let done = database.transaction(async |transaction| {
                order.borrow_mut().push(number);
                insert(transaction, number, 0).await
            });
            done.await.is_ok()
        }));
        assert!(all.await.into_iter().all(|is_ok| is_ok));
        assert_eq!(order.take(), (0..31).collect::<Vec<_>>());
    });
}

/// 2,500 transactions of four statements each; one in five fails, one in five panics,
/// and one in five is aborted or dropped.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn ten_thousand_statements() {
    let database = numbers();
    let mut set = JoinSet::new();
    for id in 0..2500_u32 {
        let database = database.clone();
        let task = set.spawn(async move {
            let done = database.transaction(async |transaction| {
                for number in 0..2 {
                    insert(transaction, 2 * id + number, id).await?;
                }
                match id % 5 {
                    0 => insert(transaction, 2 * id, id).await,
                    1 => panic!("scheduled"),
                    _ => Ok(()),
                }
            });
            match id % 10 {
                2 => timeout(Duration::from_millis(id.into()), done)
                    .await
                    .map_or(None, |done| Some((id, done.is_ok()))),
                _ => Some((id, done.await.is_ok())),
            }
        });
        if id % 10 == 7 {
            tokio::task::yield_now().await;
            task.abort();
        }
    }
    let (mut committed, mut panicked, mut cancelled) = (Vec::new(), 0, 0);
    while let Some(ended) = set.join_next().await {
        match ended {
            Ok(Some((id, ok))) => {
                assert_eq!(ok, id % 5 > 1);
                committed.extend(ok.then_some(id));
            }
            Ok(None) => cancelled += 1,
            Err(error) if error.is_panic() => panicked += 1,
            Err(_) => cancelled += 1,
        }
    }
    let there = all(&database).await;
    let pairs = there.chunks(2).map(|pair| (pair[0] / 2, pair));
    let mut ids = Vec::new();
    for (id, pair) in pairs {
        assert_eq!(pair, [2 * id, 2 * id + 1], "half of one");
        assert!(id % 5 > 1, "{id} was to be rolled back");
        ids.push(id);
    }
    assert!(committed.iter().all(|id| ids.binary_search(id).is_ok()));
    // A cancelled one may have been committed all the same.
    assert!(ids.len() <= committed.len() + cancelled && ids.len() >= 1000);
    assert_eq!(panicked, 500);
}

#[tokio::test(start_paused = true)]
async fn a_panic_rolls_back_and_wedges_nothing() {
    for in_statement in [false, true] {
        let database = numbers();
        let panics = database.transaction(async |transaction| {
            insert(transaction, 1, 0).await?;
            let read = move |_: &Connection| {
                assert!(!in_statement, "a bug");
                Ok(())
            };
            transaction.call(read).await?;
            assert!(in_statement, "a bug");
            Ok::<_, TransactionError>(())
        });
        let panics = AssertUnwindSafe(panics).catch_unwind().await;
        let panic = panics.expect_err("it goes on");
        assert_eq!(panic.downcast_ref(), Some(&"a bug"));
        assert_eq!(all(&database).await, []);
    }
}

#[tokio::test(start_paused = true)]
async fn rolled_back_by_sqlite_it_runs_nothing_more() {
    let database = numbers();
    let done = database.transaction(async |transaction| {
        insert(transaction, 1, 0).await?;
        let sql = "INSERT OR ROLLBACK INTO numbers VALUES (1, 0)";
        let twice = transaction
            .call(|connection| connection.execute(sql, []))
            .await;
        assert!(matches!(twice, Err(TransactionError::Sqlite(_))));
        let more = insert(transaction, 2, 0).await;
        assert!(matches!(more, Err(TransactionError::Ended)));
        Ok(())
    });
    assert!(matches!(done.await, Err(TransactionError::Ended)));
    assert_eq!(all(&database).await, []);
}

#[test]
fn rolled_back_by_a_dropped_call_it_runs_nothing_more() {
    test(async {
        for before in [false, true] {
            let database = numbers();
            let done = database.transaction(async |transaction| {
                insert(transaction, 1, 0).await?;
                let dropped = insert(transaction, 2, 0);
                assert!(poll_and_drop(dropped, 1, before).await.is_none());
                let more = insert(transaction, 3, 0).await;
                assert!(matches!(more, Err(TransactionError::Ended)));
                Ok(())
            });
            assert!(matches!(done.await, Err(TransactionError::Ended)));
            assert_eq!(all(&database).await, []);
        }
    });
}

#[tokio::test(start_paused = true)]
async fn an_error_that_is_handled_rolls_nothing_back() {
    let database = numbers();
    let done = database.transaction(async |transaction| {
        insert(transaction, 1, 0).await?;
        assert!(insert(transaction, 1, 0).await.is_err());
        insert(transaction, 2, 0).await
    });
    assert!(done.await.is_ok());
    assert_eq!(all(&database).await, [1, 2]);
}

#[tokio::test(start_paused = true)]
async fn a_commit_that_fails_rolls_back() {
    let tables = "PRAGMA foreign_keys = ON; CREATE TABLE owners (id PRIMARY KEY);
        CREATE TABLE pets (owner REFERENCES owners DEFERRABLE INITIALLY DEFERRED)";
    let connection = Connection::open_in_memory().expect("it opens");
    connection.execute_batch(NUMBERS).expect("it is made");
    connection.execute_batch(tables).expect("they are made");
    let database = Database::new(connection);
    let done = database.transaction(async |transaction| {
        insert(transaction, 1, 0).await?;
        let sql = "INSERT INTO pets VALUES (1)";
        transaction
            .call(|connection| connection.execute(sql, []))
            .await
    });
    assert!(matches!(done.await, Err(TransactionError::Sqlite(_))));
    assert_eq!(all(&database).await, []);
}

#[tokio::test(start_paused = true)]
async fn one_within_another_waits_for_ever() {
    let database = numbers();
    let nested = database.transaction(async |_| {
        let inner = database.transaction(async |_| Ok::<_, TransactionError>(()));
        inner.await
    });
    assert!(timeout(HOUR, nested).await.is_err());
    assert_eq!(all(&database).await, []);
}

#[test]
fn a_runtime_that_is_shut_down_rolls_back() {
    let runtime = || Builder::new_current_thread().enable_time().build();
    let database = numbers();
    let shared = database.clone();
    let first = runtime().expect("a runtime");
    let (begun, has_begun) = oneshot::channel();
    first.block_on(async {
        tokio::spawn(async move {
            let done = shared.transaction(async |transaction| {
                insert(transaction, 1, 0).await?;
                begun.send(()).expect("it is waited for");
                sleep(HOUR).await;
                Ok::<_, TransactionError>(())
            });
            done.await.is_ok()
        });
        has_begun.await.expect("it begins");
    });
    drop(first);
    let second = runtime().expect("a runtime");
    assert_eq!(second.block_on(all(&database)), []);
}

#[tokio::test]
async fn in_a_struct_in_tasks() {
    struct Service {
        database: Database,
        name: String,
    }

    impl Service {
        async fn add(&self, number: u32) -> Result<usize, TransactionError> {
            let mut inserted = 0;
            let add = self.database.transaction(async |transaction| {
                insert(transaction, number, 0).await?;
                inserted += 1;
                Ok(self.name.len())
            });
            let length = add.await?;
            Ok(length * inserted)
        }
    }
    let (database, name) = (numbers(), String::from("four"));
    let service = Arc::new(Service { database, name });
    let tasks = (0..4).map(|number| {
        let service = Arc::clone(&service);
        tokio::spawn(async move { service.add(number).await })
    });
    for task in tasks.collect::<Vec<_>>() {
        assert_eq!(task.await.expect("no panic").expect("no error"), 4);
    }
    assert_eq!(all(&service.database).await, [0, 1, 2, 3]);
}

/// A database file, and two connections to it that wait 50 ms for each other.
fn two_programs() -> (tempfile::TempDir, Database, Connection) {
    let dir = tempfile::tempdir().expect("a folder");
    let open = || {
        let connection = Connection::open(dir.path().join("db")).expect("it opens");
        let default: u32 = connection
            .pragma_query_value(None, "busy_timeout", |row| row.get(0))
            .expect("it is known");
        assert_eq!(default, 5_000, "what the header says");
        connection.busy_timeout(50 * TICK).expect("it is set");
        connection
    };
    let (ours, other) = (open(), open());
    ours.execute_batch(NUMBERS).expect("it is made");
    (dir, Database::new(ours), other)
}

#[tokio::test]
async fn another_program_is_waited_for_and_then_it_fails() {
    let locked = |done: Done| {
        let error = done.expect_err("another program has a lock");
        assert_eq!(error.to_string(), "database is locked");
    };
    let (_dir, database, other) = two_programs();

    // A writer: BEGIN fails, before the body starts.
    other.execute_batch("BEGIN IMMEDIATE").expect("it locks");
    let start = std::time::Instant::now();
    let done = database.transaction(async |_| -> Done { unreachable!("no lock") });
    locked(done.await);
    assert!(start.elapsed() >= 50 * TICK, "it waits");
    other.execute_batch("ROLLBACK").expect("it unlocks");

    // A reader: COMMIT fails, after the body.
    other
        .execute_batch("BEGIN; SELECT * FROM numbers")
        .expect("it reads");
    let start = std::time::Instant::now();
    let done = database.transaction(async |transaction| insert(transaction, 1, 0).await);
    locked(done.await);
    assert!(start.elapsed() >= 50 * TICK, "it waits");
    other.execute_batch("ROLLBACK").expect("it ends");
    assert_eq!(all(&database).await, [], "all is rolled back");
}

#[tokio::test]
async fn a_body_that_commits_itself_is_told() {
    let database = numbers();
    let done: Done = database
        .transaction(async |transaction| {
            insert(transaction, 1, 0).await?;
            let commit = |db: &Connection| db.execute_batch("COMMIT");
            transaction.call(commit).await
        })
        .await;
    let error = done.expect_err("nothing is left to commit");
    assert_eq!(error.to_string(), "the transaction had ended");
    assert_eq!(all(&database).await, [1]);
}
