//! The parts of the service without a process, and its routes without a socket.

#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "these are tests, which fail by it")]

use std::fs;
use std::time::Duration;

use app::observe::Metrics;
use app::routes::{AppState, limited, routes};
use app::server::{self, Limits};
use app::shutdown::{self, Stop};
use app::store::{Page, Store};
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{Method, Request, StatusCode};
use axum::routing::{get, post};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

mod databases;
use databases::Empty;

/// No machine is so busy that this runs out.
const LIMIT: Duration = Duration::from_secs(30);

/// One client that never reads has the only connection, until its age.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_never_reads_is_cut_off() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let limits = Limits {
        connections: 1,
        age: Duration::from_millis(200),
        last_request: Duration::from_millis(200),
        ..Limits::default()
    };
    let long = async || "x".repeat(1 << 20);
    let routes = Router::new().route("/", get(long));
    let server = server::serve(listener, routes, CancellationToken::new(), limits);
    let server = tokio::spawn(server);
    let get = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n";
    let mut silent = tokio::net::TcpStream::connect(address).await.unwrap();
    silent.write_all(&get.repeat(100)).await.unwrap();
    // When a part of a response is there, the connection is served.
    silent.readable().await.unwrap();
    let mut other = tokio::net::TcpStream::connect(address).await.unwrap();
    other.write_all(get).await.unwrap();
    let answer = timeout(LIMIT, other.read_u8()).await;
    assert_eq!(answer.expect("it is served").unwrap(), b'H');
    server.abort();
}

/// A service that fails after the signal does not cut the others off.
#[tokio::test]
async fn the_others_end_after_one_has_failed_in_the_drain() {
    let (stop, mut services) = (Stop::default(), JoinSet::new());
    let stopped = stop.accepting.clone();
    services.spawn(async move {
        stopped.cancelled().await;
        anyhow::bail!("the disk is full")
    });
    let (ends, mut has_ended) = oneshot::channel();
    let stopped = stop.accepting.clone();
    services.spawn(async move {
        stopped.cancelled().await;
        sleep(Duration::from_millis(50)).await;
        let _ = ends.send(());
        Ok(())
    });
    let mut signals = 0;
    let signal = async move || {
        signals += 1;
        if signals > 1 {
            std::future::pending::<()>().await;
        }
    };
    let error = shutdown::finish(services, signal, stop, Duration::ZERO, LIMIT).await;
    assert_eq!(error.unwrap_err().to_string(), "the disk is full");
    assert_eq!(
        has_ended.try_recv(),
        Ok(()),
        "before the end of the program"
    );
}

async fn service(database: &Empty, queue: usize) -> Router {
    let (store, _) = Store::open(database.database(), queue).await.unwrap();
    let metrics = Metrics::default();
    let stopping = CancellationToken::new();
    routes(AppState {
        store,
        metrics,
        stopping,
    })
}

async fn call(routes: &Router, method: Method, path: &str, body: &str) -> (u16, Value) {
    let request = Request::builder().method(method).uri(path);
    let request = request.header("content-type", "application/json");
    let request = request.body(Body::from(body.to_owned())).unwrap();
    let response = routes.clone().oneshot(request).await.unwrap();
    let status = response.status().as_u16();
    let body = to_bytes(response.into_body(), usize::MAX).await.unwrap();
    (status, serde_json::from_slice(&body).unwrap_or_default())
}

#[tokio::test]
async fn notes_are_added_read_and_listed_in_pages() {
    for database in databases::all("pages").await {
        pages(service(&database, 10).await).await;
    }
}

async fn pages(routes: Router) {
    for id in 1..=5 {
        let body = json!({ "text": format!("note {id}") }).to_string();
        let (status, note) = call(&routes, Method::POST, "/notes", &body).await;
        assert_eq!((status, &note["id"]), (201, &json!(id)));
        let path = format!("/notes/{id}");
        assert_eq!(call(&routes, Method::GET, &path, "").await, (200, note));
    }
    let ids = async |path| {
        let (status, page) = call(&routes, Method::GET, path, "").await;
        assert_eq!(status, 200, "{page}");
        let notes = page["notes"].as_array().unwrap().iter();
        notes
            .map(|note| note["id"].as_i64().unwrap())
            .collect::<Vec<_>>()
    };
    assert_eq!(ids("/notes").await, [1, 2, 3, 4, 5]);
    assert_eq!(ids("/notes?limit=2").await, [1, 2]);
    assert_eq!(ids("/notes?limit=2&after=2").await, [3, 4]);
    assert_eq!(ids("/notes?after=5").await, [0; 0]);
}

#[tokio::test]
async fn each_wrong_request_has_a_code_and_a_message() {
    for database in databases::all("wrong_requests").await {
        wrong_requests(service(&database, 10).await).await;
    }
}

