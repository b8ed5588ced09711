//! The end of a stream: what CPython's tests ask of `close`, `wait_closed` and `drain`.
//!
//! The counterpart is `shutdown` and a drop of a `TcpStream` or its owned halves. Clauses
//! with `@tls` use tokio-rustls, with `@split` the halves of `tokio::io::split`. The peer
//! is slow and has small buffers: so undelivered bytes are lost in each run.
//!
//! asyncio: asyncio.StreamWriter.close, asyncio.StreamWriter.wait_closed
//! asyncio: asyncio.StreamWriter.drain, asyncio.StreamWriter.write_eof
//! differs: asyncio reads and sends in the background; `shutdown` and a drop do not

use std::io::ErrorKind;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use rcgen::generate_simple_self_signed;
use tokio::io::{
    self, AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader,
    BufWriter,
};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};
use tokio_rustls::rustls::crypto::aws_lc_rs::default_provider;
use tokio_rustls::rustls::pki_types::{PrivateKeyDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio_rustls::{TlsAcceptor, TlsConnector, client, server};

use crate::support::{millis, or_hangs, settle, try_together};

/// More than the small buffers of both sides hold.
const MUCH: usize = 1_000_000;

/// Which of the system's buffers on the way to the peer hold only 16 KiB.
#[derive(Clone, Copy, PartialEq)]
enum Small {
    None,
    Receiving,
    Both,
}

/// Returns both ends of a connection.
async fn pair(small: Small) -> (TcpStream, TcpStream) {
    let socket = TcpSocket::new_v4().unwrap();
    if small != Small::None {
        socket.set_recv_buffer_size(16_384).unwrap();
    }
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(1).unwrap();
    let address = listener.local_addr().unwrap();
    let socket = TcpSocket::new_v4().unwrap();
    if small == Small::Both {
        socket.set_send_buffer_size(16_384).unwrap();
    }
    let client = socket.connect(address).await.unwrap();
    (client, listener.accept().await.unwrap().0)
}

/// Returns what a client of localhost needs, and its server. The client trusts the server
/// if it is to.
fn tls(trusting: bool) -> (TlsConnector, TlsAcceptor) {
    let provider = Arc::new(default_provider());
    let own = generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let certificate = own.cert.der().clone();
    let key = PrivateKeyDer::try_from(own.signing_key.serialize_der()).unwrap();
    let mut roots = RootCertStore::empty();
    if trusting {
        roots.add(certificate.clone()).unwrap();
    } else {
        let other = generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        roots.add(other.cert.der().clone()).unwrap();
    }
    let client = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let server = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    (
        TlsConnector::from(Arc::new(client)),
        TlsAcceptor::from(Arc::new(server)),
    )
}

fn localhost() -> ServerName<'static> {
    ServerName::try_from("localhost").unwrap()
}

async fn tls_pair(
    small: Small,
) -> (client::TlsStream<TcpStream>, server::TlsStream<TcpStream>) {
    let ((connector, acceptor), (ours, theirs)) = (tls(true), pair(small).await);
    let client = connector.connect(localhost(), ours);
    let (client, server) = tokio::join!(client, acceptor.accept(theirs));
    (client.unwrap(), server.unwrap())
}

/// Reads to the end, but begins only after 0.2 s.
fn read_late<S>(mut stream: S) -> JoinHandle<String>
where
    S: AsyncRead + Unpin + Send + 'static,
{
    tokio::spawn(async move {
        sleep(millis(200)).await;
        let mut bytes = Vec::new();
        let end = match stream.read_to_end(&mut bytes).await {
            Ok(_) => "the end",
            Err(_) => "an error",
        };
        let count = match bytes.len() {
            5 | MUCH => "all",
            _ => "not all",
        };
        format!("the peer gets {count}, then {end}")
    })
}

async fn write_all(mut writer: impl AsyncWrite + Unpin) {
    writer.write_all(&vec![b'x'; MUCH]).await.unwrap();
    writer.shutdown().await.unwrap();
}

// Close.

async fn close_delivers() -> String {
    let (stream, peer) = pair(Small::Receiving).await;
    let reading = read_late(peer);
    write_all(stream).await;
    reading.await.unwrap()
}

