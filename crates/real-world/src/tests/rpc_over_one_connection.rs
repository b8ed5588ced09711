use std::error::Error;
use std::future::pending;
use std::io::{self, ErrorKind};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::task::{Context, Poll};
use std::time::Duration;

use futures::future::join_all;
use tokio::io::{
    AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, ReadBuf, duplex,
};
use tokio::join;
use tokio::sync::Mutex;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::bytes::Bytes;

use super::support::{most_memory, poll_and_drop, soon, tasks};
use crate::rpc_over_one_connection::{CallError, Client, Limits, answer};

const SECOND: Duration = Duration::from_secs(1);
const LIMITS: Limits = Limits {
    payload: 1000,
    calls: 8,
    call: SECOND,
    idle: Duration::from_secs(5),
};

type Served = JoinHandle<io::Result<()>>;

/// A client, and a server whose handlers take a millisecond and send back the request.
fn echo(buffer: usize, limits: Limits) -> (Client, Served) {
    let (near, far) = duplex(buffer);
    let handle = |request: Bytes| async {
        sleep(Duration::from_millis(1)).await;
        request
    };
    let served = tokio::spawn(answer(far, limits, handle));
    (Client::new(near, limits), served)
}

/// A client, and the other end of its connection.
fn alone(limits: Limits) -> (Client, DuplexStream) {
    let (near, far) = duplex(4096);
    (Client::new(near, limits), far)
}

fn frame(number: u64, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len() + 8).expect("short");
    [&length.to_be_bytes(), &number.to_be_bytes()[..], payload].concat()
}

async fn read_frame(stream: &mut DuplexStream) -> io::Result<(u64, Vec<u8>)> {
    let length = stream.read_u32().await?;
    let number = stream.read_u64().await?;
    let mut payload = vec![0; length as usize - 8];
    stream.read_exact(&mut payload).await?;
    Ok((number, payload))
}

