use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::time::Duration;

use futures::future::{join_all, try_join_all};
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy, duplex};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Instant, sleep, timeout};
use tokio::{join, try_join};
use tokio_util::sync::CancellationToken;

use super::support::{poll_and_drop, soon, tasks};
use crate::tcp_proxy::{Failure, Limits, forward, serve};

const MINUTE: Duration = Duration::from_secs(60);
const SECOND: Duration = Duration::from_secs(1);
const TENTH: Duration = Duration::from_millis(100);

struct Proxy {
    address: SocketAddr,
    stop: CancellationToken,
    task: JoinHandle<usize>,
}

impl Proxy {
    async fn start(connections: usize, upstream: String) -> io::Result<Self> {
        Self::start_with(connections, upstream, MINUTE).await
    }

    async fn start_with(
        connections: usize,
        upstream: String,
        connect: Duration,
    ) -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let stop = CancellationToken::new();
        let limits = Limits {
            connections,
            connect,
            idle: MINUTE,
            drain: TENTH,
        };
        let task = tokio::spawn(serve(listener, upstream, limits, stop.clone()));
        Ok(Self {
            address,
            stop,
            task,
        })
    }

    /// Starts a proxy, and returns it with the listener behind it.
    async fn before_a_listener() -> io::Result<(Self, TcpListener)> {
        let upstream = TcpListener::bind("127.0.0.1:0").await?;
        let proxy = Self::start(8, upstream.local_addr()?.to_string()).await?;
        Ok((proxy, upstream))
    }

    async fn through(&self, server: &TcpListener) -> io::Result<(TcpStream, TcpStream)> {
        let connecting = TcpStream::connect(self.address);
        let (client, (server, _)) =
            soon(async { try_join!(connecting, server.accept()) }).await?;
        Ok((client, server))
    }

    async fn stop(self) -> usize {
        self.stop.cancel();
        soon(self.task).await.expect("it does not panic")
    }
}

/// How reading to the end of a stream ends.
async fn end(mut stream: TcpStream) -> Result<usize, ErrorKind> {
    let mut bytes = Vec::new();
    let ended = soon(stream.read_to_end(&mut bytes)).await;
    ended.map_err(|error| error.kind())
}

#[tokio::test(start_paused = true)]
async fn bytes_in_one_direction_keep_both_open() {
    for upload in [false, true] {
        let (mut client, near) = duplex(64);
        let (far, mut server) = duplex(64);
        let start = Instant::now();
        let task = tokio::spawn(forward(near, far, SECOND));
        let (sender, receiver) = match upload {
            true => (&mut client, &mut server),
            false => (&mut server, &mut client),
        };
        for _ in 0..20 {
            sleep(SECOND * 9 / 10).await;
            sender.write_all(b"x").await.expect("it is open");
            assert_eq!(receiver.read_u8().await.expect("it is open"), b'x');
        }
        let ended = task.await.expect("it does not panic");
        assert!(matches!(ended, Err(Failure::Idle)), "{ended:?}");
        assert_eq!(start.elapsed(), SECOND * 19);
    }
}

/// A read of the copying takes up to 8 KiB, and the reader needs hours for them.
#[tokio::test(start_paused = true)]
async fn a_reader_that_takes_a_byte_at_a_time_is_not_idle() {
    let (mut client, near) = duplex(1);
    let (far, mut server) = duplex(10_000);
    let task = tokio::spawn(forward(near, far, SECOND));
    server
        .write_all(&[b'x'; 8000])
        .await
        .expect("there is room");
    for _ in 0..8000 {
        sleep(SECOND / 2).await;
        assert_eq!(client.read_u8().await.expect("it is open"), b'x');
    }
    let ended = task.await.expect("it does not panic");
    assert!(matches!(ended, Err(Failure::Idle)), "{ended:?}");
}

