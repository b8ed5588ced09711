//! Accounts: readers next to the writer, another program, and callers that leave.

use std::error::Error;
use std::fmt;
use std::fs;
use std::io;
use std::path::Path;
use std::thread;
use std::time::Duration;

use rusqlite::Connection;
use tokio::join;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use crate::sqlite_pool::{Settings, SqlitePool};

pub type Failure = Box<dyn Error + Send + Sync>;

fn balance(connection: &Connection, name: &str) -> rusqlite::Result<i64> {
    let query = "SELECT balance FROM accounts WHERE name = ?1";
    let mut query = connection.prepare_cached(query)?;
    query.query_row([name], |row| row.get(0))
}

/// Pays in, and returns the balance. It reads and then writes.
fn pay_in(connection: &Connection, name: &str, amount: i64) -> rusqlite::Result<i64> {
    let balance = balance(connection, name)? + amount;
    let update = "UPDATE accounts SET balance = ?2 WHERE name = ?1";
    connection
        .prepare_cached(update)?
        .execute((name, balance))?;
    Ok(balance)
}

#[derive(Debug, thiserror::Error)]
enum TransferError {
    #[error("{name} has {missing} too little")]
    TooLittle { name: &'static str, missing: i64 },
    #[error(transparent)]
    Sqlite(#[from] rusqlite::Error),
}

fn transfer(
    connection: &Connection,
    from: &'static str,
    to: &str,
    amount: i64,
) -> Result<(), TransferError> {
    pay_in(connection, to, amount)?;
    match pay_in(connection, from, -amount)? {
        0.. => Ok(()),
        debt => Err(TransferError::TooLittle {
            name: from,
            missing: -debt,
        }),
    }
}

/// Reads twice, and so long apart.
fn slow_read(connection: &Connection, pause: Duration) -> rusqlite::Result<(i64, i64)> {
    let before = balance(connection, "Alice")?;
    thread::sleep(pause);
    Ok((before, balance(connection, "Alice")?))
}

/// Rows without end, each of which takes a moment.
fn endless_query(connection: &Connection) -> rusqlite::Result<usize> {
    let mut numbers = connection.prepare(
        "WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n FROM numbers)
         SELECT n FROM numbers",
    )?;
    let rows = numbers.query_map([], |_| {
        thread::sleep(Duration::from_millis(1));
        Ok(1)
    })?;
    rows.sum()
}

/// Two that both read and then write, without a pool. `BEGIN` alone locks nothing.
fn two_that_read_first(path: &Path) -> rusqlite::Result<i64> {
    let (first, second) = (Connection::open(path)?, Connection::open(path)?);
    second.execute_batch("PRAGMA synchronous = OFF")?;
    first.execute_batch("BEGIN")?;
    println!("the first reads {}", balance(&first, "Alice")?);
    second.execute_batch("BEGIN")?;
    println!(
        "the second pays in, Alice has {}",
        pay_in(&second, "Alice", 10)?
    );
    second.execute_batch("COMMIT")?;
    pay_in(&first, "Alice", 10)
}

/// Another program, which writes for a while.
fn write_meanwhile(path: &Path, pause: Duration) -> rusqlite::Result<()> {
    let other = Connection::open(path)?;
    other.execute_batch("BEGIN IMMEDIATE")?;
    thread::sleep(pause);
    other.execute_batch("COMMIT")
}

async fn after<F: Future>(millis: u64, future: F) -> F::Output {
    sleep(Duration::from_millis(millis)).await;
    future.await
}

/// Begins a part of the demonstration at its time, so that delays do not add up.
async fn part(start: Instant, millis: u64, title: &str) {
    sleep_until(start + Duration::from_millis(millis)).await;
    println!("{title}");
}

/// Prints the outcome.
fn report(what: &str, result: Result<impl fmt::Display, impl fmt::Display>) {
    match result {
        Ok(value) => println!("{what}: {value}"),
        Err(error) => println!("{what}: {error}"),
    }
}

/// Returns the sorted names of the files.
fn files(folder: &Path) -> io::Result<String> {
    let names = fs::read_dir(folder)?
        .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()));
    let mut names: Vec<_> = names.collect::<io::Result<_>>()?;
    names.sort();
    Ok(names.join(", "))
}

