use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use futures::FutureExt;
use futures::future::join_all;
use rusqlite::{Connection, ErrorCode, Result, TransactionBehavior};
use tempfile::TempDir;
use tokio::runtime::Builder;
use tokio::task::{JoinSet, yield_now};
use tokio::time::{sleep, timeout};

use super::support::poll_and_drop;
use crate::savepoints::{Database, nested};

const HOUR: Duration = Duration::from_secs(3_600);
/// How long a test waits for what comes immediately.
const LIMIT: Duration = Duration::from_secs(10);
const TICK: Duration = Duration::from_millis(1);
const TABLE: &str = "CREATE TABLE numbers (number INTEGER PRIMARY KEY)";

fn memory() -> Connection {
    let connection = Connection::open_in_memory().expect("it opens");
    connection.execute_batch(TABLE).expect("it is made");
    connection
}

fn database() -> Database {
    Database::new(memory(), 1, HOUR).expect("it is set")
}

/// Two connections to one file, as of two programs.
fn two_programs(journal: &str) -> (TempDir, Connection, Connection) {
    let dir = tempfile::tempdir().expect("a folder");
    let open = || {
        let db = Connection::open(dir.path().join("db")).expect("it opens");
        let sql = format!("PRAGMA journal_mode = {journal}");
        db.query_one(&sql, [], |row| row.get::<_, String>(0))
            .expect("it is set");
        db
    };
    let (ours, other) = (open(), open());
    ours.execute_batch(TABLE).expect("it is made");
    (dir, ours, other)
}

fn insert(db: &Connection, number: u32) -> Result<()> {
    let sql = "INSERT INTO numbers VALUES (?1)";
    db.execute(sql, [number]).map(|_| ())
}

fn read(db: &Connection) -> Result<Vec<u32>> {
    let mut statement = db.prepare("SELECT number FROM numbers ORDER BY number")?;
    statement.query_map([], |row| row.get(0))?.collect()
}

async fn all(database: &Database) -> Vec<u32> {
    database.transaction(read).await.expect("it can be read")
}

/// Inserts a tree of numbers. The part of each multiple of `failing` fails at its end.
fn insert_tree(db: &Connection, number: u32, failing: u32) -> Result<Result<(), u32>> {
    nested(db, |db| {
        insert(db, number).map_err(|_| 0_u32)?;
        for child in [2 * number, 2 * number + 1] {
            if child < 64 {
                let part = insert_tree(db, child, failing);
                // The failure of a child is not that of its parent.
                let _ = part.map_err(|_| 0_u32)?;
            }
        }
        if number.is_multiple_of(failing) {
            Err(number)
        } else {
            Ok(())
        }
    })
}

#[tokio::test]
async fn a_part_that_fails_takes_its_own_parts_along_and_no_others() {
    for failing in [1, 2, 3, 7, 100] {
        let database = database();
        let done = database.transaction(move |db| {
            insert(db, 1_000)?;
            let outcome = insert_tree(db, 1, failing)?;
            assert_eq!(outcome.is_err(), failing == 1);
            insert(db, 1_001)
        });
        done.await.expect("it commits");
        let is_there = |mut number: u32| {
            while number > 0 {
                if number.is_multiple_of(failing) {
                    return false;
                }
                number /= 2;
            }
            true
        };
        let mut expected: Vec<u32> = (1..64).filter(|&number| is_there(number)).collect();
        expected.extend([1_000, 1_001]);
        assert_eq!(all(&database).await, expected, "{failing}");
    }
}

#[tokio::test]
async fn any_number_of_parts_after_and_in_each_other() {
    fn deep(db: &Connection, depth: u32) -> Result<()> {
        insert(db, depth)?;
        if depth == 0 {
            return Ok(());
        }
        nested(db, |db| deep(db, depth - 1))?
    }
    for size in [0, 1, 31, 129, 1_000] {
        let database = database();
        let done = database.transaction(move |db| {
            for number in 0..size {
                let part: Result<(), ()> = nested(db, |db| {
                    insert(db, number).map_err(drop)?;
                    if number % 3 == 0 { Err(()) } else { Ok(()) }
                })?;
                assert_eq!(part.is_err(), number % 3 == 0);
            }
            Ok::<_, rusqlite::Error>(())
        });
        done.await.expect("it commits");
        let expected = (0..size).filter(|number| number % 3 != 0);
        assert!(all(&database).await.into_iter().eq(expected));

        let database = self::database();
        let done = database.transaction(move |db| deep(db, size.min(129)));
        done.await.expect("it commits");
        assert!(all(&database).await.into_iter().eq(0..=size.min(129)));
    }
}

