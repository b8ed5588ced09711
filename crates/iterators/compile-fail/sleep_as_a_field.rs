//~ E0599 no method named `as_mut` found for struct `Sleep`
//! A stream by hand whose sleep is a plain field.
//!
//! example: stream_by_hand

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures::{Stream, StreamExt};
use tokio::time::{Duration, Sleep, sleep};

struct Once {
    // Cure: `Pin<Box<Sleep>>`.
    pause: Sleep,
    done: bool,
}

impl Stream for Once {
    type Item = ();

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<()>> {
        if self.done {
            return Poll::Ready(None);
        }
        ready!(self.pause.as_mut().poll(cx));
        self.done = true;
        Poll::Ready(Some(()))
    }
}

#[tokio::main]
async fn main() {
    let pause = sleep(Duration::from_millis(100));
    let once = Once { pause, done: false };
    println!("{}", once.count().await);
}
