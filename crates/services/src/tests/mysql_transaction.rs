use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::Duration;

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Error, TxOpts};
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use super::support::{mysql, soon, unique};
use crate::mysql_transaction::{Retry, is_conflict};

const RETRY: Retry = Retry {
    attempts: u32::MAX,
    initial_backoff: Duration::from_millis(1),
    max_backoff: Duration::from_millis(50),
};

/// A database of its own, with ten accounts.
struct Bank {
    name: String,
    url: String,
    admin: Conn,
}

impl Bank {
    async fn new() -> Self {
        let url = mysql().await;
        let name = unique("bank");
        let mut admin = Conn::from_url(&url).await.expect("it runs");
        for sql in [
            format!("CREATE DATABASE {name}"),
            format!("USE {name}"),
            "CREATE TABLE accounts (id INT PRIMARY KEY, balance INT)".to_owned(),
            "INSERT INTO accounts SELECT seq, 0 FROM seq_1_to_10".to_owned(),
        ] {
            admin.query_drop(sql).await.expect("it runs");
        }
        let (server, _) = url.rsplit_once('/').expect("a database");
        Self {
            url: format!("{server}/{name}"),
            name,
            admin,
        }
    }

    async fn end(mut self) {
        let drop = format!("DROP DATABASE {}", self.name);
        self.admin.query_drop(drop).await.expect("it is there");
    }
}

