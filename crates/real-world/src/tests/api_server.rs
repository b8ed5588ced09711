use std::io;
use std::net::SocketAddr;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::middleware::from_fn_with_state;
use futures::FutureExt;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::runtime::{Builder, Handle};
use tokio::sync::{Notify, Semaphore};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::api_server::{Jobs, Limits, Work, connection, finish, serve};

const LONG: Duration = Duration::from_secs(120);
const SHORT: Duration = Duration::from_millis(100);

/// No limit in time but that of the shutdown.
const LIMITS: Limits = Limits {
    connections: 10_000,
    running: 2,
    waiting: 2,
    kept: 100,
    body: 1000,
    head: LONG,
    request: LONG,
    connection: LONG,
    leave: Duration::ZERO,
    drain: SHORT,
};

/// Counts the words of a text, and takes 0.1 s for each.
fn count_words(text: String) -> Work {
    let words = text.split_whitespace().count();
    let work = async move {
        sleep(Duration::from_millis(100) * words as u32).await;
        match words {
            0 => Err("the text is empty".to_owned()),
            _ => Ok(words),
        }
    };
    work.boxed()
}

struct Server {
    address: SocketAddr,
    stop: CancellationToken,
    task: JoinHandle<Vec<u64>>,
    tasks_before: usize,
}

