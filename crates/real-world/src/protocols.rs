//! A port of `asyncio.Protocol`: where each callback goes, and what a transport becomes.
//!
//! Each connection becomes a task with a read loop and a write loop. `connection_made`
//! is the code before the loops, and `connection_lost` the code after them.
//! `data_received` is the body of the read loop, and `eof_received` a read of 0 bytes.
//! Other tasks write through a bounded channel, the outbox. The capacity of the outbox
//! is the high-water mark, and a full outbox is `pause_writing`. For `pause_reading`,
//! the loop stops reading.
//!
//! Bounds: `serve` limits the connections (further clients wait) and their idle time.
//! [`OUTBOX`] pieces wait to be written; then `write_and_drain` waits and `write`
//! fails. Unbounded: The size of a piece that your own tasks write.
//!
//! Trap: If you port `transport.write` to an unbounded channel, a client that sends but
//! does not read fills your memory with its answers, because an unbounded channel never
//! makes you wait. Here the channel is bounded: while it is full, nothing more is read
//! from the client.
//!
//! Platforms: On Windows (Wine), the demonstration drops one more message.
//!
//! See also: `line_protocol` (plainer), `rpc_over_one_connection`, `tcp_echo_server`.
//!
//! asyncio: asyncio.Protocol, asyncio.BaseProtocol, loop.create_server

use std::io::{self, ErrorKind};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::select;
use tokio::sync::mpsc::error::{SendError, TrySendError};
use tokio::sync::mpsc::{self, Receiver, Sender};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

/// How many pieces may wait while another one is being written.
pub const OUTBOX: usize = 2;

/// Writes to a connection and ends it, as a transport does. A drop leaves it open.
#[derive(Debug)]
pub struct Connection {
    outbox: Sender<Vec<u8>>,
    closing: CancellationToken,
    aborting: CancellationToken,
    /// Ends when the connection is lost.
    pub task: JoinHandle<()>,
}

impl Connection {
    /// Starts the task of a connection. Fails if the client has gone already.
    pub fn start(
        number: u64,
        stream: TcpStream,
        idle: Duration,
        permit: OwnedSemaphorePermit,
    ) -> io::Result<Self> {
        // Sends small pieces immediately, which is asyncio's default.
        stream.set_nodelay(true)?;
        let peer = stream.peer_addr()?; // transport.get_extra_info("peername")
        let (outbox, waiting) = mpsc::channel(OUTBOX);
        let (closing, aborting) = (CancellationToken::new(), CancellationToken::new());
        let (answers, close, abort) = (outbox.clone(), closing.clone(), aborting.clone());
        let task = tokio::spawn(async move {
            let _permit = permit;
            // def connection_made(self, transport):
            println!("connection {number} is made by {}", peer.ip());
            let talk = talk(number, stream, idle, answers, waiting, close);
            // An abort drops the stream and the pieces that wait to be written.
            let ended = abort.run_until_cancelled(talk).await;
            // def connection_lost(self, error):
            match ended.unwrap_or(Ok(())) {
                Ok(()) => println!("connection {number} is lost"),
                Err(error) => println!("connection {number} is lost: {}", error.kind()),
            }
        });
        Ok(Self {
            outbox,
            closing,
            aborting,
            task,
        })
    }

    /// Writes the data if the outbox has room. The error is `Full`, or `Closed` once the
    /// connection is closing.
    pub fn write(&self, data: Vec<u8>) -> Result<(), TrySendError<Vec<u8>>> {
        if self.is_closing() {
            return Err(TrySendError::Closed(data));
        }
        self.outbox.try_send(data)
    }

    /// Waits until the outbox has room, then writes the data. Fails if the connection is
    /// closing. Cancel-safe: a dropped call has written nothing.
    pub async fn write_and_drain(&self, data: Vec<u8>) -> Result<(), SendError<Vec<u8>>> {
        if self.is_closing() {
            return Err(SendError(data));
        }
        self.outbox.send(data).await
    }

    /// Returns how many pieces wait to be written.
    pub fn waiting(&self) -> usize {
        self.outbox.max_capacity() - self.outbox.capacity()
    }

    /// Answers nothing more, and ends the connection when all data that waits is written.
    /// Discards what the client still sends, for at most `idle` after that.
    pub fn close(&self) {
        self.closing.cancel();
    }

    /// Ends the connection immediately.
    pub fn abort(&self) {
        self.aborting.cancel();
    }

