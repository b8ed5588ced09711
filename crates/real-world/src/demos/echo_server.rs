//! Two clients at the same time, and one that vanishes.

use std::io;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::task::AbortOnDropHandle;

use crate::echo_server::serve;

/// Sends a text and prints what comes back.
async fn talk(stream: &mut TcpStream, name: &str, text: &str) -> io::Result<()> {
    stream.write_all(text.as_bytes()).await?;
    let mut answer = vec![0; text.len()];
    stream.read_exact(&mut answer).await?;
    println!("{name} hears {}", String::from_utf8_lossy(&answer));
    Ok(())
}

/// Ends this side, and waits until the server has ended its own.
async fn leave(mut stream: TcpStream) -> io::Result<()> {
    stream.shutdown().await?;
    stream.read_to_end(&mut Vec::new()).await?;
    Ok(())
}

pub async fn run() -> io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let _serving = AbortOnDropHandle::new(tokio::spawn(serve(listener)));

    println!("Two clients at the same time:");
    let mut ann = TcpStream::connect(address).await?;
    let mut ben = TcpStream::connect(address).await?;
    talk(&mut ann, "Ann", "hello").await?;
    talk(&mut ben, "Ben", "good morning").await?;
    talk(&mut ann, "Ann", "goodbye").await?;
    leave(ann).await?;
    leave(ben).await?;

    println!("A client that vanishes does not end the server:");
    let mut eve = TcpStream::connect(address).await?;
    talk(&mut eve, "Eve", "hello").await?;
    eve.set_zero_linger()?;
    drop(eve);
    let mut fay = TcpStream::connect(address).await?;
    talk(&mut fay, "Fay", "still there?").await?;
    leave(fay).await
}
