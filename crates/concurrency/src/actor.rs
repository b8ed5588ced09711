//! An actor: one task owns the state, others send it messages and await the replies.
//!
//! No other task touches the state, so it needs no lock, and each message is handled to
//! its end before the next. A reply is a `oneshot` in the message, like a `Future` in
//! asyncio. It ends when its last sender is dropped, or by a message. Asking it
//! afterwards returns an error.
//!
//! Bounds: `mailbox` messages; senders wait while it is full.
//!
//! Trap: a `timeout` around `ask` drops the wait for the reply. A message in the mailbox
//! is handled all the same.
//!
//! Trap: two actors that ask each other wait for ever, and so does one that asks itself.
//!
//! In production: `ractor` tells a supervisor when an actor fails. Here, without a crate:
//! `background_services`.
//!
//! asyncio: asyncio.Queue, loop.create_future, asyncio.Future.set_result, asyncio.timeout
//! stderr: the ledger is torn

use std::error::Error;
use std::fmt;
use std::ops::ControlFlow;
use std::time::Duration;

use tokio::sync::mpsc::error::SendError;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

/// A state, and what it does with a message.
pub trait Actor: Send + 'static {
    /// What is sent to it: most often an enum. What asks something carries a
    /// `oneshot::Sender` for the reply.
    type Message: Send + 'static;

    /// Handles one message; `Break` ends the actor. In the implementation it is simply an
    /// `async fn`. The next message waits until it has returned. A panic ends the actor.
    ///
    /// To send a reply fails when nobody waits for it any more, which is no error. Before
    /// long work, `reply.is_closed()` tells that nobody waits any more.
    fn handle(
        &mut self,
        message: Self::Message,
    ) -> impl Future<Output = ControlFlow<()>> + Send;
}

/// Starts an actor in a task. Its mailbox holds up to `mailbox` messages.
///
/// The actor ends when all addresses are dropped and all messages are handled, or with
/// `Break`; then the messages in its mailbox are dropped. The handle returns the actor.
/// Dropping the handle leaves it running. An actor that owns its own address does not end
/// by itself.
///
/// # Panics
///
/// If `mailbox` is 0, and outside of a Tokio runtime.
pub fn start<A: Actor>(
    mut actor: A,
    mailbox: usize,
) -> (Address<A::Message>, JoinHandle<A>) {
    let (mailbox, mut messages) = mpsc::channel(mailbox);
    let task = tokio::spawn(async move {
        while let Some(message) = messages.recv().await {
            if actor.handle(message).await.is_break() {
                break;
            }
        }
        actor
    });
    (Address { mailbox }, task)
}

/// Sends messages to an actor. Clones share the mailbox, whose messages are handled first
/// come, first served.
pub struct Address<M> {
    mailbox: mpsc::Sender<M>,
}

impl<M> Clone for Address<M> {
    fn clone(&self) -> Self {
        let mailbox = self.mailbox.clone();
        Self { mailbox }
    }
}

/// Why there is no reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// The actor had ended before, so the message is not handled.
    Before,
    /// The actor ended meanwhile, or dropped the reply: the message was handled wholly,
    /// in part, or not at all.
    Meanwhile,
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Before => "the actor had ended before",
            Self::Meanwhile => "there was no reply",
        })
    }
}

impl Error for Ended {}

impl<M> Address<M> {
    /// Waits until there is room in the mailbox, and puts the message there.
    ///
    /// Dropping the future drops a message that still waits. Do not call it from `handle`
    /// for the same actor: with a full mailbox it waits for ever.
    ///
    /// # Errors
    ///
    /// Returns the message if the actor has ended. Without an error the message may still
    /// be dropped unhandled, if the actor ends first.
    pub async fn tell(&self, message: M) -> Result<(), SendError<M>> {
        self.mailbox.send(message).await
    }

