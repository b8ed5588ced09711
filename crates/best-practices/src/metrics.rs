//! Prometheus metrics: counter, gauge, histogram with labels, and a page to scrape.
//!
//! `prometheus-client` is Python's prometheus_client in Rust. It writes OpenMetrics: it
//! appends `_total` to a counter's name, and the page needs the right content type.
//!
//! Trap: a gauge that is decremented after the await stays up for each call that failed,
//! was cancelled, or panicked. Decrement it in a guard's `Drop`; that also counts
//! cancelled calls, which no code after the await sees.
//!
//! Trap: each value of a label is a series, and none is ever removed. The crate does not
//! escape values: a `"` spoils the page. A label of type `&'static str` takes a route and
//! refuses the text of a request ("expected `&str`, found `String`").
//!
//! In production: the crate `metrics` is a facade for libraries. `opentelemetry` pushes.
//!
//! See also: `profiling` (live tasks), `structured_logging`, `drop_guard`.
//!
//! asyncio: finally, asyncio.CancelledError, asyncio.wait_for, asyncio.TaskGroup
//! clock: real
//! stderr: the report is broken

use std::error::Error;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

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
use tokio::join;
use tokio::net::TcpListener;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_util::task::AbortOnDropHandle;

type Failure = Box<dyn Error + Send + Sync>;

/// Upper bounds in seconds; slower calls are counted in a last bucket of their own.
const BUCKETS: [f64; 2] = [0.2, 0.5];

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Ended {
    outcome: &'static str,
    route: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Route {
    route: &'static str,
}

/// How many calls ended and how, how long they took, how many are running. Clones share
/// the numbers.
#[derive(Clone, Debug)]
pub struct CallMetrics {
    ended: Family<Ended, Counter>,
    seconds: Family<Route, Histogram>,
    in_flight: Gauge,
}

impl CallMetrics {
    /// Adds `calls`, `call_seconds` and `calls_in_flight` to the registry, once: it does
    /// not refuse a second metric of the same name.
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

    /// Returns the result of the call and counts it: as `ok`, as `error` if it fails or
    /// panics, as `cancelled` if it is dropped before its end.
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
        // A variable with the guard of a family would block the next call for ever.
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

/// A page at `/metrics`, on a port for those who scrape: not for the public.
pub fn metrics_page(registry: Registry) -> Router {
    let page = get(scrape).with_state(Arc::new(registry));
    Router::new().route("/metrics", page)
}

/// The mistake: what ends the call early leaves the gauge where it is.
async fn count_without_a_guard<T, E>(
    in_flight: &Gauge,
    call: impl Future<Output = Result<T, E>>,
) -> Result<T, E> {
    in_flight.inc();
    let value = call.await?;
    in_flight.dec();
    Ok(value)
}

async fn query(fails: bool) -> Result<u32, &'static str> {
    let delay = if fails { 300 } else { 100 };
    sleep(Duration::from_millis(delay)).await;
    if fails { Err("no answer") } else { Ok(1) }
}

async fn report(panics: bool) -> Result<u32, &'static str> {
    sleep(Duration::from_millis(300)).await;
    assert!(!panics, "the report is broken");
    sleep(Duration::from_secs(10)).await;
    Ok(2)
}

/// One call that succeeds, one that fails, one that takes too long, one that panics.
async fn four_calls(metrics: &CallMetrics, unguarded: &Gauge) {
    let (own_metrics, own_gauge) = (metrics.clone(), unguarded.clone());
    let panics = tokio::spawn(async move {
        let call = count_without_a_guard(&own_gauge, report(true));
        own_metrics.track("report", call).await
    });
    let patience = Duration::from_millis(400);
    let slow = count_without_a_guard(unguarded, report(false));
    // How they ended is told by the metrics.
    let _ = join!(
        metrics.track("query", count_without_a_guard(unguarded, query(false))),
        metrics.track("query", count_without_a_guard(unguarded, query(true))),
        timeout(patience, metrics.track("report", slow)),
        panics,
    );
}

/// Scrapes the page: the series that begin with this, without the sums of seconds.
async fn series(address: SocketAddr, start: &str) -> Result<Vec<String>, Failure> {
    let client = reqwest::Client::builder().no_proxy().build()?;
    let request = client.get(format!("http://{address}/metrics"));
    let response = request.timeout(Duration::from_secs(1)).send().await?;
    let page = response.error_for_status()?.text().await?;
    let lines = page.lines().filter(|line| line.starts_with(start));
    let lines = lines.filter(|line| !line.contains("_sum"));
    let mut lines: Vec<_> = lines.map(str::to_owned).collect();
    // A family has no order.
    lines.sort_unstable();
    Ok(lines)
}

pub async fn run() -> Result<(), Failure> {
    let start = Instant::now();
    let at = |tenths| sleep_until(start + Duration::from_millis(100) * tenths);
    let mut registry = Registry::default();
    let metrics = CallMetrics::new(&mut registry);
    let unguarded = Gauge::<i64>::default();
    registry.register("calls_unguarded", "The same, no guard", unguarded.clone());
    let by_path = Family::<Vec<(&str, String)>, Counter>::default();
    registry.register("path_calls", "Calls by path", by_path.clone());
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let server = async { axum::serve(listener, metrics_page(registry)).await };
    let _server = AbortOnDropHandle::new(tokio::spawn(server));

    at(3).await;
    println!("While four calls run:");
    let scrape = async {
        at(5).await;
        let series = series(address, "calls").await?;
        println!("{}", series.join("\n"));
        Ok::<_, Failure>(())
    };
    join!(four_calls(&metrics, &unguarded), scrape).1?;

    at(8).await;
    println!("After one of them failed, one was cancelled, one panicked:");
    println!("{}", series(address, "call").await?.join("\n"));

    at(10).await;
    println!("A hundred paths, as a label and as a route:");
    for user in 0..100 {
        let path = format!("/users/{user}");
        by_path.get_or_create(&vec![("path", path)]).inc();
        let found = async { Ok::<_, Failure>(user) };
        metrics.track("/users/{id}", found).await?;
    }
    let by_path = series(address, "path_calls").await?;
    println!("{} series, the first is {}", by_path.len(), by_path[0]);
    let by_route = series(address, "calls_total{outcome=\"ok\",route=\"/").await?;
    println!("{} series: {}", by_route.len(), by_route[0]);
    Ok(())
}

#[tokio::main]
pub async fn main() -> Result<(), Failure> {
    run().await
}
