use std::time::Duration;

use futures::StreamExt;
use tokio::time::Instant;

use super::support::{SIZES, unknown_size};
use crate::fetch_stream::fetch_all;

#[tokio::test(start_paused = true)]
async fn any_number_of_addresses() {
    for size in SIZES {
        let start = Instant::now();
        let urls = unknown_size((0..size).map(|number| format!("/{number}")));
        let pages = tokio::spawn(fetch_all(urls).count()).await;
        assert_eq!(pages.expect("no panic"), size as usize);
        assert_eq!(start.elapsed(), size * Duration::from_millis(500));
    }
}

/// The consumer drives it: what it does not ask for is not fetched.
#[tokio::test(start_paused = true)]
async fn nothing_is_fetched_in_vain() {
    let start = Instant::now();
    let asked = std::cell::Cell::new(0);
    let urls = ["/a", "/b", "/c"]
        .iter()
        .inspect(|_| asked.set(asked.get() + 1));
    assert_eq!(fetch_all(urls).take(2).count().await, 2);
    assert_eq!(asked.get(), 2);
    assert_eq!(start.elapsed(), Duration::from_secs(1));
}
