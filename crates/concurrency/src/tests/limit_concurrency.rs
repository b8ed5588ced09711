//! How many operations run at the same time.

use std::time::Duration;

use futures::future::join_all;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout};

use crate::limit_concurrency::operation;

#[tokio::test(start_paused = true)]
async fn three_run_at_once() {
    for number in [0, 1, 3, 31, 129, 1000] {
        let semaphore = Semaphore::new(3);
        let start = Instant::now();
        let operations = (0..number).map(|number| operation(number, &semaphore));
        let results: Result<Vec<_>, _> = join_all(operations).await.into_iter().collect();
        let squares = (0..number).map(|number| number * number);
        assert!(results.is_ok_and(|results| results.into_iter().eq(squares)));
        let rounds = number.div_ceil(3);
        assert_eq!(start.elapsed(), Duration::from_millis(100) * rounds);
    }
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_operation_releases_its_permit() {
    let semaphore = Semaphore::new(1);
    let limit = Duration::from_millis(50);
    assert!(timeout(limit, operation(1, &semaphore)).await.is_err());
    assert_eq!(semaphore.available_permits(), 1);
}

#[tokio::test]
async fn a_closed_semaphore_is_an_error() {
    let semaphore = Semaphore::new(1);
    semaphore.close();
    assert!(operation(1, &semaphore).await.is_err());
}
