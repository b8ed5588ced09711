use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::time::Duration;

use futures::StreamExt;
use tokio::time::{sleep, timeout};

use super::support::{SIZES, unknown_size};
use crate::blocking_iterator::blocking_stream;

const MINUTE: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn any_number_of_items() {
    for size in SIZES {
        let items = blocking_stream(unknown_size(0..size)).collect::<Vec<_>>();
        let items = tokio::spawn(items).await.expect("no panic");
        assert!(items.into_iter().eq(0..size));
    }
}

/// The thread reads ahead by the capacity and one item, and ends with the stream.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_dropped_stream_ends_its_thread() {
    let read = Arc::new(AtomicU32::new(0));
    let counter = Arc::clone(&read);
    let items = (0..).inspect(move |_| {
        counter.fetch_add(1, SeqCst);
    });
    let mut items = Box::pin(blocking_stream(items));
    assert_eq!(read.load(SeqCst), 0, "nothing runs before the first poll");
    assert_eq!(items.next().await, Some(0));
    let full = async {
        while read.load(SeqCst) < 18 {
            sleep(Duration::from_millis(1)).await;
        }
    };
    timeout(MINUTE, full).await.expect("it reads ahead");
    sleep(Duration::from_millis(20)).await;
    assert_eq!(
        read.load(SeqCst),
        18,
        "one read, 16 in the channel, one waits"
    );
    drop(items);
    let ended = async {
        // The iterator owns the other clone.
        while Arc::strong_count(&read) > 1 {
            sleep(Duration::from_millis(1)).await;
        }
    };
    timeout(MINUTE, ended).await.expect("the thread ends");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_panic_goes_on_in_the_consumer() {
    let items = (0..3).inspect(|number| assert!(*number < 2, "scheduled"));
    let task = tokio::spawn(blocking_stream(items).count());
    assert!(task.await.expect_err("a panic").is_panic());
}
