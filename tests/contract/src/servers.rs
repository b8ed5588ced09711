//! Servers, connections and sockets: what CPython's tests ask of them, on Tokio's types.
//!
//! The counterpart of a server is the component `servers`. Hosts and Unix sockets are
//! tried twice: on Tokio's own listeners, and behind an `@` with a component.
//!
//! asyncio: asyncio.start_server, asyncio.Server, loop.add_reader, loop.sock_recv
//! asyncio: asyncio.start_unix_server, loop.create_connection, loop.sendfile
//! differs: a listener has one address, and a dropped handler runs no further line

#![cfg(unix)]

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;
use std::{env, fs, io, process};

use futures::StreamExt;
use tokio::io::{
    AsyncBufReadExt, AsyncReadExt, AsyncSeekExt, AsyncWriteExt, BufReader, SeekFrom,
};
use tokio::net::{
    TcpListener, TcpSocket, TcpStream, UnixListener, UnixStream, lookup_host,
};
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};
use tokio_util::codec::{Framed, FramedParts, LinesCodec};

use crate::support::servers::{Server, bind};
use crate::support::sockets_by_hand::{add_reader, adopt};
use crate::support::unix_socket::unix::Listener;
use crate::support::{millis, settle, try_together};

const MUCH: usize = 10_000_000;

fn local() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 0))
}

/// Starts the component on a free port.
fn serve<H, F>(handle: H) -> (Arc<Server>, SocketAddr)
where
    H: Fn(TcpStream) -> F + Send + Sync + 'static,
    F: Future<Output = ()> + Send + 'static,
{
    let sockets = bind(&[local()], false).unwrap();
    let server = Server::start_serving(sockets, 10, handle).unwrap();
    let address = server.addresses()[0];
    (Arc::new(server), address)
}

async fn read_to_end(mut stream: TcpStream) {
    let _ = stream.read_to_end(&mut Vec::new()).await;
}

async fn connects(address: SocketAddr) -> &'static str {
    match TcpStream::connect(address).await {
        Ok(_) => "connected",
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => "refused",
        Err(_) => "another error",
    }
}

fn in_use<T>(bound: io::Result<T>) -> &'static str {
    match bound {
        Ok(_) => "taken",
        Err(error) if error.kind() == ErrorKind::AddrInUse => "in use",
        Err(_) => "another error",
    }
}

async fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind(local()).await.unwrap();
    let address = listener.local_addr().unwrap();
    let (client, accepted) = tokio::join!(TcpStream::connect(address), listener.accept());
    (client.unwrap(), accepted.unwrap().0)
}

async fn rest(mut stream: TcpStream) -> String {
    let mut text = String::new();
    stream.read_to_string(&mut text).await.unwrap();
    text
}

// Starting and stopping.

async fn serves() -> String {
    let (_server, address) = serve(|stream| async move {
        let (mut stream, mut line) = (BufReader::new(stream), String::new());
        stream.read_line(&mut line).await.unwrap();
        let line = line.to_uppercase();
        stream.get_mut().write_all(line.as_bytes()).await.unwrap();
    });
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(b"hello\n").await.unwrap();
    rest(stream).await.trim().to_owned()
}

async fn start_later() -> String {
    let sockets = bind(&[local()], false).unwrap();
    let address = sockets[0].local_addr().unwrap();
    let before = connects(address).await;
    let _server = Server::start_serving(sockets, 10, read_to_end).unwrap();
    format!("{before} before, {} after", connects(address).await)
}

async fn two_are_bound() -> String {
    let first = bind(&[local()], false).unwrap();
    let address = first[0].local_addr().unwrap();
    let second = bind(&[address], false).unwrap();
    let _second = Server::start_serving(second, 10, read_to_end).unwrap();
    match Server::start_serving(first, 10, read_to_end) {
        Ok(_) => "both listen",
        Err(_) => "the first may not listen once the second does",
    }
    .to_owned()
}

async fn closed_refuses() -> String {
    let (server, address) = serve(read_to_end);
    server.close().await;
    format!(
        "serving: {}, {}",
        server.is_serving(),
        connects(address).await
    )
}

async fn cancelled_serve_forever() -> String {
    let (server, _) = serve(read_to_end);
    let own = Arc::clone(&server);
    let serving = tokio::spawn(async move { own.serve_forever().await });
    settle().await;
    serving.abort();
    let _ = serving.await;
    while server.is_serving() {
        settle().await;
    }
    format!("serving: {}", server.is_serving())
}

