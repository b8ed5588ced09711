use std::time::Duration;

use tokio::time::sleep;

use crate::awaitables::value_later;

#[tokio::test(start_paused = true)]
async fn the_value_is_there_before_or_after_the_await_begins() {
    assert_eq!(value_later().await, Ok("value"));
    let receiver = value_later();
    sleep(Duration::from_secs(5)).await;
    assert_eq!(receiver.await, Ok("value"));
}
