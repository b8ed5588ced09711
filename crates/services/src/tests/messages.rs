//! What tokio-postgres and redis print when something is wrong: a program provokes each of
//! their messages in `docs/messages.tsv`. `{:?}` is what an `unwrap` prints.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};

use redis::{AsyncCommands, Client, cmd};
use tokio_postgres::NoTls;

use super::support::{connect, postgres, redis, unique};

/// Returns what an `unwrap` prints of an error, and what the error says of itself.
#[track_caller]
fn of<T>(result: Result<T, impl Debug + ToString>) -> String {
    let error = result.err().expect("it fails");
    format!("{error:?} {}", error.to_string())
}

/// Returns the text of a panic.
#[track_caller]
fn panics(run: impl FnOnce() -> i32) -> String {
    let payload = catch_unwind(AssertUnwindSafe(run)).expect_err("it panics");
    *payload.downcast::<String>().expect("a text")
}

async fn of_postgres() -> Vec<(&'static str, String)> {
    let url = postgres().await;
    let client = connect(&url).await;
    let (ended, connection) =
        tokio_postgres::connect(&url, NoTls).await.expect("it runs");
    drop(connection);
    let killed = connect(&url).await;
    let query = |sql: &'static str| client.query_one(sql, &[]);
    let number = query("SELECT 1::int8").await.expect("a row");
    let unique_key = "CREATE TEMP TABLE unique_key (id int PRIMARY KEY); \
                      INSERT INTO unique_key VALUES (1)";
    client.batch_execute(unique_key).await.expect("a table");
    let repeated = query("INSERT INTO unique_key VALUES (1)").await;
    let slow = "SET LOCAL statement_timeout = 10; SELECT pg_sleep(60)";
    let (slow, aborted) = {
        client.batch_execute("BEGIN").await.expect("it begins");
        let slow = client.batch_execute(slow).await;
        let aborted = client.batch_execute("SELECT 1").await;
        client.batch_execute("ROLLBACK").await.expect("it ends");
        (slow, aborted)
    };
    let end = "SELECT pg_terminate_backend(pg_backend_pid())";
    vec![
        (
            "Error { kind: Closed, cause: None }",
            of(ended.query("SELECT 1", &[]).await),
        ),
        (
            "Error { kind: RowCount, cause: None }",
            of(query("SELECT 1 WHERE false").await),
        ),
        (
            "Error { kind: Parameters(..., ...), cause: None }",
            of(query("SELECT $1::int4").await),
        ),
        (
            "Error { kind: ToSql(...), cause: Some(WrongType { postgres: ..., rust: ... }) }",
            of(client.query("SELECT $1::int4", &[&1_i64]).await),
        ),
        (
            "error retrieving column ...: error deserializing column",
            panics(|| number.get::<_, i32>(0)),
        ),
        (
            "error retrieving column ...: invalid column `...`",
            panics(|| i32::from(number.get::<_, i16>("other"))),
        ),
        (
            "duplicate key value violates unique constraint",
            of(repeated),
        ),
        ("canceling statement due to statement timeout", of(slow)),
        (
            "current transaction is aborted, commands ignored until end of transaction block",
            of(aborted),
        ),
        (
            "terminating connection due to administrator command",
            of(killed.query(end, &[]).await),
        ),
        ("syntax error at or near", of(query("SELEC 1").await)),
        (
            "Error { kind: ConfigParse, cause: Some(...) }",
            of("host=".parse::<tokio_postgres::Config>()),
        ),
        (
            "relation ... does not exist",
            of(query("SELECT * FROM nowhere").await),
        ),
    ]
}

async fn of_redis() -> Vec<(&'static str, String)> {
    let client = Client::open(redis().await).expect("a URL");
    let connected = client.get_multiplexed_async_connection().await;
    let mut redis = connected.expect("it runs");
    let key = unique("messages");
    let () = redis.set(&key, "text").await.expect("it is set");
    vec![
        (
            "Operation against a key holding the wrong kind of value",
            of(redis.lrange::<_, Vec<String>>(&key, 0, 1).await),
        ),
        (
            "Incompatible type - ... Could not convert from string",
            of(redis.get::<_, i32>(&key).await),
        ),
        (
            "Incompatible type - ... Response type not string compatible. ... (value was nil)",
            of(redis.get::<_, String>(unique("missing")).await),
        ),
        (
            "ResponseError: wrong number of arguments for '...' command",
            of(cmd("GET").query_async::<()>(&mut redis).await),
        ),
        (
            "ResponseError: value is not an integer or out of range",
            of(redis.incr::<_, _, i32>(&key, 1).await),
        ),
        (
            "ResponseError: unknown command",
            of(cmd("NOPE").query_async::<()>(&mut redis).await),
        ),
        (
            "can't connect with TLS, the feature is not enabled",
            of(Client::open("rediss://127.0.0.1/")),
        ),
        (
            "Redis URL did not parse",
            of(Client::open("127.0.0.1:6379")),
        ),
        // The last one: what is sent behind a blocking command waits for it.
        (
            "timed out",
            of(redis.blpop::<_, ()>(unique("nothing"), 60.0).await),
        ),
    ]
}

#[tokio::test]
async fn each_message_is_provoked() {
    let provoked = [of_postgres().await, of_redis().await].concat();
    let mut provoked: BTreeMap<&str, String> = provoked.into_iter().collect();
    let table = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/messages.tsv");
    let table = fs::read_to_string(table).expect("the table");
    for row in table.lines() {
        let mut columns = row.split('\t');
        if !["tokio-postgres", "redis"]
            .map(Some)
            .contains(&columns.next())
        {
            continue;
        }
        let message = columns.next().unwrap_or_default();
        let text = provoked.remove(message);
        let mut rest = text.unwrap_or_else(|| panic!("nothing provokes `{message}`"));
        for part in message.split("...") {
            let (_, after) = rest.split_once(part.trim()).unwrap_or_else(|| {
                panic!("`{part}` of `{message}` is not in `{rest}`");
            });
            rest = after.to_owned();
        }
    }
    assert!(provoked.is_empty(), "no rows of the table: {provoked:#?}");
}
