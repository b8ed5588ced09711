//! `asyncio.Future`: what CPython's tests ask of it, on the channels of one value.
//!
//! A clause names the counterpart behind an `@`: `oneshot` for one waiter, `SetOnce`,
//! `watch` and `Shared` for several.
//!
//! asyncio: asyncio.Future, asyncio.Future.cancel, asyncio.Future.done
//! asyncio: asyncio.Future.set_result, asyncio.Future.add_done_callback
//! differs: a value has one owner, and moves to the waiter

use std::sync::Arc;

use futures::FutureExt;
use tokio::sync::oneshot::error::TryRecvError;
use tokio::sync::{SetOnce, oneshot, watch};
use tokio::time::sleep;

use crate::support::{Log, millis, settle, try_out};

async fn result_before() -> String {
    let (_sender, mut receiver) = oneshot::channel::<u32>();
    let refused = receiver.try_recv() == Err(TryRecvError::Empty);
    format!("refused: {refused}")
}

async fn result_set(counterpart: &str) -> String {
    let value = if counterpart == "oneshot" {
        let (sender, receiver) = oneshot::channel();
        sender.send(42).unwrap();
        receiver.await.unwrap()
    } else {
        let value = SetOnce::new();
        value.set(42).unwrap();
        *value.wait().await
    };
    value.to_string()
}

async fn result_of_an_error() -> String {
    let (sender, receiver) = oneshot::channel::<Result<u32, &str>>();
    sender.send(Err("the error")).unwrap();
    receiver.await.unwrap().unwrap_err().to_owned()
}

async fn set_twice() -> String {
    let value = SetOnce::new();
    value.set(1).unwrap();
    let refused = value.set(2).is_err();
    format!("refused: {refused}, the result is {}", value.get().unwrap())
}

// Done.

async fn done_try_recv() -> String {
    let (sender, mut receiver) = oneshot::channel();
    tokio::spawn(async move {
        sleep(millis(20)).await;
        sender.send(42)
    });
    while receiver.try_recv() == Err(TryRecvError::Empty) {
        settle().await;
    }
    receiver.await.unwrap().to_string()
}

async fn done_is_empty() -> String {
    let (sender, receiver) = oneshot::channel();
    tokio::spawn(async move {
        sleep(millis(20)).await;
        sender.send(42)
    });
    while receiver.is_empty() {
        settle().await;
    }
    receiver.await.unwrap().to_string()
}

async fn done_initialized() -> String {
    let value = Arc::new(SetOnce::new());
    let own = Arc::clone(&value);
    tokio::spawn(async move {
        sleep(millis(20)).await;
        own.set(42)
    });
    while !value.initialized() {
        settle().await;
    }
    value.wait().await.to_string()
}

// Cancel.

async fn cancel_oneshot() -> String {
    let (sender, receiver) = oneshot::channel::<()>();
    let waiting = tokio::spawn(receiver);
    settle().await;
    drop(sender);
    match waiting.await {
        Err(error) if error.is_cancelled() => "the waiter is cancelled",
        Ok(Err(_)) => "the waiter gets an error",
        _ => "the waiter gets a value",
    }
    .to_owned()
}

async fn cancel_set_once() -> String {
    let value = Arc::new(SetOnce::<u32>::new());
    let own = Arc::clone(&value);
    let waiting = tokio::spawn(async move { *own.wait().await });
    settle().await;
    // Nothing else is there to be done.
    drop(value);
    waiting.await.unwrap();
    "the waiter is woken".to_owned()
}

async fn cancel_watch() -> String {
    let (sender, mut receiver) = watch::channel(None::<u32>);
    let waiting =
        tokio::spawn(async move { receiver.wait_for(Option::is_some).await.is_err() });
    settle().await;
    drop(sender);
    match waiting.await {
        Ok(true) => "the waiter gets an error",
        _ => "the waiter gets a value",
    }
    .to_owned()
}

async fn cancel_then_set() -> String {
    let (sender, receiver) = oneshot::channel();
    drop(receiver);
    match sender.send(42) {
        Ok(()) => "accepted".to_owned(),
        Err(value) => format!("{value} comes back to the sender"),
    }
}

async fn set_then_cancel() -> String {
    let (sender, receiver) = oneshot::channel();
    let result = Arc::new(42);
    let accepted = sender.send(Arc::clone(&result)).is_ok();
    drop(receiver);
    let lost = Arc::strong_count(&result) == 1;
    let told = ["the result is 42", "the result is dropped"][usize::from(lost)];
    format!("accepted: {accepted}; {told}")
}

