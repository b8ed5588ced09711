use std::io::{self, ErrorKind};
use std::time::Duration;

use futures::SinkExt;
use tokio::io::{
    AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, DuplexStream, duplex,
};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_util::codec::{FramedWrite, LinesCodec};

use crate::cancel_safety::{buffered, kept};

const TICK: Duration = Duration::from_millis(1);

/// Awaits it for a tick, in which it is not ready, and drops it.
async fn drop_half_way<F: Future>(future: F) {
    assert!(timeout(TICK, future).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn these_lose_what_they_have_read() {
    let (mut writer, mut reader) = duplex(64);
    let mut bytes = [0; 4];
    writer.write_all(b"AB").await.expect("there is room");
    drop_half_way(reader.read_exact(&mut bytes)).await;
    writer.write_all(b"CDEF").await.expect("there is room");
    reader.read_exact(&mut bytes).await.expect("four bytes");
    assert_eq!(&bytes, b"CDEF");

    let (mut writer, reader) = duplex(64);
    let (mut reader, mut line) = (BufReader::new(reader), String::new());
    writer.write_all(b"AB").await.expect("there is room");
    drop_half_way(reader.read_line(&mut line)).await;
    writer.write_all(b"CD\n").await.expect("there is room");
    reader.read_line(&mut line).await.expect("a line");
    assert_eq!(line, "CD\n");
}

#[tokio::test(start_paused = true)]
async fn this_does_not_tell_how_much_it_has_written() {
    let (mut writer, mut reader) = duplex(2);
    drop_half_way(writer.write_all(b"ABCD")).await;
    let (mut bytes, mut all) = ([0; 2], String::new());
    reader.read_exact(&mut bytes).await.expect("two bytes");
    let again = async {
        writer.write_all(b"ABCD").await.expect("somebody reads");
        drop(writer);
    };
    let (_, read) = tokio::join!(again, reader.read_to_string(&mut all));
    assert_eq!(read.expect("text"), 4);
    assert_eq!((&bytes, all.as_str()), (b"AB", "ABCD"));
}

#[tokio::test(start_paused = true)]
async fn these_lose_nothing() {
    let (mut writer, mut reader) = duplex(64);
    let (mut bytes, mut buffer) = ([0; 4], Vec::new());
    drop_half_way(reader.read(&mut bytes)).await;
    drop_half_way(reader.read_buf(&mut buffer)).await;
    writer.write_all(b"AB").await.expect("there is room");
    assert_eq!(reader.read(&mut bytes).await.expect("no error"), 2);
    writer.write_all(b"CD").await.expect("there is room");
    assert_eq!(reader.read_buf(&mut buffer).await.expect("no error"), 2);
    assert_eq!((&bytes[..2], buffer.as_slice()), (&b"AB"[..], &b"CD"[..]));

    let (mut writer, reader) = duplex(64);
    let mut lines = BufReader::new(reader).lines();
    writer.write_all(b"AB").await.expect("there is room");
    drop_half_way(lines.next_line()).await;
    writer.write_all(b"CD\n").await.expect("there is room");
    let line = lines.next_line().await.expect("no error");
    assert_eq!(line.as_deref(), Some("ABCD"));

    let (sender, mut receiver) = mpsc::channel(1);
    drop_half_way(receiver.recv()).await;
    sender.send(1).await.expect("there is room");
    assert_eq!(receiver.recv().await, Some(1));
}

#[tokio::test]
async fn an_end_within_a_message_is_an_error() {
    async fn torn() -> DuplexStream {
        let (mut writer, reader) = duplex(64);
        writer.write_all(b"ABCDEF").await.expect("there is room");
        reader
    }
    for ended in [kept(torn().await).await, buffered(torn().await).await] {
        let error = ended.expect_err("half a message");
        assert_eq!(error.kind(), ErrorKind::UnexpectedEof);
    }
}

/// The trap of a dropped `send`: what was begun goes out with the next message, and what
/// still waited for room is lost.
#[tokio::test(start_paused = true)]
async fn a_dropped_send_of_a_framed_write() -> io::Result<()> {
    let (near, mut far) = duplex(4);
    let mut lines = FramedWrite::new(near, LinesCodec::new());
    lines.set_backpressure_boundary(2);
    for line in ["first", "second"] {
        drop_half_way(lines.send(line)).await;
    }
    let received = async {
        let mut text = String::new();
        far.read_to_string(&mut text).await?;
        io::Result::Ok(text)
    };
    let sent = async {
        lines.send("third").await.map_err(io::Error::other)?;
        drop(lines);
        io::Result::Ok(())
    };
    let (text, ()) = tokio::try_join!(received, sent)?;
    assert_eq!(text, "first\nthird\n");
    Ok(())
}

/// The trap of `read_until`: a dropped call keeps its bytes in the buffer.
#[tokio::test(start_paused = true)]
async fn a_dropped_read_until_keeps_its_bytes() -> io::Result<()> {
    let (mut writer, reader) = duplex(64);
    let (mut reader, mut buffer) = (BufReader::new(reader), Vec::new());
    writer.write_all(b"half").await?;
    drop_half_way(reader.read_until(b'.', &mut buffer)).await;
    assert_eq!(buffer, b"half");
    writer.write_all(b"rest.").await?;
    let length = reader.read_until(b'.', &mut buffer).await?;
    assert_eq!((length, &buffer[..]), (5, &b"halfrest."[..]));
    Ok(())
}