#[tokio::test(start_paused = true)]
async fn a_server_that_does_not_read_holds_the_client_back() {
    let (mut client, near) = duplex(64);
    let (far, _server) = duplex(64);
    let task = tokio::spawn(forward(near, far, SECOND));
    let mut pushed = 0;
    while let Ok(size) = client.write(&[b'x'; 64]).await {
        pushed += size;
    }
    assert!(pushed <= 64 + 8192 + 64, "{pushed}");
    let ended = task.await.expect("it does not panic");
    assert!(matches!(ended, Err(Failure::Idle)), "{ended:?}");
}

#[tokio::test(start_paused = true)]
async fn a_side_that_ends_still_gets_the_answer() {
    for size in [0, 1, 31, 129, 1000, 100_000] {
        let (client, near) = duplex(64);
        let (far, server) = duplex(64);
        let peer = async |mut stream: tokio::io::DuplexStream, asks: bool| {
            let (sent, mut got) = (vec![b'x'; size], Vec::new());
            if !asks {
                stream.read_to_end(&mut got).await.expect("it is open");
            }
            stream.write_all(&sent).await.expect("it is open");
            stream.shutdown().await.expect("it is open");
            if asks {
                stream.read_to_end(&mut got).await.expect("it is open");
            }
            assert!(got == sent);
        };
        let forwarding = forward(near, far, Duration::MAX);
        let (copied, (), ()) = join!(forwarding, peer(client, true), peer(server, false));
        let size = size as u64;
        assert_eq!(copied.expect("both sides end"), (size, size));
    }
}

#[tokio::test(start_paused = true)]
async fn with_no_time_only_silence_ends_it() {
    let [(_client, near), (far, _server)] = [duplex(64), duplex(64)];
    let ended = forward(near, far, Duration::ZERO).await;
    assert!(matches!(ended, Err(Failure::Idle)), "{ended:?}");
}

