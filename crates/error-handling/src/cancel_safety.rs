//! Cancel safety: wait for data in `select!` or with a timeout, and lose no bytes.
//!
//! `select!` runs the arm of the first future that is ready, and drops the futures of its
//! other arms. `timeout` drops a late future. The bytes that a dropped `read_exact` has
//! read are lost. asyncio's `StreamReader` keeps them. This file shows two ways to avoid
//! the loss: keep the future and await it by `&mut`, or keep the bytes in a struct. A
//! third way, not shown, is a task that reads and sends each message to a channel.
//!
//! Trap: If you use `read_exact`, `read_line` or `write_all` in an arm of `select!`,
//! bytes may be lost, because these methods are not cancel-safe. Use one of the ways
//! above, or a cancel-safe method: `read`, `read_buf`, `next_line` and `recv` lose
//! nothing. Look for "cancel safety" in a method's documentation.
//!
//! Trap: If you drop the `send` of a `FramedWrite`, you cannot know what has become of
//! the message: it may go out with the next one, or never. Send in a task that no
//! timeout drops.
//!
//! Trap: If a timeout drops `read_until`, the bytes that it has read stay in your buffer,
//! and the next call appends the rest and returns only the length of the rest. So clear
//! the buffer after each message, not before each call, and use the length of the buffer.
//!
//! In production: `tokio-util`'s `FramedRead` keeps the bytes. It needs a decoder, which
//! cuts the bytes into messages.
//!
//! See also: `futurelock`, `timeouts`, `protocols`.
//!
//! asyncio: asyncio.StreamReader, asyncio.StreamReader.readexactly, asyncio.timeout
//! asyncio: asyncio.IncompleteReadError
//! differs: asyncio's reader keeps the bytes of a cancelled read

use std::future::Future;
use std::io;
use std::pin::pin;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::select;
use tokio::task::JoinError;
use tokio::time::{Instant, sleep, sleep_until};

/// A pause after which a line is printed.
const QUIET: Duration = Duration::from_millis(250);

type Message = [u8; 4];

/// Reads in the obvious way. Loses the beginning of a message if the rest is late.
async fn careless(mut reader: impl AsyncRead + Unpin) -> io::Result<()> {
    loop {
        let mut message = Message::default();
        select! {
            result = reader.read_exact(&mut message) => {
                result?;
                print(message);
            }
            () = sleep(QUIET) => println!("no message for 0.25 s"),
        }
    }
}

/// Returns a message, and the reader for the next.
async fn read_message<R: AsyncRead + Unpin>(mut reader: R) -> io::Result<(Message, R)> {
    let mut message = Message::default();
    reader.read_exact(&mut message).await?;
    Ok((message, reader))
}

/// Creates one future for each message, and pins the future outside the loop. When the
/// other arm wins, the future is kept.
pub async fn kept(reader: impl AsyncRead + Unpin) -> io::Result<()> {
    let mut reading = pin!(read_message(reader));
    loop {
        select! {
            result = &mut reading => {
                let (message, reader) = result?;
                print(message);
                reading.set(read_message(reader));
            }
            () = sleep(QUIET) => println!("no message for 0.25 s"),
        }
    }
}

/// Reads messages, and keeps the beginning of the next one.
struct Messages<R> {
    reader: R,
    buffer: Vec<u8>,
}

impl<R: AsyncRead + Unpin> Messages<R> {
    /// Returns a message.
    ///
    /// Cancel-safe: after a drop, the bytes read so far are kept for the next call.
    async fn next(&mut self) -> io::Result<Message> {
        loop {
            if let Some(&message) = self.buffer.first_chunk() {
                self.buffer.drain(..message.len());
                return Ok(message);
            }
            if self.reader.read_buf(&mut self.buffer).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }
}

pub async fn buffered(reader: impl AsyncRead + Unpin) -> io::Result<()> {
    let buffer = Vec::new();
    let mut messages = Messages { reader, buffer };
    loop {
        select! {
            result = messages.next() => print(result?),
            () = sleep(QUIET) => println!("no message for 0.25 s"),
        }
    }
}

fn print(message: Message) {
    println!("got {}", message.escape_ascii());
}

/// Sends three messages in halves, one with a long pause in between.
async fn send(mut writer: DuplexStream) {
    let halves = [(100, "AB"), (100, "CD"), (100, "EF"), (300, "GH")];
    let mut at = Instant::now();
    for (millis, half) in halves.into_iter().chain([(50, "IJ"), (100, "KL")]) {
        at += Duration::from_millis(millis);
        sleep_until(at).await;
        println!("sending {half}");
        if let Err(error) = writer.write_all(half.as_bytes()).await {
            println!("not sent: {error}");
        }
    }
    sleep(Duration::from_millis(50)).await;
}

/// Reads the messages of a sender to their end.
async fn show<F>(read: impl FnOnce(DuplexStream) -> F) -> Result<(), JoinError>
where
    F: Future<Output = io::Result<()>>,
{
    let (writer, reader) = tokio::io::duplex(64);
    let sending = tokio::spawn(send(writer));
    if let Err(error) = read(reader).await {
        println!("the end: {}", error.kind());
    }
    sending.await
}

#[tokio::main]
async fn main() -> Result<(), JoinError> {
    println!("A read that is cancelled half-way:");
    show(careless).await?;

    println!("A read that goes on meanwhile:");
    show(kept).await?;

    println!("A struct that keeps the bytes:");
    show(buffered).await
}
