//! Line-based TCP protocol: limit a line's length, time out slow readers and writers.
//!
//! `FramedRead` with a codec is `StreamReader.readuntil` with its `limit`: it puts a line
//! together from several reads, and splits what comes at once. Its `next` is cancel-safe,
//! so it may stand in `select!` and `timeout`; a dropped `read_line` loses what it has
//! read, and a dropped `write_all` may have sent a part. The trap: at the end of a
//! connection `LinesCodec`, `read_line` and `readline` return a rest without a newline as
//! a line. So if it breaks within "SET a 10", they return "SET a 1". And close with care:
//! a socket dropped while bytes are unread resets the connection, and the answer may be
//! lost. `LinesCodec::new` and `read_line` have no limit: a client can fill your memory.
//! Other formats: `LengthDelimitedCodec`. Losing bytes in `select!`: `cancel_safety`.
//!
//! asyncio: asyncio.StreamReader.readuntil, asyncio.LimitOverrunError, asyncio.timeout
//! asyncio: asyncio.StreamReader, asyncio.StreamReader.readline
//! asyncio: asyncio.StreamReader.at_eof, asyncio.StreamWriter, asyncio.StreamWriter.drain
//! asyncio: asyncio.StreamWriter.writelines, asyncio.open_connection(limit=)
//! clock: real

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::StreamExt;
use tokio::io::{self, AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::io::{BufReader, Lines};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::select;
use tokio::sync::Semaphore;
use tokio::time::{Instant, interval_at, sleep, timeout};
use tokio_util::bytes::{Bytes, BytesMut};
use tokio_util::codec::{AnyDelimiterCodec, Decoder, FramedRead};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Why a connection has ended early.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    #[error("line too long")]
    TooLong,
    #[error("the last line has no end")]
    CutOff,
    #[error("the client does not read")]
    Stalled,
    #[error("{}", .0.kind())]
    Broken(#[from] io::Error),
}

/// Splits bytes into lines, without the newlines.
pub struct LineDecoder(AnyDelimiterCodec);

impl LineDecoder {
    /// A line may have so many bytes.
    pub fn new(longest: usize) -> Self {
        let newline = || b"\n".to_vec();
        let codec = AnyDelimiterCodec::new_with_max_length(newline(), newline(), longest);
        Self(codec)
    }
}

impl Decoder for LineDecoder {
    type Item = Bytes;
    type Error = Failure;

    fn decode(&mut self, bytes: &mut BytesMut) -> Result<Option<Bytes>, Failure> {
        // It fails for no other reason.
        self.0.decode(bytes).map_err(|_| Failure::TooLong)
    }

    fn decode_eof(&mut self, bytes: &mut BytesMut) -> Result<Option<Bytes>, Failure> {
        match self.decode(bytes)? {
            None if !bytes.is_empty() => Err(Failure::CutOff),
            line => Ok(line),
        }
    }
}

/// What a client may cost.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// So many connections at once; the others wait in the system's backlog.
    pub connections: usize,
    /// So many bytes in a line.
    pub line: usize,
    /// For so long until a line is complete, however its bytes come.
    pub idle: Duration,
    /// For so long until an answer is taken, and for leaving.
    pub write: Duration,
}

/// Keeps values by name: `SET name value`, `GET name`, `QUIT`. How many is not limited.
pub struct Server {
    limits: Limits,
    stop: CancellationToken,
    store: Mutex<HashMap<String, String>>,
}

impl Server {
    /// The token ends [`serve`](Self::serve).
    pub fn new(limits: Limits, stop: CancellationToken) -> Arc<Self> {
        let store = Mutex::default();
        Arc::new(Self {
            limits,
            stop,
            store,
        })
    }

    /// Serves until the token is cancelled and all connections have ended. They end after
    /// the line that they answer, within twice `Limits::write`. Dropped, it leaves them
    /// running until the token is cancelled.
    pub async fn serve(self: Arc<Self>, listener: TcpListener) {
        let permits = Arc::new(Semaphore::new(self.limits.connections));
        let connections = TaskTracker::new();
        let accepting = async {
            for number in 1_u64.. {
                let permit = Arc::clone(&permits).acquire_owned().await;
                let permit = permit.expect("nobody closes the semaphore");
                let Ok((stream, _)) = listener.accept().await else {
                    // Too many open files, for example: see `tcp_echo_server`.
                    sleep(Duration::from_millis(100)).await;
                    continue;
                };
                let _ = stream.set_nodelay(true);
                let server = Arc::clone(&self);
                connections.spawn(async move {
                    let _permit = permit;
                    if let Err(failure) = server.talk(stream).await {
                        println!("connection {number}: {failure}");
                    }
                });
            }
        };
        self.stop.run_until_cancelled(accepting).await;
        drop(listener);
        connections.close();
        connections.wait().await;
    }

