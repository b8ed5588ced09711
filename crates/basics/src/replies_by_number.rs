//! Match replies to requests by number, for many requests over one connection.
//!
//! `Calls`, a struct of this file, knows the waiting calls. `Calls::start` gives a
//! request its number, and keeps the sender of a `oneshot` (a channel for one value)
//! under that number. It returns the number and a `Call`, the future of the reply. The
//! task that reads replies passes each to `Calls::reply`. When the connection ends,
//! `fail_all` ends all waiting calls with an error. A caller that gives up drops its
//! `Call`, which removes the entry.
//!
//! Bounds: Unbounded: Each waiting call has an entry. The server may never reply, so put
//! a `timeout` around each call, as `request` does.
//!
//! Trap: If you register a call after the request was sent, a reply that comes sooner is
//! thrown away. On several threads, two replies in three were lost in this way. An
//! `async fn` that registers the call has this fault: it registers only when its future
//! is first polled (awaited). So `start` is a plain function, which registers
//! immediately: call it before you send the request.
//!
//! See also: `oneshot_and_set_once`, `actor`, `rpc_over_one_connection`.
//!
//! asyncio: loop.create_future, asyncio.Future.set_result, asyncio.Future.set_exception

use std::collections::HashMap;
use std::error::Error;
use std::future::Future;
use std::mem;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::{sleep, timeout};

/// The connection ended before the reply came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the connection is lost")]
pub struct Lost;

/// The calls over one connection that wait for a reply.
#[derive(Debug)]
pub struct Calls<T> {
    waiting: Mutex<Waiting<T>>,
}

#[derive(Debug)]
struct Waiting<T> {
    last_number: u64,
    senders: HashMap<u64, oneshot::Sender<T>>,
    is_lost: bool,
}

impl<T> Default for Calls<T> {
    fn default() -> Self {
        let waiting = Waiting {
            last_number: 0,
            senders: HashMap::new(),
            is_lost: false,
        };
        Self {
            waiting: Mutex::new(waiting),
        }
    }
}

impl<T> Calls<T> {
    /// Registers a call immediately. Returns its number and the future of its reply.
    ///
    /// After this call, send the request with that number.
    pub fn start(self: &Arc<Self>) -> (u64, Call<T>) {
        let (sender, receiver) = oneshot::channel();
        let mut waiting = self.lock();
        waiting.last_number += 1;
        let number = waiting.last_number;
        if !waiting.is_lost {
            waiting.senders.insert(number, sender);
        }
        drop(waiting);
        let calls = Arc::clone(self);
        let call = Call {
            calls,
            number,
            receiver,
        };
        (number, call)
    }

    /// Gives the reply to its caller.
    ///
    /// # Errors
    ///
    /// Returns the reply if no call waits for it: the caller gave up, or the server
    /// repeated or invented the number.
    pub fn reply(&self, number: u64, reply: T) -> Result<(), T> {
        let sender = self.lock().senders.remove(&number);
        match sender {
            Some(sender) => sender.send(reply),
            None => Err(reply),
        }
    }

    /// Ends all waiting calls, and all later ones, with [`Lost`]. Call this when the task
    /// that reads the connection ends, for whatever reason.
    pub fn fail_all(&self) {
        let mut waiting = self.lock();
        waiting.is_lost = true;
        let senders = mem::take(&mut waiting.senders);
        drop(waiting);
        // Dropping a sender wakes its receiver with an error: not under the lock.
        drop(senders);
    }

    /// Returns the number of waiting calls.
    pub fn pending(&self) -> usize {
        self.lock().senders.len()
    }

    fn lock(&self) -> MutexGuard<'_, Waiting<T>> {
        // Nothing panics under the lock.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The future of a reply, or of [`Lost`]. Dropping it gives up the call.
#[derive(Debug)]
#[must_use = "dropping it gives up the call"]
pub struct Call<T> {
    calls: Arc<Calls<T>>,
    number: u64,
    receiver: oneshot::Receiver<T>,
}

impl<T> Future for Call<T> {
    type Output = Result<T, Lost>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let reply = Pin::new(&mut self.receiver).poll(context);
        reply.map_err(|_| Lost)
    }
}

impl<T> Drop for Call<T> {
    fn drop(&mut self) {
        // The lock is released before the sender is dropped, which wakes the receiver.
        let _sender = self.calls.lock().senders.remove(&self.number);
    }
}

/// A request: its number, and the name of a page.
type Request = (u64, &'static str);

/// A client's end of its connection.
#[derive(Clone)]
struct Client {
    calls: Arc<Calls<String>>,
    requests: mpsc::Sender<Request>,
}

impl Client {
    /// Sends a request, and waits half a second at most for its reply.
    async fn request(
        &self,
        page: &'static str,
    ) -> Result<String, Box<dyn Error + Send + Sync>> {
        let (number, call) = self.calls.start();
        self.requests.send((number, page)).await?;
        Ok(timeout(Duration::from_millis(500), call).await??)
    }

    async fn show(self, page: &'static str) {
        match self.request(page).await {
            Ok(reply) => println!("{page}: {reply}"),
            Err(error) if error.is::<Lost>() => println!("{page}: {error}"),
            Err(_) => println!("{page}: no reply in time"),
        }
    }
}

/// Simulates the server and the task that reads its replies.
async fn serve(mut requests: mpsc::Receiver<Request>, calls: Arc<Calls<String>>) {
    while let Some((number, page)) = requests.recv().await {
        let calls = Arc::clone(&calls);
        tokio::spawn(async move {
            let millis = match page {
                "fast" => 100,
                "slow" => 200,
                _ => 600,
            };
            sleep(Duration::from_millis(millis)).await;
            if calls.reply(number, format!("the {page} page")).is_err() {
                println!("nobody waits for the {page} page");
            }
        });
    }
}

#[tokio::main]
async fn main() {
    let calls = Arc::new(Calls::default());
    let (requests, receiver) = mpsc::channel(10);
    tokio::spawn(serve(receiver, Arc::clone(&calls)));
    let client = Client {
        calls: Arc::clone(&calls),
        requests,
    };

    println!("Replies in another order than their requests:");
    for page in ["slow", "fast", "late"] {
        tokio::spawn(client.clone().show(page));
    }
    sleep(Duration::from_millis(700)).await;

    println!("The connection ends:");
    let caller = tokio::spawn(client.show("slow"));
    sleep(Duration::from_millis(100)).await;
    calls.fail_all();
    let _ = caller.await;
    println!("calls that wait: {}", calls.pending());
}