#[tokio::test]
async fn an_error_or_a_panic_of_the_closure_undoes_all() {
    let database = database();
    let failed = database.transaction(|db| {
        insert(db, 1)?;
        nested(db, |db| insert(db, 2))??;
        insert(db, 1)
    });
    let error = failed.await.expect_err("twice the same");
    assert!(error.to_string().starts_with("UNIQUE constraint failed"));
    assert_eq!(all(&database).await, []);

    let panics = database.transaction(|db| {
        insert(db, 1)?;
        nested(db, |db| -> Result<()> {
            insert(db, 2)?;
            panic!("a bug")
        })?
    });
    let panic = AssertUnwindSafe(panics).catch_unwind().await;
    assert_eq!(
        panic.expect_err("it goes on").downcast_ref(),
        Some(&"a bug")
    );
    assert_eq!(all(&database).await, []);
}

#[tokio::test]
async fn a_panic_that_is_caught_undoes_its_part() {
    let database = database();
    let done = database.transaction(|db| {
        let part = || {
            nested(db, |db| -> Result<()> {
                insert(db, 2)?;
                panic!("a bug")
            })
        };
        catch_unwind(AssertUnwindSafe(part)).expect_err("a panic");
        nested(db, |db| insert(db, 3))?
    });
    done.await.expect("it commits");
    assert_eq!(all(&database).await, [3]);
}

/// The first trap: what is written after it would be committed statement by statement.
#[tokio::test]
async fn when_sqlite_ends_the_transaction_no_further_part_runs() {
    for pass_on in [true, false] {
        let database = database();
        let done = database.transaction(move |db| {
            insert(db, 1)?;
            let part = nested(db, |db| {
                db.execute("INSERT OR ROLLBACK INTO numbers VALUES (1)", [])
            });
            let error = part.expect_err("the transaction has ended");
            assert_eq!(error.to_string(), "no such savepoint: part");
            if pass_on {
                return Err(error);
            }
            let part = nested(db, |_| -> Result<()> { unreachable!("ended") });
            let error = part.expect_err("the transaction has ended");
            assert_eq!(error.to_string(), "there is no transaction");
            insert(db, 2)
        });
        done.await.expect_err("it has ended");
        let expected: &[u32] = if pass_on { &[] } else { &[2] };
        assert_eq!(all(&database).await, expected, "what the header says");
    }
}

/// The first trap: a disk that is full ends it as well.
#[tokio::test]
async fn a_full_disk_ends_the_transaction() {
    let database = database();
    let done = database.transaction(|db| {
        db.query_one("PRAGMA max_page_count = 3", [], |_| Ok(()))?;
        for number in 0..100_000 {
            // The outer error: if the part alone had failed, it would be the inner one.
            nested(db, |db| insert(db, number))??;
        }
        Ok(())
    });
    let error: rusqlite::Error = done.await.expect_err("it is full");
    assert_eq!(error.to_string(), "no such savepoint: part");
    assert_eq!(all(&database).await, []);
}

#[test]
fn without_a_transaction_there_is_no_part() {
    let part = nested(&memory(), |_| -> Result<()> { unreachable!() });
    part.expect_err("there is no transaction");
}

/// The second trap: with a plain BEGIN the first write fails, however long it may wait.
#[test]
fn a_plain_begin_fails_if_another_program_has_written() {
    let (_dir, ours, other) = two_programs("WAL");
    ours.busy_timeout(HOUR).expect("it is set");
    let plain = ours.unchecked_transaction().expect("it begins");
    assert_eq!(read(&plain).expect("it is read"), []);
    insert(&other, 1).expect("it is inserted");
    let error = insert(&plain, 2).expect_err("it has read what is old");
    assert_eq!(error.sqlite_error_code(), Some(ErrorCode::DatabaseBusy));
    assert_eq!(error.to_string(), "database is locked");
    drop(plain);

    let immediate = TransactionBehavior::Immediate;
    let immediate = rusqlite::Transaction::new_unchecked(&ours, immediate);
    let immediate = immediate.expect("it begins");
    assert_eq!(read(&immediate).expect("it is read"), [1]);
    other.busy_timeout(TICK).expect("it is set");
    insert(&other, 3).expect_err("it has to wait");
    insert(&immediate, 2).expect("it is inserted");
}

