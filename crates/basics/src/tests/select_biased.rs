//! What panics in a `select!`.

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
