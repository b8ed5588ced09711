//! A web service for FastAPI users: typed input, a user by token, layers, JSON errors.
//!
//! FastAPI's typed parameters are axum's extractors: types such as `Path`, `Query` and
//! `Json` that axum fills from the request. For a `Depends`, write a type that
//! implements `FromRequestParts`, here [`User`]. State is an `Arc`. FastAPI's
//! middleware is a layer: here for logs, CORS, panics, a timeout, and the size of
//! bodies. A wrong query or malformed JSON is answered with 400, where FastAPI answers
//! 422.
//!
//! Bounds: The function [`layers`] takes the largest body (above it 413) and the
//! longest time (then 504). Unbounded: Notes, connections, and the time for headers.
//! Serve the routes with `http_server`.
//!
//! Trap: If you add a route after `layer`, the route has no timeout, no log and no JSON
//! errors: `layer` wraps only the routes that the router has at that moment. Add the
//! layers last.
//!
//! Trap: If you forget the argument `User`, the handler is open to everybody, and nothing
//! warns you. Test each route without a token.
//!
//! In production: `tower`'s `ConcurrencyLimitLayer` limits nothing under `axum::serve`,
//! because each connection gets its own copy of the routes with its own limit. Use
//! `GlobalConcurrencyLimitLayer`.
//!
//! See also: `router`, `http_server`, `https_server`, `test_a_server`.
//!
//! asyncio: asyncio.timeout, except, raise

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::body::to_bytes;
use axum::extract::{DefaultBodyLimit, FromRequestParts, Path, Query, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tower::ServiceBuilder;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::cors::{AllowOrigin, CorsLayer};
use tower_http::limit::RequestBodyLimitLayer;
use tower_http::timeout::TimeoutLayer;
use tower_http::trace::{DefaultMakeSpan, DefaultOnResponse, TraceLayer};
use tracing::Level;

/// The state that the handlers share.
pub struct App {
    tokens: HashMap<String, String>,
    notes: Mutex<Vec<Note>>,
}

impl App {
    /// Returns an empty store. `tokens` has the name of the user for each token.
    pub fn new(tokens: HashMap<String, String>) -> Arc<Self> {
        let notes = Mutex::default();
        Arc::new(Self { tokens, notes })
    }

    fn notes(&self) -> MutexGuard<'_, Vec<Note>> {
        // Each change is one `push`, so a panic elsewhere spoils nothing.
        self.notes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Clone, Serialize)]
struct Note {
    id: usize,
    owner: String,
    text: String,
}

/// The JSON of `POST /notes`. A field that is missing or has another type is 422.
#[derive(Deserialize)]
struct NewNote {
    text: String,
}

/// The query of `GET /notes`, such as `?limit=5`.
#[derive(Deserialize)]
#[serde(default)]
struct Page {
    offset: usize,
    limit: usize,
}

impl Default for Page {
    fn default() -> Self {
        let (offset, limit) = (0, 10);
        Self { offset, limit }
    }
}

/// Why a request has no answer.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    #[error("no valid token")]
    Unauthorized,
    #[error("there is no note {0}")]
    NoNote(usize),
    #[error("the text is empty")]
    NoText,
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let text = self.to_string();
        match self {
            Self::Unauthorized => {
                let scheme = [(header::WWW_AUTHENTICATE, "Bearer")];
                (StatusCode::UNAUTHORIZED, scheme, text).into_response()
            }
            Self::NoNote(_) => (StatusCode::NOT_FOUND, text).into_response(),
            Self::NoText => (StatusCode::UNPROCESSABLE_ENTITY, text).into_response(),
        }
    }
}

/// The user whose token came with the request, as `Depends(current_user)` in FastAPI.
pub struct User(pub String);

impl FromRequestParts<Arc<App>> for User {
    type Rejection = ApiError;

    async fn from_request_parts(
        parts: &mut Parts,
        app: &Arc<App>,
    ) -> Result<Self, ApiError> {
        let header = parts.headers.get(header::AUTHORIZATION);
        let header = header.and_then(|value| value.to_str().ok());
        let name = match header.and_then(|value| value.split_once(' ')) {
            Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => {
                app.tokens.get(token)
            }
            _ => None,
        };
        name.cloned().map(Self).ok_or(ApiError::Unauthorized)
    }
}

