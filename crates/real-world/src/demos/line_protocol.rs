//! Lines in pieces, lines that are too long or cut off, and clients that stall.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::{Instant, interval_at, sleep};
use tokio_util::sync::CancellationToken;

use crate::line_protocol::{Limits, Server};

struct Client {
    lines: Lines<BufReader<OwnedReadHalf>>,
    writer: OwnedWriteHalf,
}

impl Client {
    async fn connect(address: SocketAddr) -> io::Result<Self> {
        let (reader, writer) = TcpStream::connect(address).await?.into_split();
        let lines = BufReader::new(reader).lines();
        Ok(Self { lines, writer })
    }

    async fn send(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.writer.write_all(bytes.as_ref()).await
    }

    /// Prints so many answers.
    async fn print(&mut self, count: usize) -> io::Result<()> {
        for _ in 0..count {
            match self.lines.next_line().await? {
                Some(line) => println!("{line}"),
                None => println!("the end"),
            }
        }
        Ok(())
    }
}

pub async fn run() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    // Each part begins at its time, however long the one before it took.
    let first = Instant::now() + Duration::from_millis(200);
    let mut part = interval_at(first, Duration::from_millis(500));
    let pause = Duration::from_millis(100);
    let limits = Limits {
        connections: 10,
        line: 1000,
        names: 1000,
        idle: Duration::from_millis(400),
        write: Duration::from_millis(300),
    };
    let socket = TcpSocket::new_v4()?;
    // The system holds so much for a client that does not read; otherwise some megabytes.
    socket.set_send_buffer_size(262_144)?;
    socket.bind(SocketAddr::from(([127, 0, 0, 1], 0)))?;
    let listener = socket.listen(1024)?;
    let address = listener.local_addr()?;
    let stop = CancellationToken::new();
    let server = tokio::spawn(Server::new(limits, stop.clone()).serve(listener));

    part.tick().await;
    println!("Two lines in three pieces:");
    let mut client = Client::connect(address).await?;
    client.send("SE").await?;
    sleep(pause).await;
    client.send("T a 10\nGE").await?;
    client.print(1).await?;
    sleep(pause).await;
    client.send("T a\n").await?;
    client.print(1).await?;

    part.tick().await;
    println!("Four lines in one piece:");
    client = Client::connect(address).await?;
    let lines = [&b"GET a\n"[..], b"GET \xff\n", b"PUT a 2\r\n", b"QUIT\n"];
    client.send(lines.concat()).await?;
    client.print(5).await?;

    part.tick().await;
    println!("A line of 1000 bytes, and one of 1001:");
    client = Client::connect(address).await?;
    client.send(format!("SET b {}\n", "x".repeat(994))).await?;
    client.print(1).await?;
    client.send(format!("SET b {}\n", "x".repeat(995))).await?;
    client.print(2).await?;

    part.tick().await;
    println!("A last line without its end:");
    client = Client::connect(address).await?;
    client.send("GET a\nSET a 1").await?;
    client.writer.shutdown().await?;
    client.print(3).await?;

    part.tick().await;
    println!("Half a line, and then nothing:");
    client = Client::connect(address).await?;
    client.send("GET ").await?;
    client.print(2).await?;

    part.tick().await;
    println!("A client that does not read:");
    client = Client::connect(address).await?;
    client.send("GET b\n".repeat(2000)).await?;

    part.tick().await;
    println!("The server stops:");
    client = Client::connect(address).await?;
    client.send("GET a\nGET").await?;
    client.print(1).await?;
    stop.cancel();
    client.print(1).await?;
    drop(client);
    server.await?;
    println!("all connections have ended");
    Ok(())
}
