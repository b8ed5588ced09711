use std::time::Duration;

use tokio::runtime::Handle;
use tokio::time::sleep;

use crate::call_later::call_later;

const DELAY: Duration = Duration::from_secs(1);

fn alive_tasks() -> usize {
    Handle::current().metrics().num_alive_tasks()
}

#[tokio::test(start_paused = true)]
async fn a_call_whose_handle_is_dropped_comes_all_the_same() {
    drop(tokio::spawn(call_later(DELAY, "test")));
    sleep(DELAY / 2).await;
    assert_eq!(alive_tasks(), 1, "it waits");
    sleep(DELAY).await;
    assert_eq!(alive_tasks(), 0, "it has ended");
}

#[tokio::test(start_paused = true)]
async fn an_aborted_call_never_comes() {
    let call = tokio::spawn(call_later(DELAY, "test"));
    sleep(DELAY / 2).await;
    call.abort();
    assert!(call.await.is_err_and(|error| error.is_cancelled()));
}
