use std::collections::HashMap;
use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, timeout};

use super::support::{SIZES, unknown_size};
use crate::bounded_fetch_with_failures::{Client, fetch_all, fetch_all_or_none};

/// Answers each address at once, but for the one that fails.
fn client(failing: &'static str) -> Client {
    let answers = HashMap::from([("/fails", (1, 404)), (failing, (50, 500))]);
    Client { answers }
}

fn urls(count: u32) -> impl Iterator<Item = String> + Send {
    unknown_size((0..count).map(|number| format!("/{number}")))
}

#[tokio::test]
#[should_panic(expected = "would wait for ever")]
async fn a_limit_of_0_is_refused() {
    fetch_all(&client(""), urls(1), 0).await;
}

/// In a task, as on several threads it must be `Send`, also over an unknown number.
#[tokio::test(start_paused = true)]
async fn any_number_of_addresses() {
    let client = Arc::new(client(""));
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

/// The first failure is told although the fetches before it take longer, and a caller
/// with any error type may use `?`.
#[tokio::test(start_paused = true)]
async fn the_first_failure_does_not_wait_for_the_others() {
    async fn fetch(size: u32) -> Result<usize, Box<dyn Error + Send + Sync>> {
        let urls = urls(size).chain(["/fails".to_owned()]);
        let pages = fetch_all_or_none(&client(""), urls, 2000).await?;
        Ok(pages.len())
    }

    for size in SIZES {
        let told = timeout(Duration::from_millis(20), fetch(size)).await;
        let error = told.expect("at once").expect_err("it fails");
        assert_eq!(error.to_string(), "status 404");
    }
}
