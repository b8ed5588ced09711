//! HTTP and SQLite, beside what asyncio's users take for them: aiohttp and aiosqlite.

use std::time::Duration;

use axum::extract::Path;
use axum::response::Json;
use axum::routing::get;
use axum::{Router, serve};
use rusqlite::Connection;
use rustix::time::ClockId;
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;
use tokio_util::task::AbortOnDropHandle;

use crate::examples::real_world::async_sqlite::Database;
use crate::examples::real_world::http_requests::{client, fetch_json};
use crate::examples::real_world::sqlite_batch_insert::insert_all;
use crate::row::{Results as _, Row, Work, clocked, for_each, row, timed};

/// In the order of the table.
pub fn rows() -> Vec<Row> {
    vec![
        // Both limit the time of each request, and look at its status.
        row("http_requests", "real-world/http_requests", 4_000)
            .title("{n} requests for JSON, 50 at once, client and server {on}")
            .ours(http_requests)
            .asyncio("http_requests.bench", Some((4.8, 4.1)))
            .also_on_all_cores(),
        // Both keep the prepared statement. aiosqlite is used as its documentation shows
        // it, with a cursor: three trips to its thread, to execute, fetch and close. Ours
        // makes one trip, and stops a query whose caller leaves; aiosqlite lets it run.
        row("sqlite_select", "real-world/async_sqlite", 10_000)
            .title("{n} rows from SQLite by their key, one after the other")
            .ours(|n| select(1, n))
            .asyncio("sqlite.select_1", Some((8.8, 5.4))),
        // With ten callers the thread is awake more often, and need not be woken.
        row("sqlite_select_10", "real-world/async_sqlite", 20_000)
            .title("{n} rows from SQLite by their key, for ten callers, {on}")
            .ours(|n| select(10, n))
            .asyncio("sqlite.select_10", None)
            .also_on_all_cores(),
        // aiosqlite at its best: `execute_fetchall` makes one trip as well. What is left
        // on our side is mostly two threads that wake each other.
        row("sqlite_select_one_trip", "real-world/async_sqlite", 10_000)
            .title(
                "{n} rows from SQLite one after the other, in one trip each on either side",
            )
            .ours(|n| select(1, n))
            .asyncio("sqlite.select_one_trip", None),
        row("sqlite_insert", "real-world/sqlite_batch_insert", 100_000)
            .title("{n} rows into SQLite, in one transaction")
            .ours(insert)
            .asyncio("sqlite.insert", None),
    ]
}

#[derive(Serialize, Deserialize)]
struct Post {
    id: u64,
    title: String,
}

async fn post(Path(id): Path<u64>) -> Json<Post> {
    let title = format!("Title {id}");
    Json(Post { id, title })
}

async fn http_requests(size: u64) -> Work {
    let listener = TcpListener::bind("127.0.0.1:0").await;
    let listener = listener.expect("there is a port");
    let address = listener.local_addr().expect("it is bound");
    let app = Router::new().route("/posts/{id}", get(post));
    let server = tokio::spawn(serve(listener, app).into_future());
    let _server = AbortOnDropHandle::new(server);
    let client = client(Duration::from_secs(5), Duration::from_secs(30));
    let client = client.expect("the options fit");
    let requests = async {
        for_each!(50, size, client, |id| {
            let request = client.get(format!("http://{address}/posts/{id}"));
            let post: Post = fetch_json(request).await.expect("it answers");
            post.id + post.title.len() as u64
        })
    };
    timed(requests).await
}

/// How many rows the table `users` has.
const ROWS: u64 = 10_000;

struct User {
    name: String,
    age: u32,
}

fn users() -> rusqlite::Result<Connection> {
    let connection = Connection::open_in_memory()?;
    connection.execute_batch(
        "CREATE TABLE users (id INTEGER PRIMARY KEY, name TEXT NOT NULL, age INTEGER)",
    )?;
    let insert = "INSERT INTO users VALUES (?1, 'User ' || ?1, ?1 % 100)";
    for id in 0..ROWS as u32 {
        connection.prepare_cached(insert)?.execute([id])?;
    }
    Ok(connection)
}

fn find(connection: &Connection, id: u32) -> rusqlite::Result<User> {
    let query = "SELECT name, age FROM users WHERE id = ?1";
    connection.prepare_cached(query)?.query_row([id], |row| {
        let (name, age) = (row.get("name")?, row.get("age")?);
        Ok(User { name, age })
    })
}

async fn select(callers: u64, size: u64) -> Work {
    let database = Database::open(users).await.expect("there is memory");
    let queries = async {
        for_each!(callers, size, database, |number| {
            let id = (number * 7919 % ROWS) as u32;
            let call = database.call(move |connection| find(connection, id));
            let user = call.await.expect("it is open").expect("it is there");
            u64::from(user.age) + user.name.len() as u64
        })
    };
    timed(queries).await
}

async fn insert(size: u64) -> Work {
    let folder = tempfile::tempdir().expect("there is room");
    let path = folder.path().join("readings.db");
    let open = move || {
        let connection = Connection::open(path)?;
        connection.execute_batch(
            "PRAGMA synchronous = OFF; PRAGMA journal_mode = MEMORY;
             CREATE TABLE readings (id INTEGER PRIMARY KEY, celsius REAL)",
        )?;
        Ok(connection)
    };
    let database = Database::open(open).await.expect("there is room");
    let rows: Vec<(u32, f64)> = (0..size as u32)
        .map(|id| (id, f64::from(id) / 2.0))
        .collect();
    let insert = "INSERT INTO readings VALUES (?1, ?2)";
    let inserting = database.call(move |connection| insert_all(connection, insert, rows));
    let (value, inserted) = clocked(ClockId::Monotonic, inserting).await;
    inserted.expect("it is open").expect("they are new");
    let query = "SELECT count(*), sum(id) FROM readings";
    let count = database.call(move |connection| {
        connection.query_row(query, [], |row| Ok((row.get(0)?, row.get(1)?)))
    });
    let count = count.await.expect("it is open");
    let (items, sum): (u32, i64) = count.expect("the table is there");
    (items.into(), sum.unsigned_abs()).work(value)
}
