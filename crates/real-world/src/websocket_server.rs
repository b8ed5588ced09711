//! WebSocket server with tokio-tungstenite: limits, `Origin`, pings, close frames.
//!
//! Python's library `websockets` does most of this by itself. With the crate
//! tokio-tungstenite you have to limit the handshake, send pings, end silent clients,
//! and do the close handshake yourself. Reading and writing run concurrently, so the
//! server still hears a client that does not read.
//!
//! Bounds: `Limits` sets the greatest number of connections (further clients wait), the
//! longest message (the crate's default is 64 MiB), and the times for the handshake, for
//! pings, for a silent client and for the close. Outgoing messages wait in a queue that
//! you create, so you choose its size.
//!
//! Trap: If you accept every handshake, any web page that your user visits can open a
//! WebSocket to your server with this user's cookies, and act in his name. The browser
//! sends the page's site in the header `Origin`: refuse all sites but yours.
//!
//! In production: `axum` with its feature `ws` serves WebSockets next to other routes.
//! But the limits and the shutdown of `axum::serve` do not include WebSockets: see
//! `http_server`.
//!
//! See also: `chat_room` (the demonstration), `https_server`, `streaming_responses`.
//!
//! asyncio: asyncio.Queue, asyncio.timeout

use std::future::Future;
use std::io::{self, ErrorKind};
use std::sync::Arc;
use std::time::Duration;

use futures::{SinkExt, StreamExt, TryStreamExt};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::select;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio::time::{interval, sleep, timeout};
use tokio_tungstenite::tungstenite::Error::{Capacity, Protocol, Utf8};
use tokio_tungstenite::tungstenite::error::ProtocolError::ResetWithoutClosingHandshake;
use tokio_tungstenite::tungstenite::handshake::server::{
    ErrorResponse, Request, Response,
};
use tokio_tungstenite::tungstenite::http::{StatusCode, header};
use tokio_tungstenite::tungstenite::protocol::frame::{CloseFrame, coding::CloseCode};
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{self, Bytes, Message, Utf8Bytes};
use tokio_tungstenite::{WebSocketStream, accept_hdr_async_with_config};
use tokio_util::sync::CancellationToken;

/// What the server allows. No number may be zero.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// The most open connections. Further clients wait in the system's backlog, which
    /// holds 128 with `TcpListener::bind`.
    pub connections: usize,
    /// The sites whose pages may connect. So may a client that sends no `Origin`.
    pub origins: &'static [&'static str],
    /// The time for the handshake.
    pub handshake: Duration,
    /// The length of one message in bytes.
    pub message: usize,
    /// The time from one ping to the next.
    pub ping: Duration,
    /// The longest wait for a message or the answer to a ping, and the longest send.
    pub silence: Duration,
    /// The time for a client to answer a close frame.
    pub closing: Duration,
}

