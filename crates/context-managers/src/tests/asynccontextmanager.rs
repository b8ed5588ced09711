//! When `with_file` closes, and what it returns.

use std::time::Duration;

use tokio::time::{Instant, sleep};

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
