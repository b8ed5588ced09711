//! Selects rows one by one, with the example or with tokio-rusqlite, and prints how long
//! it took, how many rows came and their sum, as JSON.
//!
//! Both are compiled with the same rusqlite and the same SQLite.

use std::env;
use std::error::Error;
use std::time::Instant;

use rusqlite::Connection;
use serde_json::json;
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

#[path = "../../../crates/real-world/src/async_sqlite.rs"]
#[allow(dead_code)]
mod async_sqlite;

/// How many rows the table has.
const ROWS: i64 = 1000;

/// So many rows, and the sum of what is in them.
type Rows = (i64, i64);

type AnyError = Box<dyn Error + Send + Sync>;

fn open() -> rusqlite::Result<Connection> {
    let connection = Connection::open_in_memory()?;
    connection.execute_batch(
        "CREATE TABLE numbers (id INTEGER PRIMARY KEY, number INTEGER NOT NULL)",
    )?;
    for id in 0..ROWS {
        connection.execute("INSERT INTO numbers VALUES (?1, ?1 * 7)", [id])?;
    }
    Ok(connection)
}

/// A row, as both select it.
fn select(connection: &Connection, number: i64) -> rusqlite::Result<i64> {
    let query = "SELECT number FROM numbers WHERE id = ?1";
    let mut select = connection.prepare_cached(query)?;
    select.query_row([number % ROWS], |row| row.get(0))
}

/// Every so manyth of the numbers below `size`.
type Part = std::iter::StepBy<std::ops::Range<i64>>;

async fn with_ours(
    database: async_sqlite::Database,
    part: Part,
) -> Result<Rows, AnyError> {
    let (mut items, mut sum) = (0, 0);
    for number in part {
        let row = database.call(move |connection| select(connection, number));
        sum += row.await??;
        items += 1;
    }
    Ok((items, sum))
}

/// A panic in what it runs ends its thread, and what is given up runs to its end; ours
/// goes on after a panic, and asks whether a query was given up while it runs.
async fn with_theirs(
    connection: tokio_rusqlite::Connection,
    part: Part,
) -> Result<Rows, AnyError> {
    let (mut items, mut sum) = (0, 0);
    for number in part {
        let row = connection.call(move |connection| select(connection, number));
        sum += row.await?;
        items += 1;
    }
    Ok((items, sum))
}

/// So many callers at once, each with its part.
async fn all<F>(
    callers: i64,
    size: i64,
    call: impl Fn(Part) -> F,
) -> Result<Rows, AnyError>
where
    F: Future<Output = Result<Rows, AnyError>> + Send + 'static,
{
    let mut tasks = JoinSet::new();
    for first in 0..callers {
        tasks.spawn(call((first..size).step_by(callers as usize)));
    }
    let mut all = (0, 0);
    while let Some(rows) = tasks.join_next().await {
        let (items, sum) = rows??;
        all = (all.0 + items, all.1 + sum);
    }
    Ok(all)
}

async fn run(contestant: &str, callers: i64, size: i64) -> Result<(), AnyError> {
    let (rows, time) = match contestant {
        "ours" => {
            let database = async_sqlite::Database::open(open).await?;
            let begun = Instant::now();
            let rows = all(callers, size, |part| with_ours(database.clone(), part));
            (rows.await?, begun.elapsed())
        }
        "tokio-rusqlite" => {
            let connection = tokio_rusqlite::Connection::from(open()?);
            let begun = Instant::now();
            let rows = all(callers, size, |part| with_theirs(connection.clone(), part));
            (rows.await?, begun.elapsed())
        }
        other => return Err(format!("there is no contestant {other}").into()),
    };
    let ((items, sum), value) = (rows, time.as_secs_f64());
    println!("{}", json!({ "value": value, "items": items, "sum": sum }));
    Ok(())
}

/// Takes the contestant, and after a comma how many call at once, and how many rows.
fn main() -> Result<(), AnyError> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [contestant, size] = arguments.as_slice() else {
        return Err("usage: bench CONTESTANT,CALLERS SIZE".into());
    };
    let (contestant, callers) = contestant.split_once(',').ok_or("no CALLERS")?;
    let (callers, size) = (callers.parse()?, size.parse()?);
    Runtime::new()?.block_on(run(contestant, callers, size))
}
