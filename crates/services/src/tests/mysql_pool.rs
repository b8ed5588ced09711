use std::sync::Arc;
use std::time::Duration;

use futures::TryStreamExt;
use mysql_async::prelude::{Query, Queryable};
use mysql_async::{Conn, TxOpts};
use servers::Kind;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

use super::support::{mysql, poll_and_drop, private, soon, unique};
use crate::mysql_pool::{Database, Error, Limits, add_users, find_users, longest_name};

const MINUTE: Duration = Duration::from_secs(60);
const TENTH: Duration = Duration::from_millis(100);
const LIMITS: Limits = Limits {
    connections: 2,
    acquire: MINUTE,
    statement: MINUTE,
};

/// A database of its own, and another connection.
struct Setting {
    database: Database,
    name: String,
    admin: Conn,
}

impl Setting {
    async fn new(limits: Limits) -> Self {
        Self::at(&mysql().await, limits).await
    }

    async fn at(url: &str, limits: Limits) -> Self {
        let name = unique("pool");
        let mut admin = Conn::from_url(url).await.expect("it runs");
        let create = format!("CREATE DATABASE {name}");
        admin.query_drop(create).await.expect("it is new");
        let (server, _) = url.rsplit_once('/').expect("a database");
        let database = Database::new(&format!("{server}/{name}"), limits).expect("a URL");
        let users = "CREATE TABLE users (id INT UNSIGNED PRIMARY KEY AUTO_INCREMENT,
                                         name TEXT NOT NULL)";
        let mut connection = database.connection().await.expect("it runs");
        connection.query_drop(users).await.expect("it is new");
        drop(connection);
        Self {
            database,
            name,
            admin,
        }
    }

    /// How many connections of this database match the condition.
    async fn count(&mut self, condition: &str) -> u32 {
        let sql = format!(
            "SELECT count(*) FROM information_schema.processlist
             WHERE db = '{}' AND {condition}",
            self.name
        );
        let count = self.admin.query_first(sql).await.expect("it runs");
        count.expect("a row")
    }

    async fn close(mut self) {
        soon(self.database.close()).await.expect("it closes");
        let drop = format!("DROP DATABASE {}", self.name);
        self.admin.query_drop(drop).await.expect("it is there");
    }
}

