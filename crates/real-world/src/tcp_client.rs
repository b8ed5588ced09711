//! A TCP client: connect with a timeout, send, end your side, read the whole answer.
//!
//! `TcpStream::connect` is asyncio's `open_connection`: it looks the name up and tries
//! each address. Neither function has a time limit, and an address that does not answer
//! costs two minutes. Tokio's stream has no read timeout either. (The standard library
//! has `std::net::TcpStream::set_read_timeout`.) So put a `timeout` around each step.
//!
//! To set keepalive or TCP_USER_TIMEOUT, use the crate socket2 and its
//! `socket2::SockRef`. Try the program: `nc -l 8080` in one terminal,
//! `cargo run -- 127.0.0.1:8080 hello` in another.
//!
//! Bounds: In [`Limits`] you set how long the connect and the exchange may take, and the
//! longest answer. Above a limit, `ask` returns an error.
//!
//! Trap: If you drop the stream right after `write_all`, the server may never get your
//! bytes, because `write_all` only hands them to the system. Wait for an answer first:
//! only an answer tells you that the bytes have arrived. See `close_a_connection`.
//!
//! Trap: If you call `shutdown` to say that your request has ended, you get no answer
//! from some servers, such as `axum::serve`: they take the end of your side for a
//! disconnect. If the protocol itself shows where a request ends, leave `shutdown` out.
//!
//! See also: `echo_server`, `close_a_connection`, `line_protocol`, `tls`.
//!
//! asyncio: asyncio.open_connection, asyncio.StreamWriter.write_eof

use std::io::{self, ErrorKind};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, ToSocketAddrs};
use tokio::time::timeout;

/// What a client waits for, and what it takes.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// The time to look the name up and to connect.
    pub connect: Duration,
    /// The time to write the request and to read the answer.
    pub exchange: Duration,
    /// The longest answer, in bytes.
    pub answer: usize,
}

/// Sends a request, and returns all that comes until the server ends its side.
///
/// # Errors
///
/// `TimedOut` after a limit, `FileTooLarge` for a longer answer, otherwise the system's.
pub async fn ask(
    server: impl ToSocketAddrs,
    request: &[u8],
    limits: Limits,
) -> io::Result<Vec<u8>> {
    let mut stream = timeout(limits.connect, TcpStream::connect(server)).await??;
    let exchange = async {
        stream.write_all(request).await?;
        // writer.write_eof(): the server learns that the request is whole.
        stream.shutdown().await?;
        let mut answer = Vec::new();
        // One byte more, to tell the longest answer from a longer one.
        let mut stream = stream.take((limits.answer as u64).saturating_add(1));
        stream.read_to_end(&mut answer).await?;
        if answer.len() > limits.answer {
            Err(ErrorKind::FileTooLarge.into())
        } else {
            Ok(answer)
        }
    };
    timeout(limits.exchange, exchange).await?
}

/// Sends its second argument and prints the answer: `cargo run -- 127.0.0.1:8080 hello`.
#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let mut arguments = std::env::args().skip(1);
    let server = arguments.next().ok_or("usage: HOST:PORT TEXT")?;
    let text = arguments.next().unwrap_or_default();
    let limits = Limits {
        connect: Duration::from_secs(5),
        exchange: Duration::from_secs(30),
        answer: 1_000_000,
    };
    let answer = ask(server, text.as_bytes(), limits).await?;
    println!("{}", String::from_utf8_lossy(&answer));
    Ok(())
}

//@ clock: real
//@ try: 127.0.0.1:1 hello -> refused
