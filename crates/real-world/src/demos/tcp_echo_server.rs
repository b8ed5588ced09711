//! Clients that wait, end their side, vanish, send nothing, and stay.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::sleep;
use tokio::{join, try_join};
use tokio_util::sync::CancellationToken;

use crate::tcp_echo_server::{Limits, serve};

/// Sends a text, and waits for as many bytes.
pub async fn exchange(stream: &mut TcpStream, text: &str) -> io::Result<String> {
    stream.write_all(text.as_bytes()).await?;
    let mut answer = vec![0; text.len()];
    stream.read_exact(&mut answer).await?;
    String::from_utf8(answer)
        .map_err(|error| io::Error::new(ErrorKind::InvalidData, error))
}

/// Connects after some milliseconds, and leaves 0.3 s after the answer.
async fn visit(address: SocketAddr, name: &str, after: u64) -> io::Result<()> {
    sleep(Duration::from_millis(after)).await;
    let mut stream = TcpStream::connect(address).await?;
    println!("{name} is connected");
    println!("{name} got {}", exchange(&mut stream, "hello").await?);
    sleep(Duration::from_millis(300)).await;
    println!("{name} leaves");
    Ok(())
}

/// What a client reads at the end.
async fn rest(mut stream: TcpStream) -> io::Result<usize> {
    stream.read_to_end(&mut Vec::new()).await
}

pub async fn run() -> io::Result<()> {
    // Nothing takes as long but what shall.
    let [idle, drain] = [1_000, 500].map(Duration::from_millis);
    let limits = Limits {
        connections: 2,
        idle,
        drain,
    };
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let stop = CancellationToken::new();
    let server = tokio::spawn(serve(listener, limits, stop.clone()));

    println!("Three clients, of which two are served at the same time:");
    try_join!(
        visit(address, "a", 0),
        visit(address, "b", 100),
        visit(address, "c", 200),
    )?;

    println!("A client that ends its side before it reads:");
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(&[b'x'; 50_000]).await?;
    stream.shutdown().await?;
    println!("d got {} bytes and the end", rest(stream).await?);

    println!("A client that vanishes:");
    let mut stream = TcpStream::connect(address).await?;
    exchange(&mut stream, "hello").await?;
    stream.set_zero_linger()?;
    drop(stream);
    visit(address, "f", 100).await?;

    println!("A client that sends nothing:");
    let stream = TcpStream::connect(address).await?;
    println!("g got {} bytes and the end", rest(stream).await?);

    println!("The server stops while two are connected:");
    let mut h = TcpStream::connect(address).await?;
    exchange(&mut h, "hello").await?;
    let mut i = TcpStream::connect(address).await?;
    exchange(&mut i, "hello").await?;
    stop.cancel();
    let clients = async {
        sleep(Duration::from_millis(100)).await;
        if let Err(error) = TcpStream::connect(address).await {
            println!("j: {}", error.kind());
        }
        println!("h got {}", exchange(&mut h, "the rest").await?);
        drop(h);
        io::Result::Ok(())
    };
    let (cut_off, clients) = join!(server, clients);
    clients?;
    println!("cut off: {}", cut_off?);
    println!("i got {} bytes and the end", rest(i).await?);
    Ok(())
}