async fn wait_closed() -> String {
    let (server, address) = serve(read_to_end);
    let stream = TcpStream::connect(address).await.unwrap();
    settle().await;
    let own = Arc::clone(&server);
    let waiting = tokio::spawn(async move { own.wait_closed().await });
    settle().await;
    let before = waiting.is_finished();
    server.close().await;
    settle().await;
    let between = waiting.is_finished();
    drop(stream);
    waiting.await.unwrap();
    format!("before close: {before}, with a connection: {between}, after it: true")
}

async fn close_keeps_connections() -> String {
    let (server, address) = serve(|mut stream: TcpStream| async move {
        sleep(millis(100)).await;
        stream.write_all(b"answer").await.unwrap();
    });
    let stream = TcpStream::connect(address).await.unwrap();
    settle().await;
    server.close().await;
    rest(stream).await
}

async fn close_clients_written() -> String {
    let (server, address) = serve(|mut stream: TcpStream| async move {
        let _ = stream.write_all(&vec![b'x'; MUCH]).await;
    });
    let mut stream = TcpStream::connect(address).await.unwrap();
    sleep(millis(100)).await;
    server.close().await;
    server.close_clients();
    let mut bytes = Vec::new();
    let end = match stream.read_to_end(&mut bytes).await {
        Ok(_) => "the end",
        Err(_) => "an error",
    };
    let all = if bytes.len() == MUCH {
        "all"
    } else {
        "not all"
    };
    format!("{all}, then {end}")
}

async fn close_clients_finally() -> String {
    let ran = Arc::new(AtomicBool::new(false));
    let own = Arc::clone(&ran);
    let (server, address) = serve(move |stream| {
        let ran = Arc::clone(&own);
        async move {
            read_to_end(stream).await;
            ran.store(true, Ordering::SeqCst);
        }
    });
    let _stream = TcpStream::connect(address).await.unwrap();
    settle().await;
    server.close().await;
    server.close_clients();
    server.wait_closed().await;
    format!(
        "the line after the read runs: {}",
        ran.load(Ordering::SeqCst)
    )
}

/// Panics after the line `fail`, and serves others.
async fn fail(stream: TcpStream) {
    let (mut stream, mut line) = (BufReader::new(stream), String::new());
    stream.read_line(&mut line).await.unwrap();
    assert_ne!(line, "fail\n");
    stream.get_mut().write_all(b"served").await.unwrap();
}

async fn failing_handler() -> String {
    let (_server, address) = serve(fail);
    let mut first = TcpStream::connect(address).await.unwrap();
    first.write_all(b"fail\n").await.unwrap();
    settle().await;
    let mut second = TcpStream::connect(address).await.unwrap();
    second.write_all(b"go on\n").await.unwrap();
    format!("the next one is {}", rest(second).await)
}

async fn failing_handler_closes() -> String {
    let (_server, address) = serve(fail);
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(b"fail\n").await.unwrap();
    let told = match timeout(millis(300), rest(stream)).await {
        Ok(text) => format!("{} bytes", text.len()),
        Err(_) => "nothing".to_owned(),
    };
    format!("its client gets {told}")
}

// Addresses.

fn two() -> [SocketAddr; 2] {
    [local(), SocketAddr::from(([127, 0, 0, 2], 0))]
}

async fn two_hosts() -> String {
    let listener = TcpListener::bind(&two()[..]).await.unwrap();
    let bound = listener.local_addr().unwrap();
    let mut told = Vec::new();
    for mut address in two() {
        address.set_port(bound.port());
        told.push(connects(address).await);
    }
    told.join(", ")
}

async fn two_hosts_component() -> String {
    let sockets = bind(&two(), false).unwrap();
    let server = Server::start_serving(sockets, 10, read_to_end).unwrap();
    let mut told = Vec::new();
    for &address in server.addresses() {
        told.push(connects(address).await);
    }
    told.join(", ")
}

async fn empty_host() -> String {
    match TcpListener::bind(":0").await {
        Ok(_) => "serves",
        Err(_) => "fails",
    }
    .to_owned()
}

async fn port_in_use() -> String {
    let (_server, address) = serve(read_to_end);
    in_use(TcpListener::bind(address).await).to_owned()
}

async fn reuse_port() -> String {
    let first = bind(&[local()], true).unwrap();
    let address = first[0].local_addr().unwrap();
    let _first = Server::start_serving(first, 10, read_to_end).unwrap();
    let second = bind(&[address], true).unwrap();
    let _second = Server::start_serving(second, 10, read_to_end).unwrap();
    let without = in_use(TcpListener::bind(address).await);
    format!("a second one with it listens, without it: {without}")
}

