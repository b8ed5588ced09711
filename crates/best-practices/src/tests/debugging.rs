use std::mem::forget;
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use futures::poll;
use tokio::join;
use tokio::runtime::Builder;
use tokio::task::{JoinSet, yield_now};
use tracing::{Dispatch, Instrument, dispatcher, info_span, subscriber};
use tracing_subscriber::layer::SubscriberExt;

use crate::debugging::{OpenSpan, OpenSpans, Shop, Watchdog, order};

const LONG: Duration = Duration::from_secs(120);

fn install() -> (OpenSpans, subscriber::DefaultGuard) {
    let spans = OpenSpans::default();
    let registry = tracing_subscriber::registry().with(spans.clone());
    (spans, subscriber::set_default(registry))
}

fn paths(spans: Vec<OpenSpan>) -> Vec<String> {
    spans.into_iter().map(|span| span.path).collect()
}

#[tokio::test(start_paused = true)]
async fn a_step_is_listed_until_it_ends_or_is_dropped() {
    let (spans, _guard) = install();
    let shop = Arc::new(Shop::default());
    let till = shop.till.lock().await;
    let mut dropped = Box::pin(order(2, Arc::clone(&shop)));
    assert!(paths(spans.waiting()).is_empty(), "nothing has begun");
    assert!(poll!(dropped.as_mut()).is_pending());
    let waiting = spans.waiting();
    assert_eq!(
        paths(waiting.clone()),
        ["order id=2 > take_back > open_till"]
    );
    let shown = waiting[0].to_string();
    let line = waiting[0].metadata.line().unwrap_or(0);
    assert!(shown.contains("open_till, waits for "), "{shown}");
    assert!(shown.ends_with(&format!("debugging.rs:{line}")), "{shown}");
    drop(dropped);
    assert!(spans.lock().is_empty());

    drop(till);
    let mut ends = Box::pin(order(2, shop));
    assert!(poll!(ends.as_mut()).is_pending());
    assert_eq!(paths(spans.waiting()), ["order id=2 > take_back"]);
    ends.await;
    assert!(spans.lock().is_empty());
}

#[tokio::test]
async fn the_innermost_that_runs_and_those_that_wait() {
    let (spans, _guard) = install();
    let waits = |name| yield_now().instrument(info_span!("waits", name));
    let looks = async {
        assert_eq!(paths(spans.busy(Duration::ZERO)), ["outer > looks"]);
        let both = ["outer > waits name=\"a\"", "outer > waits name=\"b\""];
        assert_eq!(paths(spans.waiting()), both);
        assert!(paths(spans.busy(LONG)).is_empty());
    };
    let outer = async {
        let looks = looks.instrument(info_span!("looks"));
        join!(biased; waits("b"), waits("a"), looks);
        let own = info_span!(parent: None, "own");
        let of_own = info_span!(parent: &own, "of own");
        assert_eq!(paths(spans.waiting()), ["own > of own"]);
        drop((own, of_own));
        assert_eq!(paths(spans.busy(Duration::ZERO)), ["outer"]);
    };
    outer.instrument(info_span!("outer")).await;
    assert!(spans.lock().is_empty());
}

#[test]
fn a_shared_span_runs_until_all_have_left_it() {
    let (spans, _guard) = install();
    let shared = info_span!("shared");
    let outer = shared.enter();
    drop(shared.enter());
    assert_eq!(paths(spans.busy(Duration::ZERO)), ["shared"]);
    assert!(spans.waiting().is_empty());
    drop(outer);
    assert_eq!(paths(spans.waiting()), ["shared"]);
}

#[test]
fn nothing_is_left_of_many_tasks() {
    let spans = OpenSpans::default();
    let registry = tracing_subscriber::registry().with(spans.clone());
    let dispatch = Dispatch::new(registry);
    let _guard = dispatcher::set_default(&dispatch);
    // What is dropped where another subscriber is the default leaves its parent open.
    let runtime = Builder::new_multi_thread()
        .worker_threads(4)
        .on_thread_start(move || forget(dispatcher::set_default(&dispatch)))
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let mut tasks = JoinSet::new();
        for id in 0..1000 {
            let task = async {
                yield_now().instrument(info_span!("inner")).await;
            };
            let task = tasks.spawn(task.instrument(info_span!("outer", id)));
            if id % 3 == 0 {
                task.abort();
            }
        }
        while tasks.join_next().await.is_some() {}
    });
    assert!(spans.lock().is_empty());
}

#[test]
fn a_poll_that_never_ends_is_reported_once_and_while_it_lasts() {
    let (release, released) = mpsc::channel::<()>();
    let spans = OpenSpans::default();
    let registry = tracing_subscriber::registry().with(spans.clone());
    let (report, reported) = mpsc::channel();
    let limit = Duration::from_millis(10);
    let watchdog = Watchdog::start(spans, limit, move |span| {
        let _ = report.send(span.path.clone());
    });
    let stuck = thread::spawn(move || {
        let _guard = subscriber::set_default(registry);
        let runtime = Builder::new_current_thread().build().expect("a runtime");
        let task = async {
            let _ = released.recv();
            let _ = info_span!("inner").in_scope(|| released.recv());
            released.recv()
        };
        runtime.block_on(task.instrument(info_span!("stuck")))
    });
    assert_eq!(reported.recv_timeout(LONG).as_deref(), Ok("stuck"));
    assert!(reported.recv_timeout(5 * limit).is_err());
    for step in ["stuck > inner", "stuck"] {
        assert!(release.send(()).is_ok());
        assert_eq!(reported.recv_timeout(LONG).as_deref(), Ok(step));
    }
    drop(release);
    assert!(stuck.join().expect("it does not panic").is_err());
    drop(watchdog);
    // Its thread has ended, and dropped the sender.
    let ended = reported.recv_timeout(LONG);
    assert_eq!(ended, Err(mpsc::RecvTimeoutError::Disconnected));
}
