use std::time::Duration;

use futures::{StreamExt, TryStreamExt, stream};
use tokio::runtime::Handle;
use tokio::time::{Instant, sleep};

use super::support::{SIZES, is_an_error, unknown_size};
use crate::stream_processor::{Failure, Record, processed, records};

#[tokio::test(start_paused = true)]
async fn any_number_of_records() {
    is_an_error::<Failure>();
    for size in SIZES {
        let start = Instant::now();
        let records = unknown_size(0..size).map(|id| Record {
            id: 100 + id,
            value: id,
        });
        let results = processed(stream::iter(records)).try_collect::<Vec<_>>();
        let results = tokio::spawn(results).await.expect("no panic");
        let results = results.expect("all can be processed");
        let doubled = results.iter().map(|result| result.doubled_value);
        assert!(doubled.eq((0..size).map(|id| 2 * id)), "in order");
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
