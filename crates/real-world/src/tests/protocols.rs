use std::io;
use std::sync::Arc;
use std::time::Duration;

use futures::future::try_join_all;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::yield_now;
use tokio::time::{sleep, timeout};

use crate::protocols::{Connection, OUTBOX, serve};

const MINUTE: Duration = Duration::from_secs(60);
const TENTH: Duration = Duration::from_millis(100);
/// More than the system takes of anybody who does not read.
const MUCH: usize = 20_000_000;

/// What a client reads to the end.
async fn rest(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut data = Vec::new();
    stream.read_to_end(&mut data).await?;
    Ok(data)
}

async fn pair() -> io::Result<(TcpStream, Connection)> {
    pair_with(MINUTE).await
}

async fn pair_with(idle: Duration) -> io::Result<(TcpStream, Connection)> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let client = TcpStream::connect(listener.local_addr()?).await?;
    let permit = Arc::new(Semaphore::new(1)).try_acquire_owned();
    let permit = permit.expect("there is one");
    let connection = Connection::start(0, listener.accept().await?.0, idle, permit)?;
    Ok((client, connection))
}

/// Until the task has taken the first piece, and tries to write it.
async fn taken(connection: &Connection) {
    while connection.waiting() > 0 {
        yield_now().await;
    }
}

#[tokio::test]
async fn what_waits_when_it_is_closed_is_written_in_order() -> io::Result<()> {
    let (mut client, connection) = pair().await?;
    connection.write(vec![0; MUCH]).expect("there is room");
    taken(&connection).await;
    for number in 1..=OUTBOX {
        let number = u8::try_from(number).expect("few");
        connection.write(vec![number]).expect("there is room");
    }
    connection.write(vec![0]).expect_err("it is full");
    connection.close();
    let late = connection.write_and_drain(vec![0]);
    timeout(MINUTE, late).await?.expect_err("it is closing");
    assert!(connection.is_closing());
    let data = timeout(MINUTE, rest(&mut client)).await??;
    assert_eq!(data[MUCH..], [1, 2]);
    drop(client);
    timeout(MINUTE, connection.task).await??;
    Ok(())
}

/// The system would reset a connection that is closed with unread data.
#[tokio::test]
async fn closed_while_the_client_sends_it_loses_nothing() -> io::Result<()> {
    for sends in [1, 100_000, MUCH / 2] {
        let (mut client, connection) = pair().await?;
        connection.write(vec![0; MUCH]).expect("there is room");
        taken(&connection).await;
        connection.close();
        let sent = vec![1; sends];
        timeout(MINUTE, client.write_all(&sent)).await??;
        assert_eq!(timeout(MINUTE, rest(&mut client)).await??.len(), MUCH);
        // The end of the client ends the connection at once.
        drop(client);
        timeout(MINUTE / 4, connection.task).await??;
    }
    Ok(())
}

#[tokio::test]
async fn a_client_that_goes_on_sending_is_closed_at_last() -> io::Result<()> {
    for drips in [false, true] {
        let (client, connection) = pair_with(TENTH).await?;
        let (mut reader, mut writer) = client.into_split();
        connection.close();
        let sending = tokio::spawn(async move {
            let data = vec![0; if drips { 1 } else { 1_000_000 }];
            while writer.write_all(&data).await.is_ok() {
                sleep(Duration::from_millis(if drips { 20 } else { 0 })).await;
            }
        });
        // It fails if the system has reset the connection.
        let _ = reader.read_to_end(&mut Vec::new()).await;
        timeout(MINUTE / 4, connection.task).await??;
        timeout(MINUTE / 4, sending).await?.expect("no panic");
    }
    Ok(())
}

#[tokio::test]
async fn a_server_whose_connections_nobody_receives_ends_at_once() -> io::Result<()> {
    for clients in 0..=2 {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let (made, mut connections) = mpsc::channel(1);
        let server = tokio::spawn(serve(listener, 1, MINUTE, made));
        let mut streams = Vec::new();
        for _ in 0..clients {
            streams.push(TcpStream::connect(address).await?);
        }
        // With two clients it waits for a permit.
        let _first = match clients {
            0 => None,
            _ => connections.recv().await,
        };
        drop(connections);
        timeout(MINUTE / 4, server).await?.expect("no panic");
    }
    Ok(())
}

#[tokio::test]
async fn above_the_limit_a_client_waits_until_another_leaves() -> io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let (made, mut connections) = mpsc::channel(3);
    let server = tokio::spawn(serve(listener, 2, MINUTE, made));
    let (mut clients, mut accepted) = (Vec::new(), Vec::new());
    for _ in 0..3 {
        clients.push(TcpStream::connect(address).await?);
    }
    for _ in 0..2 {
        accepted.push(
            timeout(MINUTE, connections.recv())
                .await?
                .expect("a client"),
        );
    }
    assert!(timeout(TENTH, connections.recv()).await.is_err());
    accepted.remove(0).abort();
    assert!(timeout(MINUTE, connections.recv()).await?.is_some());
    server.abort();
    Ok(())
}

