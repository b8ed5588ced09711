//! `loop.create_future`, set by hand: result, error, done callbacks, many who wait.
//!
//! A `Future` of asyncio joins three things. `oneshot` hands one value to one who waits;
//! an error is a value that is a `Result`. `SetOnce` can be looked at, and set from
//! anywhere. `Shared` lets many await what one gives. A callback is a task that awaits,
//! and to remove it is to abort the task. The trap of asyncio is that `set_result` raises
//! `InvalidStateError` in who sets, if who waited has given up; here `send` gives the
//! value back. To set twice does not compile: "use of moved value". The trap here is the
//! other side: a future that nobody sets hangs in asyncio, while a dropped sender is an
//! error for who waits, as `cancel` is; so the sender has to be kept, as in the table of
//! calls. A `SetOnce` that nobody sets hangs here, too. More about `Shared` and errors:
//! `awaitables`.
//!
//! asyncio: loop.create_future, asyncio.Future, asyncio.Future.set_result
//! asyncio: asyncio.Future.set_exception, asyncio.Future.done, asyncio.Future.result
//! asyncio: asyncio.Future.exception, asyncio.Future.cancelled, asyncio.Future.cancel
//! asyncio: asyncio.Future.add_done_callback, asyncio.Future.remove_done_callback
//! asyncio: asyncio.InvalidStateError

use std::collections::HashMap;
use std::error::Error;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::future::{FutureExt, Shared};
use tokio::sync::{SetOnce, oneshot};
use tokio::task::AbortHandle;
use tokio::time::{sleep, timeout};

/// Why a call has no reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CallError {
    /// The other side says why.
    Refused(String),
    /// The connection has ended.
    Lost,
}

type Reply = Result<String, CallError>;

/// The calls that wait for a reply, by number: what a client keeps that sends many
/// requests over one connection.
#[derive(Default)]
pub struct Calls {
    waiting: Mutex<HashMap<u32, oneshot::Sender<Reply>>>,
}

impl Calls {
    /// Waits for the reply of that number. No two calls may have the same at a time.
    ///
    /// Dropped, it is forgotten.
    ///
    /// # Errors
    ///
    /// If the call is refused, or the connection ends before.
    pub async fn call(&self, number: u32) -> Reply {
        let (sender, receiver) = oneshot::channel();
        self.table().insert(number, sender);
        // try: ... finally: self.waiting.pop(number, None)
        let _forget = Forget(self, number);
        receiver.await.unwrap_or(Err(CallError::Lost))
    }

    /// Gives the reply to who waits for it. False if nobody does.
    pub fn reply(&self, number: u32, reply: Reply) -> bool {
        let sender = self.table().remove(&number);
        // future.set_result(reply)
        sender.is_some_and(|sender| sender.send(reply).is_ok())
    }

    /// Ends all calls with an error: a dropped sender is one.
    pub fn lose(&self) {
        self.table().clear();
    }

    fn table(&self) -> MutexGuard<'_, HashMap<u32, oneshot::Sender<Reply>>> {
        // Nobody panics while it is locked.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Forget<'a>(&'a Calls, u32);

impl Drop for Forget<'_> {
    fn drop(&mut self) {
        self.0.table().remove(&self.1);
    }
}

/// A reply that many may await: each clone gives a clone of it.
type Awaited = Shared<oneshot::Receiver<Reply>>;

/// Calls back with the reply, at once if it is there. Does not if nobody sets it.
/// Abort the task to remove the callback.
pub fn add_done_callback(
    reply: &Awaited,
    callback: impl FnOnce(Reply) + Send + 'static,
) -> AbortHandle {
    let reply = reply.clone();
    let task = async {
        if let Ok(reply) = reply.await {
            callback(reply);
        }
    };
    tokio::spawn(task).abort_handle()
}

