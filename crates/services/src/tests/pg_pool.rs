use std::env;
use std::sync::Arc;
use std::time::Duration;

use deadpool_postgres::{Manager, ManagerConfig, Pool, RecyclingMethod};
use servers::Kind;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Config, NoTls};

use super::support::{
    CuttingProxy, connect, poll_and_drop, postgres, private, soon, unique,
};
use crate::pg_pool::{Limits, PgError, PgPool};

const MINUTE: Duration = Duration::from_secs(60);
const TENTH: Duration = Duration::from_millis(100);

const LIMITS: Limits = Limits {
    connections: 2,
    acquire: MINUTE,
    connect: MINUTE,
    statement: MINUTE,
    work: MINUTE,
};

/// A pool whose connections have a name of their own, and another connection.
struct Setting {
    pool: PgPool,
    name: String,
    admin: Client,
}

impl Setting {
    async fn new(limits: Limits) -> Self {
        Self::at(&postgres().await, limits).await
    }

    async fn at(url: &str, limits: Limits) -> Self {
        let name = unique("pool");
        let mut config: Config = url.parse().expect("a URL");
        config.application_name(&name);
        let admin = connect(url).await;
        let pool = PgPool::new(config, limits);
        Self { pool, name, admin }
    }

    /// How many of the pool's connections match the condition.
    async fn count(&self, condition: &str) -> i64 {
        let sql = format!(
            "SELECT count(*) FROM pg_stat_activity
             WHERE application_name = $1 AND {condition}"
        );
        let row = self.admin.query_one(&sql, &[&self.name]).await;
        row.expect("it runs").get(0)
    }

    /// Waits until no statement of the pool runs.
    async fn quiet(&self) {
        let quiet = async {
            while self.count("state <> 'idle'").await > 0 {
                sleep(Duration::from_millis(10)).await;
            }
        };
        soon(quiet).await;
    }
}

async fn nap(pool: &PgPool, seconds: f64) -> Result<(), PgError> {
    let sql = "SELECT pg_sleep($1)";
    pool.run(async |client| Ok(client.execute(sql, &[&seconds]).await.map(drop)?))
        .await
}

