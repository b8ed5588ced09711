//! `fetch_users` returns all rows, or the first error.

use rusqlite::Connection;
use tempfile::TempDir;

use crate::sqlite_fetchall::fetch_users;

type Failure = Box<dyn std::error::Error + Send + Sync>;

#[test]
fn however_many_rows_each_is_returned_in_order() -> Result<(), Failure> {
    for number in [0, 1, 31, 129, 1000] {
        let folder = TempDir::new()?;
        let path = folder.path().join("users.db").display().to_string();
        let mut db = Connection::open(&path)?;
        db.execute_batch("CREATE TABLE users (name TEXT, id INTEGER)")?;
        let transaction = db.transaction()?;
        for id in (0..number).rev() {
            let user = (format!("user {id}"), id);
            transaction.execute("INSERT INTO users VALUES (?1, ?2)", user)?;
        }
        transaction.commit()?;
        let expected = (0..number).map(|id| (id, format!("user {id}")));
        assert!(fetch_users(&path)?.into_iter().eq(expected), "{number}");

        db.execute("INSERT INTO users VALUES (NULL, ?1)", [number])?;
        let error = fetch_users(&path).expect_err("a user without a name");
        assert!(error.to_string().contains("Invalid column type"), "{error}");
    }
    Ok(())
}
