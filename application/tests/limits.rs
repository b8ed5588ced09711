//! The limits of a connection, and what ends a connection that is beyond them.

#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "these are tests, which fail by it")]

use std::net::SocketAddr;
use std::time::Duration;

use app::server::{self, Limits};
use axum::{Router, routing::get};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{sleep, timeout};
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};

/// No machine is so busy that this runs out.
const LIMIT: Duration = Duration::from_secs(30);

const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n";

/// Serves `routes` until the handle is dropped.
async fn serve(
    routes: Router,
    limits: Limits,
) -> (SocketAddr, AbortOnDropHandle<anyhow::Result<()>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = server::serve(listener, routes, CancellationToken::new(), limits);
    (address, AbortOnDropHandle::new(tokio::spawn(server)))
}

fn hello() -> Router {
    Router::new().route("/", get(async || "hello"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn beyond_the_limit_of_connections_clients_wait() {
    let limits = Limits {
        connections: 2,
        ..Limits::default()
    };
    let (address, _server) = serve(hello(), limits).await;
    let mut open = Vec::new();
    for _ in 0..2 {
        let mut client = TcpStream::connect(address).await.unwrap();
        client.write_all(GET).await.unwrap();
        assert_eq!(client.read_u8().await.unwrap(), b'H');
        open.push(client);
    }
    let mut third = TcpStream::connect(address).await.unwrap();
    third.write_all(GET).await.unwrap();
    let early = timeout(Duration::from_millis(100), third.read_u8()).await;
    assert!(early.is_err(), "it is served next to two others: {early:?}");
    open.pop();
    let answer = timeout(LIMIT, third.read_u8()).await;
    assert_eq!(answer.expect("it is served then").unwrap(), b'H');
}

/// One client says nothing, the other sends its headers a byte at a time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_with_slow_headers_is_cut_off() {
    let limits = Limits {
        head: Duration::from_millis(200),
        ..Limits::default()
    };
    let (address, _server) = serve(hello(), limits).await;
    for drip in ["", "GET / HTTP/1.1\r\nX-Slow: "] {
        let (mut reader, mut writer) =
            TcpStream::connect(address).await.unwrap().into_split();
        let drips = async {
            writer.write_all(drip.as_bytes()).await.unwrap();
            while drip.is_empty() || writer.write_all(b"x").await.is_ok() {
                sleep(Duration::from_millis(10)).await;
            }
            std::future::pending::<()>().await;
        };
        let mut answer = Vec::new();
        let ends = async {
            tokio::select! {
                // The connection may be reset, as the client still writes.
                _ = reader.read_to_end(&mut answer) => {}
                () = drips => {}
            }
        };
        timeout(LIMIT, ends).await.expect("it is cut off");
        assert!(!answer.starts_with(b"HTTP/1.1 200"), "{drip:?}");
    }
}

#[tokio::test]
async fn headers_beyond_the_buffer_are_refused() {
    let (address, _server) = serve(hello(), Limits::default()).await;
    let mut client = TcpStream::connect(address).await.unwrap();
    let long = "x".repeat(20 * 1024);
    let head = format!("GET / HTTP/1.1\r\nHost: x\r\nX-Long: {long}\r\n\r\n");
    client.write_all(head.as_bytes()).await.unwrap();
    let mut answer = [0; 12];
    timeout(LIMIT, client.read_exact(&mut answer))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(&answer, b"HTTP/1.1 431");
}
