//! The `Server` of `start_server`: several addresses, start later, close, reuse a port.
//!
//! A server is a task that accepts on each listener, a token that ends it, and a
//! `TaskTracker` that knows the connections. A `TcpSocket` that is bound has its port,
//! but clients are refused until it listens: that is `start_serving=False`. To close is
//! to drop the listeners, and connections go on. The trap is `wait_closed`: up to Python
//! 3.11 it returns at once, since 3.12 it waits for the connections, for ever if need be.
//! Here you choose: `wait` of the tracker, with a `timeout`, or the token of the clients,
//! which is `close_clients` of 3.13. Who drops `serve_forever` closes the server. With
//! SO_REUSEPORT a new process can listen before the old one ends; what waits in the
//! backlog of the old one is reset when that closes, so let it accept those first. A
//! limit of connections is in `tcp_echo_server`, signals in `graceful_shutdown`.
//!
//! asyncio: asyncio.start_server, asyncio.start_server(reuse_port=), asyncio.Server
//! asyncio: asyncio.Server.start_serving, asyncio.Server.serve_forever
//! asyncio: asyncio.Server.is_serving, asyncio.Server.sockets, asyncio.Server.close
//! asyncio: asyncio.Server.wait_closed, asyncio.Server.close_clients
//! asyncio: asyncio.AbstractServer, asyncio.AbstractServer.start_serving
//! asyncio: asyncio.AbstractServer.serve_forever, asyncio.AbstractServer.is_serving
//! asyncio: asyncio.AbstractServer.close, asyncio.AbstractServer.wait_closed
//! asyncio: asyncio.AbstractServer.close_clients
//! clock: real

use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::time::Duration;

use futures::future::join_all;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::time::{Instant, interval_at, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::{AbortOnDropHandle, TaskTracker};

/// Takes the addresses, and does not serve yet.
///
/// # Errors
///
/// `AddrInUse`, if others have one of them; with `reuse_port`, if these have it without.
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

/// Accepts on some addresses, until it is closed or dropped. The connections go on.
pub struct Server {
    addresses: Vec<SocketAddr>,
    closing: CancellationToken,
    clients: CancellationToken,
    connections: TaskTracker,
    accepting: AbortOnDropHandle<()>,
}

impl Server {
    /// Listens, and calls the handler with each connection, in a task of its own.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn start_serving<H, F>(sockets: Vec<TcpSocket>, handle: H) -> io::Result<Self>
    where
        H: Fn(TcpStream) -> F + Send + Sync + 'static,
        F: Future<Output = ()> + Send + 'static,
    {
        let listeners = sockets.into_iter().map(|socket| socket.listen(128));
        let listeners: Vec<TcpListener> = listeners.collect::<io::Result<_>>()?;
        let addresses = listeners.iter().map(TcpListener::local_addr);
        let addresses = addresses.collect::<io::Result<_>>()?;
        let (closing, clients) = (CancellationToken::new(), CancellationToken::new());
        let connections = TaskTracker::new();
        let (close, stop) = (closing.clone(), clients.clone());
        let tracker = connections.clone();
        let accepting = tokio::spawn(async move {
            // One loop for each listener, all of them in this task.
            let loops = listeners.iter().map(async |listener| {
                loop {
                    let client = handle(accept(listener).await);
                    let stop = stop.clone();
                    tracker.spawn(async move { stop.run_until_cancelled(client).await });
                }
            });
            close.run_until_cancelled(join_all(loops)).await;
        });
        let accepting = AbortOnDropHandle::new(accepting);
        Ok(Self {
            addresses,
            closing,
            clients,
            connections,
            accepting,
        })
    }

    /// Where it serves: the ports that the system chose.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Whether it accepts, as far as its task has got.
    pub fn is_serving(&self) -> bool {
        !self.accepting.is_finished()
    }

    /// Returns when it was closed. Dropped, it closes the server.
    pub async fn serve_forever(mut self) {
        (&mut self.accepting)
            .await
            .expect("the handler does not panic");
    }

    /// Accepts no more, and returns when the listeners are closed. The connections go on.
    pub async fn close(&mut self) {
        self.closing.cancel();
        if !self.accepting.is_finished() {
            (&mut self.accepting)
                .await
                .expect("the handler does not panic");
        }
        self.connections.close();
    }

    /// Ends the connections, wherever they are.
    pub fn close_clients(&self) {
        self.clients.cancel();
    }

    /// Waits until it is closed, and all connections have ended. Cancel-safe.
    pub async fn wait_closed(&self) {
        self.connections.wait().await;
    }
}

/// The next connection, however long it takes.
async fn accept(listener: &TcpListener) -> TcpStream {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => return stream,
            // The client was gone before its turn came.
            Err(error) if error.kind() == ErrorKind::ConnectionAborted => {}
            // Out of file descriptors or memory: without a pause this would spin.
            Err(error) => {
                eprintln!("no connection: {error}");
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
    Server::start_serving(sockets, move |stream| async move {
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
    let mut old = start("old", sockets)?;
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
    let mut new = start("new", sockets)?;
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
