//! Servers that answer, answer too much, fall silent and are not there.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::task::AbortOnDropHandle;

use crate::tcp_client::{Limits, ask};

/// Answers the first line with as many bytes as it says, and "wait" never.
async fn answer(mut stream: TcpStream) -> io::Result<()> {
    let mut request = String::new();
    stream.read_to_string(&mut request).await?;
    match request.parse() {
        Ok(bytes) => stream.write_all(&vec![b'x'; bytes]).await,
        Err(_) => std::future::pending().await,
    }
}

async fn start() -> io::Result<(SocketAddr, AbortOnDropHandle<io::Result<()>>)> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let serving = tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await?;
            tokio::spawn(answer(stream));
        }
    });
    Ok((address, AbortOnDropHandle::new(serving)))
}

async fn show(server: SocketAddr, request: &str, limits: Limits) {
    match ask(server, request.as_bytes(), limits).await {
        Ok(answer) => println!("{request}: {} bytes", answer.len()),
        Err(error) => println!("{request}: {}", error.kind()),
    }
}

pub async fn run() -> io::Result<()> {
    let limits = Limits {
        connect: Duration::from_secs(30),
        exchange: Duration::from_secs(30),
        answer: 1_000,
    };
    let (server, serving) = start().await?;
    println!("The longest answer, and one byte more:");
    show(server, "1000", limits).await;
    show(server, "1001", limits).await;

    println!("No answer within 0.3 s:");
    let exchange = Duration::from_millis(300);
    show(server, "wait", Limits { exchange, ..limits }).await;

    println!("No server:");
    drop(serving);
    let nobody = TcpListener::bind("127.0.0.1:0").await?;
    let address = nobody.local_addr()?;
    drop(nobody);
    show(address, "hello", limits).await;
    Ok(())
}
