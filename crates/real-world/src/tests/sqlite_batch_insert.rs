use std::panic::catch_unwind;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::future::join_all;
use rusqlite::Connection;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

use super::support::soon;
use crate::sqlite_batch_insert::{BatchWriter, InsertError, insert_all};

/// Nothing takes that long unless something is wedged.
const LONG: Duration = Duration::from_secs(120);

const INSERT: &str = "INSERT INTO readings VALUES (?1, ?2)";

type Row = (u32, f64);
type Db = Arc<Mutex<Connection>>;

fn database(column: &str) -> Db {
    let db = Connection::open_in_memory().expect("there is memory");
    let table = format!("CREATE TABLE readings ({column}, celsius REAL)");
    db.execute_batch(&table).expect("it is new");
    Arc::new(Mutex::new(db))
}

fn plain() -> Db {
    database("id INTEGER PRIMARY KEY")
}

fn rows(ids: impl IntoIterator<Item = u32>) -> impl Iterator<Item = Row> {
    ids.into_iter().map(|id| (id, f64::from(id) / 2.0))
}

fn ids(db: &Db) -> Vec<u32> {
    let db = db.lock().expect("no panic");
    let query = db.prepare("SELECT id FROM readings ORDER BY id");
    let mut query = query.expect("it is SQL");
    let ids = query.query_map([], |row| row.get(0)).expect("it runs");
    ids.collect::<Result<_, _>>().expect("they are numbers")
}

fn count(db: &Db) -> usize {
    ids(db).len()
}

#[test]
fn all_rows_however_many_or_none() {
    for number in [0, 1, 31, 129, 1_000] {
        let db = plain();
        let insert = |ids: &mut dyn Iterator<Item = u32>| {
            insert_all(&mut db.lock().expect("no panic"), INSERT, rows(ids))
        };
        insert(&mut (0..number)).expect("they are new");
        assert_eq!(count(&db), number as usize);
        // The length of this one is unknown.
        let mut twice = (number..2 * number + 2).chain([number]).filter(|_| true);
        assert!(insert(&mut twice).is_err());
        assert_eq!(count(&db), number as usize, "none of the others");
    }
}

#[test]
fn a_batch_is_many_times_faster_than_as_many_transactions() {
    const ROWS: u32 = 2_000;
    let folder = tempfile::tempdir().expect("there is room");
    let db = Connection::open(folder.path().join("db")).expect("there is room");
    db.execute_batch(
        "PRAGMA synchronous = OFF;
         CREATE TABLE readings (id INTEGER PRIMARY KEY, celsius REAL)",
    )
    .expect("it is new");
    let mut db = db;
    let start = Instant::now();
    for row in rows(0..ROWS) {
        db.execute(INSERT, row).expect("it is new");
    }
    let one_by_one = start.elapsed();
    // The shortest of several, as the machine may have other work.
    let shortest = (1..=5).map(|round| {
        let start = Instant::now();
        let batch = rows(round * ROWS..(round + 1) * ROWS);
        insert_all(&mut db, INSERT, batch).expect("they are new");
        start.elapsed()
    });
    let shortest = shortest.min().expect("five");
    assert!(3 * shortest < one_by_one, "{shortest:?}, {one_by_one:?}");
}

/// Inserts rows at the same time, and returns for each whether it was told to be stored.
async fn told(db: &Db, ids: &[u32], max_rows: usize) -> Vec<(u32, bool)> {
    let wait = Duration::from_millis(100);
    let (writer, task) = BatchWriter::start(Arc::clone(db), INSERT, max_rows, wait);
    let inserts = rows(ids.iter().copied()).map(|row| {
        let writer = writer.clone();
        tokio::spawn(async move { (row.0, writer.insert(row).await.is_ok()) })
    });
    let told = soon(join_all(inserts.collect::<Vec<_>>())).await;
    drop(writer);
    soon(task).await.expect("it does not panic");
    told.into_iter()
        .map(|told| told.expect("no panic"))
        .collect()
}

