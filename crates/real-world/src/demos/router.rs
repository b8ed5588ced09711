//! Requests to the routes, without a network.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{Method, Request, header};
use futures::future::join_all;
use hyper::service::Service;
use hyper_util::service::TowerToHyperService;
use tokio::time::{sleep, timeout};

use crate::router::{Users, routes};

/// Sends a request, with a token or without, and prints what succeeds.
async fn send(app: &Router, token: &str, method: Method, path: &str, name: &str) {
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header(header::AUTHORIZATION, token)
        .header(header::CONTENT_TYPE, "application/json")
        .body(Body::from(format!("{{\"name\": \"{name}\"}}")))
        .expect("it is well-formed");
    let app = TowerToHyperService::new(app.clone());
    let response = app.call(request).await.expect("it cannot fail");
    if response.status().is_success() {
        let body = to_bytes(response.into_body(), 1000).await;
        let body = body.expect("it is whole and short");
        println!("{}", String::from_utf8_lossy(&body));
    }
}

const TOKEN: &str = "Bearer secret-of-ann";

pub async fn run() {
    let users = Arc::new(Users::default());
    let app = routes(Arc::clone(&users));
    let app = &app;
    let get = |path| send(app, TOKEN, Method::GET, path, "");

    println!("Routes and their parameters:");
    send(app, TOKEN, Method::POST, "/users", "Ann").await;
    get("/users/1").await;
    send(app, TOKEN, Method::PUT, "/users/1", "Anna").await;
    get("/users/me").await;
    get("/users/2").await;

    println!("No such path, no such method:");
    get("/users/1/name").await;
    send(app, TOKEN, Method::DELETE, "/users/1", "").await;

    println!("Without a token no client learns which paths there are:");
    send(app, "", Method::GET, "/users/1", "").await;
    send(app, "", Method::GET, "/nothing", "").await;

    println!("Three requests at once:");
    let look = async {
        sleep(Duration::from_millis(50)).await;
        println!("{} requests in progress", users.in_progress());
    };
    tokio::join!(
        join_all(["/report", "/users/1", "/users/me"].map(get)),
        look
    );

    println!("The client gives up after 0.15 s:");
    let answered = timeout(Duration::from_millis(150), get("/report")).await;
    println!("{}", answered.map_or("it gave up", |()| "it was answered"));
    println!("{} requests in progress", users.in_progress());
}
