//! Write an async iterator class by hand: a struct that counts and implements `Stream`.
//!
//! The class with `__anext__` is a struct with `poll_next`, which cannot await: it polls
//! what it waits for, and whatever must outlive one poll is a field. The trap is the
//! pause. A sleep that is made anew in each poll never ends, so the struct keeps one, and
//! resets it for each number. For a type with a name there is `BoxStream` too
//! (`stream_in_a_struct`); otherwise write a generator (`generator`), or give a cursor to
//! `unfold` (`record_stream`).
//!
//! asyncio: __aiter__, __anext__, StopAsyncIteration, async for

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures::{Stream, StreamExt};
use tokio::time::{Instant, Sleep, sleep};

/// Yields the numbers from `next` up to but not including `end`, pausing before each.
pub struct Counter {
    next: u32,
    end: u32,
    delay: Duration,
    pause: Pin<Box<Sleep>>,
    pausing: bool,
}

impl Counter {
    /// Within a runtime, whose timer the sleep needs.
    pub fn new(start: u32, end: u32, delay: Duration) -> Self {
        Self {
            next: start,
            end,
            delay,
            pause: Box::pin(sleep(delay)),
            pausing: false,
        }
    }
}

impl Stream for Counter {
    type Item = u32;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<u32>> {
        if self.next >= self.end {
            return Poll::Ready(None);
        }
        if !self.pausing {
            let end_of_pause = Instant::now() + self.delay;
            self.pause.as_mut().reset(end_of_pause);
            self.pausing = true;
        }
        // Returns Pending from here until the pause is over, and wakes the task then.
        ready!(self.pause.as_mut().poll(cx));
        self.pausing = false;
        let number = self.next;
        self.next += 1;
        Poll::Ready(Some(number))
    }
}

pub async fn run() {
    println!("From 1 to 3:");
    let mut to_three = Counter::new(1, 4, Duration::from_millis(100));
    while let Some(number) = to_three.next().await {
        println!("{number}");
    }

    println!("From 1 to 4, half a second apart:");
    let mut slower = Counter::new(1, 5, Duration::from_millis(500));
    while let Some(number) = slower.next().await {
        println!("Number: {number}");
        if number == 2 {
            println!("Leaving the loop");
            break;
        }
    }
    // The counter is a value like any other: it goes on where it was left.
    let rest: Vec<u32> = slower.collect().await;
    println!("The rest: {rest:?}");
}

#[tokio::main]
pub async fn main() {
    run().await;
}
