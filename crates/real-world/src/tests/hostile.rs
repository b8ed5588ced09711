//! One set of hostile peers for every server: those of this section, and of its twins.
//!
//! After each kind of peer the server must still serve an honest client. What it keeps of
//! a peer is counted as the bytes that the peer could push and has not got back, and what
//! it serves at the same time as the peers that have an answer and no end.
#![allow(dead_code, reason = "the twins need less of it")]

use std::fmt::{self, Display};
use std::fs::File;
use std::io;
use std::iter;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use futures::FutureExt;
use futures::future::{BoxFuture, join_all};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, UnixStream};
use tokio::time::{sleep, timeout};

pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

pub type BoxStream = Box<dyn Stream>;
pub type Opened = BoxFuture<'static, io::Result<BoxStream>>;
pub type Honest = BoxFuture<'static, io::Result<()>>;

/// No server needs as long to serve or to cut off, unless it never does.
const RECOVERY: Duration = Duration::from_secs(20);
/// What the system may hold of a connection, in both directions.
const SYSTEM: usize = 200_000;
/// What a peer pushes if nobody stops it.
const MUCH: usize = 4 << 20;
/// How many connections each server serves at the same time.
pub const CONNECTIONS: usize = 8;
/// The buffers of sockets, so that the system holds little.
const BUFFER: u32 = 16 * 1024;

/// A server that is attacked, and the bounds that its header states.
#[derive(Clone)]
pub struct Target {
    /// Opens a connection. With `true` it is reset when it is dropped.
    pub connect: Arc<dyn Fn(bool) -> Opened + Send + Sync>,
    /// Goes on to where requests begin: a handshake, a name.
    pub open: Arc<dyn Fn(BoxStream) -> Opened + Send + Sync>,
    /// Succeeds if a connection that is open is served in full.
    pub honest: Arc<dyn Fn(BoxStream) -> Honest + Send + Sync>,
    /// A whole request.
    pub request: Vec<u8>,
    /// A line, a head, a body without an end: how it begins, and what is repeated.
    pub endless: Vec<(Vec<u8>, Vec<u8>)>,
    /// A request whose handler panics.
    pub panics: Option<Vec<u8>>,
    /// How many connections are served at once.
    pub connections: usize,
    /// How many bytes the server keeps of a peer.
    pub held: usize,
    /// Whether a peer is cut off that sends a byte now and then.
    pub ends_drips: bool,
    /// Whether a peer is cut off that is silent or does not read.
    pub ends_silence: bool,
    /// Whether `open` succeeds only for a peer that is served.
    pub opens_when_served: bool,
}

/// What an attack has found.
#[derive(Debug, PartialEq, Eq)]
pub enum Fault {
    /// An honest client is not served after this kind of peer.
    NotServed(&'static str),
    /// A peer of this kind was not cut off.
    NotCutOff(&'static str),
    /// A peer of this kind could push so many bytes.
    Held(&'static str, usize),
    /// So many peers were served at once.
    Connections(usize),
}

impl std::error::Error for Fault {}

impl Display for Fault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotServed(kind) => write!(formatter, "after {kind}: not served"),
            Self::NotCutOff(kind) => write!(formatter, "{kind}: not cut off"),
            Self::Held(kind, bytes) => write!(formatter, "{kind}: {bytes} bytes held"),
            Self::Connections(number) => write!(formatter, "{number} served at once"),
        }
    }
}

/// A listener whose connections have small buffers in the system.
pub fn listen() -> io::Result<TcpListener> {
    let socket = TcpSocket::new_v4()?;
    small_buffers(&socket)?;
    socket.bind(SocketAddr::from(([127, 0, 0, 1], 0)))?;
    socket.listen(1024)
}

pub fn small_buffers(socket: &TcpSocket) -> io::Result<()> {
    socket.set_send_buffer_size(BUFFER)?;
    socket.set_recv_buffer_size(BUFFER)
}

/// Opens TCP connections to this address.
pub fn tcp(address: SocketAddr) -> Arc<dyn Fn(bool) -> Opened + Send + Sync> {
    Arc::new(move |resets| {
        let connecting = async move {
            let socket = TcpSocket::new_v4()?;
            small_buffers(&socket)?;
            if resets {
                socket.set_zero_linger()?;
            }
            let stream = socket.connect(address).await?;
            Ok(Box::new(stream) as BoxStream)
        };
        connecting.boxed()
    })
}

