//! Insert many rows into SQLite: `executemany`, one transaction for a batch of rows.
//!
//! Each statement outside of a transaction is one of its own, which the disk has to
//! confirm, and each call is a trip to another thread and back. So whole batches go
//! across, and a statement is prepared once for all rows of a batch. Of a batch in one
//! transaction either all rows are there or none. Rows that come one by one, from the
//! requests of a server say, are gathered until there are enough or the first has waited
//! long enough. The trap is to answer before the commit, for then a crash loses what was
//! promised: here `insert` returns when its row is there. A bad row is its sender's error
//! alone. In `tokio-stream`, `chunks_timeout` gathers likewise.
//!
//! asyncio: asyncio.Queue, asyncio.to_thread, asyncio.timeout_at, loop.create_future
//! asyncio: asyncio.Future.set_exception

use std::error::Error;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rusqlite::{Connection, params};
use tokio::sync::{mpsc, oneshot};
use tokio::task::{JoinError, JoinHandle, JoinSet, spawn_blocking};
use tokio::time::{Instant, sleep, timeout_at};

/// One row.
#[derive(Clone, Debug)]
pub struct Reading {
    pub id: u32,
    pub celsius: f64,
}

pub const TABLE: &str = "CREATE TABLE readings (id INTEGER PRIMARY KEY, celsius REAL)";
const INSERT: &str = "INSERT INTO readings VALUES (?1, ?2)";

pub fn insert(connection: &Connection, row: &Reading) -> rusqlite::Result<usize> {
    // Prepared once, and from then on taken from the connection's cache.
    let mut insert = connection.prepare_cached(INSERT)?;
    insert.execute(params![row.id, row.celsius])
}

/// Inserts all rows, or none if one fails.
pub fn insert_all(connection: &mut Connection, rows: &[Reading]) -> rusqlite::Result<()> {
    // Rolled back if it is dropped before the commit.
    let transaction = connection.transaction()?;
    for row in rows {
        insert(&transaction, row)?;
    }
    transaction.commit()
}

/// Inserts those rows that can be, with the result of each.
fn insert_each<'a>(
    connection: &mut Connection,
    rows: impl Iterator<Item = &'a Reading>,
) -> rusqlite::Result<Vec<rusqlite::Result<usize>>> {
    let transaction = connection.transaction()?;
    let results = rows.map(|row| insert(&transaction, row)).collect();
    transaction.commit()?;
    Ok(results)
}

/// A connection that is used on threads where it may block. Clones share it.
#[derive(Clone)]
pub struct Database {
    connection: Arc<Mutex<Connection>>,
    trips: Arc<AtomicU32>,
}

impl Database {
    pub(crate) fn new(connection: Connection) -> Self {
        let (connection, trips) = (Arc::new(Mutex::new(connection)), Arc::default());
        Self { connection, trips }
    }

    pub(crate) async fn call<R: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Connection) -> R + Send + 'static,
    ) -> Result<R, JoinError> {
        self.trips.fetch_add(1, Ordering::Relaxed);
        let connection = Arc::clone(&self.connection);
        // After a panic the transaction was rolled back: the connection can be used on.
        let call =
            move || work(&mut connection.lock().unwrap_or_else(PoisonError::into_inner));
        spawn_blocking(call).await
    }
}

/// Why a row is not there.
#[derive(Clone, Debug, thiserror::Error)]
pub enum InsertError {
    /// Because of this row, or because the whole batch could not be committed.
    #[error(transparent)]
    Sqlite(#[from] Arc<rusqlite::Error>),
    /// The writing task has ended, by an abort or a panic. Perhaps the row is there.
    #[error("rows are no longer written")]
    Stopped,
}

const YEAR: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// Takes rows one by one, for a task that writes them in batches. Clones share the task.
#[derive(Clone)]
pub struct BatchWriter {
    line: mpsc::Sender<Entry>,
}

struct Entry {
    row: Reading,
    reply: oneshot::Sender<Result<(), InsertError>>,
}

impl BatchWriter {
    /// Starts the task. It writes as soon as there are `most` rows, or after the first
    /// one has waited for so long, a year at most. It ends when all clones are dropped
    /// and what they have sent is written.
    ///
    /// # Panics
    ///
    /// If `most` is 0, and outside of a Tokio runtime.
    pub fn start(
        database: Database,
        most: usize,
        wait: Duration,
    ) -> (Self, JoinHandle<()>) {
        let (line, entries) = mpsc::channel(most);
        let task = tokio::spawn(write_batches(database, entries, most, wait));
        (Self { line }, task)
    }

