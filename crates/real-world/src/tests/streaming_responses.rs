use std::convert::Infallible;
use std::error::Error;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use axum::Router;
use axum::response::Response;
use axum::routing::get;
use futures::{Stream, StreamExt, TryStreamExt, stream};
use serde::de::IgnoredAny;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::task::AbortOnDropHandle;

use super::support::soon;
use crate::streaming_responses::{
    Event, MAX_ITEM, StreamError, events, json_lines, read_events, read_json_lines,
};

type Failure = Box<dyn Error + Send + Sync>;

const LONG: Duration = Duration::from_secs(60);

/// A response whose body comes in these pieces, without a network.
fn response(body: &[u8], piece: usize) -> reqwest::Response {
    let pieces: Vec<_> = body.chunks(piece).map(<[u8]>::to_vec).collect();
    let pieces = stream::iter(pieces.into_iter().map(Ok::<_, Infallible>));
    axum::http::Response::new(reqwest::Body::wrap_stream(pieces)).into()
}

/// The response of a handler as a client sees it, without a network.
fn as_received(response: Response) -> reqwest::Response {
    response
        .map(|body| reqwest::Body::wrap_stream(body.into_data_stream()))
        .into()
}

async fn parsed(body: &[u8], piece: usize) -> Result<Vec<Event>, StreamError> {
    read_events(response(body, piece)).try_collect().await
}

fn event(event: &str, data: &str, id: &str) -> Event {
    let [event, data, id] = [event, data, id].map(str::to_owned);
    Event { event, data, id }
}

#[tokio::test]
async fn events_are_parsed_however_they_are_cut() -> Result<(), StreamError> {
    let body = ": hello\n\nevent: add\nid: 7\ndata: one\ndata:  two\n\n\
                data\n\ndata:\u{e4}:b\r\n\r\nevent: nothing\n\nretry: 5\nother\n\
                data: last\n\ndata: cut off";
    let expected = [
        event("add", "one\n two", "7"),
        event("", "", "7"),
        event("", "\u{e4}:b", "7"),
        event("", "last", "7"),
    ];
    for piece in 1..body.len() {
        assert_eq!(parsed(body.as_bytes(), piece).await?, expected, "{piece}");
    }
    assert_eq!(parsed(b"", 1).await?, []);
    Ok(())
}

#[tokio::test]
async fn a_line_or_an_event_that_never_ends_is_refused() -> Result<(), StreamError> {
    let fits = format!("data:{}\n\n", "x".repeat(MAX_ITEM - 5));
    assert_eq!(parsed(fits.as_bytes(), 1000).await?.len(), 1);
    for line in ["x", "data: x\n", "data:\n"] {
        let repeated = AtomicUsize::new(0);
        let body = stream::repeat_with(move || {
            assert!(repeated.fetch_add(1, SeqCst) < 10 * MAX_ITEM, "not refused");
            Ok::<_, Infallible>(line)
        });
        let body = reqwest::Body::wrap_stream(body);
        let mut read = pin!(read_events(axum::http::Response::new(body).into()));
        let refused = read.try_next().await;
        assert!(matches!(refused, Err(StreamError::TooLarge)), "{refused:?}");
        assert!(read.try_next().await?.is_none(), "it has ended");
    }
    let long = "1".repeat(MAX_ITEM + 1);
    let mut read = pin!(read_json_lines::<IgnoredAny>(response(
        long.as_bytes(),
        1000
    )));
    assert!(matches!(read.try_next().await, Err(StreamError::TooLarge)));
    Ok(())
}

#[tokio::test]
async fn what_is_sent_is_what_is_read() -> Result<(), Failure> {
    for size in [0, 1, 31, 129, 1_000] {
        let texts: Vec<String> =
            (0..size).map(|it| format!("{it}\n\r\n\u{e4}: x")).collect();
        let items = || stream::iter(texts.clone()).map(Ok::<_, Infallible>);
        let lines = read_json_lines(as_received(json_lines(items())));
        let lines: Vec<String> = lines.try_collect().await?;
        assert_eq!(lines, texts);
        let read = read_events(as_received(events(items())));
        let read = read.map(|it| Ok::<_, Failure>(serde_json::from_str(&it?.data)?));
        let read: Vec<String> = read.try_collect().await?;
        assert_eq!(read, texts);
    }
    Ok(())
}

