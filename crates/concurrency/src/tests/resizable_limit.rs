use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::support::{interleave, poll_and_drop, soon};
use crate::resizable_limit::ResizableLimit;

const TICK: Duration = Duration::from_millis(1);

/// How many permits of weight one can be taken at this moment. The second poll is for the
/// task's budget, which ends with the 128th permit.
async fn free(limit: &ResizableLimit) -> usize {
    let mut taken = Vec::new();
    while let Some(permit) = poll_and_drop(limit.acquire(1), 2).await {
        taken.push(permit);
    }
    taken.len()
}

#[tokio::test(start_paused = true)]
async fn it_has_the_size_that_was_set_last() {
    for held in 0..6 {
        for sizes in [[0, 3], [3, 0], [1, 5], [5, 1], [2, 2], [31, 129]] {
            let limit = ResizableLimit::new(5);
            let mut permits = Vec::new();
            for _ in 0..held {
                permits.push(limit.acquire(1).await);
            }
            for size in sizes {
                limit.resize(size);
                assert_eq!(free(&limit).await, size.saturating_sub(held));
            }
            drop(permits);
            assert_eq!(free(&limit).await, sizes[1], "{held} held, {sizes:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn after_a_shrink_each_release_frees_only_what_fits() {
    let limit = ResizableLimit::new(5);
    let (heavy, light) = (limit.acquire(3).await, limit.acquire(2).await);
    limit.resize(1);
    drop(light);
    assert_eq!(free(&limit).await, 0);
    drop(heavy);
    assert_eq!(free(&limit).await, 1);
    assert!(
        poll_and_drop(limit.acquire(2), 3).await.is_none(),
        "more than the limit"
    );
    assert_eq!(free(&limit).await, 1, "a dropped waiter keeps nothing");
    drop(
        timeout(TICK, limit.acquire(0))
            .await
            .expect("nothing to wait for"),
    );
}

/// After Go's `TestAllocCancelDoesntStarve`, with a resize in between.
#[tokio::test(start_paused = true)]
async fn go_a_heavy_waiter_that_gives_up_after_a_shrink_frees_no_permit() {
    for polls in 1..5 {
        let limit = ResizableLimit::new(3);
        let one = limit.acquire(1).await;
        let mut heavy = Box::pin(limit.acquire(3));
        assert!(futures::poll!(&mut heavy).is_pending());
        limit.resize(1);
        drop(poll_and_drop(heavy, polls).await);
        assert_eq!(free(&limit).await, 0, "one runs, and one may");
        drop(one);
        assert_eq!(free(&limit).await, 1);
    }
}

/// After deadpool's `resize`, with a timeout around a heavy call.
#[tokio::test(start_paused = true)]
async fn deadpool_a_shrink_holds_long_after_a_heavy_caller_timed_out() {
    let limit = ResizableLimit::new(3);
    let one = limit.acquire(1).await;
    let shrink = async {
        sleep(TICK).await;
        limit.resize(1);
    };
    let (heavy, ()) = tokio::join!(timeout(2 * TICK, limit.acquire(3)), shrink);
    assert!(heavy.is_err());
    sleep(Duration::from_secs(3600)).await;
    assert_eq!(free(&limit).await, 0);
    drop(one);
    assert_eq!(free(&limit).await, 1);
}

#[tokio::test(start_paused = true)]
async fn a_weight_above_the_limit_waits_until_it_grows_and_holds_up_the_next() {
    let limit = ResizableLimit::new(2);
    let mut heavy = Box::pin(limit.acquire(3));
    assert!(futures::poll!(&mut heavy).is_pending());
    assert!(poll_and_drop(limit.acquire(1), 3).await.is_none());
    limit.resize(3);
    drop(soon(heavy).await);
}

#[tokio::test(start_paused = true)]
async fn a_waiter_is_woken_when_the_limit_grows() {
    let limit = ResizableLimit::new(0);
    let grow = async {
        sleep(TICK).await;
        limit.resize(2);
    };
    let both = async { tokio::join!(limit.acquire(2), grow) };
    drop(timeout(60 * TICK, both).await.expect("it is woken"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn resized_all_the_time_it_is_right_at_the_end() {
    let limit = Arc::new(ResizableLimit::new(8));
    let running = Arc::new(AtomicUsize::new(0));
    let mut tasks = JoinSet::new();
    for number in 0..10_000_u32 {
        let (limit, running) = (Arc::clone(&limit), Arc::clone(&running));
        let task = tasks.spawn(async move {
            if number % 50 == 0 {
                limit.resize(4 + number as usize % 13);
            }
            let weight = 1 + number % 3;
            let _permits = limit.acquire(weight).await;
            let others = running.fetch_add(weight as usize, SeqCst);
            tokio::task::yield_now().await;
            running.fetch_sub(weight as usize, SeqCst);
            assert!(others + weight as usize <= 16, "above the greatest limit");
            assert!(number % 16 != 5, "scheduled");
        });
        if number % 10 == 9 {
            task.abort();
        }
    }
    while soon(tasks.join_next()).await.is_some() {}
    limit.resize(5);
    assert_eq!(free(&limit).await, 5);
}

/// `Semaphore` of Go's x/sync: several weights on several threads.
#[test]
fn go_hammered_by_threads_it_never_exceeds_its_size() {
    struct Hammered(ResizableLimit, AtomicUsize);
    let make = || Hammered(ResizableLimit::new(4), AtomicUsize::new(0));
    let call = async |it: Arc<Hammered>, caller: usize| {
        let weight = caller % 4 + 1;
        let _permits = it.0.acquire(weight as u32).await;
        assert!(it.1.fetch_add(weight, SeqCst) + weight <= 4);
        tokio::task::yield_now().await;
        it.1.fetch_sub(weight, SeqCst);
    };
    let call = move |it, caller| call(it, caller);
    interleave(1000, make, call, async |it: &Hammered| {
        assert_eq!(free(&it.0).await, 4)
    });
}

#[tokio::test(start_paused = true)]
async fn go_a_large_acquire_is_not_starved_by_small_ones() {
    let limit = Arc::new(ResizableLimit::new(3));
    let mut small = JoinSet::new();
    for _ in 0..3 {
        let limit = Arc::clone(&limit);
        small.spawn(async move {
            loop {
                let _permit = limit.acquire(1).await;
                sleep(TICK).await;
            }
        });
    }
    sleep(5 * TICK).await;
    assert!(timeout(60 * TICK, limit.acquire(3)).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn go_a_large_acquire_that_is_cancelled_lets_the_small_ones_go() {
    let limit = ResizableLimit::new(10);
    let _held = limit.acquire(1).await;
    let mut large = Box::pin(limit.acquire(10));
    assert!(futures::poll!(&mut large).is_pending());
    let mut small = Box::pin(limit.acquire(1));
    assert!(futures::poll!(&mut small).is_pending());
    drop(large);
    assert!(futures::poll!(&mut small).is_ready());
}

#[tokio::test(start_paused = true)]
async fn go_a_weight_of_zero_is_free() {
    let limit = ResizableLimit::new(1);
    let _held = limit.acquire(1).await;
    drop(soon(limit.acquire(0)).await);
}

#[tokio::test(start_paused = true)]
async fn deadpool_resized_to_zero_and_back_it_has_lost_nothing() {
    let limit = ResizableLimit::new(2);
    limit.resize(0);
    assert_eq!(free(&limit).await, 0);
    limit.resize(2);
    assert_eq!(free(&limit).await, 2);
    let held = limit.acquire(2).await;
    limit.resize(1);
    limit.resize(2);
    drop(held);
    assert_eq!(free(&limit).await, 2);
}
