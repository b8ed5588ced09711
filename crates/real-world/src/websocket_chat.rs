//! WebSocket chat server with tokio-tungstenite: broadcast, slow clients, ping, close.
//!
//! Each client has a bounded queue and a loop that writes from it. A broadcast puts a
//! message into all queues and waits for nobody. A client with a full queue is cut off.
//! The library `websockets` does the rest by itself; here you do it: pings, a limit for
//! the handshake, and close frames.
//!
//! Bounds: `Limits`. A client that falls `queue` messages behind is cut off. If all send
//! as fast as they may, that takes the time `queue * pace / connections`.
//!
//! Trap: by default a message may have 64 MiB, and what waits to be written has no limit.
//!
//! Trap: without `pace` one client's burst fills all queues, and nearly all are cut off.
//!
//! In production: check `Origin` (accept_hdr_async), else any web page can connect with
//! its visitor's cookies. `axum` with `ws` serves the same socket beside other routes.
//!
//! asyncio: asyncio.Queue, asyncio.Queue.put_nowait, asyncio.QueueFull, asyncio.timeout
//! clock: real
//! try: nowhere -> invalid socket address

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::io::ErrorKind;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::{Sink, SinkExt, Stream, StreamExt, TryStreamExt};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::select;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep, timeout};
use tokio_tungstenite::tungstenite::error::ProtocolError;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, WebSocketConfig};
use tokio_tungstenite::tungstenite::{self, Bytes, Message, Utf8Bytes};
use tokio_tungstenite::{WebSocketStream, accept_async_with_config};
use tokio_util::sync::CancellationToken;

/// What the server allows. None of the limits may be zero.
#[derive(Clone, Debug)]
pub struct Limits {
    /// How many connections are open at once. Further clients wait in the system's
    /// backlog.
    pub connections: usize,
    /// The time for the handshake and the name together.
    pub joining: Duration,
    /// The length of one message in bytes.
    pub message: usize,
    /// How many messages may wait for one client, "joined" and "left" included.
    pub queue: usize,
    /// The shortest time from one message of a client to the next. A client that sends
    /// faster is not read for so long.
    pub pace: Duration,
    /// The time from one ping to the next.
    pub ping: Duration,
    /// The longest time until a whole message or an answer to a ping has arrived. Make it
    /// longer than `ping`, and long enough for the longest message.
    pub silence: Duration,
    /// The time for a client to answer a close frame.
    pub closing: Duration,
}

/// Serves a chat until it is told to stop, and returns how many clients were cut off
/// because they had not closed in time.
///
/// A client's first message is its name, 1 to 20 letters and digits. Its other texts go
/// to all members, with the name in front, in the same order for all. Binary messages are
/// ignored. When the server stops, members still get what waits for them, and a close
/// frame. What they send from then on is lost.
///
/// Dropped, it cuts all clients off.
pub async fn serve(
    listener: TcpListener,
    limits: Limits,
    stop: CancellationToken,
) -> usize {
    let room = Arc::new(Room::new(limits.clone()));
    let mut clients = JoinSet::new();
    loop {
        select! {
            biased;
            () = stop.cancelled() => break,
            Some(_) = clients.join_next() => {}
            stream = accept(&listener), if clients.len() < limits.connections => {
                // Small messages must not wait for an answer to those before them.
                if stream.set_nodelay(true).is_ok() {
                    clients.spawn(serve_client(Arc::clone(&room), stream));
                }
            }
        }
    }
    drop(listener);
    // This ends the queues, and each connection when its queue is empty.
    room.members().take();
    let all = async { while clients.join_next().await.is_some() {} };
    let _ = timeout(limits.closing, all).await;
    let cut_off = clients.len();
    clients.shutdown().await;
    cut_off
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

/// Serves one client, over TCP, TLS or any other stream.
pub async fn serve_client<S>(room: Arc<Room>, stream: S)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let limits = &room.limits;
    let config = WebSocketConfig::default()
        .read_buffer_size(4096)
        // Else the answers to pings would pile up when the client reads none of them.
        .max_write_buffer_size(limits.message + 2 * 128 * 1024)
        .max_frame_size(Some(limits.message))
        .max_message_size(Some(limits.message));
    let join = async {
        let mut socket = accept_async_with_config(stream, Some(config)).await?;
        while let Some(message) = socket.try_next().await? {
            if let Message::Text(name) = message {
                return Ok((socket, name));
            }
        }
        Err(tungstenite::Error::ConnectionClosed)
    };
    let Ok(Ok((mut socket, name))) = timeout(limits.joining, join).await else {
        return;
    };
    let end = match room.join(&name) {
        Ok(mut seat) => seat.take_part(&mut socket).await,
        Err(refused) => refused,
    };
    let close = async {
        if let (reason, Some(code)) = end.reason() {
            let reason = Utf8Bytes::from_static(reason);
            let frame = CloseFrame { code, reason };
            socket.close(Some(frame)).await?;
            while socket.try_next().await?.is_some() {}
            if matches!(end, End::TooLong | End::BadFrame | End::BadText) {
                // With the rest unread the system would reset the connection, and the
                // client might not see why.
                let stream = socket.get_mut();
                stream.shutdown().await?;
                tokio::io::copy(stream, &mut tokio::io::sink()).await?;
            }
        }
        Ok::<(), tungstenite::Error>(())
    };
    if end == End::Stopped {
        // Here the server as a whole has a limit.
        let _ = close.await;
    } else {
        let _ = timeout(limits.closing, close).await;
    }
}

