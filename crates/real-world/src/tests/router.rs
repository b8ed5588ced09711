use std::sync::Arc;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{Request, header};
use axum::routing::get;
use tower::ServiceExt;

use super::support::poll_and_drop;
use crate::router::{Users, routes};

async fn send(app: &Router, method: &str, path: &str, body: &str) -> (u16, String) {
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header(header::AUTHORIZATION, "Bearer secret-of-ann")
        .header(header::CONTENT_TYPE, "application/json")
        .body(Body::from(body.to_owned()))
        .expect("it is well-formed");
    let response = app.clone().oneshot(request).await.expect("it cannot fail");
    let status = response.status().as_u16();
    let body = to_bytes(response.into_body(), 1000).await.expect("whole");
    (status, String::from_utf8_lossy(&body).into_owned())
}

#[tokio::test(start_paused = true)]
async fn a_dropped_request_is_no_longer_in_progress() {
    let users = Arc::new(Users::default());
    let app = routes(Arc::clone(&users));
    let mut seen = 0;
    for polls in 0..5 {
        let report = send(&app, "GET", "/report", "");
        let looking = async {
            tokio::task::yield_now().await;
            seen = seen.max(users.in_progress());
        };
        tokio::join!(poll_and_drop(report, polls), looking);
        assert_eq!(users.in_progress(), 0, "dropped after {polls} polls");
    }
}

#[tokio::test]
async fn a_nested_router_has_its_own_fallback_or_that_of_the_outer_one() {
    let api = Router::new().fallback(async || "no such call");
    let app = Router::new()
        .nest("/api", api)
        .nest(
            "/pages",
            Router::new().route("/about", get(async || "about")),
        )
        .fallback(async || "no such page");
    for (path, answer) in [
        ("/api/nothing", "no such call"),
        ("/pages/about", "about"),
        ("/pages/nothing", "no such page"),
        ("/nothing", "no such page"),
    ] {
        let (_, said) = send(&app, "GET", path, "").await;
        assert_eq!(said, answer, "{path}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_thousand_users_at_once() {
    let users = Arc::new(Users::default());
    let app = routes(Arc::clone(&users));
    for number in 1..=1000 {
        let body = format!("{{\"name\": \"user {number}\"}}");
        let path = format!("/users/{number}");
        assert_eq!(send(&app, "POST", "/users", &body).await, (201, path));
    }
    let paths: Vec<String> = (1..=1001).map(|id| format!("/users/{id}")).collect();
    let gets = paths.iter().map(|path| send(&app, "GET", path, ""));
    let answers = futures::future::join_all(gets).await;
    assert_eq!(answers[999], (200, "user 1000".to_owned()));
    assert_eq!(answers[1000], (404, "there is no user 1001".to_owned()));
}

#[tokio::test]
async fn statuses() {
    let app = routes(Arc::default());
    let large = " ".repeat(3_000_000);
    for (method, path, body, status) in [
        ("GET", "/users/me", "", 200),
        ("GET", "/users/two", "", 400),
        ("GET", "/users/4294967296", "", 400),
        ("GET", "/users/1/name", "", 404),
        ("PUT", "/users/1", "{\"name\": \"Ann\"}", 404),
        ("DELETE", "/users/1", "", 405),
        ("POST", "/users", "{", 400),
        ("POST", "/users", "{}", 422),
        ("POST", "/users", &large, 413),
    ] {
        assert_eq!(send(&app, method, path, body).await.0, status, "{path}");
    }
    let request = Request::get("/nothing").body(Body::empty()).expect("fine");
    let response = app.oneshot(request).await.expect("it cannot fail");
    assert_eq!(
        response.status().as_u16(),
        401,
        "before the path is looked at"
    );
}
