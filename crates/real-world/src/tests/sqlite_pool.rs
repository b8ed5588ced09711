use std::error::Error;
use std::fs;
use std::io;
use std::panic::AssertUnwindSafe;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::Duration;

use futures::FutureExt;
use futures::future::join_all;
use rusqlite::Connection;
use tempfile::TempDir;
use tokio::sync::oneshot;
use tokio::task::{JoinSet, spawn_blocking, yield_now};
use tokio::time::{sleep, timeout};

use super::support::{poll_and_drop, soon};
use crate::sqlite_pool::{PoolError, Settings, SqlitePool};

fn balance(connection: &Connection, name: &str) -> rusqlite::Result<i64> {
    let query = "SELECT balance FROM accounts WHERE name = ?1";
    let mut query = connection.prepare_cached(query)?;
    query.query_row([name], |row| row.get(0))
}

/// Pays in, and returns the balance. It reads and then writes.
fn pay_in(connection: &Connection, name: &str, amount: i64) -> rusqlite::Result<i64> {
    let balance = balance(connection, name)? + amount;
    let update = "UPDATE accounts SET balance = ?2 WHERE name = ?1";
    connection
        .prepare_cached(update)?
        .execute((name, balance))?;
    Ok(balance)
}

/// Rows without end, each of which takes a moment.
fn endless_query(connection: &Connection) -> rusqlite::Result<usize> {
    let mut numbers = connection.prepare(
        "WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n FROM numbers)
         SELECT n FROM numbers",
    )?;
    let rows = numbers.query_map([], |_| {
        thread::sleep(Duration::from_millis(1));
        Ok(1)
    })?;
    rows.sum()
}

/// Returns the sorted names of the files.
fn files(folder: &Path) -> io::Result<String> {
    let names = fs::read_dir(folder)?
        .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()));
    let mut names: Vec<_> = names.collect::<io::Result<_>>()?;
    names.sort();
    Ok(names.join(", "))
}

type Tested = Result<(), Box<dyn Error + Send + Sync>>;

/// Nothing takes that long unless something is wedged.
const LONG: Duration = Duration::from_secs(120);

fn settings(readers: usize, acquire: Duration) -> Settings {
    Settings {
        readers,
        acquire_timeout: acquire,
        busy_timeout: Duration::from_millis(100),
        pragmas: "PRAGMA synchronous = OFF",
    }
}

/// With the accounts of Alice and Bob, who have 1000 each.
async fn pool(
    readers: usize,
    acquire: Duration,
) -> Result<(TempDir, SqlitePool), PoolError> {
    let folder = tempfile::tempdir().expect("there is room for it");
    let path = folder.path().join("accounts.db");
    let pool = SqlitePool::open(path, settings(readers, acquire)).await?;
    let create = "CREATE TABLE accounts (name TEXT PRIMARY KEY, balance INTEGER);
                  INSERT INTO accounts VALUES ('Alice', 1000), ('Bob', 1000)";
    pool.writer
        .run(|connection| connection.execute_batch(create))
        .await?;
    Ok((folder, pool))
}

fn balances(connection: &mut Connection) -> rusqlite::Result<(i64, i64)> {
    let balance = |name| balance(connection, name);
    Ok((balance("Alice")?, balance("Bob")?))
}

fn move_one(connection: &mut Connection) -> rusqlite::Result<()> {
    pay_in(connection, "Alice", -1)?;
    pay_in(connection, "Bob", 1)?;
    Ok(())
}

#[tokio::test]
async fn times_that_sqlite_cannot_hold_panic_at_the_start() -> Tested {
    let folder = tempfile::tempdir()?;
    let day = Duration::from_secs(24 * 3600);
    for (busy_timeout, panics) in [(24 * day, false), (25 * day, true)] {
        let settings = Settings {
            busy_timeout,
            ..settings(1, Duration::MAX)
        };
        let open = SqlitePool::open(folder.path().join("a.db"), settings);
        let opened = AssertUnwindSafe(open).catch_unwind().await;
        assert_eq!(opened.is_err(), panics);
    }
    Ok(())
}

