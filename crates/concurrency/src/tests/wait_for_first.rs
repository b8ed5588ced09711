use std::future::{pending, ready};
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::time::Duration;

use futures::FutureExt;
use tokio::runtime::Handle;
use tokio::task::{JoinSet, coop};
use tokio::time::{sleep, timeout};

use super::support::poll_and_drop;
use crate::wait_for_first::{first_completed, first_exception};

const TICK: Duration = Duration::from_millis(1);

/// Also for a caller whose budget is used up, which Tokio then makes yield.
async fn takes_all_that_have_ended() {
    let metrics = Handle::current().metrics();
    let before = metrics.num_alive_tasks();
    for number in [1, 31, 129, 1000] {
        let mut tasks: JoinSet<_> = (0..number).map(ready).collect();
        tasks.spawn(pending());
        while metrics.num_alive_tasks() > before + 1 {
            sleep(TICK).await;
        }
        while coop::has_budget_remaining() {
            coop::consume_budget().await;
        }
        let done = first_completed(&mut tasks).await;
        let mut done: Vec<_> = done.into_iter().flatten().collect();
        done.sort();
        assert!(done.into_iter().eq(0..number) && tasks.len() == 1);
        tasks.shutdown().await;
    }
}

#[tokio::test(start_paused = true)]
async fn takes_all_that_have_ended_on_one_thread() {
    takes_all_that_have_ended().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn takes_all_that_have_ended_on_several_threads() {
    // In a task: the budget of `main` is another.
    tokio::spawn(takes_all_that_have_ended())
        .await
        .expect("no panic");
}

#[tokio::test]
async fn of_none_there_is_none() {
    let mut done: Vec<()> = Vec::new();
    assert_eq!(
        first_exception::<_, ()>(&mut JoinSet::new(), &mut done).await,
        Ok(())
    );
    assert!(first_completed::<()>(&mut JoinSet::new()).await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn dropped_half_way_it_loses_nothing() {
    let mut tasks = JoinSet::new();
    for number in 1..=9 {
        tasks.spawn(async move {
            sleep(number * 10 * TICK).await;
            if number == 5 { Err(number) } else { Ok(number) }
        });
    }
    let mut done = Vec::new();
    let mut errors = Vec::new();
    while !tasks.is_empty() {
        let waiting = pin!(first_exception(&mut tasks, &mut done));
        if let Ok(Err(error)) = timeout(7 * TICK, waiting).await {
            errors.push(error);
        }
    }
    assert_eq!(done, [1, 2, 3, 4, 6, 7, 8, 9]);
    assert_eq!(errors, [5]);
}

#[tokio::test(start_paused = true)]
async fn first_completed_dropped_while_it_waits_loses_nothing() {
    for polls in 1..8 {
        let mut tasks: JoinSet<_> = (1..=3)
            .map(|number| async move {
                sleep(number * 2 * TICK).await;
                number
            })
            .collect();
        let dropped = poll_and_drop(first_completed(&mut tasks), polls).await;
        let mut done = dropped.unwrap_or_default();
        while !tasks.is_empty() {
            done.extend(first_completed(&mut tasks).await);
        }
        let done: Vec<_> = done.into_iter().flatten().collect();
        assert_eq!(done, [1, 2, 3], "{polls} polls");
    }
}

#[tokio::test(start_paused = true)]
async fn first_exception_leaves_out_an_aborted_task_and_keeps_the_rest() {
    let mut tasks = JoinSet::new();
    tasks.spawn(pending()).abort();
    tasks.spawn(async { Ok(1) });
    tasks.spawn(async {
        sleep(TICK).await;
        Err("no page")
    });
    tasks.spawn(async {
        sleep(2 * TICK).await;
        Ok(2)
    });
    let mut done = Vec::new();
    assert_eq!(first_exception(&mut tasks, &mut done).await, Err("no page"));
    assert_eq!((done.as_slice(), tasks.len()), (&[1][..], 1));
    assert_eq!(first_exception(&mut tasks, &mut done).await, Ok(()));
    assert_eq!(done, [1, 2]);
}

#[tokio::test(start_paused = true)]
async fn a_panic_continues_in_the_caller_of_first_exception() {
    let mut tasks = JoinSet::<Result<(), ()>>::new();
    tasks.spawn(async { panic!("scheduled") });
    let mut done = Vec::new();
    let waiting = AssertUnwindSafe(first_exception(&mut tasks, &mut done));
    let payload = waiting.catch_unwind().await.expect_err("a panic");
    assert_eq!(payload.downcast_ref(), Some(&"scheduled"));
}
