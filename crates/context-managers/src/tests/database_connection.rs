use std::error::Error;
use std::mem;
use std::path::Path;
use std::pin::pin;
use std::sync::mpsc;

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
