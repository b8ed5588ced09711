//! Clients and servers that end their side, send nothing, and vanish.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio::time::sleep;
use tokio::{join, try_join};
use tokio_util::sync::CancellationToken;

use crate::tcp_proxy::{Limits, serve};

/// A proxy that runs, and the server behind it.
struct Proxy {
    address: SocketAddr,
    stop: CancellationToken,
    task: JoinHandle<usize>,
}

impl Proxy {
    async fn start(upstream: SocketAddr) -> io::Result<Self> {
        // Nothing takes as long but what shall.
        let [connect, idle, drain] = [30_000, 1_000, 500].map(Duration::from_millis);
        let limits = Limits {
            connections: 2,
            connect,
            idle,
            drain,
        };
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let stop = CancellationToken::new();
        let serving = serve(listener, upstream.to_string(), limits, stop.clone());
        Ok(Self {
            address,
            stop,
            task: tokio::spawn(serving),
        })
    }

    /// Returns both ends of a connection through the proxy.
    async fn through(&self, server: &TcpListener) -> io::Result<(TcpStream, TcpStream)> {
        let connecting = TcpStream::connect(self.address);
        let (client, (server, _)) = try_join!(connecting, server.accept())?;
        Ok((client, server))
    }
}

/// What a peer reads at the end.
async fn rest(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    match stream.read_to_end(&mut bytes).await {
        Ok(size) => format!("{size} bytes and the end"),
        Err(error) => error.kind().to_string(),
    }
}

pub async fn run() -> io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let proxy = Proxy::start(listener.local_addr()?).await?;

    println!("A client that ends its side before the answer:");
    let (mut client, mut server) = proxy.through(&listener).await?;
    client.write_all(&[b'x'; 50_000]).await?;
    client.shutdown().await?;
    println!("the server got {}", rest(&mut server).await);
    server.write_all(b"thanks").await?;
    drop(server);
    println!("the client got {}", rest(&mut client).await);

    println!("A download of 1.6 seconds, with an idle limit of one second:");
    let (mut client, mut server) = proxy.through(&listener).await?;
    for _ in 0..4 {
        sleep(Duration::from_millis(400)).await;
        server.write_all(b"piece").await?;
    }
    drop(server);
    println!("the client got {}", rest(&mut client).await);
    drop(client);

    println!("Both sides are silent:");
    let (mut client, mut server) = proxy.through(&listener).await?;
    let (client, server) = join!(rest(&mut client), rest(&mut server));
    println!("the client got {client}, the server got {server}");

    println!("The client vanishes:");
    let (client, mut server) = proxy.through(&listener).await?;
    client.set_zero_linger()?;
    drop(client);
    println!("the server got {}", rest(&mut server).await);

    println!("No server listens:");
    let nowhere = TcpListener::bind("127.0.0.1:0").await?.local_addr()?;
    let other = Proxy::start(nowhere).await?;
    // The reset may come before `connect` has returned.
    let got = match TcpStream::connect(other.address).await {
        Ok(mut client) => rest(&mut client).await,
        Err(error) => error.kind().to_string(),
    };
    println!("the client got {got}");
    other.stop.cancel();
    println!("cut off: {}", other.task.await?);

    println!("The proxy stops while two are connected:");
    let (mut client, mut server) = proxy.through(&listener).await?;
    let (mut other, _server) = proxy.through(&listener).await?;
    proxy.stop.cancel();
    sleep(Duration::from_millis(100)).await;
    if let Err(error) = TcpStream::connect(proxy.address).await {
        println!("a new client: {}", error.kind());
    }
    server.write_all(b"the rest").await?;
    drop(server);
    println!("the client got {}", rest(&mut client).await);
    drop(client);
    println!("cut off: {}", proxy.task.await?);
    println!("the other got {}", rest(&mut other).await);
    Ok(())
}