fn report(who: &str, reply: Reply) {
    match reply {
        Ok(text) => println!("{who}: {text}"),
        Err(CallError::Refused(why)) => println!("{who}: refused, {why}"),
        Err(CallError::Lost) => println!("{who}: lost"),
    }
}

fn look(future: &SetOnce<u32>) {
    println!("done: {}", future.initialized());
    match future.get() {
        Some(result) => println!("result: {result}"),
        None => println!("no result yet"),
    }
}

/// Sets it after a second, and once more.
async fn set_twice(future: Arc<SetOnce<u32>>) {
    sleep(Duration::from_secs(1)).await;
    for result in [42, 43] {
        if future.set(result).is_err() {
            println!("{result} is refused: it is set");
        }
    }
}

/// Makes a call that waits at most for half a second.
async fn make_call(calls: Arc<Calls>, number: u32) {
    match timeout(Duration::from_millis(500), calls.call(number)).await {
        Ok(reply) => report(&format!("call {number}"), reply),
        Err(_) => println!("call {number}: no reply in time"),
    }
}

pub async fn run() -> Result<(), Box<dyn Error + Send + Sync>> {
    println!("Looked at, set, and set again:");
    let future = Arc::new(SetOnce::new());
    look(&future);
    let setter = tokio::spawn(set_twice(Arc::clone(&future)));
    let result = future.wait().await;
    println!("awaited: {result}");
    setter.await?;
    look(&future);

    println!("Calls, and replies by number:");
    let calls = Arc::new(Calls::default());
    let mut callers = Vec::new();
    for number in 1..=3 {
        callers.push(tokio::spawn(make_call(Arc::clone(&calls), number)));
    }
    sleep(Duration::from_millis(200)).await;
    calls.reply(2, Err(CallError::Refused("no such page".to_owned())));
    sleep(Duration::from_millis(100)).await;
    calls.reply(1, Ok("a page".to_owned()));
    sleep(Duration::from_millis(300)).await;
    if !calls.reply(3, Ok("too late".to_owned())) {
        println!("nobody waits for the reply to call 3");
    }
    callers.push(tokio::spawn(make_call(Arc::clone(&calls), 4)));
    sleep(Duration::from_millis(100)).await;
    calls.lose();
    for caller in callers {
        caller.await?;
    }

    println!("Who waits gives up:");
    let (sender, receiver) = oneshot::channel();
    // The time limit drops the receiver.
    if timeout(Duration::from_millis(500), receiver).await.is_err() {
        println!("no result in time");
    }
    println!("cancelled: {}", sender.is_closed());
    // try: future.set_result("late")
    // except asyncio.InvalidStateError:
    if let Err(result) = sender.send("late") {
        println!("{result} is refused: nobody waits");
    }

    println!("Who should set it gives up:");
    let (sender, receiver) = oneshot::channel::<&str>();
    // future.cancel()
    drop(sender);
    match receiver.await {
        Ok(result) => println!("awaited: {result}"),
        Err(_) => println!("awaited: cancelled"),
    }

    println!("Two callbacks, of which one is removed, and two who wait:");
    for reply in [
        Ok("a page".to_owned()),
        Err(CallError::Refused("no such page".to_owned())),
    ] {
        let (sender, receiver) = oneshot::channel();
        let future = receiver.shared();
        add_done_callback(&future, |reply| report("callback", reply));
        let removed = add_done_callback(&future, |reply| report("removed", reply));
        let mut waiters = Vec::new();
        for name in ["first", "second"] {
            let future = future.clone();
            waiters.push(tokio::spawn(async move {
                report(name, future.await.unwrap_or(Err(CallError::Lost)));
            }));
        }
        sleep(Duration::from_millis(100)).await;
        removed.abort();
        if sender.send(reply).is_err() {
            println!("nobody waits");
        }
        for waiter in waiters {
            waiter.await?;
        }
        sleep(Duration::from_millis(100)).await;
    }
    Ok(())
}

#[tokio::main]
pub async fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    run().await
}
