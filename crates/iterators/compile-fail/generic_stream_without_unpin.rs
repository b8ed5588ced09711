//~ E0594 cannot assign to data in dereference of `Pin<&mut Repeat<T>>`
//! A stream by hand that is generic over its item.
//!
//! example: stream_by_hand

use std::pin::Pin;
use std::task::{Context, Poll};

use futures::{Stream, StreamExt};

struct Repeat<T> {
    item: T,
    left: usize,
}

// Cure: `impl<T> Unpin for Repeat<T> {}`, as nothing in it is pinned; or `T: Unpin`.
impl<T: Clone> Stream for Repeat<T> {
    type Item = T;

    fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<T>> {
        if self.left == 0 {
            return Poll::Ready(None);
        }
        self.left -= 1;
        Poll::Ready(Some(self.item.clone()))
    }
}

#[tokio::main]
async fn main() {
    let words = Repeat {
        item: "tick",
        left: 2,
    };
    println!("{:?}", words.collect::<Vec<_>>().await);
}
