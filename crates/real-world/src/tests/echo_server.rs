use std::io;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_util::task::AbortOnDropHandle;

use super::support::soon;
use crate::echo_server::serve;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn each_client_gets_its_own_bytes_whoever_vanishes() -> io::Result<()> {
    super::allow_files();
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let _serving = AbortOnDropHandle::new(tokio::spawn(serve(listener)));
    for size in [0, 1, 31, 100] {
        let mut clients = JoinSet::new();
        for number in 0..size {
            clients.spawn(async move {
                let mut stream = TcpStream::connect(address).await?;
                let sent = vec![number; 10_000];
                stream.write_all(&sent).await?;
                if number % 3 == 0 {
                    stream.set_zero_linger()?;
                    return Ok(());
                }
                stream.shutdown().await?;
                let mut got = Vec::new();
                stream.read_to_end(&mut got).await?;
                assert_eq!(got, sent);
                Ok::<_, io::Error>(())
            });
        }
        for ended in soon(clients.join_all()).await {
            ended?;
        }
    }
    Ok(())
}
