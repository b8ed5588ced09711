//! Sockets, pipes and children: what is left of their clauses, on the real clock.
//!
//! A dropped socket or pipe says nothing, and a call fails where asyncio buffers or logs.
//!
//! asyncio: loop.create_connection, loop.sendfile, asyncio.DatagramTransport.sendto
//! asyncio: loop.connect_write_pipe, loop.sock_connect, asyncio.WriteTransport.write
//! differs: nothing is buffered beyond the socket, and a drop says nothing

#![cfg(unix)]

use std::env;
use std::future::pending;
use std::io::{self, Cursor, SeekFrom};
use std::net::SocketAddr;
use std::panic;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::thread;

use rustix::process::{Pid, WaitOptions, waitpid};
use socket2::SockRef;
use tokio::fs::File;
use tokio::io::{AsyncReadExt, AsyncSeekExt, AsyncWrite, AsyncWriteExt, duplex};
use tokio::net::unix::pipe;
use tokio::net::{TcpListener, TcpSocket, TcpStream, UdpSocket, UnixDatagram};
use tokio::process::Command;
use tokio::time::sleep;

use crate::support::subprocess_protocol::{Event, Process};
use crate::support::{Log, millis, try_together};

async fn connected() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap());
    let (client, accepted) = tokio::join!(client, listener.accept());
    (client.unwrap(), accepted.unwrap().0)
}

/// What a program is told of what it drops: by a panic, as there is nothing else.
async fn told_of<T>(dropped: T) -> String {
    let log = Log::default();
    let own = log.clone();
    panic::set_hook(Box::new(move |_| own.note("a panic")));
    drop(dropped);
    panic::set_hook(Box::new(|_| {}));
    format!("told: [{}]", log.told())
}

async fn write_after_close() -> String {
    let (mut client, _server) = connected().await;
    client.shutdown().await.unwrap();
    let written = client.write_all(b"late").await;
    written.map_or_else(|error| error.kind().to_string(), |()| "dropped".to_owned())
}

async fn pipe_is_dropped() -> String {
    told_of(pipe::pipe().unwrap()).await
}

async fn stream_is_dropped() -> String {
    told_of(connected().await).await
}

async fn slow_step() -> String {
    let slow = tokio::spawn(async { thread::sleep(millis(100)) });
    told_of(slow.await).await
}

// Connect.

async fn all_fail() -> String {
    let addresses = ["127.0.0.1:1", "127.0.0.2:1"].map(|it| it.parse().unwrap());
    let addresses: [SocketAddr; 2] = addresses;
    let error = TcpStream::connect(&addresses[..]).await.unwrap_err();
    let count = error.to_string().matches("os error 111").count();
    format!("addresses in the error: {count}")
}

async fn local_address() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let first = SocketAddr::from(([0, 0, 0, 0, 0, 0, 0, 1], port));
    match socket.connect(first).await {
        Ok(_) => "connected".to_owned(),
        Err(error) => error.to_string(),
    }
}

async fn connect_by_name() -> String {
    match "localhost:80".parse::<SocketAddr>() {
        Ok(_) => "is taken".to_owned(),
        Err(error) => format!("{error}: a name"),
    }
}

// Files.

async fn copy_from_memory() -> String {
    let (mut client, mut server) = connected().await;
    let mut file = Cursor::new(b"hello");
    let count = tokio::io::copy(&mut file, &mut client).await.unwrap();
    server.read_exact(&mut [0; 5]).await.unwrap();
    format!("{count} bytes are copied, without sendfile")
}

/// Counts what is written.
struct Counting<W>(W, u64);

impl<W: AsyncWrite + Unpin> AsyncWrite for Counting<W> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.0).poll_write(context, data);
        if let Poll::Ready(Ok(count)) = written {
            self.1 += count as u64;
        }
        written
    }

    fn poll_flush(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_shutdown(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(context)
    }
}

async fn peer_leaves() -> String {
    let (writer, mut reader) = duplex(1000);
    tokio::spawn(async move { reader.read_exact(&mut [0; 100]).await });
    let mut file = File::open(env::current_exe().unwrap()).await.unwrap();
    let mut writer = Counting(writer, 0);
    tokio::io::copy(&mut file, &mut writer).await.unwrap_err();
    let position = file.seek(SeekFrom::Current(0)).await.unwrap();
    format!(
        "the file is where the sending ended: {}",
        position == writer.1
    )
}

// Datagrams.

async fn send_to_a_full_socket() -> String {
    let (ours, _theirs) = UnixDatagram::pair().unwrap();
    let mut taken = 0;
    let ended = loop {
        match ours.try_send(&[b'x'; 1000]) {
            Ok(_) if taken < 10_000 => taken += 1,
            ended => break ended,
        }
    };
    match ended {
        Ok(_) => "all are taken".to_owned(),
        Err(error) => format!("refused: {}", error.kind()),
    }
}

async fn options() -> String {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let reuses = SockRef::from(&socket).reuse_port().unwrap();
    format!("bound with the option: {reuses}")
}

// Pipes.

async fn reader_is_gone() -> String {
    let (writer, reader) = pipe::pipe().unwrap();
    let keeps = tokio::spawn(async move {
        pending::<()>().await;
        drop(writer);
    });
    drop(reader);
    sleep(millis(200)).await;
    let noticed = keeps.is_finished();
    keeps.abort();
    format!("noticed: {noticed}")
}

async fn writes_after_the_loss() -> String {
    let (mut writer, reader) = pipe::pipe().unwrap();
    drop(reader);
    let mut failed = 0;
    for _ in 0..6 {
        failed += u32::from(writer.write_all(b"lost").await.is_err());
    }
    format!("{failed} of 6 writes fail")
}

// Children.

/// Returns what happens before the input of the child ends.
async fn first_event(program: &str) -> &'static str {
    let mut process = Process::spawn(Command::new("sh").args(["-c", program])).unwrap();
    match process.next().await.unwrap().unwrap() {
        Event::Exited(_) => "exit",
        _ => "pipe",
    }
}

async fn exit_and_pipes() -> String {
    let closes = first_event("exec >&- 2>&-; read line").await;
    let inherits = first_event("exec 3<&0; cat <&3 & exit").await;
    format!("it closes them: {closes} first; its child has them: {inherits} first")
}

async fn reaped_once() -> String {
    let mut child = Command::new("true").spawn().unwrap();
    let pid = Pid::from_raw(child.id().unwrap().cast_signed());
    child.wait().await.unwrap();
    let left = waitpid(pid, WaitOptions::empty()).is_ok();
    format!("left to wait for: {left}")
}

#[tokio::main]
async fn main() {
    try_together! { millis(2_000),
        "transport.write.after-close" => write_after_close(),
        "pipe.unclosed.warns" => pipe_is_dropped(),
        "stream.drop.warns" => stream_is_dropped(),
        "loop.slow.logged" => slow_step(),
        "connect.errors.all" => all_fail(),
        "connect.local_addr.family" => local_address(),
        "sock_connect.name" => connect_by_name(),
        "sendfile.fallback" => copy_from_memory(),
        "sendfile.peer-gone" => peer_leaves(),
        "datagram.sendto.buffers" => send_to_a_full_socket(),
        "datagram.options" => options(),
        "pipe.write.notices-reader-gone" => reader_is_gone(),
        "pipe.write.after-loss" => writes_after_the_loss(),
        "subprocess_protocol.exit-after-pipes" => exit_and_pipes(),
        "process.reaped.once" => reaped_once(),
    }
}

//@ clock: real
