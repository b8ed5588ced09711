//! Sockets by hand: options, `add_reader`, `sock_recv`, a socket that others accepted.
//!
//! `TcpSocket` is a socket before it listens or connects: set options and bind it. After
//! that `read`, `write_all` and `accept` are `sock_recv`, `sock_sendall`, `sock_accept`.
//! `add_reader` is a task that awaits `readable` and calls `try_read`. A socket may turn
//! out not to be readable after all: on `WouldBlock` wait again. `from_std` takes over a
//! socket of the standard library. `AsyncFd` does the same for other descriptors.
//!
//! Trap: a `TcpSocket` has no option set, not even SO_REUSEADDR. A server that starts
//! again on its port is then refused for a minute ("address in use").
//!
//! Trap: without `set_nonblocking`, `from_std` panics: "a blocking socket with the tokio
//! runtime is unsupported". Without debug assertions it blocks a thread instead.
//!
//! In production: `socket2` has the options that are not here.
//!
//! asyncio: loop.sock_accept, loop.sock_connect, loop.sock_recv, loop.sock_recv_into
//! asyncio: loop.sock_sendall, loop.sock_recvfrom, loop.sock_sendto, loop.add_reader
//! clock: real

use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream, UdpSocket};
use tokio::task::coop::consume_budget;
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::{Instant, interval_at, sleep};
use tokio::{select, try_join};
use tokio_util::sync::CancellationToken;

/// Returns a listener with options that `TcpListener::bind` does not have.
///
/// # Errors
///
/// `AddrInUse` if another socket listens there. Without `reuse` also if a connection of
/// the previous listener ended less than a minute ago.
///
/// # Panics
///
/// Outside of a Tokio runtime.
pub fn listen(address: SocketAddr, reuse: bool) -> io::Result<TcpListener> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    // On Windows the option would let other programs take the port.
    #[cfg(unix)]
    socket.set_reuseaddr(reuse)?;
    socket.bind(address)?;
    // How many connections the system completes before they are accepted.
    socket.listen(1024)
}

/// Connects with options that have to be set before.
///
/// # Errors
///
/// What the system says.
pub async fn connect(address: SocketAddr, send_buffer: u32) -> io::Result<TcpStream> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    socket.set_send_buffer_size(send_buffer)?;
    let stream = socket.connect(address).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Takes over a connection that code without Tokio has accepted.
///
/// # Errors
///
/// What the system says.
///
/// # Panics
///
/// Outside of a Tokio runtime.
pub fn adopt(accepted: std::net::TcpStream) -> io::Result<TcpStream> {
    accepted.set_nonblocking(true)?;
    TcpStream::from_std(accepted)
}

/// A task that calls back. Dropped, it goes on; [`remove`](Self::remove) ends it.
pub struct Reader {
    removed: CancellationToken,
    task: JoinHandle<()>,
}

/// Calls back with what can be read, until the end of the stream or an error.
pub fn add_reader(
    socket: Arc<TcpStream>,
    mut callback: impl FnMut(io::Result<&[u8]>) + Send + 'static,
) -> Reader {
    let removed = CancellationToken::new();
    let is_removed = removed.clone();
    let task = tokio::spawn(async move {
        let mut buffer = vec![0; 4096];
        loop {
            select! {
                biased;
                () = is_removed.cancelled() => return,
                ready = socket.readable() => match ready {
                    Ok(()) => {}
                    Err(error) => return callback(Err(error)),
                },
            }
            match socket.try_read(&mut buffer) {
                Ok(size) => {
                    callback(Ok(&buffer[..size]));
                    if size == 0 {
                        return;
                    }
                }
                // There was nothing after all.
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => return callback(Err(error)),
            }
            // While data keeps coming nothing above suspends, and `abort` has no effect.
            consume_budget().await;
        }
    });
    Reader { removed, task }
}

impl Reader {
    /// Returns when no callback runs and none will follow. What comes after that stays
    /// in the socket.
    ///
    /// # Panics
    ///
    /// If the callback has panicked.
    pub async fn remove(self) {
        self.removed.cancel();
        // On another thread the callback may run at this moment.
        self.task.await.expect("the callback does not panic");
    }
}

