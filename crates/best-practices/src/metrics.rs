//! Prometheus metrics: counter, gauge, histogram with labels, and a page to scrape.
//!
//! The crate `prometheus-client` is like Python's prometheus_client.
//! `CallMetrics::track` below counts a call by its outcome and measures its time. The
//! page is in the format OpenMetrics, so "_total" is appended to the name of a counter,
//! and the page has to be sent with the content type of OpenMetrics.
//!
//! Trap: If you decrement a gauge in a line after the await, the gauge stays too high
//! after each call that fails, is cancelled or panics. Decrement it in a destructor
//! (`Drop`), as `Running` below does.
//!
//! Trap: If a label contains text of a request, such as its path, each new text makes a
//! time series that stays in memory. And a `"` in the text breaks the page: unlike
//! Python's library, the crate does not escape values. Give labels the type
//! `&'static str`: then the compiler refuses the text of a request ("expected `&str`,
//! found `String`").
//!
//! See also: `profiling` (live tasks), `structured_logging`, `drop_guard`.
//!
//! asyncio: finally, asyncio.CancelledError, asyncio.wait_for, asyncio.TaskGroup

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;
use tokio::time::Instant;

/// Upper bounds in seconds; slower calls are counted in a separate last bucket.
const BUCKETS: [f64; 2] = [0.1, 10.0];

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Ended {
    outcome: &'static str,
    route: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Route {
    route: &'static str,
}

/// Counts ended calls by outcome, and running calls; measures how long calls took. Clones
/// share the numbers.
#[derive(Clone, Debug)]
pub struct CallMetrics {
    ended: Family<Ended, Counter>,
    seconds: Family<Route, Histogram>,
    in_flight: Gauge,
}

impl CallMetrics {
    /// Adds `calls`, `call_seconds` and `calls_in_flight` to the registry. Call it once:
    /// the registry accepts a second metric of the same name.
    pub fn new(registry: &mut Registry) -> Self {
        let metrics = Self {
            ended: Family::default(),
            seconds: Family::new_with_constructor(|| Histogram::new(BUCKETS)),
            in_flight: Gauge::default(),
        };
        registry.register("calls", "Calls by outcome", metrics.ended.clone());
        registry.register("call_seconds", "Time of calls", metrics.seconds.clone());
        let running = metrics.in_flight.clone();
        registry.register("calls_in_flight", "Calls that run now", running);
        metrics
    }

    /// Returns the result of the call and counts the call: as `ok`, as `error` if it
    /// fails or panics, or as `cancelled` if it is dropped.
    pub async fn track<T, E>(
        &self,
        route: &'static str,
        call: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        self.in_flight.inc();
        let mut running = Running {
            metrics: self,
            route,
            outcome: "cancelled",
            start: Instant::now(),
        };
        let mut call = pin!(call);
        let result = poll_fn(|cx| {
            // If the poll panics, this is the outcome.
            running.outcome = "error";
            let poll = call.as_mut().poll(cx);
            if poll.is_pending() {
                running.outcome = "cancelled";
            }
            poll
        })
        .await;
        running.outcome = if result.is_ok() { "ok" } else { "error" };
        result
    }
}

struct Running<'a> {
    metrics: &'a CallMetrics,
    route: &'static str,
    outcome: &'static str,
    start: Instant,
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        let (route, outcome) = (self.route, self.outcome);
        self.metrics.in_flight.dec();
        // A guard of `get_or_create` in a variable would block the next call forever.
        self.metrics
            .ended
            .get_or_create(&Ended { outcome, route })
            .inc();
        let seconds = self.start.elapsed().as_secs_f64();
        self.metrics
            .seconds
            .get_or_create(&Route { route })
            .observe(seconds);
    }
}

/// Answers with all metrics of the registry.
async fn scrape(State(registry): State<Arc<Registry>>) -> Response {
    const FORMAT: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    let mut page = String::new();
    match encode(&mut page, &registry) {
        Ok(()) => ([(header::CONTENT_TYPE, FORMAT)], page).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

/// Returns the page `/metrics`. Serve it on an internal port, not to the public.
pub fn metrics_page(registry: Registry) -> Router {
    let page = get(scrape).with_state(Arc::new(registry));
    Router::new().route("/metrics", page)
}

/// Serves `/metrics` of a call that it makes each second: `cargo run -- 127.0.0.1:9000`.
#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let address = std::env::args().nth(1).ok_or("usage: ADDRESS:PORT")?;
    let mut registry = Registry::default();
    let metrics = CallMetrics::new(&mut registry);
    tokio::spawn(async move {
        let mut seconds = tokio::time::interval(std::time::Duration::from_secs(1));
        loop {
            let tick = async { Ok::<_, std::convert::Infallible>(seconds.tick().await) };
            let _ = metrics.track("tick", tick).await;
        }
    });
    let listener =
        tokio::net::TcpListener::bind(address.parse::<std::net::SocketAddr>()?).await?;
    axum::serve(listener, metrics_page(registry)).await?;
    Ok(())
}

//@ clock: real
//@ stderr: the report is broken
//@ try: nowhere -> AddrParseError
