use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use futures::future::{FutureExt, join_all};
use futures::poll;
use tokio::sync::{Semaphore, SetOnce, oneshot};
use tokio::task::yield_now;
use tokio::time::timeout;

use crate::futures_by_hand::{CallError, Calls, add_done_callback};

const MINUTE: Duration = Duration::from_secs(60);

#[tokio::test(start_paused = true)]
async fn a_call_that_is_given_up_is_forgotten() {
    let calls = Calls::default();
    assert!(timeout(MINUTE, calls.call(1)).await.is_err());
    assert!(!calls.reply(1, Ok(String::new())));
}

#[tokio::test(start_paused = true)]
async fn a_set_once_that_nobody_sets_is_awaited_for_ever() {
    let future = SetOnce::<u32>::new();
    assert!(timeout(MINUTE, future.wait()).await.is_err());
}

#[tokio::test]
async fn a_reply_is_given_once() {
    let calls = Calls::default();
    let replies = async { [(); 2].map(|()| calls.reply(1, Ok("a".to_owned()))) };
    let (reply, given) = tokio::join!(calls.call(1), replies);
    assert_eq!((reply, given), (Ok("a".to_owned()), [true, false]));
    assert!(!calls.reply(1, Ok(String::new())));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn each_of_a_thousand_calls_gets_its_reply_or_is_lost() {
    let calls = Arc::new(Calls::default());
    let begun = Arc::new(Semaphore::new(0));
    let callers = (0..1000).map(|number| {
        let (calls, begun) = (Arc::clone(&calls), Arc::clone(&begun));
        tokio::spawn(async move {
            let mut call = pin!(calls.call(number));
            let first = poll!(call.as_mut());
            begun.add_permits(1);
            match first {
                Poll::Ready(reply) => reply,
                Poll::Pending => call.await,
            }
        })
    });
    let callers: Vec<_> = callers.collect();
    for number in (0..1000).rev().filter(|number| number % 10 != 0) {
        while !calls.reply(number, Ok(number.to_string())) {
            yield_now().await;
        }
    }
    let all = begun.acquire_many(1000).await;
    assert!(all.is_ok(), "each is known or has its reply");
    calls.lose();
    for (number, reply) in join_all(callers).await.into_iter().enumerate() {
        let expected = match number % 10 {
            0 => Err(CallError::Lost),
            _ => Ok(number.to_string()),
        };
        assert_eq!(reply.expect("it does not panic"), expected);
    }
    assert!((0..1000).all(|number| !calls.reply(number, Ok(String::new()))));
}

#[tokio::test]
async fn a_callback_added_late_is_called_and_one_without_a_reply_is_not() {
    let (sender, receiver) = oneshot::channel();
    let future = receiver.shared();
    sender.send(Ok("a".to_owned())).expect("somebody waits");
    let (called, is_called) = oneshot::channel();
    add_done_callback(&future, |reply| called.send(reply).expect("it waits"));
    assert_eq!(is_called.await, Ok(Ok("a".to_owned())));

    let (sender, receiver) = oneshot::channel();
    let (called, is_called) = oneshot::channel();
    let future = receiver.shared();
    add_done_callback(&future, |reply| called.send(reply).expect("it waits"));
    drop(sender);
    assert!(is_called.await.is_err());
}
