//! Say goodbye when a connection is closed or dropped: async clean-up from a destructor.
//!
//! A destructor cannot await. So it moves the connection to a task that sends the last
//! message and waits for the answer. The code that dropped the connection goes on, and
//! learns of no failure. `close` waits for the answer, and fails if none comes.
//!
//! Bounds: each goodbye takes at most `limit`.
//!
//! Trap: the end of `main` drops the tasks that say goodbye. Call `CloseTasks::wait`
//! before.
//!
//! See also: `cleanup_on_cancel`, `exit_stack`, `graceful_shutdown`.
//!
//! asyncio: async with, __aexit__, asyncio.shield, asyncio.TaskGroup
//! differs: a block that is left waits for the goodbye

use std::error::Error;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;

/// What a client sends to the server.
pub enum Message {
    Text(String),
    /// The last message. The server answers it.
    Goodbye(oneshot::Sender<()>),
}

/// Why a goodbye was not answered.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum CloseError {
    #[error("no answer to the goodbye")]
    TimedOut,
    /// The server has hung up, or the runtime was shut down.
    #[error("the line is dead")]
    Lost,
}

/// Says goodbye for connections that are closed or dropped. Clones share the tasks.
#[derive(Clone)]
pub struct CloseTasks {
    tasks: TaskTracker,
    runtime: Handle,
    limit: Duration,
}

impl CloseTasks {
    /// Returns a set of tasks, each of which takes at most `limit`.
    ///
    /// # Panics
    ///
    /// Outside of a Tokio runtime.
    pub fn new(limit: Duration) -> Self {
        Self {
            tasks: TaskTracker::new(),
            runtime: Handle::current(),
            limit,
        }
    }

    /// Waits until all connections are dropped and all goodbyes are over. Call it at the
    /// end of the program. A task that holds a connection would wait for itself.
    pub async fn wait(&self) {
        self.tasks.close();
        self.tasks.wait().await;
    }

    fn spawn(&self, line: mpsc::Sender<Message>) -> JoinHandle<Result<(), CloseError>> {
        let task = goodbye(line, self.limit);
        // A destructor may run on a thread without a runtime.
        self.tasks.spawn_on(task, &self.runtime)
    }
}

async fn goodbye(line: mpsc::Sender<Message>, limit: Duration) -> Result<(), CloseError> {
    let (answer, answered) = oneshot::channel();
    let said = timeout(limit, async {
        let sent = line.send(Message::Goodbye(answer)).await;
        sent.map_err(|_| CloseError::Lost)?;
        answered.await.map_err(|_| CloseError::Lost)
    });
    said.await.unwrap_or(Err(CloseError::TimedOut))
}

/// A connection that says goodbye when it is closed or dropped.
pub struct Connection {
    line: Option<mpsc::Sender<Message>>,
    close_tasks: CloseTasks,
    /// Ends after the goodbye has begun.
    _open: TaskTrackerToken,
}

impl Connection {
    /// Returns a connection over a line to a server.
    pub fn new(line: mpsc::Sender<Message>, close_tasks: CloseTasks) -> Self {
        Self {
            line: Some(line),
            _open: close_tasks.tasks.token(),
            close_tasks,
        }
    }

    /// Sends a text.
    ///
    /// # Errors
    ///
    /// If the server has hung up.
    pub async fn send(&self, text: &str) -> Result<(), CloseError> {
        let line = self.line.as_ref().ok_or(CloseError::Lost)?;
        let sent = line.send(Message::Text(text.to_string())).await;
        sent.map_err(|_| CloseError::Lost)
    }

    /// Says goodbye, and waits for the answer. Dropping the future does not stop that.
    ///
    /// # Errors
    ///
    /// If there is no answer.
    pub async fn close(mut self) -> Result<(), CloseError> {
        let line = self.line.take().ok_or(CloseError::Lost)?;
        let said = self.close_tasks.spawn(line);
        said.await.unwrap_or(Err(CloseError::Lost))
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        if let Some(line) = self.line.take() {
            drop(self.close_tasks.spawn(line));
        }
    }
}

/// Reads each message 0.1 s after it was sent, and answers a goodbye after `millis`.
async fn serve(name: &str, mut line: mpsc::Receiver<Message>, millis: u64) {
    while let Some(message) = line.recv().await {
        sleep(Duration::from_millis(100)).await;
        match message {
            Message::Text(text) => println!("server: {name} says {text}"),
            Message::Goodbye(answer) => {
                println!("server: {name} says goodbye");
                sleep(Duration::from_millis(millis)).await;
                // Perhaps nobody waits for it any more.
                let _ = answer.send(());
                return;
            }
        }
    }
    println!("server: {name} is lost");
}

/// A connection to a server that answers a goodbye after some milliseconds.
fn connect(name: &'static str, close_tasks: &CloseTasks, millis: u64) -> Connection {
    let (line, server) = mpsc::channel(1);
    tokio::spawn(serve(name, server, millis));
    Connection::new(line, close_tasks.clone())
}

/// Fails after 0.2 s.
async fn talk(connection: Connection) -> Result<(), Box<dyn Error + Send + Sync>> {
    connection.send("hello").await?;
    sleep(Duration::from_millis(200)).await;
    Err("nothing more to say".into())
}

pub async fn run() -> Result<(), CloseError> {
    let close_tasks = CloseTasks::new(Duration::from_millis(400));
    let moment = Duration::from_millis(150);

    println!("Closed:");
    let ada = connect("Ada", &close_tasks, 100);
    ada.send("hello").await?;
    ada.close().await?;
    println!("Ada has closed");

    println!("Left by an error:");
    if let Err(error) = talk(connect("Ben", &close_tasks, 100)).await {
        println!("Ben failed: {error}");
    }
    sleep(2 * moment).await;

    println!("Left by a cancellation:");
    let cid = tokio::spawn(talk(connect("Cid", &close_tasks, 100)));
    sleep(moment).await;
    cid.abort();
    if cid.await.is_err_and(|error| error.is_cancelled()) {
        println!("Cid was cancelled");
    }
    sleep(2 * moment).await;

    println!("A goodbye may take 0.4 s:");
    for (name, millis) in [("Dan", 220), ("Eve", 360)] {
        match connect(name, &close_tasks, millis).close().await {
            Ok(()) => println!("{name} has closed"),
            Err(error) => println!("{name}: {error}"),
        }
    }

    println!("Given up after 0.05 s, at the end of the program:");
    let closing = connect("Fay", &close_tasks, 100).close();
    if timeout(Duration::from_millis(50), closing).await.is_err() {
        println!("Fay gave up");
    }
    close_tasks.wait().await;
    println!("all close_tasks are over");
    Ok(())
}

#[tokio::main]
pub async fn main() -> Result<(), CloseError> {
    run().await
}