async fn close_with_unread_input() -> String {
    let (stream, mut peer) = pair(Small::Receiving).await;
    peer.write_all(b"220 ready\r\n").await.unwrap();
    settle().await;
    let reading = read_late(peer);
    write_all(stream).await;
    reading.await.unwrap()
}

/// Closes as `close` and `wait_closed` do, so that the peer gets what was written.
async fn close<S>(mut stream: S, limit: Duration) -> io::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    stream.shutdown().await?;
    // Input that nobody has read would reset the connection at the drop.
    let mut rest = io::sink();
    let _ = timeout(limit, io::copy(&mut stream, &mut rest)).await;
    Ok(())
}

async fn close_after_reading() -> String {
    let (mut stream, mut peer) = pair(Small::Receiving).await;
    peer.write_all(b"220 ready\r\n").await.unwrap();
    settle().await;
    let reading = read_late(peer);
    stream.write_all(&vec![b'x'; MUCH]).await.unwrap();
    close(stream, millis(900)).await.unwrap();
    reading.await.unwrap()
}

async fn close_after_reading_tls() -> String {
    let (mut stream, peer) = tls_pair(Small::Receiving).await;
    let reading = read_late(peer);
    stream.write_all(&vec![b'x'; MUCH]).await.unwrap();
    close(stream, millis(900)).await.unwrap();
    reading.await.unwrap()
}

async fn close_with_tickets() -> String {
    let (stream, peer) = tls_pair(Small::Receiving).await;
    let reading = read_late(peer);
    write_all(stream).await;
    reading.await.unwrap()
}

async fn close_ends_the_reader() -> String {
    let (stream, _peer) = pair(Small::None).await;
    let (reader, mut writer) = stream.into_split();
    let reading = tokio::spawn(async move {
        BufReader::new(reader).read_line(&mut String::new()).await
    });
    settle().await;
    writer.shutdown().await.unwrap();
    drop(writer);
    let count = reading.await.unwrap().unwrap();
    format!("the waiting readline returns {count} bytes")
}

async fn forgotten_writer() -> String {
    let (stream, peer) = pair(Small::None).await;
    let (_reader, mut writer) = stream.into_split();
    writer.write_all(b"hello").await.unwrap();
    drop(writer);
    read_late(peer).await.unwrap()
}

async fn forgotten_writer_split() -> String {
    let (stream, peer) = pair(Small::None).await;
    let (_reader, mut writer) = io::split(stream);
    writer.write_all(b"hello").await.unwrap();
    drop(writer);
    read_late(peer).await.unwrap()
}

async fn forgotten_buffer() -> String {
    let (stream, peer) = pair(Small::None).await;
    let mut writer = BufWriter::new(stream);
    writer.write_all(b"hello").await.unwrap();
    assert_eq!(writer.buffer(), b"hello");
    drop(writer);
    read_late(peer).await.unwrap()
}

async fn write_after_close() -> String {
    let (mut stream, _peer) = pair(Small::None).await;
    stream.shutdown().await.unwrap();
    let failed = stream.write_all(b"hello").await.is_err();
    format!("fails: {failed}")
}

async fn write_after_close_tls() -> String {
    let (mut client, mut server) = tls_pair(Small::None).await;
    client.shutdown().await.unwrap();
    server.write_all(b"late").await.unwrap();
    server.flush().await.unwrap();
    settle().await;
    let failed = client.write_all(b"hello").await.is_err();
    let count = server.read(&mut [0; 100]).await.unwrap();
    format!("fails: {failed}, the peer gets {count} bytes")
}

// wait_closed.

async fn wait_closed() -> String {
    let (mut stream, peer) = pair(Small::None).await;
    let reading = read_late(peer);
    stream.write_all(b"hello").await.unwrap();
    stream.shutdown().await.unwrap();
    drop(stream);
    reading.await.unwrap()
}

async fn wait_closed_waits() -> String {
    let (mut stream, mut peer) = tls_pair(Small::Receiving).await;
    let _peer = tokio::spawn(async move {
        sleep(millis(500)).await;
        peer.read_to_end(&mut Vec::new()).await.unwrap();
        peer.shutdown().await
    });
    let start = Instant::now();
    stream.shutdown().await.unwrap();
    let waited = start.elapsed() > millis(100);
    format!("waits for the peer: {waited}")
}

