use std::collections::HashSet;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use futures::FutureExt;
use futures::future::join_all;
use tokio::sync::Semaphore;
use tokio::task::{id, yield_now};
use tokio::time::{Instant, sleep, timeout};

use crate::map_in_tasks::map_in_tasks;

const HOUR: Duration = Duration::from_secs(3600);

#[tokio::test]
async fn in_as_many_tasks_as_there_are_items() {
    let permits = Arc::new(Semaphore::new(3));
    for number in [0, 1, 31, 129, 1000] {
        let ids = map_in_tasks(0..number, &permits, async |_| Ok::<_, ()>(id())).await;
        let ids: HashSet<_> = ids.into_iter().flatten().collect();
        assert_eq!(ids.len(), number);
    }
}

#[tokio::test(start_paused = true)]
async fn never_more_than_the_permits_and_in_order() {
    for limit in [1, 3, 100] {
        let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let call = |number: u64| {
            let (now, most) = (Arc::clone(&now), Arc::clone(&most));
            async move {
                most.fetch_max(now.fetch_add(1, SeqCst) + 1, SeqCst);
                sleep(Duration::from_millis(number * 7 % 10 + 1)).await;
                now.fetch_sub(1, SeqCst);
                Ok::<_, ()>(number)
            }
        };
        let permits = Arc::new(Semaphore::new(limit));
        let results = map_in_tasks(0..50, &permits, call).await;
        assert_eq!(results, Ok((0..50).collect()));
        assert_eq!(most.load(SeqCst), limit.min(50));
        assert_eq!(permits.available_permits(), limit);
    }
}

#[tokio::test(start_paused = true)]
async fn it_waits_for_a_permit() {
    let permits = Arc::new(Semaphore::new(0));
    let call = async |number: u8| Ok::<_, ()>(number);
    let waits = timeout(HOUR, map_in_tasks([1], &permits, call));
    assert!(waits.await.is_err());
}

#[tokio::test(start_paused = true)]
async fn an_error_is_noticed_while_other_lists_have_the_permits() {
    let permits = Arc::new(Semaphore::new(2));
    // It fails 0.3 s after the start, when another list waits before it.
    let faulty = [(100, true), (200, false), (100, true)];
    let lists = [
        (0, vec![(3000, true)]),
        (10, faulty.into()),
        (50, vec![(3000, true)]),
    ];
    let ends = join_all(lists.map(|(start, list)| {
        let permits = Arc::clone(&permits);
        async move {
            let start_of_all = Instant::now();
            sleep(Duration::from_millis(start)).await;
            let call = async |(millis, good): (u64, bool)| {
                sleep(Duration::from_millis(millis)).await;
                if good { Ok(()) } else { Err(()) }
            };
            let outcome = map_in_tasks(list, &permits, call).await;
            (outcome.is_ok(), start_of_all.elapsed().as_millis())
        }
    }));
    let ends = timeout(HOUR, ends).await.expect("nobody hangs");
    assert_eq!(ends, [(true, 3000), (false, 310), (true, 3310)]);
    assert_eq!(permits.available_permits(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_panic_goes_on_in_the_caller_and_ends_the_other_calls() {
    let permits = Arc::new(Semaphore::new(3));
    let running = Arc::new(());
    let call = |number: u8| {
        let running = Arc::clone(&running);
        async move {
            let _running = running;
            yield_now().await;
            assert!(number != 2, "scheduled");
            sleep(HOUR).await;
            Ok::<_, ()>(number)
        }
    };
    let tasks = AssertUnwindSafe(map_in_tasks(0..9, &permits, call)).catch_unwind();
    assert!(tasks.await.is_err());
    // They are aborted, and not waited for.
    sleep(Duration::from_millis(1)).await;
    let left = (Arc::strong_count(&running), permits.available_permits());
    assert_eq!(left, (1, 3));
}

#[tokio::test]
async fn in_a_task_with_an_iterator_that_borrows() {
    let task = tokio::spawn(async {
        let (names, permits) = (["a", "bc"], Arc::new(Semaphore::new(1)));
        let lengths = names.iter().map(|name| name.len());
        let double = |length| async move { Ok::<_, ()>(2 * length) };
        map_in_tasks(lengths, &permits, double).await
    });
    assert_eq!(task.await.expect("it ends"), Ok(vec![2, 4]));
}

#[tokio::test(start_paused = true)]
async fn after_an_error_nothing_runs_any_more() {
    let permits = Arc::new(Semaphore::new(3));
    let running = Arc::new(());
    let call = |number| {
        let running = Arc::clone(&running);
        async move {
            sleep(if number == 1 { HOUR / 60 } else { HOUR }).await;
            drop(running);
            if number == 1 { Err(number) } else { Ok(()) }
        }
    };
    assert_eq!(map_in_tasks(0..9, &permits, call).await, Err(1));
    let left = (Arc::strong_count(&running), permits.available_permits());
    assert_eq!(left, (1, 3));
}

#[tokio::test(start_paused = true)]
async fn dropped_it_aborts_all_tasks() {
    let permits = Arc::new(Semaphore::new(3));
    let running = Arc::new(());
    let call = |_| {
        let running = Arc::clone(&running);
        async move {
            sleep(HOUR).await;
            drop(running);
            Ok::<_, ()>(())
        }
    };
    let mapped = timeout(HOUR / 2, map_in_tasks(0..9, &permits, call));
    assert!(mapped.await.is_err());
    sleep(HOUR / 60).await;
    let left = (Arc::strong_count(&running), permits.available_permits());
    assert_eq!(left, (1, 3));
}

#[tokio::test(start_paused = true)]
async fn without_a_permit_it_waits_forever() {
    let permits = Arc::new(Semaphore::new(0));
    let mapped = map_in_tasks(0..1, &permits, async |_| Ok::<_, ()>(()));
    assert!(timeout(1000 * HOUR, mapped).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_closed_semaphore_panics() {
    let permits = Arc::new(Semaphore::new(3));
    permits.close();
    let mapped = map_in_tasks(0..1, &permits, async |_| Ok::<_, ()>(()));
    assert!(AssertUnwindSafe(mapped).catch_unwind().await.is_err());
}
