//! The notes, in SQLite. A thread owns the connection, because each call to it blocks.

use std::{path::Path, path::PathBuf, sync::Arc, thread, time::Duration};

use anyhow::{Context as _, Result, ensure};
use rusqlite::{Connection, OptionalExtension as _, TransactionBehavior, named_params};
use serde::Serialize;
use tokio::sync::mpsc::{self, error::TrySendError};
use tokio::sync::{Notify, oneshot};

use crate::error::AppError;

/// Each brings the database to the next version. Append to the list, and never change
/// what has been released.
const MIGRATIONS: [&str; 3] = [
    "CREATE TABLE note (id INTEGER PRIMARY KEY AUTOINCREMENT, text TEXT NOT NULL) STRICT",
    "ALTER TABLE note ADD COLUMN created_at TEXT NOT NULL DEFAULT ''",
    // A job comes with its note and goes with its result: in the same transaction.
    "ALTER TABLE note ADD COLUMN words INTEGER;
     CREATE TABLE job
         (note INTEGER PRIMARY KEY, attempt INTEGER NOT NULL DEFAULT 0) STRICT;
     INSERT INTO job (note) SELECT id FROM note;
     CREATE TRIGGER added AFTER INSERT ON note
         BEGIN INSERT INTO job (note) VALUES (new.id); END;
     CREATE TRIGGER done AFTER UPDATE OF words ON note
         BEGIN DELETE FROM job WHERE note = new.id; END",
];
/// How often a job is begun. Then its row stays, for you to look at.
const MAX_ATTEMPTS: i64 = 5;
/// A job is begun in the transaction that counts the attempt: one that kills the process
/// does not do so forever.
const NEXT_JOB: &str = "
    UPDATE job SET attempt = attempt + 1 WHERE note =
        (SELECT note FROM job WHERE attempt < ?1 ORDER BY attempt, note LIMIT 1)
    RETURNING note, attempt, (SELECT text FROM note WHERE id = job.note) AS text";
/// How many calls share a transaction, and so the time to reach the disk.
const MAX_BATCH: usize = 100;

/// A note that is on disk.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Note {
    pub id: i64,
    pub text: String,
    /// In UTC, such as "2026-01-31T12:00:00Z".
    pub created_at: String,
    /// Nothing until the worker has counted them.
    pub words: Option<i64>,
}

/// What the worker has to do for a note.
#[derive(Debug, PartialEq, Eq)]
pub struct Job {
    pub note: i64,
    /// Counts from 1.
    pub attempt: i64,
    pub text: String,
}

type Reply<T> = oneshot::Sender<rusqlite::Result<T>>;

enum Call {
    Add(String, Reply<Note>),
    Get(i64, Reply<Option<Note>>),
    List {
        after: i64,
        limit: u8,
        reply: Reply<Vec<Note>>,
    },
    NextJob(Reply<Option<Job>>),
    Complete {
        note: i64,
        words: i64,
        reply: Reply<()>,
    },
}

/// A handle of the store. Clones share the connection. The thread ends when it has
/// answered the last call of the last handle.
#[derive(Clone, Debug)]
pub struct Store {
    calls: mpsc::Sender<Call>,
    added: Arc<Notify>,
}

impl Store {
    /// Opens the database, brings it to the current version, and starts the thread.
    /// Returns the handle, and a future that waits for the end of the thread.
    ///
    /// Cancel safe: the thread of a disk that hangs is left behind.
    pub async fn open(
        path: PathBuf,
        queue: usize,
    ) -> Result<(Self, impl Future<Output = Result<()>> + use<>)> {
        let (calls, waiting) = mpsc::channel(queue);
        let (opens, opened) = oneshot::channel();
        let (ends, ended) = oneshot::channel::<()>();
        thread::Builder::new().name("store".into()).spawn(move || {
            let connection = connect(&path);
            let (connection, failed) = match connection {
                Ok(connection) => (Some(connection), Ok(())),
                Err(error) => (None, Err(error)),
            };
            let _ = opens.send(failed);
            if let Some(connection) = connection {
                serve(connection, waiting);
                let _ = ends.send(());
            }
        })?;
        opened.await??;
        // An error says that the thread panicked.
        let ended = async { ended.await.context("the store panicked") };
        let added = Arc::default();
        Ok((Self { calls, added }, ended))
    }

    /// Returns the new note when it is on disk. Fails immediately if the queue is full.
    /// If the future is dropped while it waits, the note is still stored.
    pub async fn add(&self, text: String) -> Result<Note, AppError> {
        let added = self.call(|reply| Call::Add(text, reply)).await?;
        self.added.notify_one();
        Ok(added)
    }

    /// Returns the note, if there is one with this id.
    pub async fn get(&self, id: i64) -> Result<Option<Note>, AppError> {
        self.call(|reply| Call::Get(id, reply)).await
    }

    /// Returns at most `limit` notes with larger ids than `after`, in the order of ids.
    pub async fn list(&self, after: i64, limit: u8) -> Result<Vec<Note>, AppError> {
        let call = |reply| Call::List {
            after,
            limit,
            reply,
        };
        self.call(call).await
    }

    /// Begins the job with the fewest attempts, and of those the oldest.
    pub async fn next_job(&self) -> Result<Option<Job>, AppError> {
        self.call(Call::NextJob).await
    }

