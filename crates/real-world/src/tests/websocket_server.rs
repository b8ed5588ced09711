use std::net::SocketAddr;
use std::time::Duration;
use std::{env, fs};

use futures::{SinkExt, StreamExt};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, JoinSet, yield_now};
use tokio::time::{Instant, sleep, timeout};
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{self, Message, Utf8Bytes};
use tokio_tungstenite::{WebSocketStream, client_async};
use tokio_util::sync::CancellationToken;

use super::support::{child_of, poll_and_drop};
use crate::websocket_server::{Connection, Limits, serve};

type Failure = Box<dyn std::error::Error + Send + Sync>;
type Socket = WebSocketStream<TcpStream>;

const TICK: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);
const LIMITS: Limits = Limits {
    connections: 2000,
    origins: &["https://ours.example"],
    handshake: Duration::from_secs(60),
    message: 1000,
    ping: Duration::from_secs(20),
    silence: Duration::from_secs(50),
    closing: Duration::from_secs(3),
};

/// Sends back what comes, after a mark; returns why that ended.
async fn echo<S>(connection: &mut Connection<S>) -> CloseCode
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
{
    let (sender, mut replies) = mpsc::channel(16);
    let reply = |text: Utf8Bytes| sender.send(format!("> {text}").into());
    connection.converse(&mut replies, reply).await
}

/// A connection without a network, and the task that serves it.
fn connection(
    limits: Limits,
    buffer: usize,
) -> (DuplexStream, JoinHandle<Option<CloseCode>>) {
    let (near, far) = duplex(buffer);
    let task = tokio::spawn(async move {
        let mut connection = Connection::accept(far, limits).await?;
        let code = echo(&mut connection).await;
        connection.close(code, "").await;
        Some(code)
    });
    (near, task)
}

/// The next text, or the code of the close frame, or nothing at the end.
async fn hear<S>(socket: &mut S) -> String
where
    S: StreamExt<Item = Result<Message, tungstenite::Error>> + Unpin,
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
    serving: JoinHandle<()>,
    ended: mpsc::UnboundedReceiver<CloseCode>,
}

impl Server {
    async fn start(limits: Limits) -> Result<Self, Failure> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let stop = CancellationToken::new();
        let (sender, ended) = mpsc::unbounded_channel();
        let handle = move |mut connection: Connection<TcpStream>| {
            let sender = sender.clone();
            async move {
                let code = echo(&mut connection).await;
                let _ = sender.send(code);
                connection.close(code, "").await;
            }
        };
        let serving = tokio::spawn(serve(listener, limits, stop.clone(), handle));
        Ok(Self {
            address,
            stop,
            serving,
            ended,
        })
    }

    /// Connects, and has said something.
    async fn enter(&self) -> Result<Socket, Failure> {
        let stream = TcpStream::connect(self.address).await?;
        let url = format!("ws://{}/", self.address);
        let (mut socket, _) = client_async(url, stream).await?;
        socket.send(Message::text("hello")).await?;
        assert_eq!(hear(&mut socket).await, "> hello");
        Ok(socket)
    }

    /// Why the next conversation has ended.
    async fn next_end(&mut self) -> CloseCode {
        let ended = timeout(60 * SECOND, self.ended.recv()).await;
        ended.expect("it ends").expect("the server runs")
    }
}

