//! HTTP, SQLite, files and a scraper, beside what asyncio's users take for them.

use std::fs;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use axum::extract::Path;
use axum::response::{Html, Json};
use axum::routing::get;
use axum::{Router, serve};
use futures::{StreamExt, stream};
use reqwest::Url;
use rusqlite::{Connection, Row};
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use catalog::speed::Unit;

use crate::components::async_sqlite::Database;
use crate::components::http_requests::{client, fetch_json};
use crate::components::sqlite_batch_insert::{Reading, insert_all};
use crate::components::web_scraper::{Fetched, Options, scrape};
use crate::measurement::{
    Measurement, Work, asyncio, asyncio_as, one_thread, ours, runtime, timed, uvloop,
    uvloop_as,
};

/// In the order of the table. As with the primitives, what was agreed holds on one thread,
/// which is what asyncio has.
pub const ALL: &[Measurement] = &[
    // Both have limits in time for each request, and look at its status.
    Measurement {
        name: "http_requests",
        title: "{n} requests for JSON, 50 at once, client and server on one thread",
        example: "real-world/http_requests",
        unit: Unit::Seconds,
        size: 4_000,
        at_most: None,
        contestants: &[
            ours(|size| http_requests(&one_thread(), size)),
            asyncio(Some(4.8)),
            uvloop(Some(4.1)),
        ],
    },
    Measurement {
        name: "http_requests_threads",
        title: "{n} requests for JSON, 50 at once, on a thread for each core",
        example: "real-world/http_requests",
        unit: Unit::Seconds,
        size: 4_000,
        at_most: None,
        contestants: &[
            ours(|size| http_requests(&runtime(), size)),
            asyncio_as("http_requests", None),
            uvloop_as("http_requests", None),
        ],
    },
    // Both keep the prepared statement. aiosqlite is used as its documentation shows it,
    // with a cursor, which is three trips to its thread: execute, fetch, close. Ours is
    // one, and a query that is given up is stopped, which aiosqlite lets run.
    Measurement {
        name: "sqlite_select",
        title: "{n} rows from SQLite by their key, one after the other",
        example: "real-world/async_sqlite",
        unit: Unit::Seconds,
        size: 10_000,
        at_most: None,
        contestants: &[
            ours(|size| select(&one_thread(), size, 1)),
            asyncio(Some(8.8)),
            uvloop(Some(5.4)),
        ],
    },
    // The same for ten at once: the thread is found awake more often, and need not be
    // woken.
    Measurement {
        name: "sqlite_select_10",
        title: "{n} rows from SQLite by their key, for ten callers, on one thread",
        example: "real-world/async_sqlite",
        unit: Unit::Seconds,
        size: 20_000,
        at_most: None,
        contestants: &[
            ours(|size| select(&one_thread(), size, 10)),
            asyncio(None),
            uvloop(None),
        ],
    },
    Measurement {
        name: "sqlite_select_10_threads",
        title: "{n} rows from SQLite for ten callers, on a thread for each core",
        example: "real-world/async_sqlite",
        unit: Unit::Seconds,
        size: 20_000,
        at_most: None,
        contestants: &[
            ours(|size| select(&runtime(), size, 10)),
            asyncio_as("sqlite_select_10", None),
            uvloop_as("sqlite_select_10", None),
        ],
    },
    // aiosqlite at its best: `execute_fetchall` is one trip as well. What is left on our
    // side is mostly two threads that wake each other.
    Measurement {
        name: "sqlite_select_one_trip",
        title: "{n} rows from SQLite one after the other, in one trip each on either side",
        example: "real-world/async_sqlite",
        unit: Unit::Seconds,
        size: 10_000,
        at_most: None,
        contestants: &[
            ours(|size| select(&one_thread(), size, 1)),
            asyncio(None),
            uvloop(None),
        ],
    },
    // On Python's side the rows are tuples from the start, and not made from a dataclass
    // as in the twin, which takes longer than their insertion.
    Measurement {
        name: "sqlite_insert",
        title: "{n} rows into SQLite, in one transaction",
        example: "real-world/sqlite_batch_insert",
        unit: Unit::Seconds,
        size: 100_000,
        at_most: None,
        contestants: &[
            ours(|size| insert(&one_thread(), size)),
            asyncio(None),
            uvloop(None),
        ],
    },
    // `fs::read` opens, reads and closes in one trip to another thread; aiofiles makes a
    // trip for each of the three. Tokio has a thread for each file that is read at once,
    // asyncio four more than there are cores.
    Measurement {
        name: "read_files",
        title: "{n} files of 4 kB read whole, at most 50 at once",
        example: "best-practices/file_io_speed",
        unit: Unit::Seconds,
        size: 2_000,
        at_most: None,
        contestants: &[
            ours(|size| read_files(&one_thread(), size)),
            asyncio(None),
            uvloop(None),
        ],
    },
    // Python without aiofiles, as in the twin: `asyncio.to_thread(path.read_bytes)`.
    Measurement {
        name: "read_files_one_trip",
        title: "{n} files of 4 kB read whole, in one trip to a thread on either side",
        example: "best-practices/file_io_speed",
        unit: Unit::Seconds,
        size: 2_000,
        at_most: None,
        contestants: &[
            ours(|size| read_files(&one_thread(), size)),
            asyncio(None),
            uvloop(None),
        ],
    },
    // The site is served to each scraper by the same program, in a process of its own.
    // The twin parses the pages with Python's `html.parser`; ours only looks for links.
    Measurement {
        name: "web_scraper",
        title: "A site of {n} pages scraped, ten requests at once, on one thread",
        example: "real-world/web_scraper",
        unit: Unit::Seconds,
        size: 1_000,
        at_most: None,
        contestants: &[
            ours(|size| web_scraper(&one_thread(), size)),
            asyncio(None),
            uvloop(None),
        ],
    },
    Measurement {
        name: "web_scraper_threads",
        title: "A site of {n} pages scraped, ten requests at once, on a thread for each core",
        example: "real-world/web_scraper",
        unit: Unit::Seconds,
        size: 1_000,
        at_most: None,
        contestants: &[
            ours(|size| web_scraper(&runtime(), size)),
            asyncio_as("web_scraper", None),
            uvloop_as("web_scraper", None),
        ],
    },
];

