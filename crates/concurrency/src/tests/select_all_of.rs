use std::future::{pending, ready};
use std::pin::pin;
use std::time::Duration;

use futures::future::select_all;
use tokio::task::{JoinSet, yield_now};
use tokio::time::{sleep, timeout};

use crate::select_all_of::{first_completed, first_exception};

const TICK: Duration = Duration::from_millis(1);

#[tokio::test]
async fn takes_all_that_are_done() {
    let mut tasks = JoinSet::new();
    for number in 0..5 {
        tasks.spawn(ready(number));
    }
    tasks.spawn(pending());
    yield_now().await;
    let done = first_completed(&mut tasks).await;
    let mut done: Vec<_> = done.into_iter().flatten().collect();
    done.sort();
    assert_eq!((done, tasks.len()), (vec![0, 1, 2, 3, 4], 1));
}

#[tokio::test(start_paused = true)]
async fn the_rest_of_the_handles_go_on() {
    let tasks = [1, 5].map(|ticks| tokio::spawn(sleep(ticks * TICK)));
    let (_, _, rest) = select_all(tasks).await;
    sleep(9 * TICK).await;
    assert!(rest.iter().all(|task| task.is_finished()));
    assert_eq!(rest.len(), 1);
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
