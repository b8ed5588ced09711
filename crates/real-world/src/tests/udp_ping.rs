use std::collections::HashSet;
use std::io::{self, ErrorKind};
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::Duration;

use tokio::net::UdpSocket;
use tokio::task::{JoinSet, yield_now};
use tokio::time::{sleep, timeout};

use crate::udp_ping::{PingError, Pinger};

const MINUTE: Duration = Duration::from_secs(60);
const SHORT: Duration = Duration::from_millis(20);

/// A pinger, and the socket that it asks.
async fn pair(limit: Duration, attempts: u32) -> io::Result<(Pinger, UdpSocket)> {
    let server = UdpSocket::bind("127.0.0.1:0").await?;
    let pinger = Pinger::connect(server.local_addr()?, limit, attempts).await?;
    server.connect(pinger.socket.local_addr()?).await?;
    Ok((pinger, server))
}

/// Waits for the question of the pinger.
async fn question(server: &UdpSocket) -> io::Result<[u8; 4]> {
    let mut number = [0; 4];
    timeout(MINUTE, server.recv(&mut number)).await??;
    Ok(number)
}

fn is_lost(ping: &Result<(u32, u32), PingError>) -> bool {
    matches!(ping, Err(PingError::Lost(_)))
}

#[tokio::test]
async fn what_is_not_the_answer_is_passed_over() -> Result<(), PingError> {
    let (mut pinger, server) = pair(SHORT, 1).await?;
    let stranger = UdpSocket::bind("127.0.0.1:0").await?;
    let to = pinger.socket.local_addr()?;
    for wrong in [&[][..], &[0], &[0, 0, 0], &[0; 4], &[1; 4], &[0; 1500]] {
        assert!(is_lost(&pinger.ping().await));
        let number = question(&server).await?;
        // It waits already for the next one.
        server.send(&number).await?;
        server.send(wrong).await?;
        let longer = [&(pinger.number + 1).to_be_bytes()[..], &[0]].concat();
        server.send(&longer).await?;
        let right = (pinger.number + 1).to_be_bytes();
        stranger.send_to(&right, to).await?;
        assert!(is_lost(&pinger.ping().await), "{wrong:?}");
        question(&server).await?;
    }
    let right = (pinger.number + 1).to_be_bytes();
    server.send(&right).await?;
    assert_eq!(pinger.ping().await?, (13, 1));
    Ok(())
}

#[tokio::test]
async fn dropped_at_each_await_the_next_is_answered_by_its_own() -> io::Result<()> {
    let (mut pinger, server) = pair(MINUTE, 1).await?;
    for polls in 1..10 {
        {
            let mut ping = pin!(pinger.ping());
            for _ in 0..polls {
                assert!(matches!(futures::poll!(ping.as_mut()), Poll::Pending));
                yield_now().await;
            }
        }
        // It may not have been sent.
        let late = pinger.number.to_be_bytes();
        server.send(&late).await?;
        let answer = async {
            let mut number = question(&server).await?;
            if number == late {
                number = question(&server).await?;
            }
            server.send(&late).await?;
            server.send(&number).await?;
            io::Result::Ok(u32::from_be_bytes(number))
        };
        let (ping, number) = tokio::join!(pinger.ping(), answer);
        assert_eq!(ping.expect("it is answered"), (number?, 1));
    }
    Ok(())
}

/// Some answers are lost, some come twice, some late and among later ones.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn fifty_pingers_at_a_server_that_answers_as_it_likes() -> io::Result<()> {
    let server = Arc::new(UdpSocket::bind("127.0.0.1:0").await?);
    let address = server.local_addr()?;
    let answered = Arc::new(Mutex::new(HashSet::new()));
    let note = Arc::clone(&answered);
    let task = tokio::spawn(async move {
        let (mut number, mut random) = ([0; 4], 1_u32);
        loop {
            let (_, client) = server.recv_from(&mut number).await?;
            random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            for answer in 0..(random >> 16) % 3 {
                let (server, note) = (Arc::clone(&server), Arc::clone(&note));
                let millis = (random >> 20) % 30 * (answer + 1);
                tokio::spawn(async move {
                    sleep(Duration::from_millis(millis.into())).await;
                    let key = (client, u32::from_be_bytes(number));
                    note.lock().expect("nobody panics").insert(key);
                    server.send_to(&number, client).await
                });
            }
        }
        #[expect(unreachable_code, reason = "it says what the task returns")]
        io::Result::Ok(())
    });
    let mut pingers = JoinSet::new();
    for _ in 0..50 {
        let mut pinger = Pinger::connect(address, SHORT, 2).await?;
        let answered = Arc::clone(&answered);
        pingers.spawn(async move {
            let client = pinger.socket.local_addr().expect("it has one");
            let mut count = [0, 0];
            for number in 1..=20 {
                match pinger.ping().await {
                    Ok((ping, _)) => {
                        assert_eq!(ping, number);
                        let answered = answered.lock().expect("nobody panics");
                        assert!(answered.contains(&(client, number)));
                        count[0] += 1;
                    }
                    Err(PingError::Lost(2)) => count[1] += 1,
                    Err(error) => panic!("{error}"),
                }
            }
            count
        });
    }
    let counts = pingers.join_all().await;
    let [came, lost] = [0, 1].map(|of| counts.iter().map(|count| count[of]).sum::<u32>());
    assert_eq!(came + lost, 1000);
    assert!(came > 100 && lost > 10, "{came} {lost}");
    task.abort();
    Ok(())
}

#[tokio::test]
async fn limits() -> Result<(), PingError> {
    let (mut pinger, server) = pair(MINUTE, 0).await?;
    let ping = timeout(SHORT, pinger.ping()).await;
    assert!(is_lost(&ping.expect("it asks nobody")));

    pinger.attempts = 1;
    pinger.number = u32::MAX;
    server.send(&[0; 4]).await?;
    assert_eq!(pinger.ping().await?, (0, 1));

    drop(server);
    let Err(PingError::Socket(error)) = pinger.ping().await else {
        panic!("nobody listens");
    };
    assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
    Ok(())
}

#[tokio::test]
async fn an_error_that_comes_late_is_had_by_the_next() -> Result<(), PingError> {
    let (mut pinger, server) = pair(SHORT, 1).await?;
    let address = server.local_addr()?;
    drop(server);
    // Then one poll sends it.
    pinger.socket.writable().await?;
    assert!(futures::poll!(pin!(pinger.ping())).is_pending());
    let _server = UdpSocket::bind(address).await?;
    assert!(matches!(pinger.ping().await, Err(PingError::Socket(_))));
    assert!(is_lost(&pinger.ping().await));
    Ok(())
}

/// The second trap.
#[cfg(unix)]
#[tokio::test]
async fn recv_cuts_off_a_datagram_that_is_longer_than_the_buffer() -> io::Result<()> {
    let (pinger, server) = pair(MINUTE, 1).await?;
    server.send(b"longer").await?;
    server.send(b"next").await?;
    let mut buffer = [0; 4];
    assert_eq!(pinger.socket.recv(&mut buffer).await?, 4);
    assert_eq!(&buffer, b"long");
    assert_eq!(pinger.socket.recv(&mut buffer).await?, 4);
    assert_eq!(&buffer, b"next");
    Ok(())
}