// write_eof.

async fn write_eof() -> String {
    let (mut stream, mut peer) = pair(Small::None).await;
    let answering = tokio::spawn(async move {
        let mut question = String::new();
        peer.read_to_string(&mut question).await.unwrap();
        peer.write_all(question.to_uppercase().as_bytes()).await
    });
    stream.write_all(b"question").await.unwrap();
    stream.shutdown().await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answering.await.unwrap().unwrap();
    format!("the answer is {answer}")
}

// drain.

async fn drain_tells_of_the_end() -> String {
    let (mut stream, peer) = pair(Small::None).await;
    drop(peer);
    for _ in 0..100 {
        if stream.write_all(b"hello").await.is_err() {
            return "fails after a few writes".to_owned();
        }
        settle().await;
    }
    "never fails".to_owned()
}

async fn drain_sends(flush: bool) -> String {
    let (mut stream, mut peer) = tls_pair(Small::Both).await;
    // Until neither the system nor the TLS layer takes more.
    let mut count = 0;
    while let Some(written) = stream.write(&[b'x'; 16_384]).now_or_never() {
        count += written.unwrap();
    }
    let _answering = tokio::spawn(async move {
        sleep(millis(200)).await;
        peer.read_exact(&mut vec![0; count]).await.unwrap();
        peer.write_all(b"answer").await.unwrap();
        peer.flush().await.unwrap();
        sleep(millis(1000)).await;
    });
    if flush {
        stream.flush().await.unwrap();
    }
    let mut answer = [0; 6];
    stream.read_exact(&mut answer).await.unwrap();
    format!("the answer is {}", str::from_utf8(&answer).unwrap())
}

// The end, at the reader.

/// Returns a stream that holds this text and then ends.
async fn ended(text: &'static str) -> BufReader<TcpStream> {
    let (stream, mut peer) = pair(Small::None).await;
    peer.write_all(text.as_bytes()).await.unwrap();
    BufReader::new(stream)
}

async fn read_again() -> String {
    let mut reader = ended("hello").await;
    let mut buffer = [0; 100];
    let mut counts = Vec::new();
    for _ in 0..3 {
        counts.push(reader.read(&mut buffer).await.unwrap().to_string());
    }
    format!("{} bytes", counts.join(", "))
}

async fn read_rest() -> String {
    let mut text = String::new();
    ended("one\ntwo")
        .await
        .read_to_string(&mut text)
        .await
        .unwrap();
    format!("{text:?}")
}

async fn readline_unfinished() -> String {
    let mut line = String::new();
    ended("hello").await.read_line(&mut line).await.unwrap();
    format!("{line:?}")
}

async fn readline_at_the_end() -> String {
    let mut line = String::new();
    ended("").await.read_line(&mut line).await.unwrap();
    format!("{line:?}")
}

async fn readuntil_unfinished() -> String {
    let mut record = Vec::new();
    match ended("SET a 10").await.read_until(b'\n', &mut record).await {
        Ok(_) => format!("returns {:?}", str::from_utf8(&record).unwrap()),
        Err(_) => "fails".to_owned(),
    }
}

async fn readexactly_unfinished() -> String {
    let mut bytes = [0; 9];
    match ended("hello").await.read_exact(&mut bytes).await {
        Ok(_) => "returns",
        Err(_) => "fails",
    }
    .to_owned()
}

async fn error_again() -> String {
    let (mut stream, peer) = pair(Small::None).await;
    peer.set_zero_linger().unwrap();
    drop(peer);
    settle().await;
    let mut told = Vec::new();
    for _ in 0..2 {
        told.push(match stream.read(&mut [0; 100]).await {
            Ok(count) => format!("{count} bytes"),
            Err(error) if error.kind() == ErrorKind::ConnectionReset => "reset".into(),
            Err(error) => error.to_string(),
        });
    }
    told.join(", then ")
}

async fn end_without_notify() -> String {
    let (mut stream, mut peer) = tls_pair(Small::Receiving).await;
    peer.write_all(b"hello").await.unwrap();
    peer.flush().await.unwrap();
    // Ends the connection below, and sends no close_notify.
    peer.get_mut().0.shutdown().await.unwrap();
    let mut text = String::new();
    let end = match stream.read_to_string(&mut text).await {
        Ok(_) => "the end",
        Err(_) => "an error",
    };
    format!("hello, then {end}")
}