/// Returns the routes, without layers. `Router::nest` puts them below a prefix, as an
/// `APIRouter` does.
pub fn routes(app: Arc<App>) -> Router {
    Router::new()
        .route("/notes", get(list).post(create))
        .route("/notes/{id}", get(show))
        .with_state(app)
}

async fn create(
    State(app): State<Arc<App>>,
    User(owner): User,
    Json(NewNote { text }): Json<NewNote>,
) -> Result<(StatusCode, Json<Note>), ApiError> {
    if text.is_empty() {
        return Err(ApiError::NoText);
    }
    let mut notes = app.notes();
    let id = notes.len() + 1;
    let note = Note { id, owner, text };
    notes.push(note.clone());
    Ok((StatusCode::CREATED, Json(note)))
}

async fn list(
    State(app): State<Arc<App>>,
    User(name): User,
    Query(page): Query<Page>,
) -> Json<Vec<Note>> {
    let notes = app.notes();
    let mine = notes.iter().filter(|note| note.owner == name);
    Json(mine.skip(page.offset).take(page.limit).cloned().collect())
}

async fn show(
    State(app): State<Arc<App>>,
    User(name): User,
    Path(id): Path<usize>,
) -> Result<Json<Note>, ApiError> {
    let notes = app.notes();
    let note = notes
        .iter()
        .find(|note| note.id == id && note.owner == name);
    note.cloned().map(Json).ok_or(ApiError::NoNote(id))
}

/// Wraps all routes in layers. The first layer is the outermost: it sees the request
/// first and the response last.
///
/// Pages of `origin` may call the service from a browser. A body has at most `body`
/// bytes, even if the handler takes `Request` or `Body`. A handler is dropped after
/// `time`, and the client gets 504.
pub fn layers(
    routes: Router,
    origin: HeaderValue,
    body: usize,
    time: Duration,
) -> Router {
    // By default `TraceLayer` logs at the level DEBUG, which most programs do not show.
    let trace = TraceLayer::new_for_http()
        .make_span_with(DefaultMakeSpan::new().level(Level::INFO))
        .on_response(DefaultOnResponse::new().level(Level::INFO));
    let cors = CorsLayer::new()
        .allow_origin(AllowOrigin::list([origin]))
        .allow_methods([Method::GET, Method::POST])
        .allow_headers([header::AUTHORIZATION, header::CONTENT_TYPE]);
    let timeout = TimeoutLayer::with_status_code(StatusCode::GATEWAY_TIMEOUT, time);
    // That of axum binds `Json` and `Bytes`, but no handler that takes `Request`.
    let routes = routes
        .layer(DefaultBodyLimit::disable())
        .layer(RequestBodyLimitLayer::new(body));
    routes.layer(
        ServiceBuilder::new()
            .layer(trace)
            .layer(cors)
            .layer(from_fn(errors_as_json))
            .layer(CatchPanicLayer::new())
            .layer(timeout),
    )
}

/// Gives each error the form `{"error": "..."}`: those of handlers, extractors, layers,
/// and of unknown paths. In FastAPI this is an exception handler.
async fn errors_as_json(request: Request, next: Next) -> Response {
    let response = next.run(request).await;
    let status = response.status();
    if !status.is_client_error() && !status.is_server_error() {
        return response;
    }
    let (mut parts, body) = response.into_parts();
    let text = to_bytes(body, 10_000).await.unwrap_or_default();
    let mut text = String::from_utf8_lossy(&text);
    if text.is_empty() {
        // After a timeout, and for a method that the path does not have.
        text = status.canonical_reason().unwrap_or("error").into();
    }
    parts.headers.remove(header::CONTENT_TYPE);
    parts.headers.remove(header::CONTENT_LENGTH);
    (parts, Json(json!({ "error": text }))).into_response()
}

/// Serves until it is killed: `TOKEN=secret cargo run -- 127.0.0.1:8080`.
#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    tracing_subscriber::fmt().init();
    let address = std::env::args().nth(1).ok_or("usage: ADDRESS:PORT")?;
    let listener = tokio::net::TcpListener::bind(address).await?;
    let app = App::new(HashMap::from([(std::env::var("TOKEN")?, "me".to_owned())]));
    let origin = HeaderValue::from_static("http://localhost:3000");
    let app = layers(routes(app), origin, 100_000, Duration::from_secs(30));
    axum::serve(listener, app).await?;
    Ok(())
}

//@ stderr: the bug
//@ try: nowhere -> invalid socket address
