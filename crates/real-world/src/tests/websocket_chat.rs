use std::collections::HashMap;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;
use std::{env, fs, thread};

use futures::{SinkExt, StreamExt};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Handle;
use tokio::sync::Barrier;
use tokio::task::{JoinHandle, JoinSet, yield_now};
use tokio::time::{Instant, sleep, timeout};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{WebSocketStream, client_async};
use tokio_util::sync::CancellationToken;

use super::support::child_of;
use crate::websocket_chat::{Limits, Room, serve, serve_client, tell};

type Failure = Box<dyn std::error::Error + Send + Sync>;
type Socket = WebSocketStream<TcpStream>;

const TICK: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

fn limits() -> Limits {
    Limits {
        connections: 2000,
        joining: 60 * SECOND,
        message: 1000,
        queue: 16,
        pace: Duration::from_micros(1),
        ping: 20 * SECOND,
        silence: 50 * SECOND,
        closing: 3 * SECOND,
    }
}

fn room(limits: Limits) -> Arc<Room> {
    Arc::new(Room::new(limits))
}

fn names(room: &Room) -> Vec<String> {
    let members = room.members();
    members.iter().flat_map(HashMap::keys).cloned().collect()
}

/// A connection to the room without a network, and the task that serves it.
fn connection(room: &Arc<Room>, buffer: usize) -> (DuplexStream, JoinHandle<()>) {
    let (near, far) = duplex(buffer);
    let task = tokio::spawn(serve_client(Arc::clone(room), far));
    (near, task)
}

async fn guest(
    room: &Arc<Room>,
    name: &str,
) -> Result<WebSocketStream<DuplexStream>, Failure> {
    let (stream, _) = connection(room, 4096);
    let (mut socket, _) = client_async("ws://chat/", stream).await?;
    socket.send(Message::text(name)).await?;
    assert_eq!(hear(&mut socket).await, format!("{name} joined"));
    Ok(socket)
}

/// The next text, or the code of the close frame, or nothing at the end.
async fn hear<S>(socket: &mut S) -> String
where
    S: StreamExt<Item = Result<Message, tokio_tungstenite::tungstenite::Error>> + Unpin,
{
    loop {
        match socket.next().await {
            Some(Ok(Message::Text(text))) => return text.to_string(),
            Some(Ok(Message::Close(Some(frame)))) => return frame.code.to_string(),
            Some(Ok(_)) => {}
            Some(Err(_)) | None => return String::new(),
        }
    }
}

struct Server {
    address: SocketAddr,
    stop: CancellationToken,
    serving: JoinHandle<usize>,
}

impl Server {
    async fn start(limits: Limits) -> Result<Self, Failure> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let stop = CancellationToken::new();
        let serving = tokio::spawn(serve(listener, limits, stop.clone()));
        Ok(Self {
            address,
            stop,
            serving,
        })
    }

    async fn enter(&self, name: &str) -> Result<Socket, Failure> {
        let stream = TcpStream::connect(self.address).await?;
        let url = format!("ws://{}/", self.address);
        let (mut socket, _) = client_async(url, stream).await?;
        socket.send(Message::text(name)).await?;
        Ok(socket)
    }

    /// How many were cut off.
    async fn stop(self) -> Result<usize, Failure> {
        self.stop.cancel();
        Ok(self.serving.await?)
    }
}

/// Ends the connection as a crash would: what is on its way is lost.
fn reset(stream: &TcpStream) -> Result<(), Failure> {
    Ok(stream.set_zero_linger()?)
}

