//! SQLite. A thread owns the connection, because each call to it blocks.

use std::{path::Path, path::PathBuf, thread, time::Duration};

use anyhow::{Result, ensure};
use rusqlite::{Connection, OptionalExtension as _, TransactionBehavior, named_params};
use tokio::sync::{mpsc, oneshot};

use super::{Call, Job, MAX_ATTEMPTS, MAX_BATCH, Note, Page, answer_adds};

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
/// A job is begun in the transaction that counts the attempt: one that kills the process
/// does not do so forever.
const NEXT_JOB: &str = "
    UPDATE job SET attempt = attempt + 1 WHERE note =
        (SELECT note FROM job WHERE attempt < ?1 ORDER BY attempt, note LIMIT 1)
    RETURNING note, attempt, (SELECT text FROM note WHERE id = job.note) AS text";

/// Opens the database, brings it to the current version, and starts the thread. Returns
/// what comes when the thread has ended.
///
/// Cancel safe: the thread of a disk that hangs is left behind.
pub async fn start(
    path: PathBuf,
    waiting: mpsc::Receiver<Call>,
) -> Result<oneshot::Receiver<()>> {
    let (opens, opened) = oneshot::channel();
    let (ends, ended) = oneshot::channel();
    thread::Builder::new()
        .name("store".into())
        .spawn(move || match connect(&path) {
            Ok(connection) => {
                let _ = opens.send(Ok(()));
                serve(connection, waiting);
                let _ = ends.send(());
            }
            Err(error) => drop(opens.send(Err(error))),
        })?;
    opened.await??;
    Ok(ended)
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
    let transaction = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let sql = "SELECT user_version FROM pragma_user_version";
    let version: i64 = transaction.query_row(sql, [], |row| row.get(0))?;
    let newest = MIGRATIONS.len() as i64;
    ensure!(
        version <= newest,
        "the database has version {version}, this program knows {newest}"
    );
    for (number, migration) in (1..).zip(MIGRATIONS) {
        if number > version {
            transaction.execute_batch(migration)?;
        }
    }
    transaction.pragma_update(None, "user_version", newest)?;
    Ok(transaction.commit()?)
}

fn serve(mut db: Connection, mut waiting: mpsc::Receiver<Call>) {
    let mut batch = Vec::new();
    while waiting.blocking_recv_many(&mut batch, MAX_BATCH) > 0 {
        let (mut texts, mut adds) = (Vec::new(), Vec::new());
        for call in batch.drain(..) {
            // An error of `send` means that the client has left.
            match call {
                Call::Add(text, reply) => {
                    texts.push(text);
                    adds.push(reply);
                }
                Call::Get(id, reply) => drop(reply.send(get(&db, id))),
                Call::List(page, reply) => drop(reply.send(list(&db, &page))),
                Call::NextJob(reply) => drop(reply.send(next_job(&db))),
                Call::Complete(job, words, reply) => {
                    drop(reply.send(complete(&db, &job, words)));
                }
            }
        }
        if !adds.is_empty() {
            answer_adds(adds, add_all(&mut db, &texts));
        }
    }
}

/// All or nothing: after a full disk, the transaction is rolled back.
fn add_all(db: &mut Connection, texts: &[String]) -> Result<Vec<Note>> {
    let transaction = db.transaction()?;
    let mut notes = Vec::new();
    {
        let mut insert = transaction.prepare_cached(
            "INSERT INTO note (text, created_at)
             VALUES (:text, strftime('%Y-%m-%dT%H:%M:%SZ'))
             RETURNING id, text, created_at, words",
        )?;
        for text in texts {
            notes.push(insert.query_row(named_params! { ":text": text }, note)?);
        }
    }
    transaction.commit()?;
    Ok(notes)
}

fn get(db: &Connection, id: i64) -> Result<Option<Note>> {
    let sql = "SELECT * FROM note WHERE id = ?1";
    Ok(db.prepare_cached(sql)?.query_row([id], note).optional()?)
}

fn list(db: &Connection, page: &Page) -> Result<Vec<Note>> {
    let sql = "SELECT * FROM note WHERE id > ?1 ORDER BY id LIMIT ?2";
    let mut statement = db.prepare_cached(sql)?;
    let notes = statement.query_map((page.after, page.limit), note)?;
    Ok(notes.collect::<rusqlite::Result<_>>()?)
}

fn note(row: &rusqlite::Row<'_>) -> rusqlite::Result<Note> {
    Ok(Note {
        id: row.get("id")?,
        text: row.get("text")?,
        created_at: row.get("created_at")?,
        words: row.get("words")?,
    })
}

fn next_job(db: &Connection) -> Result<Option<Job>> {
    let job = |row: &rusqlite::Row<'_>| {
        Ok(Job {
            note: row.get("note")?,
            attempt: row.get("attempt")?,
            text: row.get("text")?,
        })
    };
    let mut next = db.prepare_cached(NEXT_JOB)?;
    Ok(next.query_row([MAX_ATTEMPTS], job).optional()?)
}

fn complete(db: &Connection, job: &Job, words: i64) -> Result<()> {
    let mut update = db.prepare_cached(
        "UPDATE note SET words = ?3 WHERE id = ?1
         AND EXISTS (SELECT 1 FROM job WHERE note = ?1 AND attempt = ?2)",
    )?;
    Ok(update.execute((job.note, job.attempt, words)).map(drop)?)
}