/// Requests begin immediately.
pub fn at_once() -> Arc<dyn Fn(BoxStream) -> Opened + Send + Sync> {
    Arc::new(|stream| async { Ok(stream) }.boxed())
}

/// Asks, and expects this answer.
pub fn ask(
    request: &'static [u8],
    answer: &'static [u8],
) -> Arc<dyn Fn(BoxStream) -> Honest + Send + Sync> {
    Arc::new(move |mut stream| {
        let asking = async move {
            stream.write_all(request).await?;
            let mut got = vec![0; answer.len()];
            stream.read_exact(&mut got).await?;
            match got == answer {
                true => Ok(()),
                false => Err(io::ErrorKind::InvalidData.into()),
            }
        };
        asking.boxed()
    })
}

fn bytes(beginning: &str, rest: &str) -> (Vec<u8>, Vec<u8>) {
    (beginning.into(), rest.into())
}

/// A server at this address, of which nothing is known yet.
pub fn target(address: SocketAddr) -> Target {
    Target {
        connect: tcp(address),
        open: at_once(),
        honest: ask(b"", b""),
        request: Vec::new(),
        endless: Vec::new(),
        panics: None,
        connections: CONNECTIONS,
        held: 0,
        ends_drips: true,
        ends_silence: true,
        opens_when_served: false,
    }
}

/// A server that sends back what comes.
pub fn echo(target: Target) -> Target {
    Target {
        open: at_once(),
        honest: ask(b"hello", b"hello"),
        request: b"hello".to_vec(),
        endless: vec![bytes("", "x")],
        held: 65_536 * 4,
        ends_drips: false,
        ..target
    }
}

/// What is known of the line protocol, in either language.
pub fn lines(target: Target) -> Target {
    Target {
        honest: ask(b"SET honest 1\n", b"OK\n"),
        request: b"SET a 1\n".to_vec(),
        endless: vec![bytes("SET a ", "x")],
        held: 20_000,
        ..target
    }
}

/// What is known of the server of one text of a megabyte, in either language.
pub fn one_text(target: Target) -> Target {
    Target {
        honest: Arc::new(|mut stream| {
            let reading = async move {
                match stream.read_to_end(&mut Vec::new()).await? {
                    0x10_0000 => Ok(()),
                    _ => Err(io::ErrorKind::UnexpectedEof.into()),
                }
            };
            reading.boxed()
        }),
        request: b"x".to_vec(),
        endless: vec![bytes("", "x")],
        ..target
    }
}

/// What is known of the server over TLS, in either language.
pub fn whole(target: Target) -> Target {
    Target {
        honest: ask(b"whole\n", b"1234"),
        request: b"whole\n".to_vec(),
        opens_when_served: true,
        endless: vec![bytes("", "x")],
        held: 100_000,
        ..target
    }
}

/// Opens connections to a Unix socket; these cannot be reset.
pub fn unix(path: PathBuf) -> Arc<dyn Fn(bool) -> Opened + Send + Sync> {
    Arc::new(move |_| {
        let connecting = UnixStream::connect(path.clone());
        async { Ok(Box::new(connecting.await?) as BoxStream) }.boxed()
    })
}

/// A frame of a client, masked with nothing.
fn frame(first: u8, text: &str) -> Vec<u8> {
    let length = u8::try_from(text.len()).expect("short");
    let mut frame = vec![first];
    match length {
        126.. => frame.extend([0xFE, 0, length]),
        _ => frame.push(0x80 | length),
    }
    frame.extend([0; 4]);
    frame.extend(text.as_bytes());
    frame
}

/// Upgrades to a WebSocket by hand, and says a name that nobody has.
async fn enter(mut stream: BoxStream) -> io::Result<BoxStream> {
    static NUMBER: AtomicUsize = AtomicUsize::new(0);
    stream
        .write_all(
            b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n\
              Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
              Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
        )
        .await?;
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await?);
    }
    if !head.starts_with(b"HTTP/1.1 101") {
        return Err(io::ErrorKind::ConnectionRefused.into());
    }
    let name = format!("n{}", NUMBER.fetch_add(1, SeqCst));
    stream.write_all(&frame(0x81, &name)).await?;
    Ok(stream)
}

