//! A server that greets and reads late, one that never ends, and a task that reads.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio_util::task::AbortOnDropHandle;

use crate::close_a_connection::{close, close_with_reader};

const LONG: Duration = Duration::from_secs(30);

const SENT: usize = 100_000;

/// Greets one client, and reads when it is told to. Returns how many bytes came.
async fn greet(
    start: oneshot::Receiver<()>,
) -> io::Result<(SocketAddr, JoinHandle<io::Result<usize>>)> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let serving = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await?;
        stream.write_all(b"welcome\n").await?;
        let _ = start.await;
        let mut data = Vec::new();
        stream.read_to_end(&mut data).await?;
        stream.write_all(b"goodbye\n").await?;
        Ok(data.len())
    });
    Ok((address, serving))
}

/// Connects, and sends when the greeting is there, unread.
async fn send(address: SocketAddr) -> io::Result<TcpStream> {
    let mut stream = TcpStream::connect(address).await?;
    stream.readable().await?;
    stream.write_all(&[b'x'; SENT]).await?;
    Ok(stream)
}

fn report(got: &io::Result<usize>) {
    match got {
        Ok(SENT) => println!("the server has got all"),
        // The error is a reset or a broken pipe.
        _ => println!("the server has got a part"),
    }
}

pub async fn run() -> io::Result<()> {
    println!("Shut down and dropped, with the greeting unread:");
    let (start, told) = oneshot::channel();
    let (address, server) = greet(told).await?;
    let mut stream = send(address).await?;
    stream.shutdown().await?;
    drop(stream);
    let _ = start.send(());
    report(&server.await?);

    println!("Read to the end before it is dropped:");
    let (start, told) = oneshot::channel();
    let (address, server) = greet(told).await?;
    let stream = send(address).await?;
    let _ = start.send(());
    close(stream, LONG).await?;
    report(&server.await?);

    println!("A task reads the other half:");
    let (start, told) = oneshot::channel();
    let (address, server) = greet(told).await?;
    let (mut reader, writer) = send(address).await?.into_split();
    let reading = tokio::spawn(async move {
        let mut text = String::new();
        reader.read_to_string(&mut text).await.map(|_| text)
    });
    let _ = start.send(());
    let reading = AbortOnDropHandle::new(reading);
    let text = close_with_reader(writer, reading, LONG).await??;
    println!("the task has read {}", text.trim_end().replace('\n', ", "));
    report(&server.await?);

    println!("The server never ends its side:");
    let (_start, never) = oneshot::channel();
    let (address, _server) = greet(never).await?;
    let stream = send(address).await?;
    let limit = Duration::from_millis(300);
    if let Err(error) = close(stream, limit).await {
        println!("{}", error.kind());
    }
    Ok(())
}
