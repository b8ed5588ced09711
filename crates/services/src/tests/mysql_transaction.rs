use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::Duration;

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Error, TxOpts};
use tokio::task::JoinSet;

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
    for (code, expected) in [(1213, true), (1205, true), (1062, false)] {
        let error = mysql_async::ServerError {
            code,
            message: String::new(),
            state: "HY000".to_owned(),
        };
        assert_eq!(is_conflict(&NoTransfer(Error::Server(error))), expected);
    }
    assert!(!is_conflict(&std::io::Error::other("no")));
}
