use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use tokio::io::{
    AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, DuplexStream, duplex,
};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::codec::{FramedRead, LinesCodec};
use tokio_util::sync::CancellationToken;

use super::support::poll_and_drop;
use crate::line_protocol::{Failure, Limits, LineDecoder, Server};

const TICK: Duration = Duration::from_millis(1);
const MINUTE: Duration = Duration::from_secs(60);
const LIMITS: Limits = Limits {
    connections: 100,
    line: 100,
    names: 1_000,
    idle: Duration::from_secs(20),
    write: Duration::from_secs(10),
};

fn server() -> Arc<Server> {
    Server::new(LIMITS, CancellationToken::new())
}

/// Listens with these limits: its address, its stop, its task.
async fn start(
    limits: Limits,
) -> io::Result<(SocketAddr, CancellationToken, JoinHandle<()>)> {
    let stop = CancellationToken::new();
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let server = Server::new(limits, stop.clone());
    Ok((address, stop, tokio::spawn(server.serve(listener))))
}

/// Sends all together, and returns all answers.
async fn ask(address: SocketAddr, lines: &[u8]) -> io::Result<String> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(lines).await?;
    let mut answers = String::new();
    stream.read_to_string(&mut answers).await?;
    // The server has closed first. So this leaves no socket in TIME_WAIT.
    stream.set_zero_linger()?;
    Ok(answers)
}

/// Sends in pieces of this size, two milliseconds apart, and leaves.
async fn send_slowly(mut writer: DuplexStream, bytes: &[u8], size: usize) {
    for piece in bytes.chunks(size) {
        writer.write_all(piece).await.expect("somebody reads");
        sleep(2 * TICK).await;
    }
}

