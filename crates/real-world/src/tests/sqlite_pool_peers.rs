//! Cases after the tests of sqlx's pools and of deadpool-sqlite.

use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use futures::future::join_all;
use rusqlite::{Connection, params};
use tempfile::TempDir;
use tokio::time::timeout;

use super::support::soon;
use crate::sqlite_pool::{PoolError, Settings, SqlitePool};

/// Nothing takes that long unless it hangs.
const LONG: Duration = Duration::from_secs(60);

/// Returns a pool over a table `notes` with one column, which is empty.
async fn pool(acquire_timeout: Duration) -> (TempDir, SqlitePool) {
    let folder = tempfile::tempdir().expect("a folder");
    let settings = Settings {
        readers: 2,
        acquire_timeout,
        busy_timeout: LONG,
        pragmas: "PRAGMA synchronous = OFF",
    };
    let opened = SqlitePool::open(folder.path().join("notes.db"), settings).await;
    let pool = opened.expect("it opens");
    let create = |db: &mut Connection| db.execute_batch("CREATE TABLE notes (text TEXT)");
    pool.writer.run(create).await.expect("a new table");
    (folder, pool)
}

fn insert(db: &Connection, text: &str) -> rusqlite::Result<usize> {
    db.execute("INSERT INTO notes VALUES (?1)", [text])
}

fn count(db: &mut Connection) -> rusqlite::Result<i64> {
    db.query_row("SELECT count(*) FROM notes", [], |row| row.get(0))
}

async fn notes(pool: &SqlitePool) -> i64 {
    pool.readers.run(count).await.expect("it is read")
}

#[tokio::test]
async fn sqlx_a_query_returns_its_value() {
    let (_folder, pool) = pool(LONG).await;
    assert_eq!(notes(&pool).await, 0);
}

#[tokio::test]
async fn sqlx_a_connection_is_used_again() {
    let (_folder, pool) = pool(LONG).await;
    // A temporary table belongs to its connection.
    let create = |db: &mut Connection| db.execute_batch("CREATE TEMP TABLE own (a)");
    pool.writer.run(create).await.expect("a new table");
    let insert = |db: &mut Connection| db.execute("INSERT INTO own VALUES (1)", []);
    assert!(matches!(pool.writer.run(insert).await, Ok(1)));
}

#[tokio::test]
async fn sqlx_what_is_committed_is_seen_by_the_next_reader() {
    let (_folder, pool) = pool(LONG).await;
    for number in 1..=9 {
        pool.writer
            .run(|db| insert(db, "tea"))
            .await
            .expect("written");
        assert_eq!(notes(&pool).await, number);
    }
}

#[tokio::test]
async fn sqlx_an_error_rolls_back() {
    let (_folder, pool) = pool(LONG).await;
    let failed = pool.writer.run(|db| {
        insert(db, "tea").map_err(|_| "cannot insert")?;
        Err::<(), _>("changed my mind")
    });
    assert!(matches!(
        failed.await,
        Err(PoolError::Work("changed my mind"))
    ));
    assert_eq!(notes(&pool).await, 0);
}

#[tokio::test]
async fn sqlx_a_panic_rolls_back() {
    let (_folder, pool) = pool(LONG).await;
    let writer = pool.writer.clone();
    let task = tokio::spawn(async move {
        let panics = |db: &mut Connection| -> rusqlite::Result<()> {
            insert(db, "tea")?;
            panic!("scheduled")
        };
        writer.run(panics).await
    });
    assert!(task.await.is_err_and(|error| error.is_panic()));
    assert_eq!(notes(&pool).await, 0);
    pool.writer
        .run(|db| insert(db, "tea"))
        .await
        .expect("it works");
}

#[tokio::test]
async fn sqlx_a_dropped_transaction_rolls_back() {
    let (_folder, pool) = pool(LONG).await;
    let (begun, begins) = tokio::sync::oneshot::channel();
    let (end, ended) = mpsc::channel::<()>();
    let work = pool.writer.run(move |db| {
        insert(db, "tea")?;
        let _ = begun.send(());
        // Ends when the caller is gone.
        let _ = ended.recv();
        Ok::<_, rusqlite::Error>(())
    });
    let mut work = Box::pin(work);
    tokio::select! {
        _ = &mut work => panic!("it waits"),
        begun = begins => begun.expect("it begins"),
    }
    drop(work);
    drop(end);
    // The next writer waits until it is rolled back.
    assert_eq!(soon(pool.writer.run(count)).await.expect("it is read"), 0);
}

#[tokio::test]
async fn sqlx_a_wait_for_a_connection_times_out() {
    let (_folder, pool) = pool(Duration::from_millis(100)).await;
    let (end, ended) = mpsc::channel::<()>();
    let holds = pool.writer.run(move |_| {
        let _ = ended.recv();
        Ok::<_, rusqlite::Error>(())
    });
    let waits = async {
        let waits = pool.writer.run(count).await;
        drop(end);
        waits
    };
    let (held, waited) = tokio::join!(holds, waits);
    assert!(held.is_ok());
    assert!(matches!(waited, Err(PoolError::Timeout)));
}

