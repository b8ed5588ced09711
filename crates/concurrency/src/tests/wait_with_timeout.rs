//! What `wait` takes out of the set, and what stays in it.

use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use futures::future::{BoxFuture, join_all};
use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

use crate::wait_with_timeout::wait;

const MILLISECOND: Duration = Duration::from_millis(1);
const HOUR: Duration = Duration::from_secs(3600);

/// Has tasks end while the timeout expires, next to one that never ends: `wait` has not
/// been polled in between.
async fn all_that_have_ended_are_done() {
    let metrics = Handle::current().metrics();
    let before = metrics.num_alive_tasks();
    for number in [0, 1, 31, 129, 1000] {
        let gate = Arc::new(Notify::new());
        let mut tasks = JoinSet::new();
        for _ in 0..number {
            let opened = Arc::clone(&gate).notified_owned();
            tasks.spawn(opened);
        }
        tasks.spawn(Arc::new(Notify::new()).notified_owned());
        // On a busy machine the timeout may expire within the first poll.
        let waiting = loop {
            let mut waiting = Box::pin(wait(&mut tasks, MILLISECOND));
            if futures::poll!(&mut waiting).is_pending() {
                break waiting;
            }
        };
        gate.notify_waiters();
        while metrics.num_alive_tasks() > before + 1 {
            sleep(MILLISECOND).await;
        }
        sleep(5 * MILLISECOND).await;
        assert_eq!(waiting.await.len(), number);
        assert_eq!(tasks.len(), 1);
        tasks.shutdown().await;
    }
}

#[tokio::test(start_paused = true)]
async fn finished_tasks_are_done_and_the_rest_is_pending() {
    all_that_have_ended_are_done().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_same_on_several_threads() {
    // In a task: the budget of `main` is another.
    tokio::spawn(all_that_have_ended_are_done())
        .await
        .expect("no panic");
}

#[tokio::test(start_paused = true)]
async fn the_timeout_may_be_of_any_length() {
    let jobs = || (1..=3).map(|second| sleep(Duration::from_secs(second)));
    let start = Instant::now();
    for (limit, done) in [(Duration::ZERO, 0), (HOUR, 3), (Duration::MAX, 3)] {
        let mut tasks: JoinSet<_> = jobs().collect();
        assert_eq!(wait(&mut tasks, limit).await.len(), done);
        assert_eq!(tasks.len(), 3 - done);
    }
    assert_eq!(start.elapsed(), Duration::from_secs(6));
    let mut tasks = JoinSet::from_iter([pending::<()>()]);
    let waiting = timeout(HOUR, wait(&mut tasks, Duration::MAX));
    assert!(
        waiting.await.is_err(),
        "it waits for the one that never ends"
    );
}

#[tokio::test(start_paused = true)]
async fn the_outcomes_come_in_the_order_in_which_the_tasks_ended() {
    for number in [1, 31, 129, 1000] {
        let mut tasks: JoinSet<_> = (0..number)
            .map(|index| async move {
                sleep((number - index) * MILLISECOND).await;
                index
            })
            .collect();
        let mut done = wait(&mut tasks, number / 2 * MILLISECOND).await;
        assert_eq!(done.len() + tasks.len(), number as usize);
        done.extend(wait(&mut tasks, HOUR).await);
        assert!(done.into_iter().flatten().eq((0..number).rev()));
    }
}

/// The first trap: what was ready is dropped with the future of `join_all`.
#[tokio::test(start_paused = true)]
async fn a_timeout_around_join_all_loses_the_results_that_were_ready() {
    let held = Arc::new(());
    let ready = Arc::clone(&held);
    let calls: [BoxFuture<'static, _>; 2] =
        [Box::pin(async { ready }), Box::pin(pending())];
    assert!(timeout(HOUR, join_all(calls)).await.is_err());
    assert_eq!(Arc::strong_count(&held), 1);
}

#[tokio::test(start_paused = true)]
async fn dropped_it_loses_the_outcomes_that_it_has_taken_out() {
    let mut tasks: JoinSet<_> =
        [1, 3].map(|hour| sleep(hour * HOUR)).into_iter().collect();
    assert!(timeout(2 * HOUR, wait(&mut tasks, HOUR * 9)).await.is_err());
    assert_eq!(tasks.len(), 1);
}
