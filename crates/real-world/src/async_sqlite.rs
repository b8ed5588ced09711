//! Query SQLite without blocking the event loop: rusqlite on its own thread.
//!
//! One thread owns the connection and runs the closures that you send to it, as in
//! `aiosqlite`. (With a shared connection behind a lock, called in `spawn_blocking`,
//! each waiting call would hold a thread.) The file stays open between calls, unlike in
//! `sqlite_fetchall`, and a timeout stops a running query.
//!
//! Bounds: At most 100 calls wait for the thread; further callers wait for room.
//! Unbounded: The time of a call. A `timeout` around `call` stops SQLite's statements,
//! but no other code in your closure.
//!
//! Trap: If a caller gives up, its query usually keeps running on the thread, and all
//! later calls wait behind it. Here SQLite asks a function (its progress handler) again
//! and again whether the caller is still there. If not, SQLite stops the query.
//!
//! Trap: If you share a `Connection` between tasks, the compiler refuses: it "cannot be
//! shared between threads safely". A prepared statement cannot leave its thread either.
//! Return values from the closure, or structs built from rows.
//!
//! In production: The crate `tokio-rusqlite` also runs closures on one thread for each
//! connection. `deadpool-sqlite` is a pool of connections.
//!
//! asyncio: loop.run_in_executor, asyncio.to_thread, asyncio.timeout, threading.Lock
//! asyncio: asyncio.wrap_future, threading.get_ident

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::thread;

use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

/// SQLite checks for a dropped call after about this many of its own steps.
const STEPS: i32 = 100;

/// The most calls in the channel. Further callers wait for room.
const MAX_WAITING: usize = 100;

/// An SQLite connection on its own thread, which runs the functions sent to it.
///
/// Clones share the connection. It is closed by [`close`](Self::close), or when all
/// clones are dropped and their calls are done.
#[derive(Clone, Debug)]
pub struct Database {
    messages: mpsc::Sender<Message>,
}

enum Message {
    /// A function that sends its result itself.
    Call(Box<dyn FnOnce(&mut Connection) + Send>),
    Close(oneshot::Sender<rusqlite::Result<()>>),
}

/// The database was closed before the call began.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("the database is closed")]
pub struct Closed;

impl Database {
    /// Starts the thread and opens the connection there. Fails with the error of `open`.
    ///
    /// # Panics
    ///
    /// If `open` panics, or the system cannot start a thread.
    pub async fn open<F>(open: F) -> rusqlite::Result<Self>
    where
        F: FnOnce() -> rusqlite::Result<Connection> + Send + 'static,
    {
        let (sender, messages) = mpsc::channel(MAX_WAITING);
        let (opened, ready) = oneshot::channel();
        thread::spawn(move || {
            let connection = match open() {
                Ok(connection) => connection,
                Err(error) => return drop(opened.send(Err(error))),
            };
            // If the caller has gone, no messages come, and `serve` returns.
            let _ = opened.send(Ok(()));
            serve(connection, messages);
        });
        ready.await.expect("opening panicked")?;
        Ok(Self { messages: sender })
    }

    /// Runs `work` on the thread and returns its result. First come, first served.
    ///
    /// A call that is dropped while it waits never runs. If it is dropped later, its long
    /// statements fail from then on; short ones still run. Put statements that belong
    /// together into a `connection.transaction()`. An open transaction is rolled back.
    ///
    /// Replaces the progress handler of the connection, and removes it after the call.
    ///
    /// # Panics
    ///
    /// If `work` panics. The connection stays open.
    pub async fn call<R, F>(&self, work: F) -> Result<R, Closed>
    where
        R: Send + 'static,
        F: FnOnce(&mut Connection) -> R + Send + 'static,
    {
        let (reply, result) = oneshot::channel();
        let dropped = CancellationToken::new();
        let _guard = dropped.clone().drop_guard();
        let run = move |connection: &mut Connection| {
            if dropped.is_cancelled() {
                return;
            }
            let result = catch_unwind(AssertUnwindSafe(|| {
                connection
                    .progress_handler(STEPS, Some(move || dropped.is_cancelled()))
                    .expect("there is memory for it");
                work(connection)
            }));
            // Both errors can be ignored: the removal needs no memory, and a rollback
            // that fails leaves no transaction.
            let _ = connection.progress_handler(0, None::<fn() -> bool>);
            if !connection.is_autocommit() {
                let _ = connection.execute_batch("ROLLBACK");
            }
            let _ = reply.send(result);
        };
        let message = Message::Call(Box::new(run));
        self.messages.send(message).await.map_err(|_| Closed)?;
        let result = result.await.map_err(|_| Closed)?;
        Ok(result.unwrap_or_else(|panic| resume_unwind(panic)))
    }

    /// Waits for the earlier calls, closes the connection and ends the thread. Returns
    /// the error of SQLite, which a drop would hide.
    pub async fn close(&self) -> rusqlite::Result<()> {
        let (reply, closed) = oneshot::channel();
        let _ = self.messages.send(Message::Close(reply)).await;
        closed.await.unwrap_or(Ok(()))
    }
}

/// Handles the messages, on the thread.
fn serve(mut connection: Connection, mut messages: mpsc::Receiver<Message>) {
    while let Some(message) = messages.blocking_recv() {
        match message {
            Message::Call(run) => run(&mut connection),
            Message::Close(reply) => {
                let closed = connection.close().map_err(|(_, error)| error);
                return drop(reply.send(closed));
            }
        }
    }
}

/// Prints the first column of each row: `cargo run -- users.db "SELECT name FROM users"`.
#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let mut args = std::env::args().skip(1);
    let path = args.next().ok_or("usage: FILE SQL")?;
    let sql = args.collect::<Vec<_>>().join(" ");
    let database = Database::open(|| Connection::open(path)).await?;
    let names = database.call(move |db| {
        let mut query = db.prepare(&sql)?;
        let rows = query.query_map([], |row| row.get(0))?;
        rows.collect()
    });
    let names: rusqlite::Result<Vec<String>> = names.await?;
    println!("{}", names?.join("\n"));
    Ok(database.close().await?)
}

//@ clock: real
//@ try: :memory: SELECT 'Ann' UNION SELECT 'Bob' -> Bob
