//! Keep one connection forever: reconnect with backoff, send pings, subscribe again.
//!
//! A task connects, and connects again after each loss. For each new connection it calls
//! your closure `connect`, which can log in and subscribe. While there is no connection,
//! requests wait. If the connection breaks after a request was sent and before its reply,
//! the request fails with "maybe done". The client never repeats it, because only the
//! caller knows whether a repeat is safe.
//!
//! A message (a frame) begins with its length. Replies come in the order of the requests,
//! and each reply contains the number of its request. If a number shows that a reply is
//! missing, the client closes the connection, so that no caller gets another caller's
//! reply.
//!
//! `start` also returns the receiver of a channel of events: connections, losses, and
//! messages that answer no request. If your program does not receive the events, the
//! channel becomes full, and the client stops reading and reconnecting. Drop the receiver
//! if you do not need the events. If a server answers pings but no requests, the client
//! keeps the connection, and each request times out.
//!
//! Bounds: In `Config` you set the longest message, how many requests may wait, and how
//! long to wait for a connection, a reply, a ping and the next attempt.
//!
//! Trap: If the peer's machine or a cable fails, you get no error: reads wait forever,
//! and writes succeed for minutes. So send pings, and take a connection for lost if
//! nothing comes for a while.
//!
//! Trap: If you reset the backoff as soon as you are connected, a server that accepts
//! and then fails gets one new connection after the other, without a pause. Reset the
//! backoff when the server has answered.
//!
//! See also: `rpc_over_one_connection`, `restart_with_backoff`, `retry`, `retry_jitter`.
//!
//! asyncio: asyncio.open_connection, asyncio.timeout, asyncio.sleep

use std::convert::Infallible;
use std::future::Future;
use std::io::{self, ErrorKind};
use std::time::Duration;

use futures::{SinkExt, StreamExt};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::select;
use tokio::sync::{Semaphore, mpsc, oneshot, watch};
use tokio::time::{interval, sleep, timeout};
use tokio_util::bytes::Bytes;
use tokio_util::codec::{Framed, LengthDelimitedCodec};
use tokio_util::task::AbortOnDropHandle;

/// How the client behaves. No number may be zero.
#[derive(Clone, Copy, Debug)]
pub struct Config {
    /// The time to connect.
    pub connect: Duration,
    /// The time to wait for a connection, and then again for a reply.
    pub request: Duration,
    /// The time from one ping to the next.
    pub ping: Duration,
    /// A connection on which nothing comes for this time is lost. More than `ping`.
    pub silence: Duration,
    /// The pause after a loss. It doubles until the server answers.
    pub initial_backoff: Duration,
    /// The longest pause.
    pub max_backoff: Duration,
    /// Shortens a pause at random, so that many clients do not come back together.
    pub jitter: fn(Duration) -> Duration,
    /// The largest frame, in bytes.
    pub frame: usize,
    /// How many requests wait for replies, and how many events to be received.
    pub waiting: usize,
}

/// What happens to the connection, and what comes over it.
#[derive(Debug)]
pub enum Event {
    /// There is a connection. Messages since the last one are lost: ask for the state.
    Connected,
    /// The server has sent this without a request.
    Message(String),
    /// The connection is lost, or there was none. The next attempt is after this pause.
    Lost(io::Error, Duration),
}

