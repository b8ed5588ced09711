//! Datagrams and pipes: what CPython's tests ask of them, on Tokio's sockets and pipes.
//!
//! The counterparts are `UdpSocket`, `UnixDatagram` and `tokio::net::unix::pipe`.
//!
//! asyncio: loop.create_datagram_endpoint, asyncio.DatagramProtocol
//! asyncio: loop.connect_read_pipe, loop.connect_write_pipe, loop.sock_recvfrom
//! differs: a type accepts one kind of socket or file, and a task sees what it awaits

#![cfg(unix)]

use std::fs::File;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::{env, fs, process};

use tokio::io::{AsyncReadExt, AsyncWriteExt, Interest};
use tokio::net::unix::pipe;
use tokio::net::{UdpSocket, UnixDatagram};
use tokio::time::timeout;

use crate::support::{millis, settle, try_together};

fn local() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 0))
}

async fn bound() -> (UdpSocket, SocketAddr) {
    let socket = UdpSocket::bind(local()).await.unwrap();
    let address = socket.local_addr().unwrap();
    (socket, address)
}

async fn nobody() -> SocketAddr {
    bound().await.1
}

// Datagrams.

async fn both_ways() -> String {
    let ((ours, _), (theirs, address)) = (bound().await, bound().await);
    let mut buffer = [0; 100];
    ours.send_to(b"question", address).await.unwrap();
    let (count, sender) = theirs.recv_from(&mut buffer).await.unwrap();
    let answer = buffer[..count].to_ascii_uppercase();
    theirs.send_to(&answer, sender).await.unwrap();
    let (count, _) = ours.recv_from(&mut buffer).await.unwrap();
    str::from_utf8(&buffer[..count]).unwrap().to_owned()
}

async fn empty() -> String {
    let ((ours, _), (theirs, address)) = (bound().await, bound().await);
    let mut buffer = [0; 100];
    ours.send_to(b"", address).await.unwrap();
    ours.send_to(b"after", address).await.unwrap();
    let (first, _) = theirs.recv_from(&mut buffer).await.unwrap();
    let (second, _) = theirs.recv_from(&mut buffer).await.unwrap();
    format!("{first}, {second} bytes")
}

async fn short_buffer() -> String {
    let ((ours, _), (theirs, address)) = (bound().await, bound().await);
    let mut buffer = [0; 10];
    ours.send_to(&[b'x'; 50], address).await.unwrap();
    ours.send_to(b"next", address).await.unwrap();
    let (first, _) = theirs.recv_from(&mut buffer).await.unwrap();
    let (second, _) = theirs.recv_from(&mut buffer).await.unwrap();
    format!("{first} of 50 bytes, then {second}")
}

async fn too_long() -> String {
    let (ours, _) = bound().await;
    match ours.send_to(&vec![b'x'; 70_000], nobody().await).await {
        Ok(_) => "sent",
        Err(_) => "fails",
    }
    .to_owned()
}

async fn to_nobody() -> String {
    let ((ours, address), (theirs, _)) = (bound().await, bound().await);
    ours.send_to(b"lost", nobody().await).await.unwrap();
    settle().await;
    theirs.send_to(b"hello", address).await.unwrap();
    let (mut buffer, mut errors) = ([0; 100], 0);
    loop {
        match ours.recv_from(&mut buffer).await {
            Ok((count, _)) => {
                let text = str::from_utf8(&buffer[..count]).unwrap();
                return format!("{errors} errors, then {text}");
            }
            Err(_) => errors += 1,
        }
    }
}

async fn connected_to_nobody() -> String {
    let (ours, _) = bound().await;
    ours.connect(nobody().await).await.unwrap();
    ours.send(b"lost").await.unwrap();
    settle().await;
    match timeout(millis(300), ours.recv(&mut [0; 100])).await {
        Ok(Err(error)) if error.kind() == ErrorKind::ConnectionRefused => "refused",
        _ => "no error",
    }
    .to_owned()
}

async fn connected_to_other() -> String {
    let ((ours, _), (_peer, peer), (_other, other)) =
        (bound().await, bound().await, bound().await);
    ours.connect(peer).await.unwrap();
    match ours.send_to(b"hello", other).await {
        Ok(_) => "is sent",
        Err(_) => "is refused",
    }
    .to_owned()
}

async fn broadcast(allowed: bool) -> String {
    let (ours, _) = bound().await;
    ours.set_broadcast(allowed).unwrap();
    match ours.send_to(b"hello", "127.255.255.255:9").await {
        Ok(_) => "sent",
        Err(_) => "refused",
    }
    .to_owned()
}

