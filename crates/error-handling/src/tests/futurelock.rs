use std::pin::pin;
use std::time::Duration;

use futures::{StreamExt, stream};
use tokio::select;
use tokio::sync::{Mutex, Semaphore, mpsc};
use tokio::task::yield_now;
use tokio::time::{sleep, timeout};

const HOUR: Duration = Duration::from_secs(3600);

/// Whether `second` ends, when it is awaited after `first` has been asked once and
/// then `free` was called.
async fn second_ends(
    first: impl Future,
    free: impl FnOnce(),
    second: impl Future,
) -> bool {
    let mut first = pin!(first);
    select! {
        biased;
        _ = &mut first => unreachable!("it has to wait"),
        () = yield_now() => {}
    }
    free();
    timeout(HOUR, second).await.is_ok()
}

#[tokio::test(start_paused = true)]
async fn a_lock_a_permit_and_room_in_a_channel() {
    let lock = Mutex::new(());
    let guard = lock.lock().await;
    let ends = second_ends(lock.lock(), || drop(guard), lock.lock()).await;
    assert!(!ends, "a lock");

    let one = Semaphore::new(1);
    let permit = one.acquire().await;
    let ends = second_ends(one.acquire(), || drop(permit), one.acquire()).await;
    assert!(!ends, "a permit");

    let (sender, mut receiver) = mpsc::channel(1);
    sender.send(0).await.expect("there is room");
    let receive = || assert_eq!(receiver.try_recv(), Ok(0));
    let ends = second_ends(sender.send(1), receive, sender.send(2)).await;
    assert!(!ends, "room in a channel");
}

#[tokio::test(start_paused = true)]
async fn the_body_of_a_loop_over_buffer_unordered() {
    let lock = Mutex::new(());
    let work = |millis| {
        let lock = &lock;
        async move {
            sleep(Duration::from_millis(millis)).await;
            let _guard = lock.lock().await;
            sleep(Duration::from_millis(50)).await;
        }
    };
    let mut results = pin!(stream::iter([0, 10]).map(work).buffer_unordered(2));
    assert_eq!(results.next().await, Some(()));
    // The second stands in the queue of the lock, which is free now.
    assert!(timeout(HOUR, lock.lock()).await.is_err());
}
