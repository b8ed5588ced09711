//! A port of `asyncio.Protocol`: where each callback goes, and what a transport becomes.
//!
//! A protocol is a task for each connection, with a loop that reads and a loop that
//! writes. `connection_made` stands before the loops, `data_received` is the body of the
//! first, `eof_received` a read of 0 bytes, and `connection_lost` stands after both.
//! Other tasks write through a bounded channel: its capacity is the high-water mark, and
//! a full channel is `pause_writing`. To call `pause_reading`, stop reading.
//!
//! Bounds: `Limits`, and [`OUTBOX`] pieces of 64 KiB for each connection.
//!
//! Trap: `transport.write` never waits. A protocol that answers a client which does not
//! read fills the memory, unless it pauses reading. Here `send` waits for room.
//!
//! See also: `line_protocol` (plainer, if no other task writes), `tcp_echo_server`.
//!
//! asyncio: asyncio.Protocol, loop.create_server, loop.create_connection
//! asyncio: asyncio.BaseProtocol, asyncio.BaseProtocol.connection_made
//! clock: real
//! order: is lost

use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::mpsc::error::{SendError, TrySendError};
use tokio::sync::mpsc::{self, Receiver, Sender};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinHandle;
use tokio::time::{Instant, interval, interval_at, sleep, timeout};
use tokio::{join, select, try_join};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

/// How many pieces may wait to be written, beside the one that is being written.
pub const OUTBOX: usize = 2;

/// What clients may cost.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// How many connections are open at once. Further clients wait in the system's
    /// backlog.
    pub connections: usize,
    /// How long a client may send nothing, and how long it may take to read a piece.
    pub idle: Duration,
}

/// Writes to a connection and ends it: what is left of a transport.
///
/// Dropped, it leaves the connection open.
pub struct Connection {
    outbox: Sender<Vec<u8>>,
    closing: CancellationToken,
    aborting: CancellationToken,
    task: JoinHandle<()>,
}

impl Connection {
    /// Starts the task of a connection, which releases the permit when it ends.
    ///
    /// # Errors
    ///
    /// If the client has reset the connection already.
    pub fn start(
        number: u64,
        stream: TcpStream,
        idle: Duration,
        permit: OwnedSemaphorePermit,
    ) -> io::Result<Self> {
        // Small pieces go out at once, as asyncio has it by default.
        stream.set_nodelay(true)?;
        // transport.get_extra_info("peername")
        let peer = stream.peer_addr()?;
        let (outbox, waiting) = mpsc::channel(OUTBOX);
        let (closing, aborting) = (CancellationToken::new(), CancellationToken::new());
        let (answers, close) = (outbox.clone(), closing.clone());
        let abort = aborting.clone();
        let task = tokio::spawn(async move {
            let _permit = permit;
            // def connection_made(self, transport):
            println!("connection {number} is made by {}", peer.ip());
            let talk = talk(number, stream, idle, answers, waiting, close);
            // Aborted, it drops the stream, and what waits to be written.
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

    /// Writes the data if the outbox has room.
    ///
    /// # Errors
    ///
    /// `Full` between `pause_writing` and `resume_writing`; `Closed` once the connection
    /// is closing.
    pub fn write(&self, data: Vec<u8>) -> Result<(), TrySendError<Vec<u8>>> {
        if self.is_closing() {
            return Err(TrySendError::Closed(data));
        }
        self.outbox.try_send(data)
    }

    /// Waits until the outbox has room, and then writes the data. Cancel-safe: dropped,
    /// it has written nothing.
    ///
    /// # Errors
    ///
    /// If the connection is closing.
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

    /// Reads nothing more, and ends the connection when all that waits is written.
    pub fn close(&self) {
        self.closing.cancel();
    }

    /// Ends the connection at once.
    pub fn abort(&self) {
        self.aborting.cancel();
    }

    /// Returns whether the connection refuses what is written.
    pub fn is_closing(&self) -> bool {
        self.closing.is_cancelled() || self.outbox.is_closed()
    }

    /// Waits until the connection is lost.
    pub async fn lost(self) {
        self.task.await.expect("a connection does not panic");
    }
}

/// Sends back what comes, and what other tasks write, until the client has sent all, or
/// the connection is closed.
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
            // While the outbox is full this waits, so nothing more is read.
            if answers.send(data).await.is_err() || size == 0 {
                return io::Result::Ok(());
            }
        }
    };
    let reading = async {
        // `run_until_cancelled` would read what is there already.
        let read = select! {
            biased;
            () = closing.cancelled() => Ok(()),
            read = reading => read,
        };
        closing.cancel();
        read
    };
    let writing = async {
        loop {
            let next = match closing.run_until_cancelled(waiting.recv()).await {
                Some(next) => next,
                None => {
                    // It takes nothing more, and gives what it has.
                    waiting.close();
                    waiting.recv().await
                }
            };
            match next {
                Some(data) => timeout(idle, writer.write_all(&data)).await??,
                // transport.write_eof()
                None => return writer.shutdown().await,
            }
        }
    };
    // The first error ends both.
    try_join!(reading, writing)?;
    Ok(())
}

