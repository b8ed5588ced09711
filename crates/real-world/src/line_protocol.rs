//! Line-based TCP protocol: limit a line's length, time out slow readers and writers.
//!
//! `tokio_util::codec::FramedRead` cuts a stream of bytes into items; its decoder says
//! where an item ends. With a decoder for lines it is asyncio's `StreamReader.readuntil`
//! with `limit`. The `next` of a `FramedRead` is cancel-safe: you can use it in `select!`
//! and `timeout`, and no bytes are lost. If the future of `read_line` is dropped, the
//! bytes that it has read are lost.
//!
//! Before you drop a socket, read it to its end, as `talk` does. Otherwise unread bytes
//! make the system reset the connection, and the client may lose the last answer.
//!
//! A short exchange needs no codec: use `read_line`, `read_exact` and `write_all` on one
//! `BufReader` around the socket. Keep that `BufReader`: it reads ahead, and when it is
//! dropped, these bytes are lost.
//!
//! To change the limit of a line later, as after a login, assign a new decoder to
//! `*decoder_mut()`. The bytes that were received before are kept. For messages that
//! begin with their length, use `LengthDelimitedCodec`; its limit is changed by
//! `LengthDelimitedCodec::set_max_frame_length`.
//!
//! Bounds: In `Limits` you set the number of connections (further clients wait), the
//! longest line, how many names the clients may store, and how long the server waits for
//! a line and for a client that does not read (then the connection ends).
//! `LinesCodec::new` and `read_line` have no limit for a line.
//!
//! Trap: If a connection breaks in the middle of a line, `LinesCodec`, `read_line` and
//! asyncio's `readline` return the part as if it were a line. Of "SET a 10" you may get
//! "SET a 1", and store the wrong value. The decoder below returns an error instead.
//!
//! See also: `cancel_safety`, `tcp_echo_server`, `close_a_connection`.
//!
//! asyncio: asyncio.StreamReader.readuntil, asyncio.LimitOverrunError, asyncio.timeout
//! asyncio: asyncio.StreamReader, asyncio.StreamReader.readline

use std::collections::HashMap;
use std::io::ErrorKind;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::StreamExt;
use tokio::io::{self, AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::select;
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};
use tokio_util::bytes::{Bytes, BytesMut};
use tokio_util::codec::{AnyDelimiterCodec, Decoder, FramedRead};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Why a connection has ended early.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    #[error("line too long")]
    TooLong,
    #[error("the last line has no end")]
    CutOff,
    #[error("the client does not read")]
    Stalled,
    #[error("{}", .0.kind())]
    Broken(#[from] io::Error),
}

/// Splits bytes into lines, without the newlines.
#[derive(Debug)]
pub struct LineDecoder(AnyDelimiterCodec);

impl LineDecoder {
    /// Returns a decoder for lines of at most `longest` bytes.
    pub fn new(longest: usize) -> Self {
        let newline = || b"\n".to_vec();
        let codec = AnyDelimiterCodec::new_with_max_length(newline(), newline(), longest);
        Self(codec)
    }
}

impl Decoder for LineDecoder {
    type Item = Bytes;
    type Error = Failure;

    fn decode(&mut self, bytes: &mut BytesMut) -> Result<Option<Bytes>, Failure> {
        // The codec fails for no other reason.
        self.0.decode(bytes).map_err(|_| Failure::TooLong)
    }

    fn decode_eof(&mut self, bytes: &mut BytesMut) -> Result<Option<Bytes>, Failure> {
        match self.decode(bytes)? {
            None if !bytes.is_empty() => Err(Failure::CutOff),
            line => Ok(line),
        }
    }
}

/// The limits of a server.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// How many connections are open at the same time. Further clients wait in the
    /// system's backlog, which holds 128 with `TcpListener::bind`.
    pub connections: usize,
    /// The longest line, in bytes.
    pub line: usize,
    /// How many names the store holds at most.
    pub names: usize,
    /// The time for a whole line to arrive.
    pub idle: Duration,
    /// The time for a client to receive an answer, and for the end of a connection.
    pub write: Duration,
}

/// Keeps values by name: `SET name value`, `GET name`, `QUIT`.
#[derive(Debug)]
pub struct Server {
    limits: Limits,
    stop: CancellationToken,
    store: Mutex<HashMap<String, String>>,
}

impl Server {
    /// Returns a server that runs until the token is cancelled.
    pub fn new(limits: Limits, stop: CancellationToken) -> Arc<Self> {
        Arc::new(Self {
            limits,
            stop,
            store: Mutex::default(),
        })
    }

