//! When the group ends, and which errors it returns.

use std::future::pending;
use std::sync::{Arc, Barrier};
use std::time::Duration;

use tokio::task::{JoinSet, yield_now};
use tokio::time::{Instant, sleep, timeout};

use crate::join_set_group::{Failure, join_group};

const HOUR: Duration = Duration::from_secs(3600);

/// Holds it and never ends.
async fn hold(held: Arc<()>) -> Result<String, Failure> {
    let _held = held;
    pending().await
}

#[tokio::test(start_paused = true)]
async fn all_values_are_returned() {
    for number in [0, 1, 31, 129, 1000] {
        let mut tasks = JoinSet::new();
        for millis in (0..number).rev() {
            tasks.spawn(async move {
                sleep(Duration::from_millis(millis)).await;
                Ok(millis.to_string())
            });
        }
        let values = join_group(tasks).await.expect("no task fails");
        // In the order in which they ended.
        assert!(values.into_iter().eq((0..number).map(|n| n.to_string())));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn after_an_error_or_a_panic_all_have_ended_when_it_returns() {
    for round in 0..1000 {
        let held = Arc::new(());
        let mut tasks = JoinSet::new();
        tasks.spawn(hold(Arc::clone(&held)));
        tasks.spawn(async move {
            yield_now().await;
            assert!(round % 2 == 0, "a bug");
            Err("an error".into())
        });
        tasks.spawn(hold(Arc::clone(&held)));
        // In a task: its future is `Send`.
        let ended = tokio::spawn(timeout(Duration::from_secs(60), join_group(tasks)));
        let ended = ended.await.expect("no panic").expect("it does not hang");
        assert_eq!(ended.expect_err("one has failed").len(), 1);
        assert_eq!(Arc::strong_count(&held), 1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn errors_of_the_same_moment_are_all_returned() {
    let together = Arc::new(Barrier::new(2));
    let mut tasks = JoinSet::new();
    for number in 1..=2 {
        let together = Arc::clone(&together);
        tasks.spawn(async move {
            // Each blocks its own thread, so neither can be aborted any more.
            together.wait();
            Err(format!("error {number}").into())
        });
    }
    let errors = join_group(tasks).await.expect_err("both fail");
    let mut texts: Vec<String> = errors.iter().map(ToString::to_string).collect();
    texts.sort();
    assert_eq!(texts, ["error 1", "error 2"]);
}

#[tokio::test(start_paused = true)]
async fn an_error_behind_tasks_that_hang_is_returned_at_once() {
    let held = Arc::new(());
    let mut tasks = JoinSet::new();
    for _ in 0..1000 {
        tasks.spawn(hold(Arc::clone(&held)));
    }
    tasks.spawn(async {
        sleep(Duration::from_secs(1)).await;
        Err("the last one failed".into())
    });
    let start = Instant::now();
    let ended = timeout(HOUR, join_group(tasks)).await;
    assert_eq!(
        ended
            .expect("it does not hang")
            .expect_err("it fails")
            .len(),
        1
    );
    assert_eq!(start.elapsed(), Duration::from_secs(1));
    assert_eq!(Arc::strong_count(&held), 1);
}

#[tokio::test(start_paused = true)]
async fn dropped_it_aborts_the_tasks() {
    let held = Arc::new(());
    let mut tasks = JoinSet::new();
    tasks.spawn(hold(Arc::clone(&held)));
    let second = Duration::from_secs(1);
    assert!(timeout(second, join_group(tasks)).await.is_err());
    sleep(second).await;
    assert_eq!(Arc::strong_count(&held), 1);
}

/// What the header says of jobs that come later.
#[tokio::test(start_paused = true)]
async fn one_task_spawns_and_joins() {
    let (sender, mut jobs) = tokio::sync::mpsc::channel(1);
    tokio::spawn(async move {
        for millis in [3, 2, 1] {
            sender.send(millis).await.expect("it is received");
        }
    });
    let (mut set, mut ended, mut is_open) = (JoinSet::new(), Vec::new(), true);
    while is_open || !set.is_empty() {
        tokio::select! {
            job = jobs.recv(), if is_open => match job {
                Some(millis) => {
                    set.spawn(async move {
                        sleep(Duration::from_millis(millis)).await;
                        millis
                    });
                }
                None => is_open = false,
            },
            Some(result) = set.join_next() => ended.push(result.expect("no panic")),
        }
    }
    assert_eq!(ended, [1, 2, 3]);
}
