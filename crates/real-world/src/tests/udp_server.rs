use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::UdpSocket;
use tokio::task::yield_now;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::support::{soon, tasks};
use crate::udp_server::{LONGEST, receive, serve};

/// Garbage of all lengths, from sockets that are gone when their answers come, and far
/// more than are answered at the same time.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_flood_leaves_an_honest_client_served_and_nothing_behind() -> io::Result<()> {
    const AT_ONCE: usize = 8;
    for peers in [0, 1, 31, 129] {
        let before = tasks();
        let socket = UdpSocket::bind("127.0.0.1:0").await?;
        let address = socket.local_addr()?;
        let stop = CancellationToken::new();
        let server = tokio::spawn(serve(socket, AT_ONCE, stop.clone()));
        for length in 0..peers {
            let peer = UdpSocket::bind("127.0.0.1:0").await?;
            peer.send_to(&vec![0xFF; length * 20], address).await?;
        }
        sleep(Duration::from_millis(20)).await;
        assert!(tasks() <= before + AT_ONCE + 1, "{} tasks", tasks());
        let client = UdpSocket::bind("127.0.0.1:0").await?;
        client.connect(address).await?;
        let mut answer = [0; 100];
        let asking = async {
            loop {
                client.send(b"hello").await?;
                let answered = client.recv(&mut answer);
                if let Ok(size) = timeout(Duration::from_millis(300), answered).await {
                    return size;
                }
            }
        };
        assert_eq!(soon(asking).await?, 5);
        assert_eq!(&answer[..5], b"HELLO");
        stop.cancel();
        soon(server).await?;
        soon(async {
            while tasks() > before {
                sleep(Duration::from_millis(1)).await;
            }
        })
        .await;
    }
    Ok(())
}

async fn client(server: &UdpSocket) -> io::Result<UdpSocket> {
    let client = UdpSocket::bind("127.0.0.1:0").await?;
    client.connect(server.local_addr()?).await?;
    Ok(client)
}

/// The clock is paused: no answer is sent before all requests are there.
#[tokio::test(start_paused = true)]
async fn requests_that_are_too_long_or_too_many_are_dropped() -> io::Result<()> {
    let socket = UdpSocket::bind("127.0.0.1:0").await?;
    let (whole, other) = (client(&socket).await?, client(&socket).await?);
    let (long, third) = (client(&socket).await?, client(&socket).await?);
    long.send(&vec![b'a'; LONGEST + 1]).await?;
    whole.send(&vec![b'a'; LONGEST]).await?;
    other.send(b"other").await?;
    third.send(b"third").await?;
    let server = tokio::spawn(serve(socket, 2, CancellationToken::new()));
    let mut answer = vec![0; 2 * LONGEST];
    assert_eq!(soon(whole.recv(&mut answer)).await?, LONGEST);
    assert_eq!(soon(other.recv(&mut answer)).await?, 5);
    // An answer to the first request would have come before this one.
    for client in [long, third] {
        client.send(b"again").await?;
        let size = soon(client.recv(&mut answer)).await?;
        assert_eq!(&answer[..size], b"AGAIN");
    }
    server.abort();
    Ok(())
}

/// The clock is paused: the stop comes before the answers are sent.
#[tokio::test(start_paused = true)]
async fn after_the_stop_the_answers_that_have_begun_are_sent() -> io::Result<()> {
    let before = tasks();
    let socket = UdpSocket::bind("127.0.0.1:0").await?;
    let clients = [client(&socket).await?, client(&socket).await?];
    let stop = CancellationToken::new();
    let server = tokio::spawn(serve(socket, 2, stop.clone()));
    for client in &clients {
        client.send(b"hello").await?;
    }
    while tasks() < before + 3 {
        yield_now().await;
    }
    stop.cancel();
    let start = Instant::now();
    soon(server).await?;
    assert!(start.elapsed() >= Duration::from_millis(500));
    for client in clients {
        let mut answer = [0; 10];
        let size = soon(client.recv(&mut answer)).await?;
        assert_eq!(&answer[..size], b"HELLO");
    }
    Ok(())
}

#[tokio::test]
async fn datagrams_come_in_their_order_with_their_sender() -> io::Result<()> {
    let socket = UdpSocket::bind("127.0.0.1:0").await?;
    let client = client(&socket).await?;
    let address = client.local_addr()?;
    for number in 0..50 {
        client.send(&[number; 3]).await?;
    }
    let (stop, mut seen) = (CancellationToken::new(), Vec::new());
    let received = |datagram: &[u8], sender| {
        assert_eq!((datagram.len(), sender), (3, address));
        seen.push(datagram[0]);
        if seen.len() == 50 {
            stop.cancel();
        }
    };
    soon(receive(&socket, &stop, received)).await;
    assert_eq!(seen, (0..50).collect::<Vec<_>>());
    Ok(())
}

#[tokio::test]
async fn a_dropped_server_still_sends_the_answers_that_have_begun() -> io::Result<()> {
    let before = tasks();
    let socket = UdpSocket::bind("127.0.0.1:0").await?;
    let client = client(&socket).await?;
    let server = tokio::spawn(serve(socket, 2, CancellationToken::new()));
    client.send(b"hello").await?;
    while tasks() < before + 2 {
        yield_now().await;
    }
    server.abort();
    let mut answer = [0; 10];
    let size = soon(client.recv(&mut answer)).await?;
    assert_eq!(&answer[..size], b"HELLO");
    Ok(())
}

/// The system keeps some datagrams for a socket that nobody reads, and drops the others
/// without an error.
#[tokio::test]
async fn datagrams_are_dropped_when_nobody_reads() -> io::Result<()> {
    const SENT: usize = 3_000;
    let socket = UdpSocket::bind("127.0.0.1:0").await?;
    let sender = client(&socket).await?;
    for _ in 0..SENT {
        assert_eq!(sender.send(&[0; 1_000]).await?, 1_000);
    }
    let mut received = 0;
    let mut request = [0; LONGEST + 1];
    let limit = Duration::from_millis(300);
    while timeout(limit, socket.recv_from(&mut request)).await.is_ok() {
        received += 1;
    }
    assert!((1..SENT).contains(&received), "{received}");
    Ok(())
}

/// Tasks share a socket in an `Arc`: some receive while others send.
#[tokio::test]
async fn several_tasks_receive_and_send_on_one_socket() -> io::Result<()> {
    let socket = Arc::new(UdpSocket::bind("127.0.0.1:0").await?);
    let peer = client(&socket).await?;
    let receive = || {
        let socket = Arc::clone(&socket);
        tokio::spawn(async move {
            let mut request = [0; 10];
            let (size, _) = socket.recv_from(&mut request).await?;
            io::Result::Ok(request[..size].to_vec())
        })
    };
    let receivers = [receive(), receive()];
    socket.send_to(b"hello", peer.local_addr()?).await?;
    let mut greeting = [0; 10];
    assert_eq!(soon(peer.recv(&mut greeting)).await?, 5);
    for request in [b"a", b"b"] {
        peer.send(request).await?;
    }
    let mut all = Vec::new();
    for receiver in receivers {
        all.extend(soon(receiver).await.expect("no panic")?);
    }
    all.sort_unstable();
    assert_eq!(all, b"ab");
    Ok(())
}