async fn answer(pool: &PgPool) -> Result<i32, PgError> {
    pool.run(async |client| Ok(client.query_one("SELECT 42", &[]).await?.get(0)))
        .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
#[cfg_attr(no_postgres, ignore = "postgresql is not installed")]
async fn three_hundred_calls_some_aborted_some_panicking() {
    let setting = Arc::new(Setting::new(LIMITS).await);
    let mut calls = JoinSet::new();
    for number in 0..300 {
        let pool = setting.pool.clone();
        let call = async move {
            let work = pool.run::<_, PgError>(async |client| {
                let sql = "SELECT $1::INT, pg_sleep(0.002)";
                let echo: i32 = client.query_one(sql, &[&number]).await?.get(0);
                assert!(number % 16 != 5, "scheduled");
                Ok(echo)
            });
            // Some give up in the middle.
            let limit = if number % 7 == 3 { TENTH / 50 } else { MINUTE };
            if let Ok(echo) = timeout(limit, work).await {
                // No answer of a call that was dropped.
                assert_eq!(echo.expect("it runs"), number);
            }
        };
        let task = calls.spawn(call);
        if number % 10 == 9 {
            task.abort();
        }
    }
    let mut panicked = 0;
    while let Some(ended) = soon(calls.join_next()).await {
        panicked += i32::from(ended.is_err_and(|error| error.is_panic()));
    }
    assert!((5..=19).contains(&panicked), "{panicked} panicked");
    setting.quiet().await;
    // A process of the server may end later than its connection.
    let ended = async {
        while setting.count("true").await > 2 {
            sleep(TENTH / 10).await;
        }
    };
    soon(ended).await;
    assert_eq!(answer(&setting.pool).await.expect("it runs"), 42);
}

#[tokio::test]
#[cfg_attr(no_postgres, ignore = "postgresql is not installed")]
async fn a_dropped_call_leaves_no_statement_and_no_transaction() {
    let setting = Setting::new(LIMITS).await;
    let table = unique("dropped");
    let sql = format!("CREATE TABLE {table} (number INT)");
    setting.admin.batch_execute(&sql).await.expect("it runs");
    let mut times = Vec::new();
    for polls in 0..30 {
        let work = setting.pool.run::<_, PgError>(async |client| {
            let transaction = client.transaction().await?;
            let sql = format!("INSERT INTO {table} VALUES (1)");
            transaction.execute(&sql, &[]).await?;
            Ok(transaction
                .query_one("SELECT pg_sleep(60)", &[])
                .await?
                .len())
        });
        let start = Instant::now();
        assert!(poll_and_drop(work, polls).await.is_none());
        assert_eq!(soon(answer(&setting.pool)).await.expect("it runs"), 42);
        setting.quiet().await;
        assert!(start.elapsed() < MINUTE / 2);
        times.push(start.elapsed());
    }
    // Not each waits until the server looks, after a second: they are cancelled.
    assert!(times[20..].iter().min() < Some(&(5 * TENTH)), "{times:?}");
    let sql = format!("SELECT count(*) FROM {table}");
    let row = setting.admin.query_one(&sql, &[]).await.expect("it runs");
    assert_eq!(row.get::<_, i64>(0), 0);
    let sql = format!("DROP TABLE {table}");
    setting.admin.batch_execute(&sql).await.expect("it runs");
}

/// A call that drops one of its own queries gives back a connection that is busy.
#[tokio::test]
#[cfg_attr(no_postgres, ignore = "postgresql is not installed")]
async fn a_busy_connection_is_not_given_out() {
    let limits = Limits {
        connections: 1,
        connect: 3 * TENTH,
        ..LIMITS
    };
    let setting = Setting::new(limits).await;
    let work = setting.pool.run::<_, PgError>(async |client| {
        let sleep = client.query("SELECT pg_sleep(60)", &[]);
        Ok(timeout(TENTH, sleep).await.is_err())
    });
    assert!(work.await.expect("it runs"));
    let start = Instant::now();
    assert_eq!(answer(&setting.pool).await.expect("it runs"), 42);
    assert!((limits.connect..MINUTE / 2).contains(&start.elapsed()));
}

#[tokio::test]
#[cfg_attr(no_postgres, ignore = "postgresql is not installed")]
async fn each_limit_is_told() {
    let zero = Duration::ZERO;
    for (limits, expected) in [
        (
            Limits {
                statement: TENTH,
                ..LIMITS
            },
            "ERROR: canceling statement",
        ),
        (
            Limits {
                work: TENTH,
                ..LIMITS
            },
            "the work takes too long",
        ),
    ] {
        let setting = Setting::new(limits).await;
        let error = nap(&setting.pool, 60.0).await.expect_err("it is over");
        assert!(error.to_string().starts_with(expected), "{error}");
        setting.quiet().await;
    }
    let silent = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = silent.local_addr().expect("a port");
    for connect in [zero, TENTH] {
        let limits = Limits { connect, ..LIMITS };
        let url = format!("postgres://postgres@{address}/postgres");
        let pool = PgPool::new(url.parse().expect("a URL"), limits);
        let error = soon(answer(&pool)).await.expect_err("nobody answers");
        assert!(
            error.to_string().starts_with("cannot connect: Timeout"),
            "{error}"
        );
    }
    for acquire in [zero, TENTH] {
        let setting = Setting::new(Limits {
            acquire,
            connections: 1,
            ..LIMITS
        })
        .await;
        let (first, second) =
            tokio::join!(nap(&setting.pool, 0.3), nap(&setting.pool, 0.0));
        first.expect("it was first");
        assert!(matches!(second, Err(PgError::Busy)), "{second:?}");
    }
    let longest = Duration::MAX;
    let limits = Limits {
        connections: 1,
        acquire: longest,
        connect: longest,
        statement: longest,
        work: longest,
    };
    let setting = Setting::new(limits).await;
    let (first, second) = tokio::join!(nap(&setting.pool, 0.1), nap(&setting.pool, 0.0));
    first.and(second).expect("they have all the time");
}

#[tokio::test]
#[cfg_attr(no_postgres, ignore = "postgresql is not installed")]
async fn options_of_the_url_are_kept() {
    let url = postgres().await + "?options=-c%20DateStyle%3DGerman";
    let pool = PgPool::new(url.parse().expect("a URL"), LIMITS);
    for (name, expected) in [("DateStyle", "German, DMY"), ("statement_timeout", "1min")]
    {
        let sql = format!("SHOW {name}");
        let value = pool.run::<String, PgError>(async |client| {
            Ok(client.query_one(&sql, &[]).await?.get(0))
        });
        assert_eq!(value.await.expect("it runs"), expected);
    }
    pool.close();
    let closed = answer(&pool).await.expect_err("it is closed");
    assert!(closed.to_string().contains("closed"), "{closed}");
}

#[tokio::test]
#[cfg_attr(no_postgres, ignore = "postgresql is not installed")]
async fn a_killed_server_that_comes_back() {
    let mut server = private(Kind::Postgres).await;
    let setting = Setting::at(
        &server.url(),
        Limits {
            work: 10 * MINUTE,
            ..LIMITS
        },
    )
    .await;
    let pool = &setting.pool;
    let sleeping = nap(pool, 60.0);
    let kills = async {
        while setting.count("state = 'active'").await == 0 {}
        server.kill();
    };
    let (slept, ()) = soon(async { tokio::join!(sleeping, kills) }).await;
    assert!(matches!(slept, Err(PgError::Postgres(_))), "{slept:?}");
    let refused = soon(answer(pool)).await;
    assert!(matches!(refused, Err(PgError::Connect(_))), "{refused:?}");
    let refused = refused.map_err(|error| error.to_string());
    let text = "cannot connect: Connection refused (os error 111)";
    assert_eq!(refused, Err(text.to_owned()));
    server.restart().expect("it starts again");
    assert_eq!(soon(answer(pool)).await.expect("it runs"), 42);
}

#[tokio::test]
#[cfg_attr(no_postgres, ignore = "postgresql is not installed")]
async fn a_server_that_hangs() {
    let server = private(Kind::Postgres).await;
    let limits = Limits {
        acquire: TENTH,
        connect: 2 * TENTH,
        work: 3 * TENTH,
        ..LIMITS
    };
    let setting = Setting::at(&server.url(), limits).await;
    let pool = &setting.pool;
    answer(pool).await.expect("it runs");
    server.pause();
    for _ in 0..5 {
        // The check of the old connection, a new one, or no connection.
        let start = Instant::now();
        let hangs = answer(pool).await.expect_err("nobody answers");
        assert!(!matches!(hangs, PgError::Postgres(_)), "{hangs:?}");
        assert!(start.elapsed() < MINUTE / 2);
    }
    server.resume();
    let recovers = async { while answer(pool).await.is_err() {} };
    soon(recovers).await;
    // A server that stops in the middle of the work.
    let stops = async {
        while setting.count("state = 'active'").await == 0 {}
        server.pause();
    };
    let (ended, ()) = tokio::join!(nap(pool, 60.0), stops);
    assert!(matches!(ended, Err(PgError::Timeout)), "{ended:?}");
    server.resume();
    soon(setting.quiet()).await;
}

/// The `main` of the example says what to set.
#[tokio::test]
async fn without_an_address() {
    if env::var_os("DATABASE_URL").is_none() {
        let error = crate::pg_pool::main().await.expect_err("it has no address");
        assert!(error.to_string().starts_with("set DATABASE_URL"), "{error}");
    }
}

/// As of a business rule.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Rule(String);

impl From<PgError> for Rule {
    fn from(error: PgError) -> Self {
        Self(error.to_string())
    }
}

#[tokio::test]
#[cfg_attr(no_postgres, ignore = "postgresql is not installed")]
async fn no_call_finds_the_transaction_or_the_settings_of_another() {
    let limits = Limits {
        connections: 1,
        ..LIMITS
    };
    let setting = Setting::new(limits).await;
    let (pool, table) = (&setting.pool, unique("rows"));
    let sql = format!("CREATE TABLE {table} (number INT)");
    setting.admin.batch_execute(&sql).await.expect("it runs");
    for leaves in [
        "BEGIN",
        "BEGIN; SELECT 1 / 0",
        "SET default_transaction_read_only = on",
        "SET statement_timeout = 1",
        "SELECT pg_advisory_lock(1246908249)",
        "BEGIN; DECLARE rows CURSOR WITH HOLD FOR SELECT 1; COMMIT",
    ] {
        let work = pool.run::<(), Rule>(async |client| {
            let _ = client.batch_execute(leaves).await;
            Err(Rule("not enough money".to_owned()))
        });
        assert_eq!(
            work.await.expect_err("a rule").to_string(),
            "not enough money"
        );
        let insert = format!("INSERT INTO {table} VALUES (1)");
        let added = pool.run::<_, PgError>(async |client| {
            let left = "SELECT (SELECT count(*) FROM pg_cursors WHERE name = 'rows')
                + (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'
                   AND pid = pg_backend_pid())";
            let left: i64 = client.query_one(left, &[]).await?.get(0);
            assert_eq!(left, 0, "{leaves}");
            let limit = client.query_one("SHOW statement_timeout", &[]).await?;
            assert_eq!(limit.get::<_, String>(0), "1min", "{leaves}");
            Ok(client.execute(&insert, &[]).await?)
        });
        assert_eq!(soon(added).await.expect(leaves), 1);
    }
    let sql = format!("SELECT count(*) FROM {table}");
    let rows = setting.admin.query_one(&sql, &[]).await.expect("it runs");
    assert_eq!(rows.get::<_, i64>(0), 6);
    let sql = format!("DROP TABLE {table}");
    setting.admin.batch_execute(&sql).await.expect("it runs");
}

/// What a client leaves that vanishes in a transaction.
#[tokio::test]
#[cfg_attr(no_postgres, ignore = "postgresql is not installed")]
async fn the_server_ends_a_transaction_whose_client_is_silent() {
    let proxy = CuttingProxy::start(&postgres().await).await;
    let limits = Limits {
        work: 5 * TENTH,
        ..LIMITS
    };
    let setting = Setting::at(proxy.url(), limits).await;
    let other = Setting::new(LIMITS).await;
    let work = setting.pool.run::<(), PgError>(async |client| {
        client.batch_execute("BEGIN").await?;
        proxy.silence();
        std::future::pending().await
    });
    let error = soon(work).await.expect_err("it hangs");
    assert!(matches!(error, PgError::Timeout), "{error:?}");
    let sql = "SELECT count(*) FROM pg_stat_activity
               WHERE application_name = $1 AND state LIKE 'idle in%'";
    let ended = async {
        loop {
            let row = other.admin.query_one(sql, &[&setting.name]).await;
            if row.expect("it runs").get::<_, i64>(0) == 0 {
                return;
            }
            sleep(TENTH / 10).await;
        }
    };
    soon(ended).await;
}

#[tokio::test]
#[cfg_attr(no_postgres, ignore = "postgresql is not installed")]
async fn ten_silent_connections_cost_a_call_one_limit() {
    let proxy = CuttingProxy::start(&postgres().await).await;
    let limits = Limits {
        connections: 10,
        connect: 5 * TENTH,
        acquire: 5 * TENTH,
        ..LIMITS
    };
    let mut config: Config = proxy.url().parse().expect("a URL");
    config.application_name(unique("pool"));
    let pool = PgPool::new(config, limits);
    // A busy machine may take longer than the limits for this.
    let filled = async {
        loop {
            let naps = (0..10).map(|_| nap(&pool, 0.3));
            let naps = futures::future::join_all(naps).await;
            if naps.iter().all(Result::is_ok) {
                return;
            }
        }
    };
    soon(filled).await;
    proxy.silence();
    let start = Instant::now();
    answer(&pool).await.expect_err("the connections are silent");
    // Ten checks would take 5 s.
    assert!(start.elapsed() < 40 * TENTH, "{:?}", start.elapsed());
    // The other ones are closed as well: a call is well as soon as it can connect.
    let start = Instant::now();
    let recovers = async { while answer(&pool).await.is_err() {} };
    soon(recovers).await;
    println!("works again after {:?}", start.elapsed());
}

#[tokio::test]
#[cfg_attr(no_postgres, ignore = "postgresql is not installed")]
async fn waiting_calls_are_served_first_come_first_served() {
    let limits = Limits {
        connections: 1,
        ..LIMITS
    };
    let setting = Setting::new(limits).await;
    let order = std::sync::Mutex::new(Vec::new());
    let calls = (0..31).map(|number| {
        let (pool, order) = (&setting.pool, &order);
        pool.run::<_, PgError>(async move |client| {
            order.lock().expect("sound").push(number);
            Ok(client.execute("SELECT 1", &[]).await?)
        })
    });
    // They are polled in this order.
    let ended = soon(futures::future::join_all(calls)).await;
    assert!(ended.iter().all(Result::is_ok));
    let order = order.into_inner().expect("sound");
    assert_eq!(order, (0..31).collect::<Vec<i32>>());
}

#[tokio::test]
#[cfg_attr(no_postgres, ignore = "postgresql is not installed")]
async fn a_close_fails_waiting_calls_and_closes_each_connection_when_its_call_ends() {
    let limits = Limits {
        connections: 1,
        ..LIMITS
    };
    let setting = Setting::new(limits).await;
    let closes = async {
        while setting.count("state = 'active'").await == 0 {}
        setting.pool.close();
    };
    // The second one waits when the pool is closed.
    let calls =
        async { tokio::join!(nap(&setting.pool, 0.5), nap(&setting.pool, 0.0), closes) };
    let (running, waiting, ()) = soon(calls).await;
    running.expect("it may end");
    let error = waiting.expect_err("it is closed").to_string();
    assert!(error.contains("closed"), "{error}");
    let closed = async { while setting.count("true").await > 0 {} };
    soon(closed).await;
}

/// The first trap, with deadpool alone.
#[tokio::test]
#[cfg_attr(no_postgres, ignore = "postgresql is not installed")]
async fn a_verified_connection_keeps_the_open_transaction_of_an_earlier_call() {
    let (url, table) = (postgres().await, unique("rows"));
    let setting = Setting::new(LIMITS).await;
    let sql = format!("CREATE TABLE {table} (number INT)");
    setting.admin.batch_execute(&sql).await.expect("it runs");
    let recycling_method = RecyclingMethod::Verified;
    let verified = ManagerConfig { recycling_method };
    let config = url.parse().expect("a URL");
    let manager = Manager::from_config(config, NoTls, verified);
    let pool = Pool::builder(manager).max_size(1).build().expect("a pool");
    let first = pool.get().await.expect("it runs");
    first
        .batch_execute("BEGIN")
        .await
        .expect("it forgets to commit");
    drop(first);
    let second = pool.get().await.expect("it answers");
    let sql = format!("INSERT INTO {table} VALUES (1)");
    assert_eq!(second.execute(&sql, &[]).await.expect("no error"), 1);
    drop(second);
    drop(pool);
    let sql = format!("SELECT count(*) FROM {table}");
    let rows = setting.admin.query_one(&sql, &[]).await.expect("it runs");
    assert_eq!(rows.get::<_, i64>(0), 0, "the insert is lost");
    let sql = format!("DROP TABLE {table}");
    setting.admin.batch_execute(&sql).await.expect("it runs");
}

/// The second trap.
#[tokio::test]
#[cfg_attr(no_postgres, ignore = "postgresql is not installed")]
async fn an_error_of_tokio_postgres_prints_only_db_error_and_ours_what_the_server_says() {
    let setting = Setting::new(LIMITS).await;
    let error = setting.admin.execute("SELECT 1 / 0", &[]).await;
    let error = error.expect_err("it divides by zero");
    assert_eq!(error.to_string(), "db error");
    let text = "ERROR: division by zero";
    let said = error.as_db_error().map(ToString::to_string);
    assert_eq!(said.as_deref(), Some(text));
    assert_eq!(PgError::from(error).to_string(), text);
}

/// What the book says of a connection that nobody spawns.
#[tokio::test]
#[cfg_attr(no_postgres, ignore = "postgresql is not installed")]
async fn a_query_needs_its_connection_to_run() {
    let connect = async || {
        let connected = tokio_postgres::connect(&postgres().await, NoTls).await;
        connected.expect("it runs")
    };
    let (client, connection) = connect().await;
    let query = timeout(TENTH, client.simple_query("SELECT 1"));
    query.await.expect_err("nothing sends it");
    drop(connection);
    let (client, _) = connect().await;
    let closed = client.simple_query("SELECT 1").await;
    let error = closed.expect_err("it is gone");
    assert_eq!(error.to_string(), "connection closed");
}

/// What the book says of a stream of rows that nobody reads.
#[tokio::test]
#[cfg_attr(no_postgres, ignore = "postgresql is not installed")]
async fn a_stream_that_nobody_reads_stops_its_connection() {
    let client = connect(&postgres().await).await;
    let none: [&i32; 0] = [];
    let sql = "SELECT repeat('x', 1000) FROM generate_series(1, 100000)";
    let rows = client.query_raw(sql, none).await.expect("it runs");
    let query = timeout(TENTH, client.simple_query("SELECT 1"));
    query.await.expect_err("the rows come first");
    drop(rows);
    let query = timeout(MINUTE, client.simple_query("SELECT 1"));
    query.await.expect("in time").expect("it runs");
}

/// What the book says of a list of parameters.
#[tokio::test]
#[cfg_attr(no_postgres, ignore = "postgresql is not installed")]
async fn parameters_of_different_types_in_a_list() {
    let client = connect(&postgres().await).await;
    let query = async move {
        let values: Vec<Box<dyn ToSql + Sync + Send>> = vec![Box::new(7), Box::new("a")];
        let values = values.iter().map(|it| &**it as &(dyn ToSql + Sync));
        let values: Vec<_> = values.collect();
        client.query_one("SELECT $1::int4, $2::text", &values).await
    };
    let row = tokio::spawn(query)
        .await
        .expect("no panic")
        .expect("it runs");
    assert_eq!((row.get(0), row.get(1)), (7, "a"));
}
