use std::error::Error;
use std::fmt;
use std::time::Duration;

use deadpool_postgres::{Manager, ManagerConfig, Pool, PoolError, RecyclingMethod};
use servers::{Kind, Server};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};
use tokio_postgres::{Config, NoTls};

use super::support::{connect, poll_and_drop, postgres, private, soon, unique};
use crate::pg_transaction::{Retry, is_conflict, serializable};

const TICK: Duration = Duration::from_millis(1);

const RETRY: Retry = Retry {
    attempts: 1000,
    initial_backoff: TICK,
    max_backoff: Duration::from_millis(20),
};

#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("too poor")]
    Poor,
    #[error(transparent)]
    Postgres(#[from] tokio_postgres::Error),
    #[error(transparent)]
    Pool(#[from] PoolError),
}

/// Five accounts in a schema of their own, with 100 each.
struct Bank {
    pool: Pool,
    schema: String,
}

impl Bank {
    async fn new() -> Self {
        Self::at(&postgres().await).await
    }

    async fn at(url: &str) -> Self {
        let schema = unique("transaction");
        let mut config: Config = url.parse().expect("a URL");
        config.options(format!("-c search_path={schema}"));
        // After a restart of the server, the old connections are found to be broken.
        let recycling_method = RecyclingMethod::Verified;
        let verified = ManagerConfig { recycling_method };
        let manager = Manager::from_config(config, NoTls, verified);
        let pool = Pool::builder(manager).max_size(8).build().expect("a pool");
        let sql = format!(
            "CREATE SCHEMA {schema};
             CREATE TABLE transfers (key INT PRIMARY KEY);
             CREATE TABLE accounts (number INT PRIMARY KEY, balance INT CHECK (balance >= 0));
             INSERT INTO accounts SELECT n, 100 FROM generate_series(0, 4) n"
        );
        let client = pool.get().await.expect("it runs");
        client.batch_execute(&sql).await.expect("it runs");
        Self { pool, schema }
    }

    /// Moves 10 to the next account. The key is there as often as the money has moved.
    async fn transfer(&self, key: i32) -> Result<(), Failure> {
        let transact = || async {
            let mut client = self.pool.get().await?;
            let transaction = serializable(&mut client).await?;
            let sql = "INSERT INTO transfers VALUES ($1)";
            transaction.execute(sql, &[&key]).await?;
            let sql = "SELECT balance FROM accounts WHERE number = $1";
            let (from, to) = (key % 5, (key + 1) % 5);
            let row = transaction.query_one(sql, &[&from]).await?;
            if row.get::<_, i32>(0) < 10 {
                return Err(Failure::Poor);
            }
            let sql = "UPDATE accounts SET balance = balance + $2 WHERE number = $1";
            transaction.execute(sql, &[&from, &-10]).await?;
            transaction.execute(sql, &[&to, &10]).await?;
            Ok(transaction.commit().await?)
        };
        let again = |error: &Failure| is_conflict(error);
        RETRY.run(again, transact).await
    }

    /// Checks that no money has come or gone, and that each transfer is whole. Returns
    /// how many there are.
    async fn check(&self) -> i64 {
        let client = soon(self.pool.get()).await.expect("it runs");
        let sql = "SELECT (SELECT sum(balance) FROM accounts), (SELECT count(*) FROM transfers),
                          (SELECT bool_and(balance = 100 - 10 * (
                              SELECT count(*) FILTER (WHERE key % 5 = number)
                                   - count(*) FILTER (WHERE (key + 1) % 5 = number)
                              FROM transfers)) FROM accounts)";
        let row = soon(client.query_one(sql, &[])).await.expect("it runs");
        let (sum, count, agree): (i64, i64, bool) = (row.get(0), row.get(1), row.get(2));
        assert_eq!((sum, agree), (500, true));
        count
    }

    async fn end(self) {
        let client = self.pool.get().await.expect("it runs");
        let sql = format!("DROP SCHEMA {} CASCADE", self.schema);
        client.batch_execute(&sql).await.expect("it runs");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
#[cfg_attr(no_postgres, ignore = "postgresql is not installed")]
async fn transfers_that_conflict_and_are_aborted() {
    let bank = std::sync::Arc::new(Bank::new().await);
    let mut transfers = JoinSet::new();
    for key in 0..200 {
        let bank = std::sync::Arc::clone(&bank);
        let task = transfers.spawn(async move {
            let limit = if key % 7 == 3 {
                5 * TICK
            } else {
                60_000 * TICK
            };
            let ended = timeout(limit, bank.transfer(key)).await;
            assert!(
                !matches!(&ended, Ok(Err(Failure::Postgres(_)))),
                "{ended:?}"
            );
            i64::from(matches!(ended, Ok(Ok(()))))
        });
        if key % 10 == 9 {
            task.abort();
        }
    }
    let mut done = 0;
    while let Some(ended) = soon(transfers.join_next()).await {
        done += ended.unwrap_or_default();
    }
    let stored = bank.check().await;
    // One that was dropped during its commit may be stored.
    assert!(
        (done..=200).contains(&stored) && done >= 100,
        "{done}, {stored}"
    );
    std::sync::Arc::into_inner(bank)
        .expect("all have ended")
        .end()
        .await;
}

#[tokio::test]
#[cfg_attr(no_postgres, ignore = "postgresql is not installed")]
async fn dropped_at_each_await_a_transfer_is_whole() {
    let bank = Bank::new().await;
    let (mut done, mut dropped) = (0, 0);
    for polls in 0..40 {
        let ended = poll_and_drop(bank.transfer(polls), polls as usize).await;
        match ended {
            Some(ended) => done += i64::from(ended.is_ok()),
            None => dropped += 1,
        }
        let stored = bank.check().await;
        assert!((done..=done + dropped).contains(&stored));
    }
    assert!(done > 0 && dropped > 3, "{done} done, {dropped} dropped");
    bank.end().await;
}

/// A transfer whose commit was not answered is made again with its key: once in all.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[cfg_attr(no_postgres, ignore = "postgresql is not installed")]
async fn a_killed_server_leaves_whole_transfers() {
    let mut server: Server = private(Kind::Postgres).await;
    let bank = std::sync::Arc::new(Bank::at(&server.url()).await);
    let mut unknown = Vec::new();
    let limit = Duration::from_secs(20);
    for round in 0..5 {
        let mut transfers = JoinSet::new();
        for key in 20 * round..20 * (round + 1) {
            let bank = std::sync::Arc::clone(&bank);
            // Nothing else bounds its time.
            transfers
                .spawn(async move { (key, timeout(limit, bank.transfer(key)).await) });
        }
        sleep(u32::try_from(3 * round).expect("it is small") * TICK).await;
        server.kill();
        for (key, ended) in soon(transfers.join_all()).await {
            if !matches!(ended, Ok(Ok(()))) {
                unknown.push(key);
            }
        }
        server.restart().expect("it starts again");
        bank.check().await;
    }
    for key in unknown {
        match bank.transfer(key).await {
            Ok(()) | Err(Failure::Poor) => {}
            // It had been stored.
            Err(Failure::Postgres(error)) => {
                let code = error.code().expect("the server says it");
                assert_eq!(code.code(), "23505", "{error:?}");
            }
            Err(error) => panic!("{error:?}"),
        }
    }
    bank.check().await;
}

#[tokio::test]
#[cfg_attr(no_postgres, ignore = "postgresql is not installed")]
async fn a_commit_after_an_error_stores_nothing() {
    let bank = Bank::new().await;
    let mut client = bank.pool.get().await.expect("it runs");
    let insert = "INSERT INTO transfers VALUES (1)";
    let transaction = serializable(&mut client).await.expect("it runs");
    transaction.execute(insert, &[]).await.expect("it runs");
    transaction
        .execute("SELECT 1 / 0", &[])
        .await
        .expect_err("it cannot");
    let aborted = transaction
        .execute(insert, &[])
        .await
        .expect_err("it is aborted");
    let said = aborted.as_db_error().expect("the server says it").message();
    assert!(said.starts_with("current transaction is aborted"), "{said}");
    transaction.commit().await.expect("nothing is said");
    let count = client
        .query_one("SELECT count(*) FROM transfers", &[])
        .await;
    assert_eq!(count.expect("it runs").get::<_, i64>(0), 0);
    drop(client);
    bank.end().await;
}

#[tokio::test]
#[cfg_attr(no_postgres, ignore = "postgresql is not installed")]
async fn deadlocks_are_conflicts() {
    let bank = Bank::new().await;
    let lock = async |first: i32, second: i32| {
        let mut client = bank.pool.get().await?;
        let transaction = client.transaction().await?;
        for number in [first, second] {
            let sql = "UPDATE accounts SET balance = 0 WHERE number = $1";
            transaction.execute(sql, &[&number]).await?;
            sleep(100 * TICK).await;
        }
        Ok::<(), Failure>(transaction.rollback().await?)
    };
    let (first, second) = soon(async { tokio::join!(lock(0, 1), lock(1, 0)) }).await;
    let error = first.and(second).expect_err("one has to give up");
    assert!(is_conflict(&error), "{error:?}");
    bank.end().await;
}

/// An error around another one.
#[derive(Debug)]
struct Mine(Box<dyn Error + Send + Sync>);

impl fmt::Display for Mine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("mine")
    }
}

impl Error for Mine {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&*self.0)
    }
}

