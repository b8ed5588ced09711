//! Clients and servers that read and write by hand, and a socket that a thread accepted.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::task::spawn_blocking;
use tokio::time::{Instant, interval_at, sleep};
use tokio::try_join;

use crate::sockets_by_hand::{add_reader, adopt, connect, listen, send};

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

async fn pair(send_buffer: u32) -> io::Result<(TcpStream, TcpStream)> {
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
    println!("with the default options of TcpListener: listening");

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