/// What is known of a chat, in either language.
pub fn chat(target: Target) -> Target {
    let mut too_long = vec![0x81, 0xFF];
    too_long.extend((1_u64 << 40).to_be_bytes());
    too_long.extend([0; 4]);
    Target {
        open: Arc::new(|stream| enter(stream).boxed()),
        honest: Arc::new(|mut stream| {
            let talking = async move {
                stream.write_all(&frame(0x81, "hello")).await?;
                let mut heard = Vec::new();
                while !heard.ends_with(b": hello") {
                    heard.push(stream.read_u8().await?);
                }
                Ok(())
            };
            talking.boxed()
        }),
        request: frame(0x81, &"hi".repeat(100)),
        opens_when_served: true,
        endless: vec![
            (too_long, b"x".to_vec()),
            // A message of fragments, the last of which never comes.
            (frame(0x01, "hi"), frame(0x00, "hi")),
        ],
        held: 500_000,
        ..target
    }
}

/// What is known of the API server, in either language.
pub fn api(target: Target) -> Target {
    let post = "POST /jobs HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n";
    let job = "{\"text\":\"panic\"}";
    let length = job.len();
    Target {
        honest: ask(b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n", b"HTTP/1.1 200"),
        request: b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n".to_vec(),
        endless: vec![
            bytes("GET / HTTP/1.1\r\nx: ", "x"),
            bytes("GET / HTTP/1.1\r\n", "x: y\r\n"),
            bytes("", "x"),
            bytes(
                &format!("{post}transfer-encoding: chunked\r\n\r\n"),
                "8\r\nxxxxxxxx\r\n",
            ),
        ],
        panics: Some(format!("{post}content-length: {length}\r\n\r\n{job}").into()),
        held: 40_000,
        ..target
    }
}

/// What is known of the server of calls, in either language.
pub fn rpc(target: Target) -> Target {
    let call = |payload: &[u8]| {
        let length = u32::try_from(payload.len() + 8).expect("short");
        [&length.to_be_bytes(), &1_u64.to_be_bytes()[..], payload].concat()
    };
    Target {
        honest: ask(
            b"\0\0\0\x0A\0\0\0\0\0\0\0\x07hi",
            b"\0\0\0\x0A\0\0\0\0\0\0\0\x07hi",
        ),
        request: call(b"hello"),
        endless: vec![
            // A frame, then one of two gigabytes. Calls without an end.
            (1000_u32.to_be_bytes().into(), b"x".to_vec()),
            (Vec::new(), call(&[b'x'; 900])),
        ],
        panics: Some(call(b"panic")),
        held: 65_536,
        ..target
    }
}

/// Reads until the end of a connection, or an error.
async fn drain(stream: &mut (impl AsyncRead + Unpin)) -> usize {
    let (mut buffer, mut got) = (vec![0; 65_536], 0);
    while let Ok(size @ 1..) = stream.read(&mut buffer).await {
        got += size;
    }
    got
}

impl Target {
    async fn opened(&self, resets: bool) -> io::Result<BoxStream> {
        (self.open)((self.connect)(resets).await?).await
    }

    /// Whether an honest client is served.
    pub async fn serves(&self, after: &'static str) -> Result<(), Fault> {
        let honest = async {
            // A permit or a descriptor may still be on its way back.
            loop {
                let served = async { (self.honest)(self.opened(false).await?).await };
                if served.await.is_ok() {
                    return;
                }
                sleep(Duration::from_millis(10)).await;
            }
        };
        let served = timeout(RECOVERY, honest).await;
        served.map_err(|_| Fault::NotServed(after))
    }

    /// Waits until a peer is cut off, if the server does that.
    async fn cut_off<T>(
        &self,
        kind: &'static str,
        ended: impl Future<Output = T>,
    ) -> Result<(), Fault> {
        let limit = match self.ends_silence {
            true => RECOVERY,
            false => Duration::from_secs(1),
        };
        match timeout(limit, ended).await {
            Err(_) if self.ends_silence => Err(Fault::NotCutOff(kind)),
            _ => Ok(()),
        }
    }

    /// Runs all kinds of peers, one after the other.
    pub async fn attack(&self) -> Result<(), Fault> {
        self.serves("nothing").await?;
        self.reset().await?;
        self.serves("reset").await?;
        self.half_open().await?;
        self.serves("half-open").await?;
        self.drip().await?;
        self.serves("drip").await?;
        self.endless().await?;
        self.serves("endless").await?;
        self.garbage().await;
        self.serves("garbage").await?;
        self.never_reads().await?;
        self.serves("never reads").await?;
        self.crowd().await?;
        self.serves("crowd").await?;
        self.panic().await;
        self.serves("panic").await
    }

    /// Connects and resets: at once, in the midst of a request, and after it.
    async fn reset(&self) -> Result<(), Fault> {
        for _ in 0..40 {
            drop((self.connect)(true).await);
        }
        for sent in [0, self.request.len() / 2, self.request.len()] {
            for _ in 0..10 {
                if let Ok(mut stream) = self.opened(true).await {
                    let _ = stream.write_all(&self.request[..sent]).await;
                }
            }
            // The server may still have to accept the first of them.
            self.serves("reset").await?;
        }
        Ok(())
    }

    /// Sends nothing, or half a request and then nothing; some end their side.
    async fn half_open(&self) -> Result<(), Fault> {
        const KIND: &str = "half-open";
        let peers = (0..6).map(async |number| {
            let stream = match number % 2 {
                0 => (self.connect)(false).await,
                _ => self.opened(false).await,
            };
            let Ok(mut stream) = stream else {
                return Ok(());
            };
            if number > 1 {
                let half = &self.request[..self.request.len() / 2];
                let _ = stream.write_all(half).await;
            }
            if number > 3 {
                let _ = stream.shutdown().await;
            }
            self.cut_off(KIND, drain(&mut stream)).await
        });
        join_all(peers).await.into_iter().collect()
    }

    /// Sends a byte each 50 ms of something that is never complete.
    async fn drip(&self) -> Result<(), Fault> {
        let peers = (0..3).map(async |_| {
            let Ok(stream) = self.opened(false).await else {
                return Ok(());
            };
            let (mut reader, mut writer) = tokio::io::split(stream);
            let (beginning, rest) = &self.endless[0];
            let mut bytes = beginning.iter().chain(rest.iter().cycle());
            let dripping = async {
                while let Some(&byte) = bytes.next()
                    && writer.write_all(&[byte]).await.is_ok()
                {
                    let _ = writer.flush().await;
                    sleep(Duration::from_millis(50)).await;
                }
            };
            let both = async {
                tokio::select! {
                    () = dripping => {}
                    _ = drain(&mut reader) => {}
                }
            };
            match self.ends_drips {
                true => self.cut_off("drip", both).await,
                false => {
                    let _ = timeout(Duration::from_secs(1), both).await;
                    Ok(())
                }
            }
        });
        join_all(peers).await.into_iter().collect()
    }

    /// Sends a line, a head, a body without an end, and reads what comes.
    async fn endless(&self) -> Result<(), Fault> {
        const KIND: &str = "endless";
        for (beginning, rest) in &self.endless {
            let piece = rest.repeat(8192 / rest.len() + 1);
            let Ok(stream) = self.opened(false).await else {
                continue;
            };
            let (mut reader, mut writer) = tokio::io::split(stream);
            let (pushed, got) = (AtomicUsize::new(0), AtomicUsize::new(0));
            let pushing = async {
                let _ = writer.write_all(beginning).await;
                push(&mut writer, &piece, &pushed).await;
            };
            let reading = async {
                let mut buffer = vec![0; 65_536];
                while let Ok(size @ 1..) = reader.read(&mut buffer).await {
                    got.fetch_add(size, SeqCst);
                }
            };
            let mut reading = pin!(reading.fuse());
            let both = async {
                tokio::select! {
                    () = pushing => {}
                    () = &mut reading => {}
                }
            };
            both.await;
            // What is on its way back counts as got.
            let _ = timeout(Duration::from_millis(500), reading).await;
            let held = pushed.load(SeqCst).saturating_sub(got.load(SeqCst));
            self.may_hold(KIND, held)?;
        }
        Ok(())
    }

    fn may_hold(&self, kind: &'static str, held: usize) -> Result<(), Fault> {
        match held > self.held + SYSTEM {
            true => Err(Fault::Held(kind, held)),
            false => Ok(()),
        }
    }

    /// Sends what is nothing in any protocol; every second one resets the connection.
    async fn garbage(&self) {
        let mut state = 0x9E37_79B9_7F4A_7C15_u64;
        for number in 0..20 {
            let bytes: Vec<u8> = (0..65_536)
                .map(|_| {
                    state ^= state << 13;
                    state ^= state >> 7;
                    state ^= state << 17;
                    state.to_le_bytes()[3]
                })
                .collect();
            let resets = number % 2 == 0;
            let stream = match number % 4 {
                0 | 1 => (self.connect)(resets).await,
                _ => self.opened(resets).await,
            };
            let Ok(stream) = stream else { continue };
            let (mut reader, mut writer) = tokio::io::split(stream);
            let talking =
                async { tokio::join!(writer.write_all(&bytes), drain(&mut reader)) };
            let _ = timeout(Duration::from_millis(100), talking).await;
        }
    }

    /// Sends requests and reads none of the answers, until it is cut off.
    async fn never_reads(&self) -> Result<(), Fault> {
        const KIND: &str = "never reads";
        let Ok(mut stream) = self.opened(true).await else {
            return Ok(());
        };
        let pushed = AtomicUsize::new(0);
        let requests = self.request.repeat(8192 / self.request.len().max(1) + 1);
        push(&mut stream, &requests, &pushed).await;
        self.may_hold(KIND, pushed.load(SeqCst))?;
        let refused = async {
            while stream.write_all(&self.request).await.is_ok() {
                sleep(Duration::from_millis(10)).await;
            }
        };
        self.cut_off(KIND, refused).await
    }

    /// More peers than the server serves at once. A peer learns of its end later than
    /// the server knows it, on a busy machine much later: so twice as many may seem
    /// served, and of three crowds one has to be right.
    async fn crowd(&self) -> Result<(), Fault> {
        let mut most = usize::MAX;
        for _ in 0..3 {
            most = most.min(self.most_served().await);
            if most <= self.connections * 2 {
                return Ok(());
            }
        }
        Err(Fault::Connections(most))
    }

    async fn most_served(&self) -> usize {
        let (served, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let peers = (0..CONNECTIONS * 4 + 20).map(async |_| {
            let Ok(mut stream) = self.opened(true).await else {
                return;
            };
            let mut is_served = self.opens_when_served;
            if !is_served {
                let _ = stream.write_all(&self.request).await;
                is_served = stream.read(&mut [0]).await.is_ok_and(|size| size > 0);
            }
            if is_served {
                most.fetch_max(served.fetch_add(1, SeqCst) + 1, SeqCst);
                drain(&mut stream).await;
                served.fetch_sub(1, SeqCst);
            }
        });
        let _ = timeout(Duration::from_secs(2), join_all(peers)).await;
        most.into_inner()
    }

    async fn panic(&self) {
        let Some(request) = &self.panics else {
            return;
        };
        for _ in 0..CONNECTIONS + 1 {
            if let Ok(mut stream) = self.opened(false).await {
                let _ = stream.write_all(request).await;
                let _ = timeout(Duration::from_secs(1), drain(&mut stream)).await;
            }
        }
    }

    /// A peer comes when this process has no file descriptor left for it.
    pub async fn out_of_descriptors(&self) -> Result<(), Fault> {
        let open = || File::open("/dev/null").ok();
        let mut files: Vec<File> = iter::from_fn(open).collect();
        // The peer takes this one, and the server has none for its end.
        files.pop();
        let peer = (self.connect)(false).await;
        sleep(Duration::from_millis(200)).await;
        drop((files, peer));
        self.serves("out of descriptors").await
    }

    /// Peers that stay: some silent, some that never read.
    pub async fn linger(&self) -> Vec<BoxStream> {
        let mut peers = Vec::new();
        for number in 0..CONNECTIONS {
            if let Ok(Ok(mut stream)) = timeout(RECOVERY, self.opened(false)).await {
                if number % 2 == 0 {
                    let _ = stream.write_all(&self.request).await;
                }
                peers.push(stream);
            }
        }
        peers
    }
}

/// Pushes pieces until it fails, stands still for a second, or was much. Not as fast as
/// it can: what a server throws away while it says good-bye is not held.
async fn push(
    stream: &mut (impl AsyncWrite + Unpin),
    piece: &[u8],
    pushed: &AtomicUsize,
) {
    let (second, mut at) = (Duration::from_secs(1), 0);
    while pushed.load(SeqCst) < MUCH {
        match timeout(second, stream.write(&piece[at..])).await {
            Ok(Ok(size)) => {
                pushed.fetch_add(size, SeqCst);
                at = (at + size) % piece.len();
                sleep(Duration::from_millis(5)).await;
            }
            _ => return,
        }
    }
}