#[tokio::test]
#[cfg_attr(no_postgres, ignore = "postgresql is not installed")]
async fn conflicts_are_found_in_any_error() {
    let client = connect(&postgres().await).await;
    for (code, expected) in [("40001", true), ("40P01", true), ("23505", false)] {
        let raise = async || {
            let sql = format!("DO $$ BEGIN RAISE SQLSTATE '{code}'; END $$");
            client.batch_execute(&sql).await.expect_err("it raises")
        };
        assert_eq!(is_conflict(&raise().await), expected);
        assert_eq!(is_conflict(&Failure::from(raise().await)), expected);
        let mine = Mine(Box::new(Failure::from(raise().await)));
        assert_eq!(is_conflict(&mine), expected);
        let boxed: Box<dyn Error> = Box::new(Mine(Box::new(mine)));
        assert_eq!(is_conflict(&*boxed), expected);
    }
    assert!(!is_conflict(&Failure::Poor));
}

#[tokio::test(start_paused = true)]
async fn attempts_and_pauses() {
    let millis = Duration::from_millis;
    for (attempts, runs, elapsed) in
        [(0, 1, 0), (1, 1, 0), (2, 2, 10), (6, 6, 10 + 20 + 25 * 3)]
    {
        let retry = Retry {
            attempts,
            initial_backoff: millis(10),
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
    // The first pause is no longer than the longest, and another error is not retried.
    let retry = Retry {
        attempts: 3,
        initial_backoff: millis(50),
        max_backoff: millis(25),
    };
    for (again, runs, elapsed) in [(true, 3, 50), (false, 1, 0)] {
        let (start, mut count) = (Instant::now(), 0);
        let transact = || {
            count += 1;
            let count = count;
            async move { Err::<(), i32>(count) }
        };
        let ended = retry.run(|_| again, transact).await;
        assert_eq!((ended, start.elapsed()), (Err(runs), millis(elapsed)));
    }
    let longest = Duration::MAX;
    let retry = Retry {
        attempts: u32::MAX,
        initial_backoff: longest,
        max_backoff: longest,
    };
    assert_eq!(
        retry
            .run(|error| *error != "x", || async { Err::<(), _>("x") })
            .await,
        Err("x")
    );
    assert_eq!(retry.run(|_: &()| true, || async { Ok(1) }).await, Ok(1));
    let waits = retry.run(|_| true, || async { Err::<(), _>(()) });
    assert!(
        timeout(1000 * longest.min(Duration::from_secs(3600)), waits)
            .await
            .is_err()
    );
}

/// Each reads what the other one writes. Only `SERIALIZABLE` notices that.
#[tokio::test]
#[cfg_attr(no_postgres, ignore = "postgresql is not installed")]
async fn two_that_read_what_the_other_one_writes() {
    let bank = Bank::new().await;
    let mut first = bank.pool.get().await.expect("it runs");
    let mut second = bank.pool.get().await.expect("it runs");
    let first = serializable(&mut first).await.expect("it runs");
    let second = serializable(&mut second).await.expect("it runs");
    let sum = "SELECT sum(balance) FROM accounts";
    for transaction in [&first, &second] {
        transaction.query_one(sum, &[]).await.expect("it runs");
    }
    let work = async |transaction: tokio_postgres::Transaction<'_>, number: i32| {
        let sql = "UPDATE accounts SET balance = 0 WHERE number = $1";
        transaction.execute(sql, &[&number]).await?;
        transaction.commit().await
    };
    work(first, 0).await.expect("it is the first");
    let error = work(second, 1).await.expect_err("its reads are old");
    assert!(is_conflict(&error), "{error:?}");
    bank.end().await;
}

#[tokio::test]
#[cfg_attr(no_postgres, ignore = "postgresql is not installed")]
async fn a_savepoint_is_undone_alone_and_a_dropped_transaction_whole() {
    let bank = Bank::new().await;
    let mut client = bank.pool.get().await.expect("it runs");
    for (commits, stored) in [(false, 0), (true, 1)] {
        let mut outer = serializable(&mut client).await.expect("it runs");
        let insert = "INSERT INTO transfers VALUES (1)";
        outer.execute(insert, &[]).await.expect("it runs");
        let inner = outer.transaction().await.expect("it runs");
        inner
            .execute(insert, &[])
            .await
            .expect_err("the key is there");
        drop(inner);
        match commits {
            true => outer.commit().await.expect("it runs"),
            false => drop(outer),
        }
        let count = "SELECT count(*) FROM transfers";
        let row = client.query_one(count, &[]).await.expect("it runs");
        assert_eq!(row.get::<_, i64>(0), stored);
    }
    drop(client);
    bank.end().await;
}