async fn answer(database: &Database, number: u32) -> Result<u32, Error> {
    let mut connection = database.connection().await?;
    let sql = "SELECT CAST(? AS UNSIGNED), SLEEP(0.002)";
    let row: Option<(u32, u32)> = connection.exec_first(sql, (number,)).await?;
    Ok(row.expect("a row").0)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
#[cfg_attr(no_mariadb, ignore = "mariadb-server is not installed")]
async fn three_hundred_calls_some_aborted_some_panicking() {
    let mut setting = Setting::new(LIMITS).await;
    let database = Arc::new(setting.database.clone());
    let mut calls = JoinSet::new();
    for number in 0..300 {
        let database = Arc::clone(&database);
        let task = calls.spawn(async move {
            let work = async {
                let _connection = match number % 16 {
                    5 => Some(database.connection().await?),
                    _ => None,
                };
                assert!(number % 16 != 5, "scheduled");
                answer(&database, number).await
            };
            // Some give up in the middle.
            let limit = if number % 7 == 3 { TENTH / 50 } else { MINUTE };
            if let Ok(echo) = timeout(limit, work).await {
                // No answer of a call that was dropped.
                assert_eq!(echo.expect("it runs"), number);
            }
        });
        if number % 10 == 9 {
            task.abort();
        }
    }
    let mut panicked = 0;
    while let Some(ended) = soon(calls.join_next()).await {
        panicked += i32::from(ended.is_err_and(|error| error.is_panic()));
    }
    assert!((1..=19).contains(&panicked), "{panicked} panicked");
    assert_eq!(soon(answer(&database, 7)).await.expect("it runs"), 7);
    assert!(setting.count("command = 'Sleep'").await <= 2);
    drop(database);
    setting.close().await;
}

#[tokio::test]
#[cfg_attr(no_mariadb, ignore = "mariadb-server is not installed")]
async fn dropped_at_each_await_it_adds_all_or_none() {
    let limits = Limits {
        connections: 1,
        ..LIMITS
    };
    let setting = Setting::new(limits).await;
    let names = ["Ada", "Bob"].map(str::to_owned);
    let (mut added, mut dropped) = (0, 0);
    for polls in 0..40 {
        let adding = poll_and_drop(add_users(&setting.database, &names), polls);
        match adding.await {
            Some(ended) => {
                ended.expect("it runs");
                added += 2;
            }
            None => dropped += 2,
        }
        let users = soon(find_users(&setting.database, ""))
            .await
            .expect("it runs");
        let now = users.len();
        // A commit may have been on its way, and may still be.
        let may_be = (added..=added + dropped).contains(&now);
        assert!(may_be && now % 2 == 0, "{polls}: {now}");
    }
    assert!(added > 0 && dropped > 0, "{added} added, {dropped} dropped");
    setting.close().await;
}

#[tokio::test]
#[cfg_attr(no_mariadb, ignore = "mariadb-server is not installed")]
async fn lists_and_streams_of_all_sizes() {
    let setting = Setting::new(LIMITS).await;
    let database = &setting.database;
    for number in [0, 1, 31, 129, 1000] {
        let names: Vec<_> = (0..number)
            .map(|it| format!("{number}-{it}'; --"))
            .collect();
        add_users(database, &names).await.expect("it runs");
        let prefix = format!("{number}-");
        let users = find_users(database, &prefix).await.expect("it runs");
        let found: Vec<_> = users.into_iter().map(|user| user.name).collect();
        assert_eq!(found, names[..number.min(100)]);
        let longest = names.iter().map(String::len).max().unwrap_or(0);
        assert_eq!(longest_name(database).await.expect("it runs"), longest);
    }
    // A stream that is left after a row. The next caller reads its own rows.
    for rows in 0..5 {
        let mut connection = database.connection().await.expect("it runs");
        let sql = "SELECT name FROM users";
        let names = sql.stream::<String, _>(&mut connection).await;
        let mut names = names.expect("it runs");
        for _ in 0..rows {
            names.try_next().await.expect("it runs").expect("a row");
        }
        drop(names);
        drop(connection);
        assert_eq!(soon(answer(database, rows)).await.expect("it runs"), rows);
    }
    setting.close().await;
}

#[tokio::test]
#[cfg_attr(no_mariadb, ignore = "mariadb-server is not installed")]
async fn a_dropped_query_goes_on_until_the_limit_of_the_server() {
    let limits = Limits {
        statement: 20 * TENTH,
        ..LIMITS
    };
    let mut setting = Setting::new(limits).await;
    let database = setting.database.clone();
    let added = add_users(&database, &["Ada".to_owned()]).await;
    added.expect("it runs");
    // Unlike SLEEP, a wait for a row does not end when its client has gone.
    let lock = format!("BEGIN; SELECT * FROM {}.users FOR UPDATE", setting.name);
    setting.admin.query_drop(lock).await.expect("it runs");
    let mut connection = database.connection().await.expect("it runs");
    let query = connection.query_drop("SELECT * FROM users FOR UPDATE");
    let dropped = timeout(5 * TENTH, query).await;
    dropped.expect_err("it is dropped");
    drop(connection);
    let start = Instant::now();
    assert_eq!(answer(&database, 1).await.expect("it runs"), 1);
    while setting.count("info LIKE '%FOR UPDATE%'").await > 0 {
        sleep(TENTH / 10).await;
    }
    assert!((5 * TENTH..MINUTE / 2).contains(&start.elapsed()));
    setting.admin.query_drop("ROLLBACK").await.expect("it runs");
    drop(database);
    setting.close().await;
}

#[tokio::test]
#[cfg_attr(no_mariadb, ignore = "mariadb-server is not installed")]
async fn a_full_pool() {
    // A server that accepts, and says nothing.
    let silent = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let silent = format!("mysql://root@{}", silent.local_addr().expect("it is bound"));
    let limits = Limits {
        acquire: Duration::ZERO,
        ..LIMITS
    };
    let database = Database::new(&silent, limits).expect("a URL");
    let error = database.connection().await.expect_err("no time to connect");
    assert_eq!(error.to_string(), "no connection within 0 s");
    let limits = Limits {
        connections: 0, // One, then.
        acquire: 10 * TENTH,
        ..LIMITS
    };
    let database = Database::new(&mysql().await, limits).expect("a URL");
    let first = async {
        loop {
            // On a busy machine, connecting may take longer.
            if let Ok(first) = database.connection().await {
                return first;
            }
        }
    };
    let _first = soon(first).await;
    let second = soon(database.connection()).await;
    let error = second.expect_err("the pool is full");
    assert_eq!(error.to_string(), "no connection within 1 s");
    let limits = Limits {
        acquire: Duration::MAX,
        statement: Duration::MAX,
        ..LIMITS
    };
    let database = Database::new(&mysql().await, limits).expect("a URL");
    assert_eq!(answer(&database, 1).await.expect("it runs"), 1);
}

#[tokio::test]
#[cfg_attr(no_mariadb, ignore = "mariadb-server is not installed")]
async fn a_server_that_hangs_and_one_that_comes_back() {
    let mut server = private(Kind::Mariadb).await;
    let limits = Limits {
        acquire: 2 * TENTH,
        ..LIMITS
    };
    let setting = Setting::at(&server.url(), limits).await;
    let database = &setting.database;
    server.pause();
    let start = Instant::now();
    for _ in 0..3 {
        // The timeout around the whole: the pool does not know that its server is silent.
        let silent = timeout(3 * TENTH, answer(database, 1)).await;
        assert!(silent.is_err() || silent.is_ok_and(|it| it.is_err()));
    }
    assert!(start.elapsed() < MINUTE / 2);
    server.resume();
    let recovers = async { while answer(database, 2).await.is_err() {} };
    soon(recovers).await;
    server.kill();
    let lost = soon(answer(database, 3)).await;
    assert!(matches!(lost, Err(Error::MySql(_))), "{lost:?}");
    server.restart().expect("it starts again");
    let recovers = async { while answer(database, 4).await.is_err() {} };
    soon(recovers).await;
}

/// What the page says of its transaction.
#[tokio::test]
#[cfg_attr(no_mariadb, ignore = "mariadb-server is not installed")]
async fn a_connection_comes_back_without_a_transaction() {
    let limits = Limits {
        connections: 1,
        ..LIMITS
    };
    let setting = Setting::new(limits).await;
    for _ in 0..3 {
        let mut connection = setting.database.connection().await.expect("it runs");
        let options = TxOpts::default();
        let mut adding = connection
            .start_transaction(options)
            .await
            .expect("it runs");
        let add = "INSERT INTO users (name) VALUES ('Eve')";
        adding.query_drop(add).await.expect("it runs");
        drop(adding);
        drop(connection);
        let users = find_users(&setting.database, "").await.expect("it runs");
        assert_eq!(users, []);
    }
    setting.close().await;
}

#[tokio::test]
async fn no_password_in_a_log() {
    let url = "mysql://user:secret@127.0.0.1:1/none";
    let database = Database::new(url, LIMITS).expect("a URL");
    let error = database.connection().await.expect_err("nobody listens");
    let text = format!("{database:?} {error} {error:?}");
    assert!(!text.contains("secret"), "{text}");
    // Unlike that of the pool.
    let pool = mysql_async::Pool::from_url(url).expect("a URL");
    assert!(format!("{pool:?}").contains("secret"));
    for wrong in ["", "localhost", "postgres://localhost/x"] {
        let wrong = Database::new(wrong, LIMITS).expect_err("it is no URL");
        assert!(matches!(wrong, Error::Url(_)), "{wrong:?}");
    }
}

/// What readers do with it: in a struct, in tasks, with an error type of their own.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[cfg_attr(no_mariadb, ignore = "mariadb-server is not installed")]
async fn changed_a_little() {
    #[derive(Debug, thiserror::Error)]
    enum AppError {
        #[error(transparent)]
        Database(#[from] Error),
        #[error("the query failed")]
        Query(#[from] mysql_async::Error),
        #[error("no such user: {0}")]
        NoUser(String),
    }
    #[derive(Clone, Debug)]
    struct App {
        database: Database,
    }
    impl App {
        async fn id(&self, name: &str) -> Result<u32, AppError> {
            let mut connection = self.database.connection().await?;
            let sql = "SELECT id FROM users WHERE name = ?";
            let id = connection.exec_first(sql, (name,)).await?;
            id.ok_or_else(|| AppError::NoUser(name.to_owned()))
        }
    }
    let setting = Setting::new(LIMITS).await;
    let app = App {
        database: setting.database.clone(),
    };
    let names = ["Ada", "Bob"].map(str::to_owned);
    add_users(&app.database, &names).await.expect("it runs");
    for (name, expected) in [("Bob", "2"), ("Eve", "no such user: Eve")] {
        let app = app.clone();
        let id = tokio::spawn(async move { app.id(name).await });
        let id = id.await.expect("it does not panic");
        let text = id.map_or_else(|error| error.to_string(), |id| id.to_string());
        assert_eq!(text, expected);
    }
    drop(app);
    setting.close().await;
}

/// The last name is too long. To MariaDB, a batch goes in packets, each of which is added
/// or not: more names than one packet holds.
#[tokio::test]
#[cfg_attr(no_mariadb, ignore = "mariadb-server is not installed")]
async fn after_an_error_no_user_is_added() {
    let setting = Setting::new(LIMITS).await;
    let mut names = vec!["x".repeat(60_000); 400];
    names.push("x".repeat(70_000));
    let added = add_users(&setting.database, &names).await;
    assert!(matches!(added, Err(Error::MySql(_))), "{added:?}");
    let longest = longest_name(&setting.database).await.expect("it runs");
    assert_eq!(longest, 0);
    setting.close().await;
}

/// `%` and `_` stand for any text and any character.
#[tokio::test]
#[cfg_attr(no_mariadb, ignore = "mariadb-server is not installed")]
async fn a_prefix_is_a_pattern() {
    let setting = Setting::new(LIMITS).await;
    let names = ["Ada", "100%", "a_b"].map(str::to_owned);
    add_users(&setting.database, &names).await.expect("it runs");
    for (prefix, found) in [("%a", 2), ("___", 3), ("100\\%", 1), ("A", 2)] {
        let users = find_users(&setting.database, prefix).await;
        assert_eq!(users.expect("it runs").len(), found, "{prefix}");
    }
    setting.close().await;
}

/// An index over the names gives another order.
#[tokio::test]
#[cfg_attr(no_mariadb, ignore = "mariadb-server is not installed")]
async fn users_come_in_the_order_of_their_numbers() {
    let setting = Setting::new(LIMITS).await;
    let mut names = ["p-c", "p-b", "p-a"].map(str::to_owned).to_vec();
    names.extend((0..1000).map(|number| format!("x{number}")));
    add_users(&setting.database, &names).await.expect("it runs");
    let mut connection = setting.database.connection().await.expect("it runs");
    let index = "CREATE INDEX by_name ON users (name(20))";
    connection.query_drop(index).await.expect("it runs");
    connection
        .query_drop("ANALYZE TABLE users")
        .await
        .expect("it runs");
    drop(connection);
    let users = find_users(&setting.database, "p-").await.expect("it runs");
    let ids: Vec<_> = users.iter().map(|user| user.id).collect();
    assert_eq!(ids, [1, 2, 3]);
    setting.close().await;
}

/// For the server, 0 is no limit.
#[tokio::test]
#[cfg_attr(no_mariadb, ignore = "mariadb-server is not installed")]
async fn no_time_for_a_statement_is_a_limit() {
    let limits = Limits {
        statement: Duration::ZERO,
        ..LIMITS
    };
    let database = Database::new(&mysql().await, limits).expect("a URL");
    let mut connection = database.connection().await.expect("it runs");
    let limit = connection.query_first("SELECT @@max_statement_time * 1000000");
    let limit: Result<Option<f64>, _> = limit.await;
    assert!(
        limit.as_ref().is_ok_and(|it| *it == Some(1.0))
            || limit
                .as_ref()
                .is_err_and(|it| it.to_string().contains("max_statement_time")),
        "{limit:?}"
    );
}

#[tokio::test]
#[cfg_attr(no_mariadb, ignore = "mariadb-server is not installed")]
async fn a_connection_is_used_again() {
    let setting = Setting::new(LIMITS).await;
    let mut ids = std::collections::BTreeSet::new();
    for _ in 0..100 {
        let mut connection = setting.database.connection().await.expect("it runs");
        let id: Option<u32> = connection
            .query_first("SELECT CONNECTION_ID()")
            .await
            .expect("it runs");
        ids.insert(id.expect("a row"));
    }
    assert!(ids.len() <= 2, "{} connections", ids.len());
    setting.close().await;
}

/// As a server does after its `wait_timeout`: "server has gone away" in Python.
#[tokio::test]
#[cfg_attr(no_mariadb, ignore = "mariadb-server is not installed")]
async fn an_idle_connection_that_the_server_closed_is_replaced_and_a_held_one_fails() {
    let mut setting = Setting::new(LIMITS).await;
    let mut held = setting.database.connection().await.expect("it runs");
    let idle = setting.database.connection().await.expect("it runs");
    let ids = [held.id(), idle.id()];
    drop(idle);
    for id in ids {
        let kill = setting.admin.query_drop(format!("KILL {id}")).await;
        kill.expect("it is there");
    }
    while setting.count("TRUE").await > 0 {
        sleep(TENTH).await;
    }
    let error = held.query_drop("SELECT 1").await.expect_err("it is closed");
    assert!(matches!(error, mysql_async::Error::Io(_)), "{error}");
    drop(held);
    for number in 0..2 {
        assert_eq!(answer(&setting.database, number).await.ok(), Some(number));
    }
    setting.close().await;
}