    /// Stores the result of a job. The job is done then.
    pub async fn complete(&self, note: i64, words: i64) -> Result<(), AppError> {
        self.call(|reply| Call::Complete { note, words, reply })
            .await
    }

    /// Waits until a note has been added since the last wait. For one waiter.
    pub async fn added(&self) {
        self.added.notified().await;
    }

    async fn call<T>(&self, call: impl FnOnce(Reply<T>) -> Call) -> Result<T, AppError> {
        let (reply, result) = oneshot::channel();
        self.calls
            .try_send(call(reply))
            .map_err(|error| match error {
                TrySendError::Full(_) => AppError::Overloaded,
                TrySendError::Closed(_) => AppError::Internal,
            })?;
        let result = result.await.map_err(|_| AppError::Internal)?;
        result.map_err(|error| {
            tracing::error!("the store failed: {error}");
            AppError::Internal
        })
    }
}

fn connect(path: &Path) -> Result<Connection> {
    let mut db = Connection::open(path)?;
    // Another process may hold the lock for a moment.
    db.busy_timeout(Duration::from_secs(5))?;
    db.pragma_update(None, "journal_mode", "WAL")?;
    // A commit waits until it is on disk.
    db.pragma_update(None, "synchronous", "FULL")?;
    migrate(&mut db)?;
    Ok(db)
}

fn migrate(db: &mut Connection) -> Result<()> {
    let behavior = TransactionBehavior::Immediate;
    let transaction = db.transaction_with_behavior(behavior)?;
    let version: i64 =
        transaction.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let version = usize::try_from(version)?;
    ensure!(
        version <= MIGRATIONS.len(),
        "the database has version {version}, this program knows {}",
        MIGRATIONS.len()
    );
    for migration in &MIGRATIONS[version..] {
        transaction.execute_batch(migration)?;
    }
    let version = i64::try_from(MIGRATIONS.len())?;
    transaction.pragma_update(None, "user_version", version)?;
    Ok(transaction.commit()?)
}

fn serve(mut db: Connection, mut waiting: mpsc::Receiver<Call>) {
    let mut batch = Vec::new();
    while waiting.blocking_recv_many(&mut batch, MAX_BATCH) > 0 {
        let mut adds = Vec::new();
        for call in batch.drain(..) {
            // An error of `send` means that the client has left.
            match call {
                Call::Add(text, reply) => adds.push((text, reply)),
                Call::Get(id, reply) => drop(reply.send(get(&db, id))),
                Call::List {
                    after,
                    limit,
                    reply,
                } => {
                    drop(reply.send(list(&db, after, limit)));
                }
                Call::NextJob(reply) => drop(reply.send(next_job(&db))),
                Call::Complete { note, words, reply } => {
                    drop(reply.send(complete(&db, note, words)));
                }
            }
        }
        // All or nothing: after a full disk, the transaction is rolled back.
        match add_all(&mut db, &adds) {
            Ok(notes) => {
                for ((_, reply), note) in adds.into_iter().zip(notes) {
                    let _ = reply.send(Ok(note));
                }
            }
            Err(error) => {
                tracing::error!("{} notes were not stored: {error}", adds.len());
                // The dropped replies tell the clients.
            }
        }
    }
}

fn add_all(
    db: &mut Connection,
    adds: &[(String, Reply<Note>)],
) -> rusqlite::Result<Vec<Note>> {
    if adds.is_empty() {
        return Ok(Vec::new());
    }
    let transaction = db.transaction()?;
    let mut notes = Vec::new();
    {
        let mut insert = transaction.prepare_cached(
            "INSERT INTO note (text, created_at)
             VALUES (:text, strftime('%Y-%m-%dT%H:%M:%SZ'))
             RETURNING id, text, created_at, words",
        )?;
        for (text, _) in adds {
            notes.push(insert.query_row(named_params! { ":text": text }, note)?);
        }
    }
    transaction.commit()?;
    Ok(notes)
}

fn get(db: &Connection, id: i64) -> rusqlite::Result<Option<Note>> {
    let sql = "SELECT * FROM note WHERE id = ?1";
    db.prepare_cached(sql)?.query_row([id], note).optional()
}

fn list(db: &Connection, after: i64, limit: u8) -> rusqlite::Result<Vec<Note>> {
    let sql = "SELECT * FROM note WHERE id > ?1 ORDER BY id LIMIT ?2";
    let mut statement = db.prepare_cached(sql)?;
    let notes = statement.query_map((after, limit), note)?;
    notes.collect()
}

fn note(row: &rusqlite::Row<'_>) -> rusqlite::Result<Note> {
    Ok(Note {
        id: row.get("id")?,
        text: row.get("text")?,
        created_at: row.get("created_at")?,
        words: row.get("words")?,
    })
}

fn next_job(db: &Connection) -> rusqlite::Result<Option<Job>> {
    let job = |row: &rusqlite::Row<'_>| {
        Ok(Job {
            note: row.get("note")?,
            attempt: row.get("attempt")?,
            text: row.get("text")?,
        })
    };
    let mut next = db.prepare_cached(NEXT_JOB)?;
    next.query_row([MAX_ATTEMPTS], job).optional()
}

fn complete(db: &Connection, note: i64, words: i64) -> rusqlite::Result<()> {
    let mut update = db.prepare_cached("UPDATE note SET words = ?2 WHERE id = ?1")?;
    update.execute((note, words)).map(drop)
}
