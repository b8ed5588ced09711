//~ E0277 the trait bound `fn(Json<String>, Path<u32>) -> ... {rename}: Handler<_, _>`
//! A handler of axum whose body is not its last argument. The body can be taken once
//! only, after all the others.
//!
//! example: router

use axum::extract::Path;
use axum::routing::put;
use axum::{Json, Router};

async fn rename(Json(name): Json<String>, Path(id): Path<u32>) -> String {
    format!("{id} is {name}")
}

fn main() {
    let _routes: Router = Router::new().route("/users/{id}", put(rename));
}
