use std::io::{self, ErrorKind};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
#[cfg(target_os = "linux")]
use tokio::net::{TcpSocket, TcpStream};
#[cfg(target_os = "linux")]
use tokio::time::timeout;
use tokio_util::task::AbortOnDropHandle;

use super::support::soon;
use crate::tcp_client::{Limits, ask};

const MINUTE: Duration = Duration::from_secs(60);
const LIMITS: Limits = Limits {
    connect: MINUTE,
    exchange: MINUTE,
    answer: 100_000,
};

/// Asks a server that reads the whole request, if it is to, and then sends an answer.
async fn asked(
    reads: bool,
    request: &[u8],
    answer: Vec<u8>,
    limits: Limits,
) -> io::Result<Vec<u8>> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let length = request.len();
    let serving = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await?;
        if !reads {
            return std::future::pending().await;
        }
        let mut got = Vec::new();
        stream.read_to_end(&mut got).await?;
        assert_eq!(got.len(), length);
        stream.write_all(&answer).await
    });
    let serving = AbortOnDropHandle::<io::Result<()>>::new(serving);
    let answer = soon(ask(address, request, limits)).await;
    drop(serving);
    answer
}

#[tokio::test]
async fn requests_and_answers_of_any_size_are_whole() -> io::Result<()> {
    for size in [0, 1, 31, 129, 1_000, 100_000] {
        let (request, answer) = (vec![b'q'; size], vec![b'a'; size]);
        assert_eq!(asked(true, &request, answer.clone(), LIMITS).await?, answer);
    }
    Ok(())
}

#[tokio::test]
async fn limits_without_end_overflow_nothing() -> io::Result<()> {
    let limits = Limits {
        connect: Duration::MAX,
        exchange: Duration::MAX,
        answer: usize::MAX,
    };
    assert_eq!(
        asked(true, b"x", b"answer".into(), limits).await?,
        b"answer"
    );
    Ok(())
}

#[tokio::test]
async fn each_limit_holds() -> io::Result<()> {
    let long = asked(true, b"x", vec![0; 100_001], LIMITS).await;
    assert_eq!(
        long.map_err(|error| error.kind()),
        Err(ErrorKind::FileTooLarge)
    );
    let exchange = Duration::from_millis(50);
    // One that does not answer, and one that does not even read.
    for request in [10, 20_000_000] {
        let limits = Limits { exchange, ..LIMITS };
        let late = asked(false, &vec![0; request], Vec::new(), limits).await;
        assert_eq!(late.map_err(|error| error.kind()), Err(ErrorKind::TimedOut));
    }
    Ok(())
}

/// Linux answers no client whose place in the backlog is taken.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn to_connect_has_its_own_limit() -> io::Result<()> {
    let connect = Duration::from_millis(100);
    let socket = TcpSocket::new_v4()?;
    socket.bind(([127, 0, 0, 1], 0).into())?;
    let full = socket.listen(1)?;
    let address = full.local_addr()?;
    let mut clients = Vec::new();
    while let Ok(client) = timeout(connect, TcpStream::connect(address)).await {
        clients.push(client?);
    }
    let late = soon(ask(address, b"x", Limits { connect, ..LIMITS })).await;
    assert_eq!(late.map_err(|error| error.kind()), Err(ErrorKind::TimedOut));
    Ok(())
}

#[tokio::test]
async fn a_name_without_an_address_and_a_port_without_a_server() {
    let unknown = soon(ask("nowhere.invalid:80", b"", LIMITS)).await;
    assert!(unknown.is_err());
    let refused = soon(ask("127.0.0.1:1", b"", LIMITS)).await;
    let refused = refused.map_err(|error| error.kind());
    assert_eq!(refused, Err(ErrorKind::ConnectionRefused));
}
