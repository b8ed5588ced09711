//! The notes: a handle with a queue of calls, and the databases that may answer them.
//!
//! A database is a module that takes the calls. Delete the one that you do not need.

#[cfg(feature = "postgres")]
mod postgres;
mod sqlite;

use std::{fmt, path::PathBuf, str::FromStr, sync::Arc};

use anyhow::{Context as _, Error, Result, anyhow};
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc::{self, error::TrySendError};
use tokio::sync::{Notify, oneshot};

use crate::error::AppError;

/// How often a job is begun. Then its row stays, for you to look at.
const MAX_ATTEMPTS: i64 = 5;
/// How many calls share a transaction, and so the time to reach the disk.
const MAX_BATCH: usize = 100;

/// Where the notes are: in a file of SQLite, or in a PostgreSQL.
#[derive(Clone, Debug)]
pub enum Database {
    Sqlite(PathBuf),
    #[cfg(feature = "postgres")]
    Postgres(Box<tokio_postgres::Config>),
}

impl FromStr for Database {
    type Err = Error;

    /// Takes `postgres://user@host/database`, or a path.
    fn from_str(text: &str) -> Result<Self> {
        if !text.starts_with("postgres://") && !text.starts_with("postgresql://") {
            return Ok(Self::Sqlite(text.into()));
        }
        #[cfg(feature = "postgres")]
        return Ok(Self::Postgres(text.parse().map(Box::new)?));
        #[cfg(not(feature = "postgres"))]
        anyhow::bail!("the program was built without the feature `postgres`")
    }
}

/// For the log: without the password.
impl fmt::Display for Database {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(path) => write!(to, "{}", path.display()),
            #[cfg(feature = "postgres")]
            Self::Postgres(config) => {
                let (hosts, ports) = (config.get_hosts(), config.get_ports());
                write!(to, "PostgreSQL at {hosts:?}, port {ports:?}")
            }
        }
    }
}

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

/// At most `limit` notes with larger ids than `after`.
#[derive(Debug, Deserialize)]
#[serde(default)]
pub struct Page {
    pub after: i64,
    pub limit: u8,
}

impl Default for Page {
    fn default() -> Self {
        let (after, limit) = (0, 20);
        Self { after, limit }
    }
}

/// What the worker has to do for a note.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job {
    pub note: i64,
    /// Counts from 1.
    pub attempt: i64,
    pub text: String,
}

/// Dropped if the call was not begun.
type Reply<T> = oneshot::Sender<Result<T>>;

enum Call {
    Add(String, Reply<Note>),
    Get(i64, Reply<Option<Note>>),
    List(Page, Reply<Vec<Note>>),
    NextJob(Reply<Option<Job>>),
    /// With the words of its note.
    Complete(Job, i64, Reply<()>),
}

/// A handle of the store. Clones share the queue. The store ends when it has answered the
/// last call of the last handle.
#[derive(Clone, Debug)]
pub struct Store {
    calls: mpsc::Sender<Call>,
    added: Arc<Notify>,
}

impl Store {
    /// Opens the database and brings it to the current version. Returns the handle, and a
    /// future that waits for the end of the store. Cancel safe.
    pub async fn open(
        database: Database,
        queue: usize,
    ) -> Result<(Self, impl Future<Output = Result<()>> + use<>)> {
        let (calls, waiting) = mpsc::channel(queue);
        let ended = match database {
            Database::Sqlite(path) => sqlite::start(path, waiting).await?,
            #[cfg(feature = "postgres")]
            Database::Postgres(config) => postgres::start(*config, waiting).await?,
        };
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

    /// Returns the notes of a page, in the order of ids.
    pub async fn list(&self, page: Page) -> Result<Vec<Note>, AppError> {
        self.call(|reply| Call::List(page, reply)).await
    }

    /// Begins the job that has waited longest, and of SQLite's the one with the fewest
    /// attempts.
    pub async fn next_job(&self) -> Result<Option<Job>, AppError> {
        self.call(Call::NextJob).await
    }

    /// Stores the result of a job, which is done then. Does nothing if the job has been
    /// begun again.
    pub async fn complete(&self, job: Job, words: i64) -> Result<(), AppError> {
        self.call(|reply| Call::Complete(job, words, reply)).await
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
                TrySendError::Closed(_) => AppError::Unavailable,
            })?;
        let result = result.await.map_err(|_| AppError::Unavailable)?;
        result.map_err(|error| {
            tracing::error!("the store failed: {error:#}");
            AppError::Internal
        })
    }
}

/// Answers the calls of one transaction.
fn answer_adds(replies: Vec<Reply<Note>>, added: Result<Vec<Note>>) {
    match added {
        Ok(notes) => {
            for (reply, note) in replies.into_iter().zip(notes) {
                let _ = reply.send(Ok(note));
            }
        }
        Err(error) => {
            for reply in replies {
                let _ = reply.send(Err(anyhow!("{error:#}")));
            }
        }
    }
}
