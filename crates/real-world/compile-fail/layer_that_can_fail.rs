//~ E0277 the trait bound `Infallible: From<Box<(dyn std::error::Error + Send + Sync
//! A layer of tower that can fail, around routes, which cannot. `HandleErrorLayer` of
//! axum turns its error into an answer; the layers of `tower-http` answer by themselves.
//!
//! example: axum_service

use std::time::Duration;

use axum::Router;
use axum::routing::get;
use tower::timeout::TimeoutLayer;

async fn hello() -> &'static str {
    "hello"
}

fn main() {
    let limit = TimeoutLayer::new(Duration::from_secs(1));
    let _: Router = Router::new().route("/", get(hello)).layer(limit);
}
