//! A TCP echo server in its simplest form: accept, spawn a task, send the bytes back.
//!
//! asyncio's `start_server` accepts clients and makes a task for each; here you write
//! that loop. Try it: `cargo run`, then `nc 127.0.0.1 8080` in another terminal. Each
//! line that you type comes back. End with Ctrl-D.
//!
//! Bounds: Unbounded: The number of connections, and the time of a connection that
//! sends nothing.
//!
//! Trap: If you write `listener.accept().await?`, a single error, such as "Too many
//! open files", ends the whole server. Print the error, wait a moment, and accept
//! again.
//!
//! In production: The example `tcp_echo_server` limits the number of connections and
//! their idle time, and lets them end when the server stops.
//!
//! Platforms: On Windows (Wine), a connection that the client resets looks like one
//! that the client has closed.
//!
//! See also: `tcp_client`, `tcp_echo_server`, `line_protocol`.
//!
//! asyncio: asyncio.start_server, asyncio.Server.serve_forever

use std::io;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::time::sleep;

/// Sends back all bytes until the client ends its side.
async fn echo(mut stream: TcpStream) -> io::Result<u64> {
    let (mut reader, mut writer) = stream.split();
    tokio::io::copy(&mut reader, &mut writer).await
}

/// Serves each client in its own task, forever.
pub async fn serve(listener: TcpListener) {
    loop {
        match listener.accept().await {
            Ok((stream, client)) => {
                tokio::spawn(async move {
                    match echo(stream).await {
                        Ok(bytes) => println!("{}: {bytes} bytes", client.ip()),
                        Err(error) => println!("{}: {}", client.ip(), error.kind()),
                    }
                });
            }
            Err(error) => {
                eprintln!("cannot accept: {error}");
                sleep(Duration::from_secs(1)).await;
            }
        }
    }
}

/// Serves at an address, or at port 8080 of this machine.
#[tokio::main]
async fn main() -> io::Result<()> {
    let address = std::env::args().nth(1);
    let address = address.unwrap_or_else(|| "127.0.0.1:8080".to_owned());
    let listener = TcpListener::bind(address).await?;
    println!("Listening on {}", listener.local_addr()?);
    serve(listener).await;
    Ok(())
}

//@ clock: real
//@ try: nowhere -> invalid socket address
