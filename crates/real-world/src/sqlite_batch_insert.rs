//! Insert many rows into SQLite: `executemany`, and rows of many callers in batches.
//!
//! Outside a transaction, each statement is its own transaction and waits for the disk.
//! So insert many rows in one transaction, with `insert_all`. Rows that come one by
//! one, for example from requests, go to a `BatchWriter`. Its task writes a batch when
//! there are `max_rows` rows, or when the first row has waited for `max_wait`.
//!
//! Bounds: `max_rows` rows are in the batch, and as many wait in the channel. Further
//! callers of `insert` wait for room.
//!
//! Trap: If a server tells its client "stored" before the commit, a crash loses rows
//! that the client takes for stored. So `insert` returns only after the commit.
//!
//! Trap: If you take every error of `insert` for a fault of your own row, you may give up
//! a good row. A row that violates a constraint fails alone. But a full disk or
//! `ON CONFLICT ROLLBACK` ends the transaction: then no row of the batch is stored, and
//! every caller gets the error. Insert the good rows again.
//!
//! See also: `async_sqlite`, `job_queue`.
//!
//! asyncio: asyncio.Queue, asyncio.to_thread, asyncio.timeout, loop.create_future

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rusqlite::{Connection, Params, TransactionBehavior};
use tokio::sync::{mpsc, oneshot};
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::timeout;

/// Inserts all rows, or none if one fails. Blocks its thread.
pub fn insert_all<P: Params>(
    db: &mut Connection,
    sql: &str,
    rows: impl IntoIterator<Item = P>,
) -> rusqlite::Result<()> {
    // Rolled back if it is dropped before the commit.
    let transaction = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let mut insert = transaction.prepare_cached(sql)?;
    for row in rows {
        insert.execute(row)?;
    }
    drop(insert);
    transaction.commit()
}

/// Inserts the rows that can be inserted, and returns the result of each.
///
/// # Errors
///
/// If no row is stored, because the transaction could not begin, was ended by the error
/// of a row, or could not be committed.
fn insert_each<P: Params>(
    db: &mut Connection,
    sql: &str,
    rows: impl IntoIterator<Item = P>,
) -> rusqlite::Result<Vec<rusqlite::Result<usize>>> {
    let transaction = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let mut insert = transaction.prepare_cached(sql)?;
    let mut results = Vec::new();
    for row in rows {
        match insert.execute(row) {
            // Without a transaction each further row would be stored by itself.
            Err(error) if transaction.is_autocommit() => return Err(error),
            // From `RETURNING`: the row is inserted, although this is an error.
            Err(error @ rusqlite::Error::ExecuteReturnedResults) => return Err(error),
            result => results.push(result),
        }
    }
    drop(insert);
    transaction.commit()?;
    Ok(results)
}

/// Why a row is not stored.
#[derive(Clone, Debug, thiserror::Error)]
pub enum InsertError {
    /// Because of this row, or because its batch was rolled back.
    #[error(transparent)]
    Sqlite(#[from] Arc<rusqlite::Error>),
    /// The writing task was aborted or panicked. The row may be stored.
    #[error("rows are no longer written")]
    Stopped,
}

/// Takes rows one by one, for a task that writes them in batches. Clones share the task.
#[derive(Debug)]
pub struct BatchWriter<P> {
    entries: mpsc::Sender<Entry<P>>,
}

#[derive(Debug)]
struct Entry<P> {
    row: P,
    reply: oneshot::Sender<Result<(), InsertError>>,
}

impl<P> Clone for BatchWriter<P> {
    fn clone(&self) -> Self {
        let entries = self.entries.clone();
        Self { entries }
    }
}

impl<P: Params + Send + 'static> BatchWriter<P> {
    /// Starts the task. The task writes when there are `max_rows` rows, or when the first
    /// one has waited for `max_wait`. It ends when all clones are dropped and their rows
    /// are written.
    ///
    /// `sql` inserts one row, without `RETURNING`; `P` are its parameters, for example
    /// `(u32, f64)`.
    ///
    /// # Panics
    ///
    /// If `max_rows` is 0 or more than `Semaphore::MAX_PERMITS`, and outside a Tokio
    /// runtime.
    pub fn start(
        db: Arc<Mutex<Connection>>,
        sql: &'static str,
        max_rows: usize,
        max_wait: Duration,
    ) -> (Self, JoinHandle<()>) {
        let (entries, mut received) = mpsc::channel::<Entry<P>>(max_rows);
        let task = tokio::spawn(async move {
            while let Some(first) = received.recv().await {
                let mut batch = vec![first];
                let gather = async {
                    while batch.len() < max_rows {
                        match received.recv().await {
                            Some(entry) => batch.push(entry),
                            None => break,
                        }
                    }
                };
                // After the timeout, the rows so far are written.
                let _ = timeout(max_wait, gather).await;
                let db = Arc::clone(&db);
                if spawn_blocking(move || write(&db, sql, batch))
                    .await
                    .is_err()
                {
                    // It panicked. Dropping the receiver informs all callers.
                    return;
                }
            }
        });
        (Self { entries }, task)
    }

    /// Waits until the row is stored. With two full batches, it waits for room.
    ///
    /// If the future is dropped while it waits for room, the row is not stored. If it is
    /// dropped later, the row is stored all the same.
    pub async fn insert(&self, row: P) -> Result<(), InsertError> {
        let (reply, result) = oneshot::channel();
        let sent = self.entries.send(Entry { row, reply }).await;
        sent.map_err(|_| InsertError::Stopped)?;
        result.await.unwrap_or(Err(InsertError::Stopped))
    }
}

fn write<P: Params>(db: &Mutex<Connection>, sql: &str, batch: Vec<Entry<P>>) {
    let entries = batch.into_iter().map(|entry| (entry.row, entry.reply));
    let (rows, replies): (Vec<_>, Vec<_>) = entries.unzip();
    // After a panic the transaction was rolled back, so the connection is fit for use.
    let mut db = db.lock().unwrap_or_else(PoisonError::into_inner);
    let results: Vec<Result<(), InsertError>> = match insert_each(&mut db, sql, rows) {
        Ok(results) => results
            .into_iter()
            .map(|result| result.map(drop).map_err(|error| Arc::new(error).into()))
            .collect(),
        Err(error) => vec![Err(Arc::new(error).into()); replies.len()],
    };
    for (reply, result) in replies.into_iter().zip(results) {
        // It fails when the caller has gone.
        let _ = reply.send(result);
    }
}

/// Stores its arguments, all at the same time: `cargo run -- tea cake`.
#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let db = Connection::open("words.db")?;
    db.pragma_update(None, "journal_mode", "WAL")?;
    db.execute_batch("CREATE TABLE IF NOT EXISTS words (word TEXT UNIQUE)")?;
    let (writer, task) = BatchWriter::start(
        Arc::new(Mutex::new(db)),
        "INSERT INTO words VALUES (?1)",
        1_000,
        Duration::from_millis(20),
    );
    let inserts = std::env::args().skip(1).map(|word| {
        let writer = writer.clone();
        tokio::spawn(async move { (word.clone(), writer.insert((word,)).await) })
    });
    for (word, result) in futures::future::try_join_all(inserts).await? {
        match result {
            Ok(()) => println!("{word}: stored"),
            Err(error) => println!("{word}: {error}"),
        }
    }
    drop(writer);
    Ok(task.await?)
}

//@ order: UNIQUE constraint
//@ order: is stored
//@ try: tea cake tea -> tea: UNIQUE constraint failed
