use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::http::{Request, StatusCode};
use axum::routing::get;
use axum::{Router, middleware};
use opentelemetry::trace::{SpanId, SpanKind, Status};
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{
    InMemorySpanExporter, SdkTracerProvider, SpanData, SpanExporter,
};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::task::AbortOnDropHandle;
use tower::ServiceExt;
use tracing::instrument::WithSubscriber;
use tracing::subscriber::{DefaultGuard, set_default};
use tracing::{Instrument, debug_span, info_span};

use crate::opentelemetry_trace::{execute, orders, prices, trace_request, traces};

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// What ends on this thread, where all tasks of a test run.
struct Collected {
    exporter: InMemorySpanExporter,
    provider: SdkTracerProvider,
    _subscriber: DefaultGuard,
}

fn collect() -> Collected {
    let exporter = InMemorySpanExporter::default();
    let (subscriber, provider) = traces("test", exporter.clone());
    Collected {
        exporter,
        provider,
        _subscriber: set_default(subscriber),
    }
}

impl Collected {
    fn spans(&self) -> Result<Vec<SpanData>, BoxError> {
        self.provider.force_flush()?;
        Ok(self.exporter.get_finished_spans()?)
    }
}

fn named<'a>(spans: &'a [SpanData], name: &str) -> Vec<&'a SpanData> {
    spans.iter().filter(|span| span.name == name).collect()
}

async fn serve(app: Router) -> Result<(String, AbortOnDropHandle<()>), BoxError> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}", listener.local_addr()?);
    let server = async {
        let _ = axum::serve(listener, app).await;
    };
    Ok((url, AbortOnDropHandle::new(tokio::spawn(server))))
}

fn client() -> Result<reqwest::Client, BoxError> {
    Ok(reqwest::Client::builder().no_proxy().build()?)
}

#[tokio::test]
async fn one_trace_over_two_services() -> Result<(), BoxError> {
    let collected = collect();
    let client = client()?;
    let (b, _b) = serve(prices()).await?;
    let (a, _a) = serve(orders(client.clone(), b)).await?;
    let request = client.get(format!("{a}/orders/7")).build()?;
    let answer = execute(&client, request).await?.text().await?;
    assert_eq!(answer, "order 7: 107 cents");

    let spans = collected.spans()?;
    assert_eq!(spans.len(), 5, "{spans:#?}");
    let mut parent = SpanId::INVALID;
    for (kind, name, remote) in [
        (SpanKind::Client, "GET", false),
        (SpanKind::Server, "GET /orders/{id}", true),
        (SpanKind::Client, "GET", false),
        (SpanKind::Server, "GET /prices/{id}", true),
        (SpanKind::Internal, "query", false),
    ] {
        let mut children = spans.iter().filter(|span| span.parent_span_id == parent);
        let child = children.next().ok_or(name)?;
        assert!(children.next().is_none(), "one child of each");
        assert_eq!((&child.span_kind, &*child.name), (&kind, name));
        assert_eq!(child.parent_span_is_remote, remote, "{name}");
        assert_eq!(
            child.span_context.trace_id(),
            spans[0].span_context.trace_id()
        );
        let code = "http.response.status_code";
        let status = child
            .attributes
            .iter()
            .find(|pair| pair.key.as_str() == code);
        let status = status.map(|pair| pair.value.as_str().into_owned());
        assert_eq!(status.as_deref(), (name != "query").then_some("200"));
        parent = child.span_context.span_id();
    }
    Ok(())
}

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";

#[tokio::test]
async fn each_traceparent() -> Result<(), BoxError> {
    for (header, recorded, continues) in [
        (format!("00-{TRACE}-b7ad6b7169203331-01"), true, true),
        (format!("00-{TRACE}-b7ad6b7169203331-00"), false, false),
        (format!("00-{TRACE}-0000000000000000-01"), true, false),
        ("garbage".to_owned(), true, false),
        ("-".repeat(1000), true, false),
        (String::new(), true, false),
    ] {
        let collected = collect();
        let request = Request::get("/prices/7").header("traceparent", &header);
        let response = prices().oneshot(request.body(Body::empty())?).await?;
        assert_eq!(response.status(), 200, "{header}");
        let spans = collected.spans()?;
        let server = named(&spans, "GET /prices/{id}");
        assert_eq!(server.len(), usize::from(recorded), "{header}");
        for span in server {
            let trace = span.span_context.trace_id().to_string();
            assert_eq!(trace == TRACE, continues, "{header}");
            let root = span.parent_span_id == SpanId::INVALID;
            assert_eq!(root, !continues, "{header}");
        }
    }
    Ok(())
}

