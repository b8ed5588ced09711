use std::convert::Infallible;
use std::future::ready;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::task::yield_now;
use tokio::time::{Instant, sleep};

use crate::cancel_everywhere::{at_each_await, cancel_at};

#[tokio::test(start_paused = true)]
async fn each_suspension_counts_once() {
    let reached = AtomicUsize::new(0);
    let steps = async || {
        for _ in 0..3 {
            sleep(Duration::from_secs(1)).await;
            // Ready at once, so none of those that count.
            ready(()).await;
            reached.fetch_add(1, Ordering::Relaxed);
        }
    };
    for (number, expected) in [(1, 0), (2, 1), (3, 2), (4, 3)] {
        reached.store(0, Ordering::Relaxed);
        let start = Instant::now();
        let output = cancel_at(number, steps()).await;
        assert_eq!(output.is_some(), number == 4);
        assert_eq!(reached.load(Ordering::Relaxed), expected);
        // It is dropped where it begins to wait, not when that is over.
        assert_eq!(start.elapsed(), Duration::from_secs(expected as u64));
    }
    let awaits = at_each_await(async |number| {
        Ok::<_, Infallible>(cancel_at(number, steps()).await.is_some())
    });
    assert_eq!(awaits.await, Ok(3));
}

#[tokio::test]
async fn no_await_no_cancellation() {
    assert_eq!(cancel_at(1, ready(7)).await, Some(7));
    let awaits = at_each_await(async |number| {
        Ok::<_, Infallible>(cancel_at(number, ready(())).await.is_some())
    });
    assert_eq!(awaits.await, Ok(0));
}

#[tokio::test]
async fn an_error_ends_it() {
    let awaits = at_each_await(async |number| match number {
        3 => Err("as scheduled"),
        _ => Ok(false),
    });
    assert_eq!(awaits.await, Err("as scheduled"));
}

#[tokio::test]
async fn what_the_future_holds_is_released() {
    let lock = Mutex::new(());
    let holds = async {
        let _guard = lock.lock().await;
        yield_now().await;
    };
    assert_eq!(cancel_at(1, holds).await, None);
    assert!(lock.try_lock().is_ok());
}

#[tokio::test]
async fn inside_of_a_task() {
    let count = Arc::new(AtomicUsize::new(0));
    let in_task = Arc::clone(&count);
    let task = tokio::spawn(at_each_await(move |number| {
        let count = Arc::clone(&in_task);
        async move {
            let steps = async {
                while count.fetch_add(1, Ordering::Relaxed) < 10 {
                    yield_now().await;
                }
            };
            Ok::<_, Infallible>(cancel_at(number, steps).await.is_some())
        }
    }));
    assert!(task.await.is_ok_and(|awaits| awaits.is_ok()));
    assert!(count.load(Ordering::Relaxed) > 10);
}

/// Why `cancel_at` is awaited alone: a `join!` polls all its branches at each wake-up.
#[tokio::test(start_paused = true)]
async fn in_a_join_the_wake_ups_of_the_other_branches_count_too() {
    let one_wait = || sleep(Duration::from_secs(60));
    assert_eq!(cancel_at(3, one_wait()).await, Some(()));
    let other = async {
        for _ in 0..5 {
            sleep(Duration::from_secs(1)).await;
        }
    };
    let (output, ()) = tokio::join!(cancel_at(3, one_wait()), other);
    assert_eq!(output, None);
}
