use std::time::Duration;

use tokio::time::timeout;

use crate::barrier::BreakableBarrier;

#[tokio::test(start_paused = true)]
async fn who_leaves_is_counted_no_more() {
    let barrier = BreakableBarrier::new(3);
    let moment = Duration::from_millis(1);
    let (left, count) =
        tokio::join!(timeout(moment, barrier.wait()), async { barrier.waiting() });
    assert!(left.is_err());
    assert_eq!((count, barrier.waiting()), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn broken_it_lets_nobody_wait() {
    let barrier = BreakableBarrier::new(2);
    assert!(!barrier.is_broken());
    let (waited, ()) = tokio::join!(barrier.wait(), async { barrier.abort() });
    assert!(waited.is_none());
    let late = timeout(Duration::from_secs(1), barrier.wait()).await;
    assert!(barrier.is_broken() && late.is_ok_and(|passed| passed.is_none()));
}
