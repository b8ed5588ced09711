use std::time::Duration;

use futures::stream::{self, StreamExt};
use tokio::time::{Instant, sleep};

#[tokio::test(start_paused = true)]
async fn a_limit_of_0_is_none() {
    let pause = Duration::from_millis(100);
    for limit in [Some(0), None] {
        let start = Instant::now();
        let pauses = stream::iter(0..10);
        pauses.for_each_concurrent(limit, |_| sleep(pause)).await;
        assert_eq!(start.elapsed(), pause);
    }
}
