use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::time::Duration;

use futures::future::try_join_all;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::servers::{Server, bind, start};

const MINUTE: Duration = Duration::from_secs(60);
const TENTH: Duration = Duration::from_millis(100);

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
    let mut server = start("x", bind(&local(3), false)?)?;
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
    let mut server = Server::start_serving(sockets, |_| async {})?;
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