#[tokio::test]
async fn a_drop_leaves_the_connection_open() -> io::Result<()> {
    let (mut client, connection) = pair().await?;
    connection.write(b"hello".to_vec()).expect("there is room");
    drop(connection);
    client.read_exact(&mut [0; 5]).await?;
    client.write_all(b"ping").await?;
    let mut echo = [0; 4];
    timeout(MINUTE, client.read_exact(&mut echo)).await??;
    assert_eq!(&echo, b"ping");
    client.shutdown().await?;
    assert_eq!(timeout(MINUTE, rest(&mut client)).await??, b"bye");
    Ok(())
}

#[tokio::test]
async fn a_dropped_call_that_waits_for_room_has_written_nothing() -> io::Result<()> {
    let (mut client, connection) = pair().await?;
    connection.write(vec![0; MUCH]).expect("there is room");
    taken(&connection).await;
    for _ in 0..OUTBOX {
        connection.write(vec![1]).expect("there is room");
    }
    for _ in 0..3 {
        let waits = connection.write_and_drain(vec![2]);
        assert!(timeout(TENTH / 10, waits).await.is_err());
    }
    let mut data = vec![0; MUCH + OUTBOX];
    timeout(MINUTE, client.read_exact(&mut data)).await??;
    assert_eq!(data[MUCH..], [1; OUTBOX]);
    // There is room now, and nothing to come.
    assert!(timeout(TENTH, client.read(&mut [0])).await.is_err());
    Ok(())
}

#[tokio::test]
async fn closed_it_does_not_read_what_is_there() -> io::Result<()> {
    // Each poll begins with the other half, so that of writing in every second round.
    // In any other order, it would read in half the rounds.
    for polls in (0..4).cycle().take(16) {
        let (mut client, connection) = pair().await?;
        for _ in 0..polls {
            connection.write(b"x".to_vec()).expect("there is room");
            client.read_exact(&mut [0]).await?;
        }
        // The task waits to read.
        sleep(TENTH).await;
        client.shutdown().await?;
        // The system has told the runtime, which has not told the task.
        yield_now().await;
        connection.close();
        let read = timeout(MINUTE, rest(&mut client)).await??;
        assert_eq!(read, b"", "a good-bye after {polls}");
        timeout(MINUTE, connection.task).await??;
    }
    Ok(())
}

#[tokio::test]
async fn who_waits_for_room_is_told_that_it_was_aborted() -> io::Result<()> {
    let (mut client, connection) = pair().await?;
    connection.write(vec![0; MUCH]).expect("there is room");
    taken(&connection).await;
    for _ in 0..OUTBOX {
        connection.write(vec![1]).expect("there is room");
    }
    let abort = async {
        sleep(TENTH).await;
        connection.abort();
    };
    let write = connection.write_and_drain(vec![2]);
    let (written, ()) = timeout(MINUTE, async { tokio::join!(write, abort) }).await?;
    written.expect_err("it was aborted");
    assert!(connection.is_closing());
    assert!(timeout(MINUTE, rest(&mut client)).await??.len() < MUCH);
    timeout(MINUTE, connection.task).await??;
    Ok(())
}

#[tokio::test]
async fn of_a_client_that_does_not_read_no_more_is_read() -> io::Result<()> {
    let (mut client, connection) = pair().await?;
    let data = vec![0; MUCH];
    assert!(timeout(TENTH * 5, client.write_all(&data)).await.is_err());
    assert_eq!(connection.waiting(), OUTBOX);
    Ok(())
}

#[tokio::test]
async fn a_client_that_has_sent_all_still_gets_its_answers() -> io::Result<()> {
    let (mut client, connection) = pair().await?;
    client.write_all(&[b'x'; 50_000]).await?;
    client.shutdown().await?;
    let data = timeout(MINUTE, rest(&mut client)).await??;
    assert_eq!((data.len(), &data[50_000..]), (50_003, &b"bye"[..]));
    timeout(MINUTE, connection.task).await??;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_hundred_that_are_closed_at_any_time_end() -> io::Result<()> {
    super::allow_files();
    let connections = (0..100_u64).map(async |number| {
        let (mut client, connection) = pair().await?;
        let (mut reader, mut writer) = client.split();
        let talk = async {
            for _ in 0..100 {
                writer.write_all(&[b'x'; 1000]).await?;
                reader.read_exact(&mut [0; 1000]).await?;
            }
            io::Result::Ok(())
        };
        let end = async {
            sleep(Duration::from_micros(number * 100)).await;
            match number % 2 {
                0 => connection.close(),
                _ => connection.abort(),
            }
        };
        // The client may or may not have got all.
        let (_, ()) = tokio::join!(talk, end);
        drop(client);
        timeout(MINUTE, connection.task).await??;
        io::Result::Ok(())
    });
    try_join_all(connections).await?;
    Ok(())
}

/// The client sends nothing, so the limit for that runs out while the piece is written.
#[tokio::test]
async fn a_piece_that_is_cut_off_does_not_pass_for_the_whole() -> io::Result<()> {
    let (mut client, connection) = pair_with(TENTH).await?;
    sleep(TENTH / 2).await;
    connection.write(vec![0; MUCH]).expect("there is room");
    timeout(MINUTE, connection.task).await??;
    let read = timeout(MINUTE, rest(&mut client)).await?;
    let ended = read.map(|part| part.len()).map_err(|error| error.kind());
    assert_eq!(ended, Err(io::ErrorKind::ConnectionReset));
    Ok(())
}
