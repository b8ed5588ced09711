use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::FutureExt;
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::sleep;
use tracing::instrument::WithSubscriber;
use tracing::{Instrument, debug, error, info, info_span, instrument};

use tracing_subscriber::EnvFilter;

use crate::structured_logging::{handle, request, send_mail, subscriber};

/// A writer that keeps what is written. Clones share it.
#[derive(Clone, Default)]
struct Captured(Arc<Mutex<Vec<u8>>>);

impl io::Write for Captured {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0
            .lock()
            .expect("nobody panics")
            .extend_from_slice(bytes);
        Ok(bytes.len())
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
}

/// Returns what the future logs with this filter. Its tasks belong to it only with
/// `with_current_subscriber`.
async fn logged_with(filter: &str, future: impl Future) -> Vec<Value> {
    let captured = Captured::default();
    let writer = captured.clone();
    let subscriber = subscriber(filter, move || writer.clone());
    future.with_subscriber(subscriber).await;
    captured.lines()
}

async fn logged(future: impl Future) -> Vec<Value> {
    logged_with("", future).await
}

fn messages(lines: &[Value]) -> Vec<&str> {
    lines
        .iter()
        .filter_map(|line| line["message"].as_str())
        .collect()
}

#[tokio::test(start_paused = true)]
async fn dropped_at_each_await() {
    for polls in 0..3 {
        let lines = logged(async {
            let mut handled = Box::pin(handle("ada").instrument(request(1)));
            for _ in 0..polls {
                assert!(futures::poll!(&mut handled).is_pending());
                sleep(Duration::from_millis(100)).await;
            }
            drop(handled);
            info!("after it");
        });
        let lines = lines.await;
        let after = lines.last().expect("a line");
        assert_eq!(after, &json!({"level": "INFO", "message": "after it"}));
        assert_eq!(lines.len(), 1 + polls.min(1));
    }
}

