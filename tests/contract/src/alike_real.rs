//! Sockets, threads and children: clauses of CPython's tests that hold in Rust as well.
//!
//! Nothing differs here. The counterpart is the type of Tokio that has the same job, or
//! the component `sockets_by_hand`.
//!
//! asyncio: asyncio.open_connection, asyncio.start_server, loop.create_connection
//! asyncio: asyncio.wrap_future, asyncio.BufferedProtocol, asyncio.WriteTransport.write

#![cfg(unix)]

use std::net::SocketAddr;
use std::process::Stdio;
use std::sync::Arc;
use std::{env, fs, io, process, thread};

use tokio::io::{
    AsyncBufReadExt, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader, duplex,
};
use tokio::net::{TcpListener, TcpSocket, TcpStream, UnixListener, UnixStream};
use tokio::process::Command;
use tokio::runtime::{Builder, Handle};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{sleep, timeout};

use crate::support::sockets_by_hand::{add_reader, send};
use crate::support::{millis, settle, try_together};

const MUCH: usize = 1_000_000;
/// An address of a network interface that does not exist: no name server is asked.
const UNKNOWN: (&str, u16) = ("fe80::1%none", 80);

fn local() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 0))
}

async fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind(local()).await.unwrap();
    let address = listener.local_addr().unwrap();
    let (client, accepted) = tokio::join!(TcpStream::connect(address), listener.accept());
    (client.unwrap(), accepted.unwrap().0)
}

fn fails<T>(result: io::Result<T>) -> &'static str {
    if result.is_err() { "fails" } else { "works" }
}

fn text(bytes: &[u8]) -> &str {
    str::from_utf8(bytes).unwrap()
}

// Connect.

async fn unknown_name() -> String {
    let listening = fails(TcpListener::bind(UNKNOWN).await);
    let connecting = fails(TcpStream::connect(UNKNOWN).await);
    format!("listening {listening}, connecting {connecting}")
}

async fn in_turn() -> String {
    let silent = TcpSocket::new_v4().unwrap();
    silent.bind(local()).unwrap();
    let listener = TcpListener::bind(local()).await.unwrap();
    let addresses = [silent.local_addr(), listener.local_addr()].map(Result::unwrap);
    let stream = TcpStream::connect(&addresses[..]).await.unwrap();
    let second = stream.peer_addr().unwrap() == addresses[1];
    format!("connected to the second: {second}")
}

async fn connect_cancelled() -> String {
    // Its backlog is full: who connects now gets no answer.
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(local()).unwrap();
    let listener = socket.listen(0).unwrap();
    let address = listener.local_addr().unwrap();
    let _waits = TcpStream::connect(address).await.unwrap();
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(local()).unwrap();
    let own = socket.local_addr().unwrap();
    let connected = timeout(millis(100), socket.connect(address)).await;
    let again = TcpSocket::new_v4().unwrap().bind(own);
    let out = connected.is_err();
    format!("timed out: {out}, the port is free: {}", again.is_ok())
}

async fn serves() -> String {
    async fn greet(mut stream: impl AsyncWrite + Unpin) {
        stream.write_all(b"hello").await.unwrap();
    }
    let tcp = TcpListener::bind(local()).await.unwrap();
    let address = tcp.local_addr().unwrap();
    let path = env::temp_dir().join(format!("contract-{}-alike", process::id()));
    let unix = UnixListener::bind(&path).unwrap();
    tokio::spawn(async move { greet(tcp.accept().await.unwrap().0).await });
    tokio::spawn(async move { greet(unix.accept().await.unwrap().0).await });
    let mut told = [String::new(), String::new()];
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.read_to_string(&mut told[0]).await.unwrap();
    let mut stream = UnixStream::connect(&path).await.unwrap();
    stream.read_to_string(&mut told[1]).await.unwrap();
    fs::remove_file(path).unwrap();
    format!("{} over TCP, {} over a Unix socket", told[0], told[1])
}

// Read.

