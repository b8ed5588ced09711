use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::timeout;

use super::support::{all_wait, assert_linear};
use crate::event::Event;

#[test]
fn ten_times_as_many_that_wait_cost_ten_times_as_much() {
    assert_linear(async |number| {
        let event = Arc::new(Event::default());
        let waiting = all_wait(number, |_| {
            let event = Arc::clone(&event);
            async move { event.wait().await }
        });
        let waiting = waiting.await;
        assert_eq!(waiting.len(), number as usize);
        event.set();
        waiting.join_all().await;
    });
}

/// What the header says of a `Notify`: it wakes those who wait, and not the next one.
#[tokio::test(start_paused = true)]
async fn notify_waiters_wakes_only_the_tasks_that_wait_at_this_moment() {
    let (notify, hour) = (Arc::new(Notify::new()), Duration::from_secs(3600));
    let waiting = all_wait(31, |_| {
        let notify = Arc::clone(&notify);
        async move { notify.notified().await }
    });
    let waiting = waiting.await;
    notify.notify_waiters();
    assert!(timeout(hour, notify.notified()).await.is_err());
    assert!(timeout(hour, waiting.join_all()).await.is_ok());
}