    /// Returns when the row is in the database. While two batches are full, the one that
    /// is being written and the next, it waits for room.
    ///
    /// Dropped while it waits for room, it sends nothing; later the row is written all
    /// the same.
    pub async fn insert(&self, row: Reading) -> Result<(), InsertError> {
        let (reply, result) = oneshot::channel();
        let sent = self.line.send(Entry { row, reply }).await;
        sent.map_err(|_| InsertError::Stopped)?;
        result.await.unwrap_or(Err(InsertError::Stopped))
    }
}

async fn write_batches(
    database: Database,
    mut entries: mpsc::Receiver<Entry>,
    most: usize,
    wait: Duration,
) {
    while let Some(first) = entries.recv().await {
        // With `Duration::MAX` there would be no such instant.
        let deadline = Instant::now() + wait.min(YEAR);
        let mut batch = vec![first];
        while batch.len() < most
            && let Ok(Some(entry)) = timeout_at(deadline, entries.recv()).await
        {
            batch.push(entry);
        }
        let written = database.call(move |connection| write_batch(connection, batch));
        if written.await.is_err() {
            // It panicked; whoever waits is told by the end of the line.
            return;
        }
    }
}

fn write_batch(connection: &mut Connection, batch: Vec<Entry>) {
    let rows = batch.iter().map(|entry| &entry.row);
    let mut results = match insert_each(connection, rows) {
        Ok(results) => results
            .into_iter()
            .map(|result| result.map(drop).map_err(|error| Arc::new(error).into()))
            .collect(),
        Err(error) => vec![Err(InsertError::from(Arc::new(error))); batch.len()],
    };
    for (entry, result) in batch.into_iter().zip(results.drain(..)) {
        // It fails when nobody waits any more.
        let _ = entry.reply.send(result);
    }
}

/// Where a database file keeps how many transactions have changed it: see "file change
/// counter" at <https://sqlite.org/fileformat.html>.
fn transactions(path: &Path) -> io::Result<u32> {
    let mut header = [0; 28];
    File::open(path)?.read_exact(&mut header)?;
    let [.., a, b, c, d] = header;
    Ok(u32::from_be_bytes([a, b, c, d]))
}

/// What the demonstration counts.
struct Counts<'a> {
    database: &'a Database,
    path: &'a Path,
    before: (u32, u32),
}

impl<'a> Counts<'a> {
    fn new(database: &'a Database, path: &'a Path) -> io::Result<Self> {
        let before = (database.trips.load(Ordering::Relaxed), transactions(path)?);
        Ok(Self {
            database,
            path,
            before,
        })
    }

    fn print(self) -> io::Result<()> {
        let Self { before, .. } = self;
        let (trips, changes) = Self::new(self.database, self.path)?.before;
        println!(
            "{} trips, {} transactions",
            trips - before.0,
            changes - before.1
        );
        Ok(())
    }
}

pub fn readings(ids: impl IntoIterator<Item = u32>) -> Vec<Reading> {
    let reading = |id| Reading {
        id,
        celsius: f64::from(id) / 2.0,
    };
    ids.into_iter().map(reading).collect()
}

pub async fn count(database: &Database) -> Result<u32, Box<dyn Error + Send + Sync>> {
    let query = "SELECT count(*) FROM readings";
    let call =
        database.call(|connection| connection.query_row(query, [], |row| row.get(0)));
    Ok(call.await??)
}

pub async fn run() -> Result<(), Box<dyn Error + Send + Sync>> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("readings.db");
    let connection = Connection::open(&path)?;
    // Here nobody minds a power cut.
    connection.execute_batch("PRAGMA synchronous = OFF; PRAGMA journal_mode = MEMORY")?;
    connection.execute_batch(TABLE)?;
    let database = Database::new(connection);

    println!("Ten rows, one by one:");
    let counts = Counts::new(&database, &path)?;
    for row in readings(1..=10) {
        database
            .call(move |connection| insert(connection, &row))
            .await??;
    }
    counts.print()?;

    println!("Ten rows, four at a time:");
    let counts = Counts::new(&database, &path)?;
    // for batch in itertools.batched(rows, 4)
    for batch in readings(11..=20).chunks(4) {
        let batch = batch.to_vec();
        database
            .call(move |connection| insert_all(connection, &batch))
            .await??;
    }
    counts.print()?;

    println!("Four rows, one of which is there already:");
    let batch = readings([21, 22, 7, 23]);
    let result = database
        .call(move |connection| insert_all(connection, &batch))
        .await?;
    if let Err(error) = result {
        println!("{error}");
    }
    println!("{} rows", count(&database).await?);

    println!("A row each 0.1 s, gathered up to four, or for 0.5 s:");
    let counts = Counts::new(&database, &path)?;
    let wait = Duration::from_millis(500);
    let (writer, task) = BatchWriter::start(database.clone(), 4, wait);
    let mut inserts = JoinSet::new();
    for (row, number) in readings([21, 22, 7, 23, 24, 25]).into_iter().zip(0..) {
        let writer = writer.clone();
        inserts.spawn(async move {
            sleep(number * Duration::from_millis(100)).await;
            let id = row.id;
            match writer.insert(row).await {
                Ok(()) => println!("{id} is there"),
                Err(error) => println!("{id}: {error}"),
            }
        });
    }
    // The task ends when the clones are gone too.
    drop(writer);
    inserts.join_all().await;
    task.await?;
    counts.print()?;
    println!("{} rows", count(&database).await?);
    Ok(())
}

#[tokio::main]
pub async fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    run().await
}
