//! Requests to the service, without a network.

use std::collections::HashMap;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{HeaderValue, Method, Request, header};
use axum::routing::get;
use serde_json::Value;
use tokio::time::sleep;
use tower::ServiceExt;

use crate::axum_service::{App, layers, routes};

const ORIGIN: &str = "https://app.example";

/// Sends a request and prints its response.
async fn send(app: &Router, token: &str, method: Method, path: &str, body: &str) {
    let request = Request::builder()
        .method(&method)
        .uri(path)
        .header(header::AUTHORIZATION, format!("Bearer {token}"))
        .header(header::CONTENT_TYPE, "application/json")
        .header(header::ORIGIN, ORIGIN)
        .header(header::ACCESS_CONTROL_REQUEST_METHOD, "POST")
        .body(Body::from(body.to_owned()))
        .expect("it is well-formed");
    let response = app.clone().oneshot(request).await.expect("it cannot fail");
    let status = response.status().as_u16();
    let allowed = response.headers().get(header::ACCESS_CONTROL_ALLOW_ORIGIN);
    assert_eq!(allowed.map(HeaderValue::as_bytes), Some(ORIGIN.as_bytes()));
    let body = to_bytes(response.into_body(), 1_000).await;
    let body = body.expect("it is whole and short");
    let text = match serde_json::from_slice::<Value>(&body) {
        Ok(json) if json["error"].is_string() => "an error in JSON".into(),
        _ if method == Method::OPTIONS => "pages of the origin may call it".into(),
        _ => String::from_utf8_lossy(&body),
    };
    println!("{method} {path}: {status}, {text}");
}

async fn buggy() {
    panic!("the bug");
}

pub async fn run() {
    let tokens = [("a1", "Ann"), ("b2", "Ben")];
    let tokens = tokens.map(|(token, name)| (token.to_owned(), name.to_owned()));
    let slow = async || sleep(Duration::from_secs(60)).await;
    let routes = routes(App::new(HashMap::from(tokens)))
        .route("/slow", get(slow))
        .route("/buggy", get(buggy));
    let origin = HeaderValue::from_static(ORIGIN);
    let app = &layers(routes, origin, 100, Duration::from_secs(2));
    let ask = |token, path| send(app, token, Method::GET, path, "");
    let post = |token, body| send(app, token, Method::POST, "/notes", body);

    println!("A token says who calls:");
    post("a1", r#"{"text": "milk"}"#).await;
    post("b2", r#"{"text": "tea"}"#).await;
    post("a1", r#"{"text": "bread"}"#).await;
    post("wrong", r#"{"text": "salt"}"#).await;

    println!("Each user reads the own notes:");
    ask("a1", "/notes").await;
    ask("a1", "/notes?offset=1&limit=5").await;
    ask("b2", "/notes/2").await;
    ask("a1", "/notes/2").await;

    println!("Input of another form:");
    post("a1", r#"{"title": "milk"}"#).await;
    post("a1", r#"{"text": ""}"#).await;
    post("a1", &" ".repeat(101)).await;
    ask("a1", "/nothing").await;
    send(app, "a1", Method::DELETE, "/notes", "").await;

    println!("A handler that is slow, and one with a bug:");
    ask("a1", "/slow").await;
    ask("a1", "/buggy").await;

    println!("A browser asks before it sends a token:");
    send(app, "", Method::OPTIONS, "/notes", "").await;
}