impl Server {
    async fn start(
        limits: Limits,
        work: impl Fn(String) -> Work + Send + Sync + 'static,
    ) -> Self {
        let tasks_before = Handle::current().metrics().num_alive_tasks();
        let bound = TcpListener::bind("127.0.0.1:0").await;
        let listener = bound.expect("there is a port");
        let address = listener.local_addr().expect("it is bound");
        let stop = CancellationToken::new();
        let task = tokio::spawn(serve(listener, limits, work, stop.clone()));
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

    async fn get(&self, path: &str) -> (u16, Value) {
        request(self.address, "GET", path, "")
            .await
            .expect("it answers")
    }

    async fn submit(&self, text: &str) -> (u16, Value) {
        let body = json!({ "text": text }).to_string();
        let answer = request(self.address, "POST", "/jobs", &body).await;
        answer.expect("it answers")
    }

    /// Stops it, with a limit, and sees that then no task is left.
    async fn stop(self) -> Vec<u64> {
        self.stop.cancel();
        let ended = timeout(LONG / 2, self.task).await;
        let dropped = ended.expect("it ends").expect("it does not panic");
        no_more_than(self.tasks_before).await;
        dropped
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
         Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n"
    )
}

/// What comes until the server closes the connection.
async fn read(mut stream: TcpStream) -> io::Result<(u16, Value)> {
    let mut text = String::new();
    stream.read_to_string(&mut text).await?;
    let status = text.get(9..12).and_then(|status| status.parse().ok());
    let body = text.split_once("\r\n\r\n").map(|(_, body)| body);
    let body = serde_json::from_str(body.unwrap_or_default());
    Ok((status.unwrap_or_default(), body.unwrap_or_default()))
}

async fn request(
    address: SocketAddr,
    method: &str,
    path: &str,
    body: &str,
) -> io::Result<(u16, Value)> {
    let mut stream = TcpStream::connect(address).await?;
    let text = head(method, path, body.len()) + body;
    stream.write_all(text.as_bytes()).await?;
    read(stream).await
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
        let server = Server::start(limits, count_words).await;
        let stream = server.send("GET /health HTTP/1.1\r\nX-Never-").await;
        let text = head("GET", "/health", 0).replace("close", "keep-alive");
        let idle = server.send(&text).await;
        if limits.head == SHORT {
            let end = timeout(LONG / 2, read(idle)).await;
            let (status, _) = end.expect("its time is over").expect("it is closed");
            assert_eq!(status, 200);
            let end = timeout(LONG / 2, read(stream)).await;
            assert!(end.is_ok(), "its time is over");
            assert_eq!(server.stop().await, [0; 0]);
        } else {
            sleep(SHORT).await;
            assert_eq!(server.stop().await, [0; 0]);
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
    let written = stream.write_all(b"GET /health HTTP/1.1\r\nX-Never-").await;
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
    let server = Server::start(limits, count_words).await;
    let half = head("POST", "/jobs", 100) + "{\"text\":";
    let stays = server.send(&half).await;
    let (status, body) = read(stays).await.expect("it answers");
    assert_eq!(
        (status, body),
        (504, json!({ "error": "it takes too long" }))
    );
    let mut closes = server.send(&half).await;
    closes.shutdown().await.expect("it is open");
    let _ = timeout(LONG, read(closes)).await.expect("it is closed");
    let resets = server.send(&half).await;
    resets.set_zero_linger().expect("it is open");
    drop(resets);
    assert_eq!(server.submit("one").await, (202, json!({ "id": 1 })));
    assert_eq!(server.stop().await, [0; 0]);
}

#[tokio::test]
async fn a_body_that_never_ends_is_too_large() {
    let server = Server::start(LIMITS, count_words).await;
    let chunked = "POST /jobs HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\
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
    assert_eq!(server.stop().await, [0; 0]);
}

#[tokio::test]
async fn a_client_that_stops_reading() {
    let server = Server::start(LIMITS, count_words).await;
    let socket = TcpSocket::new_v4().expect("there are sockets");
    socket.set_recv_buffer_size(4096).expect("it can be set");
    let connected = socket.connect(server.address).await;
    let mut stream = connected.expect("it listens");
    let requests = "GET /health HTTP/1.1\r\nHost: test\r\n\r\n".repeat(1000);
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
    assert_eq!(server.get("/health").await.0, 200, "others are answered");
    assert_eq!(server.stop().await, [0; 0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_thousand_and_every_fault() {
    let done = Arc::new(AtomicUsize::new(0));
    let ended = Arc::clone(&done);
    let limits = Limits {
        running: 20,
        waiting: 20,
        drain: LONG / 4,
        ..LIMITS
    };
    let work = move |_| {
        let ended = Arc::clone(&ended);
        let work = async move {
            sleep(Duration::from_millis(5)).await;
            Ok(ended.fetch_add(1, SeqCst))
        };
        work.boxed()
    };
    let server = Server::start(limits, work).await;
    let address = server.address;
    // Both ends of a connection count as files, of which a process may open 1024.
    let places = Arc::new(Semaphore::new(300));
    let mut set = JoinSet::new();
    for number in 0..1000 {
        let places = Arc::clone(&places);
        set.spawn(async move {
            let _place = places.acquire_owned().await;
            let body = json!({ "text": number.to_string() }).to_string();
            let mut text = head("POST", "/jobs", body.len()) + &body;
            let fault = number % 5;
            if fault > 2 {
                text.truncate(if fault == 3 { text.len() - 5 } else { 30 });
            }
            let mut stream = TcpStream::connect(address).await?;
            stream.write_all(text.as_bytes()).await?;
            if fault > 1 {
                // Left at once: with the request whole, half a body, half a head.
                stream.set_zero_linger()?;
                return Ok(None);
            }
            read(stream).await.map(Some)
        });
    }
    let (mut accepted, mut refused, mut left) = (0, 0, 0);
    while let Some(ended) = set.join_next().await {
        let answer: io::Result<_> = ended.expect("no client panics");
        match answer.expect("each is answered") {
            Some((202, _)) => accepted += 1,
            Some((503, body)) => {
                assert_eq!(body, json!({ "error": "there are too many jobs" }));
                refused += 1;
            }
            Some(other) => panic!("{other:?}"),
            None => left += 1,
        }
    }
    assert_eq!((accepted + refused, left), (400, 600));
    assert_eq!(server.get("/health").await.0, 200);
    assert_eq!(server.stop().await, [0; 0]);
    let done = done.load(SeqCst);
    // Of those that left with the request whole, some may have been heard.
    assert!(
        (accepted..=accepted + 200).contains(&done),
        "{accepted}, {done}"
    );
}

/// What the process holds in memory, in kB; 0 where the system does not say.
fn memory() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let number = line.and_then(|line| line.split_whitespace().next());
    number.and_then(|number| number.parse().ok()).unwrap_or(0)
}

/// In a process of its own, as the memory of other tests would count.
#[test]
fn ten_thousand_in_turn_and_a_thousand_at_once() {
    const ALONE: &str = "API_SERVER_ALONE";
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

/// So many open files, of which each end of a connection is one.
#[cfg(unix)]
fn allow_files(count: u64) {
    use rustix::process::{Resource, getrlimit, setrlimit};

    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.current.map(|current| current.max(count));
    setrlimit(Resource::Nofile, limit).expect("the system allows it");
}

#[cfg(not(unix))]
fn allow_files(_count: u64) {}

async fn many() {
    let server = Server::start(LIMITS, count_words).await;
    let (mut answered, mut before) = (0, 0);
    for number in 0..10_000 {
        if number == 1000 {
            before = memory();
        }
        // Half a head, half a body; then the client leaves, or breaks off.
        let (text, resets) = match number % 10 {
            1 => ("GET /health HTTP/1.1\r\nX-Never-".to_owned(), false),
            2 => (head("POST", "/jobs", 10) + "{", true),
            _ => {
                assert_eq!(server.get("/health").await.0, 200);
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

    allow_files(2100);
    let mut open = Vec::new();
    for _ in 0..1000 {
        open.push(server.send(&head("GET", "/health", 0)[..20]).await);
    }
    for stream in &mut open {
        let rest = &head("GET", "/health", 0)[20..];
        stream.write_all(rest.as_bytes()).await.expect("it is open");
    }
    for stream in open {
        let (status, _) = read(stream).await.expect("it answers");
        assert_eq!(status, 200);
    }
    assert_eq!(server.stop().await, [0; 0]);
}

#[tokio::test]
async fn a_request_that_has_begun_is_answered_at_the_end() {
    let limits = Limits {
        drain: LONG / 4,
        ..LIMITS
    };
    let server = Server::start(limits, count_words).await;
    let body = json!({ "text": "one" }).to_string();
    let mut begun = server.send(&head("POST", "/jobs", body.len())).await;
    sleep(SHORT).await;
    let rest = async {
        sleep(SHORT).await;
        begun.write_all(body.as_bytes()).await.expect("it is open");
        read(begun).await.expect("it answers")
    };
    let (dropped, (status, body)) = tokio::join!(server.stop(), rest);
    assert_eq!(dropped, [0; 0]);
    let error = json!({ "error": "the server is about to stop" });
    assert_eq!((status, body), (503, error));
}

#[tokio::test]
async fn a_job_that_panics_takes_no_place() {
    let work = |text: String| -> Work {
        assert_ne!(text, "early", "scheduled");
        let work = async move {
            assert_ne!(text, "late", "scheduled");
            count_words(text).await
        };
        work.boxed()
    };
    let limits = Limits {
        running: 1,
        waiting: 0,
        ..LIMITS
    };
    let server = Server::start(limits, work).await;
    for (number, text) in [(1, "early"), (2, "late")] {
        assert_eq!(server.submit(text).await.0, 202, "{text}");
        let path = format!("/jobs/{number}");
        let ended = async {
            loop {
                let (_, job) = server.get(&path).await;
                if job["status"] != "waiting" && job["status"] != "running" {
                    return job;
                }
                sleep(Duration::from_millis(1)).await;
            }
        };
        let job = timeout(LONG, ended).await.expect("it ends");
        let failed = json!({ "status": "failed", "error": "internal error" });
        assert_eq!(job, failed);
    }
    assert_eq!(server.submit("one").await.0, 202);
    assert_eq!(server.submit("one").await.0, 503);
    server.stop().await;
}

#[tokio::test]
async fn a_job_that_is_dropped_is_gone_when_it_returns() {
    let held = Arc::new(());
    let holds = Arc::clone(&held);
    let work = move |text| {
        let holds = Arc::clone(&holds);
        let work = async move {
            let _holds = holds;
            count_words(text).await
        };
        work.boxed()
    };
    let bound = TcpListener::bind("127.0.0.1:0").await;
    let listener = bound.expect("there is a port");
    let address = listener.local_addr().expect("it is bound");
    let stop = CancellationToken::new();
    let submit = async {
        let body = json!({ "text": "long ".repeat(50) }).to_string();
        let answer = request(address, "POST", "/jobs", &body).await;
        assert_eq!(answer.expect("it answers").0, 202);
        stop.cancel();
    };
    // In this task, so that no other runs between the end and the look.
    let serving = serve(listener, LIMITS, work, stop.clone());
    let (dropped, ()) = tokio::join!(serving, submit);
    assert_eq!((dropped, Arc::strong_count(&held)), (vec![1], 1));
}

#[tokio::test]
async fn dropped_it_leaves_nothing_running() {
    for stage in 1..4 {
        let server = Server::start(LIMITS, count_words).await;
        let text = head("POST", "/jobs", 10);
        let mut open = Vec::new();
        if stage > 1 {
            assert_eq!(server.submit("this takes its time").await.0, 202);
            open.push(server.send(&text).await);
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

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn jobs_begin_in_the_order_of_their_numbers() {
    for round in 0..50 {
        let begun = Arc::new(Mutex::new(Vec::new()));
        let limits = Limits {
            running: 1,
            waiting: 50,
            ..LIMITS
        };
        let jobs = Arc::new(Jobs::new(limits, {
            let begun = Arc::clone(&begun);
            move |text| {
                let begun = Arc::clone(&begun);
                let work = async move {
                    begun.lock().expect("nobody panics").push(text);
                    Ok(0)
                };
                work.boxed()
            }
        }));
        let numbers: Vec<String> = (0..50).map(|number| number.to_string()).collect();
        for number in &numbers {
            jobs.submit(number.clone()).expect("there is a place");
        }
        jobs.tasks.close();
        let all = timeout(LONG, jobs.tasks.wait()).await;
        all.expect("they end");
        let begun = begun.lock().expect("nobody panics");
        assert_eq!(*begun, numbers, "round {round}");
    }
}

#[tokio::test]
async fn limits() {
    let limits = Limits {
        kept: 0,
        waiting: 0,
        connection: SHORT,
        ..LIMITS
    };
    let server = Server::start(limits, count_words).await;
    // A connection that is old is closed, though the client would go on.
    let text = head("GET", "/health", 0).replace("close", "keep-alive");
    let old = server.send(&text).await;
    let (status, _) = timeout(LONG / 2, read(old))
        .await
        .expect("it is old")
        .expect("");
    assert_eq!(status, 200);
    assert_eq!(server.submit("").await.0, 202);
    sleep(SHORT).await;
    assert_eq!(server.get("/jobs/1").await.0, 404, "none is kept");
    for path in [
        "/jobs/x",
        "/jobs/-1",
        "/jobs/99999999999999999999",
        "/jobs/",
    ] {
        assert_eq!(server.get(path).await.0, 404, "{path}");
    }
    assert_eq!(server.stop().await, [0; 0]);

    let limits = Limits {
        running: 0,
        ..LIMITS
    };
    let server = Server::start(limits, count_words).await;
    assert!(server.task.await.is_err_and(|error| error.is_panic()));
}

/// Whether a handler that sleeps gets to its end although the client has left.
async fn ends_without_its_client(finishes: bool) -> bool {
    let ended = Arc::new(AtomicBool::new(false));
    let begun = Arc::new(Notify::new());
    let (end, begin) = (Arc::clone(&ended), Arc::clone(&begun));
    let handler = async move || {
        begin.notify_one();
        sleep(SHORT).await;
        end.store(true, SeqCst);
    };
    let jobs = Arc::new(Jobs::new(LIMITS, count_words));
    let routes = Router::new().route("/", axum::routing::get(handler));
    let routes = match finishes {
        true => routes.layer(from_fn_with_state(jobs, finish)),
        false => routes,
    };
    let bound = TcpListener::bind("127.0.0.1:0").await;
    let listener = bound.expect("there is a port");
    let address = listener.local_addr().expect("it is bound");
    let mut client = TcpStream::connect(address).await.expect("it listens");
    let (stream, _) = listener.accept().await.expect("a client");
    let close = CancellationToken::new();
    let serving = tokio::spawn(connection(stream, routes, LIMITS, close));
    let sent = client.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await;
    sent.expect("there is room");
    timeout(LONG, begun.notified()).await.expect("it begins");
    drop(client);
    timeout(LONG, serving)
        .await
        .expect("it ends")
        .expect("no panic");
    sleep(5 * SHORT).await;
    ended.load(SeqCst)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_handler_ends_although_its_client_has_left() {
    assert!(!ends_without_its_client(false).await, "hyper drops it");
    assert!(ends_without_its_client(true).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_head_has_a_limit_in_bytes() {
    let server = Server::start(LIMITS, count_words).await;
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
    assert!(answer.starts_with(b"HTTP/1.1 431"), "after {sent}");
    assert!(sent < 200_000, "{sent} bytes of one head");
    server.stop().await;
}