#[tokio::test]
async fn dropped_at_each_await() -> Tested {
    let (_folder, pool) = pool(1, LONG).await?;
    let (mut before, mut completed) = (1000, false);
    for polls in 1..25 {
        for busy in [true, false] {
            let slow = |connection: &mut Connection| {
                pay_in(connection, "Alice", -1)?;
                thread::sleep(Duration::from_millis(4));
                pay_in(connection, "Bob", 1).map(drop)
            };
            let holder = pool.writer.run(move |_| {
                thread::sleep(Duration::from_millis(5 * u64::from(busy)));
                Ok::<_, rusqlite::Error>(())
            });
            let leaving = async {
                yield_now().await;
                poll_and_drop(pool.writer.run(slow), polls).await
            };
            let reading = poll_and_drop(pool.readers.run(balances), polls);
            let (held, left, _) =
                soon(async { tokio::join!(biased; holder, leaving, reading) }).await;
            held?;
            // The next of either kind gets its connection.
            soon(pool.writer.run(|_| Ok::<_, rusqlite::Error>(()))).await?;
            let (alice, bob) = soon(pool.readers.run(balances)).await?;
            assert_eq!(alice + bob, 2000, "wholly or not at all");
            assert!((before - 1..=before).contains(&alice));
            assert!(left.is_none() || alice == before - 1, "what is done stays");
            completed |= left.is_some();
            before = alice;
        }
    }
    assert!(completed, "25 polls are enough");
    soon(pool.close()).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn ten_thousand_at_once() -> Tested {
    const READERS: usize = 3;
    let (_folder, pool) = pool(READERS, LONG).await?;
    let at_once = Arc::new(AtomicUsize::new(0));
    let mut calls = JoinSet::new();
    for number in 0..10_000 {
        let (pool, at_once) = (pool.clone(), Arc::clone(&at_once));
        let call = async move {
            if number % 1000 == 511 {
                // Given up in the middle: it must not stop another's query.
                let (begun, has_begun) = oneshot::channel();
                let call = pool.readers.run(move |connection| {
                    let _ = begun.send(());
                    endless_query(connection)
                });
                let patience = has_begun.then(|_| sleep(Duration::from_millis(1)));
                tokio::select! {
                    _ = call => return Some(false),
                    () = patience => return None,
                }
            }
            if number % 5 == 0 {
                return Some(pool.writer.run(move_one).await.is_ok());
            }
            let reading = pool.readers.run(move |connection| {
                let others = at_once.fetch_add(1, SeqCst);
                let balances = balances(connection);
                at_once.fetch_sub(1, SeqCst);
                balances.map(|(alice, bob)| (alice + bob, others))
            });
            let read = reading.await;
            Some(read.is_ok_and(|(sum, others)| sum == 2000 && others < READERS))
        };
        calls.spawn(async move {
            let patience = match number % 40 {
                20 | 21 => Duration::from_micros(number),
                _ => LONG,
            };
            (number, timeout(patience, call).await.ok().flatten())
        });
    }
    let (mut wrote, mut perhaps) = (0, 0);
    while let Some(ended) = soon(calls.join_next()).await {
        let (number, as_expected) = ended?;
        assert!(as_expected != Some(false), "whoever stays is served");
        if number % 5 == 0 {
            wrote += i64::from(as_expected.is_some());
            perhaps += i64::from(as_expected.is_none());
        }
    }
    assert!(perhaps > 10, "some do leave");
    let (alice, _) = soon(pool.readers.run(balances)).await?;
    assert!((1000 - wrote - perhaps..=1000 - wrote).contains(&alice));
    soon(pool.close()).await?;
    Ok(())
}

#[tokio::test]
async fn limits() -> Tested {
    let path = ":memory:";
    let none = SqlitePool::open(path, settings(0, LONG));
    let none = AssertUnwindSafe(none).catch_unwind().await;
    assert!(none.is_err(), "no readers");
    let memory = SqlitePool::open(path, settings(1, LONG)).await;
    assert!(matches!(memory, Err(PoolError::NoWal)));

    let (_folder, pool) = pool(2, Duration::ZERO).await?;
    let (go_on, wait) = mpsc::channel::<()>();
    let wait = Arc::new(Mutex::new(wait));
    let mut holders = Vec::new();
    for _ in 0..2 {
        let wait = Arc::clone(&wait);
        let held = pool.readers.run(move |connection| {
            let _ = wait.lock().map(|wait| wait.recv());
            balances(connection)
        });
        let mut held = Box::pin(held);
        assert!(futures::poll!(held.as_mut()).is_pending());
        holders.push(held);
    }
    let third = soon(pool.readers.run(balances)).await;
    assert!(matches!(third, Err(PoolError::Timeout)));
    pool.writer.run(move_one).await?;
    drop(go_on);
    let read = soon(join_all(holders)).await;
    assert!(read.iter().all(Result::is_ok));
    assert_eq!(soon(pool.readers.run(balances)).await?, (999, 1001));

    let read_only = pool
        .readers
        .run(move_one)
        .await
        .err()
        .map(|error| error.to_string());
    let expected = "attempt to write a readonly database";
    assert_eq!(read_only.as_deref(), Some(expected));

    soon(pool.close()).await?;
    soon(pool.close()).await?;
    let late = soon(pool.readers.run(balances)).await;
    assert!(matches!(late, Err(PoolError::Closed)));
    let late = soon(pool.writer.run(move_one)).await;
    assert!(matches!(late, Err(PoolError::Closed)));
    Ok(())
}

#[tokio::test]
async fn a_panic_costs_a_connection_and_nothing_else() -> Tested {
    let (folder, pool) = pool(1, LONG).await?;
    for _ in 1..4 {
        let panics = pool.writer.run(|connection| -> rusqlite::Result<()> {
            move_one(connection)?;
            panic!("scheduled")
        });
        let panic = soon(AssertUnwindSafe(panics).catch_unwind()).await;
        assert!(panic.is_err_and(|panic| panic.is::<&str>()));
        soon(pool.writer.run(|_| Ok::<_, rusqlite::Error>(()))).await?;
    }
    assert_eq!(soon(pool.readers.run(balances)).await?, (1000, 1000));
    soon(pool.close()).await?;
    assert_eq!(files(folder.path())?, "accounts.db");
    soon(pool.close()).await?;
    Ok(())
}

#[tokio::test]
async fn given_up_before_its_query_begins() -> Tested {
    let (_folder, pool) = pool(1, LONG).await?;
    let (go_on, wait) = mpsc::channel::<()>();
    let (begun, has_begun) = oneshot::channel();
    let writing = pool.writer.run(move |connection| {
        move_one(connection)?;
        let _ = (begun.send(()), wait.recv());
        endless_query(connection)
    });
    let mut writing = Box::pin(writing);
    assert!(futures::poll!(writing.as_mut()).is_pending());
    soon(has_begun).await?;
    drop((writing, go_on));
    soon(pool.writer.run(move_one)).await?;
    assert_eq!(soon(pool.readers.run(balances)).await?, (999, 1001));
    soon(pool.close()).await?;
    Ok(())
}

#[tokio::test]
async fn closing_refuses_who_waits_and_waits_for_who_works() -> Tested {
    let (folder, pool) = pool(1, LONG).await?;
    let (go_on, wait) = mpsc::channel::<()>();
    let working = pool.writer.run(move |connection| {
        let _ = wait.recv();
        move_one(connection)
    });
    let mut working = Box::pin(working);
    assert!(futures::poll!(working.as_mut()).is_pending());
    let mut waiting = Box::pin(pool.writer.run(move_one));
    assert!(futures::poll!(waiting.as_mut()).is_pending());
    for polls in 1..5 {
        assert!(poll_and_drop(pool.close(), polls).await.is_none());
    }
    let refused = soon(waiting).await;
    assert!(matches!(refused, Err(PoolError::Closed)));
    // Also when nobody waits for it: it is counted until it ends.
    drop(working);
    let mut closing = Box::pin(pool.close());
    assert!(futures::poll!(closing.as_mut()).is_pending());
    sleep(Duration::from_millis(20)).await;
    assert!(futures::poll!(closing.as_mut()).is_pending());
    drop(go_on);
    soon(closing).await?;
    assert_eq!(files(folder.path())?, "accounts.db", "the log is gone");
    let path = folder.path().join("accounts.db");
    let pool = SqlitePool::open(path, settings(1, LONG)).await?;
    assert_eq!(
        soon(pool.readers.run(balances)).await?,
        (1000, 1000),
        "rolled back"
    );
    Ok(())
}

#[tokio::test]
async fn opening_may_fail_and_costs_no_place() -> Tested {
    let (folder, pool) = pool(1, LONG).await?;
    let path = folder.path().join("accounts.db");
    let moved = folder.path().join("moved.db");
    fs::rename(&path, &moved)?;
    for _ in 0..3 {
        let read = soon(pool.readers.run(balances)).await;
        assert!(matches!(read, Err(PoolError::Sqlite(_))), "{read:?}");
    }
    fs::rename(&moved, &path)?;
    assert_eq!(soon(pool.readers.run(balances)).await?, (1000, 1000));
    Ok(())
}

#[tokio::test]
async fn what_the_work_leaves_behind_is_cleared_away() -> Tested {
    let (_folder, pool) = pool(1, LONG).await?;
    // It ends the transaction itself, and leaves another.
    let twice = "COMMIT; BEGIN; UPDATE accounts SET balance = 7";
    let failing = pool.writer.run(|connection| {
        connection
            .execute_batch(twice)
            .map_err(|error| error.to_string())?;
        Err::<(), _>("on purpose".to_string())
    });
    let failed = soon(failing).await.err().map(|error| error.to_string());
    assert_eq!(failed.as_deref(), Some("on purpose"));
    assert_eq!(soon(pool.readers.run(balances)).await?, (1000, 1000));
    let or_rollback = "INSERT OR ROLLBACK INTO accounts VALUES ('Alice', 0)";
    for (ends, alice) in [("COMMIT", 999), (or_rollback, 999)] {
        let ending = pool.writer.run(move |connection| {
            move_one(connection)?;
            let _ = connection.execute_batch(ends);
            Ok::<_, rusqlite::Error>(())
        });
        assert!(matches!(soon(ending).await, Err(PoolError::Ended)));
        assert_eq!(soon(pool.readers.run(balances)).await?.0, alice, "{ends}");
    }
    soon(pool.writer.run(move_one)).await?;
    Ok(())
}

#[tokio::test]
async fn another_program_that_writes_is_told_and_costs_nothing() -> Tested {
    let (folder, pool) = pool(1, LONG).await?;
    let path = folder.path().join("accounts.db");
    let other = spawn_blocking(move || Connection::open(path)).await??;
    other.execute_batch("BEGIN IMMEDIATE")?;
    for _ in 0..3 {
        let busy = soon(pool.writer.run(move_one)).await;
        assert_eq!(busy.unwrap_err().to_string(), "database is locked");
        assert_eq!(soon(pool.readers.run(balances)).await?, (1000, 1000));
    }
    other.execute_batch("COMMIT")?;
    soon(pool.writer.run(move_one)).await?;
    Ok(())
}

#[tokio::test]
async fn another_program_that_writes_when_it_is_opened_is_told_at_once() -> Tested {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("accounts.db");
    let other = Connection::open(&path)?;
    other.execute_batch("CREATE TABLE accounts (name TEXT); BEGIN IMMEDIATE")?;
    let patient = Settings {
        busy_timeout: 2 * LONG,
        ..settings(1, LONG)
    };
    let opened = soon(SqlitePool::open(&path, patient)).await;
    let error = opened.map(drop).unwrap_err().to_string();
    assert_eq!(error, "database is locked");
    Ok(())
}

#[tokio::test]
async fn who_asks_first_is_served_first() -> Tested {
    let (_folder, pool) = pool(1, LONG).await?;
    let served = Arc::new(Mutex::new(Vec::new()));
    let calls = (0..100).map(|number| {
        let served = Arc::clone(&served);
        pool.writer.run(move |_| {
            served
                .lock()
                .map(|mut served| served.push(number))
                .map_err(drop)
        })
    });
    let ended = soon(join_all(calls)).await;
    assert!(ended.iter().all(Result::is_ok));
    let served = served.lock().map(|served| served.clone());
    assert!(served.is_ok_and(|served| served.into_iter().eq(0..100)));
    Ok(())
}

#[tokio::test]
async fn in_a_struct_in_a_task_with_savepoints() -> Tested {
    struct Service {
        pool: SqlitePool,
        name: String,
    }
    impl Service {
        async fn pay(self: Arc<Self>, amount: i64) -> Result<i64, PoolError> {
            let service = Arc::clone(&self);
            let paying = self.pool.writer.run(move |connection| {
                let savepoint = connection.savepoint()?;
                pay_in(&savepoint, &service.name, 5)?;
                drop(savepoint);
                pay_in(connection, &service.name, amount)
            });
            paying.await
        }
    }
    let (_folder, pool) = pool(1, LONG).await?;
    let name = "Bob".to_string();
    let service = Arc::new(Service { pool, name });
    let tasks = [1, 2, 3].map(|amount| tokio::spawn(Arc::clone(&service).pay(amount)));
    for paid in soon(join_all(tasks)).await {
        assert!((1001..=1006).contains(&paid??));
    }
    assert_eq!(
        soon(service.pool.readers.run(balances)).await?,
        (1000, 1006)
    );
    Ok(())
}