    /// Sends the message that the closure makes with the sender of the reply, and waits
    /// for the reply.
    ///
    /// Dropping the future drops a message that waits for room. Later it drops only the
    /// reply, and the message is handled. From `handle`, never ask the same actor, nor
    /// one that asks this one.
    ///
    /// # Errors
    ///
    /// [`Ended`], which says whether the message can have been handled.
    pub async fn ask<R>(
        &self,
        message: impl FnOnce(oneshot::Sender<R>) -> M,
    ) -> Result<R, Ended> {
        let (reply, answer) = oneshot::channel();
        let told = self.tell(message(reply)).await;
        told.map_err(|_| Ended::Before)?;
        answer.await.map_err(|_| Ended::Meanwhile)
    }
}

struct Store {
    apples: u32,
}

enum Order {
    Deliver(u32),
    Take(u32, oneshot::Sender<Result<u32, String>>),
    Audit(oneshot::Sender<()>),
    Close,
}

impl Actor for Store {
    type Message = Order;

    async fn handle(&mut self, order: Order) -> ControlFlow<()> {
        sleep(Duration::from_millis(200)).await;
        match order {
            Order::Deliver(count) => self.apples += count,
            Order::Take(count, reply) => {
                let left = self.apples.checked_sub(count);
                self.apples = left.unwrap_or(self.apples);
                println!("{} apples in the store", self.apples);
                let _ = reply.send(left.ok_or_else(|| format!("{count} are too many")));
            }
            Order::Audit(_reply) => panic!("the ledger is torn"),
            Order::Close => return ControlFlow::Break(()),
        }
        ControlFlow::Continue(())
    }
}

/// Takes apples, and says what came of it.
async fn take(store: &Address<Order>, count: u32) -> String {
    match store.ask(|reply| Order::Take(count, reply)).await {
        Ok(Ok(left)) => format!("took {count}, which leaves {left}"),
        Ok(Err(error)) => format!("took none: {error}"),
        Err(ended) => format!("took none: {ended}"),
    }
}

pub async fn run() -> Result<(), Box<dyn Error + Send + Sync>> {
    let moment = Duration::from_millis(100);

    println!("Asked and answered:");
    let (store, task) = start(Store { apples: 5 }, 2);
    println!("{}", take(&store, 2).await);
    println!("{}", take(&store, 4).await);

    println!("Two messages fit into the mailbox, a third waits:");
    let deliver_later = async {
        sleep(moment).await;
        for count in [10, 20, 30] {
            store.tell(Order::Deliver(count)).await?;
            println!("{count} on the way");
        }
        Ok::<_, SendError<Order>>(())
    };
    let (took, delivered) = tokio::join!(take(&store, 1), deliver_later);
    delivered?;
    println!("{took}");

    println!("Who asks gives up after 0.1 s:");
    sleep(7 * moment).await;
    match timeout(moment, take(&store, 3)).await {
        Ok(took) => println!("{took}"),
        Err(_) => println!("gave up"),
    }

    println!("Nobody has its address any more:");
    drop(store);
    let store = task.await?;
    println!("the store ends with {} apples", store.apples);

    println!("Ended by a message, with one in the mailbox and one that waits:");
    let (store, task) = start(store, 1);
    store.tell(Order::Close).await?;
    let take_later = async {
        sleep(moment).await;
        take(&store, 1).await
    };
    let (first, second) = tokio::join!(take(&store, 1), take_later);
    println!("{first}");
    println!("{second}");
    println!("the store ends with {} apples", task.await?.apples);

    println!("Ended by a panic:");
    let (store, task) = start(Store { apples: 5 }, 1);
    if let Err(ended) = store.ask(Order::Audit).await {
        println!("no audit: {ended}");
    }
    if task.await.is_err_and(|error| error.is_panic()) {
        println!("the actor panicked");
    }
    println!("{}", take(&store, 1).await);
    Ok(())
}

#[tokio::main]
pub async fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    run().await
}
