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

use crate::support::{millis, settle, try_out};

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

async fn tls_pair(
    small: Small,
) -> (client::TlsStream<TcpStream>, server::TlsStream<TcpStream>) {
    let provider = Arc::new(default_provider());
    let own = generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let certificate = own.cert.der().clone();
    let key = PrivateKeyDer::try_from(own.signing_key.serialize_der()).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(certificate.clone()).unwrap();
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
    let (ours, theirs) = pair(small).await;
    let name = ServerName::try_from("localhost").unwrap();
    let connector = TlsConnector::from(Arc::new(client));
    let acceptor = TlsAcceptor::from(Arc::new(server));
    let (client, server) =
        tokio::join!(connector.connect(name, ours), acceptor.accept(theirs));
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
    drop(writer);
    read_late(peer).await.unwrap()
}

async fn write_after_close() -> String {
    let (mut stream, _peer) = pair(Small::None).await;
    stream.shutdown().await.unwrap();
    let failed = stream.write_all(b"hello").await.is_err();
    format!("fails: {failed}")
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
        sleep(millis(200)).await;
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
    stream.get_ref().0.set_nodelay(true).unwrap();
    let _answering = tokio::spawn(async move {
        sleep(millis(200)).await;
        peer.read_exact(&mut vec![0; MUCH]).await.unwrap();
        peer.write_all(b"answer").await.unwrap();
        peer.flush().await.unwrap();
        sleep(millis(1000)).await;
    });
    stream.write_all(&vec![b'x'; MUCH]).await.unwrap();
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

#[tokio::main]
async fn main() {
    try_out! { millis(10_000),
        "stream.close.delivers-all" => close_delivers(),
        "stream.close.delivers-with-unread-input" => close_with_unread_input(),
        "stream.close.delivers-with-unread-input@read-to-end" => close_after_reading(),
        "stream.close.delivers-all@tls" => close_with_tickets(),
        "stream.close.delivers-all@tls-read-to-end" => close_after_reading_tls(),
        "stream.close.ends-waiting-read" => close_ends_the_reader(),
        "stream.close.write-fails-after" => write_after_close(),
        "stream.drop.peer-sees-end" => forgotten_writer(),
        "stream.drop.peer-sees-end@split" => forgotten_writer_split(),
        "stream.drop.delivers-all@BufWriter" => forgotten_buffer(),
        "stream.wait_closed.delivers-all" => wait_closed(),
        "stream.wait_closed.waits-for-peer@tls" => wait_closed_waits(),
        "stream.write_eof.answer-arrives" => write_eof(),
        "stream.drain.fails-if-peer-is-gone" => drain_tells_of_the_end(),
        "stream.drain.sends-all@tls" => drain_sends(false),
        "stream.drain.sends-all@tls-flush" => drain_sends(true),
        "stream.read.end-again" => read_again(),
        "stream.read.rest-to-end" => read_rest(),
        "stream.readline.unfinished-at-end" => readline_unfinished(),
        "stream.readline.empty-at-end" => readline_at_the_end(),
        "stream.readuntil.fails-unfinished" => readuntil_unfinished(),
        "stream.readexactly.fails-unfinished" => readexactly_unfinished(),
        "stream.read.error-again" => error_again(),
        "stream.read.end-without-notify@tls" => end_without_notify(),
    }
}

//@ clock: real