// Writing.

async fn nodelay(set: bool) -> String {
    let (stream, _peer) = pair(Small::None).await;
    if set {
        stream.set_nodelay(true).unwrap();
    }
    format!("TCP_NODELAY: {}", stream.nodelay().unwrap())
}

/// Writes much and then reads as much.
async fn write_then_read(mut stream: TcpStream) -> usize {
    stream.write_all(&vec![b'x'; 10 * MUCH]).await.unwrap();
    let mut bytes = vec![0; 10 * MUCH];
    stream.read_exact(&mut bytes).await.unwrap()
}

async fn both_write_first() -> String {
    let (ours, theirs) = pair(Small::Both).await;
    let both = tokio::join!(write_then_read(ours), write_then_read(theirs));
    format!("both have read all: {}", both == (10 * MUCH, 10 * MUCH))
}

/// Writes much while it reads as much.
async fn write_and_read(mut stream: TcpStream) -> usize {
    let (mut reader, mut writer) = stream.split();
    let (data, mut bytes) = (vec![b'x'; 10 * MUCH], vec![0; 10 * MUCH]);
    let (written, read) =
        tokio::join!(writer.write_all(&data), reader.read_exact(&mut bytes));
    written.unwrap();
    read.unwrap()
}

async fn both_write_and_read() -> String {
    let (ours, theirs) = pair(Small::Both).await;
    let both = tokio::join!(write_and_read(ours), write_and_read(theirs));
    format!("both have read all: {}", both == (10 * MUCH, 10 * MUCH))
}

async fn aborted(linger: bool) -> String {
    let (mut stream, mut peer) = pair(Small::None).await;
    stream.write_all(b"hello").await.unwrap();
    settle().await;
    if !linger {
        stream.set_zero_linger().unwrap();
    }
    drop(stream);
    match peer.read_to_end(&mut Vec::new()).await {
        Ok(_) => "the peer sees the end",
        Err(_) => "the peer sees a reset",
    }
    .to_owned()
}

// TLS.

async fn handshake(trusting: bool, name: &'static str) -> String {
    let ((connector, acceptor), (ours, theirs)) =
        (tls(trusting), pair(Small::None).await);
    let client = connector.connect(ServerName::try_from(name).unwrap(), ours);
    let (client, server) = tokio::join!(client, acceptor.accept(theirs));
    let told = if client.is_err() {
        "refuses"
    } else {
        "accepts"
    };
    // The server has ended its handshake before the client refuses its certificate.
    let failed = match server {
        Ok(mut server) if client.is_err() => server.read(&mut [0]).await.is_err(),
        server => server.is_err(),
    };
    format!("the client {told}, the server fails: {failed}")
}

fn nameless() -> String {
    match ServerName::try_from("") {
        Ok(_) => "the client accepts".to_owned(),
        Err(error) => error.to_string(),
    }
}

async fn handshake_with(bytes: &'static [u8]) -> String {
    let ((connector, _), (ours, mut theirs)) = (tls(true), pair(Small::None).await);
    let client = tokio::spawn(connector.connect(localhost(), ours));
    settle().await;
    theirs.write_all(bytes).await.unwrap();
    theirs.shutdown().await.unwrap();
    format!("fails: {}", client.await.unwrap().is_err())
}

async fn handshake_limit() -> String {
    let ((connector, _), (ours, _theirs)) = (tls(true), pair(Small::None).await);
    let client = timeout(millis(100), connector.connect(localhost(), ours)).await;
    format!("times out: {}", client.is_err())
}

async fn handshake_without_limit() -> String {
    let ((connector, _), (ours, _theirs)) = (tls(true), pair(Small::None).await);
    connector.connect(localhost(), ours).await.unwrap();
    "ends".to_owned()
}