#[tokio::test]
async fn a_panic_leaves_the_span() {
    let lines = logged(async {
        let panics = async { panic!("scheduled") }.instrument(request(1));
        let panics = std::panic::AssertUnwindSafe(panics).catch_unwind();
        assert!(panics.await.is_err());
        info!("after");
    });
    assert_eq!(lines.await, [json!({"level": "INFO", "message": "after"})]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_thousand_tasks_on_four_threads() {
    let lines = logged(async {
        let mut tasks = JoinSet::new();
        for id in 0..1000 {
            let task = async move {
                tokio::task::yield_now().await;
                info!(expected = id, "here");
            };
            tasks.spawn(task.instrument(request(id)).with_current_subscriber());
        }
        tasks.join_all().await;
    });
    let lines = lines.await;
    assert_eq!(lines.len(), 1000);
    for line in lines {
        assert_eq!(line["span"]["request_id"], line["expected"], "{line}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_task_has_no_span_unless_told() {
    let lines = logged(async {
        let task = async {
            tokio::spawn(send_mail().with_current_subscriber()).await?;
            tokio::spawn(send_mail().in_current_span().with_current_subscriber()).await
        };
        task.instrument(request(7)).await
    });
    let ids: Vec<_> = lines.await;
    let ids: Vec<_> = ids.iter().map(|line| &line["span"]["request_id"]).collect();
    assert_eq!(ids, [&Value::Null, &json!(7)]);
}

/// The trap: the filter as Tokio's users first write it, and what `subscriber` makes of
/// it.
#[tokio::test]
async fn without_rust_log_the_filter_of_the_crate_shows_errors_only() {
    let events = async || {
        debug!("debug");
        info!("info");
        error!("error");
    };
    let captured = Captured::default();
    let writer = captured.clone();
    let of_crate = tracing_subscriber::fmt()
        .json()
        .flatten_event(true)
        .with_env_filter(EnvFilter::new(""))
        .with_writer(move || writer.clone())
        .finish();
    events().with_subscriber(of_crate).await;
    assert_eq!(messages(&captured.lines()), ["error"]);

    for (filter, expected) in [
        ("", &["info", "error"][..]),
        ("warn", &["error"]),
        ("off", &[]),
        ("warn,best_practices=debug", &["debug", "info", "error"]),
        ("not a filter=", &["info", "error"]),
        ("elsewhere=debug", &["info", "error"]),
    ] {
        let lines = logged_with(filter, events()).await;
        assert_eq!(messages(&lines), expected, "{filter}");
    }
}

/// At the level WARN the span is still there, as it is made by `error_span!`.
#[tokio::test(start_paused = true)]
async fn the_id_is_in_warnings_at_the_level_warn() {
    let lines =
        logged_with("warn", async { send_mail().instrument(request(1)).await }).await;
    assert_eq!(lines[0]["span"]["request_id"], 1);
    let in_info_span = async {
        let span = info_span!("request", request_id = 1);
        send_mail().instrument(span).await;
    };
    let lines = logged_with("warn", in_info_span).await;
    assert_eq!(lines[0]["span"], Value::Null);
}

/// The trap: two requests on one thread, each with a guard over its await.
#[tokio::test(start_paused = true)]
#[expect(clippy::await_holding_invalid_type, reason = "the trap")]
async fn a_guard_over_an_await_mixes_up_the_ids() {
    let handle = async |id: u32| {
        let _entered = request(id).entered();
        info!("received");
        sleep(Duration::from_millis(100) * id).await;
        info!(id, "answered");
    };
    let lines = logged(async { tokio::join!(handle(1), handle(2)) }).await;
    let answered = lines.iter().filter(|line| line["message"] == "answered");
    let wrong = answered.filter(|line| line["id"] != line["span"]["request_id"]);
    assert!(wrong.count() > 0);
}

#[tokio::test]
async fn instrument_records_every_argument_unless_told_to_skip() {
    #[instrument]
    async fn log_in(_user: &str, _password: &str) {
        info!("logged in");
    }
    #[instrument(skip_all, fields(user = name))]
    async fn log_in_safely(name: &str, _password: &str) {
        info!("logged in");
    }
    let lines = logged(async {
        log_in("ada", "hunter2").await;
        log_in_safely("ada", "hunter2").await;
    });
    let texts: Vec<_> = lines.await.iter().map(Value::to_string).collect();
    assert!(
        texts[0].contains("hunter2") && !texts[1].contains("hunter2"),
        "{texts:?}"
    );
    assert!(texts[1].contains("ada"));
}

#[tokio::test]
async fn no_value_forges_a_line() {
    let forged = "eve\n{\"level\":\"ERROR\"}";
    let lines = logged(async { info!(name = forged, "signed in") }).await;
    assert_eq!(lines.len(), 1);
    assert_eq!(lines[0]["name"], forged);
}

/// Why a field needs another name: most parsers take the last of two keys.
#[tokio::test]
async fn a_field_with_the_name_of_a_key_makes_the_key_twice() {
    let captured = Captured::default();
    let writer = captured.clone();
    let subscriber = subscriber("", move || writer.clone());
    let events = async {
        let event = async { info!(level = "low", span = 1, "water") };
        event.instrument(request(1)).await;
    };
    events.with_subscriber(subscriber).await;
    let bytes = captured.0.lock().expect("nobody panics").clone();
    let line = String::from_utf8(bytes).expect("UTF-8");
    for key in ["level", "span"] {
        assert_eq!(line.matches(&format!("\"{key}\":")).count(), 2, "{line}");
    }
}

/// What the doc comment of `subscriber` says: each piece is a line.
#[tokio::test]
async fn each_line_is_written_by_one_call() {
    #[derive(Clone, Default)]
    struct Pieces(Arc<Mutex<Vec<Vec<u8>>>>);

    impl io::Write for Pieces {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().expect("nobody panics").push(bytes.to_vec());
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    let pieces = Pieces::default();
    let writer = pieces.clone();
    let subscriber = subscriber("", move || writer.clone());
    let events = async {
        info!("short");
        async { info!(long = "x".repeat(100_000), "long") }
            .instrument(request(1))
            .await;
    };
    events.with_subscriber(subscriber).await;
    let pieces = pieces.0.lock().expect("nobody panics");
    assert_eq!(pieces.len(), 2);
    for piece in &*pieces {
        assert_eq!(
            piece.iter().position(|byte| *byte == b'\n'),
            Some(piece.len() - 1)
        );
    }
}
