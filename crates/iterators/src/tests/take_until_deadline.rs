use std::time::Duration;

use futures::{StreamExt, stream};
use tokio::time::{Instant, sleep};

const LIMIT: Duration = Duration::from_millis(500);

/// What the header says of the sleep.
#[tokio::test(start_paused = true)]
async fn the_sleep_starts_when_it_is_made_and_not_when_the_loop_starts() {
    for (pause, expected) in [(Duration::ZERO, LIMIT), (LIMIT * 2 / 5, LIMIT * 3 / 5)] {
        let in_time = stream::pending::<u32>().take_until(sleep(LIMIT));
        sleep(pause).await;
        let start = Instant::now();
        assert_eq!(in_time.count().await, 0);
        assert_eq!(start.elapsed(), expected);
    }
}
