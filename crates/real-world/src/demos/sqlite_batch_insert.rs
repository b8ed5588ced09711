//! Rows one by one, in batches and gathered; and what a bad row does to its neighbours.

use std::error::Error;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rusqlite::Connection;
use tokio::task::{JoinSet, spawn_blocking};
use tokio::time::sleep;

use crate::sqlite_batch_insert::{BatchWriter, insert_all};

pub type Failure = Box<dyn Error + Send + Sync>;

const TABLES: &str = "
    CREATE TABLE readings (id INTEGER PRIMARY KEY, celsius REAL);
    CREATE TABLE strict (id INTEGER PRIMARY KEY ON CONFLICT ROLLBACK, celsius REAL);";
const INSERT: &str = "INSERT INTO readings VALUES (?1, ?2)";
const INSERT_STRICT: &str = "INSERT INTO strict VALUES (?1, ?2)";

type Row = (u32, f64);

fn rows(ids: impl IntoIterator<Item = u32>) -> Vec<Row> {
    let row = |id| (id, f64::from(id) / 2.0);
    ids.into_iter().map(row).collect()
}

#[derive(Clone)]
struct Database(Arc<Mutex<Connection>>);

impl Database {
    async fn call<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, Failure> {
        let db = Arc::clone(&self.0);
        let call = move || work(&mut db.lock().unwrap_or_else(PoisonError::into_inner));
        Ok(spawn_blocking(call).await??)
    }

    async fn count(&self, table: &str) -> Result<u32, Failure> {
        let query = format!("SELECT count(*) FROM {table}");
        self.call(move |db| db.query_row(&query, [], |row| row.get(0)))
            .await
    }

    /// Inserts rows through a writer of batches, one each 0.1 s.
    async fn insert_one_by_one(
        &self,
        sql: &'static str,
        rows: Vec<Row>,
    ) -> Result<(), Failure> {
        let max_wait = Duration::from_millis(500);
        let (writer, task) = BatchWriter::start(Arc::clone(&self.0), sql, 4, max_wait);
        let mut inserts = JoinSet::new();
        for (row, number) in rows.into_iter().zip(0..) {
            let writer = writer.clone();
            inserts.spawn(async move {
                sleep(number * Duration::from_millis(100)).await;
                match writer.insert(row).await {
                    Ok(()) => println!("{} is stored", row.0),
                    Err(error) => println!("{}: {error}", row.0),
                }
            });
        }
        drop(writer);
        inserts.join_all().await;
        Ok(task.await?)
    }
}

/// Returns how many transactions have changed the file: see "file change counter" at
/// <https://sqlite.org/fileformat.html>.
fn transactions(path: &Path) -> io::Result<u32> {
    let mut header = [0; 28];
    File::open(path)?.read_exact(&mut header)?;
    let [.., a, b, c, d] = header;
    Ok(u32::from_be_bytes([a, b, c, d]))
}

pub async fn run() -> Result<(), Failure> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("readings.db");
    let db = Connection::open(&path)?;
    // The demonstration does not wait for the disk; in this mode the file is counted up
    // with each transaction.
    db.execute_batch("PRAGMA synchronous = OFF; PRAGMA journal_mode = MEMORY")?;
    db.execute_batch(TABLES)?;
    let database = Database(Arc::new(Mutex::new(db)));
    let mut before = transactions(&path)?;
    let mut print_transactions = || {
        let now = transactions(&path)?;
        println!("{} transactions", now - before);
        before = now;
        io::Result::Ok(())
    };

    println!("Ten rows, one by one:");
    for row in rows(1..=10) {
        let insert = move |db: &mut Connection| db.execute(INSERT, row);
        database.call(insert).await?;
    }
    print_transactions()?;

    println!("Ten rows, four at a time:");
    // for batch in itertools.batched(rows, 4)
    for batch in rows(11..=20).chunks(4) {
        let batch = batch.to_vec();
        let insert = move |db: &mut Connection| insert_all(db, INSERT, batch);
        database.call(insert).await?;
    }
    print_transactions()?;

    println!("Four rows, one of which is stored already:");
    let batch = rows([21, 22, 7, 23]);
    let insert = move |db: &mut Connection| insert_all(db, INSERT, batch);
    if let Err(error) = database.call(insert).await {
        println!("{error}");
    }
    println!("{} rows", database.count("readings").await?);

    println!("A row each 0.1 s, gathered up to four, or for 0.5 s:");
    let gathered = rows([21, 22, 7, 23, 24, 25]);
    database.insert_one_by_one(INSERT, gathered).await?;
    print_transactions()?;
    println!("{} rows", database.count("readings").await?);

    println!("The third row ends the transaction of its batch:");
    let first = |db: &mut Connection| insert_all(db, INSERT_STRICT, rows([7]));
    database.call(first).await?;
    let gathered = rows([1, 2, 7, 3]);
    database.insert_one_by_one(INSERT_STRICT, gathered).await?;
    println!("{} rows", database.count("strict").await?);
    Ok(())
}
