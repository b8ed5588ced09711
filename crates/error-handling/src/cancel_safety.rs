//! Cancel safety: `select!` around `read_exact` loses bytes; three ways that do not.
//!
//! `select!` drops the futures of its other arms, and `timeout` a late one. Whatever a
//! dropped future has read of a message is lost. asyncio's `StreamReader` keeps these
//! bytes. Keep the future and await it by `&mut`, or read in a task, or keep the bytes in
//! a struct.
//!
//! Trap: `read_exact`, `read_line` and `write_all` are not cancel-safe; `read`,
//! `read_buf`, `next_line` and `recv` are. Look for "cancel safety" in a method's
//! documentation.
//!
//! In production: `FramedRead` of `tokio-util` keeps the bytes, for formats it can
//! decode.
//!
//! See also: `futurelock`, `timeouts`, `protocols`.
//!
//! asyncio: asyncio.StreamReader, asyncio.StreamReader.readexactly, asyncio.timeout
//! asyncio: asyncio.IncompleteReadError, asyncio.IncompleteReadError.partial
//! differs: asyncio's reader keeps what it has read of a message when a read is cancelled

use std::error::Error;
use std::io;
use std::pin::pin;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::select;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, sleep_until};

/// After how long without a message a line is printed.
const PATIENCE: Duration = Duration::from_millis(250);

type Message = [u8; 4];

/// The obvious way. It loses the beginning of a message when it waits for the rest.
async fn careless(mut reader: impl AsyncRead + Unpin) -> io::Result<()> {
    loop {
        let mut message = Message::default();
        select! {
            result = reader.read_exact(&mut message) => {
                result?;
                print(message);
            }
            () = sleep(PATIENCE) => println!("nothing yet"),
        }
    }
}

/// Returns a message, or none at the end. An end inside of a message is an error.
async fn read(reader: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<Message>> {
    let mut message = Message::default();
    let (first, rest) = message.split_at_mut(1);
    // `read_exact` alone does not tell the one end from the other.
    if reader.read(first).await? == 0 {
        return Ok(None);
    }
    reader.read_exact(rest).await?;
    Ok(Some(message))
}

/// Returns a message, and the reader for the next.
async fn read_message<R>(mut reader: R) -> io::Result<Option<(Message, R)>>
where
    R: AsyncRead + Unpin,
{
    let message = read(&mut reader).await?;
    Ok(message.map(|message| (message, reader)))
}

/// Creates one future for each message, and pins it outside of the loop. So it is kept
/// when the other arm wins.
pub async fn kept(reader: impl AsyncRead + Unpin) -> io::Result<()> {
    let mut reading = pin!(read_message(reader));
    loop {
        select! {
            result = &mut reading => {
                let Some((message, reader)) = result? else {
                    return Ok(());
                };
                print(message);
                reading.set(read_message(reader));
            }
            () = sleep(PATIENCE) => println!("nothing yet"),
        }
    }
}

/// Reads in a task: all messages, and at last `None` or the error. The task ends when the
/// receiver is dropped.
pub fn messages<R>(mut reader: R) -> mpsc::Receiver<io::Result<Option<Message>>>
where
    R: AsyncRead + Send + Unpin + 'static,
{
    let (sender, receiver) = mpsc::channel(1);
    tokio::spawn(async move {
        loop {
            // This loses bytes as well, but nobody wants them any more.
            let result = select! {
                result = read(&mut reader) => result,
                () = sender.closed() => return,
            };
            let is_last = !matches!(result, Ok(Some(_)));
            if sender.send(result).await.is_err() || is_last {
                return;
            }
        }
    });
    receiver
}

/// After a panic of the task the sender is dropped. The pattern `Some(result)` alone
/// would then print "nothing yet" for ever.
pub async fn received(
    mut messages: mpsc::Receiver<io::Result<Option<Message>>>,
) -> io::Result<()> {
    loop {
        select! {
            result = messages.recv() => match result {
                Some(result) => match result? {
                    Some(message) => print(message),
                    None => return Ok(()),
                },
                None => return Err(io::ErrorKind::BrokenPipe.into()),
            },
            () = sleep(PATIENCE) => println!("nothing yet"),
        }
    }
}

/// Reads messages, and keeps the beginning of the next one.
struct Messages<R> {
    reader: R,
    buffer: Vec<u8>,
}

impl<R: AsyncRead + Unpin> Messages<R> {
    /// Returns a message, or none at the end. An end inside of a message is an error.
    ///
    /// Cancel-safe: dropped while it waits, it keeps what it has read for the next call.
    async fn next(&mut self) -> io::Result<Option<Message>> {
        loop {
            if let Some(&message) = self.buffer.first_chunk() {
                self.buffer.drain(..message.len());
                return Ok(Some(message));
            }
            if self.reader.read_buf(&mut self.buffer).await? == 0 {
                return match self.buffer.is_empty() {
                    true => Ok(None),
                    false => Err(io::ErrorKind::UnexpectedEof.into()),
                };
            }
        }
    }
}

pub async fn buffered(reader: impl AsyncRead + Unpin) -> io::Result<()> {
    let buffer = Vec::new();
    let mut messages = Messages { reader, buffer };
    loop {
        select! {
            result = messages.next() => match result? {
                Some(message) => print(message),
                None => return Ok(()),
            },
            () = sleep(PATIENCE) => println!("nothing yet"),
        }
    }
}

fn print(message: Message) {
    println!("got {}", message.escape_ascii());
}

/// Sends three messages in halves, one with a long pause in between.
async fn send(mut writer: DuplexStream) -> io::Result<()> {
    let halves = [(100, "AB"), (100, "CD"), (100, "EF"), (300, "GH")];
    let mut at = Instant::now();
    for (millis, half) in halves.into_iter().chain([(50, "IJ"), (100, "KL")]) {
        at += Duration::from_millis(millis);
        sleep_until(at).await;
        println!("sending {half}");
        writer.write_all(half.as_bytes()).await?;
    }
    sleep_until(at + Duration::from_millis(50)).await;
    Ok(())
}

/// Prints the messages of a sender, and how the reader ends.
async fn show<F>(
    read: impl FnOnce(DuplexStream) -> F,
) -> Result<(), Box<dyn Error + Send + Sync>>
where
    F: Future<Output = io::Result<()>>,
{
    let (writer, reader) = tokio::io::duplex(64);
    let sending = tokio::spawn(send(writer));
    match read(reader).await {
        Ok(()) => println!("the end"),
        Err(error) => println!("{}", error.kind()),
    }
    Ok(sending.await??)
}

pub async fn run() -> Result<(), Box<dyn Error + Send + Sync>> {
    println!("A read that is dropped:");
    show(careless).await?;

    println!("A read that is kept:");
    show(kept).await?;

    println!("A task that reads:");
    show(|reader| received(messages(reader))).await?;

    println!("A struct that keeps the bytes:");
    show(buffered).await?;
    Ok(())
}

#[tokio::main]
pub async fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    run().await
}