    /// Answers a client, line by line, until it ends its side, quits, or is told that it
    /// has broken a limit.
    ///
    /// # Errors
    ///
    /// `Stalled` and `Broken`: there is nobody whom it could tell.
    async fn talk<S>(&self, stream: S) -> Result<(), Failure>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let Limits { idle, write, .. } = self.limits;
        let mut lines = FramedRead::new(stream, LineDecoder::new(self.limits.line));
        let mut is_last = false;
        while !is_last {
            let next = select! {
                biased;
                () = self.stop.cancelled() => break,
                next = timeout(idle, lines.next()) => next,
            };
            let mut answer;
            (answer, is_last) = match next {
                Ok(None) => break,
                Ok(Some(Ok(line))) => self.answer(&line),
                Ok(Some(Err(Failure::Broken(error)))) => return Err(error.into()),
                Ok(Some(Err(failure))) => (format!("ERR {failure}"), true),
                Err(_) => (format!("ERR no line in {idle:?}"), true),
            };
            answer.push('\n');
            let sending = async {
                lines.get_mut().write_all(answer.as_bytes()).await?;
                lines.get_mut().flush().await
            };
            // A part may have been sent, so nothing can follow.
            timeout(write, sending)
                .await
                .map_err(|_| Failure::Stalled)??;
        }
        // Says that no more comes, and lets the client read to the end: see the header.
        let mut stream = lines.into_inner();
        let leaving = async {
            stream.shutdown().await?;
            io::copy(&mut stream, &mut io::sink()).await
        };
        // Whether it fails or takes too long, the stream is dropped now.
        let _left = timeout(write, leaving).await;
        Ok(())
    }

    /// The answer to a line, and whether it is the last one.
    fn answer(&self, line: &[u8]) -> (String, bool) {
        let words: Vec<_> = match str::from_utf8(line) {
            Ok(line) => line.split_whitespace().collect(),
            Err(_) => return ("ERR not UTF-8".to_string(), false),
        };
        let mut store = self.store.lock().expect("nobody panics with the lock");
        let answer = match words[..] {
            ["SET", name, value] => {
                store.insert(name.to_string(), value.to_string());
                "OK".to_string()
            }
            ["GET", name] => match store.get(name) {
                Some(value) => format!("VALUE {value}"),
                None => "NONE".to_string(),
            },
            ["QUIT"] => return ("BYE".to_string(), true),
            _ => "ERR no such command".to_string(),
        };
        (answer, false)
    }
}

struct Client {
    lines: Lines<BufReader<OwnedReadHalf>>,
    writer: OwnedWriteHalf,
}

impl Client {
    async fn connect(address: SocketAddr) -> io::Result<Self> {
        let (reader, writer) = TcpStream::connect(address).await?.into_split();
        let lines = BufReader::new(reader).lines();
        Ok(Self { lines, writer })
    }

    async fn send(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.writer.write_all(bytes.as_ref()).await
    }

    /// Prints so many answers.
    async fn print(&mut self, count: usize) -> io::Result<()> {
        for _ in 0..count {
            match self.lines.next_line().await? {
                Some(line) => println!("{line}"),
                None => println!("the end"),
            }
        }
        Ok(())
    }
}

