use std::io;
use std::net::SocketAddr;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::extract::{Path, Request};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Extension, Router};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::runtime::{Builder, Handle};
use tokio::sync::{Notify, Semaphore};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tower::limit::{ConcurrencyLimitLayer, GlobalConcurrencyLimitLayer};

use crate::http_server::{Limits, Place, serve};

const LONG: Duration = Duration::from_secs(120);
const SHORT: Duration = Duration::from_millis(100);

/// No limit in time but that of the shutdown.
const LIMITS: Limits = Limits {
    connections: 10_000,
    body: 1000,
    head: LONG,
    request: LONG,
    connection: LONG,
    drain: SHORT,
};

/// Says hello, counts bytes, sleeps, panics.
fn routes() -> Router {
    let nap = async |Path(millis): Path<u64>| sleep(Duration::from_millis(millis)).await;
    let fails = async || -> &'static str { panic!("scheduled") };
    Router::new()
        .route("/hello", get(async || "hello"))
        .route("/nap/{millis}", get(nap))
        .route("/length", post(async |body: String| body.len().to_string()))
        .route("/panic", get(fails))
}

struct Server {
    address: SocketAddr,
    stop: CancellationToken,
    task: JoinHandle<()>,
    tasks_before: usize,
}

impl Server {
    async fn start(limits: Limits, routes: Router) -> Self {
        let tasks_before = Handle::current().metrics().num_alive_tasks();
        let bound = TcpListener::bind("127.0.0.1:0").await;
        let listener = bound.expect("there is a port");
        let address = listener.local_addr().expect("it is bound");
        let stop = CancellationToken::new();
        let task = tokio::spawn(serve(listener, routes, limits, stop.clone()));
        Self {
            address,
            stop,
            task,
            tasks_before,
        }
    }

    /// Sends the text, and leaves the connection open.
    async fn send(&self, text: &str) -> TcpStream {
        let connected = TcpStream::connect(self.address).await;
        let mut stream = connected.expect("it listens");
        let written = stream.write_all(text.as_bytes()).await;
        written.expect("there is room for a little");
        stream
    }

    async fn get(&self, path: &str) -> (u16, String) {
        let answer = read(self.send(&head("GET", path, 0)).await).await;
        answer.expect("it answers")
    }

    /// Stops it, with a limit, and sees that then no task is left.
    async fn stop(self) {
        self.stop.cancel();
        let ended = timeout(LONG / 2, self.task).await;
        ended.expect("it ends").expect("it does not panic");
        no_more_than(self.tasks_before).await;
    }
}

/// Waits until there are no more tasks than that. A task that has ended still counts
/// for a moment, while another thread puts it away.
async fn no_more_than(tasks: usize) {
    let metrics = Handle::current().metrics();
    let all_end = async {
        while metrics.num_alive_tasks() > tasks {
            sleep(Duration::from_millis(1)).await;
        }
    };
    timeout(LONG / 4, all_end).await.expect("a task is left");
}

fn head(method: &str, path: &str, length: usize) -> String {
    format!(
        "{method} {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\
         Content-Length: {length}\r\n\r\n"
    )
}

/// What comes until the server closes the connection.
async fn read(mut stream: TcpStream) -> io::Result<(u16, String)> {
    let mut text = String::new();
    stream.read_to_string(&mut text).await?;
    let status = text.get(9..12).and_then(|status| status.parse().ok());
    let body = text.split_once("\r\n\r\n").map(|(_, body)| body);
    Ok((
        status.unwrap_or_default(),
        body.unwrap_or_default().to_owned(),
    ))
}

