//! Write an async iterator class by hand: implement `Stream` for a struct.
//!
//! `__anext__` becomes `poll_next`, which cannot await. Instead, `poll_next` asks a
//! future whether it is ready. Here it polls the pause before an item, a `Sleep`, and
//! returns `Pending` until the pause is over. Keep the pause in a field: `poll_next` is
//! called several times for one item, and a `Sleep` that is made again in each call never
//! ends.
//!
//! If a `timeout` drops the future of `next`, the pause stays in the struct, and the next
//! call waits only for the rest of it. In Python, `wait_for(anext(..))` cancels the
//! pause, and the next call begins a new one.
//!
//! Trap: If you make the struct generic, the compiler refuses to change its fields:
//! "cannot assign to data in dereference of `Pin<&mut Counter<T>>`". Fields of a pinned
//! struct can be assigned only if the struct is `Unpin` (it may be moved), and the
//! compiler does not know this of every `T`. Add `impl<T> Unpin for Counter<T> {}`, or
//! bound `T: Unpin`.
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