#[tokio::test]
async fn an_error_breaks_off_and_the_items_before_it_arrive() {
    let items = || stream::iter([Ok(1), Ok(2), Err(io::Error::other("scheduled"))]);
    let mut lines = pin!(read_json_lines::<u32>(as_received(json_lines(items()))));
    let mut read = pin!(read_events(as_received(events(items()))));
    for _ in 0..2 {
        assert!(matches!(lines.next().await, Some(Ok(_))));
        assert!(matches!(read.next().await, Some(Ok(_))));
    }
    assert!(matches!(
        lines.next().await,
        Some(Err(StreamError::BrokeOff(_)))
    ));
    assert!(matches!(
        read.next().await,
        Some(Err(StreamError::BrokeOff(_)))
    ));
    assert!(read.next().await.is_none());
    let bad = response(b"1\nx\n", 4);
    let read: Vec<_> = read_json_lines::<u32>(bad).collect().await;
    assert!(matches!(read[..], [Ok(1), Err(StreamError::Json(_))]));
}

#[tokio::test(start_paused = true)]
async fn a_stream_without_items_sends_comments() {
    let silent = events(stream::pending::<Result<u32, Infallible>>());
    let mut body = silent.into_body().into_data_stream();
    for _ in 0..3 {
        let start = Instant::now();
        let comment = timeout(LONG, body.next()).await.expect("in time");
        let comment = comment.expect("no end").expect("no error");
        assert_eq!(&comment[..], b":\n\n");
        assert_eq!(start.elapsed().as_secs(), 15);
    }
}

/// Counts the streams that exist and the items that they have made.
#[derive(Clone, Default)]
struct Counted {
    streams: Arc<AtomicUsize>,
    items: Arc<AtomicUsize>,
}

struct Guard(Arc<AtomicUsize>);

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.fetch_sub(1, SeqCst);
    }
}

impl Counted {
    /// Endless items of a kilobyte: some at once, and then one at each pause.
    fn items(
        &self,
        at_once: usize,
        pause: Duration,
    ) -> impl Stream<Item = io::Result<String>> + use<> {
        self.streams.fetch_add(1, SeqCst);
        let (guard, items) = (Guard(Arc::clone(&self.streams)), Arc::clone(&self.items));
        stream::unfold(0, move |number| {
            let (_guard, items) = (&guard, Arc::clone(&items));
            async move {
                if number >= at_once {
                    sleep(pause).await;
                }
                items.fetch_add(1, SeqCst);
                Some((Ok("x".repeat(1_000)), number + 1))
            }
        })
    }
}

