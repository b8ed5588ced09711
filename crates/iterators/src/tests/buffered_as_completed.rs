use std::time::Duration;

use futures::{StreamExt, stream};
use tokio::time::timeout;

use crate::buffered_as_completed::fetch;

#[tokio::test(start_paused = true)]
async fn a_limit_of_0_waits_for_ever() {
    let mut results = Box::pin(stream::iter([('a', 1)]).map(fetch).buffer_unordered(0));
    let hour = Duration::from_secs(3600);
    assert!(timeout(hour, results.next()).await.is_err());
}