fn stored(told: &[(u32, bool)]) -> Vec<u32> {
    let mut stored: Vec<u32> = told.iter().filter(|it| it.1).map(|it| it.0).collect();
    stored.sort();
    stored
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_row_is_stored_exactly_if_its_caller_is_told_so() {
    // Its error ends the transaction, with the good rows before it.
    for column in [
        "id INTEGER PRIMARY KEY ON CONFLICT ROLLBACK",
        "id INTEGER PRIMARY KEY",
    ] {
        for number in [1, 31, 129, 1_000] {
            let db = database(column);
            insert_all(&mut db.lock().expect("no panic"), INSERT, rows([7]))
                .expect("new");
            let many: Vec<u32> = (0..number).collect();
            let told = told(&db, &many, 50).await;
            let mut expected = stored(&told);
            expected.push(7);
            expected.sort();
            assert_eq!(ids(&db), expected, "{column}, {number} rows");
        }
    }
    // A database that is full, in the middle of a batch.
    let db = plain();
    let full = "PRAGMA max_page_count = 4";
    let pages = db
        .lock()
        .expect("no panic")
        .query_row(full, [], |row| row.get(0));
    assert_eq!(pages, Ok(4));
    let many: Vec<u32> = (0..1_200).collect();
    let told = told(&db, &many, 200).await;
    let expected = stored(&told);
    assert!((1..1_200).contains(&expected.len()), "{}", expected.len());
    assert_eq!(ids(&db), expected);
}

#[tokio::test]
async fn the_error_that_ended_the_transaction_is_told_to_all() {
    let db = database("id INTEGER PRIMARY KEY ON CONFLICT ROLLBACK");
    insert_all(&mut db.lock().expect("no panic"), INSERT, rows([7])).expect("new");
    let (writer, _task) = BatchWriter::start(Arc::clone(&db), INSERT, 4, LONG);
    let batch = soon(join_all(rows([1, 2, 7, 3]).map(|row| writer.insert(row)))).await;
    for result in batch {
        let error = result.expect_err("the batch was rolled back").to_string();
        assert_eq!(error, "UNIQUE constraint failed: readings.id");
    }
    assert_eq!(ids(&db), [7]);
    // The next batch is not affected.
    let batch = soon(join_all(rows([1, 2, 3, 4]).map(|row| writer.insert(row)))).await;
    assert!(batch.iter().all(Result::is_ok));
}

#[tokio::test]
async fn rows_that_are_reported_as_failed_by_a_returning_are_not_stored() {
    const RETURNING: &str = "INSERT INTO readings VALUES (?1, ?2) RETURNING id";
    let db = plain();
    let (writer, _task) = BatchWriter::start(Arc::clone(&db), RETURNING, 2, LONG);
    let batch = soon(join_all(rows([1, 2]).map(|row| writer.insert(row)))).await;
    assert!(batch.iter().all(Result::is_err), "{batch:?}");
    assert!(ids(&db).is_empty());
    let inserted = insert_all(&mut db.lock().expect("no panic"), RETURNING, rows([1]));
    assert!(inserted.is_err());
    assert!(ids(&db).is_empty());
}

#[tokio::test]
async fn a_transaction_that_cannot_begin_is_an_error_for_all() {
    let folder = tempfile::tempdir().expect("there is room");
    let path = folder.path().join("db");
    let db = Connection::open(&path).expect("there is room");
    db.execute_batch("CREATE TABLE readings (id INTEGER PRIMARY KEY, celsius REAL)")
        .expect("it is new");
    db.busy_timeout(Duration::ZERO).expect("it is SQLite");
    let db = Arc::new(Mutex::new(db));
    let other = Connection::open(path).expect("it is there");
    other.execute_batch("BEGIN IMMEDIATE").expect("it is free");
    let (writer, _task) = BatchWriter::start(Arc::clone(&db), INSERT, 2, LONG);
    let batch = soon(join_all(rows([1, 2]).map(|row| writer.insert(row)))).await;
    for result in batch {
        let error = result.expect_err("it is locked").to_string();
        assert_eq!(error, "database is locked");
    }
    other.execute_batch("ROLLBACK").expect("it began");
    let batch = soon(join_all(rows([1, 2]).map(|row| writer.insert(row)))).await;
    assert!(batch.iter().all(Result::is_ok), "{batch:?}");
    assert_eq!(ids(&db), [1, 2]);
}

#[tokio::test(start_paused = true)]
async fn sent_rows_are_written_though_all_callers_have_left() {
    let db = plain();
    let (writer, task) = BatchWriter::start(Arc::clone(&db), INSERT, 4, Duration::MAX);
    for row in rows(0..6) {
        let mut insert = Box::pin(writer.insert(row));
        assert!(futures::poll!(insert.as_mut()).is_pending());
        // Lets the task take it, so that the channel has room for the next.
        sleep(Duration::from_millis(1)).await;
    }
    drop(writer);
    timeout(2 * LONG, task)
        .await
        .expect("wedged")
        .expect("it does not panic");
    assert_eq!(count(&db), 6);
}

#[tokio::test(start_paused = true)]
async fn callers_that_leave_while_they_wait_for_room_send_nothing() {
    let db = plain();
    let (writer, task) = BatchWriter::start(Arc::clone(&db), INSERT, 1, LONG);
    // The first is in the channel; the task had no time to take it.
    for row in rows(0..5) {
        let mut insert = Box::pin(writer.insert(row));
        assert!(futures::poll!(insert.as_mut()).is_pending());
    }
    drop(writer);
    timeout(LONG, task)
        .await
        .expect("wedged")
        .expect("it does not panic");
    assert_eq!(count(&db), 1, "the task had no time to take another");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn thousands_at_once_are_stored_when_they_are_told_so() {
    let db = plain();
    let wait = Duration::from_millis(1);
    let (writer, task) = BatchWriter::start(Arc::clone(&db), INSERT, 50, wait);
    let mut inserts = JoinSet::new();
    for (row, number) in rows(0..10_000).zip(0..) {
        let (writer, db) = (writer.clone(), Arc::clone(&db));
        inserts.spawn(async move {
            let patience = match number % 10 {
                0 => Duration::from_micros(number),
                _ => LONG,
            };
            let told = timeout(patience, writer.insert(row)).await.is_ok();
            if told && number % 100 == 1 {
                let query = "SELECT count(*) FROM readings WHERE id = ?1";
                let db = db.lock().expect("no panic");
                let there = db.query_row(query, [row.0], |row| row.get::<_, u32>(0));
                assert_eq!(there, Ok(1));
            }
            usize::from(told)
        });
    }
    drop(writer);
    let told: usize = inserts.join_all().await.into_iter().sum();
    soon(task).await.expect("it does not panic");
    assert!((told..=10_000).contains(&count(&db)));
    assert!(told >= 9_000, "all that were patient");
}

#[tokio::test(start_paused = true)]
async fn no_caller_waits_for_a_task_that_was_aborted() {
    let (writer, task) = BatchWriter::start(plain(), INSERT, 4, LONG);
    let (waiting, again) = (writer.clone(), writer);
    let waiting = tokio::spawn(async move { waiting.insert((1, 0.5)).await });
    sleep(Duration::from_millis(1)).await;
    task.abort();
    let ended = timeout(LONG, waiting).await.expect("wedged");
    assert!(matches!(ended, Ok(Err(InsertError::Stopped))));
    let ended = timeout(LONG, again.insert((2, 1.0))).await;
    assert!(matches!(ended, Ok(Err(InsertError::Stopped))));
    for rows in [0, usize::MAX] {
        let none =
            catch_unwind(|| BatchWriter::<Row>::start(plain(), INSERT, rows, LONG));
        assert!(none.is_err(), "batches of {rows} rows");
    }
}
