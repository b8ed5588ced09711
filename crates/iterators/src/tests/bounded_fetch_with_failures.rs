use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::support::{SIZES, unknown_size};
use crate::bounded_fetch_with_failures::{Client, fetch_all};

fn client() -> Client {
    let latency = Duration::from_millis(200);
    Client { latency }
}

fn urls(count: u32) -> impl Iterator<Item = String> + Send {
    unknown_size((0..count).map(|number| format!("/{number}")))
}

#[tokio::test]
#[should_panic(expected = "would wait for ever")]
async fn a_limit_of_0_is_refused() {
    fetch_all(&client(), urls(1), 0).await;
}

/// In a task, as on several threads it must be `Send`, also over an unknown number.
#[tokio::test(start_paused = true)]
async fn any_number_of_addresses() {
    let client = Arc::new(client());
    for size in SIZES {
        let start = Instant::now();
        let shared = Arc::clone(&client);
        let fetches = async move { fetch_all(&shared, urls(size), 10).await };
        let (pages, failures) = tokio::spawn(fetches).await.expect("no panic");
        assert_eq!(pages.len(), size as usize);
        assert!(failures.is_empty());
        assert_eq!(
            start.elapsed(),
            size.div_ceil(10) * Duration::from_millis(200)
        );
    }
}

#[tokio::test(start_paused = true)]
async fn failures_are_told_with_their_addresses() {
    let urls = ["/b", "/a", "/d"].map(str::to_owned);
    let (pages, failures) = fetch_all(&client(), urls, 9).await;
    let failed: Vec<_> = failures.iter().map(|(url, _)| url.as_str()).collect();
    assert_eq!((pages.len(), failed), (1, vec!["/b", "/d"]));
    // A caller with any error type may use `?`.
    let error: Box<dyn Error + Send + Sync> =
        failures.into_iter().next().unwrap().1.into();
    assert_eq!(error.to_string(), "status 404");
}
