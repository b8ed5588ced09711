use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, Config, NoTls};

use super::support::{poll_and_drop, postgres, soon, unique};
use crate::pg_optimistic_update::{
    Document, SaveError, change, change_locked, load, save,
};

/// A document in a schema of its own.
struct Desk {
    schema: String,
    url: String,
    client: Client,
}

impl Desk {
    async fn new() -> Self {
        let (url, schema) = (postgres().await, unique("documents"));
        let client = connect_to(&url, &schema).await;
        let sql = format!(
            "CREATE SCHEMA {schema};
             CREATE TABLE documents (
                 id BIGINT PRIMARY KEY, text TEXT NOT NULL, version BIGINT NOT NULL);
             INSERT INTO documents VALUES (1, '0', 1)"
        );
        client.batch_execute(&sql).await.expect("it runs");
        Self {
            schema,
            url,
            client,
        }
    }

    async fn connect(&self) -> Client {
        connect_to(&self.url, &self.schema).await
    }

    async fn number(&self) -> i32 {
        let document = load(&self.client, 1).await.expect("it is there");
        document.text.parse().expect("a number")
    }

    async fn end(self) {
        let sql = format!("DROP SCHEMA {} CASCADE", self.schema);
        self.client.batch_execute(&sql).await.expect("it runs");
    }
}

async fn connect_to(url: &str, schema: &str) -> Client {
    let mut config: Config = url.parse().expect("a URL");
    // Whatever the server's default is.
    let level = "-c default_transaction_isolation=repeatable\\ read";
    config.options(format!("-c search_path={schema} {level}"));
    let (client, connection) = config.connect(NoTls).await.expect("it runs");
    tokio::spawn(connection);
    client
}

