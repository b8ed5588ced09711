//! An actor: one task owns the state, other tasks send it messages and await replies.
//!
//! No other task touches the state, so the state needs no lock. You write the method
//! `handle` of the trait `Actor`, which handles one message. The actor finishes each
//! message before it takes the next.
//!
//! `start` returns the actor's `Address`. `tell` of the `Address` sends a message, and
//! `ask` sends one and waits for a reply. The reply comes through a `oneshot` channel
//! (for one value) in the message, like an asyncio `Future`. The actor ends when its last
//! `Address` is dropped, or when `handle` returns `Break`. After that, `ask` returns an
//! error.
//!
//! Bounds: The mailbox, the queue of the actor, holds as many messages as you tell
//! `start`; above that, senders wait.
//!
//! Trap: If a `timeout` around `ask` expires, the actor may still handle the message:
//! the timeout stops only the wait for the reply. Before you send the message again,
//! make sure that handling it twice does no harm.
//!
//! Trap: If two actors `ask` each other, both wait forever, because an actor that waits
//! for a reply takes no message. The same happens to an actor that asks itself. In
//! `handle`, use `tell`, which waits for a place in the mailbox but for no reply.
//!
//! In production: Restart an actor that panics, as `background_services` does.
//!
//! asyncio: asyncio.Queue, loop.create_future, asyncio.Future.set_result, asyncio.timeout

use std::error::Error;
use std::fmt;
use std::future::Future;
use std::ops::ControlFlow;

use tokio::sync::mpsc::error::SendError;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

/// The state of an actor, and how it handles a message.
pub trait Actor: Send + 'static {
    /// Most often an enum. A message that expects a reply carries a `oneshot::Sender`.
    type Message: Send + 'static;

    /// Handles one message; `Break` or a panic ends the actor. Implement it as an `async
    /// fn`. Sending a reply fails if the caller no longer waits: ignore that. Before long
    /// work, ask `reply.is_closed()`.
    fn handle(
        &mut self,
        message: Self::Message,
    ) -> impl Future<Output = ControlFlow<()>> + Send;
}

/// Starts an actor in a task. Its mailbox holds up to `mailbox` messages.
///
/// The actor ends when all addresses are dropped and all messages are handled. With
/// `Break` it ends immediately, and the messages in its mailbox are dropped. Await the
/// handle to get the actor back. An actor that owns its own address does not end by
/// itself.
///
/// # Panics
///
/// If `mailbox` is 0 or more than `Semaphore::MAX_PERMITS`, and outside a Tokio runtime.
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

/// Sends messages to an actor. Clones share the mailbox.
#[derive(Debug)]
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
    /// The actor had ended, and the message was not handled.
    Before,
    /// The actor has ended, or dropped the reply. The message may have been handled.
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
    /// Dropping the future drops a message that still waits. An actor that calls `tell`
    /// on itself deadlocks if its mailbox is full.
    ///
    /// # Errors
    ///
    /// Returns the message if the actor has ended. A message that was accepted is still
    /// dropped if the actor ends before its turn.
    pub async fn tell(&self, message: M) -> Result<(), SendError<M>> {
        self.mailbox.send(message).await
    }

    /// Sends the message that the closure returns, and waits for the reply. The closure
    /// puts the sender of the reply into the message. Dropping the future drops a message
    /// that waits for room; later it drops only the reply.
    ///
    /// # Errors
    ///
    /// [`Ended`], which shows whether the message can have been handled.
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

/// Counts words.
#[derive(Default)]
struct Words(std::collections::HashMap<String, u32>);

enum Request {
    Add(String),
    Count(String, oneshot::Sender<u32>),
}

impl Actor for Words {
    type Message = Request;

    async fn handle(&mut self, request: Request) -> ControlFlow<()> {
        match request {
            Request::Add(word) => *self.0.entry(word).or_default() += 1,
            Request::Count(word, reply) => {
                let _ = reply.send(self.0.get(&word).copied().unwrap_or(0));
            }
        }
        ControlFlow::Continue(())
    }
}

/// Counts the first word among the others: `cargo run -- be to be or not to be`.
#[tokio::main]
async fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    let mut args = std::env::args().skip(1);
    let wanted = args.next().ok_or("usage: WORD TEXT...")?;
    let (words, _task) = start(Words::default(), 8);
    for word in args {
        words.tell(Request::Add(word)).await?;
    }
    let count = words
        .ask(|reply| Request::Count(wanted.clone(), reply))
        .await?;
    println!("{wanted}: {count}");
    Ok(())
}

//@ stderr: the ledger is torn
//@ try: be to be or not to be -> be: 2
