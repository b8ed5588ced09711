//! A future set by hand (`loop.create_future`): `oneshot`, or `SetOnce` for many waiters.
//!
//! A `oneshot` is a channel that hands one value to one waiter. If the work may fail,
//! send a `Result`. A `SetOnce` can be set from anywhere, awaited by several tasks, and
//! read at any time.
//!
//! If the waiter has given up, asyncio's `set_result` raises `InvalidStateError`. Tokio's
//! `send` returns the value instead. A second `send` does not compile: "use of moved
//! value: `sender`".
//!
//! Trap: If you drop the sender, its waiter gets an error, so keep the sender. In asyncio
//! the waiter would hang forever. A waiter of a `SetOnce` that nobody sets hangs, too.
//!
//! Trap: If the sender is a field, `self.sender.send(..)` in a `&mut self` method does
//! not compile: "cannot move out of `self.sender` which is behind a mutable reference".
//! Make the field an `Option`, and write `if let Some(sender) = self.sender.take()`.
//!
//! Trap: If `is_closed` is true before you have sent, the receiver has been dropped. In a
//! `poll` of your own this happens if you make the future with the receiver in each call:
//! keep it in a field.
//!
//! See also: `replies_by_number`, `done_callbacks`, `shared_future`, `event`.
//!
//! asyncio: loop.create_future, asyncio.Future, asyncio.Future.set_result
//! asyncio: asyncio.Future.done, asyncio.Future.result
//! differs: if the setter fails, the waiter hangs in asyncio; in Tokio it gets an error

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{SetOnce, oneshot};
use tokio::time::{sleep, timeout};

fn look(future: &SetOnce<u32>) {
    match future.get() {
        Some(result) => println!("done, the result is {result}"),
        None => println!("not done"),
    }
}

/// Fails before it sets the result. Its sender is dropped with it.
async fn fail_to_set(_sender: oneshot::Sender<u32>) {
    sleep(Duration::from_millis(100)).await;
    println!("the setter fails");
}

#[tokio::main]
async fn main() {
    println!("Set twice, and awaited by two tasks:");
    let future = Arc::new(SetOnce::new());
    look(&future);
    let setter = Arc::clone(&future);
    tokio::spawn(async move {
        sleep(Duration::from_secs(1)).await;
        setter.set(42)
    });
    let (first, second) = tokio::join!(future.wait(), future.wait());
    println!("awaited: {first}, {second}");
    if future.set(43).is_err() {
        println!("43 is refused: a result is set");
    }
    look(&future);

    println!("The waiter gives up:");
    let (sender, receiver) = oneshot::channel();
    // The timeout drops the receiver.
    if timeout(Duration::from_millis(500), receiver).await.is_err() {
        println!("no result in time");
    }
    if sender.is_closed() {
        println!("cancelled");
    }
    // try: future.set_result("late")
    // except asyncio.InvalidStateError:
    if let Err(result) = sender.send("late") {
        println!("{result} is refused: nobody waits");
    }

    println!("The setter gives up:");
    let (sender, receiver) = oneshot::channel::<u32>();
    tokio::spawn(fail_to_set(sender));
    match timeout(Duration::from_secs(1), receiver).await {
        Ok(_) => println!("the sender is gone"),
        Err(_) => println!("no result after a second"),
    }
}

//@ order: awaited: 42