/// Makes a connection of each client and hands it out, as `loop.create_server` does.
/// Returns when nobody receives the connections any more; those that are open go on.
pub async fn serve(listener: TcpListener, limits: Limits, made: Sender<Connection>) {
    let permits = Arc::new(Semaphore::new(limits.connections));
    for number in 1.. {
        let permit = Arc::clone(&permits).acquire_owned().await;
        let permit = permit.expect("nobody closes the semaphore");
        let stream = accept(&listener).await;
        let connection = Connection::start(number, stream, limits.idle, permit);
        // A client that is gone already must not end the server.
        if let Ok(connection) = connection
            && made.send(connection).await.is_err()
        {
            break;
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

const PIECE: usize = 500_000;

/// What the system holds of a connection is far less than a piece.
const SYSTEM_BUFFER: u32 = 50_000;

async fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.set_send_buffer_size(SYSTEM_BUFFER)?;
    socket.set_recv_buffer_size(SYSTEM_BUFFER)?;
    socket.connect(address).await
}

/// What a client reads to the end.
pub async fn rest(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut data = Vec::new();
    stream.read_to_end(&mut data).await?;
    Ok(data)
}

fn report(name: &str, data: &[u8]) {
    match data.len() {
        size @ ..100 => println!("{name} got {} ({size} bytes)", data.escape_ascii()),
        size => println!("{name} got {size} bytes"),
    }
}

pub async fn run() -> io::Result<()> {
    // Each part begins at its time, however long the one before it took.
    let first = Instant::now() + Duration::from_millis(200);
    let mut part = interval_at(first, Duration::from_millis(1000));
    let tenth = Duration::from_millis(100);
    let socket = TcpSocket::new_v4()?;
    socket.set_send_buffer_size(SYSTEM_BUFFER)?;
    socket.set_recv_buffer_size(SYSTEM_BUFFER)?;
    socket.bind("127.0.0.1:0".parse().expect("an address"))?;
    let listener = socket.listen(128)?;
    let address = listener.local_addr()?;
    let limits = Limits {
        connections: 10,
        idle: Duration::from_secs(5),
    };
    let (made, mut connections) = mpsc::channel(1);
    let _server = AbortOnDropHandle::new(tokio::spawn(serve(listener, limits, made)));
    let mut accepted = async || connections.recv().await.ok_or(ErrorKind::NotFound);

    part.tick().await;
    println!("From its beginning to its end:");
    let mut client = connect(address).await?;
    let connection = accepted().await?;
    client.write_all(b"hello ").await?;
    sleep(tenth).await;
    client.shutdown().await?;
    report("the client", &rest(&mut client).await?);
    connection.lost().await;

    part.tick().await;
    println!("Others write half a megabyte each 0.1 s, and the client reads late:");
    let mut client = connect(address).await?;
    let connection = accepted().await?;
    let reader = tokio::spawn(async move {
        sleep(tenth * 9 / 2).await;
        println!("the client begins to read");
        report("the client", &rest(&mut client).await?);
        io::Result::Ok(())
    });
    let mut ticks = interval(tenth);
    for number in 1..=6 {
        ticks.tick().await;
        match connection.write(vec![b'x'; PIECE]) {
            Ok(()) => println!("{number} is written"),
            Err(_) => println!("{number} is dropped, as {} wait", connection.waiting()),
        }
    }
    connection.close();
    if connection.is_closing() && connection.write(vec![b'x']).is_err() {
        println!("closing: nothing more is taken");
    }
    reader.await??;
    connection.lost().await;

    part.tick().await;
    println!("The client writes 2.5 megabytes, and reads late:");
    let mut client = connect(address).await?;
    let connection = accepted().await?;
    let (mut reader, mut writer) = client.split();
    let data = vec![b'y'; 5 * PIECE];
    let mut writing = pin!(writer.write_all(&data));
    if timeout(2 * tenth, &mut writing).await.is_err() {
        println!("the client has to wait until the server reads on");
    }
    let mut answer = vec![0; data.len()];
    let (written, read) = join!(writing, reader.read_exact(&mut answer));
    written?;
    read?;
    report("the client", &answer);
    drop(client);
    connection.lost().await;

    part.tick().await;
    println!("A client that vanishes:");
    let mut client = connect(address).await?;
    let connection = accepted().await?;
    client.write_all(b"hello").await?;
    client.read_exact(&mut [0; 5]).await?;
    client.set_zero_linger()?;
    drop(client);
    connection.lost().await;

    part.tick().await;
    println!("Aborted while half a megabyte is being written:");
    let mut client = connect(address).await?;
    let connection = accepted().await?;
    let written = connection.write_and_drain(vec![b'x'; PIECE]).await;
    written.map_err(io::Error::other)?;
    sleep(tenth).await;
    connection.abort();
    connection.lost().await;
    if rest(&mut client).await?.len() < PIECE {
        println!("the client got a part and the end");
    }
    Ok(())
}

#[tokio::main]
pub async fn main() -> io::Result<()> {
    run().await
}
