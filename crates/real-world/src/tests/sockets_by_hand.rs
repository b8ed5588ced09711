use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::time::Duration;

#[cfg(unix)]
use socket2::SockRef;
#[cfg(target_os = "linux")]
use tokio::io::Interest;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
#[cfg(unix)]
use tokio::net::TcpSocket;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::yield_now;
use tokio::time::{sleep, timeout};

use crate::sockets_by_hand::{add_reader, adopt, connect, listen, send};

const MINUTE: Duration = Duration::from_secs(60);

async fn pair(send_buffer: u32) -> io::Result<(TcpStream, TcpStream)> {
    let listener = listen("127.0.0.1:0".parse().expect("an address"), true)?;
    let client = connect(listener.local_addr()?, send_buffer).await?;
    Ok((client, listener.accept().await?.0))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_is_sent_while_there_is_room_comes_whole_and_in_order() -> io::Result<()> {
    let (client, mut server) = pair(10_000).await?;
    let data: Vec<u8> = (0..3_000_000_u32).map(|n| (n % 251) as u8).collect();
    let expected = data.clone();
    let sending = tokio::spawn(async move { send(&client, &data).await });
    let mut got = Vec::new();
    timeout(MINUTE, server.read_to_end(&mut got)).await??;
    sending.await??;
    assert!(got == expected);
    Ok(())
}

/// While data keeps coming, on several threads.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn once_removed_a_reader_is_not_called_back() -> io::Result<()> {
    for _ in 0..50 {
        let (mut client, server) = pair(50_000).await?;
        let server = Arc::new(server);
        let sending =
            tokio::spawn(
                async move { while client.write_all(&[0; 65_536]).await.is_ok() {} },
            );
        let calls = Arc::new(AtomicU64::new(0));
        let called = Arc::clone(&calls);
        let reader = add_reader(Arc::clone(&server), move |data| {
            assert!(data.is_ok());
            called.fetch_add(1, SeqCst);
        });
        while calls.load(SeqCst) < 10 {
            yield_now().await;
        }
        timeout(MINUTE, reader.remove()).await?;
        let at_the_end = calls.load(SeqCst);
        sleep(Duration::from_millis(5)).await;
        assert_eq!(calls.load(SeqCst), at_the_end);
        server.readable().await?;
        assert!(server.try_read(&mut [0]).is_ok_and(|size| size == 1));
        sending.abort();
    }
    Ok(())
}

/// A reader is removed at each step of what it does with a byte, and another added.
#[tokio::test]
async fn a_reader_that_is_removed_loses_nothing() -> io::Result<()> {
    let (mut client, server) = pair(50_000).await?;
    let server = Arc::new(server);
    let (called, mut calls) = mpsc::unbounded_channel();
    for byte in 0..200 {
        let called = called.clone();
        let reader = add_reader(Arc::clone(&server), move |data| {
            called.send(data.map(<[u8]>::to_vec)).expect("it is open");
        });
        client.write_all(&[byte]).await?;
        server.readable().await?;
        for _ in 0..byte % 5 {
            yield_now().await;
        }
        reader.remove().await;
    }
    let called_at_end = called.clone();
    add_reader(server, move |data| {
        let data = data.map(<[u8]>::to_vec);
        called_at_end.send(data).expect("it is open");
    });
    drop(client);
    let mut got = Vec::new();
    loop {
        let data = timeout(MINUTE, calls.recv()).await?.expect("a call")?;
        if data.is_empty() {
            break;
        }
        got.extend(data);
    }
    got.sort_unstable();
    assert_eq!(got, (0..200).collect::<Vec<u8>>());
    Ok(())
}

#[tokio::test]
async fn a_reader_is_told_of_a_reset() -> io::Result<()> {
    let (client, server) = pair(50_000).await?;
    let (called, mut calls) = mpsc::unbounded_channel();
    add_reader(Arc::new(server), move |data| {
        let kind = data.expect_err("nothing was sent").kind();
        called.send(kind).expect("it is open");
    });
    client.set_zero_linger()?;
    drop(client);
    let kind = timeout(MINUTE, calls.recv()).await?;
    assert_eq!(kind, Some(io::ErrorKind::ConnectionReset));
    assert_eq!(timeout(MINUTE, calls.recv()).await?, None);
    Ok(())
}

/// While unread bytes wait, which `readable` reports all the time.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn the_end_of_the_peer_is_noticed_without_reading() -> io::Result<()> {
    let tenth = Duration::from_millis(100);
    for unread in [&b""[..], b"next"] {
        let (mut client, mut server) = pair(50_000).await?;
        client.write_all(unread).await?;
        let ended = timeout(tenth, server.ready(Interest::PRIORITY)).await;
        assert!(ended.is_err(), "the client has not ended");
        client.shutdown().await?;
        let ended = timeout(MINUTE, server.ready(Interest::PRIORITY)).await??;
        assert!(ended.is_read_closed());
        let mut left = Vec::new();
        server.read_to_end(&mut left).await?;
        assert_eq!(left, unread);
    }
    Ok(())
}

/// Where there is no `PRIORITY`.
#[tokio::test]
async fn peek_tells_of_the_end_only_if_no_data_is_unread() -> io::Result<()> {
    let (mut client, mut server) = pair(50_000).await?;
    client.write_all(b"next").await?;
    client.shutdown().await?;
    let mut buffer = [0; 10];
    assert_eq!(timeout(MINUTE, server.peek(&mut buffer)).await??, 4);
    server.read_exact(&mut buffer[..4]).await?;
    assert_eq!(timeout(MINUTE, server.peek(&mut buffer)).await??, 0);
    // It has ended its side, and still reads.
    send(&server, b"answer").await?;
    drop(server);
    let mut answer = Vec::new();
    timeout(MINUTE, client.read_to_end(&mut answer)).await??;
    assert_eq!(answer, b"answer");
    Ok(())
}

// Tokio looks only on Unix.
#[cfg(unix)]
#[tokio::test]
#[should_panic(expected = "a blocking socket with the tokio runtime is unsupported")]
async fn a_blocking_socket_is_refused() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let stream = std::net::TcpStream::connect(address).expect("a connection");
    let _ = TcpStream::from_std(stream);
}

#[tokio::test]
async fn an_adopted_socket_waits_without_a_thread() -> io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let stream = std::net::TcpStream::connect(listener.local_addr()?)?;
    let mut stream = adopt(stream)?;
    let tenth = Duration::from_millis(100);
    assert!(timeout(tenth, stream.read(&mut [0])).await.is_err());
    Ok(())
}

#[tokio::test]
async fn a_send_to_a_peer_that_has_gone_is_an_error() -> io::Result<()> {
    let (client, server) = pair(10_000).await?;
    drop(server);
    let sending = async {
        while send(&client, &[0; 1000]).await.is_ok() {
            yield_now().await;
        }
    };
    timeout(MINUTE, sending).await?;
    Ok(())
}

/// The first trap. `TcpListener::bind` sets the option.
#[cfg(unix)]
#[tokio::test]
async fn a_socket_of_its_own_has_no_option_set() -> io::Result<()> {
    let address = "127.0.0.1:0".parse().expect("an address");
    assert!(!TcpSocket::new_v4()?.reuseaddr()?);
    for (listener, reuses) in [
        (TcpListener::bind(address).await?, true),
        (listen(address, true)?, true),
        (listen(address, false)?, false),
    ] {
        assert_eq!(SockRef::from(&listener).reuse_address()?, reuses);
    }
    Ok(())
}
