//! TCP server and client: echo, a limit of connections, idle timeout, graceful stop.
//!
//! `start_server` makes a task for each client; here you accept in a loop and spawn. Take
//! the permit before you accept: then the next client waits in the system's backlog. A
//! read of 0 bytes says that the client sends no more; you may still send.
//!
//! Bounds: `Limits`, and 4 KiB for each connection. `idle` limits one read or write: a
//! client that sends a byte now and then keeps its permit.
//!
//! Trap: with `listener.accept().await?` the server ends when the process is out of file
//! descriptors. `start_server` goes on after such an error, as `accept` does here.
//!
//! In production: take `axum` for HTTP before you invent a protocol.
//!
//! See also: `line_protocol`, `tcp_proxy`, `api_server`, `servers`, `tls`.
//!
//! asyncio: asyncio.start_server, asyncio.open_connection, asyncio.StreamWriter.write_eof

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
    /// How many connections are open at once. Further clients wait in the system's
    /// backlog.
    pub connections: usize,
    /// How long a client may send nothing, and how long it may take to read an answer.
    pub idle: Duration,
    /// How long connections may go on after the stop.
    pub drain: Duration,
}

/// Serves until the token is cancelled, and then lets the connections end. Cuts off
/// connections that take too long, and returns their number.
///
/// Dropping the future closes all connections at once.
pub async fn serve(
    listener: TcpListener,
    limits: Limits,
    stop: CancellationToken,
) -> usize {
    let permits = Arc::new(Semaphore::new(limits.connections));
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
    // From now on clients are refused, also those in the backlog.
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
    // Small answers go out at once, as in asyncio.
    stream.set_nodelay(true)?;
    let mut buffer = vec![0; 4096];
    loop {
        let size = timeout(idle, stream.read(&mut buffer)).await??;
        if size == 0 {
            return Ok(());
        }
        // A dropped `write_all` may have sent a part, so nothing can follow it.
        timeout(idle, stream.write_all(&buffer[..size])).await??;
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
