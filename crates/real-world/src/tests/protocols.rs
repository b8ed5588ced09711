use std::io;
use std::sync::Arc;
use std::time::Duration;

use futures::future::try_join_all;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::yield_now;
use tokio::time::{sleep, timeout};

use crate::protocols::{Connection, OUTBOX};

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
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let client = TcpStream::connect(listener.local_addr()?).await?;
    let permit = Arc::new(Semaphore::new(1)).try_acquire_owned();
    let permit = permit.expect("there is one");
    let connection = Connection::start(0, listener.accept().await?.0, MINUTE, permit)?;
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
    timeout(MINUTE, connection.lost()).await?;
    Ok(())
}

#[tokio::test]
async fn closed_it_does_not_read_what_is_there() -> io::Result<()> {
    // Each poll begins with the other half, so that of writing in every second round.
    for polls in 0..4 {
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
        timeout(MINUTE, connection.lost()).await?;
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
    timeout(MINUTE, connection.lost()).await?;
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
    timeout(MINUTE, connection.lost()).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_hundred_that_are_closed_at_any_time_end() -> io::Result<()> {
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
        timeout(MINUTE, connection.lost()).await?;
        io::Result::Ok(())
    });
    try_join_all(connections).await?;
    Ok(())
}