async fn wrong_requests(routes: Router) {
    let long = json!({ "text": "ä".repeat(1_001) }).to_string();
    let too_large = json!({ "text": "x".repeat(16 * 1024) }).to_string();
    let post = |body| (Method::POST, "/notes", body);
    for ((method, path, body), status, code) in [
        (post(r#"{"text": ""}"#), 422, "invalid"),
        (post(r#"{"text": " \n"}"#), 422, "invalid"),
        (post(r#"{"text": "a\u0000"}"#), 422, "invalid"),
        (post(&long), 422, "invalid"),
        (post(&too_large), 413, "invalid_body"),
        (post(r#"{"text": 1}"#), 422, "invalid_body"),
        (post(r#"{"text": "x", "id": 7}"#), 422, "invalid_body"),
        (post("{}"), 422, "invalid_body"),
        (post("{"), 400, "invalid_body"),
        ((Method::GET, "/notes/7", ""), 404, "not_found"),
        ((Method::GET, "/notes/x", ""), 404, "not_found"),
        ((Method::GET, "/nowhere", ""), 404, "not_found"),
        ((Method::GET, "/notes?limit=256", ""), 400, "invalid_query"),
    ] {
        let (said, error) = call(&routes, method, path, body).await;
        assert_eq!(
            (said, &error["code"]),
            (status, &json!(code)),
            "{path} {body}"
        );
        assert!(!error["message"].as_str().unwrap().is_empty());
    }
}

/// The connection waits for a lock, one call waits in the queue, the next is refused.
#[tokio::test]
async fn a_full_queue_is_answered_with_503() {
    let database = Empty::sqlite();
    let routes = service(&database, 1).await;
    let other = rusqlite::Connection::open(database.path()).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let mut calls = JoinSet::new();
    let mut refused = None;
    while refused.is_none() {
        let routes = routes.clone();
        let body = json!({ "text": "note" }).to_string();
        calls.spawn(async move {
            let request =
                Request::post("/notes").header("content-type", "application/json");
            let request = request.body(Body::from(body)).unwrap();
            routes.oneshot(request).await.unwrap()
        });
        let answer = timeout(Duration::from_millis(1), calls.join_next()).await;
        refused = answer.ok().flatten();
    }
    let refused = refused.unwrap().unwrap();
    assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(refused.headers()["retry-after"], "1");
    // What does not need the store is answered while it hangs.
    assert_eq!(call(&routes, Method::GET, "/health", "").await.0, 200);
    // A load balancer sends no more.
    assert_eq!(call(&routes, Method::GET, "/ready", "").await.0, 503);
}

/// What a client sends comes into each line of the log, and back to it.
#[tokio::test]
async fn an_id_of_a_proxy_is_taken_if_it_is_short() {
    let database = Empty::sqlite();
    let routes = service(&database, 10).await;
    let (short, long) = ("x".repeat(64), "x".repeat(65));
    for (id, is_taken) in [("a", true), (&*short, true), (&*long, false), ("", false)] {
        let request = Request::get("/health").header("x-request-id", id);
        let request = request.body(Body::empty()).unwrap();
        let response = routes.clone().oneshot(request).await.unwrap();
        let said = response.headers()["x-request-id"].to_str().unwrap();
        assert_eq!(said == id, is_taken, "{id}: {said}");
        assert!(!said.is_empty());
    }
}

/// A label is a route, so paths of clients do not make series.
#[tokio::test]
async fn a_path_is_no_label_of_a_metric() {
    let database = Empty::sqlite();
    let routes = service(&database, 10).await;
    for number in 1..=20 {
        for path in [format!("/notes/{number}"), format!("/nowhere/{number}")] {
            assert_eq!(call(&routes, Method::GET, &path, "").await.0, 404);
        }
    }
    let request = Request::get("/metrics").body(Body::empty()).unwrap();
    let page = routes.oneshot(request).await.unwrap().into_body();
    let page = to_bytes(page, usize::MAX).await.unwrap();
    let page = String::from_utf8(page.to_vec()).unwrap();
    let series = page
        .lines()
        .filter(|line| line.starts_with("requests_total{"));
    let mut series: Vec<_> = series.collect();
    series.sort_unstable();
    let expected = ["/notes/{id}", "none"]
        .map(|route| format!("requests_total{{route=\"{route}\",status=\"404\"}} 20"));
    assert_eq!(series, expected);
}

#[tokio::test]
async fn a_metric_counts_the_tasks() {
    let metrics = Metrics::default();
    let mut tasks = JoinSet::new();
    for expected in ["tasks 0\n", "tasks 1\n", "tasks 2\n"] {
        let page = metrics.page().unwrap();
        assert!(page.contains(expected), "{expected} {page}");
        tasks.spawn(std::future::pending::<()>());
    }
}

/// A database of version 1, as the first release made it.
#[tokio::test]
async fn an_old_database_is_migrated_and_a_newer_one_refused() {
    let database = Empty::sqlite();
    let db = rusqlite::Connection::open(database.path()).unwrap();
    db.execute_batch(
        "CREATE TABLE note
         (id INTEGER PRIMARY KEY AUTOINCREMENT, text TEXT NOT NULL) STRICT;
         INSERT INTO note (text) VALUES ('old');
         PRAGMA user_version = 1",
    )
    .unwrap();
    for _ in 0..2 {
        let (store, ended) = Store::open(database.database(), 1).await.unwrap();
        let notes = store.list(Page::default()).await.unwrap();
        assert_eq!(notes[0].text, "old");
        drop(store);
        timeout(LIMIT, ended).await.expect("it ends").unwrap();
    }
    db.execute_batch("PRAGMA user_version = 99").unwrap();
    let Err(error) = Store::open(database.database(), 1).await else {
        panic!("a newer database is opened");
    };
    assert!(error.to_string().contains("version 99"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_slow_request_is_answered_with_504_and_a_panic_with_500() {
    async fn broken() -> String {
        panic!("on purpose")
    }
    let router = Router::new()
        .route("/broken", get(broken))
        .route("/slow", get(std::future::pending::<()>));
    let metrics = Metrics::default();
    let routes = limited(router, metrics.clone());
    let (status, error) = call(&routes, Method::GET, "/broken", "").await;
    assert_eq!((status, &error["code"]), (500, &json!("internal")));
    let late = timeout(2 * LIMIT, call(&routes, Method::GET, "/slow", "")).await;
    assert_eq!(late.expect("a limit").0, 504);

    // A client that leaves is counted as well.
    let leaves = call(&routes, Method::GET, "/slow", "");
    timeout(Duration::from_secs(1), leaves).await.unwrap_err();
    let page = metrics.page().unwrap();
    for (route, status) in [("/broken", 500), ("/slow", 504), ("/slow", 499)] {
        let series = format!("requests_total{{route=\"{route}\",status=\"{status}\"}} 1");
        assert!(page.contains(&series), "{series}\n{page}");
    }
}

/// The limit of axum alone binds `Json` and `Bytes` only.
#[tokio::test]
async fn a_handler_that_takes_the_request_has_a_limit_for_its_body() {
    async fn read(body: Body) -> StatusCode {
        match to_bytes(body, usize::MAX).await {
            Ok(_) => StatusCode::OK,
            Err(_) => StatusCode::PAYLOAD_TOO_LARGE,
        }
    }
    let raw = async |request: Request<Body>| read(request.into_body()).await;
    let router = Router::new()
        .route("/body", post(read))
        .route("/raw", post(raw));
    let routes = limited(router, Metrics::default());
    for path in ["/body", "/raw"] {
        for (length, status) in [(16 * 1024, 200), (16 * 1024 + 1, 413)] {
            let body = "x".repeat(length);
            let (said, _) = call(&routes, Method::POST, path, &body).await;
            assert_eq!(said, status, "{path}, {length} bytes");
        }
    }
}

/// Rename it in Cargo.toml, and nothing else.
#[test]
fn no_source_contains_the_name_of_the_package() {
    let package = env!("CARGO_PKG_NAME");
    let folder = env!("CARGO_MANIFEST_DIR");
    for folder in
        ["src", "src/store", "tests", "tests/service"].map(|it| format!("{folder}/{it}"))
    {
        let paths = fs::read_dir(folder)
            .unwrap()
            .map(|file| file.unwrap().path());
        for path in paths.filter(|path| path.is_file()) {
            let text = fs::read_to_string(&path).unwrap();
            for name in [format!("{package}::"), format!("EXE_{package}")] {
                assert!(!text.contains(&name), "{name} in {}", path.display());
            }
        }
    }
}

/// The attempt is counted before the job is begun, and the fifth is the last.
#[tokio::test]
async fn a_job_that_never_ends_is_begun_five_times_and_holds_up_no_other() {
    for database in databases::all("five_times").await {
        let (store, _) = Store::open(database.database(), 10).await.unwrap();
        let bad = store.add("bad".to_owned()).await.unwrap().id;
        for attempt in 1..=5 {
            let mut late = store.next_job().await.unwrap().unwrap();
            assert_eq!((late.note, late.attempt), (bad, attempt));
            let good = store.add("good".to_owned()).await.unwrap().id;
            let job = store.next_job().await.unwrap().unwrap();
            assert_eq!((job.note, job.attempt), (good, 1));
            store.complete(job, 1).await.unwrap();
            // Too late: it does not change a job that has been begun again.
            late.attempt -= 1;
            store.complete(late, 1).await.unwrap();
            databases::expire("five_times", &database.setting).await;
        }
        assert_eq!(store.next_job().await.unwrap(), None);
        assert_eq!(store.get(bad).await.unwrap().unwrap().words, None);
    }
}
