//! From requests to calls of the store. The handlers have no logic of their own.

use std::{any::Any, time::Duration};

use axum::extract::rejection::{JsonRejection, PathRejection, QueryRejection};
use axum::extract::{DefaultBodyLimit, Path, Query, Request, State};
use axum::http::{StatusCode, header::CONTENT_TYPE, header::LOCATION};
use axum::middleware::{from_fn_with_state, map_request};
use axum::response::{IntoResponse, Response};
use axum::{Json, RequestExt as _, Router, routing::get};
use serde::{Deserialize, Serialize};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tower_http::{catch_panic::CatchPanicLayer, timeout::TimeoutLayer};

use crate::error::AppError;
use crate::observe::{Metrics, observe};
use crate::store::{Note, Page, Store};

/// The largest body, in bytes, even if a handler takes `Request` or `Body`. A larger
/// one is answered with 413.
const MAX_BODY: usize = 16 * 1024;
/// The time from the end of the headers to the response. After it, 504 is the answer.
const REQUEST: Duration = Duration::from_secs(10);
/// The longest note, in characters.
const MAX_TEXT: usize = 1_000;
/// How long `/ready` waits for the store.
const READY: Duration = Duration::from_secs(1);

/// What the handlers share: handles only, so that a clone is cheap. Each request gets
/// one.
#[derive(Clone, Debug)]
pub struct AppState {
    pub store: Store,
    pub metrics: Metrics,
    /// Cancelled when the service is about to stop.
    pub stopping: CancellationToken,
}

/// Returns the routes, with their limits.
pub fn routes(state: AppState) -> Router {
    let metrics = state.metrics.clone();
    let routes = Router::new()
        .route("/notes", get(list).post(add))
        .route("/notes/{id}", get(read))
        .route("/health", get(async || "ok\n"))
        .route("/ready", get(ready))
        .route("/metrics", get(scrape))
        .fallback(async || AppError::NotFound)
        .with_state(state);
    limited(routes, metrics)
}

/// Limits bodies and the time of a request, answers 500 after a panic, and observes all.
pub fn limited(routes: Router, metrics: Metrics) -> Router {
    let timeout = TimeoutLayer::with_status_code(StatusCode::GATEWAY_TIMEOUT, REQUEST);
    // The last layer is the outermost.
    routes
        // Without this, a handler that takes `Request` or `Body` would have no limit.
        .layer(map_request(async |request: Request| {
            request.with_limited_body()
        }))
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .layer(timeout)
        .layer(CatchPanicLayer::custom(|_: Box<dyn Any + Send>| {
            AppError::Internal.into_response()
        }))
        .layer(from_fn_with_state(metrics, observe))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewNote {
    text: String,
}

impl NewNote {
    fn validate(self) -> Result<String, AppError> {
        if self.text.trim().is_empty() {
            Err(AppError::Invalid("text: must not be empty"))
        } else if self.text.chars().count() > MAX_TEXT {
            Err(AppError::Invalid("text: at most 1000 characters"))
        } else if self.text.contains('\0') {
            // PostgreSQL stores none.
            Err(AppError::Invalid("text: must not contain NUL"))
        } else {
            Ok(self.text)
        }
    }
}

async fn add(
    State(state): State<AppState>,
    body: Result<Json<NewNote>, JsonRejection>,
) -> Result<Response, AppError> {
    let Json(new) = body?;
    let note = state.store.add(new.validate()?).await?;
    let location = [(LOCATION, format!("/notes/{}", note.id))];
    Ok((StatusCode::CREATED, location, Json(note)).into_response())
}

async fn read(
    State(state): State<AppState>,
    id: Result<Path<i64>, PathRejection>,
) -> Result<Json<Note>, AppError> {
    let Path(id) = id?;
    let note = state.store.get(id).await?;
    note.map(Json).ok_or(AppError::NotFound)
}

#[derive(Serialize)]
struct Notes {
    notes: Vec<Note>,
}

async fn list(
    State(state): State<AppState>,
    page: Result<Query<Page>, QueryRejection>,
) -> Result<Json<Notes>, AppError> {
    let Query(page) = page?;
    let notes = state.store.list(page).await?;
    Ok(Json(Notes { notes }))
}

/// Fails when the service is about to stop, or the store does not answer: a load balancer
/// then sends no new requests.
async fn ready(State(state): State<AppState>) -> (StatusCode, &'static str) {
    if state.stopping.is_cancelled() {
        return (StatusCode::SERVICE_UNAVAILABLE, "stopping\n");
    }
    match timeout(READY, state.store.get(0)).await {
        Ok(Ok(_)) => (StatusCode::OK, "ready\n"),
        _ => (
            StatusCode::SERVICE_UNAVAILABLE,
            "the database does not answer\n",
        ),
    }
}

/// Do not let a proxy pass this on to the public.
async fn scrape(State(state): State<AppState>) -> Result<Response, AppError> {
    const FORMAT: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    Ok(([(CONTENT_TYPE, FORMAT)], state.metrics.page()?).into_response())
}
