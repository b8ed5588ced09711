//! UDP server: answer each datagram in a task, at most N at once, go on after errors.
//!
//! A loop over `recv_from` is the `datagram_received` of a `DatagramProtocol`. An answer
//! that takes time needs a task with a permit. If none is free, the server drops the
//! datagram, as the network may do; the client asks again.
//!
//! Bounds: `at_once` answers, and requests of 1500 bytes. Longer ones are cut off.
//!
//! Trap: `recv_from(..).await?` ends the server. On Windows it fails if a client has
//! refused an earlier answer.
//!
//! Trap: senders can forge their address. Never send more than the request had, or
//! attackers use the server to flood a victim.
//!
//! See also: `udp_ping` (a client with numbers and retries).
//!
//! asyncio: asyncio.DatagramProtocol, asyncio.DatagramProtocol.datagram_received

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::UdpSocket;
use tokio::sync::Semaphore;
use tokio::time::{Instant, interval_at, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Answers requests until the token is cancelled, and then sends the answers that have
/// begun. Drops a request if `at_once` answers are under way.
///
/// If the future is dropped, it receives no more, but still sends those answers.
pub async fn serve(socket: UdpSocket, at_once: usize, stop: CancellationToken) {
    let socket = Arc::new(socket);
    let permits = Arc::new(Semaphore::new(at_once));
    let answers = TaskTracker::new();
    let receiving = async {
        let mut buffer = vec![0; 1500];
        loop {
            let (size, client) = match socket.recv_from(&mut buffer).await {
                Ok(received) => received,
                Err(error) => {
                    eprintln!("cannot receive: {error}");
                    sleep(Duration::from_millis(10)).await;
                    continue;
                }
            };
            let Ok(permit) = Arc::clone(&permits).try_acquire_owned() else {
                continue;
            };
            let (socket, request) = (Arc::clone(&socket), buffer[..size].to_vec());
            answers.spawn(async move {
                let _permit = permit;
                let answer = answer(request).await;
                // The client may be gone.
                let _lost = socket.send_to(&answer, client).await;
            });
        }
    };
    stop.run_until_cancelled(receiving).await;
    answers.close();
    answers.wait().await;
}

/// Returns the text in capital letters, after 0.2 s.
async fn answer(mut request: Vec<u8>) -> Vec<u8> {
    sleep(Duration::from_millis(200)).await;
    request.make_ascii_uppercase();
    request
}

/// Sends a text, and prints the answer if one comes within 0.3 s.
async fn ask(server: SocketAddr, text: &str) -> io::Result<()> {
    let socket = UdpSocket::bind("127.0.0.1:0").await?;
    socket.connect(server).await?;
    socket.send(text.as_bytes()).await?;
    let mut buffer = [0; 100];
    match timeout(Duration::from_millis(300), socket.recv(&mut buffer)).await {
        Ok(size) => println!("{text}: {}", buffer[..size?].escape_ascii()),
        Err(_) => println!("{text}: no answer"),
    }
    Ok(())
}

#[tokio::main]
async fn main() -> io::Result<()> {
    // Each part begins at its time, however long the one before it took.
    let first = Instant::now() + Duration::from_millis(100);
    let mut part = interval_at(first, Duration::from_millis(500));
    let socket = UdpSocket::bind("127.0.0.1:0").await?;
    let address = socket.local_addr()?;
    let stop = CancellationToken::new();
    let server = tokio::spawn(serve(socket, 2, stop.clone()));
    let ask_later = async |millis, text| {
        sleep(Duration::from_millis(millis)).await;
        ask(address, text).await
    };

    part.tick().await;
    println!("Two answers at once, and one request more:");
    tokio::try_join!(
        ask_later(0, "one"),
        ask_later(50, "two"),
        ask_later(100, "three"),
    )?;

    part.tick().await;
    println!("The server stops while it answers:");
    let stopping = async {
        sleep(Duration::from_millis(50)).await;
        stop.cancel();
        Ok(())
    };
    tokio::try_join!(ask_later(0, "four"), stopping)?;
    server.await?;
    println!("all answers are sent");
    Ok(())
}

//@ clock: real
