use std::io;
use std::time::Duration;

use tokio::net::UdpSocket;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::support::{soon, tasks};
use crate::udp_server::serve;

/// Garbage of all lengths, from sockets that are gone when their answers come, and far
/// more than are answered at once.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_flood_leaves_an_honest_client_served_and_nothing_behind() -> io::Result<()> {
    const AT_ONCE: usize = 8;
    for peers in [0, 1, 31, 129] {
        let before = tasks();
        let socket = UdpSocket::bind("127.0.0.1:0").await?;
        let address = socket.local_addr()?;
        let stop = CancellationToken::new();
        let server = tokio::spawn(serve(socket, AT_ONCE, stop.clone()));
        for length in 0..peers {
            let peer = UdpSocket::bind("127.0.0.1:0").await?;
            peer.send_to(&vec![0xFF; length * 20], address).await?;
        }
        sleep(Duration::from_millis(20)).await;
        assert!(tasks() <= before + AT_ONCE + 1, "{} tasks", tasks());
        let client = UdpSocket::bind("127.0.0.1:0").await?;
        client.connect(address).await?;
        let mut answer = [0; 100];
        let asking = async {
            loop {
                client.send(b"hello").await?;
                let answered = client.recv(&mut answer);
                if let Ok(size) = timeout(Duration::from_millis(300), answered).await {
                    return size;
                }
            }
        };
        assert_eq!(soon(asking).await?, 5);
        assert_eq!(&answer[..5], b"HELLO");
        stop.cancel();
        soon(server).await?;
        soon(async {
            while tasks() > before {
                sleep(Duration::from_millis(1)).await;
            }
        })
        .await;
    }
    Ok(())
}