pub async fn run() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    // Each part begins at its time, however long the one before it took.
    let first = Instant::now() + Duration::from_millis(200);
    let mut part = interval_at(first, Duration::from_millis(500));
    let pause = Duration::from_millis(100);
    let limits = Limits {
        connections: 10,
        line: 1000,
        idle: Duration::from_millis(400),
        write: Duration::from_millis(300),
    };
    let socket = TcpSocket::new_v4()?;
    // The system holds so much for a client that does not read; otherwise some megabytes.
    socket.set_send_buffer_size(262_144)?;
    socket.bind(SocketAddr::from(([127, 0, 0, 1], 0)))?;
    let listener = socket.listen(1024)?;
    let address = listener.local_addr()?;
    let stop = CancellationToken::new();
    let server = tokio::spawn(Server::new(limits, stop.clone()).serve(listener));

    part.tick().await;
    println!("Two lines in three pieces:");
    let mut client = Client::connect(address).await?;
    client.send("SE").await?;
    sleep(pause).await;
    client.send("T a 10\nGE").await?;
    client.print(1).await?;
    sleep(pause).await;
    client.send("T a\n").await?;
    client.print(1).await?;

    part.tick().await;
    println!("Four lines in one piece:");
    client = Client::connect(address).await?;
    let lines = [&b"GET a\n"[..], b"GET \xff\n", b"PUT a 2\r\n", b"QUIT\n"];
    client.send(lines.concat()).await?;
    client.print(5).await?;

    part.tick().await;
    println!("A line of 1000 bytes, and one of 1001:");
    client = Client::connect(address).await?;
    client.send(format!("SET b {}\n", "x".repeat(994))).await?;
    client.print(1).await?;
    client.send(format!("SET b {}\n", "x".repeat(995))).await?;
    client.print(2).await?;

    part.tick().await;
    println!("A last line without its end:");
    client = Client::connect(address).await?;
    client.send("GET a\nSET a 1").await?;
    client.writer.shutdown().await?;
    client.print(3).await?;

    part.tick().await;
    println!("Half a line, and then nothing:");
    client = Client::connect(address).await?;
    client.send("GET ").await?;
    client.print(2).await?;

    part.tick().await;
    println!("A client that does not read:");
    client = Client::connect(address).await?;
    client.send("GET b\n".repeat(2000)).await?;

    part.tick().await;
    println!("The server stops:");
    client = Client::connect(address).await?;
    client.send("GET a\nGET").await?;
    client.print(1).await?;
    stop.cancel();
    client.print(1).await?;
    drop(client);
    server.await?;
    println!("all connections have ended");
    Ok(())
}

#[tokio::main]
pub async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    run().await
}

#[cfg(test)]
mod tests {
    use std::io::{self, ErrorKind};
    use std::net::SocketAddr;
    use std::pin::pin;
    use std::sync::Arc;
    use std::task::Poll;
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

    use super::{Failure, Limits, LineDecoder, Server};

    const TICK: Duration = Duration::from_millis(1);
    const MINUTE: Duration = Duration::from_secs(60);
    const LIMITS: Limits = Limits {
        connections: 100,
        line: 100,
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

    /// Sends all at once, and returns all answers.
    async fn ask(address: SocketAddr, lines: &[u8]) -> io::Result<String> {
        let mut stream = TcpStream::connect(address).await?;
        stream.write_all(lines).await?;
        let mut answers = String::new();
        stream.read_to_string(&mut answers).await?;
        // The server has closed first. So this leaves no socket in TIME_WAIT.
        stream.set_zero_linger()?;
        Ok(answers)
    }

    /// Polls the future at most `polls` times, a millisecond apart, and drops it if it is
    /// not ready then.
    async fn poll_and_drop<F: Future>(future: F, polls: usize) -> Option<F::Output> {
        let mut future = pin!(future);
        for _ in 0..polls {
            if let Poll::Ready(output) = futures::poll!(future.as_mut()) {
                return Some(output);
            }
            sleep(TICK).await;
        }
        None
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
    async fn a_connection_reset_in_mid_line_ends_only_that_connection() -> io::Result<()>
    {
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
        assert!(start.elapsed() < 2 * write + 500 * TICK);
        for client in clients {
            client.await?;
        }
        Ok(())
    }

    /// Memory and tasks are the whole process's, so this is done in another.
    #[cfg(target_os = "linux")]
    mod load {
        use std::io;
        use std::net::SocketAddr;
        use std::sync::Arc;
        use std::time::Duration;
        use std::{env, fs};

        use rustix::process::{Resource, getrlimit};
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        use tokio::net::TcpStream;
        use tokio::process::Command;
        use tokio::runtime::Handle;
        use tokio::sync::Barrier;
        use tokio::task::JoinSet;
        use tokio::time::{sleep, timeout};

        use super::super::Limits;
        use super::{LIMITS, MINUTE, TICK, ask, start};

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
            let (_crate, module) = module_path!().split_once("::").expect("a module");
            let output = Command::new(env::current_exe()?)
                .args(["--exact", "--nocapture", &format!("{module}::child")])
                .env(IS_CHILD, "1")
                .kill_on_drop(true)
                .output();
            let output = timeout(Duration::from_secs(50), output).await??;
            let stdout = String::from_utf8_lossy(&output.stdout);
            let stderr = String::from_utf8_lossy(&output.stderr);
            assert!(stdout.contains(" at once"), "{stdout}{stderr}");
            Ok(())
        }
    }
}
