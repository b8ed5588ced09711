use std::io::{self, ErrorKind};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::future::join_all;
use futures::stream::FuturesUnordered;
use futures::{SinkExt, StreamExt};
use tokio::io::{AsyncWriteExt, DuplexStream, duplex};
use tokio::join;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::bytes::Bytes;
use tokio_util::codec::{Framed, LengthDelimitedCodec};

use super::support::{poll_and_drop, soon, tasks};
use crate::reconnecting_client::RequestError::{MaybeDone, NotSent};
use crate::reconnecting_client::{Client, Config, Event};

const SECOND: Duration = Duration::from_secs(1);
const CONFIG: Config = Config {
    connect: SECOND,
    request: Duration::from_secs(30),
    ping: SECOND,
    silence: Duration::from_secs(3),
    initial_backoff: SECOND,
    max_backoff: Duration::from_secs(8),
    jitter: |pause| pause,
    frame: 1000,
    waiting: 16,
};

type Peer = Framed<DuplexStream, LengthDelimitedCodec>;

/// A client, its events, and the other ends of its connections.
fn connected(config: Config) -> (Client, mpsc::Receiver<Event>, mpsc::Receiver<Peer>) {
    let (sender, peers) = mpsc::channel(100);
    let (client, events) = Client::start(config, move || {
        let sender = sender.clone();
        async move {
            let (near, far) = duplex(64);
            let peer = Framed::new(far, LengthDelimitedCodec::new());
            let refused = |_| io::Error::from(ErrorKind::ConnectionRefused);
            sender.send(peer).await.map_err(refused)?;
            Ok(near)
        }
    });
    (client, events, peers)
}

async fn next(peer: &mut Peer) -> Option<String> {
    let frame = peer.next().await?.ok()?;
    Some(String::from_utf8_lossy(&frame).into_owned())
}

async fn say(peer: &mut Peer, text: &str) {
    let _ = peer.send(Bytes::copy_from_slice(text.as_bytes())).await;
}

/// The number and the text of a request.
fn request(frame: &str) -> Option<(&str, &str)> {
    frame.strip_prefix("REQUEST ")?.split_once(' ')
}

/// Answers pings, and requests with their own texts, until it has seen so many requests.
async fn serve(peer: &mut Peer, requests: usize) -> Vec<String> {
    let mut seen = Vec::new();
    while seen.len() < requests
        && let Some(text) = next(peer).await
    {
        match request(&text) {
            Some((number, text)) => {
                seen.push(text.to_owned());
                say(peer, &format!("REPLY {number} {text}")).await;
            }
            None => say(peer, "PONG").await,
        }
    }
    seen
}