#[tokio::test]
async fn a_head_that_never_ends() {
    for limits in [
        Limits {
            head: SHORT,
            ..LIMITS
        },
        LIMITS,
    ] {
        let server = Server::start(limits, routes()).await;
        let stream = server.send("GET /hello HTTP/1.1\r\nX-Never-").await;
        let text = head("GET", "/hello", 0).replace("close", "keep-alive");
        let idle = server.send(&text).await;
        if limits.head == SHORT {
            let end = timeout(LONG / 2, read(idle)).await;
            let (status, _) = end.expect("its time is over").expect("it is closed");
            assert_eq!(status, 200);
            let end = timeout(LONG / 2, read(stream)).await;
            assert!(end.is_ok(), "its time is over");
            server.stop().await;
        } else {
            sleep(SHORT).await;
            server.stop().await;
            drop(stream);
        }
    }
}

#[tokio::test]
async fn axum_alone_waits_for_a_head_that_never_ends() {
    let bound = TcpListener::bind("127.0.0.1:0").await;
    let listener = bound.expect("there is a port");
    let address = listener.local_addr().expect("it is bound");
    let stop = CancellationToken::new();
    let stopped = stop.clone().cancelled_owned();
    let serve = axum::serve(listener, Router::new()).with_graceful_shutdown(stopped);
    let mut server = tokio::spawn(serve.into_future());
    let mut stream = TcpStream::connect(address).await.expect("it listens");
    let written = stream.write_all(b"GET /hello HTTP/1.1\r\nX-Never-").await;
    written.expect("there is room for a little");
    sleep(SHORT).await;
    stop.cancel();
    assert!(timeout(5 * SHORT, &mut server).await.is_err());
    drop(stream);
    let ended = timeout(LONG, server).await.expect("the client has left");
    assert!(ended.is_ok_and(|ended| ended.is_ok()));
}

#[tokio::test]
async fn half_a_body() {
    let limits = Limits {
        request: SHORT,
        ..LIMITS
    };
    let server = Server::start(limits, routes()).await;
    let half = head("POST", "/length", 100) + "half";
    let stays = server.send(&half).await;
    let (status, body) = read(stays).await.expect("it answers");
    assert_eq!((status, &*body), (504, "the request took too long"));
    let mut closes = server.send(&half).await;
    closes.shutdown().await.expect("it is open");
    let _ = timeout(LONG, read(closes)).await.expect("it is closed");
    let resets = server.send(&half).await;
    resets.set_zero_linger().expect("it is open");
    drop(resets);
    assert_eq!(server.get("/hello").await.0, 200);
    server.stop().await;
}

#[tokio::test]
async fn a_body_that_never_ends_is_too_large() {
    let server = Server::start(LIMITS, routes()).await;
    let chunked = "POST /length HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\
                   Content-Type: application/json\r\n\
                   Transfer-Encoding: chunked\r\n\r\n";
    let mut stream = server.send(chunked).await;
    let chunk = format!("c8\r\n{}\r\n", " ".repeat(200));
    for _ in 0..6 {
        stream.write_all(chunk.as_bytes()).await.expect("it reads");
    }
    let mut status = [0; 12];
    let read = timeout(LONG / 2, stream.read_exact(&mut status)).await;
    assert!(read.expect("it answers").is_ok());
    assert_eq!(&status, b"HTTP/1.1 413");
    drop(stream);
    server.stop().await;
}