/// The layer is around the fallback as well, where there is no route.
#[tokio::test]
async fn a_request_without_a_route_is_traced_and_answered_by_the_fallback()
-> Result<(), BoxError> {
    let own = Router::new()
        .fallback(async || (StatusCode::NOT_FOUND, "our own page"))
        .layer(middleware::from_fn(trace_request));
    let nested = Router::new().nest("/in", prices());
    // In a nested router, the fallback of the outer one answers, beyond the layer.
    for (app, path, text, traced) in [
        (prices(), "/nope", "", 1),
        (own, "/nope", "our own page", 1),
        (nested, "/in/nope", "", 0),
    ] {
        let collected = collect();
        let request = Request::get(path).body(Body::empty())?;
        let response = app.oneshot(request).await?;
        assert_eq!(response.status(), StatusCode::NOT_FOUND, "{path}");
        let body = to_bytes(response.into_body(), 1024).await?;
        assert_eq!(body, text);
        let spans = collected.spans()?;
        assert_eq!(named(&spans, "GET").len(), traced, "{path}: {spans:#?}");
    }
    Ok(())
}

/// The trap: a task starts its own trace, unless it is given the span.
#[tokio::test]
async fn the_parent_of_a_spawned_task() -> Result<(), BoxError> {
    let collected = collect();
    let order = async {
        let lost = tokio::spawn(async { drop(info_span!("lost")) });
        let kept = async { drop(info_span!("kept")) };
        lost.await.and(tokio::spawn(kept.in_current_span()).await)
    };
    order.instrument(info_span!("order")).await?;
    let spans = collected.spans()?;
    let order = named(&spans, "order")[0].span_context.span_id();
    assert_eq!(named(&spans, "kept")[0].parent_span_id, order);
    assert_eq!(named(&spans, "lost")[0].parent_span_id, SpanId::INVALID);
    Ok(())
}

/// The trap: a guard that is held over an await gives its span to other tasks.
#[tokio::test]
#[expect(clippy::await_holding_invalid_type, reason = "the mistake")]
async fn a_span_entered_over_an_await() -> Result<(), BoxError> {
    let collected = collect();
    let wrong = async {
        let span = info_span!("mine");
        let _entered = span.enter();
        tokio::task::yield_now().await;
    };
    let other = async { drop(info_span!("other")) };
    tokio::join!(biased; wrong, other);
    let spans = collected.spans()?;
    let mine = named(&spans, "mine")[0].span_context.span_id();
    assert_eq!(named(&spans, "other")[0].parent_span_id, mine);
    Ok(())
}

#[tokio::test]
async fn the_spans_of_a_cancelled_request_end() -> Result<(), BoxError> {
    let collected = collect();
    let client = client()?;
    let (started, mut has_started) = tokio::sync::mpsc::channel(1);
    let endless = get(async move || {
        let _ = started.send(()).await;
        std::future::pending::<()>().await;
    });
    let app = Router::new()
        .route("/endless", endless)
        .layer(middleware::from_fn(trace_request));
    let (url, _server) = serve(app).await?;
    let request = client.get(format!("{url}/endless")).build()?;
    tokio::select! {
        answer = execute(&client, request) => panic!("answered: {answer:?}"),
        _ = has_started.recv() => {}
    }
    assert_eq!(named(&collected.spans()?, "GET").len(), 1);
    let server_span = async {
        while named(&collected.spans()?, "GET /endless").is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        Ok::<_, BoxError>(())
    };
    tokio::time::timeout(Duration::from_secs(60), server_span).await?
}

