use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::http::{HeaderMap, HeaderValue, Request, header};
use axum::routing::{get, post};
use futures::stream;
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};
use tower::ServiceExt;

use super::support::{child_of, poll_and_drop};
use crate::axum_service::{App, User, layers, routes};

const LIMIT: Duration = Duration::from_secs(5);

fn app() -> Arc<App> {
    let tokens = [("a", "Ann"), ("b", "Ben")];
    let tokens = tokens.map(|(token, name)| (token.to_owned(), name.to_owned()));
    App::new(HashMap::from(tokens))
}

fn layered(routes: Router) -> Router {
    let origin = HeaderValue::from_static("https://app.example");
    layers(routes, origin, 1_000, LIMIT)
}

async fn answer(app: &Router, request: Request<Body>) -> (u16, HeaderMap, Value) {
    let response = app.clone().oneshot(request).await.expect("it cannot fail");
    let (parts, body) = response.into_parts();
    let body = to_bytes(body, 1 << 20).await.expect("whole");
    let json = serde_json::from_slice(&body).unwrap_or_default();
    (parts.status.as_u16(), parts.headers, json)
}

fn request(
    method: &str,
    path: &str,
    authorization: &str,
) -> axum::http::request::Builder {
    Request::builder()
        .method(method)
        .uri(path)
        .header(header::AUTHORIZATION, authorization)
        .header(header::CONTENT_TYPE, "application/json")
}

async fn send(app: &Router, method: &str, path: &str, body: &str) -> (u16, Value) {
    let request = request(method, path, "Bearer a");
    let body = Body::from(body.to_owned());
    let (status, _, json) = answer(app, request.body(body).expect("valid")).await;
    (status, json)
}