async fn lost(events: &mut mpsc::Receiver<Event>) -> (ErrorKind, Duration) {
    loop {
        if let Event::Lost(error, pause) = events.recv().await.expect("it goes on") {
            return (error.kind(), pause);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_backoff_doubles_until_the_server_has_answered() {
    let (_client, mut events, mut peers) = connected(CONFIG);
    let mut pauses = Vec::new();
    for number in 0..12 {
        let mut peer = peers.recv().await.expect("an attempt");
        // It accepts and then fails; only the eighth answers.
        if number == 7 {
            say(&mut peer, "PONG").await;
            sleep(SECOND / 2).await;
        }
        drop(peer);
        let start = Instant::now();
        let (kind, pause) = lost(&mut events).await;
        assert!([ErrorKind::UnexpectedEof, ErrorKind::BrokenPipe].contains(&kind));
        assert_eq!(start.elapsed(), Duration::ZERO);
        pauses.push(pause.as_secs());
    }
    assert_eq!(pauses, [1, 2, 4, 8, 8, 8, 8, 1, 2, 4, 8, 8]);
    // Nobody listens any more.
    drop(peers);
    let start = Instant::now();
    for _ in 0..3 {
        assert_eq!(lost(&mut events).await.0, ErrorKind::ConnectionRefused);
    }
    assert_eq!(start.elapsed(), 24 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn no_pause_is_longer_than_the_longest_backoff() {
    let config = Config {
        initial_backoff: 60 * SECOND,
        ..CONFIG
    };
    let (_client, mut events, mut peers) = connected(config);
    for answers in [false, true, false] {
        let mut peer = peers.recv().await.expect("an attempt");
        if answers {
            say(&mut peer, "PONG").await;
            sleep(SECOND / 2).await;
        }
        drop(peer);
        assert_eq!(lost(&mut events).await.1, CONFIG.max_backoff);
    }
}

#[tokio::test(start_paused = true)]
async fn after_a_panic_of_jitter_each_request_fails() {
    let refuse = || async { Err::<DuplexStream, _>(ErrorKind::ConnectionRefused.into()) };
    let config = Config {
        jitter: |_| panic!("scheduled"),
        ..CONFIG
    };
    let (client, mut events) = Client::start(config, refuse);
    assert!(events.recv().await.is_none());
    let start = Instant::now();
    let failed = client.request("hello".to_owned()).await;
    let told = Err(NotSent("`connect` or `jitter` has panicked"));
    assert_eq!((failed, start.elapsed()), (told, Duration::ZERO));
}

#[tokio::test(start_paused = true)]
async fn a_server_that_answers_pings_but_no_requests_keeps_its_connection() {
    let (client, mut events, mut peers) = connected(CONFIG);
    let mut peer = peers.recv().await.expect("an attempt");
    assert!(matches!(events.recv().await, Some(Event::Connected)));
    tokio::spawn(async move {
        while let Some(text) = next(&mut peer).await {
            if request(&text).is_none() {
                say(&mut peer, "PONG").await;
            }
        }
    });
    for _ in 0..10 {
        let reply = client.request("hello".to_owned()).await;
        assert_eq!(reply, Err(MaybeDone("no reply in time")));
    }
    assert!(peers.try_recv().is_err() && events.try_recv().is_err());
}

#[tokio::test(start_paused = true)]
async fn jitter_changes_each_pause_and_connecting_has_a_limit() {
    let config = Config {
        jitter: |pause| pause / 4,
        ..CONFIG
    };
    let hang = || std::future::pending::<io::Result<DuplexStream>>();
    let (_client, mut events) = Client::start(config, hang);
    let start = Instant::now();
    for pause in [1, 2, 4, 8, 8] {
        let found = lost(&mut events).await;
        assert_eq!(found, (ErrorKind::TimedOut, pause * SECOND / 4));
    }
    assert_eq!(start.elapsed(), 5 * SECOND + 15 * SECOND / 4);
    let config = Config {
        initial_backoff: Duration::MAX,
        max_backoff: Duration::MAX,
        ..CONFIG
    };
    let (_client, mut events, _) = connected(config);
    assert_eq!(lost(&mut events).await.1, Duration::MAX);
}

#[tokio::test(start_paused = true)]
async fn a_request_waits_for_a_connection_or_is_never_sent() {
    let (client, mut events, mut peers) = connected(CONFIG);
    drop(peers.recv().await);
    lost(&mut events).await;
    // For a while connecting is refused: the channel has no room.
    let (first, second) = (client.request("first".to_owned()), async {
        sleep(SECOND / 2).await;
        drop(poll_and_drop(client.request("second".to_owned()), 3).await);
    });
    let serving = async {
        let mut peer = peers.recv().await.expect("an attempt");
        serve(&mut peer, 1).await
    };
    let (reply, (), seen) = join!(first, second, serving);
    assert_eq!(
        (reply, seen),
        (Ok("first".to_owned()), vec!["first".to_owned()])
    );

    let never = || async { Err::<DuplexStream, _>(ErrorKind::ConnectionRefused.into()) };
    let (client, _events) = Client::start(CONFIG, never);
    let start = Instant::now();
    let refused = client.request("x".to_owned()).await;
    assert_eq!(refused, Err(NotSent("no connection in time")));
    assert_eq!(start.elapsed(), CONFIG.request);
    let text = refused.expect_err("refused").to_string();
    assert_eq!(text, "not sent: no connection in time");
    let panics = || async { panic!("scheduled") as io::Result<DuplexStream> };
    let (client, _events) = Client::start(CONFIG, panics);
    let refused = client.request("x".to_owned()).await;
    assert_eq!(refused, Err(NotSent("`connect` or `jitter` has panicked")));
}

#[tokio::test(start_paused = true)]
async fn what_was_sent_is_maybe_done_and_never_repeated() {
    let (client, mut events, mut peers) = connected(CONFIG);
    let requests = ["a", "b", "c"].map(|text| client.request(text.to_owned()));
    let serving = async {
        let mut seen = Vec::new();
        let mut peer = peers.recv().await.expect("an attempt");
        while seen.len() < 3 {
            seen.extend(next(&mut peer).await.filter(|text| text != "PING"));
        }
        // The first is answered, and half a frame of the second.
        say(&mut peer, "REPLY 1 a").await;
        peer.get_mut()
            .write_all(b"\0\0\0\x07REPL")
            .await
            .expect("it is open");
        drop(peer);
        let mut peer = peers.recv().await.expect("another attempt");
        for _ in 0..10 {
            assert_eq!(next(&mut peer).await.as_deref(), Some("PING"));
            say(&mut peer, "PONG").await;
        }
        seen.sort();
        assert_eq!(seen, ["REQUEST 1 a", "REQUEST 2 b", "REQUEST 3 c"]);
    };
    let (replies, ()) = join!(join_all(requests), serving);
    let is_done = replies.iter().filter(|reply| reply.is_ok()).count();
    let is_lost = |reply: &&Result<_, _>| **reply == Err(MaybeDone("connection lost"));
    assert_eq!((is_done, replies.iter().filter(is_lost).count()), (1, 2));
    lost(&mut events).await;
}

#[tokio::test(start_paused = true)]
async fn a_silent_peer_is_lost_and_one_that_answers_pings_stays() {
    let (client, mut events, mut peers) = connected(CONFIG);
    let mut silent = peers.recv().await.expect("an attempt");
    let start = Instant::now();
    let request = client.request("x".to_owned()).await;
    assert_eq!(request, Err(MaybeDone("connection lost")));
    assert_eq!(lost(&mut events).await.0, ErrorKind::TimedOut);
    assert_eq!(start.elapsed(), CONFIG.silence);
    // It was sent, and more than one ping.
    let mut seen = Vec::new();
    while let Some(text) = next(&mut silent).await {
        seen.push(text);
    }
    assert!(
        seen.contains(&"REQUEST 1 x".to_owned()) && seen.len() > 2,
        "{seen:?}"
    );

    let mut peer = peers.recv().await.expect("an attempt");
    assert!(matches!(events.recv().await, Some(Event::Connected)));
    let answering = async {
        while let Some(text) = next(&mut peer).await {
            if text == "PING" {
                say(&mut peer, "PONG").await;
            }
        }
    };
    let start = Instant::now();
    assert!(timeout(3600 * SECOND, answering).await.is_err());
    assert_eq!(start.elapsed(), 3600 * SECOND);
    assert!(events.try_recv().is_err());
}

#[tokio::test(start_paused = true)]
async fn a_reply_that_is_late_or_has_no_caller_goes_to_nobody_else() {
    let (client, _events, mut peers) = connected(CONFIG);
    let serving = tokio::spawn(async move {
        let mut peer = peers.recv().await.expect("an attempt");
        serve(&mut peer, usize::MAX).await
    });
    for polls in 0..20 {
        let text = format!("dropped {polls}");
        if let Some(reply) = poll_and_drop(client.request(text.clone()), polls).await {
            assert_eq!(reply, Ok(text));
        }
        let next = format!("next {polls}");
        assert_eq!(client.request(next.clone()).await, Ok(next));
    }
    drop(client);
    let seen = serving.await.expect("no panic");
    assert!(seen.len() >= 20, "{seen:?}");
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_breaks_the_rules_loses_the_connection() {
    let (client, mut events, mut peers) = connected(CONFIG);
    for wrong in [
        &b"\0\0\0\x07REPLY x"[..],
        b"\xFF\xFF\xFF\xFFx",
        b"\0\0\x03\xE9", // One byte too many.
        b"GET / HTTP/1.1\r\n",
    ] {
        let mut peer = peers.recv().await.expect("an attempt");
        peer.get_mut().write_all(wrong).await.expect("it is open");
        let start = Instant::now();
        lost(&mut events).await;
        assert_eq!(start.elapsed(), Duration::ZERO);
    }
    // No text, and one that is no UTF-8, are messages.
    let mut peer = peers.recv().await.expect("an attempt");
    say(&mut peer, "").await;
    peer.send(Bytes::from_static(b"\xFF"))
        .await
        .expect("it is open");
    for text in ["", "\u{FFFD}"] {
        loop {
            if let Some(Event::Message(message)) = events.recv().await {
                assert_eq!(message, text);
                break;
            }
        }
    }
    // "REQUEST ", a number of up to 20 digits, and a space.
    let too_large = client.request("x".repeat(972)).await;
    assert_eq!(too_large, Err(NotSent("too large")));
    let largest = "x".repeat(971);
    let (reply, _) = join!(client.request(largest.clone()), async {
        // "REPLY " is shorter than "REQUEST ".
        serve(&mut peer, 1).await
    });
    assert_eq!(reply, Ok(largest));
}

#[tokio::test(start_paused = true)]
async fn no_more_requests_are_sent_than_may_wait_and_pings_go_on() {
    let (client, _events, mut peers) = connected(CONFIG);
    let requests = (0..100).map(|number| client.request(number.to_string()));
    let mut requests: FuturesUnordered<_> = requests.collect();
    let serving = async {
        let mut peer = peers.recv().await.expect("an attempt");
        let (mut requests, mut pings) = (0, 0);
        while pings < 20 {
            match next(&mut peer).await.as_deref() {
                Some("PING") => {
                    pings += 1;
                    say(&mut peer, "PONG").await;
                }
                Some(_) => requests += 1,
                None => break,
            }
        }
        (requests, pings)
    };
    let counts = async {
        tokio::select! {
            // Those that were not sent still wait.
            ended = requests.next() => panic!("{ended:?}"),
            counts = serving => counts,
        }
    };
    assert_eq!(counts.await, (CONFIG.waiting, 20));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn thousands_of_requests_over_connections_that_break() {
    let before = tasks();
    let config = Config {
        ping: SECOND,
        silence: 30 * SECOND,
        request: 50 * SECOND,
        initial_backoff: Duration::from_millis(1),
        max_backoff: Duration::from_millis(2),
        ..CONFIG
    };
    let (client, events, mut peers) = connected(config);
    drop(events);
    let seen = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&seen);
    let serving = tokio::spawn(async move {
        while let Some(mut peer) = peers.recv().await {
            let mut done = serve(&mut peer, 100).await;
            // Two more are carried out, and have no reply.
            for _ in 0..2 {
                let soon = Duration::from_millis(20);
                if let Ok(Some(text)) = timeout(soon, next(&mut peer)).await {
                    done.extend(request(&text).map(|(_, text)| text.to_owned()));
                }
            }
            log.lock().expect("no panic").extend(done);
        }
    });
    let client = Arc::new(client);
    let (replies, maybe) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let counts = Arc::new((replies, maybe));
    let requests = (0..2000).map(|number| {
        let (client, counts) = (Arc::clone(&client), Arc::clone(&counts));
        tokio::spawn(async move {
            let text = number.to_string();
            match client.request(text.clone()).await {
                Ok(reply) => {
                    assert_eq!(reply, text);
                    counts.0.fetch_add(1, SeqCst);
                }
                Err(MaybeDone("connection lost")) => {
                    counts.1.fetch_add(1, SeqCst);
                }
                Err(error) => panic!("{error}"),
            }
        })
    });
    let requests: Vec<_> = requests.collect();
    for ended in soon(join_all(requests)).await {
        ended.expect("no panic");
    }
    drop(client);
    soon(serving).await.expect("no panic");
    let (replies, maybe) = (counts.0.load(SeqCst), counts.1.load(SeqCst));
    assert_eq!(replies + maybe, 2000);
    assert!(replies >= 1000 && maybe > 0, "{replies} {maybe}");
    let mut seen = seen.lock().expect("no panic").clone();
    let all = seen.len();
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), all, "none was repeated");
    soon(async {
        while tasks() > before {
            sleep(Duration::from_millis(1)).await;
        }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_reply_that_does_not_come_is_maybe_done_and_the_connection_stays() {
    let (client, mut events, mut peers) = connected(CONFIG);
    let mut peer = peers.recv().await.expect("an attempt");
    let answering = async {
        while let Some(text) = next(&mut peer).await {
            if text == "PING" {
                say(&mut peer, "PONG").await;
            }
        }
    };
    let start = Instant::now();
    tokio::select! {
        reply = client.request("x".to_owned()) => {
            assert_eq!(reply, Err(MaybeDone("no reply in time")));
        }
        _ = timeout(3600 * SECOND, answering) => panic!("no limit"),
    }
    assert_eq!(start.elapsed(), CONFIG.request);
    assert!(matches!(events.try_recv(), Ok(Event::Connected)));
    assert!(events.try_recv().is_err());
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_sends_and_never_reads_is_lost() {
    let (_client, mut events, mut peers) = connected(CONFIG);
    let mut peer = peers.recv().await.expect("an attempt");
    let sending = async {
        loop {
            say(&mut peer, "PONG").await;
            sleep(SECOND).await;
        }
    };
    let found = tokio::select! {
        found = lost(&mut events) => found.0,
        _ = timeout(3600 * SECOND, sending) => panic!("it stays"),
    };
    assert_eq!(found, ErrorKind::TimedOut);
}

#[tokio::test(start_paused = true)]
async fn if_events_are_not_received_reading_stops_and_none_is_lost() {
    let (_client, mut events, mut peers) = connected(CONFIG);
    let (mut writer, mut reader) = peers.recv().await.expect("an attempt").split();
    let pings = tokio::spawn(async move { while reader.next().await.is_some() {} });
    let sent = AtomicUsize::new(0);
    let sending = async {
        for number in 0..1_000 {
            let text = format!("{number:0500}");
            writer.send(Bytes::from(text)).await.expect("it is open");
            sent.fetch_add(1, SeqCst);
        }
    };
    let mut sending = std::pin::pin!(sending);
    assert!(timeout(600 * SECOND, sending.as_mut()).await.is_err());
    // What waits is in the channel, and in the buffers of the connection.
    assert!(sent.load(SeqCst) < 100, "{sent:?}");
    assert!(matches!(events.recv().await, Some(Event::Connected)));
    let receiving = async {
        for number in 0..1_000 {
            match events.recv().await {
                Some(Event::Message(text)) => assert_eq!(text, format!("{number:0500}")),
                other => panic!("{number}: {other:?}"),
            }
        }
    };
    join!(sending, receiving);
    pings.abort();
}

#[tokio::test(start_paused = true)]
async fn if_events_are_not_received_it_reconnects_no_more() {
    let attempts = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&attempts);
    let refuse = move || {
        counted.fetch_add(1, SeqCst);
        async { Err::<DuplexStream, _>(ErrorKind::ConnectionRefused.into()) }
    };
    let config = Config {
        waiting: 2,
        ..CONFIG
    };
    let (_client, mut events) = Client::start(config, refuse);
    for expected in [3, 4] {
        sleep(600 * SECOND).await;
        assert_eq!(attempts.load(SeqCst), expected);
        lost(&mut events).await;
    }
    // If nobody can receive them, it continues.
    drop(events);
    sleep(600 * SECOND).await;
    assert!(attempts.load(SeqCst) > 600 / 8, "{attempts:?}");
}

#[tokio::test(start_paused = true)]
async fn a_server_that_accepts_and_closes_at_once_a_thousand_times() {
    let before = tasks();
    let (client, mut events, mut peers) = connected(CONFIG);
    let closing = tokio::spawn(async move { while peers.recv().await.is_some() {} });
    let start = Instant::now();
    for _ in 0..1_000 {
        lost(&mut events).await;
    }
    assert_eq!(start.elapsed(), (1 + 2 + 4 + 996 * 8) * SECOND);
    assert_eq!(tasks(), before + 2);
    drop(client);
    closing.await.expect("no panic");
    assert_eq!(tasks(), before);
}

/// A server that leaves out one reply, and answers all else.
#[tokio::test(start_paused = true)]
async fn after_a_reply_that_is_left_out_no_caller_gets_that_of_another() {
    let (client, mut events, mut peers) = connected(CONFIG);
    let serving = tokio::spawn(async move {
        let mut left_out = false;
        while let Some(mut peer) = peers.recv().await {
            while let Some(frame) = next(&mut peer).await {
                match request(&frame) {
                    Some((_, "2")) if !left_out => left_out = true,
                    Some((number, text)) => {
                        say(&mut peer, &format!("REPLY {number} to {text}")).await;
                    }
                    None => say(&mut peer, "PONG").await,
                }
            }
        }
    });
    let mut failed = Vec::new();
    for number in 1..=5 {
        match client.request(number.to_string()).await {
            Ok(reply) => assert_eq!(reply, format!("to {number}")),
            Err(error) => failed.push((number, error)),
        }
    }
    let expected = [
        (2, MaybeDone("no reply in time")),
        (3, MaybeDone("connection lost")),
    ];
    assert_eq!(failed, expected);
    assert_eq!(lost(&mut events).await.0, ErrorKind::Other);
    drop(client);
    serving.await.expect("no panic");
}