/// Writes while there is room, and waits while there is none: what a callback of
/// `add_writer` does, which removes itself after the last byte.
///
/// # Errors
///
/// If the connection is lost. Dropped, it has written a part.
pub async fn send(socket: &TcpStream, data: &[u8]) -> io::Result<()> {
    let mut sent = 0;
    while sent < data.len() {
        socket.writable().await?;
        match socket.try_write(&data[sent..]) {
            Ok(size) => sent += size,
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Sends back the first piece that comes, in capital letters, and closes.
async fn answer(mut stream: TcpStream) -> io::Result<()> {
    let mut buffer = [0; 100];
    // data = await loop.sock_recv(sock, 100)
    let size = stream.read(&mut buffer).await?;
    // await loop.sock_sendall(sock, data.upper())
    stream.write_all(&buffer[..size].to_ascii_uppercase()).await
}

async fn ask(mut stream: TcpStream, text: &str) -> io::Result<()> {
    stream.write_all(text.as_bytes()).await?;
    let mut buffer = [0; 100];
    let mut filled = 0;
    // An empty slice would read 0 bytes, as the end does.
    while filled < buffer.len() {
        // size = await loop.sock_recv_into(sock, memoryview(buffer)[filled:])
        let size = stream.read(&mut buffer[filled..]).await?;
        if size == 0 {
            break;
        }
        filled += size;
    }
    println!("got {}", buffer[..filled].escape_ascii());
    Ok(())
}

/// Serves one client.
async fn serve_one(listener: &TcpListener) -> io::Result<()> {
    // sock, _ = await loop.sock_accept(listener)
    let (stream, _) = listener.accept().await?;
    answer(stream).await
}

pub async fn pair(send_buffer: u32) -> io::Result<(TcpStream, TcpStream)> {
    let listener = listen("127.0.0.1:0".parse().expect("an address"), true)?;
    let client = connect(listener.local_addr()?, send_buffer).await?;
    Ok((client, listener.accept().await?.0))
}

pub async fn run() -> io::Result<()> {
    // Each part begins at its time, however long the one before it took.
    let first = Instant::now() + Duration::from_millis(200);
    let mut part = interval_at(first, Duration::from_millis(600));
    let tenth = Duration::from_millis(100);
    let any: SocketAddr = "127.0.0.1:0".parse().expect("an address");

    part.tick().await;
    println!("A server and a client with options of their own:");
    let listener = listen(any, true)?;
    let address = listener.local_addr()?;
    let client = connect(address, 50_000).await?;
    println!("the client sends at once: {}", client.nodelay()?);
    try_join!(serve_one(&listener), ask(client, "hello"))?;

    part.tick().await;
    println!("The server begins anew on its port:");
    drop(listener);
    for reuse in [false, true] {
        match listen(address, reuse) {
            Ok(_) => println!("reuse the address, {reuse}: listening"),
            Err(error) => println!("reuse the address, {reuse}: {}", error.kind()),
        }
    }
    TcpListener::bind(address).await?;
    println!("with the option that is the usual one: listening");

    part.tick().await;
    println!("A connection that other code has accepted:");
    let listener = std::net::TcpListener::bind(any)?;
    let address = listener.local_addr()?;
    let accepting = spawn_blocking(move || listener.accept());
    let client = connect(address, 50_000).await?;
    let (accepted, _) = accepting.await??;
    try_join!(answer(adopt(accepted)?), ask(client, "adopted"))?;

    part.tick().await;
    println!("Called back with what can be read, for 0.25 s:");
    let (mut client, server) = pair(50_000).await?;
    let server = Arc::new(server);
    let reader = add_reader(Arc::clone(&server), |read| match read {
        Ok(data) => println!("called with {}", data.escape_ascii()),
        Err(error) => println!("called with {}", error.kind()),
    });
    for text in ["one", "two"] {
        sleep(tenth).await;
        client.write_all(text.as_bytes()).await?;
    }
    sleep(tenth / 2).await;
    // loop.remove_reader(sock)
    reader.remove().await;
    sleep(tenth / 2).await;
    client.write_all(b"three").await?;
    sleep(tenth).await;
    let mut buffer = [0; 100];
    server.readable().await?;
    let size = server.try_read(&mut buffer)?;
    println!("read without a callback: {}", buffer[..size].escape_ascii());

    part.tick().await;
    println!("Written while there is room, and the other side reads late:");
    let (client, mut server) = pair(50_000).await?;
    let sending = async {
        // More than the system takes of anybody who does not read.
        send(&client, &vec![b'x'; 2_000_000]).await?;
        println!("all is written");
        drop(client);
        io::Result::Ok(())
    };
    let reading = async {
        sleep(2 * tenth).await;
        println!("the other side begins to read");
        let mut data = Vec::new();
        server.read_to_end(&mut data).await?;
        println!("it got {} bytes", data.len());
        Ok(())
    };
    try_join!(sending, reading)?;

    part.tick().await;
    println!("Datagrams:");
    let (a, b) = try_join!(UdpSocket::bind(any), UdpSocket::bind(any))?;
    // await loop.sock_sendto(a, b"ping", b.getsockname())
    a.send_to(b"ping", b.local_addr()?).await?;
    // data, sender = await loop.sock_recvfrom(b, 100)
    let (size, sender) = b.recv_from(&mut buffer).await?;
    println!("b got {}", buffer[..size].escape_ascii());
    b.send_to(b"pong", sender).await?;
    let (size, _) = a.recv_from(&mut buffer).await?;
    println!("a got {}", buffer[..size].escape_ascii());
    Ok(())
}

#[tokio::main]
pub async fn main() -> io::Result<()> {
    run().await
}
