//! Programs that stop in order, each built from examples as they are: what it takes to
//! join them is the code here. `drain` is what `main` does after a signal.

use std::future::pending;
use std::io;
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rcgen::{CertifiedKey, generate_simple_self_signed};
use rusqlite::Connection;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::mpsc;
use tokio::task::spawn_blocking;
use tokio::time::{sleep, timeout};
use tokio_rustls::rustls::RootCertStore;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::JoinMap;

use super::support::soon;
use crate::graceful_shutdown::drain;
use crate::sqlite_batch_insert::insert_all;
use crate::tls::{Limits, close, connect, identify, serve, trust};
use crate::udp_server::receive;

#[allow(dead_code)]
#[path = "../../../best-practices/src/batching.rs"]
mod batching;

use batching::Batches;

/// Nothing takes that long unless it hangs.
const LONG: Duration = Duration::from_secs(60);

// A receiver of logs: `udp_server`, `batching`, `sqlite_batch_insert` and
// `graceful_shutdown`.

type Shared = Arc<Mutex<Connection>>;

/// Ends when the receiver is gone and all its lines are stored.
async fn store(mut batches: Batches<String>, db: Shared) {
    while let Some(batch) = batches.next().await {
        let (lines, db) = (batch.to_vec(), Arc::clone(&db));
        let insert = move || {
            let rows = lines.iter().map(|line| (line,));
            let mut db = db.lock().expect("no panic");
            insert_all(&mut db, "INSERT INTO lines (line) VALUES (?1)", rows)
        };
        let stored = spawn_blocking(insert).await.expect("no panic");
        stored.expect("there is room");
        batches.written();
    }
}

/// The last batch is neither full nor old enough, so it is stored because of the stop.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_receiver_of_logs_stores_all_that_it_received_in_order() -> io::Result<()> {
    const LINES: usize = 1_000;
    let db = Connection::open_in_memory().expect("it opens");
    let table = "CREATE TABLE lines (id INTEGER PRIMARY KEY, line TEXT)";
    db.execute_batch(table).expect("a table");
    let db = Arc::new(Mutex::new(db));
    let socket = UdpSocket::bind("127.0.0.1:0").await?;
    let address = socket.local_addr()?;
    let (queue, lines) = mpsc::channel(LINES);
    let (stop, count) = (CancellationToken::new(), Arc::new(AtomicUsize::new(0)));
    let (stopped, counted) = (stop.clone(), Arc::clone(&count));
    let mut tasks = JoinMap::new();
    tasks.spawn("receiver".to_owned(), async move {
        let received = |line: &[u8], _| {
            let line = String::from_utf8_lossy(line).into_owned();
            queue.try_send(line).expect("there is room");
            counted.fetch_add(1, SeqCst);
        };
        receive(&socket, &stopped, received).await;
    });
    let batches = Batches::new(lines, 64, LONG);
    tasks.spawn("writer".to_owned(), store(batches, Arc::clone(&db)));

    let client = UdpSocket::bind("127.0.0.1:0").await?;
    client.connect(address).await?;
    for line in 0..LINES {
        client.send(format!("line {line}").as_bytes()).await?;
        // More than the socket holds would be lost on the way.
        let received = async {
            while line % 50 == 49 && count.load(SeqCst) <= line {
                sleep(Duration::from_millis(1)).await;
            }
        };
        soon(received).await;
    }
    stop.cancel();
    assert_eq!(soon(drain(&mut tasks, LONG, pending())).await, Ok(()));

    let db = db.lock().expect("no panic");
    let mut lines = db
        .prepare("SELECT line FROM lines ORDER BY id")
        .expect("a table");
    let lines = lines.query_map([], |row| row.get(0)).expect("a table");
    let lines: Vec<String> = lines.collect::<Result<_, _>>().expect("texts");
    let sent: Vec<_> = (0..LINES).map(|line| format!("line {line}")).collect();
    assert_eq!(lines, sent);
    Ok(())
}

// TLS from the first byte, limits, and the end of the whole program: `tls` and
// `graceful_shutdown`.

/// Sends each byte back until the client ends its side.
async fn echo(mut stream: TlsStream<TcpStream>) -> io::Result<()> {
    let mut byte = [0];
    while stream.read(&mut byte).await? > 0 {
        stream.write_all(&byte).await?;
        stream.flush().await?;
    }
    close(stream, LONG).await
}

/// The third client waits for a permit. At the stop the second ends by itself, and the
/// third is cut off within the server's limit, which is shorter than that of `drain`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tls_server_with_limits_ends_with_the_other_tasks() -> io::Result<()> {
    let key = generate_simple_self_signed(["localhost".to_owned()]).expect("a key");
    let CertifiedKey { cert, signing_key } = key;
    let (chain, key) = (cert.pem(), signing_key.serialize_pem());
    let tls = identify(chain.as_bytes(), key.as_bytes()).expect("a certificate");
    let mut roots = RootCertStore::empty();
    roots.add(cert.der().clone()).expect("a certificate");
    let client = trust(roots).expect("a configuration");
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let limits = Limits {
        connections: 2,
        handshake: LONG,
        connection: LONG,
        drain: Duration::from_millis(300),
    };
    let (stop, cut_off) = (CancellationToken::new(), Arc::new(AtomicUsize::new(0)));
    let serving = serve(listener, tls, limits, stop.clone(), echo);
    let (cut, stopped) = (Arc::clone(&cut_off), stop.clone());
    let mut tasks = JoinMap::new();
    tasks.spawn("server".to_owned(), async move {
        cut.store(serving.await, SeqCst);
    });
    tasks.spawn("log".to_owned(), async move { stopped.cancelled().await });

    let connected = async || {
        let stream = TcpStream::connect(address).await?;
        let mut stream = connect(&client, "localhost", stream, LONG).await?;
        stream.write_all(b"x").await?;
        stream.flush().await?;
        assert_eq!(stream.read_u8().await?, b'x');
        io::Result::Ok(stream)
    };
    let mut first = soon(connected()).await?;
    let mut second = soon(connected()).await?;
    // The third has no permit until the first has left.
    let mut third = pin!(connected());
    let waited = timeout(Duration::from_millis(50), &mut third).await;
    assert!(waited.is_err(), "it waits for a permit");
    first.shutdown().await?;
    let mut third = soon(third).await?;

    stop.cancel();
    let ending = async {
        second.shutdown().await?;
        second.read(&mut [0]).await
    };
    let (ended, read) =
        soon(async { tokio::join!(drain(&mut tasks, LONG, pending()), ending) }).await;
    assert_eq!((ended, read?), (Ok(()), 0));
    assert_eq!(cut_off.load(SeqCst), 1);
    // Cut off without a `close_notify`, so that it is not taken for the whole.
    soon(third.read_u8()).await.expect_err("it is cut off");
    TcpStream::connect(address).await.expect_err("it is closed");
    Ok(())
}
