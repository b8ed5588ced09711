//! A server like asyncio's start_server: several addresses, start later, close.
//!
//! asyncio's `Server` becomes three things here: a task that accepts on each listener, a
//! `CancellationToken` that ends the task, and a `TaskTracker` that counts the
//! connections. `Server::close` ends the task and drops the listeners; the connections
//! stay open.
//!
//! For asyncio's `start_serving=False`, call `bind` now and `Server::start_serving`
//! later. `bind` returns sockets that do not listen yet, so they refuse clients. Until a
//! socket listens, another program can take its port.
//!
//! For a name with several addresses, such as `localhost`, `TcpListener::bind` listens on
//! the first address that works; `start_server` listens on all. Bind one for each.
//!
//! A program that is not async, for example a test, can use the server too. It keeps a
//! `Runtime`, starts the server inside `Runtime::enter`, and stops it by
//! `block_on(server.close())`.
//!
//! Bounds: At most `limit` connections are open; further clients wait. Unbounded: The
//! time of a connection. Put a `timeout` into the handler.
//!
//! Trap: If you port a program that awaits `wait_closed` in Python up to 3.11, your stop
//! may hang. In those versions `wait_closed` returns immediately. Here it waits until all
//! connections have ended, as in Python since 3.12. Put a `timeout` around it, or call
//! `close_clients`.
//!
//! Trap: If you restart a server by SO_REUSEPORT (the old and the new process listen at
//! the same port), some clients are reset. These clients wait in the backlog of the old
//! process (not accepted yet) when it closes. Let systemd hold the listening socket and
//! pass it to each new process.
//!
//! Platforms: On Windows `reuse_port` is an error (`Unsupported`).
//!
//! See also: `runtime_on_a_thread`, `shutdown_in_three_steps`.
//!
//! asyncio: asyncio.start_server, asyncio.start_server(reuse_port=), asyncio.Server
//! asyncio: asyncio.Server.start_serving, asyncio.Server.serve_forever

use std::future::Future;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::select_all;
use socket2::SockRef;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tokio_util::task::{AbortOnDropHandle, TaskTracker};

/// Returns sockets that are bound to the addresses and do not listen yet.
///
/// # Errors
///
/// `AddrInUse` if another socket listens at one of the addresses. With `reuse_port`, only
/// if that socket was bound without it.
///
/// # Panics
///
/// Outside a Tokio runtime.
pub fn bind(addresses: &[SocketAddr], reuse_port: bool) -> io::Result<Vec<TcpSocket>> {
    let sockets = addresses.iter().map(|&address| {
        let socket = match address {
            SocketAddr::V4(_) => TcpSocket::new_v4()?,
            SocketAddr::V6(_) => TcpSocket::new_v6()?,
        };
        // Otherwise `[::]` would take the port of `0.0.0.0` as well.
        if address.is_ipv6() {
            SockRef::from(&socket).set_only_v6(true)?;
        }
        // As in `start_server` and `TcpListener::bind`. On Windows the option means
        // something else.
        #[cfg(unix)]
        socket.set_reuseaddr(true)?;
        #[cfg(unix)]
        socket.set_reuseport(reuse_port)?;
        #[cfg(not(unix))]
        if reuse_port {
            return Err(ErrorKind::Unsupported.into());
        }
        socket.bind(address)?;
        Ok(socket)
    });
    sockets.collect()
}

/// Accepts on some addresses until it is closed or dropped. The connections stay open.
#[derive(Debug)]
pub struct Server {
    addresses: Vec<SocketAddr>,
    closing: CancellationToken,
    closed: CancellationToken,
    clients: CancellationToken,
    connections: TaskTracker,
    _accepting: AbortOnDropHandle<()>,
}

