//! What the page says of a `JoinMap`.

use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{sleep, timeout};
use tokio_util::task::JoinMap;

const HOUR: Duration = Duration::from_secs(3600);

/// Holds it and never ends.
async fn hold(held: Arc<()>) -> u32 {
    let _held = held;
    pending().await
}

#[tokio::test(start_paused = true)]
async fn dropping_the_map_aborts_all_its_tasks() {
    let held = Arc::new(());
    let mut tasks = JoinMap::new();
    for number in 0..31 {
        tasks.spawn(number, hold(Arc::clone(&held)));
    }
    sleep(HOUR).await;
    assert_eq!(Arc::strong_count(&held), 32);
    drop(tasks);
    sleep(HOUR).await;
    assert_eq!(Arc::strong_count(&held), 1);
}

/// The trap: in Python, the dict would only forget the first task.
#[tokio::test(start_paused = true)]
async fn a_key_that_is_used_twice_aborts_the_first_task_and_its_outcome_never_comes() {
    let held = Arc::new(());
    let mut tasks = JoinMap::new();
    tasks.spawn("Ann", hold(Arc::clone(&held)));
    assert!(tasks.contains_key("Ann") && !tasks.contains_key("Bob"));
    tasks.spawn("Ann", async { 2 });
    let (key, outcome) = tasks.join_next().await.expect("there is one");
    assert_eq!((key, outcome.expect("no panic")), ("Ann", 2));
    assert_eq!(Arc::strong_count(&held), 1);
    let next = timeout(HOUR, tasks.join_next()).await;
    assert!(next.expect("it is empty").is_none());
}

#[tokio::test(start_paused = true)]
async fn an_outcome_has_its_key_even_after_an_abort_or_a_panic() {
    let mut tasks = JoinMap::new();
    tasks.spawn("panics", async { panic!("a bug") });
    tasks.spawn("aborted", pending::<()>());
    assert!(tasks.abort("aborted"));
    let mut ended = Vec::new();
    while let Some((key, outcome)) = tasks.join_next().await {
        ended.push((key, outcome.expect_err("neither returns").is_panic()));
    }
    ended.sort_unstable();
    assert_eq!(ended, [("aborted", false), ("panics", true)]);
}