#[tokio::test(start_paused = true)]
async fn dropped_at_each_await_it_closes_both() {
    for polls in 0..20 {
        let (mut client, near) = duplex(4);
        let (far, mut server) = duplex(4);
        let forwarding = poll_and_drop(forward(near, far, MINUTE), polls);
        let sending = async {
            let sent = client.write_all(&[b'x'; 1000]).await;
            assert_eq!(sent.map_err(|it| it.kind()), Err(ErrorKind::BrokenPipe));
        };
        let mut got = Vec::new();
        let (forwarded, (), _) = join!(forwarding, sending, server.read_to_end(&mut got));
        assert!(forwarded.is_none() && got.len() < 1000);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn three_hundred_at_once_of_whom_eight_fit() -> io::Result<()> {
    super::allow_files();
    let before = tasks();
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let name = format!("localhost:{}", listener.local_addr()?.port());
    let echo = tokio::spawn(async move {
        let mut connections = JoinSet::new();
        while let Ok((mut stream, _)) = listener.accept().await {
            connections.spawn(async move {
                let (mut reader, mut writer) = stream.split();
                let _ended = copy(&mut reader, &mut writer).await;
            });
        }
    });
    let proxy = Proxy::start(8, name).await?;
    let clients = (0..300).map(|number| {
        let connecting = TcpStream::connect(proxy.address);
        async move {
            let mut stream = connecting.await?;
            for turn in 0..5 {
                let text = format!("{number} {turn}");
                stream.write_all(text.as_bytes()).await?;
                let mut answer = vec![0; text.len()];
                stream.read_exact(&mut answer).await?;
                assert_eq!(answer, text.as_bytes());
            }
            // A few reset the connection, the others close it.
            match number % 100 {
                0 => stream.set_zero_linger(),
                _ => Ok(()),
            }
        }
    });
    soon(try_join_all(clients)).await?;
    assert_eq!(proxy.stop().await, 0);
    echo.abort();
    soon(async {
        while tasks() > before {
            sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
    Ok(())
}

/// The proxy has closed its sockets before the client reads. What the client has not
/// room for is still in the system's buffer of the proxy.
#[tokio::test]
async fn an_answer_arrives_whole_although_the_proxy_has_closed() -> io::Result<()> {
    const SIZE: usize = 100_000;
    let (proxy, upstream) = Proxy::before_a_listener().await?;
    let socket = TcpSocket::new_v4()?;
    socket.set_recv_buffer_size(4096)?;
    let connecting = socket.connect(proxy.address);
    let (mut client, (mut server, _)) = try_join!(connecting, upstream.accept())?;
    client.shutdown().await?;
    server.write_all(&[b'x'; SIZE]).await?;
    drop(server);
    assert_eq!(proxy.stop().await, 0);
    assert_eq!(end(client).await, Ok(SIZE));
    Ok(())
}

#[tokio::test]
async fn a_reset_of_one_side_resets_the_other() -> io::Result<()> {
    let (proxy, upstream) = Proxy::before_a_listener().await?;
    for client_leaves in [true, false] {
        let (client, server) = proxy.through(&upstream).await?;
        let (leaving, staying) = match client_leaves {
            true => (client, server),
            false => (server, client),
        };
        leaving.set_zero_linger()?;
        drop(leaving);
        assert_eq!(end(staying).await, Err(ErrorKind::ConnectionReset));
    }
    Ok(())
}

#[tokio::test]
async fn cut_off_both_sides_are_reset() -> io::Result<()> {
    for aborts in [true, false] {
        let (proxy, upstream) = Proxy::before_a_listener().await?;
        let mut peers = Vec::new();
        for _ in 0..8 {
            let (client, server) = proxy.through(&upstream).await?;
            peers.extend([client, server]);
        }
        match aborts {
            true => proxy.task.abort(),
            false => assert_eq!(proxy.stop().await, 8),
        }
        let ends = join_all(peers.into_iter().map(end)).await;
        assert_eq!(ends, [Err(ErrorKind::ConnectionReset); 16]);
    }
    Ok(())
}

#[tokio::test]
async fn a_server_that_is_no_server() -> io::Result<()> {
    let closed = TcpListener::bind("127.0.0.1:0").await?.local_addr()?;
    for upstream in [closed.to_string(), "no port".to_owned()] {
        let proxy = Proxy::start(1, upstream).await?;
        for _ in 0..3 {
            // The reset may come before `connect` has returned.
            let ended = match TcpStream::connect(proxy.address).await {
                Ok(client) => end(client).await,
                Err(error) => Err(error.kind()),
            };
            assert_eq!(ended, Err(ErrorKind::ConnectionReset));
        }
        assert_eq!(proxy.stop().await, 0);
    }
    Ok(())
}

/// Linux answers no client whose place in the backlog is taken.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_server_that_does_not_answer() -> io::Result<()> {
    let socket = TcpSocket::new_v4()?;
    socket.bind(SocketAddr::from(([127, 0, 0, 1], 0)))?;
    let full = socket.listen(1)?;
    let address = full.local_addr()?;
    let mut clients = Vec::new();
    while let Ok(client) = timeout(TENTH, TcpStream::connect(address)).await {
        clients.push(client?);
    }
    let proxy = Proxy::start_with(1, address.to_string(), TENTH).await?;
    let client = TcpStream::connect(proxy.address).await?;
    assert_eq!(end(client).await, Err(ErrorKind::ConnectionReset));
    assert_eq!(proxy.stop().await, 0);
    Ok(())
}

#[tokio::test]
async fn with_one_permit_the_second_waits() -> io::Result<()> {
    let upstream = TcpListener::bind("127.0.0.1:0").await?;
    let proxy = Proxy::start(1, upstream.local_addr()?.to_string()).await?;
    let (client, _server) = proxy.through(&upstream).await?;
    let _second = TcpStream::connect(proxy.address).await?;
    assert!(timeout(TENTH, upstream.accept()).await.is_err());
    client.set_zero_linger()?;
    drop(client);
    soon(upstream.accept()).await?;
    Ok(())
}
