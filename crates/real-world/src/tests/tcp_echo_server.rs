use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::time::Duration;

use futures::future::try_join_all;
use socket2::SockRef;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::tcp_echo_server::{Limits, echo, serve};

const MINUTE: Duration = Duration::from_secs(60);
const TENTH: Duration = Duration::from_millis(100);

/// Sends a text, and waits for as many bytes.
async fn exchange(stream: &mut TcpStream, text: &str) -> io::Result<String> {
    stream.write_all(text.as_bytes()).await?;
    let mut answer = vec![0; text.len()];
    stream.read_exact(&mut answer).await?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

struct Server {
    address: SocketAddr,
    stop: CancellationToken,
    task: JoinHandle<usize>,
}

impl Server {
    async fn start(connections: usize, idle: Duration) -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let stop = CancellationToken::new();
        let limits = Limits {
            connections,
            idle,
            drain: TENTH,
        };
        let task = tokio::spawn(serve(listener, limits, stop.clone()));
        Ok(Self {
            address,
            stop,
            task,
        })
    }

    async fn connect(&self) -> io::Result<TcpStream> {
        TcpStream::connect(self.address).await
    }

    async fn stop(self) -> usize {
        self.stop.cancel();
        let ended = timeout(MINUTE, self.task).await.expect("nobody hangs");
        ended.expect("it does not panic")
    }
}

async fn pair() -> io::Result<(TcpStream, TcpStream)> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let client = TcpStream::connect(listener.local_addr()?).await?;
    Ok((client, listener.accept().await?.0))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn three_hundred_at_once_of_whom_eight_fit() -> io::Result<()> {
    super::allow_files();
    let server = Server::start(8, MINUTE).await?;
    let clients = (0..300).map(|number| {
        let connecting = TcpStream::connect(server.address);
        async move {
            let mut stream = connecting.await?;
            for turn in 0..5 {
                let text = format!("{number} {turn}");
                assert_eq!(exchange(&mut stream, &text).await?, text);
            }
            // A few reset the connection, the others close it.
            match number % 100 {
                0 => stream.set_zero_linger(),
                _ => Ok(()),
            }
        }
    });
    try_join_all(clients).await?;
    assert_eq!(server.stop().await, 0);
    Ok(())
}

#[tokio::test]
async fn with_one_permit_the_second_waits() -> io::Result<()> {
    let server = Server::start(1, MINUTE).await?;
    let (mut first, mut second) = (server.connect().await?, server.connect().await?);
    exchange(&mut first, "a").await?;
    assert!(timeout(TENTH, exchange(&mut second, "b")).await.is_err());
    drop(first);
    let mut answer = [0];
    timeout(MINUTE, second.read_exact(&mut answer)).await??;
    assert_eq!(&answer, b"b");
    Ok(())
}

#[tokio::test]
async fn with_no_permit_it_serves_nobody_and_can_be_stopped() -> io::Result<()> {
    let server = Server::start(0, MINUTE).await?;
    let mut client = server.connect().await?;
    assert!(timeout(TENTH, exchange(&mut client, "a")).await.is_err());
    assert_eq!(server.stop().await, 0);
    let ended = timeout(MINUTE, client.read(&mut [0])).await?;
    assert_eq!(
        ended.map_err(|error| error.kind()),
        Err(ErrorKind::ConnectionReset)
    );
    Ok(())
}

#[tokio::test]
async fn after_the_drain_it_cuts_off_who_stays_and_returns_their_number() -> io::Result<()>
{
    let server = Server::start(8, MINUTE).await?;
    let mut clients = Vec::new();
    for _ in 0..4 {
        let mut client = server.connect().await?;
        exchange(&mut client, "a").await?;
        clients.push(client);
    }
    let address = server.address;
    let start = Instant::now();
    let stopping = server.stop();
    let leaving = async {
        let mut leaves = clients.pop().expect("there are four");
        sleep(TENTH / 4).await;
        // From now on clients are refused, and the others are still served.
        let refused = TcpStream::connect(address).await.map(|_| ());
        exchange(&mut leaves, "b").await?;
        io::Result::Ok(refused.map_err(|error| error.kind()))
    };
    let (cut_off, refused) = tokio::join!(stopping, leaving);
    assert_eq!(refused?, Err(ErrorKind::ConnectionRefused));
    assert_eq!(cut_off, 3);
    assert!(start.elapsed() >= TENTH);
    for mut client in clients {
        assert_eq!(timeout(MINUTE, client.read(&mut [0])).await??, 0);
    }
    Ok(())
}

#[tokio::test]
async fn dropped_it_closes_all() -> io::Result<()> {
    let server = Server::start(8, MINUTE).await?;
    let mut clients = Vec::new();
    for _ in 0..8 {
        let mut client = server.connect().await?;
        exchange(&mut client, "a").await?;
        clients.push(client);
    }
    server.task.abort();
    for mut client in clients {
        assert_eq!(timeout(MINUTE, client.read(&mut [0])).await??, 0);
    }
    assert!(server.task.await.is_err_and(|error| error.is_cancelled()));
    Ok(())
}

