//! The `Server` of `start_server`: several addresses, start later, close, reuse a port.
//!
//! A server is a task that accepts on each listener, a token that ends it, and a
//! `TaskTracker` of the connections. A `TcpSocket` that is bound owns its port, but
//! refuses clients until it listens: `start_serving=False`. `close` drops the listeners.
//!
//! Bounds: a limit of connections. Their time is the handler's matter.
//!
//! Trap: up to Python 3.11 `wait_closed` returns at once; since 3.12 it waits for the
//! connections. Here it waits: put a `timeout` around it, or call `close_clients`.
//!
//! Trap: with SO_REUSEPORT a new process can listen before the old one closes. Clients in
//! the old backlog are reset then. Pass the listening socket on instead (systemd).
//!
//! asyncio: asyncio.start_server, asyncio.start_server(reuse_port=), asyncio.Server
//! asyncio: asyncio.Server.start_serving, asyncio.Server.serve_forever
//! clock: real

use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use socket2::SockRef;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{Instant, interval_at, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::{AbortOnDropHandle, TaskTracker};

/// Binds the addresses, and does not serve yet.
///
/// # Errors
///
/// `AddrInUse` if another socket has one of the addresses. With `reuse_port` only if that
/// socket was bound without.
///
/// # Panics
///
/// Outside of a Tokio runtime.
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
        // As `start_server` and `TcpListener::bind` have it; on Windows it means
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

/// Accepts on some addresses until it is closed or dropped. The connections go on.
pub struct Server {
    addresses: Vec<SocketAddr>,
    closing: CancellationToken,
    closed: CancellationToken,
    clients: CancellationToken,
    connections: TaskTracker,
    _accepting: AbortOnDropHandle<()>,
}

impl Server {
    /// Listens, and calls the handler with each connection, in a task of its own. At most
    /// `limit` connections are open at once.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn start_serving<H, F>(
        sockets: Vec<TcpSocket>,
        limit: usize,
        handle: H,
    ) -> io::Result<Self>
    where
        H: Fn(TcpStream) -> F + Send + Sync + 'static,
        F: Future<Output = ()> + Send + 'static,
    {
        let listeners = sockets.into_iter().map(|socket| socket.listen(1024));
        let listeners: Vec<TcpListener> = listeners.collect::<io::Result<_>>()?;
        let addresses = listeners.iter().map(TcpListener::local_addr);
        let addresses = addresses.collect::<io::Result<_>>()?;
        let [closing, closed, clients] = [(); 3].map(|()| CancellationToken::new());
        let connections = TaskTracker::new();
        let (close, stop) = (closing.clone(), clients.clone());
        let (is_closed, tracker) = (closed.clone(), connections.clone());
        let (permits, handle) = (Arc::new(Semaphore::new(limit)), Arc::new(handle));
        let accepting = tokio::spawn(async move {
            // Dropped last, when the listeners are closed.
            let _closed = is_closed.drop_guard();
            let listeners = listeners;
            // One loop for each listener, all of them in this task.
            let loops = listeners.iter().map(async |listener| {
                loop {
                    let permit = Arc::clone(&permits).acquire_owned().await;
                    let permit = permit.expect("nobody closes the semaphore");
                    let stream = accept(listener).await;
                    let (stop, handle) = (stop.clone(), Arc::clone(&handle));
                    tracker.spawn(async move {
                        let _permit = permit;
                        // Called here, where a panic ends this connection alone.
                        stop.run_until_cancelled(handle(stream)).await
                    });
                }
            });
            close.run_until_cancelled(join_all(loops)).await;
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

    /// Returns whether it listens.
    pub fn is_serving(&self) -> bool {
        !self.closed.is_cancelled()
    }

    /// Returns when the server was closed. Dropped, it closes the server.
    pub async fn serve_forever(&self) {
        let _close = self.closing.clone().drop_guard();
        self.closed.cancelled().await;
    }

    /// Accepts no more, and returns when the listeners are closed. The connections go on.
    /// Dropped, it closes the server as well.
    pub async fn close(&self) {
        self.connections.close();
        self.closing.cancel();
        self.closed.cancelled().await;
    }

    /// Ends the connections, each at its current await.
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

/// Sends back what comes, after the server's name.
async fn answer(name: &'static str, mut stream: TcpStream) -> io::Result<()> {
    let mut buffer = [0; 100];
    loop {
        let size = stream.read(&mut buffer).await?;
        if size == 0 {
            return Ok(());
        }
        let answer = [name.as_bytes(), b": ", &buffer[..size]].concat();
        stream.write_all(&answer).await?;
    }
}

pub fn start(name: &'static str, sockets: Vec<TcpSocket>) -> io::Result<Server> {
    Server::start_serving(sockets, 1000, move |stream| async move {
        if let Err(error) = answer(name, stream).await {
            println!("{name}: {}", error.kind());
        }
    })
}

async fn ask(stream: &mut TcpStream, text: &str) -> io::Result<()> {
    stream.write_all(text.as_bytes()).await?;
    let mut buffer = [0; 100];
    let size = stream.read(&mut buffer).await?;
    println!("{}", buffer[..size].escape_ascii());
    Ok(())
}

async fn visit(address: SocketAddr) -> io::Result<()> {
    match TcpStream::connect(address).await {
        Ok(mut stream) => ask(&mut stream, "hello").await,
        Err(error) => {
            println!("{}", error.kind());
            Ok(())
        }
    }
}

pub async fn run() -> io::Result<()> {
    // Each part begins at its time, however long the one before it took.
    let first = Instant::now() + Duration::from_millis(200);
    let mut part = interval_at(first, Duration::from_millis(600));
    let tenth = Duration::from_millis(100);
    // A Mac has to be told of the second one: ifconfig lo0 alias 127.0.0.2
    let addresses = ["127.0.0.1:0", "127.0.0.2:0"]
        .map(|address| address.parse().expect("an address"));

    part.tick().await;
    println!("Bound to two addresses, and started later:");
    let sockets = bind(&addresses, true)?;
    let bound: Vec<SocketAddr> = sockets
        .iter()
        .map(TcpSocket::local_addr)
        .collect::<io::Result<_>>()?;
    visit(bound[0]).await?;
    let old = start("old", sockets)?;
    println!("is serving: {}", old.is_serving());
    for address in old.addresses() {
        println!("at {}", address.ip());
        visit(*address).await?;
    }

    part.tick().await;
    println!("Another server takes over the first address:");
    match bind(&bound[..1], false) {
        Ok(_) => println!("without reuse_port: bound"),
        Err(error) => println!("without reuse_port: {}", error.kind()),
    }
    let sockets = bind(&bound[..1], true)?;
    println!("with reuse_port: bound");
    let mut client = TcpStream::connect(bound[0]).await?;
    ask(&mut client, "hello").await?;
    let new = start("new", sockets)?;
    old.close().await;
    println!("the old one is serving: {}", old.is_serving());
    visit(bound[0]).await?;
    ask(&mut client, "the rest").await?;
    if timeout(tenth, old.wait_closed()).await.is_err() {
        println!("the old one has a client");
    }
    drop(client);
    old.wait_closed().await;
    println!("the old one is closed");

    part.tick().await;
    println!("Closed together with its clients:");
    let mut client = TcpStream::connect(bound[0]).await?;
    ask(&mut client, "hello").await?;
    new.close().await;
    visit(bound[0]).await?;
    sleep(tenth).await;
    new.close_clients();
    new.wait_closed().await;
    let size = client.read(&mut [0; 100]).await?;
    println!("the client got {size} bytes and the end");

    part.tick().await;
    println!("Served for 0.2 s:");
    let last = start("last", bind(&addresses[..1], false)?)?;
    let address = last.addresses()[0];
    let serving = timeout(2 * tenth, last.serve_forever());
    let visits = async {
        visit(address).await?;
        sleep(3 * tenth).await;
        visit(address).await
    };
    let (served, visited) = tokio::join!(serving, visits);
    visited?;
    println!("cancelled: {}", served.is_err());
    Ok(())
}

#[tokio::main]
pub async fn main() -> io::Result<()> {
    run().await
}
