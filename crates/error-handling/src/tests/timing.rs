use std::time::Duration;

use futures::FutureExt;
use tokio::time::{sleep, timeout};

use crate::timing::{Ending, timed};

const WEEK: Duration = Duration::from_secs(7 * 24 * 3600);

#[tokio::test(start_paused = true)]
async fn exact_on_a_paused_clock_and_from_the_first_await() {
    let mut reports = Vec::new();
    let work = async { sleep(WEEK).await };
    let measured = timed(work, |ending, took| reports.push((ending, took)));
    sleep(WEEK).await;
    measured.await;
    assert_eq!(reports, [(Ending::Returned, WEEK)]);
}

#[tokio::test(start_paused = true)]
async fn a_panic_is_measured() {
    let mut reports = Vec::new();
    let work = async {
        sleep(WEEK).await;
        panic!("scheduled");
    };
    let measured = timed(work, |ending, took| reports.push((ending, took)));
    let caught = std::panic::AssertUnwindSafe(measured).catch_unwind().await;
    assert!(caught.is_err());
    assert_eq!(reports, [(Ending::Stopped, WEEK)]);
}

#[tokio::test(start_paused = true)]
async fn not_awaited_it_reports_nothing() {
    drop(timed(async {}, |_, _| panic!("it did not run")));
}

#[tokio::test(start_paused = true)]
async fn dropped_by_a_timeout_it_is_reported_as_stopped() {
    let mut reports = Vec::new();
    let measured = timed(sleep(WEEK), |ending, took| reports.push((ending, took)));
    assert!(timeout(WEEK / 7, measured).await.is_err());
    assert_eq!(reports, [(Ending::Stopped, WEEK / 7)]);
}