#[tokio::test]
async fn a_client_that_stops_reading() {
    let server = Server::start(LIMITS, routes()).await;
    let socket = TcpSocket::new_v4().expect("there are sockets");
    socket.set_recv_buffer_size(4096).expect("it can be set");
    let connected = socket.connect(server.address).await;
    let mut stream = connected.expect("it listens");
    let requests = "GET /hello HTTP/1.1\r\nHost: test\r\n\r\n".repeat(1000);
    let write = async {
        loop {
            stream
                .write_all(requests.as_bytes())
                .await
                .expect("it is open");
            sleep(Duration::from_millis(1)).await;
        }
    };
    // The loop ends only by the server, which waits to be read and reads no more.
    let mut writing = Box::pin(write);
    while timeout(3 * SHORT, &mut writing).await.is_ok() {}
    assert_eq!(server.get("/hello").await.0, 200, "others are answered");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_thousand_and_every_fault() {
    super::allow_files();
    let limits = Limits {
        drain: LONG / 4,
        ..LIMITS
    };
    let server = Server::start(limits, routes()).await;
    let address = server.address;
    // Both ends of a connection count as files, of which a process may open 1024.
    let permits = Arc::new(Semaphore::new(300));
    let mut set = JoinSet::new();
    for number in 0..1000 {
        let permits = Arc::clone(&permits);
        set.spawn(async move {
            let _permit = permits.acquire_owned().await;
            let body = number.to_string();
            let mut text = head("POST", "/length", body.len()) + &body;
            let fault = number % 5;
            if fault > 2 {
                text.truncate(if fault == 3 { text.len() - 1 } else { 30 });
            }
            let mut stream = TcpStream::connect(address).await?;
            stream.write_all(text.as_bytes()).await?;
            if fault > 1 {
                // Left at once: with the request whole, half a body, half a head.
                stream.set_zero_linger()?;
                return Ok(None);
            }
            read(stream).await.map(|answer| Some((answer, body.len())))
        });
    }
    let mut answered = 0;
    while let Some(ended) = set.join_next().await {
        let answer: io::Result<_> = ended.expect("no client panics");
        if let Some((answer, length)) = answer.expect("each is answered") {
            assert_eq!(answer, (200, length.to_string()));
            answered += 1;
        }
    }
    assert_eq!(answered, 400);
    assert_eq!(server.get("/hello").await.0, 200);
    server.stop().await;
}

/// What the process holds in memory, in kB; 0 where the system does not say.
fn memory() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let number = line.and_then(|line| line.split_whitespace().next());
    number.and_then(|number| number.parse().ok()).unwrap_or(0)
}

/// In a separate process, as the memory of other tests would count.
#[test]
fn ten_thousand_in_turn_and_a_thousand_at_once() {
    const ALONE: &str = "HTTP_SERVER_ALONE";
    if std::env::var_os(ALONE).is_some() {
        let runtime = Builder::new_current_thread().enable_all().build();
        let runtime = runtime.expect("it needs no thread");
        return runtime.block_on(many());
    }
    let (_, module) = module_path!().split_once("::").expect("it is in a crate");
    let output = Command::new(std::env::current_exe().expect("it runs"))
        .args([
            &format!("{module}::ten_thousand_in_turn_and_a_thousand_at_once"),
            "--exact",
        ])
        .env(ALONE, "1")
        .output()
        .expect("it can be run again");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && text.contains("1 passed"),
        "{text}"
    );
}

async fn many() {
    let server = Server::start(LIMITS, routes()).await;
    let (mut answered, mut before) = (0, 0);
    for number in 0..10_000 {
        if number == 1000 {
            before = memory();
        }
        // Half a head, half a body; then the client leaves, or breaks off.
        let (text, resets) = match number % 10 {
            1 => ("GET /hello HTTP/1.1\r\nX-Never-".to_owned(), false),
            2 => (head("POST", "/length", 10) + "{", true),
            _ => {
                assert_eq!(server.get("/hello").await.0, 200);
                answered += 1;
                continue;
            }
        };
        let stream = server.send(&text).await;
        if resets {
            stream.set_zero_linger().expect("it is open");
        }
    }
    no_more_than(server.tasks_before + 1).await;
    let grown = memory().saturating_sub(before);
    assert_eq!(answered, 8000);
    assert!(grown < 1000, "{grown} kB more than after 1000");

    super::allow_files();
    let mut open = Vec::new();
    for _ in 0..1000 {
        open.push(server.send(&head("GET", "/hello", 0)[..20]).await);
    }
    for stream in &mut open {
        let rest = &head("GET", "/hello", 0)[20..];
        stream.write_all(rest.as_bytes()).await.expect("it is open");
    }
    for stream in open {
        let (status, _) = read(stream).await.expect("it answers");
        assert_eq!(status, 200);
    }
    server.stop().await;
}

