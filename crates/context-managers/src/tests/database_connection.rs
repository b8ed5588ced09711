use std::error::Error;
use std::mem;
use std::path::Path;
use std::pin::pin;
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use futures::poll;

use crate::database_connection::{Database, DatabaseError};

type TestResult = Result<(), Box<dyn Error + Send + Sync>>;

async fn add(database: &Database, name: &'static str) -> Result<usize, DatabaseError> {
    let insert = "INSERT INTO users VALUES (?1)";
    database.call(move |db| db.execute(insert, [name])).await
}

async fn count(database: &Database) -> Result<u32, DatabaseError> {
    let count = "SELECT count(*) FROM users";
    database
        .call(|db| db.query_one(count, [], |row| row.get(0)))
        .await
}

async fn in_memory() -> Result<Database, DatabaseError> {
    let database = Database::open(Path::new(":memory:")).await?;
    let create = "CREATE TABLE users (name TEXT UNIQUE)";
    database.call(|sqlite| sqlite.execute(create, ())).await?;
    Ok(database)
}

#[tokio::test]
async fn a_call_that_has_begun_runs_to_its_end() -> TestResult {
    let database = in_memory().await?;
    let (release, released) = mpsc::channel::<()>();
    {
        let mut call = pin!(database.call(move |sqlite| {
            // An error, as nothing is sent: the other end is dropped.
            let _ = released.recv();
            sqlite.execute("INSERT INTO users VALUES ('Ada')", ())
        }));
        assert!(poll!(call.as_mut()).is_pending());
    }
    {
        let mut next = pin!(add(&database, "Grace"));
        assert!(poll!(next.as_mut()).is_pending(), "it waits for its turn");
    }
    drop(release);
    assert_eq!(count(&database).await?, 1, "Ada, and not Grace");
    Ok(())
}

#[tokio::test]
async fn an_error_of_closing_leaves_it_open() -> TestResult {
    let database = in_memory().await?;
    // A statement that is never finished.
    let leak = database.call(|sqlite| {
        mem::forget(sqlite.prepare("SELECT 1")?);
        Ok(())
    });
    leak.await?;
    let error = database.close().await.expect_err("it is in use");
    let expected = "unable to close due to unfinalized statements";
    assert!(error.to_string().starts_with(expected), "{error}");
    assert_eq!(count(&database).await?, 0);
    Ok(())
}

#[tokio::test]
async fn a_panic_leaves_it_open() -> TestResult {
    let database = in_memory().await?;
    let bug = database.call(|_| -> rusqlite::Result<()> { panic!("a bug") });
    assert!(matches!(bug.await, Err(DatabaseError::Lost(_))));
    assert_eq!(count(&database).await?, 0);
    Ok(())
}

#[tokio::test]
async fn calls_come_in_their_order_and_close_waits_for_those_before_it() -> TestResult {
    let database = in_memory().await?;
    let (clone, order) = (database.clone(), Arc::new(Mutex::new(Vec::new())));
    let (release, released) = mpsc::channel::<()>();
    let released = Mutex::new(Some(released));
    let call = |number: u32| {
        let (order, released) = (
            Arc::clone(&order),
            released.lock().expect("no panic").take(),
        );
        database.call(move |_| {
            // The first one waits, an error as nothing is sent.
            let _ = released.map(|released| released.recv());
            order.lock().expect("no panic").push(number);
            Ok(())
        })
    };
    let release = async { drop(release) };
    let all =
        tokio::join!(biased; call(0), call(1), call(2), call(3), clone.close(), release);
    for done in [all.0, all.1, all.2, all.3, all.4] {
        done?;
    }
    assert_eq!(*order.lock().expect("no panic"), [0, 1, 2, 3]);
    for database in [&database, &clone] {
        let late = add(database, "Ada").await;
        assert!(matches!(late, Err(DatabaseError::Closed)));
        database.close().await?;
    }
    Ok(())
}

/// A transaction that has begun locks the file until the connection is closed.
#[tokio::test]
async fn dropping_the_last_clone_closes_the_connection() -> TestResult {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("users.db");
    let database = Database::open(&path).await?;
    let begin = "CREATE TABLE users (name TEXT UNIQUE); BEGIN IMMEDIATE";
    database.call(|sqlite| sqlite.execute_batch(begin)).await?;
    let clone = database.clone();
    drop(database);
    let other = rusqlite::Connection::open(&path)?;
    other.busy_timeout(Duration::ZERO)?;
    let insert = "INSERT INTO users VALUES ('Ada')";
    let locked = other.execute(insert, ()).expect_err("a clone is left");
    assert_eq!(locked.to_string(), "database is locked");
    drop(clone);
    other.execute(insert, ())?;
    Ok(())
}