async fn own_socket() -> String {
    let listener = std::net::TcpListener::bind(local()).unwrap();
    listener.set_nonblocking(true).unwrap();
    let listener = TcpListener::from_std(listener).unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { listener.accept().await });
    connects(address).await.to_owned()
}

async fn service_name() -> String {
    match lookup_host("127.0.0.1:http").await {
        Ok(mut found) => format!("port {}", found.next().unwrap().port()),
        Err(_) => "fails".to_owned(),
    }
}

async fn connect_refused() -> String {
    let bound = bind(&[local()], false).unwrap();
    connects(bound[0].local_addr().unwrap()).await.to_owned()
}

async fn local_address() -> String {
    let (_server, address) = serve(read_to_end);
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(local()).unwrap();
    let bound = socket.local_addr().unwrap();
    let stream = socket.connect(address).await.unwrap();
    format!("the same port: {}", stream.local_addr().unwrap() == bound)
}

async fn local_address_in_use() -> String {
    let (_server, address) = serve(read_to_end);
    in_use(TcpSocket::new_v4().unwrap().bind(address)).to_owned()
}

async fn cancelled_accept() -> String {
    let listener = TcpListener::bind(local()).await.unwrap();
    assert!(timeout(millis(50), listener.accept()).await.is_err());
    let address = listener.local_addr().unwrap();
    let _client = TcpStream::connect(address).await.unwrap();
    listener.accept().await.unwrap();
    "the next client is accepted".to_owned()
}

// Unix sockets.