pub async fn run() -> Result<(), Failure> {
    let (ms, start) = (Duration::from_millis, Instant::now());
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("accounts.db");
    let settings = Settings {
        readers: 2,
        acquire_timeout: ms(1_000),
        busy_timeout: ms(1_000),
        // The demonstration does not wait for the disk.
        pragmas: "PRAGMA synchronous = OFF",
    };
    let pool = SqlitePool::open(&path, settings).await?;
    pool.writer
        .run(|connection| {
            connection.execute_batch(
                "CREATE TABLE accounts (name TEXT PRIMARY KEY, balance INTEGER NOT NULL);
             INSERT INTO accounts VALUES ('Alice', 100), ('Bob', 0)",
            )
        })
        .await?;

    part(start, 100, "Two may read at once, each for 2 s:").await;
    let read = async |name, begin| {
        let reading = pool
            .readers
            .run(move |connection| slow_read(connection, ms(2_000)));
        report(
            name,
            after(begin, reading).await.map(|(balance, _)| balance),
        );
    };
    join!(
        read("A", 0),
        read("B", 800),
        read("C", 1_400),
        read("D", 1_500)
    );

    part(start, 4_500, "A read goes on while there is a write:").await;
    let pay = || {
        pool.writer
            .run(|connection| pay_in(connection, "Alice", 50))
    };
    let pay_and_report = async || report("Alice has", pay().await);
    let reading = pool
        .readers
        .run(move |connection| slow_read(connection, ms(1_000)));
    let (read, ()) = join!(reading, after(300, pay_and_report()));
    println!("read before and after: {:?}", read?);

    part(start, 6_000, "A transfer fails when one half is done:").await;
    let transferred = pool
        .writer
        .run(|connection| transfer(connection, "Alice", "Bob", 151));
    report("transfer of 151", transferred.await.map(|()| "done"));
    report(
        "Bob has",
        pool.readers
            .run(|connection| balance(connection, "Bob"))
            .await,
    );

    println!("Two transactions read, then write, outside of the pool:");
    let outside = path.clone();
    let result = spawn_blocking(move || two_that_read_first(&outside)).await?;
    report("the first pays in", result);
    println!("And in the pool:");
    let (first, second) = join!(biased; pay(), pay());
    println!("Alice has {}, then {}", first?, second?);

    for (begin, pause) in [(6_500, 300), (7_500, 2_000)] {
        let title = format!("Another program writes for {pause} ms:");
        part(start, begin, &title).await;
        let outside = path.clone();
        let other = spawn_blocking(move || write_meanwhile(&outside, ms(pause)));
        after(80, pay_and_report()).await;
        other.await??;
    }

    part(
        start,
        10_000,
        "A write is given up after 0.3 s, another waits:",
    )
    .await;
    let endless = async {
        let paying = pool.writer.run(|connection| {
            pay_in(connection, "Alice", 1000)?;
            endless_query(connection)
        });
        if timeout(ms(300), paying).await.is_err() {
            println!("gave up");
        }
    };
    join!(biased; endless, after(100, pay_and_report()));

    part(start, 11_000, "Closed while one reads:").await;
    let reading = pool
        .readers
        .run(move |connection| slow_read(connection, ms(1_000)));
    let late = async || {
        let reading = pool.readers.run(|connection| balance(connection, "Alice"));
        report("another", reading.await);
    };
    println!("{}", files(folder.path())?);
    let (read, closed, ()) = join!(reading, after(300, pool.close()), after(600, late()));
    println!("read before and after: {:?}", read?);
    closed?;
    println!("{}", files(folder.path())?);
    Ok(())
}
