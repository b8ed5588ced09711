//! UDP client: ping with sequence numbers, timeout, retry, lost datagrams.
//!
//! `tokio::net::UdpSocket` is asyncio's `create_datagram_endpoint`: you await `recv`,
//! where asyncio calls a `DatagramProtocol` back. `connect` sends nothing. It only
//! makes the socket ignore datagrams from other addresses. After `connect`, `recv` also
//! returns the errors that asyncio passes to `error_received`. `recv` is cancel-safe (a
//! dropped `recv` loses no datagram), so you can put a `timeout` around it. For the
//! other side see `udp_server`.
//!
//! Bounds: One ping at a time. It fails after `attempts` attempts, which wait for
//! `limit` each.
//!
//! Trap: If you take the next datagram for the answer, you may get the late answer to
//! an earlier question, as datagrams are lost, come late or come twice. Put a number
//! into each question, and ignore answers with another number. Forged answers still
//! pass.
//!
//! Trap: If a datagram is longer than your buffer, `recv` cuts it off without an error.
//! Choose a buffer that is longer than any answer.
//!
//! Platforms: On Windows a longer datagram is an error (10040) instead, which would end a
//! ping.
//!
//! asyncio: asyncio.DatagramProtocol, loop.create_datagram_endpoint, asyncio.timeout
//! asyncio: asyncio.DatagramProtocol.datagram_received

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use tokio::net::UdpSocket;
use tokio::time::timeout;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum PingError {
    #[error("no answer, attempts: {0}")]
    Lost(u32),
    /// `ConnectionRefused`: the host is there, but no program listens.
    #[error("{}", .0.kind())]
    Socket(#[from] io::Error),
}

/// Sends numbers, one at a time, to a server that sends them back.
#[derive(Debug)]
pub struct Pinger {
    pub(crate) socket: UdpSocket,
    pub(crate) number: u32,
    limit: Duration,
    pub(crate) attempts: u32,
}

impl Pinger {
    /// Opens a socket. Each ping is sent at most `attempts` times, and waits for `limit`
    /// each time.
    ///
    /// # Errors
    ///
    /// If the system has no socket, or no route to the server.
    pub async fn connect(
        server: SocketAddr,
        limit: Duration,
        attempts: u32,
    ) -> io::Result<Self> {
        let socket = match server {
            SocketAddr::V4(_) => UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).await?,
            SocketAddr::V6(_) => UdpSocket::bind((Ipv6Addr::UNSPECIFIED, 0)).await?,
        };
        socket.connect(server).await?;
        let number = 0;
        Ok(Self {
            socket,
            number,
            limit,
            attempts,
        })
    }

    /// Returns the number of this ping, and how often it was sent.
    ///
    /// Cancel-safe: a late answer is not taken for the answer to the next ping.
    ///
    /// # Errors
    ///
    /// [`PingError::Lost`] if no attempt had an answer. [`PingError::Socket`]
    /// immediately, even for the error of an earlier ping.
    pub async fn ping(&mut self) -> Result<(u32, u32), PingError> {
        self.number = self.number.wrapping_add(1);
        for attempt in 1..=self.attempts {
            self.socket.send(&self.number.to_be_bytes()).await?;
            if let Ok(answer) = timeout(self.limit, self.answer()).await {
                answer?;
                return Ok((self.number, attempt));
            }
        }
        Err(PingError::Lost(self.attempts))
    }

    /// Waits for the answer that belongs to the number.
    async fn answer(&self) -> io::Result<()> {
        // Longer than an answer, so that a longer datagram is no answer.
        let mut buffer = vec![0; 65_535];
        loop {
            let size = self.socket.recv(&mut buffer).await?;
            if buffer[..size] == self.number.to_be_bytes() {
                return Ok(());
            }
        }
    }
}

/// Pings a server that sends back all datagrams: `cargo run -- 127.0.0.1:7`.
#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let server = std::env::args().nth(1).ok_or("usage: ADDRESS")?;
    let limit = Duration::from_secs(1);
    let mut pinger = Pinger::connect(server.parse()?, limit, 3).await?;
    for _ in 0..4 {
        let (number, attempt) = pinger.ping().await?;
        println!("ping {number}: attempt {attempt}");
    }
    Ok(())
}

//@ clock: real
//@ try: 127.0.0.1:1 -> ConnectionRefused
