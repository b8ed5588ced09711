//! Write an async iterator class by hand: implement `Stream` for a struct.
//!
//! `__anext__` becomes `poll_next`, which cannot await. Instead, `poll_next` asks a
//! future whether it is ready: it polls the pause (a `Sleep`) before an item, and returns
//! `Pending` until the pause is over. The pause is a field, because it must outlive one
//! poll: a sleep made again in each poll never ends. So a `timeout` on `next` does not
//! restart the pause, while `wait_for(anext(..))` does.
//!
//! Trap: If you make the struct generic, the compiler reports "cannot assign to data in
//! dereference of `Pin<&mut Counter<T>>`". Its fields may move, so add
//! `impl<T> Unpin for Counter<T> {}`, or bound `T: Unpin`.
//!
//! See also: `async_range`, `record_stream`, `stream_in_a_struct`, `timeout_each`.
//!
//! asyncio: __aiter__, __anext__, StopAsyncIteration, async for

use std::future::Future;
use std::ops::Range;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures::Stream;
use tokio::time::{Sleep, sleep};

/// Yields the numbers of a range, each after a delay.
pub struct Counter {
    numbers: Range<u32>,
    delay: Duration,
    pause: Option<Pin<Box<Sleep>>>,
}

impl Counter {
    /// Returns a counter. Poll it within a Tokio runtime, whose timer it needs.
    pub fn new(numbers: Range<u32>, delay: Duration) -> Self {
        Self {
            numbers,
            delay,
            pause: None,
        }
    }
}

impl Stream for Counter {
    type Item = u32;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<u32>> {
        if self.numbers.is_empty() {
            return Poll::Ready(None);
        }
        let delay = self.delay;
        let pause = self.pause.get_or_insert_with(|| Box::pin(sleep(delay)));
        // Returns Pending from here until the pause is over. The sleep wakes the task.
        ready!(pause.as_mut().poll(cx));
        self.pause = None;
        Poll::Ready(self.numbers.next())
    }
}

#[tokio::main]
async fn main() {
    use futures::StreamExt as _;

    let mut counter = Counter::new(1..4, Duration::from_millis(100));
    while let Some(number) = counter.next().await {
        println!("{number}");
    }
}