/// Items, and their sum.
fn add((items, sum): (u64, u64), part: (u64, u64)) -> (u64, u64) {
    (items + part.0, sum + part.1)
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

fn http_requests(runtime: &Runtime, size: u64) -> Work {
    const AT_ONCE: u64 = 50;
    runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await;
        let listener = listener.expect("there is a port");
        let address = listener.local_addr().expect("it is bound");
        let app = Router::new().route("/posts/{id}", get(post));
        let _server =
            AbortOnDropHandle::new(tokio::spawn(serve(listener, app).into_future()));
        let client = client(Duration::from_secs(5), Duration::from_secs(30));
        let client = client.expect("the options fit");
        let all = async {
            let mut tasks = JoinSet::new();
            for first in 0..AT_ONCE {
                let client = client.clone();
                tasks.spawn(async move {
                    let mut fetched = (0, 0);
                    for id in (first..size).step_by(AT_ONCE as usize) {
                        let request = client.get(format!("http://{address}/posts/{id}"));
                        let post: Post = fetch_json(request).await.expect("it answers");
                        fetched = add(fetched, (1, post.id + post.title.len() as u64));
                    }
                    fetched
                });
            }
            tasks.join_all().await
        };
        let (time, parts) = timed(all).await;
        let (items, sum) = parts.into_iter().fold((0, 0), add);
        Work::timed(time, items, sum)
    })
}

/// How many rows there are to select from.
const ROWS: u32 = 10_000;

/// A row of the table `users`.
struct User {
    name: String,
    age: u32,
}

impl User {
    fn from_row(row: &Row<'_>) -> rusqlite::Result<Self> {
        let (name, age) = (row.get("name")?, row.get("age")?);
        Ok(Self { name, age })
    }
}

fn users() -> rusqlite::Result<Connection> {
    let connection = Connection::open_in_memory()?;
    connection.execute_batch(
        "CREATE TABLE users (id INTEGER PRIMARY KEY, name TEXT NOT NULL, age INTEGER)",
    )?;
    let insert = "INSERT INTO users VALUES (?1, 'User ' || ?1, ?1 % 100)";
    for id in 0..ROWS {
        connection.prepare_cached(insert)?.execute([id])?;
    }
    Ok(connection)
}

fn find(connection: &Connection, id: u32) -> rusqlite::Result<User> {
    let query = "SELECT name, age FROM users WHERE id = ?1";
    let mut find = connection.prepare_cached(query)?;
    find.query_row([id], User::from_row)
}

fn select(runtime: &Runtime, size: u64, callers: u64) -> Work {
    runtime.block_on(async {
        let database = Database::open(users).await.expect("there is memory");
        let all = async {
            let mut tasks = JoinSet::new();
            for first in 0..callers {
                let database = database.clone();
                tasks.spawn(async move {
                    let mut found = (0, 0);
                    for number in (first..size).step_by(callers as usize) {
                        let id = (number * 7919 % u64::from(ROWS)) as u32;
                        let call = database.call(move |connection| find(connection, id));
                        let user = call.await.expect("it is open").expect("it is there");
                        found =
                            add(found, (1, u64::from(user.age) + user.name.len() as u64));
                    }
                    found
                });
            }
            tasks.join_all().await
        };
        let (time, parts) = timed(all).await;
        let (items, sum) = parts.into_iter().fold((0, 0), add);
        Work::timed(time, items, sum)
    })
}

