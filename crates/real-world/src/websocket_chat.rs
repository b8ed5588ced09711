//! WebSocket chat server with tokio-tungstenite: broadcast, slow clients, ping, close.
//!
//! As with `websockets`, each client has a bounded queue and something that writes from
//! it. A broadcast puts a message into all queues and waits for nobody; whose queue is
//! full is cut off, and the others notice nothing. What `websockets` does by itself is
//! to be done here: a limit for the handshake, pings, the close frames for a message too
//! long (1009) and for a server that stops (1001). The traps: a socket answers pings and
//! close frames only while somebody reads from it; and dropped with something unread, it
//! resets the connection instead of closing it. By default a message may have 64 MiB,
//! each connection takes 128 KiB to read into, and what waits to be written has no
//! limit. Beside other routes of a server, `axum` with its feature `ws` has the same
//! socket. Over TLS: `tls`.
//!
//! asyncio: asyncio.Queue, asyncio.Queue.put_nowait, asyncio.QueueFull, asyncio.timeout
//! clock: real

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::error::Error;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::stream::SplitSink;
use futures::{Sink, SinkExt, Stream, StreamExt, TryStreamExt};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::select;
use tokio::sync::mpsc;
use tokio::task::{JoinSet, yield_now};
use tokio::time::{
    Instant, MissedTickBehavior, interval_at, sleep, sleep_until, timeout,
};
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, WebSocketConfig};
use tokio_tungstenite::tungstenite::{self, Bytes, Message, Utf8Bytes};
use tokio_tungstenite::{WebSocketStream, accept_async_with_config, client_async};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

/// What the server allows. None of them may be zero.
#[derive(Clone, Debug)]
pub struct Limits {
    /// So many connections at once; who comes then has to wait for a connection.
    pub connections: usize,
    /// For the handshake and the name together.
    pub joining: Duration,
    /// Of one message, in bytes.
    pub message: usize,
    /// So many messages may wait for one client, with those of who joins and leaves.
    pub queue: usize,
    /// From one ping to the next.
    pub ping: Duration,
    /// So long it may take until the next message or answer to a ping is here in whole;
    /// more than `ping`, then, and enough for the longest message.
    pub silence: Duration,
    /// From a close frame until the client has closed, too.
    pub closing: Duration,
}

