use std::io;
use std::sync::{Arc, Mutex};

use serde_json::Value;
use tokio::task::{JoinSet, yield_now};
use tracing::instrument::WithSubscriber;
use tracing::{Instrument, Subscriber, debug, error, info, info_span};
use tracing_subscriber::fmt::time::SystemTime;

use crate::json_logs::{FilterError, LogFilter, json_logs, request};

/// A writer that keeps what is written. Clones share it.
#[derive(Clone, Default)]
struct Captured(Arc<Mutex<Vec<u8>>>);

impl io::Write for Captured {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("nobody panics").write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Captured {
    /// Returns the lines since the last call, each parsed.
    fn lines(&self) -> Vec<Value> {
        let bytes = std::mem::take(&mut *self.0.lock().expect("nobody panics"));
        let text = String::from_utf8(bytes).expect("UTF-8");
        let parse = |line| serde_json::from_str(line).expect("each line is JSON");
        text.lines().map(parse).collect()
    }

    fn levels(&self) -> Vec<String> {
        let level = |line: &Value| line["level"].as_str().map(str::to_owned);
        self.lines().iter().filter_map(level).collect()
    }
}

fn logs(filter: &str) -> (impl Subscriber + Send + Sync + use<>, LogFilter, Captured) {
    let captured = Captured::default();
    let writer = captured.clone();
    let logs = json_logs(filter, (), move || writer.clone());
    let (subscriber, filter) = logs.expect("a valid filter");
    (subscriber, filter, captured)
}

async fn each_level() {
    debug!("debug");
    info!("info");
    error!("error");
}

#[tokio::test]
async fn every_filter_at_the_start_and_at_run_time() {
    for (filter, expected) in [
        ("", &["INFO", "ERROR"][..]),
        ("warn", &["ERROR"]),
        ("off", &[]),
        ("debug", &["DEBUG", "INFO", "ERROR"]),
        ("warn,best_practices=debug", &["DEBUG", "INFO", "ERROR"]),
        ("elsewhere=debug", &["INFO", "ERROR"]),
    ] {
        let (subscriber, _, captured) = logs(filter);
        each_level().with_subscriber(subscriber).await;
        assert_eq!(captured.levels(), expected, "{filter} at the start");

        let (subscriber, handle, captured) = logs("error");
        let changed = async {
            handle.set(filter).expect("a valid filter");
            each_level().await;
        };
        changed.with_subscriber(subscriber).await;
        assert_eq!(captured.levels(), expected, "{filter} at run time");
    }
}

#[tokio::test]
async fn an_invalid_filter_changes_nothing() {
    assert!(json_logs("shop=loud", (), io::sink).is_err());
    let (subscriber, handle, captured) = logs("error");
    let unchanged = async {
        let refused = handle.set("shop=loud");
        assert!(matches!(refused, Err(FilterError::Invalid(_))));
        each_level().await;
    };
    unchanged.with_subscriber(subscriber).await;
    assert_eq!(captured.levels(), ["ERROR"]);
    let gone = handle.set("info");
    assert!(matches!(gone, Err(FilterError::Reload(_))), "{gone:?}");
}

/// The trap: the id is lost with a span of the level INFO.
#[tokio::test]
async fn a_span_that_the_filter_hides_stays_hidden() {
    let (subscriber, handle, captured) = logs("warn");
    let requests = async {
        let info_span = info_span!("request", id = 1);
        let error_span = request(2);
        handle.set("debug").expect("a valid filter");
        async { info!("here") }.instrument(info_span).await;
        async { info!("here") }.instrument(error_span).await;
    };
    requests.with_subscriber(subscriber).await;
    let lines = captured.lines();
    let ids: Vec<_> = lines.iter().map(|line| &line["span"]["id"]).collect();
    assert_eq!(ids, [&Value::Null, &Value::from(2)]);
}

#[tokio::test]
async fn the_time_is_that_of_rfc_3339() {
    let captured = Captured::default();
    let writer = captured.clone();
    let logs = json_logs("", SystemTime, move || writer.clone());
    let (subscriber, _) = logs.expect("a valid filter");
    each_level().with_subscriber(subscriber).await;
    for line in captured.lines() {
        let time = line["timestamp"].as_str().expect("a time");
        assert!(time.starts_with("20") && time.ends_with('Z'), "{time}");
        assert_eq!(line["target"], "best_practices::tests::json_logs");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_thousand_tasks_while_the_filter_changes() {
    let (subscriber, handle, captured) = logs("info");
    let tasks = async {
        let mut tasks = JoinSet::new();
        for id in 0..1000 {
            let handle = handle.clone();
            let task = async move {
                if id % 100 == 0 {
                    let filter = if id % 200 == 0 { "debug" } else { "info" };
                    handle.set(filter).expect("a valid filter");
                }
                yield_now().await;
                info!(expected = id, "here");
            };
            tasks.spawn(task.instrument(request(id)).with_current_subscriber());
        }
        tasks.join_all().await;
    };
    tasks.with_subscriber(subscriber).await;
    let lines = captured.lines();
    assert_eq!(lines.len(), 1000);
    for line in lines {
        assert_eq!(line["span"]["id"], line["expected"], "{line}");
    }
}

/// Why a field needs another name: most parsers take the last of two keys.
#[tokio::test]
async fn a_field_with_the_name_of_a_key_makes_the_key_twice() {
    let captured = Captured::default();
    let writer = captured.clone();
    let logs = json_logs("", SystemTime, move || writer.clone());
    let (subscriber, _) = logs.expect("a valid filter");
    let events = async {
        let event = async {
            info!(
                level = "low",
                target = "x",
                timestamp = 0,
                span = 1,
                "water"
            );
        };
        event.instrument(request(1)).await;
    };
    events.with_subscriber(subscriber).await;
    let bytes = captured.0.lock().expect("nobody panics").clone();
    let line = String::from_utf8(bytes).expect("UTF-8");
    for key in ["timestamp", "level", "target", "span"] {
        assert_eq!(line.matches(&format!("\"{key}\":")).count(), 2, "{line}");
    }
}

/// The trap of a span that the filter hides, around a spawned task.
#[tokio::test]
async fn a_task_with_a_hidden_span_has_no_outer_one() {
    let (subscriber, _filter, captured) = logs("info");
    let _guard = tracing::subscriber::set_default(subscriber);
    let has_span = async |in_current: bool| {
        let outer = info_span!("outer", id = 7);
        let task = async { info!("here") }.instrument(tracing::debug_span!("inner"));
        outer
            .in_scope(|| match in_current {
                true => tokio::spawn(task.in_current_span()),
                false => tokio::spawn(task),
            })
            .await
            .expect("no panic");
        captured.lines()[0].to_string().contains("\"id\":7")
    };
    assert!(!has_span(false).await);
    assert!(has_span(true).await);
}