/// Changes to TLS after a plain line, as SMTP does. Somebody has added a line.
async fn start_tls() -> String {
    let ((connector, acceptor), (mut ours, theirs)) =
        (tls(true), pair(Small::None).await);
    ours.write_all(b"STARTTLS\nMAIL\n").await.unwrap();
    let server = tokio::spawn(async move {
        let (mut plain, mut line) = (BufReader::new(theirs), String::new());
        plain.read_line(&mut line).await.unwrap();
        plain.get_mut().write_all(b"go\n").await.unwrap();
        let stream = acceptor.accept(plain.into_inner()).await.unwrap();
        line.clear();
        BufReader::new(stream).read_line(&mut line).await.unwrap();
        line
    });
    ours.read_exact(&mut [0; 3]).await.unwrap();
    let mut client = connector.connect(localhost(), ours).await.unwrap();
    client.write_all(b"EHLO\n").await.unwrap();
    client.flush().await.unwrap();
    format!(
        "the first line over TLS is {}",
        server.await.unwrap().trim()
    )
}

async fn pieces_of_tls() -> String {
    let (mut client, mut server) = tls_pair(Small::None).await;
    server.write_all(b"hello world").await.unwrap();
    server.shutdown().await.unwrap();
    let (mut buffer, mut pieces) = ([0; 4], Vec::new());
    loop {
        match client.read(&mut buffer).await.unwrap() {
            0 => return pieces.join("|"),
            count => pieces.push(str::from_utf8(&buffer[..count]).unwrap().to_owned()),
        }
    }
}

#[tokio::main]
async fn main() {
    try_together! { millis(3_000),
        "stream.close.delivers-all" => close_delivers(),
        "stream.close.delivers-with-unread-input" => close_with_unread_input(),
        "stream.close.delivers-with-unread-input@read-to-end" => close_after_reading(),
        "stream.close.delivers-all@tls" => close_with_tickets(),
        "stream.close.delivers-all@tls-read-to-end" => close_after_reading_tls(),
        "stream.close.ends-waiting-read" => or_hangs(close_ends_the_reader()),
        "stream.close.write-fails-after" => write_after_close(),
        "stream.drop.peer-sees-end" => forgotten_writer(),
        "stream.drop.peer-sees-end@split" => or_hangs(forgotten_writer_split()),
        "stream.drop.delivers-all@BufWriter" => forgotten_buffer(),
        "stream.wait_closed.delivers-all" => wait_closed(),
        "stream.wait_closed.waits-for-peer@tls" => wait_closed_waits(),
        "stream.write_eof.answer-arrives" => write_eof(),
        "stream.drain.fails-if-peer-is-gone" => drain_tells_of_the_end(),
        "stream.drain.sends-all@tls" => or_hangs(drain_sends(false)),
        "stream.drain.sends-all@tls-flush" => drain_sends(true),
        "stream.read.end-again" => read_again(),
        "stream.read.rest-to-end" => read_rest(),
        "stream.readline.unfinished-at-end" => readline_unfinished(),
        "stream.readline.empty-at-end" => readline_at_the_end(),
        "stream.readuntil.fails-unfinished" => readuntil_unfinished(),
        "stream.readexactly.fails-unfinished" => readexactly_unfinished(),
        "stream.read.error-again" => error_again(),
        "stream.read.end-without-notify@tls" => end_without_notify(),
        "stream.open.nodelay" => nodelay(false),
        "stream.open.nodelay@set_nodelay" => nodelay(true),
        "stream.write.both-sides-first" => or_hangs(both_write_first()),
        "stream.write.both-sides-first@join" => both_write_and_read(),
        "transport.abort.peer-sees-end" => aborted(false),
        "transport.abort.peer-sees-end@drop" => aborted(true),
        "tls.handshake.trusted" => handshake(true, "localhost"),
        "tls.handshake.unknown-authority" => handshake(false, "localhost"),
        "tls.handshake.wrong-name" => handshake(true, "example.com"),
        "tls.name.empty-switches-off" => async { nameless() },
        "tls.handshake.no-tls-fails" => handshake_with(b"HTTP/1.1 400\r\n\r\n"),
        "tls.handshake.connection-lost-fails" => handshake_with(b""),
        "tls.handshake.limit" => or_hangs(handshake_without_limit()),
        "tls.handshake.limit@timeout" => handshake_limit(),
        "start_tls.plain-bytes-are-dropped" => start_tls(),
        "tls.close.data-after-close" => write_after_close_tls(),
        "tls.buffered.pieces" => pieces_of_tls(),
    }
}

//@ clock: real
