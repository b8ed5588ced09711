//! What panics in a `select!`, and who is first.

use std::future::ready;

#[tokio::test]
#[should_panic(expected = "all branches are disabled and there is no else branch")]
async fn a_select_whose_arms_are_all_off_panics() {
    let (sender, mut readings) = tokio::sync::mpsc::unbounded_channel::<u32>();
    drop(sender);
    tokio::select! { Some(_) = readings.recv() => {} }
}

#[tokio::test]
#[should_panic(expected = "`async fn` resumed after completion")]
async fn a_future_that_has_ended_must_not_be_asked_again() {
    tokio::time::pause();
    let mut calibration = std::pin::pin!(crate::select_biased::calibrate());
    calibration.as_mut().await;
    calibration.as_mut().await;
}

#[tokio::test]
async fn chance_decides_between_two_that_are_ready_unless_it_is_biased() {
    let mut won = [0, 0];
    let mut biased = [0, 0];
    for _ in 0..1000 {
        tokio::select! {
            () = ready(()) => won[0] += 1,
            () = ready(()) => won[1] += 1,
        }
        tokio::select! {
            biased;
            () = ready(()) => biased[0] += 1,
            () = ready(()) => biased[1] += 1,
        }
    }
    assert!(won.iter().all(|times| *times > 0), "{won:?}");
    assert_eq!(biased, [1000, 0]);
}