fn insert(runtime: &Runtime, size: u64) -> Work {
    runtime.block_on(async {
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
        let reading = |id| Reading {
            id,
            celsius: f64::from(id) / 2.0,
        };
        let rows: Vec<Reading> = (0..size as u32).map(reading).collect();
        let insert = database.call(move |connection| insert_all(connection, &rows));
        let (time, inserted) = timed(insert).await;
        inserted.expect("it is open").expect("they are new");
        let query = "SELECT count(*), sum(id) FROM readings";
        let count = database.call(move |connection| {
            connection.query_row(query, [], |row| Ok((row.get(0)?, row.get(1)?)))
        });
        let count = count.await.expect("it is open");
        let (items, sum): (u32, i64) = count.expect("the table is there");
        Work::timed(time, items.into(), sum.unsigned_abs())
    })
}

fn read_files(runtime: &Runtime, size: u64) -> Work {
    const AT_ONCE: usize = 50;
    let folder = tempfile::tempdir().expect("there is room");
    let write = |number: u64| {
        let path = folder.path().join(number.to_string());
        let bytes = [(number % 256) as u8; 4096];
        fs::write(&path, bytes).expect("there is room");
        path
    };
    let paths: Vec<PathBuf> = (0..size).map(write).collect();
    runtime.block_on(async {
        let all = async {
            let read = |path| async {
                let bytes = tokio::fs::read(path).await.expect("it is there");
                let last = bytes.last().copied().unwrap_or_default();
                (1, bytes.len() as u64 + u64::from(last))
            };
            let files = stream::iter(paths).map(read).buffer_unordered(AT_ONCE);
            files.fold((0, 0), async |all, file| add(all, file)).await
        };
        let (time, (items, sum)) = timed(all).await;
        Work::timed(time, items, sum)
    })
}

/// A page that links to ten others, some of which other pages link to as well.
fn page(number: u64, pages: u64) -> String {
    let links = (1..=10).map(|link| (number * 7 + link * link) % pages);
    let link =
        |target| format!("<p>To <a class=\"link\" href=\"/{target}\">it</a>.</p>\n");
    let links: String = links.map(link).collect();
    let text = "<p>A line of text, with <b>a few</b> words in it.</p>\n".repeat(40);
    format!("<html><body><h1>Page {number}</h1>\n{links}{text}</body></html>\n")
}

/// Serves a site of so many pages to either scraper. Prints its port, and ends with its
/// input, which its user has in hand.
pub fn site(pages: u64) -> anyhow::Result<()> {
    let page = async move |Path(number): Path<u64>| Html(page(number, pages));
    let app = Router::new()
        .route("/robots.txt", get("User-agent: *\nDisallow: /private/\n"))
        .route("/{number}", get(page));
    runtime().block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        println!("{}", listener.local_addr()?.port());
        io::stdout().flush()?;
        let _server =
            AbortOnDropHandle::new(tokio::spawn(serve(listener, app).into_future()));
        let end = || io::stdin().read_to_end(&mut Vec::new());
        tokio::task::spawn_blocking(end).await??;
        Ok(())
    })
}

/// The process that serves the site.
struct Site {
    process: Child,
    url: Url,
}

impl Site {
    fn start(pages: u64) -> anyhow::Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("site").arg(pages.to_string());
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = command.spawn()?;
        let mut port = String::new();
        if let Some(output) = process.stdout.take() {
            BufReader::new(output).read_line(&mut port)?;
        }
        let url = format!("http://127.0.0.1:{}/0", port.trim()).parse()?;
        Ok(Self { process, url })
    }

    /// Ends it.
    fn stop(mut self) -> io::Result<()> {
        drop(self.process.stdin.take());
        self.process.wait().map(drop)
    }
}

fn web_scraper(runtime: &Runtime, size: u64) -> Work {
    let site = Site::start(size).expect("this program can be started");
    let options = Options {
        at_once: 10,
        per_host: 10,
        delay: Duration::ZERO,
        depth: 1_000,
        pages: size as usize,
        ..Options::default()
    };
    let work = runtime.block_on(async {
        let client = options.client().no_proxy().tls_certs_only([]).build();
        let client = client.expect("the options fit");
        let (sender, mut results) = mpsc::channel(1);
        let (first, stop) = (vec![site.url.clone()], CancellationToken::new());
        let scraping = scrape(&client, first, &options, &stop, sender);
        let adding = async {
            let mut scraped = (0, 0);
            while let Some((url, outcome)) = results.recv().await {
                match outcome {
                    Ok(Fetched::Page { body, links }) => {
                        let sum = body.len() + links.len();
                        scraped = add(scraped, (1, sum as u64));
                    }
                    other => panic!("{url} is no page: {other:?}"),
                }
            }
            scraped
        };
        let both = async { tokio::join!(scraping, adding).1 };
        let (time, (items, sum)) = timed(both).await;
        Work::timed(time, items, sum)
    });
    site.stop().expect("it ends with its input");
    work
}
