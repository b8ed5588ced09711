use std::future::{pending, ready};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::task::JoinMap;

use super::support::{poll_and_drop, soon};
use crate::graceful_shutdown::{MAX_ORDERS, Order, drain, start, take_orders};

const HOUR: Duration = Duration::from_secs(3600);
const TICK: Duration = Duration::from_millis(1);

#[tokio::test(start_paused = true)]
async fn with_nothing_left_it_ends_well_at_once() {
    let mut tasks = JoinMap::new();
    let ended = drain(&mut tasks, Duration::ZERO, ready("SIGINT")).await;
    assert_eq!(ended, Ok(()));
}

#[tokio::test(start_paused = true)]
async fn what_has_not_ended_is_named_and_dropped() {
    let held = Arc::new(());
    let mut tasks = JoinMap::new();
    for name in ["b", "a", "c"] {
        let held = Arc::clone(&held);
        tasks.spawn(name.to_string(), async move {
            if name != "c" {
                pending::<()>().await;
            }
            drop(held);
        });
    }
    let start = Instant::now();
    let ended = drain(&mut tasks, 5 * TICK, pending()).await;
    assert_eq!(start.elapsed(), 5 * TICK);
    let error = ended.expect_err("two never end");
    let said = "5ms are over, and these had not ended: a, b";
    assert_eq!(error.to_string(), said);
    sleep(TICK).await;
    assert_eq!(Arc::strong_count(&held), 1);
}

#[tokio::test(start_paused = true)]
async fn a_further_signal_ends_the_wait_early() {
    let mut tasks = JoinMap::new();
    tasks.spawn("a".to_string(), pending());
    let further = async {
        sleep(3 * TICK).await;
        "SIGINT"
    };
    let start = Instant::now();
    let ended = drain(&mut tasks, HOUR, further).await;
    assert_eq!(start.elapsed(), 3 * TICK);
    let said = "SIGINT came again, and these had not ended: a";
    assert_eq!(ended.expect_err("one never ends").to_string(), said);
    assert!(
        tasks
            .join_next()
            .await
            .is_some_and(|(_, ended)| ended.is_err())
    );
}

#[tokio::test(start_paused = true)]
async fn a_number_that_comes_again_does_not_abort_the_first() {
    let mut tasks = JoinMap::new();
    let begin = Instant::now();
    for millis in [100, 200] {
        start(&mut tasks, Order { number: 1, millis });
        sleep(TICK).await;
    }
    let ended = tasks.join_next().await;
    assert!(ended.is_some_and(|(_, ended)| ended.is_ok()));
    assert_eq!(begin.elapsed(), 100 * TICK);
}

#[tokio::test(start_paused = true)]
async fn a_task_that_panics_has_ended_too() {
    let mut tasks = JoinMap::new();
    tasks.spawn("a".to_string(), async { panic!("scheduled") });
    assert_eq!(drain(&mut tasks, HOUR, pending()).await, Ok(()));
}

#[tokio::test(start_paused = true)]
async fn dropped_it_leaves_the_tasks_running() {
    let mut tasks = JoinMap::new();
    for ticks in 1..=10 {
        tasks.spawn(ticks.to_string(), sleep(ticks * TICK));
    }
    let patience = TICK * 11 / 2;
    assert!(
        timeout(patience, drain(&mut tasks, HOUR, pending()))
            .await
            .is_err()
    );
    assert_eq!(tasks.len(), 5);
    let start = Instant::now();
    assert_eq!(drain(&mut tasks, HOUR, pending()).await, Ok(()));
    assert!(start.elapsed() <= 5 * TICK);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn finished_tasks_do_not_pile_up_under_load() {
    const EACH: u32 = 1_000;
    let (sender, mut orders) = mpsc::channel(1_000);
    let mut producers = JoinSet::new();
    for producer in 0..4 {
        let sender = sender.clone();
        producers.spawn(async move {
            for number in 0..EACH {
                let number = producer * EACH + number;
                let order = Order { number, millis: 0 };
                assert!(sender.send(order).await.is_ok());
            }
        });
    }
    let (all_sent, signal) = oneshot::channel();
    tokio::spawn(async move {
        producers.join_all().await;
        // All that is left fits into the queue.
        all_sent.send(()).expect("it is awaited");
    });
    let mut tasks = JoinMap::new();
    let signal = async { signal.await.map_or("nobody sent", |()| "SIGINT") };
    let signal = soon(take_orders(&mut orders, &mut tasks, signal)).await;
    assert_eq!(signal, "SIGINT");
    assert!(
        tasks.len() <= MAX_ORDERS + 1,
        "{} are in the map",
        tasks.len()
    );
    drop(sender);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn as_many_orders_run_as_may() {
    for number in [0, 1, 31, 129, 1_000] {
        let (sender, mut orders) = mpsc::channel(1_000);
        for number in 0..number {
            let order = Order {
                number,
                millis: 60_000,
            };
            assert!(sender.try_send(order).is_ok());
        }
        let mut tasks = JoinMap::new();
        tasks.spawn("log".to_string(), pending());
        let signal = async {
            sleep(200 * TICK).await;
            "SIGTERM"
        };
        take_orders(&mut orders, &mut tasks, signal).await;
        let number = usize::try_from(number).expect("few");
        assert_eq!(tasks.len(), 1 + number.min(MAX_ORDERS));
        assert_eq!(orders.len(), number.saturating_sub(MAX_ORDERS));
    }
}

#[cfg(unix)]
const IS_CHILD: &str = "SIGNALS_THAT_WERE_DROPPED";

/// Not a test by itself: a process that sends itself the signal.
#[cfg(unix)]
#[tokio::test]
async fn child() {
    use rustix::process::{Signal, getpid, kill_process};

    use crate::graceful_shutdown::Signals;

    if std::env::var_os(IS_CHILD).is_none() {
        return;
    }
    let mut signals = Signals::listen().expect("the system has room");
    // It is delivered before this returns.
    let send = |signal| kill_process(getpid(), signal).expect("it is its own process");
    for (signal, name) in [(Signal::TERM, "SIGTERM"), (Signal::INT, "SIGINT")] {
        send(signal);
        // The runtime has heard of it before the call.
        sleep(TICK).await;
        // A call that was dropped has lost nothing.
        assert_eq!(poll_and_drop(signals.next(), 0).await, None);
        assert_eq!(soon(signals.next()).await, name);
    }
    drop(signals);
    send(Signal::TERM);
    println!("still here");
}

#[cfg(unix)]
#[test]
fn a_signal_before_the_call_is_returned_and_one_after_the_drop_has_no_effect() {
    let mut child = super::support::child_of(module_path!());
    let output = child.env(IS_CHILD, "1").output();
    let output = output.expect("it starts");
    let stdout = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && stdout.contains("still here"),
        "{stdout}"
    );
}