#[tokio::test(start_paused = true)]
async fn who_does_not_join_in_time_is_cut_off() -> Result<(), Failure> {
    let room = room(limits());
    let start = Instant::now();
    let (_nothing, silent) = connection(&room, 64);
    let (mut endless, drips) = connection(&room, 64);
    let (nameless, has_no_name) = connection(&room, 4096);
    let _nameless = client_async("ws://chat/", nameless).await?;
    let drip = async {
        endless.write_all(b"GET / HTTP/1.1\r\nx: ").await?;
        loop {
            sleep(10 * TICK).await;
            endless.write_all(b"x").await?;
        }
    };
    let dripped: Result<(), std::io::Error> = drip.await;
    assert!(dripped.is_err(), "nobody reads any more");
    for task in [silent, drips, has_no_name] {
        task.await?;
    }
    assert_eq!(start.elapsed().as_secs(), 60);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn who_answers_pings_stays_and_who_does_not_is_cut_off() -> Result<(), Failure> {
    let room = room(limits());
    let mut ana = guest(&room, "ana").await?;
    let _eve = guest(&room, "eve").await?;
    assert_eq!(hear(&mut ana).await, "eve joined");
    let start = Instant::now();
    assert_eq!(hear(&mut ana).await, "eve gave no sign of life");
    assert_eq!(start.elapsed().as_secs(), 50);
    assert!(timeout(3600 * SECOND, hear(&mut ana)).await.is_err());
    assert_eq!(names(&room), ["ana"]);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn the_answers_to_pings_that_nobody_reads_are_limited() -> Result<(), Failure> {
    let room = room(limits());
    let mut eve = guest(&room, "eve").await?;
    for _ in 0..10_000 {
        eve.get_mut().write_all(b"\x89\xfd").await?;
        eve.get_mut().write_all(&[0; 4 + 125]).await?;
    }
    let mut bytes = 0;
    while let Ok(read) = timeout(SECOND, eve.get_mut().read(&mut [0; 4096])).await {
        bytes += read?;
    }
    assert!(bytes < 300_000, "{bytes} bytes waited");
    Ok(())
}

#[test]
fn who_comes_under_a_name_comes_after_who_had_it() {
    let room = room(Limits {
        queue: 100_000,
        ..limits()
    });
    let mut log = room.join("log").expect("it is free");
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                for _ in 0..10_000 {
                    drop(room.join("ana"));
                }
            });
        }
    });
    assert_eq!(log.texts.try_recv().expect("the first"), "log joined");
    while let Ok(text) = log.texts.try_recv() {
        assert_eq!(text, "ana joined");
        assert_eq!(log.texts.try_recv().expect("in turn"), "ana was cut off");
    }
}

#[tokio::test(start_paused = true)]
async fn who_stops_reading_gets_no_more_than_fits() -> Result<(), Failure> {
    for queue in [2, 3, 16] {
        let room = room(Limits { queue, ..limits() });
        let mut ana = guest(&room, "ana").await?;
        let (stream, task) = connection(&room, 150);
        let (mut dan, _) = client_async("ws://chat/", stream).await?;
        dan.send(Message::text("dan")).await?;
        assert_eq!(hear(&mut dan).await, "dan joined");
        assert_eq!(hear(&mut ana).await, "dan joined");
        let start = Instant::now();
        let text = |number| format!("{number:0>200}");
        // One is on its way, so many wait, and one is too much.
        for number in 0..queue + 2 {
            tell(room.members().as_ref().expect("it is open"), text(number));
            assert_eq!(hear(&mut ana).await, text(number));
            assert_eq!(names(&room).len(), if number <= queue { 2 } else { 1 });
        }
        assert_eq!(hear(&mut ana).await, "dan was too slow");
        assert_eq!(start.elapsed(), Duration::ZERO, "ana waits for nobody");
        task.await?;
        // Of the first there is the beginning.
        assert_eq!(hear(&mut dan).await, "");
    }
    Ok(())
}

/// Sends a burst, and returns how many of ten members were cut off meanwhile.
async fn cut_off_by_a_burst() -> Result<usize, Failure> {
    const BURST: usize = 300;
    let server = Server::start(Limits {
        queue: 16,
        pace: Duration::from_millis(10),
        ..limits()
    });
    let server = server.await?;
    let mut guests = Vec::new();
    for number in 0..10 {
        let mut guest = server.enter(&format!("g{number}")).await?;
        while hear(&mut guest).await != format!("g{number} joined") {}
        guests.push(guest);
    }
    for number in 0..BURST {
        guests[0].feed(Message::text(number.to_string())).await?;
    }
    guests[0].flush().await?;
    let mut reading = JoinSet::new();
    for mut guest in guests {
        reading.spawn(async move {
            for expected in 0..BURST {
                let mut text = hear(&mut guest).await;
                while text.ends_with("joined") {
                    text = hear(&mut guest).await;
                }
                if text != format!("g0: {expected}") {
                    return 1;
                }
            }
            0
        });
    }
    Ok(reading.join_all().await.into_iter().sum())
}