/// Why a request has no reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// The server has not got the request.
    #[error("not sent: {0}")]
    NotSent(&'static str),
    /// The server may have carried out the request.
    #[error("maybe done: {0}")]
    MaybeDone(&'static str),
}

use RequestError::{MaybeDone, NotSent};

type Request = (String, oneshot::Sender<String>);

/// A client that always tries to have a connection. Dropping it ends the connection.
#[derive(Debug)]
pub struct Client {
    connection: watch::Receiver<Option<mpsc::Sender<Request>>>,
    config: Config,
    _task: AbortOnDropHandle<()>,
}

impl Client {
    /// Spawns the task that connects, and returns the client and its events. `connect`
    /// also does what each connection needs first: TLS, log in, subscribe.
    ///
    /// # Panics
    ///
    /// If `waiting` is zero, and outside a Tokio runtime.
    pub fn start<S, F, Fut>(config: Config, connect: F) -> (Self, mpsc::Receiver<Event>)
    where
        S: AsyncRead + AsyncWrite + Send,
        F: Fn() -> Fut + Send + 'static,
        Fut: Future<Output = io::Result<S>> + Send,
    {
        let (current, connection) = watch::channel(None);
        let most = config.waiting.min(Semaphore::MAX_PERMITS);
        let (events, receiver) = mpsc::channel(most);
        let keeping = async move {
            let mut backoff = config.initial_backoff;
            loop {
                let error = match timeout(config.connect, connect()).await {
                    Ok(Ok(stream)) => {
                        let (sender, requests) = mpsc::channel(1);
                        current.send_replace(Some(sender));
                        // Fails if nobody receives events.
                        let _ = events.send(Event::Connected).await;
                        talk(stream, config, requests, &events, &mut backoff).await
                    }
                    Ok(Err(error)) => error,
                    Err(elapsed) => elapsed.into(),
                };
                current.send_replace(None);
                let pause = (config.jitter)(backoff.min(config.max_backoff));
                let _ = events.send(Event::Lost(error, pause)).await;
                sleep(pause).await;
                backoff = backoff.saturating_mul(2);
            }
        };
        let _task = AbortOnDropHandle::new(tokio::spawn(keeping));
        let client = Self {
            connection,
            config,
            _task,
        };
        (client, receiver)
    }

    /// Waits for a connection, sends a request, and returns its reply. If the future is
    /// dropped, the server may have carried out the request.
    pub async fn request(&self, text: String) -> Result<String, RequestError> {
        // With the longest number.
        if format!("REQUEST {} {text}", u64::MAX).len() > self.config.frame {
            return Err(NotSent("too large"));
        }
        let room = timeout(self.config.request, self.room()).await;
        let room = room.map_err(|_| NotSent("no connection in time"))?;
        let (caller, reply) = oneshot::channel();
        room.ok_or(NotSent("`connect` or `jitter` has panicked"))?
            .send((text, caller));
        let reply = timeout(self.config.request, reply).await;
        let reply = reply.map_err(|_| MaybeDone("no reply in time"))?;
        reply.map_err(|_| MaybeDone("connection lost"))
    }

    /// Returns room for a request in the current connection, or in a later one. Returns
    /// `None` if `connect` or `jitter` has panicked.
    async fn room(&self) -> Option<mpsc::OwnedPermit<Request>> {
        let mut connection = self.connection.clone();
        loop {
            let current = connection.wait_for(Option::is_some).await.ok()?.clone();
            // Fails if the connection is lost during the wait.
            if let Ok(room) = current?.reserve_owned().await {
                return Some(room);
            }
        }
    }
}

/// Writes and reads concurrently, until the connection is lost. Returns the error. Resets
/// the backoff when the server answers.
async fn talk(
    stream: impl AsyncRead + AsyncWrite,
    config: Config,
    mut requests: mpsc::Receiver<Request>,
    events: &mpsc::Sender<Event>,
    backoff: &mut Duration,
) -> io::Error {
    let mut codec = LengthDelimitedCodec::new();
    codec.set_max_frame_length(config.frame);
    let (mut writer, mut frames) = Framed::new(stream, codec).split();
    // The number of each request that waits for its reply, and its caller.
    let (waiting, mut callers) =
        mpsc::channel::<(u64, oneshot::Sender<String>)>(events.max_capacity());
    let writing = async {
        let mut pings = interval(config.ping);
        let mut number = 0;
        loop {
            // Takes a request only if its caller may wait for a reply.
            let request = async { (waiting.reserve().await, requests.recv().await) };
            let text = select! {
                _ = pings.tick() => "PING".to_owned(),
                (Ok(room), Some((text, caller))) = request => {
                    number += 1;
                    room.send((number, caller));
                    format!("REQUEST {number} {text}")
                }
            };
            timeout(config.silence, writer.send(Bytes::from(text))).await??;
        }
    };
    let reading = async {
        while let Some(frame) = timeout(config.silence, frames.next()).await? {
            let frame = frame?;
            *backoff = config.initial_backoff;
            let text = String::from_utf8_lossy(&frame);
            // Sending fails if nobody waits for the reply, or receives events.
            if let Some(reply) = text.strip_prefix("REPLY ") {
                let (number, caller) = callers.try_recv().map_err(io::Error::other)?;
                let Some((answered, reply)) = reply.split_once(' ') else {
                    return Err(ErrorKind::InvalidData.into());
                };
                if answered.parse() != Ok(number) {
                    return Err(io::Error::other("a reply is missing"));
                }
                let _ = caller.send(reply.to_owned());
            } else if text != "PONG" {
                let _ = events.send(Event::Message(text.into_owned())).await;
            }
        }
        Err(ErrorKind::UnexpectedEof.into())
    };
    select! {
        Err::<Infallible, io::Error>(error) = writing => error,
        Err::<Infallible, io::Error>(error) = reading => error,
    }
}

/// Sends each argument and prints its reply: `cargo run -- 127.0.0.1:7000 one two`.
#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let mut arguments = std::env::args().skip(1);
    let address = arguments.next().ok_or("usage: ADDRESS:PORT TEXT...")?;
    let address: std::net::SocketAddr = address.parse()?;
    let config = Config {
        connect: Duration::from_secs(10),
        request: Duration::from_secs(30),
        ping: Duration::from_secs(10),
        silence: Duration::from_secs(25),
        initial_backoff: Duration::from_millis(200),
        max_backoff: Duration::from_secs(30),
        jitter: |pause| pause.mul_f64(fastrand::f64()),
        frame: 1 << 20,
        waiting: 100,
    };
    let (client, mut events) = Client::start(config, move || async move {
        let mut stream = tokio::net::TcpStream::connect(address).await?;
        let mut writer = Framed::new(&mut stream, LengthDelimitedCodec::new());
        writer.send(Bytes::from("SUBSCRIBE news")).await?;
        Ok(stream)
    });
    tokio::spawn(async move {
        while let Some(event) = events.recv().await {
            eprintln!("{event:?}");
        }
    });
    for text in arguments {
        println!("{}", client.request(text).await?);
    }
    Ok(())
}

//@ clock: real
//@ try: nowhere hello -> AddrParseError
