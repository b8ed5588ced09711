//~ E0499 cannot borrow `reader` as mutable more than once at a time
//! A future that is kept over the turns of a loop borrows the reader, and the next one
//! is made while the first is still there.
//!
//! example: cancel_safety

use std::io;
use std::pin::pin;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::select;
use tokio::time::sleep;

async fn read_message(reader: &mut (impl AsyncRead + Unpin)) -> io::Result<[u8; 4]> {
    let mut message = [0; 4];
    reader.read_exact(&mut message).await?;
    Ok(message)
}

#[tokio::main]
async fn main() -> io::Result<()> {
    let (_writer, mut reader) = tokio::io::duplex(64);
    let mut reading = pin!(read_message(&mut reader));
    loop {
        select! {
            message = &mut reading => {
                println!("got {:?}", message?);
                reading.set(read_message(&mut reader));
            }
            () = sleep(Duration::from_millis(250)) => println!("nothing yet"),
        }
    }
}
