//~ E0507 cannot move out of `order`, a captured variable in an `FnMut` closure
//! A closure that is called for each attempt moves its `order` into the first attempt.
//!
//! example: hedged_request

use std::time::Duration;

use tokio::time::sleep;

async fn twice<F, Fut>(delay: Duration, mut request: F) -> (Fut::Output, Fut::Output)
where
    F: FnMut() -> Fut,
    Fut: Future,
{
    let first = request().await;
    sleep(delay).await;
    (first, request().await)
}

async fn send(order: String) -> usize {
    order.len()
}

#[tokio::main]
async fn main() {
    let order = String::from("two apples");
    let delay = Duration::from_millis(100);
    let sent = twice(delay, || async move { send(order).await }).await;
    println!("{sent:?}");
}
