use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::Duration;

use tokio::time::sleep;

async fn save(rows: Arc<AtomicU32>) {
    sleep(Duration::from_millis(1)).await;
    rows.fetch_add(1, Relaxed);
}

/// The trap: clippy accepts this function with all its groups of lints.
#[deny(clippy::all, clippy::nursery, clippy::pedantic, unused, unused_results)]
fn no_lint_refuses_these(rows: &Arc<AtomicU32>) {
    let _later = save(Arc::clone(rows));
    drop(save(Arc::clone(rows)));
}

#[tokio::test(start_paused = true)]
async fn a_future_that_has_a_name_is_dropped_as_well() {
    let rows = Arc::default();
    no_lint_refuses_these(&rows);
    sleep(Duration::from_secs(1)).await;
    assert_eq!(rows.load(Relaxed), 0);
    assert_eq!(Arc::strong_count(&rows), 1, "the futures are dropped");
}
