//! Write a class with `__await__`: implement `Future` for your own type.
//!
//! You write `poll`, and the runtime (Tokio's event loop) calls it. If the result is
//! there, `poll` returns `Ready`. If not, `poll` first hands a clone of the waker (the
//! value that wakes the task) to an event source, such as a timer, and then returns
//! `Pending`. The event source calls the waker later, and the runtime calls `poll` again.
//!
//! `Countdown`, the future of this file, has no event source: it calls the waker itself,
//! immediately, as a bare `yield` in `__await__` does. You rarely need to write `poll`:
//! an async function is a future, and a `oneshot` (a channel for one value) delivers a
//! result. For small cases `std::future` has `poll_fn`, which makes a future of a
//! closure, `ready`, which has its value already, and `pending`, which never ends.
//!
//! Trap: If your `poll` returns `Pending` without passing the waker on, `poll` is never
//! called again. The task hangs without an error. Pass the waker on before each
//! `Pending`.
//!
//! See also: `awaitables`, `poll_by_hand`, `yield_now`, `stream_by_hand`.
//!
//! asyncio: __await__, await

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

/// A future that is pending for `left` polls, and then ready.
pub struct Countdown {
    pub left: u32,
}

impl Future for Countdown {
    type Output = &'static str;

    // `Pin` means that the future no longer moves. This one could: it holds no references
    // to itself.
    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<&'static str> {
        if self.left == 0 {
            return Poll::Ready("Lift-off");
        }
        println!("{}", self.left);
        self.left -= 1;
        // A real future passes the waker to whatever brings its result. To wake
        // immediately keeps a core busy.
        context.waker().wake_by_ref();
        Poll::Pending
    }
}

#[tokio::main]
async fn main() {
    let result = Countdown { left: 3 }.await;
    println!("{result}");
}