    /// Serves until the token is cancelled and all connections have ended. Each
    /// connection ends after its current answer, within twice `Limits::write`. Dropping
    /// the future leaves the connections running until the token is cancelled.
    pub async fn serve(self: Arc<Self>, listener: TcpListener) {
        let permits = Arc::new(Semaphore::new(
            self.limits.connections.min(Semaphore::MAX_PERMITS),
        ));
        let connections = TaskTracker::new();
        let accepting = async {
            for number in 1_u64.. {
                let permit = Arc::clone(&permits).acquire_owned().await;
                let permit = permit.expect("nobody closes the semaphore");
                let stream = accept(&listener).await;
                let _ = stream.set_nodelay(true);
                let server = Arc::clone(&self);
                connections.spawn(async move {
                    let _permit = permit;
                    if let Err(failure) = server.talk(stream).await {
                        println!("connection {number}: {failure}");
                    }
                });
            }
        };
        self.stop.run_until_cancelled(accepting).await;
        drop(listener);
        connections.close();
        connections.wait().await;
    }

    /// Answers a client until it closes its side, quits, or breaks a limit. Returns the
    /// errors `Stalled` and `Broken`. The client gets the others as an answer.
    pub(crate) async fn talk<S>(&self, stream: S) -> Result<(), Failure>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let Limits { idle, write, .. } = self.limits;
        let mut lines = FramedRead::new(stream, LineDecoder::new(self.limits.line));
        let mut is_last = false;
        while !is_last {
            let next = select! {
                biased;
                () = self.stop.cancelled() => break,
                next = timeout(idle, lines.next()) => next,
            };
            let mut answer;
            (answer, is_last) = match next {
                Ok(None) => break,
                Ok(Some(Ok(line))) => self.answer(&line),
                Ok(Some(Err(Failure::Broken(error)))) => return Err(error.into()),
                Ok(Some(Err(failure))) => (format!("ERR {failure}"), true),
                Err(_) => (format!("ERR no line in {idle:?}"), true),
            };
            answer.push('\n');
            let sending = async {
                lines.get_mut().write_all(answer.as_bytes()).await?;
                lines.get_mut().flush().await
            };
            // Part of the answer may have been sent, so no other can follow.
            timeout(write, sending)
                .await
                .map_err(|_| Failure::Stalled)??;
        }
        // Closes this side, then waits for the client to close: see the header.
        let mut stream = lines.into_inner();
        let leaving = async {
            stream.shutdown().await?;
            io::copy(&mut stream, &mut io::sink()).await
        };
        // The stream is dropped now, even if this fails or times out.
        let _left = timeout(write, leaving).await;
        Ok(())
    }

    /// Returns the answer to a line, and whether it is the last one.
    pub(crate) fn answer(&self, line: &[u8]) -> (String, bool) {
        let words: Vec<_> = match std::str::from_utf8(line) {
            Ok(line) => line.split_whitespace().collect(),
            Err(_) => return ("ERR not UTF-8".to_string(), false),
        };
        let mut store = self.store.lock().expect("nobody panics with the lock");
        let answer = match words[..] {
            ["SET", name, _]
                if store.len() >= self.limits.names && !store.contains_key(name) =>
            {
                "ERR the store is full".to_string()
            }
            ["SET", name, value] => {
                store.insert(name.to_string(), value.to_string());
                "OK".to_string()
            }
            ["GET", name] => match store.get(name) {
                Some(value) => format!("VALUE {value}"),
                None => "NONE".to_string(),
            },
            ["QUIT"] => return ("BYE".to_string(), true),
            _ => "ERR no such command".to_string(),
        };
        (answer, false)
    }
}

/// Waits for the next connection, and retries after an error. Cancel-safe.
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

/// Keeps values until Ctrl-C: `cargo run -- 127.0.0.1:8080`.
#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let address = std::env::args().nth(1).ok_or("usage: ADDRESS:PORT")?;
    let listener = TcpListener::bind(address).await?;
    let limits = Limits {
        connections: 1_000,
        line: 1_000,
        names: 100_000,
        idle: Duration::from_secs(60),
        write: Duration::from_secs(10),
    };
    let stop = CancellationToken::new();
    let serving = Server::new(limits, stop.clone()).serve(listener);
    let ctrl_c = async {
        // If listening fails, Ctrl-C ends the program as usual.
        if tokio::signal::ctrl_c().await.is_ok() {
            stop.cancel();
        }
    };
    tokio::join!(serving, ctrl_c);
    Ok(())
}

//@ clock: real
//@ try: nowhere -> invalid socket address
