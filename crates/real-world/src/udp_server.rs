//! UDP server: answer each datagram in a task, at most N concurrently, survive errors.
//!
//! The closure that you pass to `receive` below is called for each datagram, like
//! `datagram_received` of asyncio's `DatagramProtocol`. To receive without answers, as a
//! log server does, put each datagram into a queue in this closure. The function `serve`
//! answers: each answer runs in a task that holds a permit of a semaphore. If no permit
//! is free, the server drops the datagram, as a network may do, and the client asks
//! again.
//!
//! All methods of `UdpSocket` take `&self`. So tasks share the socket in an `Arc`,
//! without a split: one receives while others send. Several tasks may call `recv_from`,
//! and each datagram goes to one of them.
//!
//! Bounds: At most `at_once` answers run concurrently, and a request has at most
//! [`LONGEST`] bytes. Further and longer requests are dropped. The system keeps a few
//! hundred datagrams for your next `recv_from`, and drops further ones without an error.
//! `socket2::SockRef::set_recv_buffer_size` makes room for more. When the server stops,
//! datagrams that the system has not handed over yet are lost.
//!
//! Trap: If you write `recv_from(..).await?`, one error ends the server. On Windows,
//! `recv_from` fails whenever a client has refused an earlier answer. Report the error,
//! pause for a moment and receive again, as `receive` does.
//!
//! Trap: If your answer is longer than the request, attackers can flood a victim with
//! it: they send you small requests with the victim's address as sender. Never send
//! more bytes than the request had.
//!
//! Platforms: On Windows a datagram that is longer than the buffer is an error;
//! elsewhere the datagram is cut off. So the buffer is as long as the longest datagram.
//!
//! See also: `udp_ping` (a client with numbers and retries), `batching`.
//!
//! asyncio: asyncio.DatagramProtocol, asyncio.DatagramProtocol.datagram_received

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::UdpSocket;
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// The longest request, in bytes.
pub const LONGEST: usize = 1500;

/// Calls the closure with each datagram and its sender, in the order of arrival, until
/// the token is cancelled. Receives nothing while the closure runs.
pub async fn receive(
    socket: &UdpSocket,
    stop: &CancellationToken,
    mut received: impl FnMut(&[u8], SocketAddr),
) {
    let receiving = async {
        let mut buffer = vec![0; 65_535];
        loop {
            match socket.recv_from(&mut buffer).await {
                Ok((size, sender)) => received(&buffer[..size], sender),
                Err(error) => {
                    eprintln!("cannot receive: {error}");
                    sleep(Duration::from_millis(10)).await;
                }
            }
        }
    };
    stop.run_until_cancelled(receiving).await;
}

/// Answers requests until the token is cancelled, and then sends the answers that have
/// begun. Drops a request if `at_once` answers are under way.
///
/// If the future is dropped, it receives no more, but still sends those answers.
pub async fn serve(socket: UdpSocket, at_once: usize, stop: CancellationToken) {
    let socket = Arc::new(socket);
    let permits = Arc::new(Semaphore::new(at_once.min(Semaphore::MAX_PERMITS)));
    let answers = TaskTracker::new();
    let received = |request: &[u8], client| {
        if request.len() > LONGEST {
            return;
        }
        let Ok(permit) = Arc::clone(&permits).try_acquire_owned() else {
            return;
        };
        let (socket, request) = (Arc::clone(&socket), request.to_vec());
        answers.spawn(async move {
            let _permit = permit;
            let answer = answer(request).await;
            // The client may be gone.
            let _lost = socket.send_to(&answer, client).await;
        });
    };
    receive(&socket, &stop, received).await;
    answers.close();
    answers.wait().await;
}

/// Returns the text in capital letters, after 0.6 s.
async fn answer(mut request: Vec<u8>) -> Vec<u8> {
    sleep(Duration::from_millis(600)).await;
    request.make_ascii_uppercase();
    request
}

/// Sends a text, and prints the answer if one comes in time.
async fn ask(server: SocketAddr, text: &str, limit: Duration) -> io::Result<()> {
    let socket = UdpSocket::bind("127.0.0.1:0").await?;
    socket.connect(server).await?;
    socket.send(text.as_bytes()).await?;
    let mut buffer = [0; 100];
    match timeout(limit, socket.recv(&mut buffer)).await {
        Ok(size) => println!("{text}: {}", buffer[..size?].escape_ascii()),
        Err(_) => println!("{text}: no answer"),
    }
    Ok(())
}

#[tokio::main]
async fn main() -> io::Result<()> {
    let socket = UdpSocket::bind("127.0.0.1:0").await?;
    let address = socket.local_addr()?;
    let stop = CancellationToken::new();
    let server = tokio::spawn(serve(socket, 2, stop.clone()));
    let long = Duration::from_secs(30);
    let ask_later = async |millis, text, limit| {
        sleep(Duration::from_millis(millis)).await;
        ask(address, text, limit).await
    };

    println!("Two concurrent answers, and one request more:");
    tokio::try_join!(
        ask_later(0, "one", long),
        ask_later(100, "two", long),
        ask_later(200, "three", Duration::from_millis(300)),
    )?;

    println!("The server stops while it answers:");
    let stopping = async {
        sleep(Duration::from_millis(300)).await;
        stop.cancel();
        Ok(())
    };
    tokio::try_join!(ask_later(0, "four", long), stopping)?;
    server.await?;
    println!("all answers are sent");
    Ok(())
}

//@ clock: real