#[tokio::test(start_paused = true)]
async fn who_does_not_shake_hands_in_time_is_cut_off() -> Result<(), Failure> {
    let start = Instant::now();
    let (_nothing, silent) = connection(LIMITS, 64);
    let (mut endless, drips) = connection(LIMITS, 64);
    let drip = async {
        endless.write_all(b"GET / HTTP/1.1\r\nx: ").await?;
        loop {
            sleep(10 * TICK).await;
            endless.write_all(b"x").await?;
        }
    };
    let dripped: Result<(), std::io::Error> = drip.await;
    assert!(dripped.is_err(), "nobody reads any more");
    for task in [silent, drips] {
        assert_eq!(task.await?, None);
    }
    assert_eq!(start.elapsed().as_secs(), 60);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn only_pages_of_these_sites_may_connect() -> Result<(), Failure> {
    for (origin, may) in [
        (None, true),
        (Some("https://ours.example"), true),
        (Some("https://ours.example.evil.com"), false),
        (Some("http://ours.example"), false),
        (Some("null"), false),
        (Some(""), false),
    ] {
        let (stream, _task) = connection(LIMITS, 4096);
        let mut request = "ws://chat/".into_client_request()?;
        if let Some(origin) = origin {
            request.headers_mut().insert("origin", origin.parse()?);
        }
        match client_async(request, stream).await {
            Ok(_) => assert!(may, "{origin:?}"),
            Err(tungstenite::Error::Http(response)) => {
                assert!(!may, "{origin:?}");
                assert_eq!(response.status().as_u16(), 403);
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn who_answers_pings_stays_and_who_does_not_is_cut_off() -> Result<(), Failure> {
    let (stream, mut answers) = connection(LIMITS, 4096);
    let (mut reads, _) = client_async("ws://chat/", stream).await?;
    let (stream, silent) = connection(LIMITS, 4096);
    let _never_reads = client_async("ws://chat/", stream).await?;
    let start = Instant::now();
    let reading = tokio::spawn(async move { hear(&mut reads).await });
    assert_eq!(silent.await?, Some(CloseCode::Error));
    let limit = LIMITS.silence + LIMITS.closing;
    assert_eq!(start.elapsed().as_secs(), limit.as_secs());
    assert!(timeout(3600 * SECOND, &mut answers).await.is_err());
    reading.abort();
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn who_sends_and_does_not_read_is_cut_off() -> Result<(), Failure> {
    let (stream, task) = connection(LIMITS, 4096);
    let (mut socket, _) = client_async("ws://chat/", stream).await?;
    let sending =
        async { while socket.send(Message::text("x".repeat(500))).await.is_ok() {} };
    timeout(3600 * SECOND, sending).await?;
    assert_eq!(task.await?, Some(CloseCode::Error));
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn limits_may_be_without_end() -> Result<(), Failure> {
    let limits = Limits {
        handshake: Duration::MAX,
        message: usize::MAX,
        ping: Duration::MAX,
        silence: Duration::MAX,
        closing: Duration::MAX,
        ..LIMITS
    };
    let (stream, task) = connection(limits, 4096);
    let (mut socket, _) = client_async("ws://chat/", stream).await?;
    for _ in 0..3 {
        sleep(3600 * SECOND).await;
        socket.send(Message::text("still here")).await?;
        assert_eq!(hear(&mut socket).await, "> still here");
    }
    socket.close(None).await?;
    assert_eq!(hear(&mut socket).await, "");
    drop(socket);
    assert_eq!(task.await?, Some(CloseCode::Normal));
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn the_answers_to_pings_that_nobody_reads_are_limited() -> Result<(), Failure> {
    let (stream, _task) = connection(LIMITS, 4096);
    let (mut eve, _) = client_async("ws://chat/", stream).await?;
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

#[tokio::test]
async fn what_breaks_the_protocol_ends_with_a_close_frame() -> Result<(), Failure> {
    let server = Server::start(LIMITS).await?;
    // A reserved bit; a text that is not UTF-8.
    for (frame, code) in [
        (&b"\xc1\x80\0\0\0\0"[..], "1002"),
        (b"\x81\x81\0\0\0\0\xff", "1007"),
    ] {
        let mut ana = server.enter().await?;
        ana.get_mut().write_all(frame).await?;
        assert_eq!(hear(&mut ana).await, code);
    }
    Ok(())
}

#[tokio::test]
async fn too_long_a_message_ends_with_a_close_frame() -> Result<(), Failure> {
    let mut server = Server::start(LIMITS).await?;
    // The server does not read to the end of what is far too long.
    for length in [1001, 4_000_000] {
        let mut carl = server.enter().await?;
        let text = Message::text("x".repeat(length));
        let (mut outgoing, mut incoming) = (&mut carl).split();
        let (sent, heard) = tokio::join!(outgoing.send(text), hear(&mut incoming));
        assert!(sent.is_ok(), "the connection is not reset: {sent:?}");
        assert_eq!(heard, "1009");
        assert_eq!(server.next_end().await, CloseCode::Size);
    }
    let mut longest = server.enter().await?;
    longest.send(Message::text("x".repeat(1000))).await?;
    assert_eq!(hear(&mut longest).await.len(), 1002);
    Ok(())
}

#[tokio::test]
async fn a_reset_is_noticed_at_any_moment() -> Result<(), Failure> {
    let mut server = Server::start(LIMITS).await?;
    for beginning in [&b""[..], b"G", b"GET / HTTP/1.1\r\nhost: x\r\n"] {
        let mut stream = TcpStream::connect(server.address).await?;
        stream.write_all(beginning).await?;
        stream.set_zero_linger()?;
    }
    // Nothing, one byte of a header, a header and half a text.
    for half in [&b""[..], b"\x81", b"\x81\x85\x01\x02\x03\x04ab"] {
        let mut ben = server.enter().await?;
        ben.get_mut().write_all(half).await?;
        ben.get_ref().set_zero_linger()?;
        drop(ben);
        assert_eq!(server.next_end().await, CloseCode::Abnormal);
    }
    server.stop.cancel();
    Ok(timeout(SECOND, server.serving).await??)
}

#[tokio::test(start_paused = true)]
async fn dropped_at_each_await_it_closes_the_connection() -> Result<(), Failure> {
    let mut conversed = 0;
    for polls in 0..40 {
        let (near, far) = duplex(64);
        let client = async {
            let (mut socket, _) = client_async("ws://chat/", near).await?;
            conversed += 1;
            socket.send(Message::text("x".repeat(300))).await?;
            while !hear(&mut socket).await.is_empty() {}
            Ok::<(), Failure>(())
        };
        let serve = async {
            let mut connection = Connection::accept(far, LIMITS).await?;
            Some(echo(&mut connection).await)
        };
        let _dropped = tokio::join!(client, poll_and_drop(serve, polls));
    }
    assert!(conversed > 10);
    Ok(())
}

#[tokio::test]
async fn what_waits_is_sent_before_it_is_finished() -> Result<(), Failure> {
    let (near, far) = duplex(4096);
    let serving = tokio::spawn(async {
        let mut connection = Connection::accept(far, LIMITS).await?;
        let (sender, mut outgoing) = mpsc::channel(10);
        for number in 0..10 {
            sender.send(number.to_string().into()).await.ok()?;
        }
        drop(sender);
        let ignore = |_| std::future::ready(());
        let code = connection.converse(&mut outgoing, ignore).await;
        connection.close(code, "").await;
        Some(code)
    });
    let (mut socket, _) = client_async("ws://chat/", near).await?;
    for number in 0..10 {
        assert_eq!(hear(&mut socket).await, number.to_string());
    }
    assert_eq!(hear(&mut socket).await, "1001");
    assert_eq!(hear(&mut socket).await, "");
    assert_eq!(serving.await?, Some(CloseCode::Away));
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn binary_messages_are_ignored() -> Result<(), Failure> {
    let (stream, task) = connection(LIMITS, 4096);
    let (mut socket, _) = client_async("ws://chat/", stream).await?;
    for text in ["one", "two"] {
        socket.send(Message::binary(vec![7; 500])).await?;
        socket.send(Message::text(text)).await?;
        assert_eq!(hear(&mut socket).await, format!("> {text}"));
    }
    socket.close(None).await?;
    assert_eq!(hear(&mut socket).await, "");
    drop(socket);
    assert_eq!(task.await?, Some(CloseCode::Normal));
    Ok(())
}

/// Three texts are there, and the first is not done.
#[tokio::test(start_paused = true)]
async fn no_further_text_is_read_before_the_future_of_the_last_is_ready()
-> Result<(), Failure> {
    let (near, far) = duplex(4096);
    let (begin, mut begun) = mpsc::unbounded_channel();
    let serving = tokio::spawn(async move {
        let mut connection = Connection::accept(far, LIMITS).await?;
        let (_sender, mut outgoing) = mpsc::channel(1);
        let on_text = |text: Utf8Bytes| {
            let _ = begin.send((text.to_string(), Instant::now()));
            sleep(10 * SECOND)
        };
        Some(connection.converse(&mut outgoing, on_text).await)
    });
    let (mut socket, _) = client_async("ws://chat/", near).await?;
    for text in ["one", "two", "three"] {
        socket.send(Message::text(text)).await?;
    }
    let mut last: Option<Instant> = None;
    for expected in ["one", "two", "three"] {
        let (text, at) = begun.recv().await.expect("it is read");
        assert_eq!(text, expected);
        assert!(last.is_none_or(|last| at - last == 10 * SECOND));
        last = Some(at);
    }
    serving.abort();
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_dropped_connection_sends_no_close_frame() -> Result<(), Failure> {
    for closes in [false, true] {
        let (near, far) = duplex(4096);
        let serving = tokio::spawn(async move {
            let connection = Connection::accept(far, LIMITS).await?;
            match closes {
                true => connection.close(CloseCode::Away, "").await,
                false => drop(connection),
            }
            Some(())
        });
        let (mut socket, _) = client_async("ws://chat/", near).await?;
        assert_eq!(hear(&mut socket).await, if closes { "1001" } else { "" });
        drop(socket);
        assert!(serving.await?.is_some());
    }
    Ok(())
}

#[tokio::test]
async fn who_comes_when_all_permits_are_taken_waits() -> Result<(), Failure> {
    let connections = 1;
    let server = Server::start(Limits {
        connections,
        ..LIMITS
    })
    .await?;
    let mut ana = server.enter().await?;
    let mut waits = std::pin::pin!(server.enter());
    assert!(timeout(100 * TICK, waits.as_mut()).await.is_err());
    ana.close(None).await?;
    waits.await?;
    Ok(())
}

#[tokio::test]
async fn after_the_stop_it_cuts_off_who_stays() -> Result<(), Failure> {
    let closing = 500 * TICK;
    let server = Server::start(Limits { closing, ..LIMITS }).await?;
    let mut ana = server.enter().await?;
    let start = Instant::now();
    server.stop.cancel();
    // No other client is served, and this one still is.
    let refused = async { while TcpStream::connect(server.address).await.is_ok() {} };
    timeout(60 * SECOND, refused).await?;
    ana.send(Message::text("still here")).await?;
    assert_eq!(hear(&mut ana).await, "> still here");
    timeout(60 * SECOND, server.serving).await??;
    assert!(start.elapsed() >= 2 * closing);
    assert_eq!(hear(&mut ana).await, "");
    Ok(())
}

/// The variable that makes `child` do something.
const CHILD: &str = "WEBSOCKET_SERVER_CHILD";

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

/// Each of them says something, and leaves or crashes.
async fn one_after_the_other(clients: usize) -> Result<(), Failure> {
    let mut server = Server::start(LIMITS).await?;
    let tasks = Handle::current().metrics().num_alive_tasks();
    let mut before = None;
    for number in 0..clients {
        let mut client = server.enter().await?;
        let end = if number % 10 == 0 {
            client.close(None).await?;
            while !hear(&mut client).await.is_empty() {}
            CloseCode::Normal
        } else {
            client.get_ref().set_zero_linger()?;
            CloseCode::Abnormal
        };
        drop(client);
        assert_eq!(server.next_end().await, end);
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
    server.stop.cancel();
    Ok(server.serving.await?)
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
    let output = child_of(module_path!())
        .env(CHILD, "1")
        .output()
        .expect("it starts");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.contains("the child is done"), "{output:?}");
}

/// All are connected before the first one leaves.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_at_once() -> Result<(), Failure> {
    super::allow_files();
    let server = std::sync::Arc::new(Server::start(LIMITS).await?);
    let tasks = Handle::current().metrics().num_alive_tasks();
    let mut set = JoinSet::new();
    for number in 0..1000 {
        let server = std::sync::Arc::clone(&server);
        set.spawn(async move {
            let mut client = server.enter().await?;
            client.send(Message::text(number.to_string())).await?;
            assert_eq!(hear(&mut client).await, format!("> {number}"));
            Ok::<_, Failure>(client)
        });
    }
    let mut clients = Vec::new();
    while let Some(client) = set.join_next().await {
        clients.push(client??);
    }
    assert_eq!(clients.len(), 1000);
    drop(clients);
    no_more_tasks_than(tasks).await;
    Ok(())
}

/// Sends a request and returns all that comes.
async fn answered(request: &[u8]) -> Result<String, Failure> {
    let (mut stream, task) = connection(LIMITS, 4096);
    stream.write_all(request).await?;
    stream.shutdown().await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    drop(stream);
    assert_eq!(task.await?, None);
    Ok(answer)
}

/// After RFC 6455, 4.2, and what `websockets` and `ws` answer. A health check that asks by
/// HTTP learns that somebody is there.
#[tokio::test(start_paused = true)]
async fn rfc_6455_a_request_that_is_no_handshake_gets_426() -> Result<(), Failure> {
    const KEY: &str = "sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    const VERSION: &str = "sec-websocket-version: 13\r\n";
    const UPGRADE: &str = "upgrade: websocket\r\nconnection: upgrade\r\n";
    for (line, headers) in [
        ("GET /health HTTP/1.1", String::new()),
        ("GET / HTTP/1.1", format!("{UPGRADE}{VERSION}")),
        ("GET / HTTP/1.1", format!("{UPGRADE}{KEY}")),
        (
            "GET / HTTP/1.1",
            format!("{UPGRADE}{KEY}sec-websocket-version: 8\r\n"),
        ),
        (
            "GET / HTTP/1.1",
            format!("connection: upgrade\r\n{KEY}{VERSION}"),
        ),
        (
            "GET / HTTP/1.1",
            format!("upgrade: websocket\r\n{KEY}{VERSION}"),
        ),
        (
            "GET / HTTP/1.1",
            format!("upgrade: h2c\r\nconnection: upgrade\r\n{KEY}{VERSION}"),
        ),
        ("POST / HTTP/1.1", format!("{UPGRADE}{KEY}{VERSION}")),
        ("GET / HTTP/1.0", format!("{UPGRADE}{KEY}{VERSION}")),
    ] {
        let request = format!("{line}\r\nhost: x\r\n{headers}\r\n");
        let answer = answered(request.as_bytes()).await?;
        assert!(answer.starts_with("HTTP/1.1 426 "), "{request}{answer}");
        assert!(answer.contains("Sec-WebSocket-Version: 13\r\n"), "{answer}");
    }
    let body = b"POST /x HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\n\r\nhello";
    assert!(answered(body).await?.starts_with("HTTP/1.1 426 "));
    let whole = format!("GET / HTTP/1.1\r\nhost: x\r\n{UPGRADE}{KEY}{VERSION}\r\n");
    let (mut stream, task) = connection(LIMITS, 4096);
    stream.write_all(whole.as_bytes()).await?;
    let mut status = [0; 12];
    stream.read_exact(&mut status).await?;
    assert_eq!(&status, b"HTTP/1.1 101");
    task.abort();
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn each_origin_of_a_request_must_be_allowed() -> Result<(), Failure> {
    let (stream, _task) = connection(LIMITS, 4096);
    let mut request = "ws://chat/".into_client_request()?;
    let headers = request.headers_mut();
    headers.append("origin", "https://ours.example".parse()?);
    headers.append("origin", "https://evil.example".parse()?);
    let refused = client_async(request, stream).await;
    assert!(matches!(refused, Err(tungstenite::Error::Http(it)) if it.status() == 403));
    Ok(())
}

/// Autobahn 7.1: a client that has closed and still sends is not reset, so it can read
/// the answer.
#[tokio::test]
async fn autobahn_a_client_that_sends_after_its_close_frame_is_not_reset()
-> Result<(), Failure> {
    let server = Server::start(LIMITS).await?;
    let mut socket = server.enter().await?;
    socket.close(None).await?;
    let stream = socket.get_mut();
    // A text of 4,096 bytes, as a client masks it, again and again: more than the server
    // has read when it closes.
    let frame = [&b"\x81\xFE\x10\0\0\0\0\0"[..], &[b'h'; 4096]].concat();
    for _ in 0..500 {
        stream.write_all(&frame).await?;
    }
    stream.shutdown().await?;
    let mut rest = Vec::new();
    timeout(60 * SECOND, stream.read_to_end(&mut rest)).await??;
    let answer = rest.windows(2).any(|pair| pair == b"\x88\0");
    assert!(answer, "the answer to the close frame: {rest:?}");
    Ok(())
}
