//! From requests to calls of the state. The handlers have no logic of their own.

use axum::extract::{DefaultBodyLimit, State};
use axum::routing::{get, post};
use axum::{Router, http::StatusCode};
use tower_http::{catch_panic::CatchPanicLayer, timeout::TimeoutLayer};

use crate::{error::AppError, state::AppState};

/// The largest body, in bytes. A larger one is answered with 413.
const MAX_BODY: usize = 4 * 1024;
/// The time from the end of the headers to the response. After it, 504 is the answer.
const REQUEST: std::time::Duration = std::time::Duration::from_secs(10);

/// Returns the routes, with their limits.
pub fn routes(state: AppState) -> Router {
    let routes = Router::new().route("/notes", post(add));
    let routes = routes.route("/health", get(async || "ok\n"));
    limited(routes.with_state(state))
}

/// Limits bodies and the time of a request, and answers 500 after a panic.
pub fn limited(routes: Router) -> Router {
    let timeout = TimeoutLayer::with_status_code(StatusCode::GATEWAY_TIMEOUT, REQUEST);
    let routes = routes.layer(DefaultBodyLimit::max(MAX_BODY)).layer(timeout);
    // The last layer is the outermost.
    routes.layer(CatchPanicLayer::new())
}

async fn add(
    State(state): State<AppState>,
    text: String,
) -> Result<StatusCode, AppError> {
    if text.is_empty() || text.contains(['\n', '\r']) {
        return Err(AppError::NotALine);
    }
    state.save(text).await?;
    Ok(StatusCode::CREATED)
}
