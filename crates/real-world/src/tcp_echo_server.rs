//! A TCP server with limits: connections, idle time, graceful stop. It echoes bytes.
//!
//! A semaphore limits the connections. Take its permit before you accept: then the next
//! client waits in the backlog, the system's queue of connections that are not accepted
//! yet. `TcpListener::bind` makes a backlog of 128. A client that finds the backlog
//! full tries again after a second. For a longer backlog, call
//! `TcpSocket::listen(4096)`.
//!
//! A read of 0 bytes means that the client has ended its side; you may still send. Try
//! it: `cargo run -- 127.0.0.1:8080`, then `nc 127.0.0.1 8080` in another terminal.
//! `echo_server` is the same without limits.
//!
//! Bounds: In `Limits` you set the number of connections (further clients wait), the idle
//! time (then the connection is closed) and the time for the stop. Each connection takes
//! 4 KiB. `idle` limits one read or write: a client that sends one byte now and then
//! keeps its permit.
//!
//! Trap: If you write `listener.accept().await?`, the server ends when the process has
//! no free file descriptor. asyncio's `start_server` survives this error, and so does
//! the function `accept` below, which waits a second.
//!
//! In production: Use HTTP, with `axum`, before you invent a protocol.
//!
//! Platforms: On Windows (Wine), no line is printed for a connection that the client
//! resets.
//!
//! See also: `tcp_client`, `line_protocol`, `tcp_proxy`, `servers`, `tls`.
//!
//! asyncio: asyncio.start_server, asyncio.StreamReader.read, asyncio.StreamWriter.drain

use std::io::{self, ErrorKind};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

/// What a server allows.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// How many connections are open at the same time. Further clients wait in the
    /// system's backlog, which holds 128 with `TcpListener::bind`.
    pub connections: usize,
    /// How long a client may send nothing, and how long it may take to read an answer.
    pub idle: Duration,
    /// How long connections may stay open after the stop.
    pub drain: Duration,
}

/// Serves until the token is cancelled, and then lets the connections end. Cuts off
/// connections that take too long, and returns their number. Such a client may see a part
/// of its answer and a clean end.
///
/// Dropping the future closes all connections immediately.
pub async fn serve(
    listener: TcpListener,
    limits: Limits,
    stop: CancellationToken,
) -> usize {
    let permits = Arc::new(Semaphore::new(
        limits.connections.min(Semaphore::MAX_PERMITS),
    ));
    let mut connections = JoinSet::new();
    let accepting = async {
        for number in 1_u64.. {
            let permit = Arc::clone(&permits).acquire_owned().await;
            let permit = permit.expect("nobody closes the semaphore");
            let stream = accept(&listener).await;
            // Finished connections must not pile up. Standard error has the panics.
            while connections.try_join_next().is_some() {}
            connections.spawn(async move {
                let _permit = permit;
                report(number, echo(stream, limits.idle).await);
            });
        }
    };
    stop.run_until_cancelled(accepting).await;
    // From now on clients are refused, even those in the backlog.
    drop(listener);
    let all = async { while connections.join_next().await.is_some() {} };
    let in_time = timeout(limits.drain, all).await.is_ok();
    let cut_off = if in_time { 0 } else { connections.len() };
    connections.shutdown().await;
    cut_off
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

/// Sends back all bytes, until the client ends its side.
///
/// # Errors
///
/// `TimedOut` if nothing came for `idle`, or the client took longer than that to read an
/// answer; otherwise the system's error.
pub async fn echo(mut stream: TcpStream, idle: Duration) -> io::Result<()> {
    // Small answers are sent immediately, as in asyncio.
    stream.set_nodelay(true)?;
    let mut buffer = vec![0; 4096];
    loop {
        let size = timeout(idle, stream.read(&mut buffer)).await??;
        if size == 0 {
            return Ok(());
        }
        let written = timeout(idle, stream.write_all(&buffer[..size])).await;
        if written.is_err() {
            // A part was sent, which must not pass for the whole: resets the connection.
            stream.set_zero_linger()?;
        }
        written??;
    }
}

fn report(number: u64, ended: io::Result<()>) {
    match ended.map_err(|error| error.kind()) {
        Ok(()) => {}
        Err(ErrorKind::TimedOut) => println!("connection {number}: idle"),
        Err(ErrorKind::ConnectionReset) => println!("connection {number}: reset"),
        Err(kind) => println!("connection {number}: {kind}"),
    }
}

/// Sends back all bytes, until Ctrl-C: `cargo run -- 127.0.0.1:8080`.
#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let address = std::env::args().nth(1).ok_or("usage: ADDRESS:PORT")?;
    let listener = TcpListener::bind(address).await?;
    println!("Listening on {}", listener.local_addr()?);
    let limits = Limits {
        connections: 1_000,
        idle: Duration::from_secs(60),
        drain: Duration::from_secs(10),
    };
    let stop = CancellationToken::new();
    let serving = tokio::spawn(serve(listener, limits, stop.clone()));
    tokio::signal::ctrl_c().await?;
    stop.cancel();
    println!("cut off: {}", serving.await?);
    Ok(())
}

//@ clock: real
//@ try: nowhere -> invalid socket address