/// Why the connection was lost.
fn reason(called: Result<Bytes, CallError>) -> ErrorKind {
    match called {
        Err(CallError::Lost(Some(error))) => error.kind(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_thousands_of_calls_each_gets_its_own_reply() {
    let before = tasks();
    let limits = Limits {
        call: 60 * SECOND,
        idle: 120 * SECOND,
        ..LIMITS
    };
    let (client, served) = echo(64, limits);
    let calls = (0..3000_u32).map(|number| {
        let client = client.clone();
        let task = tokio::spawn(async move {
            let request = Bytes::from(vec![number as u8; number as usize % 200]);
            // Of seven, two give up soon.
            let limit = match number % 7 {
                0 => Duration::ZERO,
                1 => Duration::from_millis(u64::from(number) % 5),
                _ => 60 * SECOND,
            };
            match timeout(limit, client.call(request.clone())).await {
                Ok(reply) => assert_eq!(reply.expect("it is served"), request),
                Err(_) => assert!(number % 7 < 2),
            }
        });
        if number % 11 == 0 {
            task.abort();
        }
        task
    });
    let calls: Vec<_> = calls.collect();
    for ended in soon(join_all(calls)).await {
        assert!(ended.map_or_else(|error| error.is_cancelled(), |()| true));
    }
    drop(client);
    soon(served).await.expect("no panic").expect("all is well");
    soon(async {
        while tasks() > before {
            sleep(Duration::from_millis(1)).await;
        }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_dropped_at_any_await_leaves_the_connection_whole() {
    // The buffer takes a part of a frame.
    let (client, served) = echo(5, LIMITS);
    for polls in 0..40 {
        let request = Bytes::from(vec![polls as u8; 30]);
        let dropped = poll_and_drop(client.call(request.clone()), polls).await;
        if let Some(reply) = dropped {
            assert_eq!(reply.expect("it is served"), request);
        }
        let next = Bytes::from_static(b"next");
        assert_eq!(client.call(next.clone()).await.expect("it is served"), next);
    }
    drop(client);
    served.await.expect("no panic").expect("all is well");
}

/// The caller gives up when the request is sent, and the client goes with it.
#[tokio::test(start_paused = true)]
async fn what_was_sent_is_handled_though_the_client_is_dropped() {
    let (near, far) = duplex(64);
    let handled = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&handled);
    let handle = move |request| {
        let count = Arc::clone(&count);
        async move {
            sleep(LIMITS.call / 2).await;
            count.fetch_add(1, SeqCst);
            request
        }
    };
    let served = tokio::spawn(answer(far, LIMITS, handle));
    let client = Client::new(near, LIMITS);
    let calls = (0..2).map(|_| timeout(LIMITS.call / 4, client.call(Bytes::new())));
    assert!(join_all(calls).await.iter().all(Result::is_err));
    drop(client);
    served.await.expect("no panic").expect("all is well");
    assert_eq!(handled.load(SeqCst), 2);
}

#[tokio::test(start_paused = true)]
async fn large_frames_in_both_directions_do_not_wait_for_each_other() {
    let limits = Limits {
        payload: 100_000,
        calls: 50,
        ..LIMITS
    };
    let (client, _served) = echo(16, limits);
    let request = Bytes::from(vec![7; 20_000]);
    let calls = (0..20).map(|_| client.call(request.clone()));
    for reply in join_all(calls).await {
        assert_eq!(reply.expect("it is served"), request);
    }
}

#[tokio::test(start_paused = true)]
async fn a_payload_has_a_limit_on_both_sides() {
    let limits = Limits {
        payload: 10,
        ..LIMITS
    };
    let (near, far) = duplex(4096);
    let twice = |request: Bytes| async move { request.repeat(2).into() };
    let served = tokio::spawn(answer(far, limits, twice));
    let client = Client::new(near, limits);
    for size in [0, 1, 5] {
        let reply = client.call(vec![1; size].into()).await;
        assert_eq!(reply.expect("it is served").len(), 2 * size);
    }
    let refused = client.call(vec![1; 11].into()).await;
    let text = "the request has 11 bytes, and at most 10 are allowed";
    assert_eq!(refused.expect_err("too large").to_string(), text);
    // The handler has a bug: the server ends the connection and says why.
    let called = client.call(vec![1; 6].into()).await;
    assert_eq!(reason(called), ErrorKind::UnexpectedEof);
    let served = served.await.expect("no panic");
    assert!(
        served
            .expect_err("too large")
            .to_string()
            .contains("frame size too big")
    );
}

#[tokio::test(start_paused = true)]
async fn when_the_connection_breaks_all_calls_fail_at_once_and_know_why() {
    for broken in [
        Vec::new(),
        b"\0\0\0\x08\0\0".to_vec(),       // half a frame
        b"\0\0\0\x04abcd".to_vec(),       // no number
        b"\xFF\xFF\xFF\xFFabcd".to_vec(), // four gigabytes
    ] {
        let (client, mut server) = alone(LIMITS);
        // Twelve calls: four of them have no permit.
        let calls = join_all((0..12).map(|_| client.call(Bytes::new())));
        let start = Instant::now();
        let breaking = async {
            for _ in 0..8 {
                read_frame(&mut server).await.expect("a request");
            }
            server.write_all(&broken).await.expect("it is open");
            drop(server);
        };
        let (ended, ()) = join!(calls, breaking);
        for called in ended {
            let kinds = [
                ErrorKind::UnexpectedEof,
                ErrorKind::InvalidData,
                ErrorKind::Other,
            ];
            assert!(kinds.contains(&reason(called)));
        }
        let error = client.call(Bytes::new()).await.expect_err("it is lost");
        assert_eq!(error.to_string(), "the connection is lost");
        assert!(error.source().is_some());
        assert_eq!(start.elapsed(), Duration::ZERO);
    }
}

#[tokio::test(start_paused = true)]
async fn replies_that_nobody_asked_for_are_ignored() {
    let (client, mut server) = alone(LIMITS);
    let calling = client.call(Bytes::new());
    let replying = async {
        let (number, _) = read_frame(&mut server).await.expect("a request");
        for other in [0, number + 1, u64::MAX] {
            server
                .write_all(&frame(other, b"no"))
                .await
                .expect("it is open");
        }
        for reply in ["yes", "again"] {
            let reply = frame(number, reply.as_bytes());
            server.write_all(&reply).await.expect("it is open");
        }
    };
    let (reply, ()) = join!(calling, replying);
    assert_eq!(reply.expect("a reply"), "yes");
}

#[tokio::test(start_paused = true)]
async fn a_call_has_a_time_and_a_peer_that_does_not_read_loses_the_connection() {
    for call in [Duration::ZERO, SECOND, 60 * SECOND] {
        let limits = Limits { call, ..LIMITS };
        let (near, _far) = duplex(20);
        let client = Client::new(near, limits);
        let start = Instant::now();
        let called = client.call(vec![1; 100].into()).await;
        assert!(matches!(called, Err(CallError::TimedOut)), "{called:?}");
        assert_eq!(start.elapsed(), call);
        if call > Duration::ZERO {
            sleep(SECOND).await;
            assert_eq!(reason(client.call(Bytes::new()).await), ErrorKind::TimedOut);
        }
    }
    let limits = Limits {
        call: Duration::MAX,
        idle: Duration::MAX,
        payload: usize::MAX,
        ..LIMITS
    };
    let (client, _served) = echo(20, limits);
    assert_eq!(client.call("x".into()).await.expect("it is served"), "x");
}

/// A server that reads and never replies.
#[test]
fn callers_that_have_given_up_do_not_pile_up() {
    let memory = |calls: u32| {
        most_memory(async move {
            let (client, mut server) = alone(LIMITS);
            let reading =
                tokio::spawn(
                    async move { while read_frame(&mut server).await.is_ok() {} },
                );
            for _ in 0..calls {
                let given_up = timeout(SECOND / 100, client.call(Bytes::new())).await;
                assert!(given_up.is_err());
            }
            drop(client);
            reading.await.expect("no panic");
        })
    };
    let [few, many] = [100, 10_000].map(memory);
    assert!(many < few + 10_000, "{few} {many}");
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_panics_or_hangs_affects_no_other_call() {
    let (near, far) = duplex(64);
    let alive = Arc::new(());
    let held = Arc::clone(&alive);
    let handle = move |request: Bytes| {
        let held = Arc::clone(&held);
        assert_ne!(request, "panic early", "scheduled");
        async move {
            match &request[..] {
                b"panic" => panic!("scheduled"),
                b"hang" => pending().await,
                _ => {}
            }
            drop(held);
            request
        }
    };
    let served = tokio::spawn(answer(far, LIMITS, handle));
    let client = Client::new(near, LIMITS);
    for _ in 0..5 {
        let calls = ["panic", "fine", "hang", "panic early", "fine", "hang"];
        let calls = calls.map(|text| client.call(text.into()));
        for (number, reply) in join_all(calls).await.into_iter().enumerate() {
            match number % 3 {
                1 => assert_eq!(reply.expect("it is served"), "fine"),
                _ => assert!(matches!(reply, Err(CallError::TimedOut))),
            }
        }
    }
    drop(client);
    served.await.expect("no panic").expect("all is well");
    assert_eq!(Arc::strong_count(&alive), 1);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_has_ended_its_side_gets_its_replies() {
    for calls in [0, 1, 31, 129, 1000] {
        let (near, far) = duplex(64);
        let handle = |request| async {
            sleep(SECOND / 2).await;
            request
        };
        let served = tokio::spawn(answer(far, LIMITS, handle));
        let (mut reader, mut writer) = tokio::io::split(near);
        let writing = async {
            for number in 0..calls {
                writer
                    .write_all(&frame(number, b"x"))
                    .await
                    .expect("it is open");
            }
            writer.shutdown().await.expect("it is open");
        };
        let mut replies = Vec::new();
        let (read, ()) = join!(reader.read_to_end(&mut replies), writing);
        assert_eq!(
            read.expect("it is open"),
            calls as usize * frame(0, b"x").len()
        );
        served.await.expect("no panic").expect("all is well");
    }
}

#[tokio::test(start_paused = true)]
async fn the_server_runs_no_more_than_its_calls_whatever_the_client_sends() {
    let (running, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (mut near, far) = duplex(100_000);
    let (now, max) = (Arc::clone(&running), Arc::clone(&most));
    let handle = move |request| {
        let (now, max) = (Arc::clone(&now), Arc::clone(&max));
        async move {
            max.fetch_max(now.fetch_add(1, SeqCst) + 1, SeqCst);
            sleep(SECOND / 10).await;
            now.fetch_sub(1, SeqCst);
            request
        }
    };
    let served = tokio::spawn(answer(far, LIMITS, handle));
    for number in 0..100 {
        near.write_all(&frame(number, b""))
            .await
            .expect("it is open");
    }
    near.shutdown().await.expect("it is open");
    let mut replies = Vec::new();
    near.read_to_end(&mut replies).await.expect("it is open");
    served.await.expect("no panic").expect("all is well");
    assert_eq!((most.load(SeqCst), replies.len()), (8, 1200));
}

#[tokio::test(start_paused = true)]
async fn the_server_cuts_off_who_is_silent_drips_or_does_not_read() {
    let served = |stream| answer(stream, LIMITS, |request| async { request });
    let start = Instant::now();

    let (silent, far) = duplex(64);
    assert_eq!(kind(served(far).await), ErrorKind::TimedOut);
    assert_eq!(start.elapsed(), LIMITS.idle);
    drop(silent);

    let (mut drips, far) = duplex(64);
    let dripping = tokio::spawn(async move {
        for byte in frame(1, &[0; 900]) {
            drips.write_all(&[byte]).await?;
            sleep(SECOND).await;
        }
        Ok::<(), io::Error>(())
    });
    assert_eq!(kind(served(far).await), ErrorKind::TimedOut);
    assert_eq!(start.elapsed(), 2 * LIMITS.idle);
    dripping.await.expect("no panic").expect_err("cut off");

    let (mut deaf, far) = duplex(64);
    let sending = tokio::spawn(async move {
        while deaf.write_all(&frame(1, &[0; 900])).await.is_ok() {}
    });
    assert_eq!(kind(served(far).await), ErrorKind::TimedOut);
    assert_eq!(start.elapsed(), 2 * LIMITS.idle + LIMITS.call);
    sending.await.expect("no panic");

    for wrong in [&b"\0\0\0\x07numbers"[..], b"GET / HTTP/1.1\r\n\r\n"] {
        let (mut near, far) = duplex(64);
        near.write_all(wrong).await.expect("it is open");
        let kind = kind(served(far).await);
        assert!(
            [ErrorKind::Other, ErrorKind::InvalidData].contains(&kind),
            "{kind}"
        );
    }
}

fn kind(served: io::Result<()>) -> ErrorKind {
    served.expect_err("it is cut off").kind()
}

#[tokio::test(start_paused = true)]
async fn a_dropped_server_drops_its_handlers() {
    let before = tasks();
    let (near, far) = duplex(64);
    let hang = |_| async { pending::<Bytes>().await };
    let served = tokio::spawn(answer(far, LIMITS, hang));
    let client = Client::new(near, LIMITS);
    let calls = join_all((0..8).map(|_| client.call(Bytes::new())));
    let aborting = async {
        sleep(SECOND / 2).await;
        assert_eq!(tasks(), before + 10);
        served.abort();
    };
    let (calls, ()) = join!(calls, aborting);
    for called in calls {
        assert_eq!(reason(called), ErrorKind::UnexpectedEof);
    }
    sleep(SECOND).await;
    assert_eq!(tasks(), before);
}

/// The first trap of the page.
#[tokio::test(start_paused = true)]
async fn a_caller_that_writes_by_itself_may_leave_half_a_frame() {
    let (near, mut far) = duplex(6);
    let writer = Mutex::new(near);
    let write = async |text: &str| {
        let frame = frame(1, text.as_bytes());
        writer.lock().await.write_all(&frame).await
    };
    assert!(timeout(SECOND, write("first")).await.is_err(), "dropped");
    let reading = async { read_frame(&mut far).await.expect("a frame") };
    let (read, _) = join!(reading, timeout(SECOND, write("second")));
    assert_ne!(read, (1, b"second".to_vec()));
    assert_ne!(read, (1, b"first".to_vec()));
}

/// The second trap of the page.
#[tokio::test(start_paused = true)]
async fn two_sides_that_write_before_they_read_wait_for_ever() {
    let sides: [DuplexStream; 2] = duplex(64).into();
    let talks = sides.map(async |mut stream| {
        stream.write_all(&[1; 100]).await?;
        stream.read_exact(&mut [0; 100]).await
    });
    assert!(timeout(3600 * SECOND, join_all(talks)).await.is_err());
}

/// Neither side waits for the payload, nor gives it memory.
#[tokio::test(start_paused = true)]
async fn a_length_above_the_limit_ends_the_connection_at_once() {
    let length = |payload: usize| (payload as u32 + 8).to_be_bytes();
    for (payload, is_lost) in [(1000, false), (1001, true)] {
        let (client, mut server) = alone(LIMITS);
        let start = Instant::now();
        let replying = async {
            read_frame(&mut server).await.expect("a request");
            server
                .write_all(&length(payload))
                .await
                .expect("it is open");
        };
        let (called, ()) = join!(client.call(Bytes::new()), replying);
        match called {
            Err(CallError::TimedOut) => assert!(!is_lost),
            called => assert_eq!(reason(called), ErrorKind::InvalidData),
        }
        assert_eq!(start.elapsed() < LIMITS.call, is_lost);

        let (mut near, far) = duplex(64);
        near.write_all(&length(payload)).await.expect("it is open");
        let start = Instant::now();
        let served = answer(far, LIMITS, |request| async { request }).await;
        let expected = if is_lost {
            ErrorKind::InvalidData
        } else {
            ErrorKind::TimedOut
        };
        assert_eq!(kind(served), expected);
        assert_eq!(start.elapsed() < LIMITS.idle, is_lost);
    }
    let (client, _served) = echo(64, LIMITS);
    let largest = Bytes::from(vec![1; 1000]);
    assert_eq!(
        client.call(largest.clone()).await.expect("it is served"),
        largest
    );
}

#[tokio::test(start_paused = true)]
async fn a_number_that_comes_twice_gets_two_replies() {
    let (mut near, far) = duplex(64);
    let served = tokio::spawn(answer(far, LIMITS, |request| async { request }));
    for text in ["one", "two"] {
        near.write_all(&frame(7, text.as_bytes()))
            .await
            .expect("it is open");
    }
    for text in ["one", "two"] {
        let reply = read_frame(&mut near).await.expect("a reply");
        assert_eq!(reply, (7, text.into()));
    }
    drop(near);
    served.await.expect("no panic").expect("all is well");
}

/// A stream that counts how often it is shut down: only so does TLS end rightly.
struct Counted(DuplexStream, Arc<AtomicUsize>);

impl AsyncRead for Counted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Counted {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, bytes)
    }

    fn poll_flush(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        self.1.fetch_add(1, SeqCst);
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

#[tokio::test(start_paused = true)]
async fn both_sides_shut_the_connection_down() {
    let (near, far) = duplex(64);
    let shut = [Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0))];
    let near = Counted(near, Arc::clone(&shut[0]));
    let far = Counted(far, Arc::clone(&shut[1]));
    let served = tokio::spawn(answer(far, LIMITS, |request| async { request }));
    let client = Client::new(near, LIMITS);
    assert_eq!(client.call("x".into()).await.expect("it is served"), "x");
    assert_eq!(shut.each_ref().map(|it| it.load(SeqCst)), [0, 0]);
    drop(client);
    served.await.expect("no panic").expect("all is well");
    assert_eq!(shut.each_ref().map(|it| it.load(SeqCst)), [1, 1]);
}