async fn producer_sees_cancel() -> String {
    let (mut sender, receiver) = oneshot::channel::<u32>();
    let waiting = tokio::spawn(receiver);
    settle().await;
    waiting.abort();
    sender.closed().await;
    format!("cancelled: {}", sender.is_closed())
}

// Several waiters.

async fn await_twice(counterpart: &str) -> String {
    let (first, second) = match counterpart {
        "oneshot" => {
            let (sender, mut receiver) = oneshot::channel();
            sender.send(42).unwrap();
            let first = (&mut receiver).await.unwrap();
            (first, (&mut receiver).await.unwrap())
        }
        "SetOnce" => {
            let value = SetOnce::new();
            value.set(42).unwrap();
            (*value.wait().await, *value.wait().await)
        }
        _ => {
            let (sender, receiver) = oneshot::channel();
            sender.send(42).unwrap();
            let shared = receiver.shared();
            (shared.clone().await.unwrap(), shared.await.unwrap())
        }
    };
    format!("{first} and {second}")
}

// Callbacks.

async fn callbacks() -> String {
    let (value, log) = (Arc::new(SetOnce::new()), Log::default());
    for name in ["a", "b", "c"] {
        let (value, log) = (Arc::clone(&value), log.clone());
        tokio::spawn(async move { log.note(format!("{name} {}", value.wait().await)) });
        settle().await;
    }
    value.set(42).unwrap();
    settle().await;
    log.told()
}

async fn callback_removed() -> String {
    let (value, log) = (Arc::new(SetOnce::new()), Log::default());
    let mut callbacks = Vec::new();
    for name in ["a", "b", "c"] {
        let (value, log) = (Arc::clone(&value), log.clone());
        let callback = async move { log.note(format!("{name} {}", value.wait().await)) };
        callbacks.push(tokio::spawn(callback));
        settle().await;
    }
    callbacks[1].abort();
    value.set(42).unwrap();
    settle().await;
    log.told()
}

async fn callback_when_done() -> String {
    let (value, log) = (Arc::new(SetOnce::new()), Log::default());
    value.set(42).unwrap();
    let own = log.clone();
    tokio::spawn(async move { own.note(format!("called with {}", value.wait().await)) });
    settle().await;
    log.told()
}

async fn callback_that_fails() -> String {
    let (value, log) = (Arc::new(SetOnce::new()), Log::default());
    for name in ["bad", "good"] {
        let (value, log) = (Arc::clone(&value), log.clone());
        tokio::spawn(async move {
            value.wait().await;
            assert_ne!(name, "bad");
            log.note("the other is called");
        });
        settle().await;
    }
    value.set(42).unwrap();
    settle().await;
    log.told()
}

#[tokio::main]
async fn main() {
    try_out! { millis(5_000),
        "future.result.refused-before@try_recv" => result_before(),
        "future.result.is-what-was-set@oneshot" => result_set("oneshot"),
        "future.result.is-what-was-set@SetOnce" => result_set("SetOnce"),
        "future.exception.comes-to-waiter@oneshot" => result_of_an_error(),
        "future.set_result.twice-refused@SetOnce" => set_twice(),
        "future.done.looks-only@try_recv" => done_try_recv(),
        "future.done.looks-only@is_empty" => done_is_empty(),
        "future.done.looks-only@SetOnce" => done_initialized(),
        "future.cancel.cancels-waiter@oneshot" => cancel_oneshot(),
        "future.cancel.cancels-waiter@SetOnce" => cancel_set_once(),
        "future.cancel.cancels-waiter@watch" => cancel_watch(),
        "future.cancel.set-refused@oneshot" => cancel_then_set(),
        "future.cancel.keeps-a-result@oneshot" => set_then_cancel(),
        "future.cancel.producer-sees-it@oneshot" => producer_sees_cancel(),
        "future.await.twice@oneshot" => await_twice("oneshot"),
        "future.await.twice@SetOnce" => await_twice("SetOnce"),
        "future.await.twice@Shared" => await_twice("Shared"),
        "future.add_done_callback.order@SetOnce" => callbacks(),
        "future.remove_done_callback.removed@SetOnce" => callback_removed(),
        "future.add_done_callback.when-done@SetOnce" => callback_when_done(),
        "future.add_done_callback.error@SetOnce" => callback_that_fails(),
    }
}
