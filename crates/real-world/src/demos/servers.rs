//! Two addresses, a server that takes over from another one, and clients that stay.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::{Instant, interval_at, sleep, timeout};

use crate::servers::{Server, bind};

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

fn start(name: &'static str, sockets: Vec<TcpSocket>) -> io::Result<Server> {
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