#[tokio::test]
async fn a_busy_one_is_tried_again_as_often_as_is_said() {
    for (attempts, delay) in [(0, HOUR), (1, HOUR), (3, 20 * TICK)] {
        let (_dir, ours, other) = two_programs("WAL");
        let database = Database::new(ours, attempts, delay).expect("it is set");
        other.execute_batch("BEGIN IMMEDIATE").expect("it begins");
        let start = std::time::Instant::now();
        let busy = database.transaction(|_| -> Result<()> { unreachable!("not begun") });
        let error = timeout(LIMIT, busy).await.expect("it gives up");
        let error = error.expect_err("the other writes");
        assert_eq!(error.to_string(), "database is locked");
        let delays = delay * attempts.saturating_sub(1);
        assert!(start.elapsed() >= delays, "{attempts} attempts");
        other.execute_batch("COMMIT").expect("it ends");
        assert_eq!(all(&database).await, []);
    }
}

#[tokio::test]
async fn an_error_that_is_not_busy_is_not_tried_again() {
    let begun = memory();
    begun.execute_batch("BEGIN").expect("it begins");
    let database = Database::new(begun, u32::MAX, HOUR).expect("it is set");
    let failed = database.transaction(|_| -> Result<()> { unreachable!("not begun") });
    let error = timeout(LIMIT, failed).await.expect("at once");
    let error = error.expect_err("it is in a transaction").to_string();
    assert_eq!(error, "cannot start a transaction within a transaction");
}

/// While it waits, it holds neither a thread nor the connection: another one, that comes
/// later, may be served earlier.
#[tokio::test]
async fn a_busy_one_is_served_when_the_other_has_ended() {
    let (_dir, ours, other) = two_programs("DELETE");
    let database = Database::new(ours, u32::MAX, TICK).expect("it is set");
    other.execute_batch("BEGIN IMMEDIATE").expect("it begins");
    let mut first = Box::pin(database.transaction(|db| {
        // SQLite waits for nobody on the thread.
        let wait = db.pragma_query_value(None, "busy_timeout", |row| row.get(0));
        assert_eq!(wait, Ok(0_u32));
        insert(db, 1)
    }));
    assert!(timeout(20 * TICK, first.as_mut()).await.is_err(), "busy");
    insert(&other, 2).expect("it is inserted");
    other.execute_batch("COMMIT").expect("it ends");
    first.await.expect("its turn");
    assert_eq!(all(&database).await, [1, 2]);

    // A COMMIT that is busy, as another program reads: all is rolled back.
    other.execute_batch("BEGIN").expect("it begins");
    assert_eq!(read(&other).expect("it is read"), [1, 2]);
    let error = database.transaction(|db| insert(db, 3)).await;
    assert_eq!(
        error.expect_err("it is read").to_string(),
        "database is locked"
    );
    other.execute_batch("COMMIT").expect("it ends");
    assert_eq!(all(&database).await, [1, 2]);
}

