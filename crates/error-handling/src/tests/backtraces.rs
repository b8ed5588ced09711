use std::backtrace::BacktraceStatus;
use std::process::Command;

use anyhow::anyhow;
use futures::future::join_all;
use tokio::task::yield_now;
use tracing::{Instrument, info_span};
use tracing_error::{ErrorLayer, SpanTrace};
use tracing_subscriber::layer::SubscriberExt;

use crate::backtraces::{At, Closed, spawn_at};

/// Returns the line of the place in `main.rs:42:10`, at the end of a cause.
fn line(cause: &impl ToString) -> u32 {
    let cause = cause.to_string();
    let (_, place) = cause.split_once(" at ").expect("a place");
    let numbers = place.strip_prefix(concat!(file!(), ":"));
    let numbers = numbers.unwrap_or_else(|| panic!("{place} is not in this file"));
    let (line, _column) = numbers.split_once(':').expect("a line and a column");
    line.parse().expect("a number")
}

async fn fail<E>(error: E) -> Result<u32, E> {
    yield_now().await;
    Err(error)
}

#[tokio::test]
async fn each_place_is_that_of_its_caller_also_through_tasks() {
    let inner = line!() + 1;
    let load = async { fail(anyhow!("none")).await.at("cannot load") };
    let task = tokio::spawn(load).await.expect("no panic");
    let outer = line!() + 1;
    let error = task.at("cannot show");
    let error = error.expect_err("it fails");
    let causes: Vec<_> = error.chain().collect();
    assert_eq!(causes.len(), 3);
    assert_eq!(line(&causes[0]), outer);
    assert_eq!(line(&causes[1]), inner);
    assert_eq!(causes[2].to_string(), "none");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn any_number_of_places_of_many_tasks() {
    for places in [0, 1, 31, 129, 1_000] {
        let tasks = (0..8).map(|task| {
            tokio::spawn(async move {
                let mut result: anyhow::Result<()> = Err(anyhow!("none"));
                for place in 0..places {
                    result = result.at(format_args!("place {place} of task {task}"));
                }
                result.expect_err("it fails")
            })
        });
        for (task, error) in join_all(tasks).await.into_iter().enumerate() {
            let error = error.expect("no panic");
            assert_eq!(error.chain().count(), places + 1);
            if let Some(place) = places.checked_sub(1) {
                let first = format!("place {place} of task {task} at ");
                assert!(error.to_string().starts_with(&first));
            }
        }
    }
}

#[tokio::test]
async fn a_spawned_task_names_its_spawner() {
    let task = spawn_at(fail(anyhow!("none")));
    let spawner = line!() - 1;
    let error = task.await.expect("no panic").expect_err("it fails");
    assert_eq!(line(&error), spawner);
    assert_eq!(error.root_cause().to_string(), "none");

    // Any error, and none; a panic is that of the task.
    let error = spawn_at(fail(std::fmt::Error)).await.expect("no panic");
    assert!(error.expect_err("it fails").is::<std::fmt::Error>());
    let value = spawn_at(async { Ok::<_, Closed>(7) }).await;
    assert_eq!(value.expect("no panic").expect("no error"), 7);
    let panic = spawn_at(async { panic!("a bug") as Result<(), Closed> });
    assert!(panic.await.expect_err("a bug").is_panic());
    let aborted = spawn_at(std::future::pending::<Result<(), Closed>>());
    aborted.abort();
    assert!(aborted.await.expect_err("aborted").is_cancelled());
}

/// An error of one's own, a standard one, and a value: which stays as it is, without a
/// text.
#[test]
fn any_error_and_no_error() {
    struct Unprinted;
    impl std::fmt::Display for Unprinted {
        fn fmt(&self, _: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            panic!("it costs nothing until there is an error")
        }
    }
    let value: Result<u32, std::io::Error> = Ok(7);
    assert_eq!(value.at(Unprinted).expect("no error"), 7);
    let nothing = None::<u32>.at("nothing is there");
    assert_eq!(line(&nothing.expect_err("it is none")), line!() - 1);
    let error = "seven".parse::<u32>().at("cannot parse");
    let error = error.expect_err("no number");
    assert!(error.downcast_ref::<std::num::ParseIntError>().is_some());
}

/// What the header says of `tracing-error`: a span goes along with a task, if it is told.
#[tokio::test]
async fn a_span_trace_names_the_spans_across_tasks() {
    let subscriber = tracing_subscriber::registry().with(ErrorLayer::default());
    let _default = tracing::subscriber::set_default(subscriber);
    async fn load() -> String {
        yield_now().await;
        SpanTrace::capture().to_string()
    }
    let request = info_span!("show_page", id = 7);
    let traces = async {
        let with_span = tokio::spawn(load().instrument(info_span!("load_price")));
        (with_span.await, tokio::spawn(load()).await)
    };
    let (with_span, without) = traces.instrument(request).await;
    let with_span = with_span.expect("no panic");
    for text in ["load_price", "show_page", "id=7"] {
        assert!(with_span.contains(text), "no {text} in {with_span}");
    }
    let without = without.expect("no panic");
    assert!(!without.contains("show_page"), "{without}");
}

/// The first trap. A separate process, since the variables are read once.
#[test]
fn what_the_variables_switch_on() {
    const CHILD: &str = "PRINT_STATUS";
    if std::env::var_os(CHILD).is_some() {
        let status = anyhow!("none").backtrace().status();
        println!("captured: {}", status == BacktraceStatus::Captured);
        return;
    }
    for (backtrace, lib, captured) in [
        (None, None, false),
        (Some("1"), None, true),
        (Some("1"), Some("0"), false),
        (None, Some("1"), true),
    ] {
        let test = std::env::current_exe().expect("this test");
        let mut command = Command::new(test);
        command
            .args(["what_the_variables_switch_on", "--nocapture"])
            .env(CHILD, "1")
            .env_remove("RUST_BACKTRACE")
            .env_remove("RUST_LIB_BACKTRACE");
        let variables = [("RUST_BACKTRACE", backtrace), ("RUST_LIB_BACKTRACE", lib)];
        command.envs(
            variables
                .into_iter()
                .filter_map(|(name, value)| Some((name, value?))),
        );
        let output = command.output().expect("it runs");
        let output = String::from_utf8_lossy(&output.stdout);
        let expected = format!("captured: {captured}\n");
        assert!(
            output.contains(&expected),
            "{backtrace:?}, {lib:?}: {output}"
        );
    }
}