    /// Returns whether the connection refuses further data.
    pub fn is_closing(&self) -> bool {
        self.closing.is_cancelled() || self.outbox.is_closed()
    }
}

/// Sends back what comes, and what others write, until the client or `close` ends it.
async fn talk(
    number: u64,
    mut stream: TcpStream,
    idle: Duration,
    answers: Sender<Vec<u8>>,
    mut waiting: Receiver<Vec<u8>>,
    closing: CancellationToken,
) -> io::Result<()> {
    let (mut reader, mut writer) = stream.split();
    let reading = async {
        let answering = async {
            let mut buffer = vec![0; 65_536];
            loop {
                let size = timeout(idle, reader.read(&mut buffer)).await??;
                let data = if size == 0 {
                    // def eof_received(self):
                    println!("connection {number} has sent all");
                    b"bye".to_vec()
                } else {
                    // def data_received(self, data):
                    buffer[..size].to_vec()
                };
                // Waits while the outbox is full, so nothing more is read.
                if answers.send(data).await.is_err() || size == 0 {
                    return io::Result::Ok(());
                }
            }
        };
        // In this order, or it would read data that is there already.
        select! {
            biased;
            () = closing.cancelled() => {}
            read = answering => read?,
        }
        closing.cancel();
        // Reads 16 MiB at most: the system would reset a connection that is closed with
        // unread data, and the client would lose what it has not read yet.
        tokio::io::copy(&mut reader.take(16 << 20), &mut tokio::io::sink()).await
    };
    let writing = async {
        loop {
            let next = match closing.run_until_cancelled(waiting.recv()).await {
                Some(next) => next,
                None => {
                    // Takes no new pieces, but yields the waiting ones.
                    waiting.close();
                    waiting.recv().await
                }
            };
            match next {
                Some(data) => {
                    let written = timeout(idle, writer.write_all(&data)).await;
                    if written.is_err() {
                        // A part must not pass for the whole: resets the connection.
                        writer.as_ref().set_zero_linger()?;
                    }
                    written??;
                }
                // transport.write_eof()
                None => return writer.shutdown().await,
            }
        }
    };
    let (mut reading, mut writing) = (pin!(reading), pin!(writing));
    select! {
        read = &mut reading => {
            // Even after a limit: what waits is written, and no piece is cut off.
            closing.cancel();
            let written = writing.await;
            read?;
            written
        }
        written = &mut writing => {
            written?;
            // Neither the client's further data nor its error matters.
            let _ = timeout(idle, reading).await;
            Ok(())
        }
    }
}

/// Makes a connection of each client and hands it out, until nobody receives them any
/// more. `idle` limits the wait for a client that sends nothing, or reads nothing.
pub async fn serve(
    listener: TcpListener,
    max_connections: usize,
    idle: Duration,
    made: Sender<Connection>,
) {
    let permits = Arc::new(Semaphore::new(max_connections.min(Semaphore::MAX_PERMITS)));
    for number in 1.. {
        let next = async {
            let permit = Arc::clone(&permits).acquire_owned().await;
            (permit, accept(&listener).await)
        };
        select! {
            () = made.closed() => return,
            (Ok(permit), stream) = next => {
                // A client that is gone already must not end the server.
                if let Ok(connection) = Connection::start(number, stream, idle, permit) {
                    let _ = made.send(connection).await;
                }
            }
        }
    }
}

/// Returns the next connection, however long that takes. Cancel-safe.
async fn accept(listener: &TcpListener) -> TcpStream {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => return stream,
            // The client left before it was accepted.
            Err(error) if error.kind() == ErrorKind::ConnectionAborted => {}
            // Out of file descriptors or memory: without a pause this would spin.
            Err(error) => {
                eprintln!("cannot accept: {error}");
                sleep(Duration::from_secs(1)).await;
            }
        }
    }
}

/// Welcomes each client, and sends back what it sends: `cargo run -- 127.0.0.1:8080`.
#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let address = std::env::args().nth(1).ok_or("usage: ADDRESS:PORT")?;
    let listener = TcpListener::bind(address).await?;
    let (made, mut connections) = mpsc::channel(1);
    tokio::spawn(serve(listener, 1_000, Duration::from_secs(60), made));
    while let Some(connection) = connections.recv().await {
        // The client may read an answer first. The write fails if the client has left.
        let _ = connection.write(b"welcome\n".to_vec());
    }
    Ok(())
}

//@ clock: real
//@ order: is lost
//@ try: nowhere -> invalid socket address