#[tokio::test]
async fn sqlx_no_more_readers_than_its_connections() {
    let (_folder, pool) = pool(LONG).await;
    let running = Arc::new(AtomicU32::new(0));
    let reads = (0..50).map(|_| {
        let running = Arc::clone(&running);
        pool.readers.run(move |db| {
            assert!(running.fetch_add(1, SeqCst) < 2);
            let count = count(db);
            running.fetch_sub(1, SeqCst);
            count
        })
    });
    assert!(join_all(reads).await.iter().all(Result::is_ok));
}

#[tokio::test]
async fn sqlx_one_writer_at_a_time() {
    let (_folder, pool) = pool(LONG).await;
    let writes = (0..50).map(|_| {
        pool.writer.run(|db| {
            let before = count(db)?;
            insert(db, "tea")?;
            Ok::<_, rusqlite::Error>(before)
        })
    });
    let mut before: Vec<_> = join_all(writes)
        .await
        .into_iter()
        .map(|before| before.expect("it is written"))
        .collect();
    before.sort_unstable();
    assert!(before.into_iter().eq(0..50));
}

#[tokio::test]
async fn sqlx_readers_read_while_a_writer_writes() {
    let (_folder, pool) = pool(LONG).await;
    let (end, ended) = mpsc::channel::<()>();
    let writes = pool.writer.run(move |db| {
        insert(db, "tea")?;
        let _ = ended.recv();
        Ok::<_, rusqlite::Error>(())
    });
    let reads = async {
        let read = soon(notes(&pool)).await;
        drop(end);
        read
    };
    let (written, read) = tokio::join!(writes, reads);
    assert!(written.is_ok());
    assert_eq!((read, notes(&pool).await), (0, 1));
}

#[tokio::test]
async fn sqlx_a_reader_cannot_write() {
    let (_folder, pool) = pool(LONG).await;
    let refused = pool.readers.run(|db| insert(db, "tea")).await;
    let refused = refused.expect_err("it is read only").to_string();
    assert!(refused.contains("readonly"), "{refused}");
}

#[tokio::test]
async fn sqlx_closed_it_refuses_calls_and_may_be_closed_again() {
    let (_folder, pool) = pool(LONG).await;
    for _ in 0..2 {
        pool.close().await.expect("it closes");
        assert!(matches!(
            pool.readers.run(count).await,
            Err(PoolError::Closed)
        ));
        assert!(matches!(
            pool.writer.run(count).await,
            Err(PoolError::Closed)
        ));
    }
}

#[tokio::test]
async fn sqlx_closed_it_has_moved_the_log_into_the_file() {
    let (folder, pool) = pool(LONG).await;
    pool.writer
        .run(|db| insert(db, "tea"))
        .await
        .expect("written");
    pool.close().await.expect("it closes");
    let files = std::fs::read_dir(folder.path()).expect("a folder").count();
    assert_eq!(files, 1, "no log is left");
}

#[tokio::test]
async fn sqlx_a_savepoint_is_rolled_back_alone() {
    let (_folder, pool) = pool(LONG).await;
    let work = |db: &mut Connection| {
        insert(db, "tea")?;
        let savepoint = db.savepoint()?;
        insert(&savepoint, "cake")?;
        // Dropped, it is rolled back.
        drop(savepoint);
        Ok::<_, rusqlite::Error>(())
    };
    pool.writer.run(work).await.expect("it is written");
    assert_eq!(notes(&pool).await, 1);
}

#[tokio::test]
async fn deadpool_sqlite_a_long_query_is_stopped_when_its_caller_has_gone() {
    let (_folder, pool) = pool(LONG).await;
    let endless = |db: &mut Connection| -> rusqlite::Result<i64> {
        let sql = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n)
            SELECT count(*) FROM n";
        db.query_row(sql, [], |row| row.get(0))
    };
    for _ in 0..4 {
        let given_up = timeout(Duration::from_millis(20), pool.readers.run(endless));
        assert!(given_up.await.is_err());
    }
    // Both connections are free again.
    assert_eq!(soon(notes(&pool)).await, 0);
}

#[tokio::test]
async fn deadpool_sqlite_parameters_move_into_the_call() {
    let (_folder, pool) = pool(LONG).await;
    let (text, times) = (String::from("tea"), 3);
    let inserted = pool.writer.run(move |db| {
        let sql = "INSERT INTO notes SELECT ?1 FROM json_each(?2)";
        db.execute(sql, params![text, format!("{:?}", vec![0; times])])
    });
    assert_eq!(inserted.await.expect("it is written"), 3);
}
