//! A web API with axum: routes, path parameters, JSON, shared state, errors, middleware.
//!
//! A handler is an async function. axum fills its arguments from the request by their
//! types, as FastAPI does; such types are called extractors. Handlers share state in an
//! `Arc`. A pool of `sqlx` or `deadpool`, and a `reqwest::Client`, contain an `Arc`
//! already: put them into the state as they are, and clone them.
//!
//! Middleware is an async function that gets the request and `next`, the rest of the
//! chain. You add it to the router with `layer`. The middleware that you add last runs
//! first. To read a body in middleware, take it by `to_bytes` with a limit, and make the
//! request again: `Request::from_parts(parts, Body::from(bytes))`.
//!
//! A `fallback` is a handler for unknown paths. A nested router uses its own `fallback`
//! if it has one, and otherwise the `fallback` of the outer router.
//!
//! Bounds: A body of more than 2 MB is refused (413), which is axum's default.
//! Unbounded: Users, connections, and the time of a request; `http_server` limits
//! connections and time.
//!
//! Trap: If the extractor of the body (`Json`, `String`) is not the last argument, the
//! compiler reports only "the trait bound ... is not satisfied". It reports the same if
//! the handler holds a guard of a `std::sync::Mutex` over an await: end the guard before
//! the await. Put `#[axum::debug_handler]` on the handler to see the reason. The compiler
//! also refuses a middleware function if its last two arguments are not `Request` and
//! `Next`, or if its `State` has another type than the state that you passed to
//! `from_fn_with_state`.
//!
//! Trap: If the client leaves, axum drops the handler, and the code of your middleware
//! after `next.run` does not run. Put such code into the `Drop` of a guard, as `count`
//! does with `InProgress`. In Python it is in a `finally`.
//!
//! In production: `tower-http` has middleware for traces, CORS, compression and
//! timeouts. A handler cannot return an `anyhow::Error`: wrap it in a struct that
//! implements `IntoResponse`.
//!
//! asyncio: asyncio.timeout, finally, raise

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::extract::{Path, Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Extension, Json, Router};
use serde::Deserialize;
use tokio::time::sleep;

/// The state that the handlers share.
#[derive(Debug, Default)]
pub struct Users {
    names: Mutex<BTreeMap<u32, String>>,
    in_progress: AtomicUsize,
}

impl Users {
    fn names(&self) -> MutexGuard<'_, BTreeMap<u32, String>> {
        // Each change is one call of the map, so a panic elsewhere spoils nothing.
        self.names.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns how many requests are being answered.
    pub fn in_progress(&self) -> usize {
        self.in_progress.load(SeqCst)
    }
}

/// The JSON that a client sends.
#[derive(Deserialize)]
struct NewUser {
    name: String,
}

/// Why a request has no answer, and a response for each reason.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    #[error("no valid token")]
    Unauthorized,
    #[error("there is no user {0}")]
    NoUser(u32),
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let status = match self {
            Self::Unauthorized => StatusCode::UNAUTHORIZED,
            Self::NoUser(_) => StatusCode::NOT_FOUND,
        };
        (status, self.to_string()).into_response()
    }
}

/// Returns the routes. An unknown path is 404, an unknown method is 405.
pub fn routes(users: Arc<Users>) -> Router {
    Router::new()
        .route("/users", post(add))
        .route("/users/{id}", get(show).put(rename))
        // A fixed segment wins over a parameter, whatever the order of the routes.
        .route("/users/me", get(me))
        .route("/report", get(report))
        .layer(from_fn_with_state(Arc::clone(&users), count))
        .layer(from_fn(authenticate))
        .layer(from_fn(log))
        .with_state(users)
}

async fn add(
    State(users): State<Arc<Users>>,
    Json(user): Json<NewUser>,
) -> impl IntoResponse {
    let mut names = users.names();
    let id = names.keys().last().map_or(1, |last| last + 1);
    names.insert(id, user.name);
    let location = format!("/users/{id}");
    let headers = [(header::LOCATION, location.clone())];
    (StatusCode::CREATED, headers, location)
}

async fn show(
    State(users): State<Arc<Users>>,
    Path(id): Path<u32>,
) -> Result<String, ApiError> {
    sleep(Duration::from_millis(100)).await;
    users.names().get(&id).cloned().ok_or(ApiError::NoUser(id))
}

async fn rename(
    State(users): State<Arc<Users>>,
    Path(id): Path<u32>,
    Json(user): Json<NewUser>,
) -> Result<String, ApiError> {
    let mut names = users.names();
    let name = names.get_mut(&id).ok_or(ApiError::NoUser(id))?;
    Ok(format!("was {}", std::mem::replace(name, user.name)))
}

/// The user whose token came with the request.
#[derive(Clone)]
struct Caller(&'static str);

async fn me(Extension(Caller(name)): Extension<Caller>) -> String {
    format!("you are {name}")
}

async fn report() -> &'static str {
    sleep(Duration::from_millis(300)).await;
    "all is well"
}

/// Prints each response.
async fn log(request: Request, next: Next) -> Response {
    let line = format!("{} {}", request.method(), request.uri().path());
    let response = next.run(request).await;
    println!("log: {line} {}", response.status().as_u16());
    response
}

/// Refuses a request without a token. Passes the user on to the handlers.
async fn authenticate(mut request: Request, next: Next) -> Result<Response, ApiError> {
    let header = request.headers().get(header::AUTHORIZATION);
    let token = header.and_then(|value| value.to_str().ok());
    let Some("Bearer secret-of-ann") = token else {
        return Err(ApiError::Unauthorized);
    };
    request.extensions_mut().insert(Caller("Ann"));
    Ok(next.run(request).await)
}

/// Counts the requests that are being answered.
async fn count(
    State(users): State<Arc<Users>>,
    request: Request,
    next: Next,
) -> Response {
    users.in_progress.fetch_add(1, SeqCst);
    let _in_progress = InProgress(users);
    next.run(request).await
}

/// Counts down however a request ends: answered, dropped or by a panic.
struct InProgress(Arc<Users>);

impl Drop for InProgress {
    fn drop(&mut self) {
        self.0.in_progress.fetch_sub(1, SeqCst);
    }
}

/// Serves until it is killed: `cargo run -- 127.0.0.1:8080`.
#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let address = std::env::args().nth(1).ok_or("usage: ADDRESS:PORT")?;
    let listener = tokio::net::TcpListener::bind(address).await?;
    axum::serve(listener, routes(Arc::default())).await?;
    Ok(())
}

//@ try: nowhere -> invalid socket address
