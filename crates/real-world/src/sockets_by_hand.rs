//! Sockets by hand: options, `add_reader`, `sock_recv`, a socket that others accepted.
//!
//! Use this if your Python code calls `loop.sock_*` or `add_reader`. A
//! `tokio::net::TcpSocket` does not listen or connect yet: set its options and bind it
//! first. Then `accept`, `read` and `write_all` take the place of `sock_accept`,
//! `sock_recv` and `sock_sendall`.
//!
//! `add_reader` becomes a task that awaits `readable` and then calls `try_read`.
//! `readable` may return although there is nothing to read. Then `try_read` returns
//! `WouldBlock`, and the task waits again.
//!
//! `TcpStream::from_std` takes over a socket of the standard library. For any other file
//! descriptor, use `tokio::io::unix::AsyncFd`.
//!
//! To notice that the peer has ended its side while you leave its data unread, await
//! `ready(tokio::io::Interest::PRIORITY)` on Linux. On other systems, call `peek`: it
//! returns 0 after the end, but only if no data is unread. A peer that has ended its side
//! may still read what you send.
//!
//! Trap: If you restart a server that uses `TcpSocket`, it may be refused for a minute
//! ("address in use"), because a `TcpSocket` has no option set, not even SO_REUSEADDR.
//! Call `set_reuseaddr(true)` before you bind.
//!
//! Trap: If you pass a blocking socket to `from_std`, it panics: "a blocking socket
//! with the tokio runtime is unsupported". In a release build it blocks a thread of
//! Tokio instead. Call `set_nonblocking(true)` first.
//!
//! In production: The crate `socket2` has the options that Tokio lacks.
//!
//! Platforms: On Windows a blocking socket always blocks a thread. There `listen` never
//! sets SO_REUSEADDR, which would let other programs take the port.
//!
//! asyncio: loop.sock_accept, loop.sock_connect, loop.sock_recv, loop.sock_recv_into
//! asyncio: loop.sock_sendall, loop.sock_recvfrom, loop.sock_sendto, loop.add_reader

use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::select;
use tokio::task::JoinHandle;
use tokio::task::coop::consume_budget;
use tokio_util::sync::CancellationToken;

/// Returns a listener with options that `TcpListener::bind` does not have.
///
/// # Errors
///
/// `AddrInUse` if another socket listens there. Without `reuse` even if a connection of
/// the previous listener ended less than a minute ago.
pub fn listen(address: SocketAddr, reuse: bool) -> io::Result<TcpListener> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    // On Windows the option would let other programs take the port.
    if cfg!(unix) {
        socket.set_reuseaddr(reuse)?;
    }
    socket.bind(address)?;
    // How many connections the system completes before they are accepted.
    socket.listen(1024)
}

/// Connects, with options that must be set before.
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
pub fn adopt(accepted: std::net::TcpStream) -> io::Result<TcpStream> {
    accepted.set_nonblocking(true)?;
    TcpStream::from_std(accepted)
}

/// A task that calls back. Only [`remove`](Self::remove) ends it; dropping it does not.
#[derive(Debug)]
pub struct Reader {
    removed: CancellationToken,
    task: JoinHandle<()>,
}

/// Calls back with the received bytes, until the end of the stream or an error.
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
                // Nothing could be read after all.
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
    /// Waits until no callback runs and none will follow. Later data stays in the socket.
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

/// Writes while there is room, and waits while there is none. In asyncio a callback of
/// `add_writer` does this, until the last byte.
///
/// # Errors
///
/// If the connection is lost. A dropped future may have written a part.
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

/// Sends a text and shows the replies, until Ctrl-C: `cargo run -- 127.0.0.1:8000 hello`.
#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(address), Some(text)) = (arguments.next(), arguments.next()) else {
        return Err("usage: ADDRESS TEXT".into());
    };
    let socket = Arc::new(connect(address.parse()?, 50_000).await?);
    let reader = add_reader(Arc::clone(&socket), |read| match read {
        Ok(data) => println!("{}", data.escape_ascii()),
        Err(error) => println!("{error}"),
    });
    send(&socket, text.as_bytes()).await?;
    tokio::signal::ctrl_c().await?;
    reader.remove().await;
    Ok(())
}

//@ clock: real
//@ try: 127.0.0.1:1 hello -> refused
