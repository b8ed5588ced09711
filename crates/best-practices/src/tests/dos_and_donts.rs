use futures::poll;
use tokio::runtime::Handle;
use tokio::task::yield_now;

use crate::dos_and_donts::{STEP, with_a_task};

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