#[tokio::test]
async fn a_request_that_has_begun_is_answered_at_the_end() {
    let limits = Limits {
        drain: LONG / 4,
        ..LIMITS
    };
    let server = Server::start(limits, routes()).await;
    let mut begun = server.send(&head("POST", "/length", 3)).await;
    sleep(SHORT).await;
    let rest = async {
        sleep(SHORT).await;
        begun.write_all(b"one").await.expect("it is open");
        read(begun).await.expect("it answers")
    };
    let ((), (status, body)) = tokio::join!(server.stop(), rest);
    assert_eq!((status, &*body), (200, "3"));
}

#[tokio::test]
async fn a_request_that_takes_longer_than_the_drain_is_dropped() {
    let server = Server::start(LIMITS, routes()).await;
    let _open = server.send(&head("GET", "/nap/100000", 0)).await;
    sleep(SHORT).await;
    let start = Instant::now();
    server.stop().await;
    assert!(start.elapsed() >= SHORT);
}

#[tokio::test]
async fn a_panic_is_a_response() {
    let server = Server::start(LIMITS, routes()).await;
    let answer = server.get("/panic").await;
    assert_eq!(answer, (500, "internal error".to_owned()));
    assert_eq!(server.get("/hello").await.0, 200);
    server.stop().await;
}

#[tokio::test]
async fn limits_without_end_overflow_nothing() {
    let limits = Limits {
        connections: 1,
        body: usize::MAX,
        head: Duration::MAX,
        request: Duration::MAX,
        connection: Duration::MAX,
        drain: Duration::MAX,
    };
    let server = Server::start(limits, routes()).await;
    assert_eq!(server.get("/hello").await, (200, "hello".to_owned()));
    server.stop().await;
}

#[tokio::test]
async fn dropped_it_leaves_nothing_running() {
    for stage in 1..4 {
        let server = Server::start(LIMITS, routes()).await;
        let mut open = Vec::new();
        if stage > 1 {
            open.push(server.send(&head("POST", "/length", 10)).await);
            open.push(server.send(&head("GET", "/nap/100000", 0)).await);
            open.push(server.send("GET /").await);
            sleep(Duration::from_millis(20)).await;
        }
        if stage > 2 {
            server.stop.cancel();
            sleep(Duration::from_millis(20)).await;
        }
        server.task.abort();
        let ended = server.task.await;
        assert!(ended.is_err_and(|error| error.is_cancelled()));
        no_more_than(server.tasks_before).await;
    }
}

