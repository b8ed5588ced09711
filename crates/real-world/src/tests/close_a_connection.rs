use std::io::{self, ErrorKind};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt, BufWriter, copy, sink};
use tokio::join;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};
use tokio_util::task::AbortOnDropHandle;

use super::support::{poll_and_drop, soon, tasks};
use crate::close_a_connection::{MOST, close, close_with_reader};

const MINUTE: Duration = Duration::from_secs(60);
const SENT: usize = 300_000;

/// A server that greets, reads all when it is told to, and ends. The client's stream has
/// the greeting unread.
async fn greeted() -> io::Result<(
    TcpStream,
    oneshot::Sender<()>,
    JoinHandle<io::Result<usize>>,
)> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let stream = TcpStream::connect(listener.local_addr()?).await?;
    let (start, told) = oneshot::channel();
    let (mut far, _) = listener.accept().await?;
    let serving = tokio::spawn(async move {
        far.write_all(b"welcome\n").await?;
        let _ = told.await;
        let mut data = Vec::new();
        far.read_to_end(&mut data).await?;
        Ok(data.len())
    });
    stream.readable().await?;
    Ok((stream, start, serving))
}

/// The first trap: dropped after `shutdown`, the greeting unread, bytes are lost.
#[tokio::test]
async fn dropped_with_unread_bytes_it_loses_what_it_has_written() -> io::Result<()> {
    let (mut stream, start, serving) = greeted().await?;
    stream.write_all(&[0; SENT]).await?;
    stream.shutdown().await?;
    drop(stream);
    let _ = start.send(());
    let got = soon(serving).await?;
    assert!(!matches!(got, Ok(SENT)), "{got:?}");
    Ok(())
}

#[tokio::test]
async fn closed_whole_buffered_or_in_halves_all_bytes_arrive() -> io::Result<()> {
    for way in ["whole", "buffered", "halves", "reader"] {
        let (mut stream, start, serving) = greeted().await?;
        let later = tokio::spawn(async move {
            sleep(Duration::from_millis(20)).await;
            let _ = start.send(());
        });
        match way {
            "whole" => {
                stream.write_all(&[0; SENT]).await?;
                close(stream, MINUTE).await?;
            }
            "buffered" => {
                let mut stream = BufWriter::with_capacity(2 * SENT, stream);
                stream.write_all(&[0; SENT]).await?;
                close(stream, MINUTE).await?;
            }
            "halves" => {
                let (reader, mut writer) = stream.into_split();
                writer.write_all(&[0; SENT]).await?;
                close(tokio::io::join(reader, writer), MINUTE).await?;
            }
            _ => {
                let (mut reader, mut writer) = stream.into_split();
                let task =
                    tokio::spawn(async move { copy(&mut reader, &mut sink()).await });
                writer.write_all(&[0; SENT]).await?;
                let task = AbortOnDropHandle::new(task);
                let read = close_with_reader(writer, task, MINUTE).await??;
                assert_eq!(read, 8);
            }
        }
        assert_eq!(soon(serving).await??, SENT, "{way}");
        later.await?;
    }
    Ok(())
}

/// The second trap, and what the page has against it.
#[tokio::test]
async fn a_reader_task_waits_for_the_peer_and_is_aborted_after_the_limit()
-> io::Result<()> {
    let before = tasks();
    let (stream, start, serving) = greeted().await?;
    let (mut reader, mut writer) = stream.into_split();
    let task = tokio::spawn(async move { copy(&mut reader, &mut sink()).await });
    writer.shutdown().await?;
    sleep(Duration::from_millis(50)).await;
    assert!(!task.is_finished(), "the peer stays");
    let limit = Duration::from_millis(50);
    let begun = Instant::now();
    let late = close_with_reader(writer, AbortOnDropHandle::new(task), limit).await;
    assert_eq!(
        late.map(|_| ()).map_err(|it| it.kind()),
        Err(ErrorKind::TimedOut)
    );
    assert!(begun.elapsed() >= limit);
    drop(start);
    let _ = soon(serving).await?;
    soon(async {
        while tasks() > before {
            sleep(Duration::from_millis(1)).await;
        }
    })
    .await;
    Ok(())
}

