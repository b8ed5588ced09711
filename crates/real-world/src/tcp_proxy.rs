//! TCP proxy: forward connections to a server, with an idle limit for both directions.
//!
//! `tokio::io::copy_bidirectional` copies in both directions at the same time. When the
//! client ends its side, the proxy tells the server so and keeps copying the answer (a
//! half-close). The server sees the proxy's address, not the client's. To change or
//! count the bytes, copy each direction yourself inside `tokio::try_join!`, and call
//! `AsyncWriteExt::shutdown` where a direction ends.
//!
//! Bounds: In `Limits` you set the number of connections (further clients wait), the time
//! to connect and the idle time (then the connection is reset). Each connection takes two
//! sockets and 16 KiB. A peer that sends one byte now and then is never idle, and keeps
//! its place among the connections.
//!
//! Trap: If you put an idle timeout on each read, you cut off a long download, because
//! its client sends nothing for a long time. So restart the timeout at each byte
//! written in either direction, as `forward` does.
//!
//! Trap: If you drop a `TcpStream` in the middle of a transfer, the peer sees a normal
//! end and takes half a file for the whole. Here `set_zero_linger` resets a connection
//! that is cut off, so the peer gets an error.
//!
//! Platforms: On Windows (Wine), the demonstration ends with "Connection reset by peer".
//!
//! See also: `tcp_echo_server`, `tls`.
//!
//! asyncio: asyncio.start_server, asyncio.open_connection, asyncio.StreamWriter.write_eof

use std::io::{self, ErrorKind};
use std::sync::Arc;
use std::time::Duration;

use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::select;
use tokio::sync::{Notify, Semaphore};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_util::io::InspectWriter;
use tokio_util::sync::CancellationToken;

/// What a proxy allows.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// How many connections are open at the same time. Further clients wait in the
    /// system's backlog, which holds 128 with `TcpListener::bind`.
    pub connections: usize,
    /// The time to look up the server's name and to connect.
    pub connect: Duration,
    /// How long no byte may move in either direction.
    pub idle: Duration,
    /// How long connections may continue after the stop.
    pub drain: Duration,
}

/// Why a connection was cut off.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    #[error("cannot connect: {}", .0.kind())]
    Connect(#[source] io::Error),
    #[error("idle")]
    Idle,
    #[error("{}", .0.kind())]
    Broken(#[from] io::Error),
}

/// Forwards each connection to the server at `upstream`, a `HOST:PORT` that is looked up
/// each time, until the token is cancelled. Then lets the connections end, resets those
/// that take too long, and returns their number.
///
/// Dropping the future resets all connections immediately.
pub async fn serve(
    listener: TcpListener,
    upstream: String,
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
            let upstream = upstream.clone();
            connections.spawn(async move {
                let _permit = permit;
                if let Err(failure) = proxy(stream, &upstream, limits).await {
                    println!("connection {number}: {failure}");
                }
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

/// Connects to the server, and forwards until both sides have ended. A connection that
/// fails, or whose future is dropped, is reset on both sides.
async fn proxy(
    mut client: TcpStream,
    upstream: &str,
    limits: Limits,
) -> Result<(), Failure> {
    client.set_zero_linger()?;
    let connecting = timeout(limits.connect, TcpStream::connect(upstream)).await;
    let connected = connecting.unwrap_or_else(|limit| Err(limit.into()));
    let mut server = connected.map_err(Failure::Connect)?;
    server.set_zero_linger()?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    forward(&mut client, &mut server, limits.idle).await?;
    // What is still in the system's buffers has to arrive.
    SockRef::from(&client).set_linger(None)?;
    SockRef::from(&server).set_linger(None)?;
    Ok(())
}

/// Copies in both directions until both sides have ended. Returns the number of bytes
/// from the client, and from the server.
///
/// # Errors
///
/// `Idle` if no byte moved for `idle`; `Broken` if a side fails. Some bytes may be lost
/// then, as they are if the future is dropped.
pub async fn forward<C, S>(
    client: C,
    server: S,
    idle: Duration,
) -> Result<(u64, u64), Failure>
where
    C: AsyncRead + AsyncWrite + Unpin,
    S: AsyncRead + AsyncWrite + Unpin,
{
    let moved = Notify::new();
    let written = |_: &[u8]| moved.notify_one();
    let mut client = InspectWriter::new(client, written);
    let mut server = InspectWriter::new(server, written);
    select! {
        // If bytes move at the last moment, copying wins.
        biased;
        copied = copy_bidirectional(&mut client, &mut server) => Ok(copied?),
        () = async { while timeout(idle, moved.notified()).await.is_ok() {} } => {
            Err(Failure::Idle)
        }
    }
}

/// Forwards to a server until Ctrl-C: `cargo run -- 127.0.0.1:8080 example.org:80`.
#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(address), Some(upstream)) = (arguments.next(), arguments.next()) else {
        return Err("usage: ADDRESS:PORT HOST:PORT".into());
    };
    let listener = TcpListener::bind(address).await?;
    let limits = Limits {
        connections: 400,
        connect: Duration::from_secs(10),
        idle: Duration::from_secs(300),
        drain: Duration::from_secs(10),
    };
    let stop = CancellationToken::new();
    let serving = tokio::spawn(serve(listener, upstream, limits, stop.clone()));
    tokio::signal::ctrl_c().await?;
    stop.cancel();
    println!("cut off: {}", serving.await?);
    Ok(())
}

//@ clock: real
//@ order: got connection reset
//@ try: nowhere somewhere -> invalid socket address