async fn readline_of_a_reset() -> String {
    let (ours, theirs) = pair().await;
    let (mut reader, mut line) = (BufReader::new(ours), String::new());
    let cancelled = timeout(millis(50), reader.read_line(&mut line)).await;
    assert!(cancelled.is_err());
    let waiting = tokio::spawn(async move { reader.read_line(&mut line).await });
    settle().await;
    theirs.set_zero_linger().unwrap();
    drop(theirs);
    format!("the waiting one {}", fails(waiting.await.unwrap()))
}

async fn read_of_a_reset() -> String {
    let (mut ours, theirs) = pair().await;
    theirs.set_zero_linger().unwrap();
    drop(theirs);
    let tcp = fails(ours.read(&mut [0; 100]).await);
    let (mut ours, theirs) = UnixStream::pair().unwrap();
    // What it has not read resets the connection.
    ours.write_all(b"unread").await.unwrap();
    drop(theirs);
    let unix = fails(ours.read(&mut [0; 100]).await);
    format!("{tcp} over TCP, {unix} over a Unix socket")
}

async fn own_buffer() -> String {
    let (mut ours, mut theirs) = pair().await;
    theirs.write_all(b"hello world").await.unwrap();
    theirs.shutdown().await.unwrap();
    settle().await;
    let (mut buffer, mut pieces) = ([0; 4], Vec::new());
    loop {
        match ours.read(&mut buffer).await.unwrap() {
            0 => return pieces.join("|"),
            count => pieces.push(text(&buffer[..count]).to_owned()),
        }
    }
}

async fn recv_into() -> String {
    let (mut ours, mut theirs) = pair().await;
    theirs.write_all(b"hello").await.unwrap();
    let mut buffer = [0; 3];
    let count = ours.read(&mut buffer).await.unwrap();
    format!("{count} bytes, {}", text(&buffer))
}

async fn fed() -> String {
    let (mut writer, mut reader) = duplex(100);
    writer.write_all(b"hello").await.unwrap();
    writer.write_all(b"").await.unwrap();
    let mut buffer = [0; 100];
    let count = reader.read(&mut buffer).await.unwrap();
    text(&buffer[..count]).to_owned()
}

async fn beside_writer() -> String {
    let (ours, mut theirs) = pair().await;
    let (ours, (sender, mut told)) = (Arc::new(ours), mpsc::unbounded_channel());
    let reader = add_reader(Arc::clone(&ours), move |read| {
        sender.send(text(read.unwrap()).to_owned()).unwrap();
    });
    theirs.write_all(b"ping").await.unwrap();
    send(&ours, b"pong").await.unwrap();
    let read = told.recv().await.unwrap();
    let mut written = [0; 4];
    theirs.read_exact(&mut written).await.unwrap();
    reader.remove().await;
    format!("{read} is read, {} is written", text(&written))
}

// Write and close.

async fn write_nothing() -> String {
    let (mut ours, mut theirs) = pair().await;
    for piece in ["", "x", ""] {
        ours.write_all(piece.as_bytes()).await.unwrap();
    }
    drop(ours);
    let mut told = String::new();
    theirs.read_to_string(&mut told).await.unwrap();
    format!("the peer gets {told}")
}

async fn end_after_the_buffer() -> String {
    let (mut ours, mut theirs) = pair().await;
    let reading = tokio::spawn(async move {
        sleep(millis(100)).await;
        theirs.read_to_end(&mut Vec::new()).await.unwrap()
    });
    ours.write_all(&vec![b'x'; MUCH]).await.unwrap();
    ours.shutdown().await.unwrap();
    let again = fails(ours.shutdown().await);
    drop(ours);
    format!("{} bytes, a second end {again}", reading.await.unwrap())
}

async fn close_after_the_end() -> String {
    let (mut ours, theirs) = pair().await;
    ours.write_all(b"GET\n").await.unwrap();
    let mut theirs = BufReader::new(theirs);
    theirs.read_line(&mut String::new()).await.unwrap();
    theirs.write_all(b"answer").await.unwrap();
    drop(theirs);
    let mut answer = String::new();
    ours.read_to_string(&mut answer).await.unwrap();
    format!("{answer}, then closing {}", fails(ours.shutdown().await))
}

async fn sendall_unix() -> String {
    let (mut ours, mut theirs) = UnixStream::pair().unwrap();
    let sending = tokio::spawn(async move { ours.write_all(&vec![b'x'; MUCH]).await });
    let mut bytes = Vec::new();
    theirs.read_to_end(&mut bytes).await.unwrap();
    sending.await.unwrap().unwrap();
    format!("{} bytes", bytes.len())
}