/// Serves a chat until it is told to stop, and returns how many clients were cut off
/// because they had not closed in time.
///
/// A client's first message is its name, 1 to 20 letters and digits. All others go to
/// everybody, with the name in front, in the same order for all. When the server stops,
/// clients still get what waits for them, and a close frame; what they send from then on
/// is lost.
///
/// Dropped while it runs, it cuts all off.
pub async fn serve(
    listener: TcpListener,
    limits: Limits,
    stop: CancellationToken,
) -> usize {
    let room = Arc::new(Room {
        members: Mutex::new(Some(HashMap::new())),
        limits: limits.clone(),
    });
    let mut clients = JoinSet::new();
    loop {
        select! {
            biased;
            () = stop.cancelled() => break,
            Some(_) = clients.join_next() => {}
            accepted = listener.accept(), if clients.len() < limits.connections => {
                let Ok((stream, _)) = accepted else {
                    // Too many open files, say: that passes when somebody leaves.
                    sleep(Duration::from_millis(100)).await;
                    continue;
                };
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

/// Serves one client, over TCP, TLS or whatever else.
async fn serve_client<S>(room: Arc<Room>, stream: S)
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
            if end == End::TooLong {
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
enum End {
    Left,
    CutOff,
    Silent,
    TooSlow,
    TooLong,
    NameTaken,
    NoName,
    Stopped,
}

impl End {
    /// What the others hear, and the code for who would still get a close frame.
    fn reason(self) -> (&'static str, Option<CloseCode>) {
        match self {
            Self::Left => ("left", None),
            Self::CutOff => ("was cut off", None),
            Self::Silent => ("gave no sign of life", None),
            Self::TooSlow => ("was too slow", None),
            Self::TooLong => ("sent too much at once", Some(CloseCode::Size)),
            Self::NameTaken => ("the name is taken", Some(CloseCode::Policy)),
            Self::NoName => ("not a name", Some(CloseCode::Policy)),
            Self::Stopped => ("the server stops", Some(CloseCode::Away)),
        }
    }
}

type Members = HashMap<String, Member>;

struct Room {
    limits: Limits,
    /// All who are here, by name. There is no list any more when the server stops.
    members: Mutex<Option<Members>>,
}

struct Member {
    queue: mpsc::Sender<Utf8Bytes>,
    too_slow: CancellationToken,
}

/// Puts the text into all queues, and waits for nobody.
fn tell(members: &Members, text: String) {
    let text = Utf8Bytes::from(text);
    for Member { queue, too_slow } in members.values() {
        // Who missed one message gets none after it.
        if !too_slow.is_cancelled() && queue.try_send(text.clone()).is_err() {
            too_slow.cancel();
        }
    }
}

impl Room {
    fn members(&self) -> MutexGuard<'_, Option<Members>> {
        self.members.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn join(self: &Arc<Self>, name: &str) -> Result<Seat, End> {
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

/// A name in the room, given back when this is dropped, also by a panic.
struct Seat {
    room: Arc<Room>,
    name: String,
    texts: mpsc::Receiver<Utf8Bytes>,
    too_slow: CancellationToken,
    end: End,
}

impl Drop for Seat {
    fn drop(&mut self) {
        // Under one lock with the removal: who takes the name next joins after this.
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
                if let Some(members) = &*room.members() {
                    tell(members, format!("{name}: {text}"));
                }
                // Many that come at once must not fill the queues before one is read.
                yield_now().await;
            }
            // Reading answers a ping, and a close frame too, after which nothing comes.
            Ok(Some(Ok(_))) => {}
            Ok(Some(Err(tungstenite::Error::Capacity(_)))) => return End::TooLong,
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

type Failure = Box<dyn Error + Send + Sync>;
type Socket = WebSocketStream<TcpStream>;

/// Connects, with a small buffer for what comes, and says the name.
async fn enter(server: SocketAddr, name: &str) -> Result<Socket, Failure> {
    let socket = TcpSocket::new_v4()?;
    socket.set_recv_buffer_size(BUFFER)?;
    let stream = socket.connect(server).await?;
    let (mut socket, _) = client_async(format!("ws://{server}/"), stream).await?;
    socket.send(Message::text(name)).await?;
    Ok(socket)
}

/// Reads all the time, so that pings are answered.
struct Client {
    name: &'static str,
    outgoing: SplitSink<Socket, Message>,
    heard: mpsc::UnboundedReceiver<String>,
    _reader: AbortOnDropHandle<()>,
}

impl Client {
    async fn join(server: SocketAddr, name: &'static str) -> Result<Self, Failure> {
        let (outgoing, mut incoming) = enter(server, name).await?.split();
        let (sender, heard) = mpsc::unbounded_channel();
        let reader = tokio::spawn(async move {
            while let Some(Ok(message)) = incoming.next().await {
                let text = match message {
                    Message::Text(text) => text.to_string(),
                    Message::Close(Some(end)) => format!("({})", end.code),
                    _ => continue,
                };
                if sender.send(text).is_err() {
                    break;
                }
            }
        });
        Ok(Self {
            name,
            outgoing,
            heard,
            _reader: AbortOnDropHandle::new(reader),
        })
    }

    async fn say(&mut self, text: impl Into<Utf8Bytes>) -> Result<(), Failure> {
        Ok(self.outgoing.send(Message::Text(text.into())).await?)
    }

    async fn hear(&mut self) {
        let text = self.heard.recv().await.unwrap_or_default();
        match text.split_once(": ") {
            Some((who, said)) if said.len() > 20 => {
                println!("{} hears {who}: {} bytes", self.name, said.len());
            }
            _ => println!("{} hears {text}", self.name),
        }
    }
}

/// For what the system keeps of a connection; far less than the longest message.
const BUFFER: u32 = 16 * 1024;

fn listen() -> io::Result<TcpListener> {
    let socket = TcpSocket::new_v4()?;
    socket.set_send_buffer_size(BUFFER)?;
    socket.bind(SocketAddr::from(([127, 0, 0, 1], 0)))?;
    socket.listen(16)
}

pub async fn run() -> Result<(), Failure> {
    let limits = Limits {
        connections: 10,
        joining: Duration::from_millis(300),
        message: 256 * 1024,
        queue: 3,
        ping: Duration::from_millis(300),
        silence: Duration::from_millis(800),
        closing: Duration::from_millis(300),
    };
    let longest = "x".repeat(limits.message);
    let start = Instant::now();
    let at = |tenths: u32| sleep_until(start + tenths * Duration::from_millis(100));
    let listener = listen()?;
    let server = listener.local_addr()?;
    let stop = CancellationToken::new();
    let serving =
        AbortOnDropHandle::new(tokio::spawn(serve(listener, limits, stop.clone())));

    at(2).await;
    println!("Two join; a name that is taken is refused, and one that is none:");
    let mut ana = Client::join(server, "ana").await?;
    ana.hear().await;
    let mut ben = Client::join(server, "ben").await?;
    ana.hear().await;
    ben.hear().await;
    for name in ["ana", "ana: I"] {
        Client::join(server, name).await?.hear().await;
    }

    at(4).await;
    println!("All hear it; one leaves:");
    ben.say("hello").await?;
    ana.hear().await;
    ben.hear().await;
    ben.outgoing.close().await?;
    ana.hear().await;

    at(6).await;
    println!("The longest message, and one byte more:");
    let mut carl = Client::join(server, "carl").await?;
    ana.hear().await;
    carl.hear().await;
    carl.say(longest.as_str()).await?;
    ana.hear().await;
    carl.hear().await;
    carl.say(format!("{longest}x")).await?;
    carl.hear().await;
    ana.hear().await;

    at(8).await;
    println!("Dan does not read; one message is on its way, and three wait:");
    let dan = enter(server, "dan").await?;
    ana.hear().await;
    for message in 1..=5 {
        at(8 + message).await;
        ana.say(longest.as_str()).await?;
        ana.hear().await;
    }
    ana.hear().await;
    drop(dan);

    at(15).await;
    println!("Eve answers no ping, and the request of another never ends:");
    let eve = enter(server, "eve").await?;
    ana.hear().await;
    let mut endless = TcpStream::connect(server).await?;
    endless.write_all(b"GET / HTTP/1.1\r\n").await?;
    let _closed = endless.read(&mut [0]).await;
    println!("the other is cut off");
    ana.hear().await;
    drop(eve);

    at(25).await;
    println!("The server stops, and Fay does not answer:");
    let fay = enter(server, "fay").await?;
    ana.hear().await;
    stop.cancel();
    ana.hear().await;
    println!("cut off: {}", serving.await?);
    drop(fay);
    Ok(())
}

#[tokio::main]
pub async fn main() -> Result<(), Failure> {
    run().await
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::future::poll_fn;
    use std::net::SocketAddr;
    use std::pin::pin;
    use std::process::Command;
    use std::sync::{Arc, Mutex};
    use std::task::Poll;
    use std::time::Duration;
    use std::{env, fs, thread};

    use futures::{SinkExt, StreamExt};
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
    use tokio::net::{TcpListener, TcpStream};
    use tokio::runtime::Handle;
    use tokio::sync::Barrier;
    use tokio::task::{JoinHandle, JoinSet, yield_now};
    use tokio::time::{Instant, sleep, timeout};
    use tokio_tungstenite::tungstenite::Message;
    use tokio_tungstenite::{WebSocketStream, client_async};
    use tokio_util::sync::CancellationToken;

    use super::{Failure, Limits, Room, Socket, serve, serve_client, tell};

    const TICK: Duration = Duration::from_millis(1);
    const SECOND: Duration = Duration::from_secs(1);

    fn limits() -> Limits {
        Limits {
            connections: 2000,
            joining: 60 * SECOND,
            message: 1000,
            queue: 16,
            ping: 20 * SECOND,
            silence: 50 * SECOND,
            closing: 3 * SECOND,
        }
    }

    fn room(limits: Limits) -> Arc<Room> {
        let members = Mutex::new(Some(HashMap::new()));
        Arc::new(Room { limits, members })
    }

    fn names(room: &Room) -> Vec<String> {
        let members = room.members();
        members.iter().flat_map(HashMap::keys).cloned().collect()
    }

    /// A connection to the room without a network, and the task that serves it.
    fn connection(room: &Arc<Room>, buffer: usize) -> (DuplexStream, JoinHandle<()>) {
        let (near, far) = duplex(buffer);
        let task = tokio::spawn(serve_client(Arc::clone(room), far));
        (near, task)
    }

    async fn guest(
        room: &Arc<Room>,
        name: &str,
    ) -> Result<WebSocketStream<DuplexStream>, Failure> {
        let (stream, _) = connection(room, 4096);
        let (mut socket, _) = client_async("ws://chat/", stream).await?;
        socket.send(Message::text(name)).await?;
        assert_eq!(hear(&mut socket).await, format!("{name} joined"));
        Ok(socket)
    }

    /// The next text, or the code of the close frame, or nothing at the end.
    async fn hear<S>(socket: &mut S) -> String
    where
        S: StreamExt<Item = Result<Message, tokio_tungstenite::tungstenite::Error>>
            + Unpin,
    {
        loop {
            match socket.next().await {
                Some(Ok(Message::Text(text))) => return text.to_string(),
                Some(Ok(Message::Close(Some(frame)))) => return frame.code.to_string(),
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return String::new(),
            }
        }
    }

    struct Server {
        address: SocketAddr,
        stop: CancellationToken,
        serving: JoinHandle<usize>,
    }

    impl Server {
        async fn start(limits: Limits) -> Result<Self, Failure> {
            let listener = TcpListener::bind("127.0.0.1:0").await?;
            let address = listener.local_addr()?;
            let stop = CancellationToken::new();
            let serving = tokio::spawn(serve(listener, limits, stop.clone()));
            Ok(Self {
                address,
                stop,
                serving,
            })
        }

        async fn enter(&self, name: &str) -> Result<Socket, Failure> {
            let stream = TcpStream::connect(self.address).await?;
            let url = format!("ws://{}/", self.address);
            let (mut socket, _) = client_async(url, stream).await?;
            socket.send(Message::text(name)).await?;
            Ok(socket)
        }

        /// How many were cut off.
        async fn stop(self) -> Result<usize, Failure> {
            self.stop.cancel();
            Ok(self.serving.await?)
        }
    }

    /// Ends the connection as a crash would: what is on its way is lost.
    fn reset(stream: &TcpStream) -> Result<(), Failure> {
        Ok(stream.set_zero_linger()?)
    }

    #[tokio::test(start_paused = true)]
    async fn who_does_not_join_in_time_is_cut_off() -> Result<(), Failure> {
        let room = room(limits());
        let start = Instant::now();
        let (_nothing, silent) = connection(&room, 64);
        let (mut endless, drips) = connection(&room, 64);
        let (nameless, has_no_name) = connection(&room, 4096);
        let _nameless = client_async("ws://chat/", nameless).await?;
        let drip = async {
            endless.write_all(b"GET / HTTP/1.1\r\nx: ").await?;
            loop {
                sleep(10 * TICK).await;
                endless.write_all(b"x").await?;
            }
        };
        let dripped: Result<(), std::io::Error> = drip.await;
        assert!(dripped.is_err(), "nobody reads any more");
        for task in [silent, drips, has_no_name] {
            task.await?;
        }
        assert_eq!(start.elapsed().as_secs(), 60);
        Ok(())
    }

    #[tokio::test(start_paused = true)]
    async fn who_answers_pings_stays_and_who_does_not_is_cut_off() -> Result<(), Failure>
    {
        let room = room(limits());
        let mut ana = guest(&room, "ana").await?;
        let _eve = guest(&room, "eve").await?;
        assert_eq!(hear(&mut ana).await, "eve joined");
        let start = Instant::now();
        assert_eq!(hear(&mut ana).await, "eve gave no sign of life");
        assert_eq!(start.elapsed().as_secs(), 50);
        assert!(timeout(3600 * SECOND, hear(&mut ana)).await.is_err());
        assert_eq!(names(&room), ["ana"]);
        Ok(())
    }

    #[tokio::test(start_paused = true)]
    async fn the_answers_to_pings_that_nobody_reads_are_limited() -> Result<(), Failure> {
        let room = room(limits());
        let mut eve = guest(&room, "eve").await?;
        for _ in 0..10_000 {
            eve.get_mut().write_all(b"\x89\xfd").await?;
            eve.get_mut().write_all(&[0; 4 + 125]).await?;
        }
        let mut bytes = 0;
        while let Ok(read) = timeout(SECOND, eve.get_mut().read(&mut [0; 4096])).await {
            bytes += read?;
        }
        assert!(bytes < 300_000, "{bytes} bytes waited");
        Ok(())
    }

    #[test]
    fn who_comes_under_a_name_comes_after_who_had_it() {
        let room = room(Limits {
            queue: 100_000,
            ..limits()
        });
        let mut log = room.join("log").expect("it is free");
        thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    for _ in 0..10_000 {
                        drop(room.join("ana"));
                    }
                });
            }
        });
        assert_eq!(log.texts.try_recv().expect("the first"), "log joined");
        while let Ok(text) = log.texts.try_recv() {
            assert_eq!(text, "ana joined");
            assert_eq!(log.texts.try_recv().expect("in turn"), "ana was cut off");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn who_stops_reading_gets_no_more_than_fits() -> Result<(), Failure> {
        for queue in [2, 3, 16] {
            let room = room(Limits { queue, ..limits() });
            let mut ana = guest(&room, "ana").await?;
            let (stream, task) = connection(&room, 150);
            let (mut dan, _) = client_async("ws://chat/", stream).await?;
            dan.send(Message::text("dan")).await?;
            assert_eq!(hear(&mut dan).await, "dan joined");
            assert_eq!(hear(&mut ana).await, "dan joined");
            let start = Instant::now();
            let text = |number| format!("{number:0>200}");
            // One is on its way, so many wait, and one is too much.
            for number in 0..queue + 2 {
                tell(room.members().as_ref().expect("it is open"), text(number));
                assert_eq!(hear(&mut ana).await, text(number));
                assert_eq!(names(&room).len(), if number <= queue { 2 } else { 1 });
            }
            assert_eq!(hear(&mut ana).await, "dan was too slow");
            assert_eq!(start.elapsed(), Duration::ZERO, "ana waits for nobody");
            task.await?;
            // Of the first there is the beginning.
            assert_eq!(hear(&mut dan).await, "");
        }
        Ok(())
    }

    #[tokio::test]
    async fn a_burst_of_one_does_not_cut_off_the_others() -> Result<(), Failure> {
        let room = room(Limits {
            queue: 4,
            ..limits()
        });
        let mut guests = Vec::new();
        for number in 0..10 {
            let (stream, _) = connection(&room, 1 << 20);
            let (mut socket, _) = client_async("ws://chat/", stream).await?;
            socket.send(Message::text(format!("g{number}"))).await?;
            while !hear(&mut socket).await.ends_with("joined") {}
            guests.push(socket);
        }
        for number in 0..1000 {
            guests[0].feed(Message::text(number.to_string())).await?;
        }
        guests[0].flush().await?;
        for guest in &mut guests {
            let mut expected = 0;
            while expected < 1000 {
                let text = hear(guest).await;
                assert!(!text.is_empty(), "cut off at {expected}");
                if text.starts_with("g0: ") {
                    assert_eq!(text, format!("g0: {expected}"));
                    expected += 1;
                }
            }
        }
        Ok(())
    }

    #[tokio::test]
    async fn a_name_that_is_taken_stays_with_its_owner() -> Result<(), Failure> {
        let room = room(limits());
        let mut ana = guest(&room, "ana").await?;
        for name in ["ana", "", "a\nb", "ana: hello", "a23456789012345678901"] {
            let (stream, task) = connection(&room, 4096);
            let (mut other, _) = client_async("ws://chat/", stream).await?;
            other.send(Message::text(name)).await?;
            assert_eq!(hear(&mut other).await, "1008");
            assert_eq!(hear(&mut other).await, "");
            task.await?;
            assert_eq!(names(&room), ["ana"]);
        }
        ana.send(Message::text("still here")).await?;
        assert_eq!(hear(&mut ana).await, "ana: still here");
        Ok(())
    }

    #[tokio::test]
    async fn too_long_a_message_ends_with_a_close_frame() -> Result<(), Failure> {
        let server = Server::start(limits()).await?;
        let mut ana = server.enter("ana").await?;
        assert_eq!(hear(&mut ana).await, "ana joined");
        // The server does not read to the end of what is far too long.
        for length in [1001, 4_000_000] {
            let mut carl = server.enter("carl").await?;
            let text = Message::text("x".repeat(length));
            let (mut outgoing, mut incoming) = (&mut carl).split();
            assert_eq!(hear(&mut incoming).await, "carl joined");
            let (sent, heard) = tokio::join!(outgoing.send(text), hear(&mut incoming));
            assert!(sent.is_ok(), "the connection is not reset: {sent:?}");
            assert_eq!(heard, "1009");
            assert_eq!(hear(&mut ana).await, "carl joined");
            assert_eq!(hear(&mut ana).await, "carl sent too much at once");
        }
        Ok(())
    }

    #[tokio::test]
    async fn a_reset_is_noticed_at_any_moment() -> Result<(), Failure> {
        let server = Server::start(limits()).await?;
        let mut ana = server.enter("ana").await?;
        assert_eq!(hear(&mut ana).await, "ana joined");
        for beginning in [&b""[..], b"G", b"GET / HTTP/1.1\r\nhost: x\r\n"] {
            let mut stream = TcpStream::connect(server.address).await?;
            stream.write_all(beginning).await?;
            reset(&stream)?;
        }
        // Nothing, one byte of a header, a header and half a text.
        for half in [&b""[..], b"\x81", b"\x81\x85\x01\x02\x03\x04ab"] {
            let mut ben = server.enter("ben").await?;
            assert_eq!(hear(&mut ben).await, "ben joined");
            assert_eq!(hear(&mut ana).await, "ben joined");
            ben.get_mut().write_all(half).await?;
            reset(ben.get_ref())?;
            drop(ben);
            assert_eq!(hear(&mut ana).await, "ben was cut off");
        }
        ana.close(None).await?;
        assert_eq!(server.stop().await?, 0);
        Ok(())
    }

    #[tokio::test(start_paused = true)]
    async fn dropped_at_each_await_it_gives_the_name_back() -> Result<(), Failure> {
        let mut joined = 0;
        for polls in 0..40 {
            let room = room(limits());
            let (near, far) = duplex(64);
            let client = async {
                let (mut socket, _) = client_async("ws://chat/", near).await?;
                socket.send(Message::text("ana")).await?;
                socket.send(Message::text("x".repeat(300))).await?;
                while !hear(&mut socket).await.is_empty() {}
                Ok::<(), Failure>(())
            };
            let client = tokio::spawn(client);
            {
                let mut served = pin!(serve_client(Arc::clone(&room), far));
                for _ in 0..polls {
                    let poll =
                        poll_fn(|context| Poll::Ready(served.as_mut().poll(context)));
                    assert!(poll.await.is_pending());
                    yield_now().await;
                }
                joined += names(&room).len();
            }
            assert!(names(&room).is_empty());
            let _ = client.await?;
        }
        assert!(joined > 10);
        Ok(())
    }

    #[tokio::test(start_paused = true)]
    async fn after_a_panic_the_name_is_free() -> Result<(), Failure> {
        let room = room(limits());
        let mut ben = guest(&room, "ben").await?;
        let crash = {
            let room = Arc::clone(&room);
            async move {
                let _seat = room.join("ana");
                panic!("scheduled");
            }
        };
        assert!(tokio::spawn(crash).await.is_err());
        assert_eq!(hear(&mut ben).await, "ana joined");
        assert_eq!(hear(&mut ben).await, "ana was cut off");
        assert_eq!(names(&room), ["ben"]);
        Ok(())
    }

    #[tokio::test]
    async fn what_waits_is_sent_before_the_close_frame() -> Result<(), Failure> {
        let server = Server::start(limits()).await?;
        let mut ana = server.enter("ana").await?;
        assert_eq!(hear(&mut ana).await, "ana joined");
        for number in 0..10 {
            ana.send(Message::text(number.to_string())).await?;
            while hear(&mut ana).await != format!("ana: {number}") {}
        }
        let mut ben = server.enter("ben").await?;
        assert_eq!(hear(&mut ben).await, "ben joined");
        ben.send(Message::text("the last")).await?;
        assert_eq!(hear(&mut ben).await, "ben: the last");
        let stopped = tokio::spawn(server.stop());
        for text in ["ben joined", "ben: the last", "1001", ""] {
            assert_eq!(hear(&mut ana).await, text);
        }
        assert_eq!(hear(&mut ben).await, "1001");
        assert_eq!(hear(&mut ben).await, "");
        assert_eq!(stopped.await??, 0);
        Ok(())
    }

    #[tokio::test]
    async fn who_comes_when_all_places_are_taken_waits() -> Result<(), Failure> {
        let connections = 1;
        let server = Server::start(Limits {
            connections,
            ..limits()
        })
        .await?;
        let mut ana = server.enter("ana").await?;
        assert_eq!(hear(&mut ana).await, "ana joined");
        let waits = async {
            let mut ben = server.enter("ben").await?;
            Ok::<String, Failure>(hear(&mut ben).await)
        };
        let mut waits = pin!(waits);
        assert!(timeout(100 * TICK, waits.as_mut()).await.is_err());
        ana.close(None).await?;
        assert_eq!(waits.await?, "ben joined");
        Ok(())
    }

    /// The variable that makes `child` do something.
    const CHILD: &str = "WEBSOCKET_CHAT_CHILD";

    /// How many pages of memory the process has; nothing where Linux is not.
    fn memory() -> Option<usize> {
        let pages = fs::read_to_string("/proc/self/statm").ok()?;
        pages.split(' ').nth(1)?.parse().ok()
    }

    async fn no_more_tasks_than(tasks: usize) {
        while Handle::current().metrics().num_alive_tasks() > tasks {
            yield_now().await;
        }
    }

    /// Each of them says its name, and leaves or crashes.
    async fn one_after_the_other(clients: usize) -> Result<(), Failure> {
        let server = Server::start(limits()).await?;
        let mut log = server.enter("log").await?;
        assert_eq!(hear(&mut log).await, "log joined");
        let tasks = Handle::current().metrics().num_alive_tasks();
        let mut before = None;
        for number in 0..clients {
            let mut client = server.enter(&format!("c{number}")).await?;
            assert_eq!(hear(&mut log).await, format!("c{number} joined"));
            let end = if number % 10 == 0 {
                client.close(None).await?;
                while !hear(&mut client).await.is_empty() {}
                "left"
            } else {
                client.get_ref().set_zero_linger()?;
                "was cut off"
            };
            drop(client);
            assert_eq!(hear(&mut log).await, format!("c{number} {end}"));
            if number == clients / 10 {
                before = memory();
            }
        }
        // A kilobyte of each that was left behind would be more than twice of this.
        let more = memory()
            .zip(before)
            .map(|(after, before)| after.abs_diff(before));
        assert!(more.is_none_or(|pages| pages < 1000), "{more:?} pages more");
        no_more_tasks_than(tasks).await;
        log.close(None).await?;
        assert_eq!(server.stop().await?, 0);
        Ok(())
    }

    /// Not a test by itself, but a process without other tests that take memory.
    #[tokio::test]
    async fn child() -> Result<(), Failure> {
        if env::var_os(CHILD).is_some() {
            one_after_the_other(10_000).await?;
            println!("the child is done");
        }
        Ok(())
    }

    #[test]
    fn ten_thousand_one_after_the_other_leave_nothing_behind() {
        let (_crate, module) = module_path!().split_once("::").expect("a module");
        let output = Command::new(env::current_exe().expect("itself"))
            .args(["--exact", "--nocapture", &format!("{module}::child")])
            .env(CHILD, "1")
            .output()
            .expect("it starts");
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(said.contains("the child is done"), "{output:?}");
    }

    /// All are there before the first speaks; some speak at once, and all hear it.
    async fn at_once(clients: usize, texts: usize) -> Result<(), Failure> {
        let queue = 4 * clients;
        let server = Arc::new(Server::start(Limits { queue, ..limits() }).await?);
        let tasks = Handle::current().metrics().num_alive_tasks();
        let everybody = Arc::new(Barrier::new(clients));
        let mut set = JoinSet::new();
        for number in 0..clients {
            let (server, everybody) = (Arc::clone(&server), Arc::clone(&everybody));
            set.spawn(async move {
                let mut client = server.enter(&format!("c{number}")).await?;
                while hear(&mut client).await != format!("c{number} joined") {}
                let (mut outgoing, mut incoming) = client.split();
                let say = async {
                    everybody.wait().await;
                    if number < texts {
                        outgoing.send(Message::text(number.to_string())).await?;
                    }
                    Ok::<_, Failure>(())
                };
                let listen = async {
                    let mut heard = Vec::new();
                    while heard.len() < texts {
                        let text = hear(&mut incoming).await;
                        assert!(!text.is_empty());
                        if let Some((_, text)) = text.split_once(": ") {
                            heard.push(text.to_owned());
                        }
                    }
                    heard
                };
                let (said, heard) = tokio::join!(say, listen);
                said?;
                let all = everybody.wait().await;
                if all.is_leader() {
                    server.stop.cancel();
                }
                assert_eq!(hear(&mut incoming).await, "1001");
                assert_eq!(hear(&mut incoming).await, "");
                Ok::<_, Failure>(heard)
            });
        }
        let mut orders = Vec::new();
        while let Some(heard) = set.join_next().await {
            orders.push(heard??);
        }
        assert!(orders.iter().all(|order| *order == orders[0]));
        assert_eq!(orders[0].len(), texts);
        let server = Arc::into_inner(server).expect("all have ended");
        assert_eq!(server.stop().await?, 0);
        no_more_tasks_than(tasks - 1).await;
        Ok(())
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_thousand_at_once_hear_the_same() -> Result<(), Failure> {
        at_once(1000, 10).await
    }
}