#[tokio::test(start_paused = true)]
async fn next_dropped_at_each_await_loses_nothing() {
    for size in 1..12 {
        for polls in 1..5 {
            let (writer, reader) = duplex(64);
            let read = async {
                let mut lines = FramedRead::new(reader, LineDecoder::new(5));
                let mut all = Vec::new();
                loop {
                    match poll_and_drop(lines.next(), polls).await {
                        None => {}
                        Some(Some(line)) => all.push(line.expect("none is long")),
                        Some(None) => return all,
                    }
                }
            };
            let send = send_slowly(writer, b"a\n\nabcde\nab\n", size);
            let (lines, ()) = tokio::join!(read, send);
            assert_eq!(lines, ["a", "", "abcde", "ab"], "{size} {polls}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn read_line_and_write_all_dropped_lose_bytes() -> io::Result<()> {
    let (mut writer, reader) = duplex(64);
    let (mut reader, mut line) = (BufReader::new(reader), String::new());
    writer.write_all(b"SET a").await?;
    assert!(
        poll_and_drop(reader.read_line(&mut line), 1)
            .await
            .is_none()
    );
    writer.write_all(b" 10\n").await?;
    reader.read_line(&mut line).await?;
    assert_eq!(line, " 10\n");

    let (mut writer, mut reader) = duplex(3);
    assert!(
        poll_and_drop(writer.write_all(b"VALUE\n"), 1)
            .await
            .is_none()
    );
    drop(writer);
    line.clear();
    reader.read_to_string(&mut line).await?;
    assert_eq!(line, "VAL");
    Ok(())
}

#[tokio::test]
async fn only_the_decoder_knows_a_line_that_is_cut_off() -> io::Result<()> {
    let cut_off = b"SET a 1".as_slice();
    let mut lines = FramedRead::new(cut_off, LineDecoder::new(100));
    assert!(matches!(lines.next().await, Some(Err(Failure::CutOff))));

    let mut lines = FramedRead::new(cut_off, LinesCodec::new_with_max_length(100));
    let line = lines.next().await.expect("a line").expect("no error");
    assert_eq!(line, "SET a 1");
    let mut line = String::new();
    assert_eq!(BufReader::new(cut_off).read_line(&mut line).await?, 7);
    assert_eq!(line, "SET a 1");
    Ok(())
}

#[tokio::test]
async fn no_more_is_buffered_than_a_line_and_one_read() {
    for (longest, bytes) in [(0, "a"), (1, "ab"), (10_000, &"a".repeat(1 << 20))] {
        let mut lines = FramedRead::new(bytes.as_bytes(), LineDecoder::new(longest));
        assert!(matches!(lines.next().await, Some(Err(Failure::TooLong))));
        let buffered = lines.read_buffer().capacity();
        assert!(buffered <= 2 * longest + 8192, "{buffered}");
    }
    for (longest, bytes) in [(0, "\n"), (1, "a\n"), (2, "ab\n")] {
        let mut lines = FramedRead::new(bytes.as_bytes(), LineDecoder::new(longest));
        let line = lines.next().await.expect("a line").expect("it fits");
        assert_eq!(line, bytes[..longest]);
        assert!(lines.next().await.is_none());
    }
}

/// As after a login, which allows longer lines.
#[tokio::test]
async fn a_new_decoder_changes_the_limit_and_keeps_what_is_buffered() {
    let bytes = b"login\na longer line\na longer line still\n".as_slice();
    let mut lines = FramedRead::new(bytes, LineDecoder::new(5));
    let line = lines.next().await.expect("a line").expect("it fits");
    assert_eq!(line, "login");
    assert_eq!(lines.read_buffer().len(), bytes.len() - 6);
    *lines.decoder_mut() = LineDecoder::new(13);
    let line = lines.next().await.expect("a line").expect("it fits");
    assert_eq!(line, "a longer line");
    let next = lines.next().await;
    assert!(matches!(next, Some(Err(Failure::TooLong))));
}

/// Told after `idle`. As it does not leave, it is left after `write`.
#[tokio::test(start_paused = true)]
async fn half_a_line_then_nothing_or_a_byte_now_and_then() {
    for pause in [300 * TICK, MINUTE] {
        let (mut client, stream) = duplex(1000);
        let client = tokio::spawn(async move {
            while client.write_all(b"a").await.is_ok() {
                sleep(pause).await;
            }
            let mut told = String::new();
            client.read_to_string(&mut told).await.map(|_| told)
        });
        let start = Instant::now();
        let talk = timeout(MINUTE, server().talk(stream)).await;
        talk.expect("nobody hangs").expect("it is told");
        assert_eq!(start.elapsed(), LIMITS.idle + LIMITS.write);
        let told = client.await.expect("it does not panic").expect("text");
        assert_eq!(told, "ERR no line in 20s\n");
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_does_not_read_is_dropped_after_the_limit() -> io::Result<()> {
    for room in [1, 4, 5, 64] {
        let (mut client, stream) = duplex(room);
        let start = Instant::now();
        let talk = tokio::spawn(async move { server().talk(stream).await });
        while client.write_all(b"GET a\n").await.is_ok() {}
        let ended = talk.await.expect("it does not panic");
        assert!(matches!(ended, Err(Failure::Stalled)), "{room}");
        assert_eq!(start.elapsed(), LIMITS.write);
    }
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn dropped_at_each_await_it_leaves_the_server_whole() {
    let (mut completed, server) = (false, server());
    for polls in 1..40 {
        let (mut client, stream) = duplex(64);
        let talk = poll_and_drop(server.talk(stream), polls);
        let client = async move {
            for piece in b"SET a 1\nGET a\nQUIT\n".chunks(3) {
                let _sent = client.write_all(piece).await;
                sleep(2 * TICK).await;
            }
            let mut answers = String::new();
            client.read_to_string(&mut answers).await.map(|_| answers)
        };
        let (ended, answers) = tokio::join!(talk, client);
        completed |= ended.is_some();
        let answers = answers.expect("text");
        assert!("OK\nVALUE 1\nBYE\n".starts_with(&answers), "{answers}");
    }
    assert!(completed, "40 polls are enough");
    assert_eq!(server.answer(b"GET a").0, "VALUE 1");
}

#[tokio::test]
async fn a_connection_reset_in_mid_line_ends_only_that_connection() -> io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let mut client = TcpStream::connect(listener.local_addr()?).await?;
    let (stream, _) = listener.accept().await?;
    let server = server();
    let mut talk = pin!(server.talk(stream));
    client.write_all(b"SET a 1").await?;
    assert!(timeout(50 * TICK, talk.as_mut()).await.is_err());
    client.set_zero_linger()?;
    drop(client);
    let ended = timeout(MINUTE, talk).await?;
    let Err(Failure::Broken(error)) = ended else {
        panic!("{ended:?}");
    };
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);

    let (address, stop, server) = start(LIMITS).await?;
    let mut resets = Vec::new();
    for _ in 0..3 {
        let mut client = TcpStream::connect(address).await?;
        client.write_all(b"SET a 1").await?;
        client.set_zero_linger()?;
        resets.push(client);
    }
    drop(resets);
    assert_eq!(ask(address, b"GET a\nQUIT\n").await?, "NONE\nBYE\n");
    stop.cancel();
    Ok(timeout(MINUTE, server).await??)
}

/// Most of what the client sends is not read yet when it is told.
#[tokio::test]
async fn the_answer_to_sixteen_megabytes_arrives() -> io::Result<()> {
    let (address, _stop, _server) = start(LIMITS).await?;
    let answers = ask(address, &b"a".repeat(1 << 24)).await?;
    assert_eq!(answers, "ERR line too long\n");
    let lines = [b"QUIT\n".to_vec(), b"GET a\n".repeat(100_000)];
    assert_eq!(ask(address, &lines.concat()).await?, "BYE\n");
    Ok(())
}

#[tokio::test]
async fn a_socket_dropped_with_unread_bytes_is_reset() -> io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    for (sent, kind) in [("", None), ("a", Some(ErrorKind::ConnectionReset))] {
        let mut client = TcpStream::connect(listener.local_addr()?).await?;
        let (stream, _) = listener.accept().await?;
        client.write_all(sent.as_bytes()).await?;
        drop(stream);
        let read = client.read(&mut [0]).await;
        assert_eq!(read.err().map(|error| error.kind()), kind);
    }
    Ok(())
}

#[tokio::test]
async fn the_stop_waits_for_nobody_longer_than_twice_the_limit() -> io::Result<()> {
    let write = 100 * TICK;
    let (address, stop, server) = start(Limits { write, ..LIMITS }).await?;
    let mut clients = Vec::new();
    for lines in [b"".to_vec(), b"GET".to_vec(), b"GET a\n".repeat(1_000_000)] {
        let mut client = TcpStream::connect(address).await?;
        let sending = async move {
            let _sent = client.write_all(&lines).await;
            client
        };
        clients.push(tokio::spawn(sending));
    }
    sleep(50 * TICK).await;
    let start = Instant::now();
    stop.cancel();
    timeout(MINUTE, server).await??;
    // The first two do not leave, so they are waited for.
    assert!(start.elapsed() >= write);
    assert!(start.elapsed() < 50 * write);
    for client in clients {
        client.await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_dropped_server_leaves_its_connections_until_the_token_is_cancelled()
-> io::Result<()> {
    let (address, stop, server) = start(LIMITS).await?;
    let mut client = TcpStream::connect(address).await?;
    let mut ask = async || {
        client.write_all(b"SET a 1\n").await?;
        let mut answer = [0; 3];
        timeout(MINUTE, client.read_exact(&mut answer)).await??;
        assert_eq!(&answer, b"OK\n");
        io::Result::Ok(())
    };
    ask().await?;
    server.abort();
    assert!(server.await.is_err_and(|error| error.is_cancelled()));
    let refused = TcpStream::connect(address).await.map(|_| ());
    let refused = refused.map_err(|error| error.kind());
    assert_eq!(refused, Err(ErrorKind::ConnectionRefused));
    ask().await?;
    stop.cancel();
    assert_eq!(timeout(MINUTE, client.read(&mut [0])).await??, 0);
    Ok(())
}

/// Memory and tasks are the whole process's, so this is done in another.
#[cfg(target_os = "linux")]
mod load {
    use std::io;
    use std::net::SocketAddr;
    use std::sync::Arc;

    use std::{env, fs};

    use rustix::process::{Resource, getrlimit};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;
    use tokio::process::Command;
    use tokio::runtime::Handle;
    use tokio::sync::Barrier;
    use tokio::task::JoinSet;
    use tokio::time::{sleep, timeout};

    use super::super::support::child_of;
    use super::{LIMITS, MINUTE, TICK, ask, start};
    use crate::line_protocol::Limits;

    const IS_CHILD: &str = "LINE_PROTOCOL_UNDER_LOAD";

    /// Kilobytes that the process has in memory.
    fn resident() -> u64 {
        let status = fs::read_to_string("/proc/self/status").expect("it is there");
        let line = status.lines().find(|line| line.starts_with("VmRSS:"));
        let words = line.and_then(|line| line.split_whitespace().nth(1));
        words.and_then(|word| word.parse().ok()).expect("a number")
    }

    /// One client after the other, with three requests each, and as many answers. Of
    /// eight values, each is set often.
    async fn in_a_row(address: SocketAddr, clients: usize) -> io::Result<usize> {
        let mut count = 0;
        for number in 0..clients {
            let name = number % 8;
            let lines = format!("SET {name} {name}\nGET {name}\nQUIT\n");
            let answers = ask(address, lines.as_bytes()).await?;
            assert_eq!(answers, format!("OK\nVALUE {name}\nBYE\n"));
            count += answers.lines().count();
        }
        Ok(count)
    }

    /// All are connected, and have been answered once, before the first one leaves.
    async fn at_once(address: SocketAddr, clients: usize) -> io::Result<usize> {
        let all = Arc::new(Barrier::new(clients));
        let mut set = JoinSet::new();
        for number in 0..clients {
            let all = Arc::clone(&all);
            set.spawn(async move {
                let mut stream = TcpStream::connect(address).await?;
                let name = number % 8;
                let set = format!("SET {name} {name}\n");
                stream.write_all(set.as_bytes()).await?;
                stream.read_exact(&mut [0; 3]).await?;
                all.wait().await;
                let get = format!("GET {name}\nQUIT\n");
                stream.write_all(get.as_bytes()).await?;
                let mut answers = String::new();
                stream.read_to_string(&mut answers).await?;
                assert_eq!(answers, format!("VALUE {name}\nBYE\n"));
                stream.set_zero_linger()?;
                io::Result::Ok(1 + answers.lines().count())
            });
        }
        let mut answers = 0;
        while let Some(client) = set.join_next().await {
            answers += client??;
        }
        Ok(answers)
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn child() -> io::Result<()> {
        if env::var_os(IS_CHILD).is_none() {
            return Ok(());
        }
        // Each client has two ends here, and some files are open already.
        let files = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
        let most = 1000.min((files as usize - 50) / 2);
        let tasks = || Handle::current().metrics().num_alive_tasks();
        let tasks_before = tasks();
        let connections = 1000;
        let (address, stop, server) = start(Limits {
            connections,
            ..LIMITS
        })
        .await?;
        // The first ones take memory that stays with the process.
        at_once(address, most).await?;
        tokio::spawn(in_a_row(address, 500)).await??;
        let before = resident();

        let mut answers = tokio::spawn(in_a_row(address, 10_000)).await??;
        answers += at_once(address, most).await?;
        assert_eq!(answers, 3 * (10_000 + most));

        // A kilobyte left behind by each would be ten megabytes.
        let growth = resident().saturating_sub(before);
        assert!(growth < 6000, "{growth} kB more than before");
        stop.cancel();
        timeout(MINUTE, server).await??;
        // A task is counted until a moment after it is joined.
        while tasks() > tasks_before {
            sleep(TICK).await;
        }
        std::println!("{most} at once, {growth} kB");
        Ok(())
    }

    #[tokio::test]
    async fn ten_thousand_in_a_row_and_a_thousand_at_once() -> io::Result<()> {
        let output = Command::from(child_of(module_path!()))
            .env(IS_CHILD, "1")
            .kill_on_drop(true)
            .output();
        let output = timeout(5 * MINUTE, output).await??;
        let stdout = String::from_utf8_lossy(&output.stdout);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(stdout.contains(" at once"), "{stdout}{stderr}");
        Ok(())
    }
}

#[test]
fn the_store_has_a_limit() {
    let limits = Limits { names: 2, ..LIMITS };
    let server = Server::new(limits, CancellationToken::new());
    let ask = |line: &str| server.answer(line.as_bytes()).0;
    assert_eq!([ask("SET a 1"), ask("SET b 1")], ["OK", "OK"]);
    assert_eq!(ask("SET c 1"), "ERR the store is full");
    assert_eq!([ask("SET a 2"), ask("GET a")], ["OK", "VALUE 2"]);
    assert_eq!(ask("GET c"), "NONE");
}

/// Lines, then a block, by one `BufReader` and without a codec. A second `BufReader`
/// misses what the first has read ahead.
#[tokio::test]
async fn one_buf_reader_reads_lines_and_blocks_and_a_dropped_one_loses_bytes()
-> io::Result<()> {
    for is_kept in [true, false] {
        let (mut client, server) = duplex(100);
        client.write_all(b"SIZE 3\nabcEND\n").await?;
        client.shutdown().await?;
        let mut reader = BufReader::new(server);
        let mut line = String::new();
        reader.read_line(&mut line).await?;
        assert_eq!(line, "SIZE 3\n");
        let mut reader = match is_kept {
            true => reader,
            false => BufReader::new(reader.into_inner()),
        };
        let mut block = [0; 3];
        let read = reader.read_exact(&mut block).await;
        if is_kept {
            read?;
            assert_eq!(&block, b"abc");
            line.clear();
            reader.read_line(&mut line).await?;
            assert_eq!(line, "END\n");
        } else {
            let kind = read.map_err(|error| error.kind());
            assert_eq!(kind, Err(ErrorKind::UnexpectedEof));
        }
    }
    Ok(())
}