// Servers.

async fn client_gone() -> String {
    let listener = TcpListener::bind(local()).await.unwrap();
    let address = listener.local_addr().unwrap();
    let gone = TcpStream::connect(address).await.unwrap();
    gone.set_zero_linger().unwrap();
    drop(gone);
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            tokio::spawn(async move { stream.write_all(b"served").await });
        }
    });
    let mut told = String::new();
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.read_to_string(&mut told).await.unwrap();
    format!("the next one is {told}")
}

async fn handler_cancelled() -> String {
    let (ours, mut theirs) = pair().await;
    let handler = tokio::spawn(async move { theirs.read(&mut [0; 100]).await });
    settle().await;
    handler.abort();
    // What a server reports: not an end, but a panic.
    let reported = handler.await.is_err_and(|error| error.is_panic());
    drop(ours);
    format!("reported: {reported}")
}

// Threads and children.

async fn other_thread() -> String {
    let running = thread::spawn(|| {
        let runtime = Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            settle().await;
            42
        })
    });
    format!("returns {}", running.join().unwrap())
}

async fn result_of_a_thread() -> String {
    let (sender, receiver) = oneshot::channel();
    let thread = thread::spawn(move || sender.send(42).unwrap());
    let told = receiver.await.unwrap().to_string();
    thread.join().unwrap();
    told
}

async fn cancel_reaches_the_thread() -> String {
    let (mut sender, receiver) = oneshot::channel::<u32>();
    let waiting = tokio::spawn(receiver);
    settle().await;
    waiting.abort();
    let seen = thread::spawn(move || {
        Handle::try_current().expect_err("a plain thread");
        futures::executor::block_on(sender.closed());
        sender.is_closed()
    });
    let seen = tokio::task::spawn_blocking(|| seen.join().unwrap()).await;
    format!("the thread sees it: {}", seen.unwrap())
}

async fn tasks_of_another_thread() -> String {
    let runtime = Builder::new_current_thread().build().unwrap();
    for _ in 0..3 {
        runtime.spawn(std::future::pending::<()>());
    }
    let handle = runtime.handle().clone();
    let counting = thread::spawn(move || handle.metrics().num_alive_tasks());
    let count = counting.join().unwrap();
    runtime.shutdown_background();
    format!("{count} tasks")
}

async fn close_finished_child() -> String {
    let mut command = Command::new("sh");
    command.args(["-c", "exit 3"]).stdin(Stdio::null());
    let mut child = command.kill_on_drop(true).spawn().unwrap();
    child.wait().await.unwrap();
    let status = child.try_wait().unwrap().unwrap();
    drop(child);
    format!("exit code {}", status.code().unwrap())
}

#[tokio::main]
async fn main() {
    try_together! { millis(3_000),
        "server.name.unknown" => unknown_name(),
        "connect.address.in-turn" => in_turn(),
        "connect.timeout.closes" => connect_cancelled(),
        "connect.open.serves" => serves(),
        "stream.readline.error-is-raised" => readline_of_a_reset(),
        "stream.open.error-in-next-read" => read_of_a_reset(),
        "protocol.buffered.fills" => own_buffer(),
        "sock_recv_into.fills" => recv_into(),
        "stream.feed.bytes-can-be-read" => fed(),
        "add_reader.beside-writer" => beside_writer(),
        "transport.write.empty" => write_nothing(),
        "transport.write_eof.after-buffer" => end_after_the_buffer(),
        "stream.write.awaitable" => close_after_the_end(),
        "sock_sendall.unix" => sendall_unix(),
        "server.accept.client-gone" => client_gone(),
        "stream.handler.cancel-is-not-reported" => handler_cancelled(),
        "run.other-thread" => other_thread(),
        "wrap_future.thread.result" => result_of_a_thread(),
        "wrap_future.cancel" => cancel_reaches_the_thread(),
        "all_tasks.thread" => tasks_of_another_thread(),
        "process.close.finished" => close_finished_child(),
    }
}

//@ clock: real
//@ python: 3.13
