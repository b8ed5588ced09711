//! Further cases after the tests of tower's limits and of resilience4j's `Bulkhead`.

use std::cell::{Cell, RefCell};
use std::future::{pending, ready};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use futures::future::join_all;
use tokio::task::{JoinSet, yield_now};
use tokio::time::{Instant, sleep, timeout};

use crate::bulkhead::{Bulkhead, Full};

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test(start_paused = true)]
async fn tower_two_run_and_the_third_waits() {
    let (bulkhead, start) = (Bulkhead::new(2, 1), Instant::now());
    let call = async || {
        sleep(SECOND).await;
        start.elapsed().as_secs()
    };
    let ended = join_all((0..3).map(|_| bulkhead.run(call))).await;
    assert_eq!(ended, [Ok(1), Ok(1), Ok(2)]);
}

#[tokio::test(start_paused = true)]
async fn tower_without_a_queue_what_would_wait_is_shed() {
    let bulkhead = Bulkhead::new(1, 0);
    let call = || sleep(SECOND);
    let both = tokio::join!(bulkhead.run(call), bulkhead.run(call));
    assert_eq!(both, (Ok(()), Err(Full)));
}

#[tokio::test(start_paused = true)]
async fn tower_an_error_releases_its_place() {
    let bulkhead = Bulkhead::new(1, 0);
    for _ in 0..3 {
        let failed = bulkhead.run(|| ready(Err::<(), _>("failed")));
        assert_eq!(failed.await, Ok(Err("failed")));
    }
}

#[tokio::test(start_paused = true)]
async fn tower_a_dropped_call_releases_its_place() {
    let bulkhead = Bulkhead::new(1, 0);
    for _ in 0..3 {
        let hangs = bulkhead.run(pending::<()>);
        assert!(timeout(SECOND, hangs).await.is_err());
    }
    assert_eq!(bulkhead.run(|| ready(7)).await, Ok(7));
}

#[tokio::test(start_paused = true)]
async fn tower_a_panic_releases_its_place() {
    let bulkhead = Arc::new(Bulkhead::new(1, 0));
    for _ in 0..3 {
        let bulkhead = Arc::clone(&bulkhead);
        let task = tokio::spawn(async move {
            let call = async || panic!("scheduled");
            bulkhead.run(call).await
        });
        assert!(task.await.is_err_and(|error| error.is_panic()));
    }
    assert_eq!(bulkhead.run(|| ready(7)).await, Ok(7));
}

#[tokio::test(start_paused = true)]
async fn tower_of_two_waiters_one_leaves_and_the_other_goes_on() {
    let (bulkhead, start) = (Bulkhead::new(1, 2), Instant::now());
    let runs = bulkhead.run(|| sleep(5 * SECOND));
    let leaves = timeout(SECOND, bulkhead.run(|| ready(())));
    let waits = bulkhead.run(|| ready(start.elapsed()));
    let (_, left, waited) = tokio::join!(runs, leaves, waits);
    assert!(left.is_err());
    assert_eq!((waited.is_ok(), start.elapsed()), (true, 5 * SECOND));
}

#[tokio::test(start_paused = true)]
async fn tower_places_that_get_free_are_used_again_and_again() {
    let bulkhead = Bulkhead::new(2, 0);
    for _ in 0..100 {
        let call = || sleep(SECOND);
        let both = tokio::join!(bulkhead.run(call), bulkhead.run(call));
        assert_eq!(both, (Ok(()), Ok(())));
    }
}

#[tokio::test(start_paused = true)]
async fn resilience4j_a_full_bulkhead_does_not_make_the_call() {
    let (bulkhead, called) = (Bulkhead::new(1, 0), Cell::new(false));
    let refused = bulkhead.run(async || called.set(true));
    let both = tokio::join!(bulkhead.run(|| sleep(SECOND)), refused);
    assert_eq!((both.1, called.get()), (Err(Full), false));
}

#[tokio::test(start_paused = true)]
async fn resilience4j_a_waiter_that_gives_up_frees_its_place_in_the_queue() {
    let bulkhead = Bulkhead::new(1, 1);
    let waits = async {
        for _ in 0..5 {
            // Refused, it would return immediately.
            let waits = timeout(SECOND, bulkhead.run(|| ready(())));
            assert!(waits.await.is_err());
        }
    };
    let (ran, ()) = tokio::join!(bulkhead.run(|| sleep(10 * SECOND)), waits);
    assert_eq!(ran, Ok(()));
}

#[test]
#[should_panic(expected = "no call could ever run")]
fn resilience4j_no_concurrent_calls_are_refused() {
    Bulkhead::new(0, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn resilience4j_never_more_calls_than_the_limit_on_threads() {
    let bulkhead = Arc::new(Bulkhead::new(3, 1000));
    let running = Arc::new(AtomicUsize::new(0));
    let mut tasks = JoinSet::new();
    for _ in 0..500 {
        let (bulkhead, running) = (Arc::clone(&bulkhead), Arc::clone(&running));
        tasks.spawn(async move {
            let call = async || {
                assert!(running.fetch_add(1, SeqCst) < 3);
                yield_now().await;
                running.fetch_sub(1, SeqCst);
            };
            bulkhead.run(call).await
        });
    }
    assert_eq!(tasks.join_all().await, [Ok(()); 500]);
}

#[tokio::test(start_paused = true)]
async fn resilience4j_the_queue_is_first_come_first_served() {
    let (bulkhead, order) = (Bulkhead::new(1, 31), RefCell::new(Vec::new()));
    let (bulkhead, order) = (&bulkhead, &order);
    let calls = (0..32).map(|number| {
        bulkhead.run(move || async move {
            sleep(SECOND).await;
            order.borrow_mut().push(number);
        })
    });
    join_all(calls).await;
    assert_eq!(*order.borrow(), (0..32).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn resilience4j_as_many_are_accepted_as_run_and_wait() {
    let bulkhead = Bulkhead::new(2, 2);
    let calls = (0..6).map(|_| bulkhead.run(|| sleep(SECOND)));
    let ended = join_all(calls).await;
    assert_eq!(ended[..4], [Ok(()); 4]);
    assert_eq!(ended[4..], [Err(Full); 2]);
}

#[tokio::test(start_paused = true)]
async fn resilience4j_a_limit_for_the_call_starts_when_it_runs() {
    let bulkhead = Bulkhead::new(1, 1);
    let first = bulkhead.run(|| sleep(5 * SECOND));
    let second = bulkhead.run(|| timeout(SECOND, sleep(SECOND / 2)));
    let (_, second) = tokio::join!(first, second);
    assert_eq!(second, Ok(Ok(())), "the wait in the queue does not count");
}