/// A server on this address, until the handle is dropped.
async fn start(
    routes: Router,
) -> io::Result<(SocketAddr, AbortOnDropHandle<io::Result<()>>)> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let serving = tokio::spawn(async { axum::serve(listener, routes).await });
    Ok((address, AbortOnDropHandle::new(serving)))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_client_that_leaves_ends_the_stream_even_if_it_is_silent() -> Result<(), Failure>
{
    for at_once in [1, 1_000_000] {
        let counted = Counted::default();
        let made = counted.clone();
        let routes = Router::new().route(
            "/lines",
            get(async move || json_lines(made.items(at_once, LONG))),
        );
        let (address, _server) = start(routes).await?;
        let client = reqwest::Client::new();
        let mut left = Vec::new();
        for _ in 0..10 {
            let url = format!("http://{}/lines", address);
            let mut read =
                Box::pin(read_json_lines::<String>(client.get(url).send().await?));
            assert!(soon(read.try_next()).await?.is_some());
            left.push(read);
        }
        assert_eq!(counted.streams.load(SeqCst), 10);
        drop(left);
        soon(async {
            while counted.streams.load(SeqCst) > 0 {
                sleep(Duration::from_millis(5)).await;
            }
        })
        .await;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_client_that_does_not_read_stops_the_stream() -> io::Result<()> {
    let counted = Counted::default();
    let made = counted.clone();
    let endless = async move || json_lines(made.items(usize::MAX, LONG));
    let (address, _server) = start(Router::new().route("/lines", get(endless))).await?;
    let mut peer = TcpStream::connect(address).await?;
    peer.write_all(b"GET /lines HTTP/1.1\r\nhost: x\r\n\r\n")
        .await?;
    let items = || counted.items.load(SeqCst);
    soon(async {
        let mut before = 0;
        while items() == 0 || items() != before {
            before = items();
            sleep(Duration::from_millis(500)).await;
        }
    })
    .await;
    // What the system and hyper hold: some megabytes.
    assert!(items() < 20_000, "{} kB", items());
    Ok(())
}

#[tokio::test]
async fn a_timeout_ends_a_long_stream_and_a_wait_does_not() -> Result<(), Failure> {
    let counted = Counted::default();
    let made = counted.clone();
    let pause = Duration::from_millis(20);
    let slow = async move || json_lines(made.items(0, pause).take(100));
    let (address, _server) = start(Router::new().route("/lines", get(slow))).await?;
    let url = format!("http://{}/lines", address);
    let builder = reqwest::Client::builder;
    let whole = builder().timeout(50 * pause).build()?;
    let each = builder().read_timeout(LONG).build()?;
    let waits = builder().read_timeout(pause / 4).build()?;
    for (client, ends) in [(whole, false), (each, true), (waits, false)] {
        // On a busy machine the head of the response is late already.
        let answer = match client.get(&url).send().await {
            Err(error) if !ends && error.is_timeout() => continue,
            answer => answer?,
        };
        let read: Vec<_> = read_json_lines::<String>(answer).collect().await;
        let last = read.last().expect("some");
        assert_eq!(last.is_ok(), ends, "{last:?}");
        assert_eq!(read.len() == 100, ends);
    }
    Ok(())
}

/// The end of the first trap: the server takes each piece as soon as it comes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn read_timeout_also_limits_the_time_in_which_a_body_is_sent() -> Result<(), Failure>
{
    let taken = async |body: axum::body::Bytes| body.len().to_string();
    let routes = Router::new().route("/", axum::routing::post(taken));
    let (address, _server) = start(routes).await?;
    let pause = Duration::from_millis(20);
    for (limit, ends) in [(25 * pause, false), (LONG, true)] {
        let pieces = stream::iter(0..100).then(move |_| async move {
            sleep(pause).await;
            Ok::<_, Infallible>("x")
        });
        let client = reqwest::Client::builder().read_timeout(limit).build()?;
        let request = client.post(format!("http://{address}/"));
        let sent = request.body(reqwest::Body::wrap_stream(pieces)).send();
        match soon(sent).await {
            Ok(response) => assert!(ends && response.text().await? == "100"),
            Err(error) => assert!(!ends && error.is_timeout(), "{error:?}"),
        }
    }
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_task_that_feeds_a_channel_runs_on_until_its_send_fails() {
    let (sender, mut receiver) = mpsc::channel(1);
    let items = stream::poll_fn(move |context| receiver.poll_recv(context));
    let feeding = tokio::spawn(async move {
        for number in 0.. {
            if sender.send(Ok::<_, Infallible>(number)).await.is_err() {
                return number;
            }
            sleep(LONG).await;
        }
        0
    });
    let mut read = Box::pin(read_json_lines::<u32>(as_received(json_lines(items))));
    assert!(matches!(read.next().await, Some(Ok(0))));
    drop(read);
    sleep(LONG / 2).await;
    assert!(!feeding.is_finished(), "it has not looked");
    assert_eq!(feeding.await.expect("no panic"), 1);
}

/// The cases of the web platform's tests of `EventSource` that ours once failed, however
/// the bytes are cut.
#[tokio::test]
async fn wpt_line_ends_marks_ids_and_bytes() -> Result<(), StreamError> {
    let cases: [(&[u8], &[Event]); 8] = [
        (
            b"data:a\rdata:b\r\rdata:c\r\r",
            &[event("", "a\nb", ""), event("", "c", "")],
        ),
        (
            b"data:a\r\ndata:b\r\n\r\ndata:c\n\r\ndata:d\r\r\n",
            &[
                event("", "a\nb", ""),
                event("", "c", ""),
                event("", "d", ""),
            ],
        ),
        // The last `\n` belongs to the `\r` before it: no event ends here.
        (b"data:a\r\n", &[]),
        (b"\xEF\xBB\xBFdata:1\n\n", &[event("", "1", "")]),
        (
            b"\xEF\xBB\xBF\xEF\xBB\xBFdata:1\n\ndata:2\n\n",
            &[event("", "2", "")],
        ),
        (
            b"id:1\ndata:a\n\nid:2\0\0\ndata:b\n\n",
            &[event("", "a", "1"), event("", "b", "1")],
        ),
        (b"data:a\xFFb\n\n", &[event("", "a\u{FFFD}b", "")]),
        (b"data:caf\xC3\xA9\n\n", &[event("", "caf\u{e9}", "")]),
    ];
    for (body, expected) in cases {
        for piece in 1..=body.len() {
            assert_eq!(parsed(body, piece).await?, expected, "{body:?} {piece}");
        }
    }
    Ok(())
}

/// After jsonlines.org, and what servers send between the items.
#[tokio::test]
async fn ndjson_empty_lines_marks_and_ends() -> Result<(), StreamError> {
    for body in [
        &b"1\n\n2\n"[..],
        b"\n\n1\n \n2",
        b"\xEF\xBB\xBF1\r\n\r\n2\r\n",
    ] {
        for piece in 1..=body.len() {
            let items = read_json_lines::<u32>(response(body, piece));
            let items: Vec<_> = items.try_collect().await?;
            assert_eq!(items, [1, 2], "{body:?} {piece}");
        }
    }
    // As the page says: a last line that was cut off may pass for a whole one.
    let cut = read_json_lines::<u32>(response(b"1\n12", 1));
    assert_eq!(cut.try_collect::<Vec<_>>().await?, [1, 12]);
    Ok(())
}