async fn port_in_use() -> String {
    let (_ours, address) = bound().await;
    match UdpSocket::bind(address).await {
        Ok(_) => "taken",
        Err(_) => "in use",
    }
    .to_owned()
}

async fn unix_datagram() -> String {
    let path = env::temp_dir().join(format!("contract-datagram-{}", process::id()));
    let theirs = UnixDatagram::bind(&path).unwrap();
    UnixDatagram::unbound()
        .unwrap()
        .send_to(b"hello", &path)
        .await
        .unwrap();
    let mut buffer = [0; 100];
    let count = theirs.recv(&mut buffer).await.unwrap();
    fs::remove_file(path).unwrap();
    str::from_utf8(&buffer[..count]).unwrap().to_owned()
}

async fn unix_stale() -> String {
    let path = env::temp_dir().join(format!("contract-stale-{}", process::id()));
    drop(UnixDatagram::bind(&path).unwrap());
    let again = UnixDatagram::bind(&path);
    fs::remove_file(path).unwrap();
    match again {
        Ok(_) => "replaced",
        Err(_) => "in use",
    }
    .to_owned()
}

// Pipes.

async fn pipe_to_end() -> String {
    let (mut writer, mut reader) = pipe::pipe().unwrap();
    writer.write_all(b"hello").await.unwrap();
    drop(writer);
    let mut text = String::new();
    reader.read_to_string(&mut text).await.unwrap();
    text
}

async fn pipe_write() -> String {
    let (writer, mut reader) = pipe::pipe().unwrap();
    let writer = writer.into_blocking_fd().unwrap();
    let mut writer = pipe::Sender::from_owned_fd(writer).unwrap();
    writer.write_all(b"hello").await.unwrap();
    let mut buffer = [0; 100];
    let count = reader.read(&mut buffer).await.unwrap();
    str::from_utf8(&buffer[..count]).unwrap().to_owned()
}

async fn pipe_reader_gone() -> String {
    let (writer, reader) = pipe::pipe().unwrap();
    drop(reader);
    let ready = timeout(millis(500), writer.ready(Interest::ERROR)).await;
    format!(
        "noticed: {}",
        ready.is_ok_and(|ready| ready.unwrap().is_error())
    )
}

fn accepted<T>(opened: io::Result<T>) -> String {
    if opened.is_ok() {
        "accepted"
    } else {
        "refused"
    }
    .to_owned()
}

async fn pipe_of_socket() -> String {
    let (ours, _theirs) = std::os::unix::net::UnixStream::pair().unwrap();
    accepted(pipe::Receiver::from_owned_fd(OwnedFd::from(ours)))
}

fn terminal() -> File {
    File::options()
        .read(true)
        .write(true)
        .open("/dev/ptmx")
        .unwrap()
}

async fn pipe_of_terminal() -> String {
    accepted(pipe::Receiver::from_file(terminal()))
}

async fn pipe_of_file() -> String {
    let program = File::open(env::current_exe().unwrap()).unwrap();
    accepted(pipe::Receiver::from_file(program))
}

#[tokio::main]
async fn main() {
    try_together! { millis(3_000),
        "datagram.both-ways" => both_ways(),
        "datagram.empty-is-no-end" => empty(),
        "sock_recvfrom_into.cuts-long-datagram" => short_buffer(),
        "datagram.sendto.too-long-fails" => too_long(),
        "datagram.sendto.to-nobody-is-no-error" => to_nobody(),
        "datagram.connected.to-nobody-tells" => connected_to_nobody(),
        "datagram.connected.other-address-refused" => connected_to_other(),
        "datagram.allow_broadcast.needed" => broadcast(false),
        "datagram.allow_broadcast.allows" => broadcast(true),
        "datagram.port.in-use" => port_in_use(),
        "datagram.unix.receives" => unix_datagram(),
        "datagram.unix.replaces-stale-file" => unix_stale(),
        "pipe.read.to-end" => pipe_to_end(),
        "pipe.write.arrives" => pipe_write(),
        "pipe.write.notices-reader-gone@ready" => pipe_reader_gone(),
        "pipe.read.takes-socket" => pipe_of_socket(),
        "pipe.read.takes-terminal" => pipe_of_terminal(),
        "pipe.read.refuses-file" => pipe_of_file(),
    }
}

//@ clock: real
