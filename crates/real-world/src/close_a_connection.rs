//! Close a connection without losing bytes: end your side, read to the end, then drop.
//!
//! In asyncio, `writer.close()` and `wait_closed()` send the buffered bytes and tell
//! the peer that nothing follows. Over TLS, they also wait until the peer ends. In
//! Rust, dropping a stream does none of this. `AsyncWriteExt::shutdown` sends the
//! buffered bytes, even those of a `BufWriter` or of TLS, and tells the peer. The
//! function [`close`] below calls `shutdown`, reads until the peer ends too, and drops
//! the stream. `close` throws away what it reads: if you expect an answer, read the
//! answer first.
//!
//! After `into_split`, a dropped write half ends your direction, as `shutdown` does, and
//! the read half still receives. A dropped read half tells the peer nothing. With
//! `tokio::io::split`, a dropped write half tells it nothing either: call `shutdown`. TCP
//! has no message "stop sending".
//!
//! Bounds: After `limit`, `close` fails with `TimedOut`. After 16 MiB that the peer has
//! sent ([`MOST`]), `close` fails with `FileTooLarge`. It keeps nothing of them.
//!
//! Trap: If you drop a connection with bytes that you have not read, the system resets
//! it, even after `shutdown`. The peer then gets "Connection reset by peer" and loses the
//! bytes that it has not read yet. Call `close`, which reads them first. A TLS 1.3 server
//! sends bytes (tickets) that your program has not asked for: over TLS, call the function
//! `close` of the example `tls`. In asyncio a reset is rare, because its transport reads
//! until you call `close`.
//!
//! Trap: If another task reads from the connection, `shutdown` does not end that task's
//! read, because it ends only your direction. The task waits until the peer ends, perhaps
//! forever. Call [`close_with_reader`], which aborts the task after the limit. In
//! asyncio, `close` ends the read.
//!
//! See also: `tls`, `tcp_client`, `tcp_proxy`, `graceful_shutdown`.
//!
//! asyncio: asyncio.StreamWriter.close, asyncio.StreamWriter.wait_closed

use std::io::{self, ErrorKind};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, copy, sink};
use tokio::time::timeout;
use tokio_util::task::AbortOnDropHandle;

/// How many bytes `close` reads until the other side ends.
pub const MOST: u64 = 16 << 20;

/// Ends a connection so that all written bytes arrive. For split halves call it with
/// `tokio::io::join(reader, writer)`.
///
/// # Errors
///
/// `TimedOut` after the limit, `FileTooLarge` if the other side sends [`MOST`] bytes,
/// otherwise the system's error. Whatever the error, the other side may lack bytes.
pub async fn close<S>(mut stream: S, limit: Duration) -> io::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let closing = async {
        // Sends what is buffered, and the end of this direction.
        stream.shutdown().await?;
        // Ends when the other side has read all, and has ended its direction as well.
        match copy(&mut (&mut stream).take(MOST), &mut sink()).await? {
            MOST => Err(ErrorKind::FileTooLarge.into()),
            _ => Ok(()),
        }
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

/// Sends its second argument, and prints what comes in the meantime:
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