#[tokio::test]
async fn whoever_sends_without_end_and_whoever_never_reads_has_a_limit() -> io::Result<()>
{
    let limit = Duration::from_millis(100);
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let stream = TcpStream::connect(address).await?;
    let (mut far, _) = listener.accept().await?;
    let sending = tokio::spawn(async move {
        let mut sent = 0;
        while let Ok(length) = far.write(&[0; 4096]).await {
            sent += length as u64;
        }
        sent
    });
    let kind = |closed: io::Result<()>| closed.map_err(|error| error.kind());
    let closed = soon(close(stream, MINUTE)).await;
    assert_eq!(kind(closed), Err(ErrorKind::FileTooLarge));
    assert!(soon(sending).await? >= MOST);

    let stream = TcpStream::connect(address).await?;
    let (mut far, _) = listener.accept().await?;
    let now_and_then = async {
        while far.write_all(b"more").await.is_ok() {
            sleep(limit / 10).await;
        }
    };
    let (late, ()) = soon(async { join!(close(stream, limit), now_and_then) }).await;
    assert_eq!(kind(late), Err(ErrorKind::TimedOut));

    let stream = TcpStream::connect(address).await?;
    let (_never_reads, _) = listener.accept().await?;
    let mut stream = BufWriter::with_capacity(50_000_000, stream);
    stream.write_all(&[0; 40_000_000]).await?;
    let late = soon(close(stream, limit)).await;
    assert_eq!(kind(late), Err(ErrorKind::TimedOut));
    Ok(())
}

#[tokio::test]
async fn a_panic_of_the_task_and_a_reset_are_errors() -> io::Result<()> {
    let (stream, start, serving) = greeted().await?;
    let (_reader, writer) = stream.into_split();
    let panics = AbortOnDropHandle::new(tokio::spawn(async { panic!("scheduled") }));
    let failed = soon(close_with_reader::<_, ()>(writer, panics, MINUTE)).await;
    assert!(failed.is_err());
    drop(start);
    let _ = soon(serving).await?;

    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let stream = TcpStream::connect(listener.local_addr()?).await?;
    let (far, _) = listener.accept().await?;
    far.set_zero_linger()?;
    drop(far);
    assert!(soon(close(stream, MINUTE)).await.is_err());
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn dropped_at_any_await_it_leaves_no_task() {
    for polls in 1..10 {
        let before = tasks();
        let (near, _far) = tokio::io::duplex(8);
        let (mut reader, mut writer) = tokio::io::split(near);
        let task = tokio::spawn(async move { copy(&mut reader, &mut sink()).await });
        writer.write_all(b"x").await.expect("there is room");
        let closing = close_with_reader(writer, AbortOnDropHandle::new(task), MINUTE);
        assert!(poll_and_drop(closing, polls).await.is_none());
        sleep(Duration::from_millis(1)).await;
        assert_eq!(tasks(), before);
    }
}

/// What the header says of the two halves.
#[tokio::test]
async fn a_dropped_write_half_ends_one_direction() -> io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let connect = async || {
        let stream = TcpStream::connect(listener.local_addr()?).await?;
        io::Result::Ok((stream, listener.accept().await?.0))
    };
    let (near, mut far) = connect().await?;
    let (mut reader, writer) = near.into_split();
    drop(writer);
    assert_eq!(soon(far.read(&mut [0; 8])).await?, 0);
    far.write_all(b"still").await?;
    assert_eq!(soon(reader.read(&mut [0; 8])).await?, 5);

    let (near, mut far) = connect().await?;
    let (reader, writer) = tokio::io::split(near);
    drop(writer);
    let mut buffer = [0; 8];
    let read = tokio::time::timeout(Duration::from_millis(100), far.read(&mut buffer));
    assert!(read.await.is_err(), "it hears nothing");
    drop(reader);
    Ok(())
}
