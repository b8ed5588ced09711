use std::time::Duration;

use tokio::sync::Barrier;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

/// In asyncio each `wait` of a broken barrier raises.
#[tokio::test]
async fn nobody_passes_a_broken_barrier_unless_select_chooses_at_random() {
    let (barrier, broken) = (Barrier::new(1), CancellationToken::new());
    broken.cancel();
    let mut passed = [0; 3];
    for _ in 0..200 {
        let waited = broken.run_until_cancelled(barrier.wait()).await;
        passed[0] += usize::from(waited.is_some());
        tokio::select! {
            biased;
            () = broken.cancelled() => {}
            _ = barrier.wait() => passed[1] += 1,
        }
        tokio::select! {
            () = broken.cancelled() => {}
            _ = barrier.wait() => passed[2] += 1,
        }
    }
    assert_eq!(passed[..2], [0, 0]);
    // In half the runs: 100, within six standard deviations.
    assert!((58..=142).contains(&passed[2]), "{passed:?}");
}

#[tokio::test]
async fn a_barrier_for_0_is_one_for_1() {
    let limit = Duration::from_secs(30);
    let barrier = Barrier::new(0);
    assert!(
        timeout(limit, barrier.wait())
            .await
            .is_ok_and(|it| it.is_leader())
    );
}
