use std::io::{self, ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::try_join_all;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::runtime::Builder;
use tokio::time::timeout;

use crate::servers::{Server, bind};

const MINUTE: Duration = Duration::from_secs(60);
const TENTH: Duration = Duration::from_millis(100);

/// Starts a server that sends back what comes, after its name.
fn start(name: &'static str, sockets: Vec<TcpSocket>) -> io::Result<Server> {
    start_with(1000, name, sockets)
}

fn start_with(
    limit: usize,
    name: &'static str,
    sockets: Vec<TcpSocket>,
) -> io::Result<Server> {
    Server::start_serving(sockets, limit, move |mut stream| async move {
        let mut buffer = [0; 100];
        while let Ok(size @ 1..) = stream.read(&mut buffer).await {
            let answer = [name.as_bytes(), b": ", &buffer[..size]].concat();
            if stream.write_all(&answer).await.is_err() {
                break;
            }
        }
    })
}

fn local(count: usize) -> Vec<SocketAddr> {
    vec!["127.0.0.1:0".parse().expect("an address"); count]
}

async fn ask(stream: &mut TcpStream) -> io::Result<()> {
    stream.write_all(b"a").await?;
    let mut answer = [0; 4];
    timeout(MINUTE, stream.read_exact(&mut answer)).await??;
    assert_eq!(&answer, b"x: a");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_clients_at_three_listeners_are_answered_and_waited_for() -> io::Result<()> {
    super::allow_files();
    let server = start("x", bind(&local(3), false)?)?;
    let addresses = server.addresses().to_vec();
    let clients = (0..150).map(async |number| {
        let mut stream = TcpStream::connect(addresses[number % 3]).await?;
        ask(&mut stream).await?;
        io::Result::Ok(stream)
    });
    let mut clients = try_join_all(clients).await?;
    server.close().await;
    assert!(!server.is_serving());
    server.close().await;
    for address in addresses {
        let refused = TcpStream::connect(address).await.map(|_| ());
        let refused = refused.map_err(|error| error.kind());
        assert_eq!(refused, Err(ErrorKind::ConnectionRefused));
    }
    let mut last = clients.pop().expect("a client");
    drop(clients);
    assert!(timeout(TENTH, server.wait_closed()).await.is_err());
    ask(&mut last).await?;
    drop(last);
    timeout(MINUTE, server.wait_closed()).await?;
    Ok(())
}

#[tokio::test]
async fn dropped_it_refuses_others_and_lets_connections_go_on() -> io::Result<()> {
    let server = start("x", bind(&local(1), false)?)?;
    let address = server.addresses()[0];
    let mut client = TcpStream::connect(address).await?;
    ask(&mut client).await?;
    drop(server);
    let refused = async { while TcpStream::connect(address).await.is_ok() {} };
    timeout(MINUTE, refused).await?;
    ask(&mut client).await
}

#[tokio::test]
async fn who_waits_in_the_backlog_is_reset_when_it_closes() -> io::Result<()> {
    let sockets = bind(&local(1), false)?;
    let server = Server::start_serving(sockets, 1, |_| async {})?;
    let address = server.addresses()[0];
    // Nothing runs here between the two, so it cannot accept.
    let client = std::net::TcpStream::connect(address)?;
    server.close().await;
    client.set_nonblocking(true)?;
    let mut client = TcpStream::from_std(client)?;
    let read = timeout(MINUTE, client.read(&mut [0])).await?;
    let read = read.map_err(|error| error.kind());
    assert_eq!(read, Err(ErrorKind::ConnectionReset));
    Ok(())
}

#[tokio::test]
async fn both_families_have_one_port() -> io::Result<()> {
    let v4 = bind(&["0.0.0.0:0".parse().expect("an address")], false)?;
    let port = v4[0].local_addr()?.port();
    drop(v4);
    let both = ["0.0.0.0", "[::]"].map(|host| {
        let address = format!("{host}:{port}");
        address.parse().expect("an address")
    });
    let server = start("x", bind(&both, false)?)?;
    for host in ["127.0.0.1", "[::1]"] {
        ask(&mut TcpStream::connect(format!("{host}:{port}")).await?).await?;
    }
    server.close().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_handler_that_panics_before_its_future_ends_its_connection_alone()
-> io::Result<()> {
    let server = Server::start_serving(bind(&local(2), false)?, 3, |stream| {
        let port = stream.peer_addr().expect("a client").port();
        assert!(port == 0, "scheduled");
        async {}
    })?;
    for number in 0..10 {
        let mut client = TcpStream::connect(server.addresses()[number % 2]).await?;
        assert_eq!(timeout(MINUTE, client.read(&mut [0])).await??, 0);
    }
    assert!(server.is_serving());
    server.close().await;
    timeout(MINUTE, server.wait_closed()).await?;
    Ok(())
}

#[tokio::test]
async fn closed_from_elsewhere_it_serves_no_longer() -> io::Result<()> {
    let server = Arc::new(start("x", bind(&local(1), false)?)?);
    let serving = Arc::clone(&server);
    let serving = tokio::spawn(async move { serving.serve_forever().await });
    let mut client = TcpStream::connect(server.addresses()[0]).await?;
    ask(&mut client).await?;
    // Dropped after one poll, it has closed the server all the same.
    let dropped = server.close().now_or_never();
    assert!(dropped.is_none());
    timeout(MINUTE, serving).await?.expect("no panic");
    assert!(timeout(TENTH, server.wait_closed()).await.is_err());
    drop(client);
    timeout(MINUTE, server.wait_closed()).await?;
    Ok(())
}

#[tokio::test]
async fn close_clients_ends_each_connection_at_its_await() -> io::Result<()> {
    let server = start("x", bind(&local(1), false)?)?;
    let mut client = TcpStream::connect(server.addresses()[0]).await?;
    ask(&mut client).await?;
    server.close().await;
    server.close_clients();
    timeout(MINUTE, server.wait_closed()).await?;
    assert_eq!(timeout(MINUTE, client.read(&mut [0])).await??, 0);
    Ok(())
}

#[tokio::test]
async fn a_dropped_serve_forever_closes_the_server() -> io::Result<()> {
    let server = start("x", bind(&local(1), false)?)?;
    assert!(server.serve_forever().now_or_never().is_none());
    timeout(MINUTE, server.wait_closed()).await?;
    assert!(!server.is_serving());
    Ok(())
}

#[tokio::test]
async fn without_a_socket_or_with_a_limit_of_0_it_panics() -> io::Result<()> {
    for (limit, sockets) in [(1, Vec::new()), (0, bind(&local(1), false)?)] {
        let started = catch_unwind(AssertUnwindSafe(|| start_with(limit, "x", sockets)));
        assert!(started.is_err(), "{limit}");
    }
    Ok(())
}

#[tokio::test]
async fn above_the_limit_a_client_waits_until_another_leaves() -> io::Result<()> {
    let server = start_with(1, "x", bind(&local(1), false)?)?;
    let address = server.addresses()[0];
    let mut first = TcpStream::connect(address).await?;
    ask(&mut first).await?;
    let mut second = TcpStream::connect(address).await?;
    second.write_all(b"a").await?;
    assert!(timeout(TENTH, second.readable()).await.is_err());
    drop(first);
    let mut answer = [0; 4];
    timeout(MINUTE, second.read_exact(&mut answer)).await??;
    assert_eq!(&answer, b"x: a");
    Ok(())
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn until_it_listens_a_socket_refuses_clients_and_another_may_take_its_port()
-> io::Result<()> {
    let waiting = bind(&local(1), false)?;
    let address = waiting[0].local_addr()?;
    let refused = TcpStream::connect(address).await.map(|_| ());
    let refused = refused.map_err(|error| error.kind());
    assert_eq!(refused, Err(ErrorKind::ConnectionRefused));
    let other = start("x", bind(&[address], false)?)?;
    ask(&mut TcpStream::connect(address).await?).await?;
    let late = start("y", waiting)
        .map(|_| ())
        .map_err(|error| error.kind());
    assert_eq!(late, Err(ErrorKind::AddrInUse));
    other.close().await;
    Ok(())
}

#[cfg(unix)]
#[tokio::test]
async fn an_address_in_use_is_an_error_unless_both_reuse_the_port() -> io::Result<()> {
    for [first, second] in [[false, false], [false, true], [true, false], [true, true]] {
        let server = start("x", bind(&local(1), first)?)?;
        let bound = bind(server.addresses(), second);
        let bound = bound.map(|_| ()).map_err(|error| error.kind());
        let expected = if first && second {
            Ok(())
        } else {
            Err(ErrorKind::AddrInUse)
        };
        assert_eq!(bound, expected, "{first} {second}");
        server.close().await;
    }
    Ok(())
}

/// A listener without a client keeps no permit.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn with_a_limit_of_one_each_of_three_addresses_is_served() -> io::Result<()> {
    let server = start_with(1, "x", bind(&local(3), false)?)?;
    for address in server.addresses().iter().rev().cycle().take(9) {
        ask(&mut TcpStream::connect(address).await?).await?;
    }
    Ok(())
}

/// It starts and stops the server twice at one address, and talks to it by blocking calls.
#[test]
fn a_program_that_is_not_async_starts_and_stops_it() {
    let mut builder = Builder::new_multi_thread();
    let runtime = builder.worker_threads(1).enable_all().build();
    let runtime = runtime.expect("a runtime");
    let mut addresses = local(1);
    for name in ["first", "second"] {
        let server = {
            let _context = runtime.enter();
            start(name, bind(&addresses, false).expect("the address is free"))
        };
        let server = server.expect("it listens");
        addresses = server.addresses().to_vec();
        let mut client = std::net::TcpStream::connect(addresses[0]).expect("it accepts");
        client.write_all(b"hello").expect("it reads");
        let mut answer = vec![0; name.len() + 7];
        client.read_exact(&mut answer).expect("it answers");
        assert_eq!(answer, format!("{name}: hello").as_bytes());
        runtime.block_on(server.close());
        let refused = std::net::TcpStream::connect(addresses[0]).map_err(|it| it.kind());
        assert_eq!(refused.err(), Some(ErrorKind::ConnectionRefused));
    }
}
