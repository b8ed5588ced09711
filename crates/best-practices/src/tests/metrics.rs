use std::pin::pin;
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::http::{Request, StatusCode, header};
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;
use tokio::sync::oneshot;
use tokio::task::{JoinSet, yield_now};
use tokio::time::sleep;
use tower::ServiceExt;

use crate::metrics::{CallMetrics, metrics_page};

fn registered() -> (Registry, CallMetrics) {
    let mut registry = Registry::default();
    let metrics = CallMetrics::new(&mut registry);
    (registry, metrics)
}

/// The value of a series, 0 if there is no such series.
fn value(registry: &Registry, series: &str) -> f64 {
    let mut page = String::new();
    encode(&mut page, registry).expect("a text takes all");
    let value = page
        .lines()
        .find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    value.map_or(0.0, |value| value.parse().expect("a number"))
}

fn ended(registry: &Registry, outcome: &str) -> f64 {
    let series = format!("calls_total{{outcome=\"{outcome}\",route=\"a\"}}");
    value(registry, &series)
}

async fn three_awaits(result: Result<u32, u32>) -> Result<u32, u32> {
    for _ in 0..3 {
        yield_now().await;
    }
    result
}

#[tokio::test]
async fn dropped_at_each_await() {
    for polls in 0..6 {
        let (registry, metrics) = registered();
        {
            let mut call = pin!(metrics.track("a", three_awaits(Ok(1))));
            for poll in 0..polls.min(4) {
                assert_eq!(futures::poll!(call.as_mut()).is_ready(), poll == 3);
                let expected = if poll < 3 { 1.0 } else { 0.0 };
                assert_eq!(value(&registry, "calls_in_flight"), expected);
            }
        }
        assert_eq!(value(&registry, "calls_in_flight"), 0.0);
        let outcome = |expected| if expected { 1.0 } else { 0.0 };
        let cancelled = (1..4).contains(&polls);
        assert_eq!(ended(&registry, "cancelled"), outcome(cancelled), "{polls}");
        assert_eq!(ended(&registry, "ok"), outcome(polls > 3), "{polls}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_tasks_that_end_in_all_ways() {
    let (registry, metrics) = registered();
    let mut tasks = JoinSet::new();
    for number in 0..1000 {
        let metrics = metrics.clone();
        let (begun, has_begun) = oneshot::channel();
        let task = tasks.spawn(async move {
            let call = async {
                let result = three_awaits(Ok(number)).await;
                match number % 4 {
                    0 => result,
                    1 => Err(number),
                    2 => {
                        begun.send(()).expect("somebody waits for it");
                        std::future::pending().await
                    }
                    _ => std::panic::resume_unwind(Box::new("scheduled")),
                }
            };
            metrics.track("a", call).await
        });
        if number % 4 == 2 {
            tokio::spawn(async move {
                has_begun.await.expect("it is sent");
                task.abort();
            });
        }
    }
    while tasks.join_next().await.is_some() {}
    assert_eq!(value(&registry, "calls_in_flight"), 0.0);
    assert_eq!(ended(&registry, "ok"), 250.0);
    assert_eq!(ended(&registry, "error"), 500.0);
    assert_eq!(ended(&registry, "cancelled"), 250.0);
    let count = value(&registry, "call_seconds_count{route=\"a\"}");
    assert_eq!(count, 1000.0);
}

#[tokio::test(start_paused = true)]
async fn a_time_on_the_bound_is_in_its_bucket() {
    let (registry, metrics) = registered();
    for millis in [100, 101, 10_000, 10_001] {
        let call = async {
            sleep(Duration::from_millis(millis)).await;
            Ok::<_, u32>(())
        };
        metrics.track("a", call).await.expect("it does not fail");
    }
    let bucket = |le: &str| {
        let series = format!("call_seconds_bucket{{le=\"{le}\",route=\"a\"}}");
        value(&registry, &series)
    };
    assert_eq!(["0.1", "10.0", "+Inf"].map(bucket), [1.0, 3.0, 4.0]);
    let sum = value(&registry, "call_seconds_sum{route=\"a\"}");
    assert!((sum - 20.202).abs() < 1e-9, "{sum}");
}

#[tokio::test]
async fn the_page_says_its_format() {
    let (registry, _) = registered();
    let request = Request::get("/metrics").body(Body::empty());
    let page = metrics_page(registry).oneshot(request.expect("it is valid"));
    let page = page.await.expect("a router does not fail");
    assert_eq!(page.status(), StatusCode::OK);
    let format = page.headers()[header::CONTENT_TYPE].as_bytes();
    assert!(format.starts_with(b"application/openmetrics-text; version=1.0.0"));
    let body = to_bytes(page.into_body(), 10_000)
        .await
        .expect("it is short");
    assert!(body.ends_with(b"calls_in_flight 0\n# EOF\n"), "{body:?}");
}

#[test]
fn a_label_is_not_escaped() {
    let mut registry = Registry::default();
    let by_path = Family::<Vec<(&str, String)>, Counter>::default();
    registry.register("path_calls", "Calls by path", by_path.clone());
    let path = "/\"} 1\nforged 1".to_owned();
    by_path.get_or_create(&vec![("path", path)]).inc();
    let mut page = String::new();
    encode(&mut page, &registry).expect("a text takes all");
    assert!(page.contains("\nforged 1\"} 1\n"), "{page}");
}

#[test]
fn a_call_that_is_never_polled_counts_nothing() {
    let (registry, metrics) = registered();
    drop(metrics.track("a", three_awaits(Ok(1))));
    assert_eq!(value(&registry, "calls_in_flight"), 0.0);
    assert_eq!(ended(&registry, "cancelled"), 0.0);
}

/// A call that is dropped because another future of its task panics is not an error.
#[tokio::test]
async fn dropped_by_the_panic_of_a_neighbour() {
    use futures::FutureExt;

    let (registry, metrics) = registered();
    let waits = metrics.track("a", std::future::pending::<Result<u32, u32>>());
    let panics = async {
        yield_now().await;
        panic!("as scheduled");
    };
    let both = async { tokio::join!(waits, panics) };
    let caught = std::panic::AssertUnwindSafe(both).catch_unwind().await;
    assert!(caught.is_err());
    assert_eq!(ended(&registry, "cancelled"), 1.0);
    assert_eq!(ended(&registry, "error"), 0.0);
}

/// Why `new` is called once.
#[test]
fn the_registry_accepts_a_second_metric_of_the_same_name() {
    let mut registry = Registry::default();
    for _ in 0..2 {
        CallMetrics::new(&mut registry);
    }
    let mut page = String::new();
    encode(&mut page, &registry).expect("a text takes all");
    assert_eq!(page.matches("# TYPE calls_in_flight gauge").count(), 2);
}