impl Server {
    /// Listens, and calls the handler with each connection, in its own task. At most
    /// `limit` connections are open at the same time.
    ///
    /// # Errors
    ///
    /// The system's error, if a socket cannot listen.
    ///
    /// # Panics
    ///
    /// Without a socket, or if `limit` is 0.
    pub fn start_serving<H, F>(
        sockets: Vec<TcpSocket>,
        limit: usize,
        handle: H,
    ) -> io::Result<Self>
    where
        H: Fn(TcpStream) -> F + Send + Sync + 'static,
        F: Future<Output = ()> + Send + 'static,
    {
        assert!(!sockets.is_empty() && limit > 0, "nobody would be served");
        let listeners = sockets.into_iter().map(|socket| socket.listen(1024));
        let listeners: Vec<TcpListener> = listeners.collect::<io::Result<_>>()?;
        let addresses = listeners.iter().map(TcpListener::local_addr);
        let addresses = addresses.collect::<io::Result<_>>()?;
        let [closing, closed, clients] = [(); 3].map(|()| CancellationToken::new());
        let connections = TaskTracker::new();
        let (close, stop) = (closing.clone(), clients.clone());
        let (is_closed, tracker) = (closed.clone(), connections.clone());
        let permits = Arc::new(Semaphore::new(limit.min(Semaphore::MAX_PERMITS)));
        let handle = Arc::new(handle);
        let accepting = tokio::spawn(async move {
            // Dropped last, when the listeners are closed.
            let _closed = is_closed.drop_guard();
            let listeners = listeners;
            let mut next = 0;
            let serve = async {
                loop {
                    // One permit for the next client, whichever address it comes to.
                    let permit = Arc::clone(&permits).acquire_owned().await;
                    let permit = permit.expect("nobody closes the semaphore");
                    // Each turn begins with another listener.
                    let (before, after) = listeners.split_at(next);
                    let accepting =
                        after.iter().chain(before).map(|it| accept(it).boxed());
                    let (stream, index, _) = select_all(accepting).await;
                    next = (next + index + 1) % listeners.len();
                    let (stop, handle) = (stop.clone(), Arc::clone(&handle));
                    tracker.spawn(async move {
                        let _permit = permit;
                        // As in asyncio: small writes are sent immediately.
                        let _ = stream.set_nodelay(true);
                        // Called here, where a panic ends this connection alone.
                        stop.run_until_cancelled(handle(stream)).await
                    });
                }
            };
            close.run_until_cancelled(serve).await;
        });
        Ok(Self {
            addresses,
            closing,
            closed,
            clients,
            connections,
            _accepting: AbortOnDropHandle::new(accepting),
        })
    }

    /// Returns the addresses, with the ports that the system chose.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Returns whether the server listens.
    pub fn is_serving(&self) -> bool {
        !self.closed.is_cancelled()
    }

    /// Waits until the server is closed. Dropping the future closes the server.
    pub async fn serve_forever(&self) {
        let _close = self.closing.clone().drop_guard();
        self.closed.cancelled().await;
    }

    /// Stops accepting, and waits until the listeners are closed. The connections stay
    /// open.
    /// If the future is dropped, the server closes as well.
    pub async fn close(&self) {
        self.connections.close();
        self.closing.cancel();
        self.closed.cancelled().await;
    }

    /// Ends the connections, each at its current await. An answer that is being written
    /// is cut off there, and its client sees a clean end. If it could take the part for
    /// the whole, let the handler call `set_zero_linger` first: then it sees a reset.
    pub fn close_clients(&self) {
        self.clients.cancel();
    }

    /// Waits until the server is closed and all connections have ended. Cancel-safe.
    pub async fn wait_closed(&self) {
        self.closed.cancelled().await;
        self.connections.close();
        self.connections.wait().await;
    }
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

/// Sends back all bytes, at each address: `cargo run -- 127.0.0.1:8000 [::1]:8000`.
#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let addresses = std::env::args().skip(1).map(|address| address.parse());
    let addresses: Vec<SocketAddr> = addresses.collect::<Result<_, _>>()?;
    if addresses.is_empty() {
        return Err("usage: ADDRESS...".into());
    }
    let echo = |mut stream: TcpStream| async move {
        let (mut reader, mut writer) = stream.split();
        let copying = tokio::io::copy(&mut reader, &mut writer);
        let _ended = tokio::time::timeout(Duration::from_secs(600), copying).await;
    };
    let server = Server::start_serving(bind(&addresses, false)?, 1000, echo)?;
    println!("at {:?}", server.addresses());
    tokio::signal::ctrl_c().await?;
    server.close().await;
    let grace = Duration::from_secs(10);
    if tokio::time::timeout(grace, server.wait_closed())
        .await
        .is_err()
    {
        server.close_clients();
    }
    server.wait_closed().await;
    Ok(())
}

//@ clock: real
//@ try: -> usage: ADDRESS
