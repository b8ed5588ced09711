//! OpenTelemetry: one trace over two services, by the `traceparent` header.
//!
//! The crate `tracing` makes the spans (the timed parts of a trace) and hands them to a
//! subscriber. A layer of the subscriber, from `tracing-opentelemetry`, exports the
//! spans. The client writes the id of its span into the header. The server reads the
//! header, and makes the client's span the parent of its own. Python's `inject` and
//! `extract` do the same. If a request is cancelled, its span is dropped, and so the span
//! ends, too.
//!
//! `traces` below returns the subscriber and a provider. The provider collects the spans
//! and hands them to the exporter, which sends them. At the end of the program, call
//! `shutdown` of the provider, which waits until the last spans are sent. `shutdown`
//! blocks its thread while it waits, so call it in `spawn_blocking`. If it blocks the
//! only thread of the runtime, an exporter that needs the runtime can never send.
//!
//! Trap: If you spawn a task, its spans start a separate trace, because a task of Tokio
//! does not inherit the span. (Python's `create_task` copies the context.) Add
//! `.in_current_span()` to the future of the task. If you keep the guard of
//! `span.enter()` over an await, other tasks get your span, because it is active on the
//! thread until the guard is dropped. Write `.instrument(span)` in place of the guard.
//!
//! Trap: If `main` just returns, the last spans are lost, because they still wait in the
//! provider. Dropping the subscriber would flush them, but the subscriber of the whole
//! program is never dropped. Call `shutdown` at the end of `main`, even after an error.
//!
//! In production: The crate `opentelemetry-otlp` exports to a collector. It is not tried
//! in this file.
//!
//! See also: `structured_logging`, `json_logs`, `axum_service`.
//!
//! asyncio: contextvars.ContextVar, asyncio.create_task
//! differs: a task does not inherit a span; a client that leaves ends its handler

use std::time::Duration;

use axum::extract::{MatchedPath, Path, Request};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Router, middleware};
use opentelemetry::propagation::TextMapPropagator;
use opentelemetry::trace::TracerProvider;
use opentelemetry_http::{HeaderExtractor, HeaderInjector};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{SdkTracerProvider, SpanExporter};
use tracing::level_filters::LevelFilter;
use tracing::{Instrument, Subscriber, field::Empty, info_span};
use tracing_opentelemetry::OpenTelemetrySpanExt;
use tracing_subscriber::layer::SubscriberExt;

/// Returns a subscriber that hands finished spans to the exporter, in batches and on a
/// separate thread, and the provider that flushes them. At most 2,048 spans wait for the
/// exporter: further ones are dropped.
///
/// The filter leaves out DEBUG: at that level an exporter that uses HTTP traces itself.
pub fn traces<E: SpanExporter + 'static>(
    service: &'static str,
    exporter: E,
) -> (impl Subscriber + Send + Sync, SdkTracerProvider) {
    let provider = SdkTracerProvider::builder()
        .with_resource(Resource::builder().with_service_name(service).build())
        .with_batch_exporter(exporter)
        .build();
    let spans = tracing_opentelemetry::layer().with_tracer(provider.tracer(service));
    let subscriber = tracing_subscriber::registry()
        .with(LevelFilter::INFO)
        .with(spans);
    (subscriber, provider)
}

/// Sends the request in a separate span, with the `traceparent` of that span.
///
/// # Errors
///
/// As `Client::execute`. Cancel safe: the span ends when the future is dropped.
pub async fn execute(
    client: &reqwest::Client,
    mut request: reqwest::Request,
) -> reqwest::Result<reqwest::Response> {
    let span = info_span!(
        "request",
        otel.name = %request.method(),
        otel.kind = "client",
        otel.status_code = Empty,
        url.full = %request.url(),
        http.response.status_code = Empty,
    );
    let mut headers = HeaderInjector(request.headers_mut());
    TraceContextPropagator::new().inject_context(&span.context(), &mut headers);
    let result = client.execute(request).instrument(span.clone()).await;
    match &result {
        Ok(response) => {
            let status = response.status();
            span.record("http.response.status_code", status.as_u16());
            if status.is_client_error() || status.is_server_error() {
                span.record("otel.status_code", "ERROR");
            }
        }
        Err(_) => {
            span.record("otel.status_code", "ERROR");
        }
    }
    result
}

