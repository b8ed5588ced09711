//! Close a connection without losing bytes: finish, end your side, read to the end, drop.
//!
//! `writer.close()` and `wait_closed()` of asyncio send the buffered bytes and tell the
//! peer that nothing follows. Over TLS, they also wait for the peer's end. Dropping a
//! stream does none of this. `shutdown` sends the buffered bytes, even of a `BufWriter`
//! or TLS, and tells the peer. [`close`] then reads until the peer ends, and drops. If
//! your protocol marks the end of an answer, read the answer first: later bytes are
//! thrown away.
//!
//! Bounds: `limit` for the whole close. A peer that sends without end costs this time,
//! but no memory.
//!
//! Trap: The system resets a connection that is dropped with unread bytes, even after
//! `shutdown`. The other side then loses the bytes that it has not read yet ("Connection
//! reset by peer"). Over TLS 1.3 there are always unread bytes: see `close` in `tls`. In
//! asyncio this is rare: its transport reads until you call `close`.
//!
//! Trap: `shutdown` ends one direction only. A task that reads the other half waits for
//! the peer, as long as the peer likes. In asyncio, `close` ends that task's read.
//! [`close_with_reader`] gives the task a limit.
//!
//! See also: `tls`, `tcp_client`, `tcp_proxy`, `graceful_shutdown`.
//!
//! asyncio: asyncio.StreamWriter.close, asyncio.StreamWriter.wait_closed

use std::io;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, copy, sink};
use tokio::time::timeout;
use tokio_util::task::AbortOnDropHandle;

/// Ends a connection so that all written bytes arrive. For split halves call it with
/// `tokio::io::join(reader, writer)`.
///
/// # Errors
///
/// `TimedOut` after the limit, otherwise the system's error. Whatever the error, the
/// other side may lack bytes.
pub async fn close<S>(mut stream: S, limit: Duration) -> io::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let closing = async {
        // Sends what is buffered, and the end of this direction.
        stream.shutdown().await?;
        // Ends when the other side has read all, and has ended its direction as well.
        copy(&mut stream, &mut sink()).await?;
        Ok(())
    };
    timeout(limit, closing).await?
}

/// Ends a connection whose other half a task reads to its end, and returns what the task
/// returns. After the limit, and if this future is dropped, the task is aborted.
///
/// # Errors
///
/// As [`close`]; a panic of the task is an error as well.
pub async fn close_with_reader<W, T>(
    mut writer: W,
    reader: AbortOnDropHandle<T>,
    limit: Duration,
) -> io::Result<T>
where
    W: AsyncWrite + Unpin,
{
    let closing = async {
        writer.shutdown().await?;
        Ok(reader.await?)
    };
    timeout(limit, closing).await?
}

/// Sends its second argument, and prints what comes meanwhile:
/// `cargo run -- 127.0.0.1:8080 hello`.
#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let mut arguments = std::env::args().skip(1);
    let address = arguments.next().ok_or("usage: ADDRESS:PORT TEXT")?;
    let text = arguments.next().unwrap_or_default();
    let stream = tokio::net::TcpStream::connect(address).await?;
    let (mut reader, mut writer) = stream.into_split();
    let reading =
        tokio::spawn(async move { copy(&mut reader, &mut tokio::io::stdout()).await });
    writer.write_all(text.as_bytes()).await?;
    let reading = AbortOnDropHandle::new(reading);
    let read = close_with_reader(writer, reading, Duration::from_secs(10)).await??;
    eprintln!("{read} bytes came");
    Ok(())
}

//@ clock: real
//@ try: nowhere -> invalid socket address
