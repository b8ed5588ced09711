//! The end of a connection, the same for each server of this section: a client that ends
//! its side, reads late, has a task that reads, leaves with bytes unread, and one whose
//! answer is cut off by a limit. All bytes arrive or the client sees an error, nobody
//! waits forever, and no task is left. The functions that close a client's side have
//! their cases in `close_a_connection`, `tls` and `tcp_client`.
//!
//! Clients are in `attacks`. Not listed: examples that call `axum::serve`, whose ends are
//! those of hyper, as in `http_server`; `chat_room`, a room without sockets (those are in
//! its demonstration); `echo_server`, the plain form, which has no limits; `udp_server`,
//! which has no connections.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt, split};
use tokio::time::sleep;

use super::all_servers::{NAMES, Running, one};
use super::hostile::{BoxStream, Target};
use super::support::{soon, tasks};

/// Less than all limits of the servers, and more.
const LATE: Duration = Duration::from_millis(100);
const TOO_LATE: Duration = Duration::from_millis(1_500);

type IsWhole = Box<dyn Fn(&[u8]) -> bool>;

/// What a client sends to a server, and whether an answer to that is whole.
struct Talk {
    sent: Vec<u8>,
    is_whole: IsWhole,
    /// Whether the protocol tells the end of an answer, so that a part is no whole.
    tells_its_end: bool,
}

fn talk(name: &str, target: &Target, pieces: usize) -> Talk {
    let mut sent = target.request.repeat(pieces);
    let mut tells_its_end = true;
    let is_whole: IsWhole = match name {
        "tcp_echo_server" | "tcp_proxy" | "servers" | "protocols" => {
            tells_its_end = false;
            let expected = sent.clone();
            // `protocols` says goodbye after the echo.
            Box::new(move |got| got.strip_suffix(b"bye").unwrap_or(got) == expected)
        }
        "line_protocol" => {
            let expected = b"OK\n".repeat(pieces);
            Box::new(move |got| got == expected)
        }
        "tls" => Box::new(|got| got == b"1234"),
        "unix_socket" => Box::new(|got| got.len() == 1 << 20),
        // None is cut. At its age limit a connection takes no further request.
        "http_server" | "https_server" => {
            Box::new(|got| got.starts_with(b"HTTP/1.1 200") && got.ends_with(b"}"))
        }
        // All calls of a connection have one number.
        "rpc_over_one_connection" => {
            sent = rpc_calls(pieces);
            let expected = sent.len();
            Box::new(move |got| got.len() == expected)
        }
        // The answer to the close frame comes after all else.
        "websocket_server" => {
            sent.extend(b"\x88\x80\0\0\0\0");
            Box::new(|got| got.windows(2).any(|pair| pair == b"\x88\x00"))
        }
        _ => unreachable!("{name} is no server"),
    };
    Talk {
        sent,
        is_whole,
        tells_its_end,
    }
}

/// Calls with other numbers and two bytes, which come back.
fn rpc_calls(calls: usize) -> Vec<u8> {
    let call = |number: usize| {
        let mut call = b"\0\0\0\x0A".to_vec();
        call.extend((number as u64).to_be_bytes());
        call.extend(b"hi");
        call
    };
    (1..=calls).flat_map(call).collect()
}

async fn opened(target: &Target) -> io::Result<BoxStream> {
    (target.open)((target.connect)(false).await?).await
}

/// Reads to the end, and returns whether the answer was whole or an error told that it
/// was not.
async fn heard(
    stream: &mut (impl AsyncReadExt + Unpin),
    talk: &Talk,
) -> Result<(), String> {
    let mut got = Vec::new();
    let end = soon(stream.read_to_end(&mut got)).await;
    if end.is_ok() && !(talk.is_whole)(&got) {
        let end = &got[got.len().saturating_sub(40)..];
        let end = String::from_utf8_lossy(end).into_owned();
        return Err(format!("{} bytes and a clean end: ..{end:?}", got.len()));
    }
    Ok(())
}

/// Each server, in each way in which a client ends.
async fn each_server(
    pieces: usize,
    client: impl AsyncFn(&str, BoxStream, Talk) -> Result<(), String>,
) -> io::Result<()> {
    super::allow_files();
    let mut faults = Vec::new();
    for name in NAMES {
        let before = tasks();
        let Running { target, stop } = one(name).await?;
        // Some serve only if somebody has been served in full.
        target.serves("nothing").await.map_err(io::Error::other)?;
        let pieces = if *name == "tls" { 1 } else { pieces };
        let talk = talk(name, &target, pieces);
        let stream = opened(&target).await?;
        if let Err(fault) = client(name, stream, talk).await {
            faults.push(format!("{name}: {fault}"));
        }
        target.serves("the end").await.map_err(io::Error::other)?;
        soon(stop).await;
        soon(async {
            while tasks() > before {
                sleep(Duration::from_millis(5)).await;
            }
        })
        .await;
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn who_ends_the_side_and_reads_late_gets_all_or_an_error() -> io::Result<()> {
    each_server(20, async |_, mut stream, talk| {
        let sent = async {
            stream.write_all(&talk.sent).await?;
            stream.shutdown().await
        };
        sent.await.map_err(|error| error.to_string())?;
        sleep(LATE).await;
        heard(&mut stream, &talk).await
    })
    .await
}

/// More than the system holds, with the reader in a task next to the writer.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_reader_beside_a_writer_gets_all_or_an_error_and_ends() -> io::Result<()> {
    each_server(2_000, async |_, stream, talk| {
        let (mut reader, mut writer) = split(stream);
        let reading = async { heard(&mut reader, &talk).await };
        let writing = async {
            // A server may end before it has read all: then the reader has an error.
            let written = writer.write_all(&talk.sent).await;
            let _ = writer.shutdown().await;
            written
        };
        let (read, _) = soon(async { tokio::join!(reading, writing) }).await;
        read
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn who_leaves_with_bytes_unread_leaves_nothing_running() -> io::Result<()> {
    each_server(20, async |_, mut stream, talk| {
        let _ = stream.write_all(&talk.sent).await;
        let _ = stream.flush().await;
        sleep(LATE).await;
        drop(stream);
        Ok(())
    })
    .await
}

/// The client reads when the limits of the server have run out. A stream of bytes without
/// its own end must then end with an error, or a part passes for the whole.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_limit_that_cuts_an_answer_off_is_seen() -> io::Result<()> {
    each_server(200_000, async |_, stream, talk| {
        let (mut reader, mut writer) = split(stream);
        let writing = async {
            let written = writer.write_all(&talk.sent).await;
            let _ = writer.shutdown().await;
            written.is_ok()
        };
        let reading = async {
            sleep(TOO_LATE).await;
            heard(&mut reader, &talk).await
        };
        let (read, all_written) = soon(async { tokio::join!(reading, writing) }).await;
        // A reset is told once, to the writer or to the reader.
        match talk.tells_its_end || !all_written {
            true => Ok(()),
            false => read,
        }
    })
    .await
}