/// Calls the handler with each connection, in its own task, until the token is
/// cancelled. Then the connections have twice `Limits::closing` to end. Dropping the
/// future cuts off all clients.
pub async fn serve<F: Future<Output = ()> + Send>(
    listener: TcpListener,
    limits: Limits,
    stop: CancellationToken,
    handle: impl Fn(Connection<TcpStream>) -> F + Clone + Send + 'static,
) {
    let permits = Arc::new(Semaphore::new(
        limits.connections.min(Semaphore::MAX_PERMITS),
    ));
    let mut clients = JoinSet::new();
    let accepting = async {
        loop {
            let permit = Arc::clone(&permits).acquire_owned().await;
            let permit = permit.expect("nobody closes the semaphore");
            let stream = accept(&listener).await;
            // Finished connections must not pile up, nor small messages wait.
            while clients.try_join_next().is_some() {}
            let _ = stream.set_nodelay(true);
            let handle = handle.clone();
            clients.spawn(async move {
                let _permit = permit;
                if let Some(connection) = Connection::accept(stream, limits).await {
                    handle(connection).await;
                }
            });
        }
    };
    stop.run_until_cancelled(accepting).await;
    drop(listener);
    let all = async { while clients.join_next().await.is_some() {} };
    let _ = timeout(limits.closing.saturating_mul(2), all).await;
    clients.shutdown().await;
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

/// A connection after its handshake. Dropping it sends no close frame.
#[derive(Debug)]
pub struct Connection<S> {
    socket: WebSocketStream<S>,
    limits: Limits,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    /// Makes the handshake over TCP, TLS or any other stream. Returns `None` if the
    /// client is too slow, speaks another protocol, or belongs to another site's page.
    /// A request of HTTP that is no handshake is answered with the status 426.
    pub async fn accept(mut stream: S, limits: Limits) -> Option<Self> {
        let config = WebSocketConfig::default()
            .read_buffer_size(4096)
            // Else the answers to pings would pile up when the client reads none of them.
            .max_write_buffer_size(limits.message.saturating_add(256 * 1024))
            .max_frame_size(Some(limits.message))
            .max_message_size(Some(limits.message));
        #[expect(clippy::result_large_err, reason = "the library asks for it")]
        let check = |request: &Request, response: Response| {
            let mut origins = request.headers().get_all(header::ORIGIN).iter();
            if origins.all(|origin| limits.origins.iter().any(|it| origin == *it)) {
                return Ok(response);
            }
            let mut refused = ErrorResponse::new(None);
            *refused.status_mut() = StatusCode::FORBIDDEN;
            Err(refused)
        };
        let handshake = async {
            let shaken =
                accept_hdr_async_with_config(&mut stream, check, Some(config)).await;
            let Err(error) = shaken else { return Some(()) };
            // Most of these clients are scanners: they shall not fill the log.
            tracing::debug!("no handshake: {error}");
            // After a refusal by `check` the library has answered.
            if matches!(error, Protocol(_)) {
                stream.write_all(UPGRADE_REQUIRED).await.ok()?;
            }
            end(&mut stream).await.ok()?;
            None
        };
        timeout(limits.handshake, handshake).await.ok()??;
        // A client sends nothing before it has the answer: no bytes have been read ahead.
        let role = Role::Server;
        let socket = WebSocketStream::from_raw_socket(stream, role, Some(config)).await;
        Some(Self { socket, limits })
    }

    /// Returns the next text, or the code that [`converse`](Self::converse) would return.
    pub async fn next(&mut self) -> Result<Utf8Bytes, CloseCode> {
        read(&mut self.socket, self.limits.silence).await
    }

    /// Sends the outgoing texts and calls `on_text` with each text that comes,
    /// concurrently. Awaits the future of `on_text` before it reads on. Ignores binary
    /// messages. Writing ends with reading: a text that waits in `outgoing` when the
    /// client closes is not sent.
    ///
    /// Returns `Away` if the sender of the outgoing texts was dropped, `Normal` if the
    /// client has left, `Abnormal` if the connection broke. Returns `Error` if the client
    /// is silent or does not read, otherwise the rule that it has broken.
    pub async fn converse<F: Future>(
        &mut self,
        outgoing: &mut mpsc::Receiver<Utf8Bytes>,
        mut on_text: impl FnMut(Utf8Bytes) -> F,
    ) -> CloseCode {
        let (mut writer, mut reader) = (&mut self.socket).split();
        let reading = async {
            loop {
                match read(&mut reader, self.limits.silence).await {
                    Ok(text) => on_text(text).await,
                    Err(end) => return end,
                };
            }
        };
        let writing = async {
            let mut pings = interval(self.limits.ping);
            loop {
                let message = select! {
                    _ = pings.tick() => Message::Ping(Bytes::new()),
                    text = outgoing.recv() => match text {
                        Some(text) => Message::Text(text),
                        None => return CloseCode::Away,
                    },
                };
                match timeout(self.limits.silence, writer.send(message)).await {
                    Ok(Ok(())) => {}
                    Ok(Err(_)) => return CloseCode::Abnormal,
                    Err(_) => return CloseCode::Error,
                }
            }
        };
        select! { end = reading => end, end = writing => end }
    }

    /// Sends a close frame and waits for the answer. Returns if the client has left.
    pub async fn close(mut self, code: CloseCode, reason: &'static str) {
        let reason = Utf8Bytes::from_static(reason);
        let closing = async {
            // Fails if the client has closed first.
            let _ = self.socket.close(Some(CloseFrame { code, reason })).await;
            while let Ok(Some(_)) = self.socket.try_next().await {}
            end(self.socket.get_mut()).await
        };
        let _ = timeout(self.limits.closing, closing).await;
    }
}

/// The answer to a request that is no handshake, such as that of a health check.
const UPGRADE_REQUIRED: &[u8] = b"HTTP/1.1 426 Upgrade Required\r\n\
    Connection: close, upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
    Content-Length: 0\r\n\r\n";

/// Ends this direction, and reads to the end of the other one: with bytes unread the
/// system would reset the connection.
async fn end(stream: &mut (impl AsyncRead + AsyncWrite + Unpin)) -> io::Result<()> {
    stream.shutdown().await?;
    tokio::io::copy(stream, &mut tokio::io::sink()).await?;
    Ok(())
}

/// Returns the next text, within the time for a message or an answer to a ping.
async fn read(
    reader: &mut (impl TryStreamExt<Ok = Message, Error = tungstenite::Error> + Unpin),
    silence: Duration,
) -> Result<Utf8Bytes, CloseCode> {
    loop {
        let message = timeout(silence, reader.try_next()).await;
        return Err(match message.map_err(|_| CloseCode::Error)? {
            Ok(Some(Message::Text(text))) => return Ok(text),
            // Reading answers a ping, and a close frame too, after which nothing comes.
            Ok(Some(_)) => continue,
            Ok(None) => CloseCode::Normal,
            Err(Capacity(_)) => CloseCode::Size,
            Err(Utf8(_)) => CloseCode::Invalid,
            Err(Protocol(ResetWithoutClosingHandshake)) => CloseCode::Abnormal,
            Err(Protocol(_)) => CloseCode::Protocol,
            Err(_) => CloseCode::Abnormal,
        });
    }
}

/// Sends back all texts, until it is killed: `cargo run -- 127.0.0.1:8080`.
#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let address = std::env::args().nth(1).ok_or("usage: ADDRESS:PORT")?;
    let listener = TcpListener::bind(address).await?;
    let limits = Limits {
        connections: 200,
        origins: &["https://example.com"],
        handshake: Duration::from_secs(10),
        message: 4_096,
        ping: Duration::from_secs(20),
        silence: Duration::from_secs(50),
        closing: Duration::from_secs(5),
    };
    let echo = |mut connection: Connection<TcpStream>| async move {
        let (sender, mut replies) = mpsc::channel(16);
        let reply = |text| sender.send(text);
        let code = connection.converse(&mut replies, reply).await;
        connection.close(code, "").await;
    };
    serve(listener, limits, CancellationToken::new(), echo).await;
    Ok(())
}

//@ clock: real
//@ try: nowhere -> invalid socket address