#[tokio::test]
async fn dropped_at_each_await_it_is_there_wholly_or_not() {
    for polls in 0..6 {
        let (_dir, ours, other) = two_programs("WAL");
        let database = Database::new(ours, u32::MAX, TICK).expect("it is set");
        other.execute_batch("BEGIN IMMEDIATE").expect("it begins");
        let two = database.transaction(|db| {
            insert(db, 1)?;
            nested(db, |db| insert(db, 2))?
        });
        assert!(poll_and_drop(two, polls).await.is_none());
        other.execute_batch("COMMIT").expect("it ends");
        // An attempt that had started may have found the other one gone.
        let there = all(&database).await;
        assert!(
            there.is_empty() || there == [1, 2],
            "{polls} polls: {there:?}"
        );
    }
    // Dropped while the closure runs: that runs to its end, and commits.
    let database = database();
    let (begun, has_begun) = tokio::sync::oneshot::channel();
    let (release, released) = mpsc::channel::<()>();
    let mut two = Box::pin(database.transaction(move |db| {
        insert(db, 1)?;
        begun.send(()).expect("it is waited for");
        released.recv().expect("it is released");
        insert(db, 2)
    }));
    assert!(futures::poll!(two.as_mut()).is_pending());
    has_begun.await.expect("it begins");
    drop(two);
    release.send(()).expect("it waits");
    assert_eq!(all(&database).await, [1, 2], "the next one waits for it");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn thousands_of_transactions_some_failing_some_panicking_some_aborted() {
    let database = database();
    let mut tasks = JoinSet::new();
    for number in 0..2_000_u32 {
        let database = database.clone();
        let task = tasks.spawn(async move {
            let done = database.transaction(move |db| {
                insert(db, 3 * number)?;
                nested(db, |db| insert(db, 3 * number))?.expect_err("it is there");
                nested(db, |db| insert(db, 3 * number + 1))??;
                match number % 5 {
                    0 => insert(db, 3 * number),
                    1 => panic!("scheduled"),
                    _ => Ok(()),
                }
            });
            done.await.is_ok()
        });
        if number % 10 == 7 {
            yield_now().await;
            task.abort();
        }
    }
    let (mut committed, mut aborted) = (0, 0);
    while let Some(ended) = tasks.join_next().await {
        match ended {
            Ok(ok) => committed += usize::from(ok),
            Err(error) => aborted += usize::from(error.is_cancelled()),
        }
    }
    let numbers = all(&database).await;
    for pair in numbers.chunks(2) {
        assert!(pair[0] / 3 % 5 > 1, "{} was to be rolled back", pair[0]);
        assert_eq!(pair, [pair[0], pair[0] + 1], "half of one");
    }
    let there = numbers.len() / 2;
    assert!((committed..=committed + aborted).contains(&there));
    assert!(committed >= 1_000);
}

/// A future of the transaction may be sent, and its delay may be as long as it likes.
#[tokio::test]
async fn endless_delays() {
    let (_dir, ours, other) = two_programs("WAL");
    for delay in [Duration::ZERO, Duration::MAX] {
        let ours = Connection::open(ours.path().expect("a file")).expect("it opens");
        let database = Database::new(ours, 2, delay).expect("it is set");
        other.execute_batch("BEGIN IMMEDIATE").expect("it begins");
        let task = tokio::spawn(async move {
            database
                .transaction(|_| Ok::<_, rusqlite::Error>(()))
                .await
                .is_ok()
        });
        if delay.is_zero() {
            assert_eq!(task.await.ok(), Some(false));
        } else {
            sleep(20 * TICK).await;
            assert!(!task.is_finished());
            task.abort();
            assert!(task.await.expect_err("aborted").is_cancelled());
        }
        other.execute_batch("COMMIT").expect("it ends");
    }
}

/// Writes down who runs, in which order.
#[derive(Clone, Default)]
struct Order(Arc<Mutex<Vec<u32>>>);

impl Order {
    async fn run(&self, database: &Database, number: u32) {
        let order = self.clone();
        let run = database.transaction(move |_| {
            order.0.lock().expect("no panic").push(number);
            Ok::<_, rusqlite::Error>(())
        });
        run.await.expect("it commits");
    }

    fn take(&self) -> Vec<u32> {
        std::mem::take(&mut self.0.lock().expect("no panic"))
    }
}

/// There is one blocking thread. In its pause of an hour, a transaction does not hold it.
#[test]
fn in_their_order_unless_one_pauses_which_holds_no_thread() {
    let mut builder = Builder::new_current_thread();
    builder
        .enable_time()
        .start_paused(true)
        .max_blocking_threads(1);
    builder.build().expect("a runtime").block_on(async {
        let (_dir, ours, other) = two_programs("WAL");
        let database = Database::new(ours, 2, HOUR).expect("it is set");
        let order = Order::default();
        join_all((0..31).map(|number| order.run(&database, number))).await;
        assert_eq!(order.take(), (0..31).collect::<Vec<_>>());

        other.execute_batch("BEGIN IMMEDIATE").expect("it begins");
        let mut first = Box::pin(order.run(&database, 1));
        assert!(timeout(TICK, first.as_mut()).await.is_err(), "busy");
        other.execute_batch("COMMIT").expect("it ends");
        order.run(&database, 2).await;
        first.await;
        assert_eq!(order.take(), [2, 1], "it has lost its place");
    });
}
