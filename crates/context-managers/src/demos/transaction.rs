//! Transfers between the accounts of ann and bob.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use rusqlite::{Connection, params};
use tokio::sync::Mutex;
use tokio::task::spawn_blocking;
use tokio::time::sleep;

use crate::transaction::{Database, Transaction};

type Failure = Box<dyn Error + Send + Sync>;

async fn add(
    transaction: &mut Transaction,
    owner: &'static str,
    amount: i64,
) -> Result<(), Failure> {
    const ADD: &str = "UPDATE accounts SET balance = balance + ?1 WHERE owner = ?2";
    let add = move |connection: &Connection| {
        connection
            .prepare_cached(ADD)?
            .execute(params![amount, owner])
    };
    match transaction.call(add).await? {
        0 => Err(format!("{owner} has no account").into()),
        _ => Ok(()),
    }
}

/// Pays in first, and withdraws only after the bank was asked.
async fn transfer(
    database: &Database,
    [from, to]: [&'static str; 2],
    amount: i64,
) -> Result<(), Failure> {
    database
        .transaction(async |transaction| {
            add(transaction, to, amount).await?;
            sleep(Duration::from_millis(100)).await;
            assert!(amount != 13, "nobody has checked it");
            println!("{amount} from {from} to {to}: the bank agrees");
            add(transaction, from, -amount).await
        })
        .await
}

async fn print_balances(database: &Database) -> Result<(), Failure> {
    const ALL: &str = "SELECT owner || ' has ' || balance FROM accounts ORDER BY owner";
    let balances = database.transaction(async |transaction| {
        let read = |connection: &Connection| {
            let mut statement = connection.prepare_cached(ALL)?;
            statement
                .query_map([], |row| row.get::<_, String>(0))?
                .collect()
        };
        transaction.call(read).await
    });
    let balances: Vec<_> = balances.await?;
    println!("{}", balances.join(", "));
    Ok(())
}

/// Locks the connection for one statement only, which is too short for a transaction.
async fn execute(
    shared: &Arc<Mutex<Connection>>,
    sql: &'static str,
) -> Result<(), Failure> {
    let connection = Arc::clone(shared).lock_owned().await;
    Ok(spawn_blocking(move || connection.execute_batch(sql)).await??)
}

fn open() -> rusqlite::Result<Connection> {
    let connection = Connection::open_in_memory()?;
    connection.execute_batch(
        "CREATE TABLE accounts (owner TEXT PRIMARY KEY, balance CHECK (balance >= 0));
         INSERT INTO accounts VALUES ('ann', 100), ('bob', 50);",
    )?;
    Ok(connection)
}

pub async fn run() -> Result<(), Failure> {
    let database = Database::new(open()?);
    let pause = Duration::from_millis(50);

    println!("Committed:");
    transfer(&database, ["ann", "bob"], 30).await?;
    print_balances(&database).await?;

    println!("Rolled back after an error, in SQLite and outside:");
    for (names, amount) in [(["ann", "bob"], 71), (["cat", "bob"], 1)] {
        if let Err(error) = transfer(&database, names, amount).await {
            println!("{error}");
        }
    }
    print_balances(&database).await?;

    println!("Rolled back after a bug:");
    let shared = database.clone();
    let task = tokio::spawn(async move { transfer(&shared, ["ann", "bob"], 13).await });
    if task.await.is_err_and(|error| error.is_panic()) {
        println!("ended by a bug");
    }
    print_balances(&database).await?;

    println!("Rolled back as it is cancelled, while another waits for it:");
    let shared = database.clone();
    let first = tokio::spawn(async move { transfer(&shared, ["ann", "bob"], 20).await });
    let shared = database.clone();
    let second = tokio::spawn(async move {
        sleep(pause / 2).await;
        transfer(&shared, ["bob", "ann"], 5).await
    });
    sleep(pause).await;
    first.abort();
    if first.await.is_err_and(|error| error.is_cancelled()) {
        println!("cancelled");
    }
    second.await??;
    print_balances(&database).await?;

    println!("Locked for each statement, and not for the transaction:");
    let connection = Arc::new(Mutex::new(open()?));
    let shared = Arc::clone(&connection);
    let other = tokio::spawn(async move {
        sleep(pause).await;
        let sql = "UPDATE accounts SET balance = 0 WHERE owner = 'bob'";
        execute(&shared, sql).await
    });
    execute(&connection, "BEGIN; UPDATE accounts SET balance = 999").await?;
    sleep(2 * pause).await;
    other.await??;
    println!("bob has spent all, in another task");
    execute(&connection, "ROLLBACK").await?;
    println!("rolled back, and with it what bob has spent");
    let connection = Arc::into_inner(connection).ok_or("the other task has ended")?;
    print_balances(&Database::new(connection.into_inner())).await
}