#[tokio::test]
async fn an_old_connection_is_closed_though_its_client_would_go_on() {
    let connection = SHORT;
    let server = Server::start(
        Limits {
            connection,
            ..LIMITS
        },
        routes(),
    )
    .await;
    let text = head("GET", "/hello", 0).replace("close", "keep-alive");
    let old = server.send(&text).await;
    let read = timeout(LONG / 2, read(old)).await.expect("it is old");
    assert_eq!(read.expect("it is answered").0, 200);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_handler_ends_although_its_client_has_left() {
    for finishes in [false, true] {
        let (begun, ended) = (Arc::new(Notify::new()), Arc::new(AtomicBool::new(false)));
        let ended_now = Arc::new(Notify::new());
        let (begin, end, wake) = (
            Arc::clone(&begun),
            Arc::clone(&ended),
            Arc::clone(&ended_now),
        );
        let handler = async move || {
            begin.notify_one();
            sleep(SHORT).await;
            end.store(true, SeqCst);
            wake.notify_one();
        };
        let routes = Router::new().route("/", get(handler));
        let bound = TcpListener::bind("127.0.0.1:0").await;
        let listener = bound.expect("there is a port");
        let address = listener.local_addr().expect("it is bound");
        let server = match finishes {
            true => {
                tokio::spawn(serve(listener, routes, LIMITS, CancellationToken::new()))
            }
            false => {
                tokio::spawn(async { axum::serve(listener, routes).await.expect("") })
            }
        };
        let mut client = TcpStream::connect(address).await.expect("it listens");
        let sent = client.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await;
        sent.expect("there is room");
        timeout(LONG, begun.notified()).await.expect("it begins");
        drop(client);
        if finishes {
            timeout(LONG, ended_now.notified()).await.expect("it ends");
        } else {
            sleep(5 * SHORT).await;
            assert!(!ended.load(SeqCst), "hyper drops it");
        }
        server.abort();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_head_has_a_limit_in_bytes() {
    let server = Server::start(LIMITS, routes()).await;
    let mut client = server.send("GET / HTTP/1.1\r\nx: ").await;
    let mut sent = 0;
    let (mut reader, mut writer) = client.split();
    let sending = async {
        while sent < 10_000_000 && writer.write_all(&[b'x'; 1000]).await.is_ok() {
            sent += 1000;
            sleep(Duration::from_micros(100)).await;
        }
    };
    let mut answer = Vec::new();
    let reading =
        async { while reader.read_buf(&mut answer).await.is_ok_and(|n| n > 0) {} };
    let both = async {
        tokio::select! {
            () = sending => {}
            () = reading => {}
        }
    };
    timeout(LONG, both).await.expect("it ends");
    // A client that goes on sending may be reset before it has read the answer.
    let is_refused = answer.is_empty() || answer.starts_with(b"HTTP/1.1 431");
    assert!(
        is_refused,
        "after {sent}: {}",
        String::from_utf8_lossy(&answer)
    );
    assert!(sent < 200_000, "{sent} bytes of one head");
    server.stop().await;
}

/// The handlers that live, and the most that lived at one time.
#[derive(Clone, Default)]
struct Living(Arc<[AtomicUsize; 2]>);

impl Living {
    fn enter(&self) -> Self {
        let now = self.0[0].fetch_add(1, SeqCst) + 1;
        self.0[1].fetch_max(now, SeqCst);
        self.clone()
    }

    fn now(&self) -> usize {
        self.0[0].load(SeqCst)
    }
}

struct Leaves(Living);

impl Drop for Leaves {
    fn drop(&mut self) {
        self.0.0[0].fetch_sub(1, SeqCst);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_handler_without_a_client_counts_as_a_connection() {
    let (living, open) = (Living::default(), Arc::new(Semaphore::new(0)));
    let (inside, gate) = (living.clone(), Arc::clone(&open));
    let handler = async move |_body: String| {
        let _leaves = Leaves(inside.enter());
        drop(gate.acquire().await);
    };
    let limits = Limits {
        connections: 3,
        drain: LONG / 4,
        ..LIMITS
    };
    let server = Server::start(limits, Router::new().route("/", post(handler))).await;
    for leaver in 1..=3 {
        let client = server.send(&(head("POST", "/", 3) + "one")).await;
        let begins = async {
            while living.now() < leaver {
                sleep(Duration::from_millis(1)).await;
            }
        };
        timeout(LONG / 4, begins).await.expect("it is served");
        client.set_zero_linger().expect("it is open");
    }
    let mut waits = Vec::new();
    for _ in 0..20 {
        waits.push(server.send(&(head("POST", "/", 3) + "one")).await);
    }
    sleep(3 * SHORT).await;
    assert_eq!(living.now(), 3, "the others wait in the backlog");
    open.add_permits(1000);
    for client in waits {
        let answer = timeout(LONG / 4, read(client)).await.expect("it is served");
        assert_eq!(answer.expect("it is open").0, 200);
    }
    server.stop().await;
    assert_eq!(living.0[1].load(SeqCst), 3, "never more than connections");
}

/// With a client that stays, and with one that has left.
#[tokio::test]
async fn when_it_returns_no_handler_is_left() {
    for leaves in [false, true] {
        let living = Living::default();
        let inside = living.clone();
        let handler = async move || {
            let _leaves = Leaves(inside.enter());
            std::future::pending::<()>().await;
        };
        let routes = Router::new().route("/", get(handler));
        let listener = TcpListener::bind("127.0.0.1:0").await;
        let listener = listener.expect("there is a port");
        let address = listener.local_addr().expect("it is bound");
        let stop = CancellationToken::new();
        let serving = serve(listener, routes, LIMITS, stop.clone());
        let client = async {
            let mut client = TcpStream::connect(address).await?;
            client.write_all(head("GET", "/", 0).as_bytes()).await?;
            while living.now() == 0 {
                sleep(Duration::from_millis(1)).await;
            }
            stop.cancel();
            io::Result::Ok((!leaves).then_some(client))
        };
        // In one task: no other has its turn before the check.
        let served = async { tokio::join!(serving, client) };
        let ((), client) = timeout(LONG / 2, served).await.expect("it ends");
        assert!(client.is_ok());
        assert_eq!(living.now(), 0, "{leaves}");
    }
}

/// Counts its body by itself.
async fn raw(request: Request) -> Result<String, StatusCode> {
    let body = to_bytes(request.into_body(), usize::MAX).await;
    let body = body.map_err(|_| StatusCode::PAYLOAD_TOO_LARGE)?;
    Ok(body.len().to_string())
}

#[tokio::test]
async fn a_handler_that_takes_the_request_has_a_limit_for_its_body() {
    let server = Server::start(LIMITS, Router::new().route("/raw", post(raw))).await;
    for (length, status) in [(1000, 200), (1001, 413)] {
        let text = head("POST", "/raw", length) + &"x".repeat(length);
        let answer = read(server.send(&text).await).await.expect("it answers");
        assert_eq!(answer.0, status, "{length} bytes");
        // The same without a length.
        let lines = format!("{length:x}\r\n{}\r\n0\r\n\r\n", "x".repeat(length));
        let text = head("POST", "/raw", 0)
            .replace("Content-Length: 0", "Transfer-Encoding: chunked");
        let answer = read(server.send(&(text + &lines)).await).await;
        assert_eq!(answer.expect("it answers").0, status, "{length} in a chunk");
    }
    server.stop().await;
}

/// As `nc -N` does.
#[tokio::test]
async fn a_client_that_ends_its_side_after_the_request_is_answered() {
    let server = Server::start(LIMITS, routes()).await;
    for path in ["/hello", "/nap/100"] {
        let mut client = server.send(&head("GET", path, 0)).await;
        client.shutdown().await.expect("it is open");
        let answer = timeout(LONG / 4, read(client))
            .await
            .expect("it is answered");
        assert_eq!(answer.expect("it is open").0, 200, "{path}");
    }
    server.stop().await;
}

/// As the headers of three examples say: to hyper, the end of the client's side is the end
/// of the client, if nobody sets `half_close`.
#[tokio::test]
async fn axum_alone_leaves_a_client_that_ends_its_side_without_an_answer() {
    let listener = TcpListener::bind("127.0.0.1:0").await;
    let listener = listener.expect("there is a port");
    let address = listener.local_addr().expect("it is bound");
    let server = tokio::spawn(async { axum::serve(listener, routes()).await });
    for ends in [false, true] {
        let mut client = TcpStream::connect(address).await.expect("it listens");
        let text = head("GET", "/nap/300", 0);
        let sent = client.write_all(text.as_bytes()).await;
        sent.expect("there is room");
        if ends {
            client.shutdown().await.expect("it is open");
        }
        let answer = timeout(LONG / 4, read(client)).await.expect("it ends");
        assert_eq!(answer.expect("it is open").0, if ends { 0 } else { 200 });
    }
    server.abort();
}

/// The most handlers that run at the same time, of five clients: with a limit of one for
/// each copy of the routes, and with one that the copies share.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_concurrency_limit_layer_limits_each_connection_and_a_global_one_all() {
    for (is_global, serves_with) in [
        (false, "axum"),
        (false, "ours"),
        (true, "axum"),
        (true, "ours"),
    ] {
        let (living, open) = (Living::default(), Arc::new(Semaphore::new(0)));
        let (inside, gate) = (living.clone(), Arc::clone(&open));
        let handler = async move || {
            let _leaves = Leaves(inside.enter());
            drop(gate.acquire().await);
        };
        let routes = Router::new().route("/", get(handler));
        let routes = match is_global {
            true => routes.layer(GlobalConcurrencyLimitLayer::new(1)),
            false => routes.layer(ConcurrencyLimitLayer::new(1)),
        };
        let listener = TcpListener::bind("127.0.0.1:0").await;
        let listener = listener.expect("there is a port");
        let address = listener.local_addr().expect("it is bound");
        let stop = CancellationToken::new();
        let server = match serves_with {
            "axum" => {
                tokio::spawn(async { axum::serve(listener, routes).await.expect("") })
            }
            _ => tokio::spawn(serve(listener, routes, LIMITS, stop.clone())),
        };
        let mut clients = Vec::new();
        for _ in 0..5 {
            let mut client = TcpStream::connect(address).await.expect("it listens");
            let sent = client.write_all(head("GET", "/", 0).as_bytes()).await;
            sent.expect("there is room");
            clients.push(client);
        }
        let expected = if is_global { 1 } else { 5 };
        let begin = async {
            while living.now() < expected {
                sleep(Duration::from_millis(1)).await;
            }
        };
        timeout(LONG / 4, begin).await.expect("they are served");
        sleep(SHORT).await;
        open.add_permits(1000);
        for client in clients {
            let answer = timeout(LONG / 4, read(client)).await.expect("it is served");
            assert_eq!(answer.expect("it is open").0, 200);
        }
        assert_eq!(
            living.0[1].load(SeqCst),
            expected,
            "{is_global} {serves_with}"
        );
        server.abort();
    }
}

/// Where a WebSocket begins: echoes until the client leaves or, if it listens, until the
/// server stops.
async fn upgrade(
    listens: bool,
    Extension(place): Extension<Place>,
    mut request: Request,
) -> Response {
    let upgrading = hyper::upgrade::on(&mut request);
    tokio::spawn(async move {
        let Ok(stream) = upgrading.await else { return };
        let (mut reader, mut writer) = tokio::io::split(TokioIo::new(stream));
        let echo = async { tokio::io::copy(&mut reader, &mut writer).await };
        let stopped = place.clone();
        let talk = async {
            tokio::select! {
                _ = echo => {}
                () = stopped.stopped(), if listens => {}
            }
        };
        place.run(talk).await;
    });
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert("connection", "upgrade".parse().expect("a value"));
    headers.insert("upgrade", "echo".parse().expect("a value"));
    response.into_response()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_upgraded_connection_keeps_its_place_and_ends_with_the_server() {
    for listens in [true, false] {
        let limits = Limits {
            connections: 1,
            drain: if listens { LONG } else { SHORT },
            ..LIMITS
        };
        let switch = async move |place, request| upgrade(listens, place, request).await;
        let routes = routes().route("/echo", get(switch));
        let server = Server::start(limits, routes).await;
        let text = "GET /echo HTTP/1.1\r\nHost: test\r\nConnection: upgrade\r\n\
                    Upgrade: echo\r\n\r\n";
        let mut client = server.send(text).await;
        let mut got = Vec::new();
        while !got.ends_with(b"\r\n\r\n") {
            client.read_buf(&mut got).await.expect("it answers");
        }
        assert!(got.starts_with(b"HTTP/1.1 101"), "{got:?}");
        client.write_all(b"hello").await.expect("it is open");
        client.read_exact(&mut [0; 5]).await.expect("the echo");
        let next = server.send(&head("GET", "/hello", 0)).await;
        assert!(timeout(2 * SHORT, next.peek(&mut [0])).await.is_err());
        // Waits for the socket, or drops it after the drain.
        server.stop().await;
        let end = timeout(LONG / 4, client.read(&mut [0])).await;
        assert!(matches!(end.expect("it is closed"), Ok(0) | Err(_)));
    }
}