/// Over sockets and on several threads, as `main` runs it. On a busy machine a member may
/// be cut off because it is not run in time, but not in each round.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_burst_of_one_does_not_cut_off_the_others() -> Result<(), Failure> {
    let mut cut_off = Vec::new();
    for _ in 0..4 {
        cut_off.push(cut_off_by_a_burst().await?);
        if cut_off.ends_with(&[0]) {
            return Ok(());
        }
    }
    panic!("cut off in each round: {cut_off:?}");
}

#[tokio::test]
async fn nobody_speaks_for_another() -> Result<(), Failure> {
    let room = room(limits());
    let mut ana = guest(&room, "ana").await?;
    ana.send(Message::text("hi\nben: I never said this\r"))
        .await?;
    let heard = hear(&mut ana).await;
    assert_eq!(heard, "ana: hi ben: I never said this ");
    Ok(())
}

#[tokio::test]
async fn what_breaks_the_protocol_ends_with_a_close_frame() -> Result<(), Failure> {
    let server = Server::start(limits()).await?;
    // A reserved bit; a text that is not UTF-8.
    for (frame, code) in [
        (&b"\xc1\x80\0\0\0\0"[..], "1002"),
        (b"\x81\x81\0\0\0\0\xff", "1007"),
    ] {
        let mut ana = server.enter("ana").await?;
        assert_eq!(hear(&mut ana).await, "ana joined");
        ana.get_mut().write_all(frame).await?;
        assert_eq!(hear(&mut ana).await, code);
    }
    Ok(())
}

#[tokio::test]
async fn a_name_that_is_taken_stays_with_its_owner() -> Result<(), Failure> {
    let room = room(limits());
    let mut ana = guest(&room, "ana").await?;
    for name in ["ana", "", "a\nb", "ana: hello", "a23456789012345678901"] {
        let (stream, task) = connection(&room, 4096);
        let (mut other, _) = client_async("ws://chat/", stream).await?;
        other.send(Message::text(name)).await?;
        assert_eq!(hear(&mut other).await, "1008");
        assert_eq!(hear(&mut other).await, "");
        task.await?;
        assert_eq!(names(&room), ["ana"]);
    }
    ana.send(Message::text("still here")).await?;
    assert_eq!(hear(&mut ana).await, "ana: still here");
    Ok(())
}

#[tokio::test]
async fn too_long_a_message_ends_with_a_close_frame() -> Result<(), Failure> {
    let server = Server::start(limits()).await?;
    let mut ana = server.enter("ana").await?;
    assert_eq!(hear(&mut ana).await, "ana joined");
    // The server does not read to the end of what is far too long.
    for length in [1001, 4_000_000] {
        let mut carl = server.enter("carl").await?;
        let text = Message::text("x".repeat(length));
        let (mut outgoing, mut incoming) = (&mut carl).split();
        assert_eq!(hear(&mut incoming).await, "carl joined");
        let (sent, heard) = tokio::join!(outgoing.send(text), hear(&mut incoming));
        assert!(sent.is_ok(), "the connection is not reset: {sent:?}");
        assert_eq!(heard, "1009");
        assert_eq!(hear(&mut ana).await, "carl joined");
        assert_eq!(hear(&mut ana).await, "carl sent too much at once");
    }
    Ok(())
}

