//! Servers that lose answers, or send them late and twice, and an address where none is.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::UdpSocket;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_util::task::AbortOnDropHandle;

use crate::udp_ping::Pinger;

/// The trap: takes any datagram for the answer.
async fn careless_ping(
    socket: &UdpSocket,
    number: u32,
    limit: Duration,
) -> io::Result<()> {
    socket.send(&number.to_be_bytes()).await?;
    let mut answer = [0; 4];
    match timeout(limit, socket.recv(&mut answer)).await {
        Ok(size) => {
            size?;
            println!("ping {number}: answer {}", u32::from_be_bytes(answer));
        }
        Err(_) => println!("ping {number}: no answer"),
    }
    Ok(())
}

/// After how many milliseconds the n-th datagram is sent back, for each time that it is.
type Fate = fn(u32) -> &'static [u64];

/// Sends back what comes, as `fate` says. Dropped, it sends nothing more.
struct Server {
    address: SocketAddr,
    _task: AbortOnDropHandle<()>,
}

impl Server {
    async fn start(fate: Fate) -> io::Result<Self> {
        let socket = Arc::new(UdpSocket::bind("127.0.0.1:0").await?);
        let address = socket.local_addr()?;
        let task = tokio::spawn(async move {
            let mut buffer = [0; 1500];
            let mut count = 0;
            let mut answers = JoinSet::new();
            loop {
                let (size, client) = match socket.recv_from(&mut buffer).await {
                    Ok(received) => received,
                    Err(error) => {
                        // On Windows an answer that was refused; never end for it.
                        eprintln!("cannot receive: {error}");
                        sleep(Duration::from_millis(10)).await;
                        continue;
                    }
                };
                count += 1;
                while answers.try_join_next().is_some() {}
                for &millis in fate(count) {
                    let (socket, data) = (Arc::clone(&socket), buffer[..size].to_vec());
                    answers.spawn(async move {
                        sleep(Duration::from_millis(millis)).await;
                        socket.send_to(&data, client).await
                    });
                }
            }
        });
        let _task = AbortOnDropHandle::new(task);
        Ok(Self { address, _task })
    }
}

fn every_third_is_lost(count: u32) -> &'static [u64] {
    match count % 3 {
        0 => &[],
        _ => &[0],
    }
}

fn late_and_twice(count: u32) -> &'static [u64] {
    match count {
        1 => &[1_600, 1_800],
        _ => &[800],
    }
}

async fn report(pinger: &mut Pinger, count: usize) {
    for _ in 0..count {
        match pinger.ping().await {
            Ok((number, attempt)) => println!("ping {number}: attempt {attempt}"),
            Err(error) => println!("{error}"),
        }
    }
}

pub async fn run() -> io::Result<()> {
    let [short, long] = [600, 1_200].map(Duration::from_millis);

    println!("Every third datagram is lost, and there are two attempts:");
    let server = Server::start(every_third_is_lost).await?;
    let mut pinger = Pinger::connect(server.address, short, 2).await?;
    report(&mut pinger, 6).await;

    println!("A late and doubled answer; the client does not check the number:");
    let server = Server::start(late_and_twice).await?;
    let socket = UdpSocket::bind("127.0.0.1:0").await?;
    socket.connect(server.address).await?;
    for number in 1..=4 {
        careless_ping(&socket, number, long).await?;
    }

    println!("The same with a look at the number:");
    let server = Server::start(late_and_twice).await?;
    let mut pinger = Pinger::connect(server.address, long, 1).await?;
    report(&mut pinger, 3).await;

    println!("A buffer of four bytes:");
    let sender = UdpSocket::bind("127.0.0.1:0").await?;
    let receiver = UdpSocket::bind("127.0.0.1:0").await?;
    for text in ["four", "or more", "next"] {
        let to = receiver.local_addr()?;
        sender.send_to(text.as_bytes(), to).await?;
    }
    for _ in 0..3 {
        let mut buffer = [0; 4];
        let size = receiver.recv(&mut buffer).await?;
        println!("got {}", buffer[..size].escape_ascii());
    }

    println!("Nobody listens:");
    // It takes datagrams from itself alone, and nobody else can have its port.
    let closed = UdpSocket::bind("127.0.0.1:0").await?;
    let nobody = closed.local_addr()?;
    closed.connect(nobody).await?;
    let mut pinger = Pinger::connect(nobody, short, 2).await?;
    report(&mut pinger, 1).await;

    println!("Nobody listens, and the socket is not connected:");
    let socket = UdpSocket::bind("127.0.0.1:0").await?;
    socket.send_to(b"ping", nobody).await?;
    if timeout(short, socket.recv_from(&mut [0; 4])).await.is_err() {
        println!("no answer");
    }
    Ok(())
}