async fn transfer(url: &str, from: u32, to: u32) -> Result<(), Error> {
    let mut connection = Conn::from_url(url).await?;
    let mut transaction = connection.start_transaction(TxOpts::default()).await?;
    for (amount, account) in [(-1, from), (1, to)] {
        let sql = "UPDATE accounts SET balance = balance + ? WHERE id = ?";
        transaction.exec_drop(sql, (amount, account)).await?;
    }
    transaction.commit().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
#[cfg_attr(no_mariadb, ignore = "mariadb-server is not installed")]
async fn transfers_that_deadlock_are_all_done_in_the_end() {
    let mut bank = Bank::new().await;
    let conflicts = Arc::new(AtomicU32::new(0));
    let mut transfers = JoinSet::new();
    for task in 0..8_u32 {
        let (url, conflicts) = (bank.url.clone(), Arc::clone(&conflicts));
        transfers.spawn(async move {
            let again = |error: &Error| {
                let again = is_conflict(error);
                conflicts.fetch_add(again.into(), Relaxed);
                again
            };
            for round in 0..20 {
                // Half of them lock the two rows in the other order.
                let pair = [1 + round % 3, 4 + round % 2];
                let [from, to] = if task % 2 == 0 {
                    pair
                } else {
                    [pair[1], pair[0]]
                };
                let transact = || transfer(&url, from, to);
                RETRY.run(again, transact).await.expect("it runs");
            }
        });
    }
    soon(transfers.join_all()).await;
    let sql = "SELECT SUM(balance), SUM(ABS(balance)) FROM accounts";
    let sums: Option<(i64, i64)> = bank.admin.query_first(sql).await.expect("it runs");
    // As many went one way as the other.
    assert_eq!(sums, Some((0, 0)));
    println!("{} conflicts", conflicts.load(Relaxed));
    bank.end().await;
}

#[tokio::test]
#[cfg_attr(no_mariadb, ignore = "mariadb-server is not installed")]
async fn the_last_error_is_returned_and_others_are_not_retried() {
    let mut bank = Bank::new().await;
    let mut lock = bank
        .admin
        .start_transaction(TxOpts::default())
        .await
        .expect("it runs");
    let sql = "UPDATE accounts SET balance = 5 WHERE id = 1";
    lock.query_drop(sql).await.expect("it is free");
    for (statement, expected, runs) in [
        ("UPDATE accounts SET balance = 0 WHERE id = 1", 1205, 2),
        ("SELECT missing", 1054, 1),
    ] {
        let ran = AtomicU32::new(0);
        let transact = || async {
            ran.fetch_add(1, Relaxed);
            let mut connection = Conn::from_url(&bank.url).await?;
            let limit = "SET innodb_lock_wait_timeout = 0";
            connection.query_drop(limit).await?;
            connection.query_drop(statement).await
        };
        let retry = Retry {
            attempts: 2,
            ..RETRY
        };
        let ended = retry
            .run(|error: &Error| is_conflict(error), transact)
            .await;
        match ended.expect_err("it fails") {
            Error::Server(error) => assert_eq!(error.code, expected),
            error => panic!("{error}"),
        }
        assert_eq!(ran.into_inner(), runs);
    }
    drop(lock);
    bank.end().await;
}

/// An error of one's own, with the server's as its cause.
#[test]
fn a_conflict_is_seen_within_other_errors() {
    #[derive(Debug, thiserror::Error)]
    #[error("no transfer")]
    struct NoTransfer(#[source] Error);
    for (code, expected) in [(1213, true), (1205, true), (1020, true), (1062, false)] {
        let error = mysql_async::ServerError {
            code,
            message: String::new(),
            state: "HY000".to_owned(),
        };
        assert_eq!(is_conflict(&NoTransfer(Error::Server(error))), expected);
    }
    assert!(!is_conflict(&std::io::Error::other("no")));
}

#[tokio::test(start_paused = true)]
async fn it_runs_at_most_attempts_times_with_pauses_that_double_up_to_the_longest() {
    let millis = Duration::from_millis;
    for (attempts, initial, runs, elapsed) in [
        (0, 10, 1, 0),
        (1, 10, 1, 0),
        (2, 10, 2, 10),
        (6, 10, 6, 10 + 20 + 25 * 3),
        // The first pause is no longer than the longest.
        (3, 50, 3, 25 * 2),
    ] {
        let retry = Retry {
            attempts,
            initial_backoff: millis(initial),
            max_backoff: millis(25),
        };
        let (start, mut count) = (Instant::now(), 0);
        let transact = || {
            count += 1;
            let count = count;
            async move { Err::<(), i32>(count) }
        };
        let ended = retry.run(|_| true, transact).await;
        assert_eq!((ended, start.elapsed()), (Err(runs), millis(elapsed)));
    }
}

#[tokio::test]
#[cfg_attr(no_mariadb, ignore = "mariadb-server is not installed")]
async fn a_dropped_transaction_is_rolled_back_before_its_connection_is_used_again() {
    let mut bank = Bank::new().await;
    let begun = bank.admin.start_transaction(TxOpts::default()).await;
    let mut dropped = begun.expect("it runs");
    let sql = "UPDATE accounts SET balance = 5";
    dropped.query_drop(sql).await.expect("it runs");
    drop(dropped);
    let sum: Option<i64> = {
        let sql = "SELECT SUM(balance) FROM accounts";
        bank.admin.query_first(sql).await.expect("it runs")
    };
    assert_eq!(sum, Some(0));
    bank.end().await;
}

/// The first trap.
#[tokio::test]
#[cfg_attr(no_mariadb, ignore = "mariadb-server is not installed")]
async fn a_commit_after_a_lock_timeout_stores_the_first_half() {
    let mut bank = Bank::new().await;
    let begun = bank.admin.start_transaction(TxOpts::default()).await;
    let mut lock = begun.expect("it runs");
    let second = "UPDATE accounts SET balance = balance + 1 WHERE id = 2";
    lock.query_drop(second).await.expect("it is free");
    let mut connection = Conn::from_url(&bank.url).await.expect("it runs");
    let limit = "SET innodb_lock_wait_timeout = 0";
    connection.query_drop(limit).await.expect("it runs");
    let begun = connection.start_transaction(TxOpts::default()).await;
    let mut transfer = begun.expect("it runs");
    let first = "UPDATE accounts SET balance = balance - 1 WHERE id = 1";
    transfer.query_drop(first).await.expect("it is free");
    let late = transfer.query_drop(second).await.expect_err("it is locked");
    assert!(is_conflict(&late), "{late}");
    transfer.commit().await.expect("nothing is said");
    drop(lock);
    let sql = "SELECT balance FROM accounts WHERE id < 3 ORDER BY id";
    let balances: Vec<i32> = bank.admin.query(sql).await.expect("it runs");
    assert_eq!(balances, [-1, 0]);
    bank.end().await;
}

/// The second trap. MariaDB with `innodb_snapshot_isolation` returns an error instead.
#[tokio::test]
#[cfg_attr(no_mariadb, ignore = "mariadb-server is not installed")]
async fn what_was_read_without_a_lock_overwrites_the_change_of_another_program() {
    let mut bank = Bank::new().await;
    for (read, expected) in [
        ("SELECT balance FROM accounts WHERE id = 1", 1),
        ("SELECT balance FROM accounts WHERE id = 1 FOR UPDATE", 2),
    ] {
        let reset = "UPDATE accounts SET balance = 0";
        bank.admin.query_drop(reset).await.expect("it runs");
        let has_read = Arc::new(Notify::new());
        let program = async |waits: bool| {
            let mut connection = Conn::from_url(&bank.url).await.expect("it runs");
            let setting = "SET innodb_snapshot_isolation = OFF";
            // Older servers do not know it.
            let _ = connection.query_drop(setting).await;
            let begun = connection.start_transaction(TxOpts::default()).await;
            let mut transaction = begun.expect("it runs");
            if waits {
                has_read.notified().await;
            }
            let balance = transaction.query_first::<i32, _>(read);
            let balance = balance.await.expect("it runs").expect("a row");
            if !waits {
                has_read.notify_one();
                // With a lock, the other one waits until the end of this one.
                sleep(Duration::from_millis(200)).await;
            }
            let write = "UPDATE accounts SET balance = ? WHERE id = 1";
            let written = transaction.exec_drop(write, (balance + 1,)).await;
            written.expect("it runs");
            transaction.commit().await.expect("it runs");
        };
        soon(async { tokio::join!(program(false), program(true)) }).await;
        let sql = "SELECT balance FROM accounts WHERE id = 1";
        let balance: Option<i32> = bank.admin.query_first(sql).await.expect("it runs");
        assert_eq!(balance, Some(expected), "{read}");
    }
    bank.end().await;
}
