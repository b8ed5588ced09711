//! When `with_file` closes, and what it returns.

use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures::FutureExt;
use tokio::time::{Instant, sleep, timeout};

use crate::asynccontextmanager::with_file;

#[tokio::test(start_paused = true)]
async fn closed_after_success_an_error_and_an_early_return() {
    for (text, number) in [("7", Some(7)), ("seven", None), ("", Some(0))] {
        let start = Instant::now();
        let parsed = with_file("data.txt", async |file| {
            assert_eq!(file, "handle of data.txt");
            sleep(Duration::from_secs(3)).await;
            if text.is_empty() {
                return Ok(0);
            }
            let number: u32 = text.parse()?;
            Ok::<_, std::num::ParseIntError>(number)
        });
        assert_eq!(parsed.await.ok(), number);
        // One second to open, three for the body, one to close.
        assert_eq!(start.elapsed(), Duration::from_secs(5));
    }
}

#[tokio::test(start_paused = true)]
async fn a_task_can_use_it() {
    let name = "data.txt".to_owned();
    let task = async move { with_file(&name, async |file| file.len()).await };
    assert_eq!(
        tokio::spawn(task).await.ok(),
        Some("handle of data.txt".len())
    );
}

/// A close would take another second.
#[tokio::test(start_paused = true)]
async fn a_panic_skips_the_close_and_so_does_a_timeout() {
    let (start, second) = (Instant::now(), Duration::from_secs(1));
    let panics = with_file("data.txt", async |_| -> u32 { panic!("scheduled") });
    assert!(AssertUnwindSafe(panics).catch_unwind().await.is_err());
    assert_eq!(start.elapsed(), second);
    let late = with_file("data.txt", async |_| sleep(60 * second).await);
    assert!(timeout(2 * second, late).await.is_err());
    assert_eq!(start.elapsed(), 3 * second);
}