/// The limit of file descriptors is the whole process's, so this is done in another.
#[cfg(unix)]
mod out_of_descriptors {
    use std::fs::File;
    use std::io;

    use std::{env, iter};

    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    use tokio::time::timeout;

    use super::super::support::child_of;
    use super::{MINUTE, Server, TENTH, exchange};

    const IS_CHILD: &str = "ECHO_SERVER_OUT_OF_DESCRIPTORS";

    #[tokio::test]
    async fn child() -> io::Result<()> {
        if env::var_os(IS_CHILD).is_none() {
            return Ok(());
        }
        let maximum = getrlimit(Resource::Nofile).maximum;
        let current = Some(64);
        setrlimit(Resource::Nofile, Rlimit { current, maximum })?;
        let server = Server::start(100, MINUTE).await?;
        let mut first = server.connect().await?;
        exchange(&mut first, "a").await?;
        let open = || File::open("/dev/null").ok();
        let mut files: Vec<File> = iter::from_fn(open).collect();
        files.pop();
        // This takes the last one, and the server has none for its end.
        let mut second = server.connect().await?;
        assert!(timeout(TENTH, exchange(&mut second, "b")).await.is_err());
        assert_eq!(exchange(&mut first, "c").await?, "c");
        drop(files);
        timeout(MINUTE, second.readable()).await??;
        drop(second);
        let mut third = server.connect().await?;
        exchange(&mut third, "d").await?;
        drop((first, third));
        assert_eq!(server.stop().await, 0);
        println!("served");
        Ok(())
    }

    #[test]
    fn do_not_end_the_server() -> io::Result<()> {
        let output = child_of(module_path!()).env(IS_CHILD, "1").output()?;
        let stdout = String::from_utf8_lossy(&output.stdout);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(stdout.contains("served"), "{stdout}{stderr}");
        // Once, and after a pause: it does not spin.
        assert_eq!(stderr.matches("cannot accept").count(), 1, "{stderr}");
        Ok(())
    }
}

#[tokio::test]
async fn what_is_read_and_written_at_once_comes_back_whole() -> io::Result<()> {
    const SIZE: usize = 8 << 20;
    let (client, server) = pair().await?;
    let server = tokio::spawn(echo(server, MINUTE));
    let (mut reader, mut writer) = client.into_split();
    let sent: Vec<u8> = (0..SIZE).map(|index| (index % 251) as u8).collect();
    let mut received = Vec::new();
    let sending = async {
        writer.write_all(&sent).await?;
        writer.shutdown().await
    };
    tokio::try_join!(sending, reader.read_to_end(&mut received))?;
    assert!(received == sent);
    server.await.expect("it does not panic")
}

#[tokio::test]
async fn who_sends_but_does_not_read_is_cut_off() -> io::Result<()> {
    let (mut client, server) = pair().await?;
    let server = tokio::spawn(echo(server, TENTH));
    // Until the buffers of the system are full in both directions.
    let send = async { while client.write_all(&[0; 65_536]).await.is_ok() {} };
    timeout(MINUTE, send).await?;
    let ended = server.await.expect("it does not panic");
    let kind = ended.expect_err("it never ends by itself").kind();
    assert_eq!(kind, ErrorKind::TimedOut);
    Ok(())
}

#[tokio::test]
async fn tokio_leaves_nodelay_off() -> io::Result<()> {
    let (client, server) = pair().await?;
    assert_eq!([client.nodelay()?, server.nodelay()?], [false, false]);
    Ok(())
}

/// With small buffers a few pieces fill them. After some number of pieces the server has
/// read all, so the system would end its part of the answer like a whole one.
#[tokio::test]
async fn an_answer_that_is_cut_off_does_not_pass_for_the_whole() -> io::Result<()> {
    let cut_off = (1..=16).map(async |pieces| {
        let sent = vec![0; pieces * 4096];
        let socket = TcpSocket::new_v4()?;
        socket.set_recv_buffer_size(2048)?;
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let mut client = socket.connect(listener.local_addr()?).await?;
        let (server, _) = listener.accept().await?;
        SockRef::from(&server).set_send_buffer_size(2048)?;
        client.write_all(&sent).await?;
        let ended = timeout(MINUTE, echo(server, 10 * TENTH)).await?;
        assert_eq!(
            ended.map_err(|error| error.kind()),
            Err(ErrorKind::TimedOut)
        );
        let mut answer = Vec::new();
        let read = timeout(MINUTE, client.read_to_end(&mut answer)).await?;
        assert!(read.is_err() || answer == sent, "{} bytes", answer.len());
        io::Result::Ok(read.is_err())
    });
    let cut_off = try_join_all(cut_off).await?;
    assert!(
        cut_off.contains(&true),
        "more than 64 KB fit into the buffers"
    );
    io::Result::Ok(())
}