/// Handles the request in a span whose parent is in the headers. Add it with
/// `Router::layer`, after the routes. A request that no route matches has its method as
/// its name: its path would be one more name for each wrong URL.
///
/// The flag in the client's header decides whether the span is recorded. On a public
/// port, remove the header first.
pub async fn trace_request(
    route: Option<MatchedPath>,
    request: Request,
    next: middleware::Next,
) -> Response {
    let name = match route {
        Some(route) => format!("{} {}", request.method(), route.as_str()),
        None => request.method().to_string(),
    };
    let span = info_span!(
        "request",
        otel.name = name,
        otel.kind = "server",
        otel.status_code = Empty,
        http.response.status_code = Empty,
    );
    let headers = HeaderExtractor(request.headers());
    // Without a subscriber there is no parent to set, and the request is still handled.
    let _ = span.set_parent(TraceContextPropagator::new().extract(&headers));
    let response = next.run(request).instrument(span.clone()).await;
    span.record("http.response.status_code", response.status().as_u16());
    if response.status().is_server_error() {
        span.record("otel.status_code", "ERROR");
    }
    response
}

/// Returns the service B: it takes 100 ms to find a price.
pub fn prices() -> Router {
    let price = async |id: Path<u32>| {
        let query = tokio::time::sleep(Duration::from_millis(100));
        query.instrument(info_span!("query")).await;
        format!("{} cents", 100 + *id)
    };
    Router::new()
        .route("/prices/{id}", get(price))
        .layer(middleware::from_fn(trace_request))
}

/// Returns the service A, which asks B at this address.
pub fn orders(client: reqwest::Client, prices: String) -> Router {
    let order = async move |Path(id): Path<u32>| {
        let price = async {
            let request = client.get(format!("{prices}/prices/{id}")).build()?;
            let response = execute(&client, request).await?.error_for_status()?;
            response.text().await
        };
        match price.await {
            Ok(price) => format!("order {id}: {price}").into_response(),
            Err(_) => StatusCode::BAD_GATEWAY.into_response(),
        }
    };
    Router::new()
        .route("/orders/{id}", get(order))
        .layer(middleware::from_fn(trace_request))
}

/// Serves A and B, orders something and prints the spans: `cargo run -- 7`.
#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let id = std::env::args().nth(1).ok_or("usage: ID")?;
    let exporter = opentelemetry_sdk::trace::InMemorySpanExporter::default();
    let (subscriber, provider) = traces("shop", exporter.clone());
    tracing::subscriber::set_global_default(subscriber)?;

    let limit = Duration::from_secs(10);
    let client = reqwest::Client::builder().timeout(limit).build()?;
    let b = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let a = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let b_url = format!("http://{}", b.local_addr()?);
    let a_url = format!("http://{}/orders/{id}", a.local_addr()?);
    let services = async {
        let orders = orders(client.clone(), b_url);
        tokio::try_join!(axum::serve(a, orders), axum::serve(b, prices()))
    };
    let ask = async {
        execute(&client, client.get(a_url).build()?)
            .await?
            .text()
            .await
    };
    tokio::select! {
        ended = services => ended.map(drop)?,
        answer = ask => println!("{}", answer?),
    }

    // `shutdown` would empty the exporter in memory. Both block, so not on this thread.
    let flushed = tokio::task::spawn_blocking(move || provider.force_flush());
    flushed.await??;
    for span in exporter.get_finished_spans()? {
        let ids = (span.span_context.trace_id(), span.parent_span_id);
        println!("trace {}, parent {}: {}", ids.0, ids.1, span.name);
    }
    Ok(())
}

//@ clock: real
//@ try: 7 -> GET /prices/{id}
