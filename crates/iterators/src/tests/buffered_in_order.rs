use std::pin::pin;
use std::time::Duration;

use futures::{StreamExt, stream};
use tokio::time::timeout;

#[tokio::test(start_paused = true)]
async fn a_buffer_of_0_waits_for_ever() {
    let jobs = stream::iter([1, 2]).map(async |job: u32| job);
    let mut results = pin!(jobs.buffered(0));
    let hour = Duration::from_secs(3600);
    assert!(timeout(hour, results.next()).await.is_err());
}
