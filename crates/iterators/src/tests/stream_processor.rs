use std::time::Duration;

use futures::{StreamExt, TryStreamExt, stream};
use tokio::runtime::Handle;
use tokio::time::{Instant, sleep};

use super::support::{SIZES, is_an_error, unknown_size};
use crate::stream_processor::{Failure, processed, records};

#[tokio::test(start_paused = true)]
async fn any_number_of_records() {
    is_an_error::<Failure>();
    for size in SIZES {
        let start = Instant::now();
        let records = unknown_size(100..100 + size);
        let results = processed(stream::iter(records)).try_collect::<Vec<_>>();
        let results = tokio::spawn(results).await.expect("no panic");
        let results = results.expect("all can be processed");
        let doubled = (100..100 + size).map(|record| 2 * record);
        assert!(results.into_iter().eq(doubled), "in order");
        let took = size.div_ceil(5) * Duration::from_millis(600);
        assert_eq!(start.elapsed(), took);
    }
}

#[tokio::test(start_paused = true)]
async fn a_dropped_chain_aborts_its_tasks() {
    {
        let mut results = Box::pin(processed(records()));
        assert!(results.next().await.is_some());
        assert!(Handle::current().metrics().num_alive_tasks() > 0);
    }
    sleep(Duration::from_millis(1)).await;
    assert_eq!(Handle::current().metrics().num_alive_tasks(), 0);
}
