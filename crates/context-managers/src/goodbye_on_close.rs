//! Say goodbye when a connection is closed or dropped: async clean-up from a destructor.
//!
//! A destructor cannot await. So it moves the connection to a task that sends the last
//! message and waits for the answer. Whoever dropped the connection goes on at once and
//! learns of no failure. `close` waits for the answer, and returns an error without one.
//!
//! Bounds: each goodbye takes at most `limit`.
//!
//! Trap: the end of `main` drops the tasks that say goodbye. Call `Goodbyes::wait`
//! before.
//!
//! See also: `cleanup_on_cancel`, `exit_stack`, `graceful_shutdown`.
//!
//! asyncio: async with, __aexit__, asyncio.shield, asyncio.TaskGroup
//! differs: a block that is left waits for the goodbye

use std::error::Error;
use std::fmt;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;

/// What a client sends.
pub enum Message {
    /// Some text.
    Text(String),
    /// The last message. The server answers it.
    Goodbye(oneshot::Sender<()>),
}

/// What became of a goodbye that was not answered.
#[derive(Debug, PartialEq, Eq)]
pub enum NoGoodbye {
    /// There was no answer in time.
    TimedOut,
    /// The server has hung up, or the runtime ended.
    Lost,
}

impl fmt::Display for NoGoodbye {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            NoGoodbye::TimedOut => "no answer to the goodbye",
            NoGoodbye::Lost => "the line is dead",
        })
    }
}

impl Error for NoGoodbye {}

/// Says goodbye for connections that are closed or dropped. Clones share the tasks.
#[derive(Clone)]
pub struct Goodbyes {
    tasks: TaskTracker,
    runtime: Handle,
    limit: Duration,
}

impl Goodbyes {
    /// Each goodbye may take as long as `limit`.
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

    /// Waits until no connection is open and all goodbyes are over, at the end of the
    /// program. Who holds a connection must not call it, as it would wait for itself.
    pub async fn wait(&self) {
        self.tasks.close();
        self.tasks.wait().await;
    }

    fn say(&self, line: mpsc::Sender<Message>) -> JoinHandle<Result<(), NoGoodbye>> {
        let task = goodbye(line, self.limit);
        // A destructor may run in a thread that knows of no runtime.
        self.tasks.spawn_on(task, &self.runtime)
    }
}

async fn goodbye(line: mpsc::Sender<Message>, limit: Duration) -> Result<(), NoGoodbye> {
    let (answer, answered) = oneshot::channel();
    let said = timeout(limit, async {
        let sent = line.send(Message::Goodbye(answer)).await;
        sent.map_err(|_| NoGoodbye::Lost)?;
        answered.await.map_err(|_| NoGoodbye::Lost)
    });
    said.await.unwrap_or(Err(NoGoodbye::TimedOut))
}

/// A connection that says goodbye, whatever happens to it.
pub struct Connection {
    line: Option<mpsc::Sender<Message>>,
    goodbyes: Goodbyes,
    /// Ends after the goodbye has begun.
    _open: TaskTrackerToken,
}

impl Connection {
    /// Over a line to a server.
    pub fn new(line: mpsc::Sender<Message>, goodbyes: Goodbyes) -> Self {
        Self {
            line: Some(line),
            _open: goodbyes.tasks.token(),
            goodbyes,
        }
    }

    /// Sends a text.
    ///
    /// # Errors
    ///
    /// If the server has hung up.
    pub async fn send(&self, text: &str) -> Result<(), NoGoodbye> {
        let line = self.line.as_ref().ok_or(NoGoodbye::Lost)?;
        let sent = line.send(Message::Text(text.to_string())).await;
        sent.map_err(|_| NoGoodbye::Lost)
    }

    /// Says goodbye, and waits for the answer. Dropped while it waits, it goes on in its
    /// task.
    ///
    /// # Errors
    ///
    /// If there is no answer.
    pub async fn close(mut self) -> Result<(), NoGoodbye> {
        let line = self.line.take().ok_or(NoGoodbye::Lost)?;
        let said = self.goodbyes.say(line);
        said.await.unwrap_or(Err(NoGoodbye::Lost))
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        if let Some(line) = self.line.take() {
            drop(self.goodbyes.say(line));
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
fn connect(name: &'static str, goodbyes: &Goodbyes, millis: u64) -> Connection {
    let (line, server) = mpsc::channel(1);
    tokio::spawn(serve(name, server, millis));
    Connection::new(line, goodbyes.clone())
}

/// Fails after 0.2 s.
async fn talk(connection: Connection) -> Result<(), Box<dyn Error + Send + Sync>> {
    connection.send("hello").await?;
    sleep(Duration::from_millis(200)).await;
    Err("nothing more to say".into())
}

pub async fn run() -> Result<(), NoGoodbye> {
    let goodbyes = Goodbyes::new(Duration::from_millis(400));
    let moment = Duration::from_millis(150);

    println!("Closed:");
    let ada = connect("Ada", &goodbyes, 100);
    ada.send("hello").await?;
    ada.close().await?;
    println!("Ada has closed");

    println!("Dropped by an error:");
    if let Err(error) = talk(connect("Ben", &goodbyes, 100)).await {
        println!("Ben failed: {error}");
    }
    sleep(2 * moment).await;

    println!("Dropped by an abort:");
    let cid = tokio::spawn(talk(connect("Cid", &goodbyes, 100)));
    sleep(moment).await;
    cid.abort();
    if cid.await.is_err_and(|error| error.is_cancelled()) {
        println!("Cid was aborted");
    }
    sleep(2 * moment).await;

    println!("A goodbye may take 0.4 s:");
    for (name, millis) in [("Dan", 220), ("Eve", 360)] {
        match connect(name, &goodbyes, millis).close().await {
            Ok(()) => println!("{name} has closed"),
            Err(error) => println!("{name}: {error}"),
        }
    }

    println!("Given up after 0.05 s, at the end of the program:");
    let closing = connect("Fay", &goodbyes, 100).close();
    if timeout(Duration::from_millis(50), closing).await.is_err() {
        println!("Fay gave up");
    }
    goodbyes.wait().await;
    println!("all goodbyes are over");
    Ok(())
}

#[tokio::main]
pub async fn main() -> Result<(), NoGoodbye> {
    run().await
}