#[tokio::test]
async fn errors_have_their_status() -> Result<(), BoxError> {
    let collected = collect();
    let client = client()?;
    let closed = TcpListener::bind("127.0.0.1:0").await?.local_addr()?;
    let (a, _a) = serve(orders(client.clone(), format!("http://{closed}"))).await?;
    let request = client.get(format!("{a}/orders/7")).build()?;
    assert_eq!(execute(&client, request).await?.status(), 502);
    let spans = collected.spans()?;
    assert_eq!(spans.len(), 3);
    for span in spans {
        assert!(matches!(span.status, Status::Error { .. }), "{span:?}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_thousand_requests_do_not_mix() -> Result<(), BoxError> {
    let exporter = InMemorySpanExporter::default();
    let (subscriber, provider) = traces("test", exporter.clone());
    let all = async {
        let mut tasks = JoinSet::new();
        for id in 0..1000_u32 {
            let request = async move {
                let header = format!("00-{:032x}-{:016x}-01", id + 1, id + 1);
                let request = Request::get("/prices/7").header("traceparent", header);
                let request = request.body(Body::empty()).expect("a valid request");
                let _ = prices().oneshot(request).await;
            };
            tasks.spawn(request.with_current_subscriber());
        }
        tasks.join_all().await;
    };
    all.with_subscriber(subscriber).await;
    provider.force_flush()?;
    let spans = exporter.get_finished_spans()?;
    let queries = named(&spans, "query");
    for server in named(&spans, "GET /prices/{id}") {
        let trace = server.span_context.trace_id().to_string();
        let (parent, id) = (server.parent_span_id, server.span_context.span_id());
        assert_eq!(trace[16..], parent.to_string());
        let mut own = queries.iter().filter(|query| query.parent_span_id == id);
        assert!(own.all(|query| query.span_context.trace_id().to_string() == trace));
    }
    assert_eq!(spans.len(), 2000, "each has two");
    Ok(())
}

/// Unlike the exporter in memory, it keeps its spans at the shutdown.
#[derive(Clone, Debug, Default)]
struct Kept(Arc<Mutex<Vec<SpanData>>>);

impl SpanExporter for Kept {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        self.0.lock().expect("nobody panics").extend(batch);
        Ok(())
    }
}

impl Kept {
    fn len(&self) -> usize {
        self.0.lock().expect("nobody panics").len()
    }
}

/// The trap: a dropped provider flushes nothing while a subscriber lives.
#[test]
fn the_last_spans_come_with_the_shutdown() -> Result<(), BoxError> {
    let (lost, kept) = (Kept::default(), Kept::default());
    let (subscriber, provider) = traces("test", lost.clone());
    let _for_ever = subscriber_with_a_span(subscriber);
    drop(provider);
    assert_eq!(lost.len(), 0);

    let (subscriber, provider) = traces("test", kept.clone());
    let _for_ever = subscriber_with_a_span(subscriber);
    provider.shutdown()?;
    assert_eq!(kept.len(), 1);
    Ok(())
}

fn subscriber_with_a_span(
    subscriber: impl tracing::Subscriber + Send + Sync,
) -> tracing::Dispatch {
    let global = tracing::Dispatch::new(subscriber);
    tracing::dispatcher::with_default(&global, || drop(info_span!("the last one")));
    global
}

#[tokio::test]
async fn without_a_subscriber_requests_are_served() -> Result<(), BoxError> {
    let request = Request::get("/prices/7").body(Body::empty())?;
    assert_eq!(prices().oneshot(request).await?.status(), 200);
    Ok(())
}

#[tokio::test]
async fn a_span_of_the_level_debug_is_not_exported() -> Result<(), BoxError> {
    let collected = collect();
    drop(debug_span!("noise"));
    drop(info_span!("kept"));
    let spans = collected.spans()?;
    assert_eq!(spans.len(), 1);
    assert_eq!(named(&spans, "kept").len(), 1);
    Ok(())
}

/// Keeps its spans, once it is released.
#[derive(Debug)]
struct Blocked {
    kept: Kept,
    begun: Mutex<std::sync::mpsc::Sender<()>>,
    released: Mutex<std::sync::mpsc::Receiver<()>>,
}

impl SpanExporter for Blocked {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let _ = self.begun.lock().expect("nobody panics").send(());
        // An error: nothing is sent, the sender is dropped.
        let _ = self.released.lock().expect("nobody panics").recv();
        self.kept.export(batch).await
    }
}

/// What the doc comment of `traces` says. 512 spans are in the batch that is exported.
#[test]
fn of_the_spans_that_wait_for_the_exporter_2048_are_kept() -> Result<(), BoxError> {
    let kept = Kept::default();
    let (begin, begun) = std::sync::mpsc::channel();
    let (release, released) = std::sync::mpsc::channel();
    let exporter = Blocked {
        kept: kept.clone(),
        begun: Mutex::new(begin),
        released: Mutex::new(released),
    };
    let (subscriber, provider) = traces("test", exporter);
    let subscriber = tracing::Dispatch::new(subscriber);
    tracing::dispatcher::with_default(&subscriber, || {
        (0..512).for_each(|_| drop(info_span!("exported")));
        begun
            .recv_timeout(Duration::from_secs(60))
            .expect("a batch");
        (0..10_000).for_each(|_| drop(info_span!("waits")));
    });
    drop(release);
    provider.force_flush()?;
    assert_eq!(kept.len(), 512 + 2048);
    Ok(())
}
