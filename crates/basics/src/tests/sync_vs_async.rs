//! The times of both forms. The blocking ones only have a lower limit: no machine is too
//! busy for that.

use std::time::{Duration, Instant};

use futures::future::join_all;

use crate::sync_vs_async::{download_file, download_file_async};

const DOWNLOAD: Duration = Duration::from_millis(200);

#[tokio::test(start_paused = true)]
async fn async_downloads_take_as_long_as_one() {
    let start = tokio::time::Instant::now();
    let results = join_all(["a", "b", "c"].map(download_file_async)).await;
    assert_eq!(results, ["Data from a", "Data from b", "Data from c"]);
    assert_eq!(start.elapsed(), DOWNLOAD);
}

#[tokio::test]
async fn a_blocking_call_in_an_async_function_overlaps_nothing() {
    let start = Instant::now();
    join_all(["a", "b", "c"].map(async |file| download_file(file))).await;
    assert!(start.elapsed() >= 3 * DOWNLOAD);
}
