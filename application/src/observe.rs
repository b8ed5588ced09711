//! What an operator sees of a request: its id, a line in the log, and two metrics.

use std::hash::{BuildHasher as _, RandomState};
use std::{sync::Arc, time::Instant};

use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use axum::{middleware::Next, response::Response};
use prometheus_client::encoding::{EncodeLabelSet, text::encode};
use prometheus_client::metrics::{
    counter::Counter, family::Family, gauge::Gauge, histogram::Histogram,
};
use prometheus_client::registry::Registry;
use tokio::runtime::Handle;
use tracing::{Instrument as _, Span, error_span, info};

use crate::error::AppError;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// Upper bounds in seconds.
const BUCKETS: [f64; 6] = [0.005, 0.02, 0.1, 0.5, 2.0, 10.0];

/// Routes, not paths: each value of a label is a series that stays.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Labels {
    route: String,
    status: u16,
}

/// The metrics. Clones share the numbers.
#[derive(Clone, Debug)]
pub struct Metrics {
    registry: Arc<Registry>,
    requests: Family<Labels, Counter>,
    seconds: Histogram,
    /// If it keeps growing, something waits without a limit.
    tasks: Gauge,
}

impl Default for Metrics {
    fn default() -> Self {
        let requests = Family::default();
        let seconds = Histogram::new(BUCKETS);
        let tasks = Gauge::default();
        let mut registry = Registry::default();
        let help = "Requests by route and status; 499: the client left";
        registry.register("requests", help, requests.clone());
        registry.register("request_seconds", "Time of requests", seconds.clone());
        registry.register("tasks", "Tasks that have not ended", tasks.clone());
        let registry = Arc::new(registry);
        Self {
            registry,
            requests,
            seconds,
            tasks,
        }
    }
}

impl Metrics {
    /// Returns the page that Prometheus reads. Called in the runtime.
    pub fn page(&self) -> Result<String, AppError> {
        let tasks = Handle::current().metrics().num_alive_tasks();
        self.tasks.set(i64::try_from(tasks).unwrap_or(i64::MAX));
        let mut page = String::new();
        encode(&mut page, &self.registry).map_err(|_| AppError::Internal)?;
        Ok(page)
    }
}

/// Gives each request an id: that of a proxy, or a new one. All lines of the log have it,
/// and the response too.
pub async fn observe(
    State(metrics): State<Metrics>,
    route: Option<MatchedPath>,
    request: Request,
    next: Next,
) -> Response {
    let id = request_id(request.headers());
    let route = route.map_or("none".to_owned(), |route| route.as_str().to_owned());
    // At the level ERROR, no filter but `off` hides the span and with it the id.
    let span = error_span!("request", id = ?id, method = %request.method(), route);
    let start = Instant::now();
    let mut ends = Ends {
        metrics,
        route,
        span,
        start,
        status: 499,
    };
    let mut response = next.run(request).instrument(ends.span.clone()).await;
    ends.status = response.status().as_u16();
    response.headers_mut().insert(REQUEST_ID, id);
    response
}

fn request_id(headers: &HeaderMap) -> HeaderValue {
    let is_short = |id: &&HeaderValue| (1..=64).contains(&id.len());
    match headers.get(REQUEST_ID).filter(is_short) {
        Some(id) => id.clone(),
        // Its keys are random, and other ones each time.
        None => HeaderValue::from(RandomState::new().hash_one(0)),
    }
}

/// Counts and logs a request when it is dropped: answered, or without its client.
struct Ends {
    metrics: Metrics,
    route: String,
    span: Span,
    start: Instant,
    status: u16,
}

impl Drop for Ends {
    fn drop(&mut self) {
        let (route, status) = (std::mem::take(&mut self.route), self.status);
        let took = self.start.elapsed();
        self.metrics
            .requests
            .get_or_create(&Labels { route, status })
            .inc();
        self.metrics.seconds.observe(took.as_secs_f64());
        self.span.in_scope(|| info!(status, ?took, "request"));
    }
}