/// Why a connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    Left,
    CutOff,
    Silent,
    TooSlow,
    TooLong,
    BadFrame,
    BadText,
    NameTaken,
    NoName,
    Stopped,
}

impl End {
    /// Returns what the others hear, and the code of the close frame if one is sent.
    fn reason(self) -> (&'static str, Option<CloseCode>) {
        match self {
            Self::Left => ("left", None),
            Self::CutOff => ("was cut off", None),
            Self::Silent => ("gave no sign of life", None),
            Self::TooSlow => ("was too slow", None),
            Self::TooLong => ("sent too much at once", Some(CloseCode::Size)),
            Self::BadFrame => ("broke the protocol", Some(CloseCode::Protocol)),
            Self::BadText => ("sent no UTF-8", Some(CloseCode::Invalid)),
            Self::NameTaken => ("the name is taken", Some(CloseCode::Policy)),
            Self::NoName => ("not a name", Some(CloseCode::Policy)),
            Self::Stopped => ("the server stops", Some(CloseCode::Away)),
        }
    }
}

pub type Members = HashMap<String, Member>;

pub struct Room {
    limits: Limits,
    /// The members by name; none any more when the server stops.
    members: Mutex<Option<Members>>,
}

pub struct Member {
    queue: mpsc::Sender<Utf8Bytes>,
    too_slow: CancellationToken,
}

/// Puts the text into all queues without waiting.
pub fn tell(members: &Members, text: String) {
    let text = Utf8Bytes::from(text);
    for Member { queue, too_slow } in members.values() {
        // A member that missed one message gets none after it.
        if !too_slow.is_cancelled() && queue.try_send(text.clone()).is_err() {
            too_slow.cancel();
        }
    }
}

impl Room {
    /// Returns an empty room.
    pub fn new(limits: Limits) -> Self {
        let members = Mutex::new(Some(HashMap::new()));
        Self { limits, members }
    }

    pub(crate) fn members(&self) -> MutexGuard<'_, Option<Members>> {
        self.members.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn join(self: &Arc<Self>, name: &str) -> Result<Seat, End> {
        let length = name.chars().count();
        if !(1..=20).contains(&length) || !name.chars().all(char::is_alphanumeric) {
            return Err(End::NoName);
        }
        let (queue, texts) = mpsc::channel(self.limits.queue);
        let too_slow = CancellationToken::new();
        let member = Member {
            queue,
            too_slow: too_slow.clone(),
        };
        let mut members = self.members();
        let members = members.as_mut().ok_or(End::Stopped)?;
        match members.entry(name.to_owned()) {
            Entry::Occupied(_) => return Err(End::NameTaken),
            Entry::Vacant(place) => place.insert(member),
        };
        tell(members, format!("{name} joined"));
        Ok(Seat {
            room: Arc::clone(self),
            name: name.to_owned(),
            texts,
            too_slow,
            end: End::CutOff,
        })
    }
}

