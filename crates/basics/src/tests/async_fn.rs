use std::time::Duration;

use tokio::time::Instant;

use crate::async_fn::process_data;

#[tokio::test(start_paused = true)]
async fn the_caller_gets_the_value_when_the_request_is_over() {
    let start = Instant::now();
    assert_eq!(process_data("tea").await, "DATA OF TEA");
    assert_eq!(start.elapsed(), Duration::from_secs(1));
}

#[tokio::test(start_paused = true)]
async fn a_borrowed_name_can_be_used_by_two_calls_at_once() {
    let name = String::from("tea");
    let start = Instant::now();
    let (first, second) = tokio::join!(process_data(&name), process_data(&name));
    assert_eq!(first, second);
    assert_eq!(start.elapsed(), Duration::from_secs(1));
}