#[tokio::test]
async fn a_reset_is_noticed_at_any_moment() -> Result<(), Failure> {
    let server = Server::start(limits()).await?;
    let mut ana = server.enter("ana").await?;
    assert_eq!(hear(&mut ana).await, "ana joined");
    for beginning in [&b""[..], b"G", b"GET / HTTP/1.1\r\nhost: x\r\n"] {
        let mut stream = TcpStream::connect(server.address).await?;
        stream.write_all(beginning).await?;
        reset(&stream)?;
    }
    // Nothing, one byte of a header, a header and half a text.
    for half in [&b""[..], b"\x81", b"\x81\x85\x01\x02\x03\x04ab"] {
        let mut ben = server.enter("ben").await?;
        assert_eq!(hear(&mut ben).await, "ben joined");
        assert_eq!(hear(&mut ana).await, "ben joined");
        ben.get_mut().write_all(half).await?;
        reset(ben.get_ref())?;
        drop(ben);
        assert_eq!(hear(&mut ana).await, "ben was cut off");
    }
    ana.close(None).await?;
    assert_eq!(server.stop().await?, 0);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn dropped_at_each_await_it_gives_the_name_back() -> Result<(), Failure> {
    let mut joined = 0;
    for polls in 0..40 {
        let room = room(limits());
        let (near, far) = duplex(64);
        let client = async {
            let (mut socket, _) = client_async("ws://chat/", near).await?;
            socket.send(Message::text("ana")).await?;
            socket.send(Message::text("x".repeat(300))).await?;
            while !hear(&mut socket).await.is_empty() {}
            Ok::<(), Failure>(())
        };
        let client = tokio::spawn(client);
        {
            let mut served = pin!(serve_client(Arc::clone(&room), far));
            for _ in 0..polls {
                let poll = poll_fn(|context| Poll::Ready(served.as_mut().poll(context)));
                assert!(poll.await.is_pending());
                yield_now().await;
            }
            joined += names(&room).len();
        }
        assert!(names(&room).is_empty());
        let _ = client.await?;
    }
    assert!(joined > 10);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn after_a_panic_the_name_is_free() -> Result<(), Failure> {
    let room = room(limits());
    let mut ben = guest(&room, "ben").await?;
    let crash = {
        let room = Arc::clone(&room);
        async move {
            let _seat = room.join("ana");
            panic!("scheduled");
        }
    };
    assert!(tokio::spawn(crash).await.is_err());
    assert_eq!(hear(&mut ben).await, "ana joined");
    assert_eq!(hear(&mut ben).await, "ana was cut off");
    assert_eq!(names(&room), ["ben"]);
    Ok(())
}

#[tokio::test]
async fn what_waits_is_sent_before_the_close_frame() -> Result<(), Failure> {
    let server = Server::start(limits()).await?;
    let mut ana = server.enter("ana").await?;
    assert_eq!(hear(&mut ana).await, "ana joined");
    for number in 0..10 {
        ana.send(Message::text(number.to_string())).await?;
        while hear(&mut ana).await != format!("ana: {number}") {}
    }
    let mut ben = server.enter("ben").await?;
    assert_eq!(hear(&mut ben).await, "ben joined");
    ben.send(Message::text("the last")).await?;
    assert_eq!(hear(&mut ben).await, "ben: the last");
    let stopped = tokio::spawn(server.stop());
    for text in ["ben joined", "ben: the last", "1001", ""] {
        assert_eq!(hear(&mut ana).await, text);
    }
    assert_eq!(hear(&mut ben).await, "1001");
    assert_eq!(hear(&mut ben).await, "");
    assert_eq!(stopped.await??, 0);
    Ok(())
}

#[tokio::test]
async fn who_comes_when_all_places_are_taken_waits() -> Result<(), Failure> {
    let connections = 1;
    let server = Server::start(Limits {
        connections,
        ..limits()
    })
    .await?;
    let mut ana = server.enter("ana").await?;
    assert_eq!(hear(&mut ana).await, "ana joined");
    let waits = async {
        let mut ben = server.enter("ben").await?;
        Ok::<String, Failure>(hear(&mut ben).await)
    };
    let mut waits = pin!(waits);
    assert!(timeout(100 * TICK, waits.as_mut()).await.is_err());
    ana.close(None).await?;
    assert_eq!(waits.await?, "ben joined");
    Ok(())
}

/// The variable that makes `child` do something.
const CHILD: &str = "WEBSOCKET_CHAT_CHILD";

/// How many pages of memory the process has; nothing where Linux is not.
fn memory() -> Option<usize> {
    let pages = fs::read_to_string("/proc/self/statm").ok()?;
    pages.split(' ').nth(1)?.parse().ok()
}

async fn no_more_tasks_than(tasks: usize) {
    while Handle::current().metrics().num_alive_tasks() > tasks {
        yield_now().await;
    }
}

/// Each of them says its name, and leaves or crashes.
async fn one_after_the_other(clients: usize) -> Result<(), Failure> {
    let server = Server::start(limits()).await?;
    let mut log = server.enter("log").await?;
    assert_eq!(hear(&mut log).await, "log joined");
    let tasks = Handle::current().metrics().num_alive_tasks();
    let mut before = None;
    for number in 0..clients {
        let mut client = server.enter(&format!("c{number}")).await?;
        assert_eq!(hear(&mut log).await, format!("c{number} joined"));
        let end = if number % 10 == 0 {
            client.close(None).await?;
            while !hear(&mut client).await.is_empty() {}
            "left"
        } else {
            client.get_ref().set_zero_linger()?;
            "was cut off"
        };
        drop(client);
        assert_eq!(hear(&mut log).await, format!("c{number} {end}"));
        if number == clients / 10 {
            before = memory();
        }
    }
    // A kilobyte of each that was left behind would be more than twice of this.
    let more = memory()
        .zip(before)
        .map(|(after, before)| after.abs_diff(before));
    assert!(more.is_none_or(|pages| pages < 1000), "{more:?} pages more");
    no_more_tasks_than(tasks).await;
    log.close(None).await?;
    assert_eq!(server.stop().await?, 0);
    Ok(())
}

/// Not a test by itself, but a process without other tests that take memory.
#[tokio::test]
async fn child() -> Result<(), Failure> {
    if env::var_os(CHILD).is_some() {
        one_after_the_other(10_000).await?;
        println!("the child is done");
    }
    Ok(())
}

#[test]
fn ten_thousand_one_after_the_other_leave_nothing_behind() {
    let output = child_of(module_path!())
        .env(CHILD, "1")
        .output()
        .expect("it starts");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.contains("the child is done"), "{output:?}");
}

/// All are there before the first speaks; some speak at once, and all hear it.
async fn at_once(clients: usize, texts: usize) -> Result<(), Failure> {
    let queue = 4 * clients;
    let server = Arc::new(Server::start(Limits { queue, ..limits() }).await?);
    let tasks = Handle::current().metrics().num_alive_tasks();
    let everybody = Arc::new(Barrier::new(clients));
    let mut set = JoinSet::new();
    for number in 0..clients {
        let (server, everybody) = (Arc::clone(&server), Arc::clone(&everybody));
        set.spawn(async move {
            let mut client = server.enter(&format!("c{number}")).await?;
            while hear(&mut client).await != format!("c{number} joined") {}
            let (mut outgoing, mut incoming) = client.split();
            let say = async {
                everybody.wait().await;
                if number < texts {
                    outgoing.send(Message::text(number.to_string())).await?;
                }
                Ok::<_, Failure>(())
            };
            let listen = async {
                let mut heard = Vec::new();
                while heard.len() < texts {
                    let text = hear(&mut incoming).await;
                    assert!(!text.is_empty());
                    if let Some((_, text)) = text.split_once(": ") {
                        heard.push(text.to_owned());
                    }
                }
                heard
            };
            let (said, heard) = tokio::join!(say, listen);
            said?;
            let all = everybody.wait().await;
            if all.is_leader() {
                server.stop.cancel();
            }
            assert_eq!(hear(&mut incoming).await, "1001");
            assert_eq!(hear(&mut incoming).await, "");
            Ok::<_, Failure>(heard)
        });
    }
    let mut orders = Vec::new();
    while let Some(heard) = set.join_next().await {
        orders.push(heard??);
    }
    assert!(orders.iter().all(|order| *order == orders[0]));
    assert_eq!(orders[0].len(), texts);
    let server = Arc::into_inner(server).expect("all have ended");
    assert_eq!(server.stop().await?, 0);
    no_more_tasks_than(tasks - 1).await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_at_once_hear_the_same() -> Result<(), Failure> {
    at_once(1000, 10).await
}
