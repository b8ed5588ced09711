use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};
use tokio_postgres::{Client, Config, NoTls};

use super::support::{poll_and_drop, postgres, role_without_create, soon, unique};
use crate::pg_migrations::Migrations;

const TENTH: Duration = Duration::from_millis(100);

/// The second one fails if it runs twice.
const ALL: Migrations<'_> = Migrations {
    statements: &[
        "CREATE TABLE notes (text TEXT)",
        "ALTER TABLE notes ADD COLUMN number INT; INSERT INTO notes VALUES ('tea', 1)",
        "INSERT INTO notes SELECT text, number + 1 FROM notes",
    ],
    lock_timeout: TENTH,
    pause: TENTH,
    attempts: 1000,
};

async fn connect_to(url: &str, schema: &str) -> Client {
    let mut config: Config = url.parse().expect("a URL");
    config.options(format!("-c search_path={schema}"));
    let (client, connection) = config.connect(NoTls).await.expect("it runs");
    tokio::spawn(connection);
    client
}

/// A separate schema.
struct Schema {
    name: String,
    url: String,
    client: Client,
}

impl Schema {
    async fn new() -> Self {
        let (url, name) = (postgres().await, unique("migrations"));
        let client = connect_to(&url, &name).await;
        let sql = format!("CREATE SCHEMA {name}");
        client.batch_execute(&sql).await.expect("it runs");
        Self { name, url, client }
    }

    async fn connect(&self) -> Client {
        connect_to(&self.url, &self.name).await
    }

    async fn notes(&self) -> i64 {
        let sql = "SELECT count(*) FROM notes";
        let row = self.client.query_one(sql, &[]).await.expect("it runs");
        row.get(0)
    }

    async fn end(self) {
        let sql = format!("DROP SCHEMA {} CASCADE", self.name);
        self.client.batch_execute(&sql).await.expect("it runs");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
#[cfg_attr(no_postgres, ignore = "postgresql is not installed")]
async fn of_many_processes_each_migration_runs_once_although_some_are_dropped() {
    for _ in 0..5 {
        let schema = Schema::new().await;
        let mut processes = JoinSet::new();
        for process in 0..8 {
            let mut client = schema.connect().await;
            processes.spawn(async move {
                if process % 2 == 0 {
                    poll_and_drop(ALL.run(&mut client), process).await;
                    return 0;
                }
                ALL.run(&mut client).await.expect("it runs")
            });
        }
        let ran: usize = soon(processes.join_all()).await.into_iter().sum();
        assert!(ran <= 3, "{ran}");
        assert_eq!(schema.notes().await, 2);
        schema.end().await;
    }
}

#[tokio::test]
#[cfg_attr(no_postgres, ignore = "postgresql is not installed")]
async fn others_wait_for_a_lock_timeout_and_not_for_the_longest_transaction() {
    let mut schema = Schema::new().await;
    let before = Migrations {
        statements: &ALL.statements[..1],
        ..ALL
    };
    assert_eq!(before.run(&mut schema.client).await.expect("it runs"), 1);
    let (mut long, reader) = (schema.connect().await, schema.connect().await);
    let transaction = long.transaction().await.expect("it runs");
    let sql = "SELECT count(*) FROM notes";
    transaction.query_one(sql, &[]).await.expect("it runs");
    let mut starts = schema.connect().await;
    let migrating = tokio::spawn(async move { ALL.run(&mut starts).await });
    // All of them come while the migration waits for its lock, or in a pause.
    let until = Instant::now() + 20 * TENTH;
    while Instant::now() < until {
        soon(reader.query_one(sql, &[])).await.expect("it runs");
        sleep(TENTH / 10).await;
    }
    assert!(!migrating.is_finished());
    transaction.commit().await.expect("it runs");
    let ran = soon(migrating).await.expect("it does not panic");
    assert_eq!(ran.expect("it runs"), 2);
    schema.end().await;
}

#[tokio::test]
#[cfg_attr(no_postgres, ignore = "postgresql is not installed")]
async fn a_migration_that_gets_no_lock_gives_up_after_its_attempts() {
    let mut schema = Schema::new().await;
    let few = Migrations {
        attempts: 2,
        pause: Duration::ZERO,
        ..ALL
    };
    let before = Migrations {
        statements: &ALL.statements[..1],
        ..ALL
    };
    before.run(&mut schema.client).await.expect("it runs");
    let mut long = schema.connect().await;
    let transaction = long.transaction().await.expect("it runs");
    let sql = "LOCK TABLE notes";
    transaction.batch_execute(sql).await.expect("it runs");
    let refused = soon(few.run(&mut schema.client)).await;
    let refused = refused.expect_err("the table is locked");
    let error = refused.as_db_error().expect("the server says why");
    assert!(error.message().contains("lock timeout"), "{error}");
    drop(transaction);
    assert_eq!(few.run(&mut schema.client).await.expect("it runs"), 2);
    schema.end().await;
}

#[tokio::test]
#[cfg_attr(no_postgres, ignore = "postgresql is not installed")]
async fn a_mistake_changes_nothing_and_is_told() {
    let mut schema = Schema::new().await;
    let mistake = Migrations {
        statements: &[ALL.statements[0], "DROP TABLE notes; SELECT missing"],
        ..ALL
    };
    for _ in 0..2 {
        let error = mistake.run(&mut schema.client).await;
        error.expect_err("it has a mistake");
        assert_eq!(schema.notes().await, 0);
    }
    assert_eq!(ALL.run(&mut schema.client).await.expect("it runs"), 2);
    schema.end().await;
}

/// An old release, and a role without rights, have nothing to do.
#[tokio::test]
#[cfg_attr(no_postgres, ignore = "postgresql is not installed")]
async fn with_nothing_to_do_it_needs_no_lock_and_no_rights() {
    let mut schema = Schema::new().await;
    ALL.run(&mut schema.client).await.expect("it runs");
    let role = role_without_create(&schema.client, &schema.name).await;
    let mut long = schema.connect().await;
    let transaction = long.transaction().await.expect("it runs");
    let sql = "SELECT pg_advisory_xact_lock(1246908251)";
    transaction.batch_execute(sql).await.expect("it is free");
    let mut client = schema.connect().await;
    let sql = format!("SET ROLE {role}");
    client.batch_execute(&sql).await.expect("it runs");
    for known in 0..=3 {
        let release = Migrations {
            statements: &ALL.statements[..known],
            ..ALL
        };
        let ran = soon(release.run(&mut client)).await;
        assert_eq!(ran.expect("nothing to do"), 0);
    }
    drop(transaction);
    let name = &schema.name;
    let sql = format!("DROP SCHEMA {name} CASCADE; DROP ROLE {role}");
    schema.client.batch_execute(&sql).await.expect("it runs");
}
