use std::future::pending;

use futures::{FutureExt, poll};
use tokio::runtime::Handle;
use tokio::task::yield_now;

use crate::dos_and_donts::{PriceError, STEP, together, with_a_task};

#[tokio::test(start_paused = true)]
async fn its_task_ends_with_it() {
    let mut price = Box::pin(with_a_task(STEP));
    assert!(poll!(price.as_mut()).is_pending());
    yield_now().await;
    let tasks = || Handle::current().metrics().num_alive_tasks();
    assert_eq!(tasks(), 1);
    drop(price);
    yield_now().await;
    assert_eq!(tasks(), 0);
}

/// An error is returned at once, also behind a request that hangs.
#[tokio::test(start_paused = true)]
async fn an_error_among_many() {
    for count in [0, 1, 31, 129, 1000] {
        let total = together((0..count).map(|_| async { Ok(1) })).await;
        assert_eq!(total.ok(), Some(count));
        let hangs = std::iter::repeat_with(|| pending().boxed()).take(count as usize);
        let fails = async {
            tokio::time::sleep(STEP).await;
            Err(PriceError::Busy)
        };
        // `filter` hides how many there are.
        let requests = hangs.chain([fails.boxed()]).filter(|_| true);
        let total = tokio::time::timeout(10 * STEP, together(requests)).await;
        assert!(total.expect("the error is returned").is_err(), "{count}");
    }
}
