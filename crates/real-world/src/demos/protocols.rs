//! The life of a connection, and peers that read late, vanish or are aborted.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::pin::pin;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::join;
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::mpsc;
use tokio::time::{Instant, interval, interval_at, sleep, timeout};
use tokio_util::task::AbortOnDropHandle;

use crate::protocols::serve;

const PIECE: usize = 500_000;

/// What the system holds of a connection is far less than a piece.
const SYSTEM_BUFFER: u32 = 50_000;

async fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.set_send_buffer_size(SYSTEM_BUFFER)?;
    socket.set_recv_buffer_size(SYSTEM_BUFFER)?;
    socket.connect(address).await
}

/// What a client reads to the end.
async fn rest(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut data = Vec::new();
    stream.read_to_end(&mut data).await?;
    Ok(data)
}

fn report(name: &str, data: &[u8]) {
    match data.len() {
        size @ ..100 => println!("{name} got {} ({size} bytes)", data.escape_ascii()),
        size => println!("{name} got {size} bytes"),
    }
}

pub async fn run() -> io::Result<()> {
    // Each part begins at its time, however long the one before it took.
    let first = Instant::now() + Duration::from_millis(200);
    let mut part = interval_at(first, Duration::from_millis(1000));
    let tenth = Duration::from_millis(100);
    let socket = TcpSocket::new_v4()?;
    socket.set_send_buffer_size(SYSTEM_BUFFER)?;
    socket.set_recv_buffer_size(SYSTEM_BUFFER)?;
    socket.bind("127.0.0.1:0".parse().expect("an address"))?;
    let listener = socket.listen(128)?;
    let address = listener.local_addr()?;
    let (made, mut connections) = mpsc::channel(1);
    let server = tokio::spawn(serve(listener, 10, Duration::from_secs(5), made));
    let _server = AbortOnDropHandle::new(server);
    let mut accepted = async || connections.recv().await.ok_or(ErrorKind::NotFound);

    part.tick().await;
    println!("From its beginning to its end:");
    let mut client = connect(address).await?;
    let connection = accepted().await?;
    client.write_all(b"hello ").await?;
    sleep(tenth).await;
    client.shutdown().await?;
    report("the client", &rest(&mut client).await?);
    connection.task.await?;

    part.tick().await;
    println!("Others write half a megabyte each 0.1 s, and the client reads late:");
    let mut client = connect(address).await?;
    let connection = accepted().await?;
    let reader = tokio::spawn(async move {
        sleep(tenth * 9 / 2).await;
        println!("the client begins to read");
        report("the client", &rest(&mut client).await?);
        io::Result::Ok(())
    });
    let mut ticks = interval(tenth);
    for number in 1..=6 {
        ticks.tick().await;
        match connection.write(vec![b'x'; PIECE]) {
            Ok(()) => println!("{number} is written"),
            Err(_) => println!("{number} is dropped, as {} wait", connection.waiting()),
        }
    }
    connection.close();
    if connection.is_closing() && connection.write(vec![b'x']).is_err() {
        println!("closing: nothing more is taken");
    }
    reader.await??;
    connection.task.await?;

    part.tick().await;
    println!("The client writes 2.5 megabytes, and reads late:");
    let mut client = connect(address).await?;
    let connection = accepted().await?;
    let (mut reader, mut writer) = client.split();
    let data = vec![b'y'; 5 * PIECE];
    let mut writing = pin!(writer.write_all(&data));
    if timeout(2 * tenth, &mut writing).await.is_err() {
        println!("the client has to wait until the server reads on");
    }
    let mut answer = vec![0; data.len()];
    let (written, read) = join!(writing, reader.read_exact(&mut answer));
    written?;
    read?;
    report("the client", &answer);
    drop(client);
    connection.task.await?;

    part.tick().await;
    println!("A client that vanishes:");
    let mut client = connect(address).await?;
    let connection = accepted().await?;
    client.write_all(b"hello").await?;
    client.read_exact(&mut [0; 5]).await?;
    client.set_zero_linger()?;
    drop(client);
    connection.task.await?;

    part.tick().await;
    println!("Aborted while half a megabyte is being written:");
    let mut client = connect(address).await?;
    let connection = accepted().await?;
    let written = connection.write_and_drain(vec![b'x'; PIECE]).await;
    written.map_err(io::Error::other)?;
    sleep(tenth).await;
    connection.abort();
    connection.task.await?;
    if rest(&mut client).await?.len() < PIECE {
        println!("the client got a part and the end");
    }
    Ok(())
}
