use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::FutureExt;
use tokio::time::timeout;

use crate::future_by_hand::Countdown;

/// Is ready at its second poll, but never asks for it.
struct Forgetful(bool);

impl Future for Forgetful {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        match std::mem::replace(&mut self.0, true) {
            true => Poll::Ready(()),
            false => Poll::Pending,
        }
    }
}

#[tokio::test]
async fn it_is_polled_once_more_than_it_counts() {
    let mut countdown = Countdown { left: 2 };
    let mut polls = 0;
    let result = poll_fn(|context| {
        polls += 1;
        countdown.poll_unpin(context)
    });
    assert_eq!(result.await, "Lift-off");
    assert_eq!(polls, 3);
}

#[tokio::test(start_paused = true)]
async fn without_the_waker_its_task_hangs() {
    let hangs = tokio::spawn(Forgetful(false));
    assert!(timeout(Duration::from_secs(86_400), hangs).await.is_err());
}
