use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use futures::FutureExt;
use tokio::task::{id, yield_now};
use tokio::time::sleep;

use crate::map_with_limit::map_with_limit;

const HOUR: Duration = Duration::from_secs(3600);

#[tokio::test]
async fn in_one_task() {
    let here = tokio::spawn(async {
        let ids = map_with_limit(0..1000, 3, async |_| Ok::<_, ()>(id())).await;
        ids.map(|ids| ids.len() == 1000 && ids.into_iter().all(|other| other == id()))
    });
    assert_eq!(here.await.expect("it does not panic"), Ok(true));
}

#[tokio::test(start_paused = true)]
async fn never_more_than_the_limit_and_in_order() {
    for limit in [1, 3, 100] {
        let (now, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let call = async |number: u64| {
            most.fetch_max(now.fetch_add(1, SeqCst) + 1, SeqCst);
            sleep(Duration::from_millis(number * 7 % 10 + 1)).await;
            now.fetch_sub(1, SeqCst);
            Ok::<_, ()>(number)
        };
        let results = map_with_limit(0..50, limit, call).await;
        assert_eq!(results, Ok((0..50).collect()));
        assert_eq!(most.load(SeqCst), limit.min(50));
    }
}

#[tokio::test(start_paused = true)]
async fn an_error_of_the_last_of_many_is_returned_at_once() {
    for number in [1, 31, 129, 1000] {
        let fails = async |index| {
            sleep(if index == number { HOUR / 60 } else { HOUR }).await;
            if index == number {
                Err(index)
            } else {
                Ok(index)
            }
        };
        let start = tokio::time::Instant::now();
        let failed = map_with_limit(1..=number, number, fails).await;
        assert_eq!(failed, Err(number));
        assert!(start.elapsed() < HOUR);
    }
}

#[tokio::test(start_paused = true)]
async fn a_limit_of_0_panics() {
    let call = async |number: u8| Ok::<_, ()>(number);
    let none = AssertUnwindSafe(map_with_limit([1], 0, call)).catch_unwind();
    assert!(none.await.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_panic_goes_on_in_the_caller_and_drops_the_other_calls() {
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
    let calls = AssertUnwindSafe(map_with_limit(0..9, 3, call)).catch_unwind();
    assert!(calls.await.is_err());
    assert_eq!(Arc::strong_count(&running), 1);
}

#[tokio::test]
async fn in_a_task_with_an_iterator_that_borrows() {
    let task = tokio::spawn(async {
        let names = ["a", "bc"];
        let lengths = names.iter().map(|name| name.len());
        let double = |length| async move { Ok::<_, ()>(2 * length) };
        map_with_limit(lengths, 1, double).await
    });
    assert_eq!(task.await.expect("it ends"), Ok(vec![2, 4]));
}
