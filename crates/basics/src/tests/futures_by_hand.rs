use std::sync::Arc;
use std::time::Duration;

use futures::future::{FutureExt, join_all};
use tokio::sync::{SetOnce, oneshot};
use tokio::task::yield_now;
use tokio::time::timeout;

use crate::futures_by_hand::{CallError, Calls, add_done_callback};

const MINUTE: Duration = Duration::from_secs(60);

#[tokio::test(start_paused = true)]
async fn a_call_that_is_given_up_is_forgotten() {
    let calls = Calls::default();
    assert!(timeout(MINUTE, calls.call(1)).await.is_err());
    assert!(calls.table().is_empty());
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
    assert!(calls.table().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn each_of_a_thousand_calls_gets_its_reply_or_is_lost() {
    let calls = Arc::new(Calls::default());
    let callers = (0..1000).map(|number| {
        let calls = Arc::clone(&calls);
        tokio::spawn(async move { calls.call(number).await })
    });
    let callers: Vec<_> = callers.collect();
    for number in (0..1000).rev().filter(|number| number % 10 != 0) {
        while !calls.reply(number, Ok(number.to_string())) {
            yield_now().await;
        }
    }
    while calls.table().len() < 100 {
        yield_now().await;
    }
    calls.lose();
    for (number, reply) in join_all(callers).await.into_iter().enumerate() {
        let expected = match number % 10 {
            0 => Err(CallError::Lost),
            _ => Ok(number.to_string()),
        };
        assert_eq!(reply.expect("it does not panic"), expected);
    }
    assert!(calls.table().is_empty());
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