/// A name in the room, released when this is dropped, also by a panic.
pub struct Seat {
    room: Arc<Room>,
    name: String,
    pub(crate) texts: mpsc::Receiver<Utf8Bytes>,
    too_slow: CancellationToken,
    end: End,
}

impl Drop for Seat {
    fn drop(&mut self) {
        // Under one lock with the removal: the next owner of the name joins after this.
        if let Some(members) = &mut *self.room.members() {
            members.remove(&self.name);
            tell(members, format!("{} {}", self.name, self.end.reason().0));
        }
    }
}

impl Seat {
    /// Reads and writes side by side, until either ends.
    async fn take_part<S>(&mut self, socket: &mut WebSocketStream<S>) -> End
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let limits = &self.room.limits;
        let (outgoing, incoming) = socket.split();
        self.end = select! {
            biased;
            () = self.too_slow.cancelled() => End::TooSlow,
            end = receive(&self.room, &self.name, incoming) => end,
            end = send(limits, &mut self.texts, outgoing) => end,
        };
        self.end
    }
}

async fn receive<S>(room: &Room, name: &str, mut incoming: S) -> End
where
    S: Stream<Item = tungstenite::Result<Message>> + Unpin,
{
    loop {
        match timeout(room.limits.silence, incoming.next()).await {
            Ok(Some(Ok(Message::Text(text)))) => {
                // A line break could pass for another member's message.
                let text = text.replace(char::is_control, " ");
                if let Some(members) = &*room.members() {
                    tell(members, format!("{name}: {text}"));
                }
                // The queues must not be full before one member had time to read. On
                // several threads `yield_now` does not give it that time.
                sleep(room.limits.pace).await;
            }
            // Reading answers a ping, and a close frame too, after which nothing comes.
            Ok(Some(Ok(_))) => {}
            Ok(Some(Err(tungstenite::Error::Capacity(_)))) => return End::TooLong,
            Ok(Some(Err(tungstenite::Error::Utf8(_)))) => return End::BadText,
            Ok(Some(Err(tungstenite::Error::Protocol(
                ProtocolError::ResetWithoutClosingHandshake,
            )))) => return End::CutOff,
            Ok(Some(Err(tungstenite::Error::Protocol(_)))) => return End::BadFrame,
            Ok(Some(Err(_))) => return End::CutOff,
            Ok(None) => return End::Left,
            Err(_) => return End::Silent,
        }
    }
}

async fn send<S>(
    limits: &Limits,
    texts: &mut mpsc::Receiver<Utf8Bytes>,
    mut outgoing: S,
) -> End
where
    S: Sink<Message> + Unpin,
{
    let mut pings = interval_at(Instant::now() + limits.ping, limits.ping);
    pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let message = select! {
            biased;
            _ = pings.tick() => Message::Ping(Bytes::new()),
            text = texts.recv() => match text {
                Some(text) => Message::Text(text),
                None => return End::Stopped,
            },
        };
        let all_that_wait = async {
            outgoing.feed(message).await?;
            while let Ok(text) = texts.try_recv() {
                outgoing.feed(Message::Text(text)).await?;
            }
            outgoing.flush().await
        };
        if all_that_wait.await.is_err() {
            return End::CutOff;
        }
    }
}

/// Serves a chat until Ctrl-C: `cargo run -- 127.0.0.1:8080`.
#[tokio::main]
pub async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let address = std::env::args().nth(1).ok_or("usage: ADDRESS:PORT")?;
    let listener = TcpListener::bind(address).await?;
    let limits = Limits {
        connections: 200,
        joining: Duration::from_secs(10),
        message: 4_096,
        queue: 1_000,
        pace: Duration::from_millis(100),
        ping: Duration::from_secs(20),
        silence: Duration::from_secs(50),
        closing: Duration::from_secs(5),
    };
    let stop = CancellationToken::new();
    let serving = serve(listener, limits, stop.clone());
    let ctrl_c = async {
        // Where nobody can listen for it, it ends the program as usual.
        if tokio::signal::ctrl_c().await.is_ok() {
            stop.cancel();
        }
    };
    let (cut_off, ()) = tokio::join!(serving, ctrl_c);
    println!("cut off: {cut_off}");
    Ok(())
}
