//! Change a row that others change at the same time: a version column, or `FOR UPDATE`.
//!
//! A user edits a document for minutes, and a transaction must not stay open that long.
//! So each row has a version. `save` changes the row only if it still has the version
//! that the user loaded. Where a program computes the new value, `change` loads,
//! computes and saves, and does all again after a conflict. If many callers change the
//! same row, lock it: `change_locked`.
//!
//! Bounds: `change` fails after `attempts` conflicts. A caller that waits for a locked
//! row fails after the server's `lock_timeout`.
//!
//! Trap: If you load a value, compute, and write it back by UPDATE, you may overwrite
//! the change of another program, without an error, even in a transaction (READ
//! COMMITTED, the default). Compare the version, lock the row, or use SERIALIZABLE.
//!
//! Trap: If two transactions lock the same two rows in different orders, they deadlock,
//! and PostgreSQL ends one of them. Lock rows in the order of their ids.
//!
//! See also: `pg_transaction`, `lost_update`, `nats_key_value`.
//!
//! asyncio: async with, asyncio.gather

use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, Error, GenericClient, IsolationLevel};

const LOAD: &str = "SELECT text, version FROM documents WHERE id = $1";

const SAVE: &str = "
    UPDATE documents SET text = $2, version = version + 1
    WHERE id = $1 AND version = $3 RETURNING version";

/// A row, as it was when it was loaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document {
    pub id: i64,
    pub text: String,
    /// Goes to the browser and back, for example as an ETag.
    pub version: i64,
}

/// Why a document was not saved.
#[derive(Debug, thiserror::Error)]
pub enum SaveError {
    /// HTTP 412: load it again, and show both to the user.
    #[error("somebody else has changed the document")]
    Conflict,
    #[error("there is no such document")]
    Missing,
    #[error("{}", .0.as_db_error().map_or_else(|| .0.to_string(), ToString::to_string))]
    Postgres(#[from] Error),
}

/// Returns the document as it is now.
pub async fn load(
    db: &(impl GenericClient + Sync),
    id: i64,
) -> Result<Document, SaveError> {
    let row = db
        .query_opt(LOAD, &[&id])
        .await?
        .ok_or(SaveError::Missing)?;
    Ok(Document {
        id,
        text: row.get(0),
        version: row.get(1),
    })
}

/// Saves the text, and returns the document with its new version.
///
/// # Errors
///
/// `Conflict` if the document has another version, or is gone. Nothing is changed then.
/// If the connection breaks, the text may be saved: load the document.
pub async fn save(
    db: &(impl GenericClient + Sync),
    document: Document,
) -> Result<Document, SaveError> {
    let Document { id, text, version } = document;
    let saved = match db.query_opt(SAVE, &[&id, &text, &version]).await {
        // If the default isolation is not READ COMMITTED, a conflict is an error.
        Err(error) if error.code() == Some(&SqlState::T_R_SERIALIZATION_FAILURE) => None,
        saved => saved?,
    };
    let version = saved.ok_or(SaveError::Conflict)?.get(0);
    Ok(Document { id, text, version })
}

/// Replaces the text by what `compute` returns for it. After a conflict it loads the
/// document again, and computes again.
///
/// # Errors
///
/// `Conflict` after as many `attempts`.
pub async fn change(
    db: &(impl GenericClient + Sync),
    id: i64,
    attempts: u32,
    mut compute: impl FnMut(String) -> String,
) -> Result<Document, SaveError> {
    for _ in 0..attempts {
        let mut document = load(db, id).await?;
        document.text = compute(document.text);
        match save(db, document).await {
            Err(SaveError::Conflict) => {}
            saved => return saved,
        }
    }
    Err(SaveError::Conflict)
}

/// Replaces the text by what `compute` returns for it, while the row is locked. Other
/// changes wait, and none is computed twice. Also locks out `save`, which then fails.
pub async fn change_locked(
    client: &mut Client,
    id: i64,
    compute: impl FnOnce(String) -> String,
) -> Result<Document, SaveError> {
    // After the wait, the lock returns the row as it was committed last.
    let level = IsolationLevel::ReadCommitted;
    let builder = client.build_transaction().isolation_level(level);
    let transaction = builder.start().await?;
    let lock = format!("{LOAD} FOR UPDATE");
    let row = transaction.query_opt(&lock, &[&id]).await?;
    let row = row.ok_or(SaveError::Missing)?;
    let document = Document {
        id,
        text: compute(row.get(0)),
        version: row.get(1),
    };
    let saved = save(&transaction, document).await?;
    transaction.commit().await?;
    Ok(saved)
}

/// Appends its arguments to a document that only this connection has: `cargo run -- tea`.
#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let url = std::env::var("DATABASE_URL");
    let url =
        url.map_err(|_| "set DATABASE_URL, as in postgres://user@localhost/database")?;
    let (client, connection) =
        tokio_postgres::connect(&url, tokio_postgres::NoTls).await?;
    // Ends when the client is dropped. The client reports the errors.
    tokio::spawn(connection);
    let table = "CREATE TEMP TABLE documents (
                     id BIGINT PRIMARY KEY, text TEXT NOT NULL, version BIGINT NOT NULL);
                 INSERT INTO documents VALUES (1, 'buy', 1)";
    client.batch_execute(table).await?;
    for word in std::env::args().skip(1) {
        let saved = change(&client, 1, 10, |text| format!("{text} {word}")).await?;
        println!("version {}: {}", saved.version, saved.text);
    }
    Ok(())
}

//@ clock: real
//@ try: tea -> version 2: buy tea