/// A folder that ends with the group.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let folder = env::temp_dir().join(format!("contract-{}-{name}", process::id()));
        fs::create_dir(&folder).unwrap();
        Self(folder)
    }

    fn path(&self) -> PathBuf {
        self.0.join("socket")
    }

    async fn bind(&self) -> io::Result<Listener> {
        let user = rustix::process::geteuid().as_raw();
        let bound = Listener::bind(self.path(), 0o600, user).await;
        bound.map_err(|error| io::Error::new(ErrorKind::AddrInUse, error))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

async fn unix_serves() -> String {
    let folder = Folder::new("serves");
    let listener = UnixListener::bind(folder.path()).unwrap();
    let accepting = tokio::spawn(async move { listener.accept().await.is_ok() });
    let _stream = UnixStream::connect(folder.path()).await.unwrap();
    assert!(accepting.await.unwrap());
    "connected".to_owned()
}

async fn unix_leaves_file(component: bool) -> String {
    let folder = Folder::new(&format!("leaves-{component}"));
    if component {
        drop(folder.bind().await.unwrap());
    } else {
        drop(UnixListener::bind(folder.path()).unwrap());
    }
    format!("the file is there: {}", folder.path().exists())
}

async fn unix_stale(component: bool) -> String {
    let folder = Folder::new(&format!("stale-{component}"));
    drop(UnixListener::bind(folder.path()).unwrap());
    let bound = match component {
        true => folder.bind().await.map(drop),
        false => UnixListener::bind(folder.path()).map(drop),
    };
    if bound.is_ok() {
        "replaced"
    } else {
        in_use(bound)
    }
    .to_owned()
}

async fn unix_other_file() -> String {
    let folder = Folder::new("other");
    fs::write(folder.path(), "data").unwrap();
    let bound = in_use(folder.bind().await);
    let data = fs::read_to_string(folder.path()).unwrap();
    format!("{bound}, the file holds {data}")
}

async fn unix_replaced() -> String {
    let folder = Folder::new("replaced");
    let listener = folder.bind().await.unwrap();
    fs::remove_file(folder.path()).unwrap();
    let _other = UnixListener::bind(folder.path()).unwrap();
    drop(listener);
    format!("the other's file is there: {}", folder.path().exists())
}

async fn unix_no_folder() -> String {
    let folder = Folder::new("none");
    match UnixListener::bind(folder.0.join("none/x")) {
        Ok(_) => "serves",
        Err(error) if error.kind() == ErrorKind::NotFound => "not found",
        Err(_) => "another error",
    }
    .to_owned()
}

async fn unix_abstract() -> String {
    let name = format!("\0contract-{}", process::id());
    let _listener = UnixListener::bind(&name).unwrap();
    UnixStream::connect(&name).await.unwrap();
    "connected".to_owned()
}

// Sockets by hand.

async fn cancelled_recv() -> String {
    let (mut ours, mut theirs) = pair().await;
    let (mut buffer, mut got) = ([0; 100], 0);
    for _ in 0..50 {
        let reading = timeout(Duration::from_micros(500), ours.read(&mut buffer)).await;
        got += reading.map_or(0, Result::unwrap);
        theirs.write_all(b"x").await.unwrap();
    }
    while got < 50 {
        got += ours.read(&mut buffer).await.unwrap();
    }
    format!("{got} of 50 bytes")
}

async fn sendall_much() -> String {
    let (mut ours, mut theirs) = pair().await;
    let sending =
        tokio::spawn(async move { ours.write_all(&vec![b'x'; MUCH]).await.unwrap() });
    let mut bytes = Vec::new();
    theirs.read_to_end(&mut bytes).await.unwrap();
    sending.await.unwrap();
    format!("{} bytes", bytes.len())
}

async fn writelines() -> String {
    let (mut ours, theirs) = pair().await;
    ours.write_all(&[&b"one"[..], b"two"].concat())
        .await
        .unwrap();
    drop(ours);
    rest(theirs).await
}

async fn adopted() -> String {
    let listener = std::net::TcpListener::bind(local()).unwrap();
    let address = listener.local_addr().unwrap();
    let mut client = std::net::TcpStream::connect(address).unwrap();
    let stream = adopt(listener.accept().unwrap().0).unwrap();
    io::Write::write_all(&mut client, b"hello").unwrap();
    drop(client);
    rest(stream).await
}

async fn datagram_socket_as_stream() -> String {
    let socket = std::net::UdpSocket::bind(local()).unwrap();
    socket.set_nonblocking(true).unwrap();
    let stream = std::net::TcpStream::from(OwnedFd::from(socket));
    match TcpStream::from_std(stream) {
        Ok(_) => "accepted",
        Err(_) => "refused",
    }
    .to_owned()
}

async fn reader_callback() -> String {
    let (ours, mut theirs) = pair().await;
    let (sender, mut told) = mpsc::unbounded_channel();
    let reader = add_reader(Arc::new(ours), move |read| {
        let text = str::from_utf8(read.unwrap()).unwrap();
        sender.send(text.to_owned()).unwrap();
    });
    theirs.write_all(b"abc").await.unwrap();
    let first = told.recv().await.unwrap();
    theirs.write_all(b"def").await.unwrap();
    drop(theirs);
    let second = told.recv().await.unwrap();
    let end = told.recv().await.unwrap();
    reader.remove().await;
    format!("{first}, {second}, and {end:?} at the end")
}

async fn two_readers() -> String {
    let (ours, mut theirs) = pair().await;
    let ours = Arc::new(ours);
    let called = [(); 2].map(|()| Arc::new(AtomicUsize::new(0)));
    let readers = called.each_ref().map(|count| {
        let count = Arc::clone(count);
        add_reader(Arc::clone(&ours), move |_| {
            count.fetch_add(1, Ordering::SeqCst);
        })
    });
    // Until the first one has been called: the bytes go to either by chance.
    while called[0].load(Ordering::SeqCst) == 0 {
        theirs.write_all(b"x").await.unwrap();
        sleep(millis(5)).await;
    }
    for reader in readers {
        reader.remove().await;
    }
    "the first is called: true".to_owned()
}

async fn removed_reader() -> String {
    let (ours, mut theirs) = pair().await;
    let (ours, called) = (Arc::new(ours), Arc::new(AtomicUsize::new(0)));
    let count = Arc::clone(&called);
    let reader = add_reader(Arc::clone(&ours), move |_| {
        count.fetch_add(1, Ordering::SeqCst);
    });
    reader.remove().await;
    theirs.write_all(b"later").await.unwrap();
    let mut buffer = [0; 100];
    let mut ours = Arc::into_inner(ours).unwrap();
    let count = ours.read(&mut buffer).await.unwrap();
    let left = str::from_utf8(&buffer[..count]).unwrap();
    format!(
        "called {} times, {left} is left",
        called.load(Ordering::SeqCst)
    )
}

async fn send_file(count: u64) -> String {
    let folder = Folder::new(&format!("file-{count}"));
    fs::write(folder.path(), vec![b'x'; 100_000]).unwrap();
    let mut file = tokio::fs::File::open(folder.path()).await.unwrap();
    let (mut ours, theirs) = pair().await;
    let reading = tokio::spawn(rest(theirs));
    ours.write_all(b"pre").await.unwrap();
    file.seek(SeekFrom::Start(1000)).await.unwrap();
    let sent = tokio::io::copy(&mut (&mut file).take(count), &mut ours)
        .await
        .unwrap();
    ours.write_all(b"post").await.unwrap();
    drop(ours);
    let (got, position) = (reading.await.unwrap().len(), file.stream_position().await);
    let position = position.unwrap();
    format!("{sent} of the file, {got} in all, the file is at {position}")
}

// Protocols.

/// Returns both ends of a connection that is to change to TLS. The first packet holds a
/// command that somebody has added.
async fn start_tls() -> (TcpStream, Framed<TcpStream, LinesCodec>) {
    let (mut client, server) = pair().await;
    client
        .write_all(b"STARTTLS\r\nMAIL FROM:<mallory>\r\n")
        .await
        .unwrap();
    let mut plain = Framed::new(server, LinesCodec::new());
    assert_eq!(plain.next().await.unwrap().unwrap(), "STARTTLS");
    client.write_all(b"EHLO\r\n").await.unwrap();
    (client, plain)
}

async fn first_word(mut changed: Framed<TcpStream, LinesCodec>) -> String {
    let line = changed.next().await.unwrap().unwrap();
    let word = line.split_whitespace().next().unwrap();
    format!("the new one gets {word} first")
}

async fn change_protocol() -> String {
    let (_client, plain) = start_tls().await;
    assert_eq!(plain.codec().max_length(), usize::MAX);
    let plain = plain.into_parts();
    let mut parts = FramedParts::new::<String>(plain.io, LinesCodec::new());
    parts.read_buf = plain.read_buf;
    first_word(Framed::from_parts(parts)).await
}

async fn change_protocol_dropped() -> String {
    let (_client, plain) = start_tls().await;
    first_word(Framed::new(plain.into_inner(), LinesCodec::new())).await
}

async fn eof_received() -> String {
    let (_server, address) = serve(|mut stream: TcpStream| async move {
        let mut question = String::new();
        stream.read_to_string(&mut question).await.unwrap();
        sleep(millis(100)).await;
        stream.write_all(b"answer").await.unwrap();
    });
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(b"question").await.unwrap();
    stream.shutdown().await.unwrap();
    format!(
        "the client gets {} bytes after its end",
        rest(stream).await.len()
    )
}

#[tokio::main]
async fn main() {
    try_together! { millis(3_000),
        "server.start.serves" => serves(),
        "server.start_serving.later" => start_later(),
        "server.start_serving.bound-is-not-reserved" => two_are_bound(),
        "server.close.refuses-clients" => closed_refuses(),
        "server.serve_forever.cancel-closes" => cancelled_serve_forever(),
        "server.wait_closed.waits-for-connections" => wait_closed(),
        "server.close.keeps-connections" => close_keeps_connections(),
        "server.close_clients.delivers-written" => close_clients_written(),
        "server.close_clients.handler-sees-end" => close_clients_finally(),
        "server.handler.failure-ends-it-alone" => failing_handler(),
        "server.handler.failure-closes" => failing_handler_closes(),
        "server.host.listens-on-each" => two_hosts(),
        "server.host.listens-on-each@servers" => two_hosts_component(),
        "server.host.empty-is-all" => empty_host(),
        "server.port.in-use" => port_in_use(),
        "server.reuse_port.two-listen" => reuse_port(),
        "server.sock.own-socket" => own_socket(),
        "connect.port.service-name" => service_name(),
        "connect.refused.raises" => connect_refused(),
        "connect.local_addr.binds-first" => local_address(),
        "connect.local_addr.in-use" => local_address_in_use(),
        "sock_accept.cancelled-loses-nobody" => cancelled_accept(),
        "unix.server.serves" => unix_serves(),
        "unix.server.close-removes-file" => unix_leaves_file(false),
        "unix.server.close-removes-file@unix_socket" => unix_leaves_file(true),
        "unix.server.replaces-stale-file" => unix_stale(false),
        "unix.server.replaces-stale-file@unix_socket" => unix_stale(true),
        "unix.server.keeps-other-file" => unix_other_file(),
        "unix.server.keeps-file-of-another@unix_socket" => unix_replaced(),
        "unix.server.no-folder" => unix_no_folder(),
        "unix.server.abstract-name" => unix_abstract(),
        "sock_recv.cancelled-loses-nothing" => cancelled_recv(),
        "sock_sendall.sends-much" => sendall_much(),
        "stream.writelines.in-order" => writelines(),
        "connect_accepted_socket.adopts" => adopted(),
        "connect.sock.datagram-refused" => datagram_socket_as_stream(),
        "add_reader.data-and-end" => reader_callback(),
        "add_reader.second-replaces-first" => two_readers(),
        "remove_reader.not-called-after" => removed_reader(),
        "sendfile.offset-and-count" => send_file(5000),
        "sendfile.to-end" => send_file(u64::MAX),
        "set_protocol.old-data-stays" => change_protocol(),
        "set_protocol.old-data-stays@into_inner" => change_protocol_dropped(),
        "protocol.eof_received.closes" => eof_received(),
    }
}

//@ clock: real
//@ python: 3.13