fn next(text: String) -> String {
    (text.parse::<i32>().expect("a number") + 1).to_string()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
#[cfg_attr(no_postgres, ignore = "postgresql is not installed")]
async fn no_update_is_lost_with_a_lock() {
    let desk = Desk::new().await;
    let mut changes = JoinSet::new();
    for _ in 0..8 {
        let mut client = desk.connect().await;
        changes.spawn(async move {
            for _ in 0..20 {
                let changed = change_locked(&mut client, 1, next).await;
                changed.expect("it waits for its turn");
            }
        });
    }
    soon(changes.join_all()).await;
    assert_eq!(desk.number().await, 160);
    desk.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
#[cfg_attr(no_postgres, ignore = "postgresql is not installed")]
async fn no_update_is_lost_with_a_version_although_some_are_dropped() {
    let desk = Desk::new().await;
    let mut changes = JoinSet::new();
    for program in 0..8 {
        let client = desk.connect().await;
        changes.spawn(async move {
            let (mut done, mut dropped) = (0, 0);
            for round in 0..20 {
                let changing = change(&client, 1, u32::MAX, next);
                let limit = match (program + round) % 7 {
                    3 => Duration::from_millis(1),
                    _ => Duration::from_secs(60),
                };
                match timeout(limit, changing).await {
                    Ok(changed) => done += changed.map(|_| 1).expect("many attempts"),
                    // It may have been saved.
                    Err(_) => dropped += 1,
                }
            }
            (done, dropped)
        });
    }
    let counts = soon(changes.join_all()).await;
    let done: i32 = counts.iter().map(|it| it.0).sum();
    let dropped: i32 = counts.iter().map(|it| it.1).sum();
    let number = desk.number().await;
    assert!(
        (done..=done + dropped).contains(&number),
        "{number}: {counts:?}"
    );
    let version = load(&desk.client, 1).await.expect("it is there").version;
    assert_eq!(version, i64::from(number) + 1);
    desk.end().await;
}

#[tokio::test]
#[cfg_attr(no_postgres, ignore = "postgresql is not installed")]
async fn a_document_that_has_changed_or_is_gone_is_not_saved() {
    let mut desk = Desk::new().await;
    let old = load(&desk.client, 1).await.expect("it is there");
    change_locked(&mut desk.client, 1, next)
        .await
        .expect("it runs");
    for _ in 0..2 {
        let saved = save(&desk.client, old.clone()).await;
        assert!(matches!(saved, Err(SaveError::Conflict)), "{saved:?}");
    }
    assert_eq!(desk.number().await, 1);
    for attempts in [0, 3] {
        let mut computed = 0;
        let other = desk.connect().await;
        let spoil = |text: String| {
            computed += 1;
            text
        };
        // Each time another program is faster.
        let sql = "CREATE OR REPLACE FUNCTION faster() RETURNS trigger LANGUAGE plpgsql
                   AS $$ BEGIN RETURN NULL; END $$;
                   CREATE OR REPLACE TRIGGER faster BEFORE UPDATE ON documents
                   FOR EACH ROW EXECUTE FUNCTION faster()";
        other.batch_execute(sql).await.expect("it runs");
        let changed = change(&desk.client, 1, attempts, spoil).await;
        assert!(matches!(changed, Err(SaveError::Conflict)), "{changed:?}");
        assert_eq!(computed, attempts);
    }
    let sql = "DROP TRIGGER faster ON documents; DELETE FROM documents";
    desk.client.batch_execute(sql).await.expect("it runs");
    let saved = save(&desk.client, old).await;
    assert!(matches!(saved, Err(SaveError::Conflict)), "{saved:?}");
    let loaded = change_locked(&mut desk.client, 1, next).await;
    assert!(matches!(loaded, Err(SaveError::Missing)), "{loaded:?}");
    desk.end().await;
}

#[tokio::test]
#[cfg_attr(no_postgres, ignore = "postgresql is not installed")]
async fn dropped_at_each_await_it_leaves_no_lock() {
    let desk = Desk::new().await;
    for polls in 0..25 {
        let mut client = desk.connect().await;
        drop(poll_and_drop(change_locked(&mut client, 1, next), polls).await);
        let mut other = desk.connect().await;
        let changed = soon(change_locked(&mut other, 1, next)).await;
        let Document { text, version, .. } = changed.expect("nobody holds the lock");
        assert_eq!(text.parse::<i64>().expect("a number") + 1, version);
    }
    desk.end().await;
}

#[tokio::test]
#[cfg_attr(no_postgres, ignore = "postgresql is not installed")]
async fn a_caller_that_waits_for_a_locked_row_fails_after_the_lock_timeout() {
    let desk = Desk::new().await;
    let mut other = desk.connect().await;
    let lock = other.transaction().await.expect("it runs");
    let sql = "SELECT FROM documents FOR UPDATE";
    lock.execute(sql, &[]).await.expect("it is free");
    let mut client = desk.connect().await;
    let sql = "SET lock_timeout = 50";
    client.batch_execute(sql).await.expect("it runs");
    let late = [
        soon(change_locked(&mut client, 1, next)).await,
        soon(change(&client, 1, 1000, next)).await,
    ];
    for late in late {
        let Err(SaveError::Postgres(error)) = late else {
            panic!("{late:?}");
        };
        assert_eq!(error.code(), Some(&SqlState::LOCK_NOT_AVAILABLE));
    }
    drop(lock);
    desk.end().await;
}

/// The document is saved by a user while `change_locked` has the row.
#[tokio::test]
#[cfg_attr(no_postgres, ignore = "postgresql is not installed")]
async fn a_save_waits_for_the_lock_and_then_fails() {
    for level in ["read committed", "repeatable read", "serializable"] {
        let desk = Desk::new().await;
        let loaded = load(&desk.client, 1).await.expect("it is there");
        let (mut locks, saves) = (desk.connect().await, desk.connect().await);
        let sql = format!("SET default_transaction_isolation = '{level}'");
        saves.batch_execute(&sql).await.expect("it runs");
        let lock = locks.transaction().await.expect("it runs");
        let sql = "SELECT FROM documents FOR UPDATE";
        lock.execute(sql, &[]).await.expect("it is free");
        let saving = tokio::spawn(async move { save(&saves, loaded).await });
        let sql = "SELECT count(*) FROM pg_locks WHERE NOT granted
                   AND pid IN (SELECT pid FROM pg_stat_activity
                               WHERE query LIKE '%UPDATE documents SET text = $2%')";
        let waits = async {
            while desk
                .client
                .query_one(sql, &[])
                .await
                .expect("it runs")
                .get::<_, i64>(0)
                == 0
            {
                sleep(Duration::from_millis(10)).await;
            }
        };
        soon(waits).await;
        let changed = load(&lock, 1).await.expect("it is there");
        save(&lock, changed).await.expect("it has the row");
        lock.commit().await.expect("it runs");
        let saved = soon(saving).await.expect("no panic");
        assert!(matches!(saved, Err(SaveError::Conflict)), "{saved:?}");
        desk.end().await;
    }
}

/// The first trap, in the isolation that is the default.
#[tokio::test]
#[cfg_attr(no_postgres, ignore = "postgresql is not installed")]
async fn a_plain_update_overwrites_the_change_of_another_program() {
    let desk = Desk::new().await;
    let mut programs = [desk.connect().await, desk.connect().await];
    for program in &programs {
        let sql = "SET default_transaction_isolation = 'read committed'";
        program.batch_execute(sql).await.expect("it runs");
    }
    let mut begun = Vec::new();
    for program in &mut programs {
        let transaction = program.transaction().await.expect("it runs");
        let document = load(&transaction, 1).await.expect("it is there");
        begun.push((transaction, next(document.text)));
    }
    for (transaction, text) in begun {
        let sql = "UPDATE documents SET text = $1 WHERE id = 1";
        transaction.execute(sql, &[&text]).await.expect("it runs");
        transaction.commit().await.expect("nothing is said");
    }
    assert_eq!(desk.number().await, 1, "one of two changes is lost");
    desk.end().await;
}