#[tokio::test(start_paused = true)]
async fn every_error_is_json() {
    let app = layered(
        routes(app())
            .route("/slow", get(async || sleep(2 * LIMIT).await))
            .route("/panics", get(async || -> () { panic!("scheduled") }))
            .route(
                "/endless",
                get(async || {
                    let endless = stream::repeat_with(|| Ok::<_, Infallible>("x"));
                    (
                        axum::http::StatusCode::IM_A_TEAPOT,
                        Body::from_stream(endless),
                    )
                }),
            ),
    );
    let large = format!("{{\"text\": \"{}\"}}", "x".repeat(1_000));
    for (method, path, body, status) in [
        ("GET", "/nothing", "", 404),
        ("DELETE", "/notes", "", 405),
        ("GET", "/notes/1", "", 404),
        ("GET", "/notes/one", "", 400),
        ("GET", "/notes?limit=-1", "", 400),
        ("POST", "/notes", "{", 400),
        ("POST", "/notes", "{}", 422),
        ("POST", "/notes", "{\"text\": 1}", 422),
        ("POST", "/notes", "{\"text\": \"\"}", 422),
        ("POST", "/notes", &large, 413),
        ("GET", "/slow", "", 504),
        ("GET", "/panics", "", 500),
        ("GET", "/endless", "", 418),
    ] {
        let (answered, json) = send(&app, method, path, body).await;
        assert_eq!(answered, status, "{method} {path} {body}");
        assert!(!json["error"].as_str().expect("JSON").is_empty(), "{path}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_handler_is_dropped_after_its_time() {
    let held = Arc::new(());
    let inside = Arc::clone(&held);
    let slow = async move || {
        let held = Arc::clone(&inside);
        sleep(2 * LIMIT).await;
        drop(held);
    };
    let app = layered(Router::new().route("/slow", get(slow)));
    // The routes have two clones of the handler, or more.
    let before = Arc::strong_count(&held);
    let (answered, held_meanwhile) =
        tokio::join!(send(&app, "GET", "/slow", ""), async {
            sleep(LIMIT / 2).await;
            Arc::strong_count(&held)
        });
    assert_eq!(answered.0, 504);
    assert!(held_meanwhile > before, "it runs");
    assert_eq!(Arc::strong_count(&held), before, "it is dropped");
}

#[tokio::test]
async fn only_a_token_that_is_known_makes_a_user() {
    let app = layered(routes(app()));
    for (authorization, status) in [
        ("Bearer a", 200),
        ("bearer b", 200),
        ("Bearer c", 401),
        ("Bearer a ", 401),
        ("Bearer  a", 401),
        ("Basic a", 401),
        ("Bearer", 401),
        ("a", 401),
        ("", 401),
        ("Bearer \u{e4}", 401),
    ] {
        let request = request("GET", "/notes", authorization);
        let request = request.body(Body::empty()).expect("valid");
        let (answered, headers, _) = answer(&app, request).await;
        assert_eq!(answered, status, "{authorization}");
        let asks = headers.contains_key(header::WWW_AUTHENTICATE);
        assert_eq!(asks, status == 401, "{authorization}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_route_that_comes_after_the_layers_has_none() {
    let slow = async || sleep(2 * LIMIT).await;
    let app = layered(routes(app())).route("/slow", get(slow));
    let start = Instant::now();
    assert_eq!(send(&app, "GET", "/slow", "").await.0, 200);
    assert_eq!(start.elapsed(), 2 * LIMIT);
}

/// As the type says: a state of another kind does not compile.
#[tokio::test]
async fn a_handler_is_open_if_it_does_not_ask_for_the_user() {
    let shared = app();
    let guarded = async |User(name): User| name;
    let app = layered(
        Router::new()
            .route("/open", get(async || "open"))
            .route("/guarded", get(guarded))
            .with_state(shared),
    );
    for (path, status) in [("/open", 200), ("/guarded", 401)] {
        let request = request("GET", path, "").body(Body::empty()).expect("valid");
        assert_eq!(answer(&app, request).await.0, status);
    }
}

#[tokio::test]
async fn a_body_whose_length_is_unknown_is_counted() {
    let length = async |body: Bytes| body.len().to_string();
    let app = layered(Router::new().route("/length", post(length)));
    for (pieces, status) in [(10, 200), (11, 413)] {
        let pieces = (0..pieces).map(|_| Ok::<_, Infallible>(vec![b'x'; 100]));
        let body = Body::from_stream(stream::iter(pieces));
        let request = request("POST", "/length", "").body(body).expect("valid");
        assert_eq!(answer(&app, request).await.0, status);
    }
}

#[tokio::test]
async fn only_pages_of_the_origin_are_told_that_they_may() {
    let app = layered(routes(app()));
    for (origin, may) in [
        ("https://app.example", true),
        ("https://evil.example", false),
    ] {
        for method in ["OPTIONS", "GET"] {
            let request = request(method, "/notes", "Bearer a")
                .header(header::ORIGIN, origin)
                .header(header::ACCESS_CONTROL_REQUEST_METHOD, "POST");
            let request = request.body(Body::empty()).expect("valid");
            let (status, headers, _) = answer(&app, request).await;
            let allowed = headers.get(header::ACCESS_CONTROL_ALLOW_ORIGIN);
            assert_eq!(allowed.is_some_and(|it| it == origin), may, "{method}");
            assert_eq!(status, 200, "it is the browser that refuses");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_thousand_notes_at_once_have_a_thousand_ids() {
    let app = layered(routes(app()));
    let mut set = JoinSet::new();
    for _ in 0..1_000 {
        let app = app.clone();
        set.spawn(async move { send(&app, "POST", "/notes", "{\"text\":\"x\"}").await });
    }
    let ids = set.join_all().await.into_iter().map(|(status, note)| {
        assert_eq!(status, 201);
        note["id"].as_u64().expect("a number")
    });
    let mut ids: Vec<u64> = ids.collect();
    ids.sort();
    assert_eq!(ids, Vec::from_iter(1..=1_000));
    for (query, length) in [("", 10), ("?limit=0", 0), ("?limit=9999", 1_000)] {
        let (_, notes) = send(&app, "GET", &format!("/notes{query}"), "").await;
        assert_eq!(notes.as_array().map(Vec::len), Some(length), "{query}");
    }
    let huge = format!("/notes?offset={}&limit={0}", usize::MAX);
    assert_eq!(send(&app, "GET", &huge, "").await, (200, json!([])));
}

#[tokio::test(start_paused = true)]
async fn a_dropped_request_leaves_whole_notes() {
    let app = layered(routes(app()));
    for polls in 0..5 {
        let creating = send(&app, "POST", "/notes", "{\"text\": \"x\"}");
        poll_and_drop(creating, polls).await;
        let (status, notes) = send(&app, "GET", "/notes", "").await;
        assert_eq!(status, 200);
        for note in notes.as_array().expect("a list") {
            assert_eq!(note["text"], "x");
        }
    }
}

/// A subscriber is the whole process's, so this is done in another.
#[tokio::test]
async fn child() {
    if std::env::var_os("LOGS").is_some() {
        tracing_subscriber::fmt().with_ansi(false).init();
        send(&layered(routes(app())), "GET", "/notes", "").await;
    }
}

#[test]
fn a_request_is_logged_at_the_level_that_programs_show() -> std::io::Result<()> {
    let output = child_of(module_path!()).env("LOGS", "1").output()?;
    let stdout = String::from_utf8_lossy(&output.stdout);
    let told = stdout.lines().filter(|line| line.contains("INFO"));
    let told: Vec<&str> = told.collect();
    assert!(
        matches!(told[..], [line] if line.contains("uri=/notes")
        && line.contains("status=200")),
        "{stdout}"
    );
    Ok(())
}

/// `DefaultBodyLimit` alone binds no handler that takes `Request` or `Body`.
#[tokio::test]
async fn a_handler_that_takes_the_request_has_a_limit_for_its_body() {
    let raw = async |request: Request<Body>| {
        let body = to_bytes(request.into_body(), usize::MAX).await;
        let body = body.map_err(|_| axum::http::StatusCode::PAYLOAD_TOO_LARGE)?;
        Ok::<_, axum::http::StatusCode>(body.len().to_string())
    };
    let app = layered(Router::new().route("/raw", post(raw)));
    for (length, expected) in [(1_000, 200), (1_001, 413), (50_000, 413)] {
        let request = || request("POST", "/raw", "");
        let whole = request()
            .body(Body::from(vec![b'x'; length]))
            .expect("valid");
        assert_eq!(answer(&app, whole).await.0, expected, "{length} bytes");
        // Without a length.
        let pieces = stream::iter([Ok::<_, Infallible>(vec![b'x'; length])]);
        let pieces = request().body(Body::from_stream(pieces)).expect("valid");
        assert_eq!(answer(&app, pieces).await.0, expected, "{length} in pieces");
    }
}
