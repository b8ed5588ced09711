use std::sync::Arc;

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
