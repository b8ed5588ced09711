use std::convert::Infallible;
use std::fs;
use std::future::{Ready, pending, ready};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::task::{Context, Poll};
use std::time::Duration;

use futures::future::join_all;
use futures::{FutureExt, StreamExt, TryFutureExt, stream};
use tokio::io::{AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, oneshot};
use tokio::task::{JoinHandle, JoinSet, yield_now};
use tokio::time::{sleep, timeout};
use tokio_util::task::AbortOnDropHandle;
use tonic::body::Body;
use tonic::client;
use tonic::codegen::http::{self, uri::PathAndQuery};
use tonic::codegen::{BoxFuture, BoxStream, Service};
use tonic::server::{self, ClientStreamingService, ServerStreamingService, UnaryService};
use tonic::transport::{Channel, Error, Server, server::TcpIncoming};
use tonic::{Code, Request, Response, Status, Streaming};
use tonic_prost::ProstCodec;

use super::support::{CuttingProxy, poll_and_drop, soon};
use crate::grpc_calls::{Deadline, MOST, endpoint, may_retry, server as settings};

const MINUTE: Duration = Duration::from_secs(60);

#[derive(Clone, PartialEq, prost::Message)]
struct Item {
    #[prost(string, tag = "1")]
    name: String,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Price {
    #[prost(uint32, tag = "1")]
    cents: u32,
    #[prost(bytes = "vec", tag = "2")]
    note: Vec<u8>,
}

#[derive(Clone)]
struct ShopClient(client::Grpc<Channel>);

impl ShopClient {
    fn new(channel: Channel) -> Self {
        Self(client::Grpc::new(channel))
    }

    async fn ready(&mut self) -> Result<(), Status> {
        let ready = self.0.ready().await;
        ready.map_err(|error| Status::unavailable(error.to_string()))
    }

    async fn quote(&mut self, item: Request<Item>) -> Result<Response<Price>, Status> {
        self.ready().await?;
        let path = PathAndQuery::from_static("/quote");
        self.0.unary(item, path, ProstCodec::default()).await
    }

    async fn watch(
        &mut self,
        item: Request<Item>,
    ) -> Result<Response<Streaming<Price>>, Status> {
        self.ready().await?;
        let (path, codec) = (PathAndQuery::from_static("/watch"), ProstCodec::default());
        self.0.server_streaming(item, path, codec).await
    }
}

/// What a test's server does with an item.
struct Script<Q, W> {
    quote: Q,
    watch: W,
}

struct ShopServer<Q, W>(Arc<Script<Q, W>>);

impl<Q, W> Clone for ShopServer<Q, W> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

/// Answers a stream of items before it has read one.
struct Early;

impl ClientStreamingService<Item> for Early {
    type Response = Price;
    type Future = Ready<Result<Response<Price>, Status>>;

    fn call(&mut self, _: Request<Streaming<Item>>) -> Self::Future {
        ready(Ok(Response::new(price(1))))
    }
}

impl<Q: Quote, W> UnaryService<Item> for ShopServer<Q, W> {
    type Response = Price;
    type Future = BoxFuture<Response<Price>, Status>;

    fn call(&mut self, request: Request<Item>) -> Self::Future {
        Box::pin((self.0.quote)(request).map_ok(Response::new))
    }
}

impl<Q, W: Watch> ServerStreamingService<Item> for ShopServer<Q, W> {
    type Response = Price;
    type ResponseStream = BoxStream<Price>;
    type Future = Ready<Result<Response<BoxStream<Price>>, Status>>;

    fn call(&mut self, request: Request<Item>) -> Self::Future {
        ready(Ok(Response::new((self.0.watch)(request))))
    }
}

impl<Q: Quote, W: Watch> Service<http::Request<Body>> for ShopServer<Q, W> {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<Self::Response, Infallible>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let shop = self.clone();
        Box::pin(async move {
            let mut grpc = server::Grpc::new(ProstCodec::default());
            Ok(match request.uri().path() {
                "/quote" => grpc.unary(shop, request).await,
                "/early" => grpc.client_streaming(Early, request).await,
                _ => grpc.server_streaming(shop, request).await,
            })
        })
    }
}

trait Quote: Fn(Request<Item>) -> BoxFuture<Price, Status> + Send + Sync + 'static {}

impl<F> Quote for F where
    F: Fn(Request<Item>) -> BoxFuture<Price, Status> + Send + Sync + 'static
{
}

trait Watch: Fn(Request<Item>) -> BoxStream<Price> + Send + Sync + 'static {}

impl<F> Watch for F where F: Fn(Request<Item>) -> BoxStream<Price> + Send + Sync + 'static {}

struct Serving {
    uri: String,
    stop: oneshot::Sender<()>,
    task: JoinHandle<Result<(), Error>>,
}

impl Serving {
    fn client(&self) -> ShopClient {
        connect(self.uri.clone())
    }
}

fn connect(uri: String) -> ShopClient {
    let endpoint = endpoint(uri, MINUTE).expect("a URI");
    ShopClient::new(endpoint.connect_lazy())
}

async fn serve(shop: Script<impl Quote, impl Watch>, calls: u32) -> Serving {
    serve_with(settings(MINUTE, calls), shop).await
}

async fn serve_with(server: Server, shop: Script<impl Quote, impl Watch>) -> Serving {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let uri = format!("http://{}", listener.local_addr().expect("it is bound"));
    let (stop, stopped) = oneshot::channel();
    let stopped = async {
        if stopped.await.is_err() {
            // A test that does not stop it.
            pending().await
        }
    };
    let serving = server.serve_with_incoming_shutdown(
        ShopServer(Arc::new(shop)),
        TcpIncoming::from(listener),
        stopped,
    );
    let task = tokio::spawn(serving);
    Serving { uri, stop, task }
}

/// A server of unary calls.
async fn quotes<F>(quote: impl Fn(Request<Item>) -> F + Send + Sync + 'static) -> Serving
where
    F: Future<Output = Result<Price, Status>> + Send + 'static,
{
    let quote = move |request| -> BoxFuture<Price, Status> { Box::pin(quote(request)) };
    let watch = |_: Request<Item>| -> BoxStream<Price> { Box::pin(stream::empty()) };
    serve(Script { quote, watch }, 100).await
}

/// A server of streams.
async fn watches<S>(watch: impl Fn(Request<Item>) -> S + Send + Sync + 'static) -> Serving
where
    S: futures::Stream<Item = Result<Price, Status>> + Send + 'static,
{
    let watch = move |request| -> BoxStream<Price> { Box::pin(watch(request)) };
    let quote = |_: Request<Item>| -> BoxFuture<Price, Status> {
        Box::pin(async { Err(Status::unimplemented("")) })
    };
    serve(Script { quote, watch }, 100).await
}

fn item(name: &str) -> Item {
    Item { name: name.into() }
}

fn price(cents: u32) -> Price {
    Price {
        cents,
        note: Vec::new(),
    }
}

/// Waits until this many have it: the test, the server, and each handler.
async fn only(guard: &Arc<()>, owners: usize) {
    soon(async {
        while Arc::strong_count(guard) != owners {
            sleep(Duration::from_millis(1)).await;
        }
    })
    .await;
}

fn with_header(value: &str) -> Request<()> {
    let mut request = Request::new(());
    let value = value.parse().expect("ASCII");
    request.metadata_mut().insert("grpc-timeout", value);
    request
}

#[tokio::test(start_paused = true)]
async fn the_header_is_read() {
    for (header, limit) in [
        ("1H", MOST),
        ("99999999H", MOST),
        ("1M", MINUTE),
        ("3S", Duration::from_secs(3)),
        ("3m", Duration::from_millis(3)),
        ("3u", Duration::from_micros(3)),
        ("3n", Duration::from_nanos(3)),
        ("0n", Duration::ZERO),
        ("00000007S", Duration::from_secs(7)),
        // As if there were none.
        ("", MOST),
        ("S", MOST),
        ("3", MOST),
        ("3x", MOST),
        ("-3S", MOST),
        ("+3S", MOST),
        ("000000003S", MOST),
    ] {
        assert_eq!(Deadline::of(&with_header(header)).left(), limit, "{header}");
    }
    assert_eq!(Deadline::of(&Request::new(())).left(), MOST);
    assert_eq!(Deadline::after(Duration::MAX).left(), MOST);
}

#[tokio::test(start_paused = true)]
async fn a_request_tells_what_is_left() {
    let deadline = Deadline::after(Duration::from_secs(5));
    sleep(Duration::from_secs(2)).await;
    let received = Deadline::of(&deadline.request(()));
    assert_eq!(received.left(), Duration::from_secs(3));
    assert_eq!(received, deadline);
    sleep(Duration::from_secs(9)).await;
    assert_eq!(Deadline::of(&deadline.request(())).left(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_retry_after_the_deadline_can_be_aborted() {
    let (deadline, mut calls) = (Deadline::after(Duration::ZERO), 0);
    let again = async {
        loop {
            let refused = deadline.call(pending::<Result<(), Status>>()).await;
            assert!(refused.is_err());
            calls += 1;
            assert!(calls < 10_000, "it never suspends");
        }
    };
    assert!(futures::poll!(std::pin::pin!(again)).is_pending());
}

#[tokio::test(start_paused = true)]
async fn nothing_is_polled_after_the_deadline() {
    let deadline = Deadline::after(Duration::ZERO);
    let work = async { panic!("polled") };
    let error = deadline.call::<()>(work).await.expect_err("it is over");
    assert_eq!(error.code(), Code::DeadlineExceeded);
    let items = stream::poll_fn(|_| panic!("polled"));
    let all: Vec<Result<(), Status>> = deadline.stream(items).take(10).collect().await;
    let [Err(error)] = &all[..] else {
        panic!("{all:?}");
    };
    assert_eq!(error.code(), Code::DeadlineExceeded);
}

#[tokio::test(start_paused = true)]
async fn a_stream_ends_at_its_deadline_and_is_dropped() {
    let guard = Arc::new(());
    let owned = Arc::clone(&guard);
    let deadline = Deadline::after(Duration::from_millis(250));
    let items = stream::iter(0..1000).then(move |number| {
        let owned = Arc::clone(&owned);
        async move {
            sleep(Duration::from_millis(100)).await;
            drop(owned);
            Ok::<i32, Status>(number)
        }
    });
    let mut items = Box::pin(deadline.stream(items));
    assert_eq!(items.next().await.expect("one").expect("in time"), 0);
    assert_eq!(items.next().await.expect("two").expect("in time"), 1);
    let over = items
        .next()
        .await
        .expect("an error")
        .expect_err("it is over");
    assert_eq!(over.code(), Code::DeadlineExceeded);
    assert_eq!(Arc::strong_count(&guard), 1, "the inner stream is gone");
    assert!(items.next().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_stream_ends_with_its_first_error() {
    let items = [Ok(1), Err(Status::internal("broken")), Ok(2)];
    let deadline = Deadline::after(MINUTE);
    let all: Vec<_> = deadline
        .stream(stream::iter(items))
        .take(10)
        .collect()
        .await;
    assert_eq!(all.len(), 2, "{all:?}");
}

#[test]
fn only_unavailable_may_be_retried() {
    for code in 0..=16 {
        let status = Status::new(Code::from_i32(code), "");
        assert_eq!(may_retry(&status), code == Code::Unavailable as i32);
    }
}

/// The second server gets what is left, and not a new limit.
#[tokio::test]
async fn a_deadline_is_passed_on_over_two_servers() {
    let second = quotes(|request| async move {
        let left = Deadline::of(&request).left().as_millis();
        Ok(price(u32::try_from(left).expect("at most a minute")))
    });
    let second = second.await.client();
    let first = quotes(move |request| {
        let mut second = second.clone();
        async move {
            let deadline = Deadline::of(&request);
            sleep(Duration::from_secs(1)).await;
            let request = deadline.request(request.into_inner());
            Ok(deadline.call(second.quote(request)).await?.into_inner())
        }
    });
    let mut client = first.await.client();
    let deadline = Deadline::after(Duration::from_secs(50));
    let call = client.quote(deadline.request(item("")));
    let left = soon(deadline.call(call)).await.expect("it answers");
    let left = left.into_inner().cents;
    assert!((1..=49_000).contains(&left), "{left}");
}

/// Tonic says "cancelled", and `call` says what others say. The handler is dropped.
#[tokio::test]
async fn a_handler_is_dropped_at_the_deadline() {
    let guard = Arc::new(());
    let held = Arc::clone(&guard);
    let serving = quotes(move |_| {
        let held = Arc::clone(&held);
        async move {
            let _held = held;
            pending().await
        }
    });
    let serving = serving.await;
    let mut client = serving.client();
    let mut request = Request::new(item(""));
    request.set_timeout(Duration::from_millis(200));
    let error = soon(client.quote(request)).await.expect_err("it is over");
    assert_eq!(error.code(), Code::Cancelled);
    assert_eq!(error.message(), "Timeout expired");
    let mut request = Request::new(item(""));
    request.set_timeout(Duration::from_millis(200));
    let error = soon(Deadline::after(MINUTE).call(client.quote(request))).await;
    assert_eq!(error.expect_err("over").code(), Code::DeadlineExceeded);
    let deadline = Deadline::after(Duration::from_millis(200));
    let call = client.quote(deadline.request(item("")));
    let error = soon(deadline.call(call)).await.expect_err("it is over");
    assert_eq!(error.code(), Code::DeadlineExceeded);
    serving.stop.send(()).expect("it serves");
    drop(client);
    soon(serving.task).await.expect("no panic").expect("served");
    only(&guard, 1).await;
}

/// The trap: tonic's timeout ends when the response begins.
#[tokio::test]
async fn only_the_wrapped_stream_ends() {
    let serving = watches(|_| {
        stream::once(async {
            sleep(Duration::from_secs(4)).await;
            Ok(price(1))
        })
    });
    let serving = serving.await;
    let mut client = serving.client();
    let limit = Duration::from_secs(3);
    let mut request = Request::new(item(""));
    request.set_timeout(limit);
    let mut late = client.watch(request).await.expect("it begins").into_inner();
    let late = async { soon(late.message()).await.expect("no error") };
    let mut other = serving.client();
    let wrapped = async {
        let deadline = Deadline::after(limit);
        let call = other.watch(deadline.request(item("")));
        let prices = deadline.call(call).await.expect("it begins");
        let prices = deadline.stream(prices.into_inner());
        soon(prices.take(10).collect::<Vec<_>>()).await
    };
    let (late, wrapped) = tokio::join!(late, wrapped);
    assert_eq!(late, Some(price(1)));
    let [Err(over)] = &wrapped[..] else {
        panic!("{wrapped:?}");
    };
    assert_eq!(over.code(), Code::DeadlineExceeded);
}

#[tokio::test]
async fn streams_of_any_length() {
    let serving = watches(|request| {
        let length = request.get_ref().name.parse().expect("a number");
        Deadline::of(&request).stream(stream::iter((0..length).map(price).map(Ok)))
    });
    let mut client = serving.await.client();
    for length in [0, 1, 129, 1000] {
        let deadline = Deadline::after(MINUTE);
        let request = deadline.request(item(&length.to_string()));
        let prices = client.watch(request).await.expect("it begins");
        let prices = deadline.stream(prices.into_inner());
        let prices: Vec<_> = soon(prices.collect()).await;
        let cents = prices
            .into_iter()
            .map(|price| price.expect("a price").cents);
        assert_eq!(cents.collect::<Vec<_>>(), (0..length).collect::<Vec<_>>());
    }
}

/// Whenever the client gives up, the handler is dropped, and the connection lives on.
#[tokio::test]
async fn a_call_dropped_at_any_await() {
    let guard = Arc::new(());
    let held = Arc::clone(&guard);
    let serving = quotes(move |request| {
        let held = Arc::clone(&held);
        async move {
            if request.get_ref().name == "now" {
                return Ok(price(1));
            }
            let _held = held;
            pending().await
        }
    });
    let serving = serving.await;
    let mut client = serving.client();
    for polls in 0..30 {
        let call = Deadline::after(MINUTE).call(client.quote(Request::new(item(""))));
        assert!(poll_and_drop(call, polls).await.is_none());
    }
    only(&guard, 2).await;
    let answer = soon(client.quote(Request::new(item("now")))).await;
    assert_eq!(answer.expect("it answers").into_inner().cents, 1);
}

/// Its tasks end with the handler, if they are in a `JoinSet`.
#[tokio::test]
async fn the_tasks_of_a_dropped_handler_end() {
    let (guard, began) = (Arc::new(()), Arc::new(Notify::new()));
    let (held, begins) = (Arc::clone(&guard), Arc::clone(&began));
    let serving = quotes(move |_| {
        let (held, begins) = (Arc::clone(&held), Arc::clone(&begins));
        async move {
            let mut tasks = JoinSet::new();
            tasks.spawn(async move {
                begins.notify_one();
                let _held = held;
                pending::<()>().await;
            });
            tasks.join_next().await;
            Err(Status::internal("it has ended"))
        }
    });
    let serving = serving.await;
    let mut client = serving.client();
    let call = tokio::spawn(async move { client.quote(Request::new(item(""))).await });
    soon(began.notified()).await;
    assert!(Arc::strong_count(&guard) > 2);
    call.abort();
    only(&guard, 2).await;
}

/// A client that does not read makes the server's stream wait, and can still drop it.
#[tokio::test]
async fn a_client_that_does_not_read() {
    let (guard, made) = (Arc::new(()), Arc::new(AtomicUsize::new(0)));
    let (held, counts) = (Arc::clone(&guard), Arc::clone(&made));
    let serving = watches(move |request| {
        let (held, counts) = (Arc::clone(&held), Arc::clone(&counts));
        let endless = stream::iter(0..1_000_000).map(move |cents| {
            let _held = &held;
            counts.fetch_add(1, SeqCst);
            let note = vec![0; 16_384];
            Ok(Price { cents, note })
        });
        Deadline::of(&request).stream(endless)
    });
    let serving = serving.await;
    let mut client = serving.client();
    let deadline = Deadline::after(MINUTE);
    let prices = client
        .watch(deadline.request(item("")))
        .await
        .expect("it begins");
    let mut prices = Box::pin(deadline.stream(prices.into_inner()));
    let first = soon(prices.next()).await.expect("one").expect("a price");
    assert_eq!(first.cents, 0);
    let mut before = 0;
    soon(async {
        while before != made.load(SeqCst) {
            before = made.load(SeqCst);
            sleep(Duration::from_millis(300)).await;
        }
    })
    .await;
    // Of 16 KiB each. The window of a connection is 5 MiB at most.
    assert!((1..2_000).contains(&before), "{before}");
    drop(prices);
    only(&guard, 2).await;
}

/// Beyond 4 MiB, the handler is not called, and the connection lives on.
#[tokio::test]
async fn a_message_over_the_limit() {
    let serving = quotes(|request| async move {
        let length = request.get_ref().name.len();
        Ok(price(u32::try_from(length).expect("it is short")))
    });
    let mut client = serving.await.client();
    let limit = 4 * 1024 * 1024;
    let error = soon(client.quote(Request::new(item(&"a".repeat(limit))))).await;
    let error = error.expect_err("it is too long");
    assert_eq!(error.code(), Code::OutOfRange);
    assert!(!may_retry(&error));
    let answer = soon(client.quote(Request::new(item(&"a".repeat(limit - 5))))).await;
    let length = answer.expect("it fits").into_inner().cents;
    assert_eq!(usize::try_from(length), Ok(limit - 5));
}

#[tokio::test]
async fn a_handler_that_panics_fails_its_call_alone() {
    let serving = quotes(|request| async move {
        assert_eq!(request.get_ref().name, "good", "on purpose");
        Ok(price(1))
    });
    let mut client = serving.await.client();
    for _ in 0..3 {
        let call = client.quote(Request::new(item("bad")));
        let error = soon(Deadline::after(MINUTE).call(call)).await;
        let error = error.expect_err("it panics");
        assert!(!may_retry(&error), "{error:?}");
        let answer = soon(client.quote(Request::new(item("good")))).await;
        assert_eq!(answer.expect("it answers").into_inner().cents, 1);
    }
}

/// Those beyond the limit wait in the client.
#[tokio::test]
async fn many_calls_at_once_over_one_channel() {
    let running = Arc::new([AtomicUsize::new(0), AtomicUsize::new(0)]);
    let seen = Arc::clone(&running);
    let quote = move |request: Request<Item>| -> BoxFuture<Price, Status> {
        let running = Arc::clone(&running);
        Box::pin(async move {
            let [now, most] = &*running;
            most.fetch_max(now.fetch_add(1, SeqCst) + 1, SeqCst);
            sleep(Duration::from_millis(5)).await;
            now.fetch_sub(1, SeqCst);
            Ok(price(request.get_ref().name.parse().expect("a number")))
        })
    };
    let watch = |_: Request<Item>| -> BoxStream<Price> { Box::pin(stream::empty()) };
    let mut client = serve(Script { quote, watch }, 10).await.client();
    // The client has to know the limit.
    client
        .quote(Request::new(item("0")))
        .await
        .expect("it answers");
    let calls = (0..129).map(|number| {
        let mut client = client.clone();
        async move {
            let deadline = Deadline::after(MINUTE);
            let request = deadline.request(item(&number.to_string()));
            let answer = deadline.call(client.quote(request)).await;
            assert_eq!(answer.expect("it answers").into_inner().cents, number);
        }
    });
    soon(join_all(calls)).await;
    assert!(seen[1].load(SeqCst) <= 10, "{seen:?}");
}

/// The call under way is answered, a new one may be retried, and the server ends.
#[tokio::test]
async fn a_server_stops_after_its_last_call() {
    let (began, go) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (begins, goes) = (Arc::clone(&began), Arc::clone(&go));
    let serving = quotes(move |_| {
        let (begins, goes) = (Arc::clone(&begins), Arc::clone(&goes));
        async move {
            begins.notify_one();
            goes.notified().await;
            Ok(price(1))
        }
    });
    let serving = serving.await;
    let client = serving.client();
    let mut first = client.clone();
    let call = tokio::spawn(async move { first.quote(Request::new(item(""))).await });
    soon(began.notified()).await;
    serving.stop.send(()).expect("it serves");
    // Until the listener is closed.
    let address = serving.uri.trim_start_matches("http://").to_owned();
    soon(async { while TcpStream::connect(&address).await.is_ok() {} }).await;
    for _ in 0..3 {
        let mut other = client.clone();
        let deadline = Deadline::after(Duration::from_secs(30));
        let call = other.quote(deadline.request(item("")));
        let error = soon(deadline.call(call)).await.expect_err("it stops");
        assert!(may_retry(&error), "{error:?}");
    }
    assert!(!serving.task.is_finished());
    go.notify_one();
    let answer = soon(call).await.expect("no panic").expect("it answers");
    assert_eq!(answer.into_inner().cents, 1);
    drop(client);
    soon(serving.task).await.expect("no panic").expect("served");
}

/// An open stream holds up the shutdown, until the handler or a limit ends it.
#[tokio::test]
async fn a_server_stops_after_its_last_stream() {
    let end = Arc::new(Notify::new());
    let ends = Arc::clone(&end);
    let serving = watches(move |_| {
        let ends = Arc::clone(&ends);
        let rest = stream::pending().take_until(async move { ends.notified().await });
        stream::iter([Ok(price(1))]).chain(rest)
    });
    let mut serving = serving.await;
    let mut client = serving.client();
    let prices = client.watch(Request::new(item(""))).await;
    let mut prices = prices.expect("it begins").into_inner();
    let first = soon(prices.message()).await.expect("no error");
    assert_eq!(first, Some(price(1)));
    serving.stop.send(()).expect("it serves");
    let waits = timeout(Duration::from_millis(200), &mut serving.task).await;
    assert!(waits.is_err(), "{waits:?}");
    end.notify_one();
    let last = soon(prices.message()).await.expect("no error");
    assert_eq!(last, None);
    soon(serving.task).await.expect("no panic").expect("served");
}

/// The reply is lost with the connection. The next call has a new one.
#[tokio::test]
async fn a_connection_that_breaks_may_be_retried() {
    let serving = quotes(|_| async { Ok(price(1)) }).await;
    let proxy = CuttingProxy::start(&serving.uri).await;
    let mut client = connect(proxy.url().to_owned());
    let mut call = async || {
        let call = client.quote(Request::new(item("")));
        soon(Deadline::after(MINUTE).call(call)).await
    };
    call().await.expect("it answers");
    for _ in 0..3 {
        proxy.cut(1);
        let error = call().await.expect_err("it is cut");
        assert!(may_retry(&error), "{error:?}");
        call().await.expect("it answers");
    }
}

/// Forwards one connection to the server until `ended`; then does this with its client.
/// Returns the URI to connect to.
async fn between<F>(
    server: &str,
    ended: impl Future<Output = ()> + Send + 'static,
    then: impl FnOnce(TcpStream) -> F + Send + 'static,
) -> (String, AbortOnDropHandle<()>)
where
    F: Future<Output = ()> + Send,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let uri = format!("http://{}", listener.local_addr().expect("it is bound"));
    let server = server.trim_start_matches("http://").to_owned();
    let forwarding = tokio::spawn(async move {
        let (mut client, _) = listener.accept().await.expect("a client");
        let mut server = TcpStream::connect(server).await.expect("it serves");
        tokio::select! {
            _ = copy_bidirectional(&mut client, &mut server) => {}
            () = ended => then(client).await,
        }
    });
    (uri, AbortOnDropHandle::new(forwarding))
}

/// Forwards one connection until `began`. Then both sides hear nothing.
async fn until_silent(
    server: &str,
    began: Arc<Notify>,
) -> (String, AbortOnDropHandle<()>) {
    let began = async move { began.notified().await };
    between(server, began, async |_client| pending().await).await
}

/// Without a ping, the call would wait forever.
#[tokio::test]
async fn a_server_that_vanishes_is_noticed() {
    let began = Arc::new(Notify::new());
    let begins = Arc::clone(&began);
    let serving = quotes(move |_| {
        begins.notify_one();
        pending()
    });
    let serving = serving.await;
    let (uri, between) = until_silent(&serving.uri, began).await;
    let silence = Duration::from_secs(1);
    let channel = endpoint(uri, silence).expect("a URI").connect_lazy();
    let mut client = ShopClient::new(channel);
    let error = soon(client.quote(Request::new(item("")))).await;
    let error = error.expect_err("it has vanished");
    assert_eq!(error.code(), Code::Unavailable, "{error:?}");
    drop(between);
    yield_now().await;
}

/// Returns what a client is told whose connection ends in the middle of a stream.
async fn broken_off(is_reset: bool) -> String {
    let serving =
        watches(|_| stream::iter([Ok(price(1))]).chain(stream::pending())).await;
    let (ends, ended) = oneshot::channel::<()>();
    let ended = ended.map(|_| ());
    let (uri, _between) = between(&serving.uri, ended, async move |mut client| {
        if is_reset {
            client.set_zero_linger().expect("it is set");
        } else {
            client.shutdown().await.expect("it is connected");
            pending().await
        }
    })
    .await;
    let watching = connect(uri).watch(Request::new(item(""))).await;
    let mut prices = watching.expect("it serves").into_inner();
    prices.next().await.expect("a price").expect("no error");
    ends.send(()).expect("it waits");
    let error = soon(prices.next()).await.expect("an end");
    format!("{:?}", error.expect_err("it is broken off"))
}

/// The words that the table of messages has for it.
#[tokio::test]
async fn a_stream_whose_connection_breaks_off_says_so() {
    let said = [broken_off(true).await, broken_off(false).await];
    let table = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/messages.tsv");
    let table = fs::read_to_string(table).expect("the table");
    let rows = table.lines().filter_map(|row| row.strip_prefix("tonic\t"));
    let messages: Vec<_> = rows.filter_map(|row| row.split('\t').next()).collect();
    assert!(!messages.is_empty());
    for message in messages {
        let is_said = said.iter().any(|text| text.contains(message));
        assert!(is_said, "`{message}` is not in {said:?}");
    }
}

/// Its client sets no limit, and its message never comes.
#[tokio::test(start_paused = true)]
async fn a_call_without_its_message_ends() {
    let serving = quotes(|_| async { Ok(price(1)) }).await;
    let mut client = serving.client();
    client.ready().await.expect("it serves");
    let path = PathAndQuery::from_static("/quote");
    let codec = ProstCodec::<Item, Price>::default();
    let messages = Request::new(stream::pending::<Item>());
    let call = client.0.client_streaming(messages, path, codec);
    let ended = timeout(2 * MOST, call).await.expect("it ends");
    let error = ended.expect_err("it has no message");
    assert_eq!(error.code(), Code::Cancelled, "{error:?}");
}

/// The client may still be sending, and each message may be larger than the window.
#[tokio::test]
async fn a_stream_that_is_answered_early_is_dropped_and_the_answer_arrives() {
    let serving = quotes(|_| async { Ok(price(1)) }).await;
    let mut client = serving.client();
    for length in [0, 100_000] {
        client.ready().await.expect("it serves");
        let guard = Arc::new(());
        let (own, item) = (Arc::clone(&guard), item(&"a".repeat(length)));
        let messages = stream::repeat_with(move || {
            let _own = &own;
            item.clone()
        });
        let path = PathAndQuery::from_static("/early");
        let codec = ProstCodec::<Item, Price>::default();
        let messages = Request::new(messages);
        let answer = soon(client.0.client_streaming(messages, path, codec)).await;
        assert_eq!(answer.expect("an answer").into_inner().cents, 1);
        only(&guard, 1).await;
    }
}

/// Without a ping, its handler would wait forever.
#[tokio::test]
async fn a_client_that_vanishes_is_noticed_and_its_handler_is_dropped() {
    let (guard, began) = (Arc::new(()), Arc::new(Notify::new()));
    let (held, begins) = (Arc::clone(&guard), Arc::clone(&began));
    let quote = move |_: Request<Item>| -> BoxFuture<Price, Status> {
        let held = Arc::clone(&held);
        begins.notify_one();
        Box::pin(async move {
            let _held = held;
            pending().await
        })
    };
    let watch = |_: Request<Item>| -> BoxStream<Price> { Box::pin(stream::empty()) };
    let server = settings(Duration::from_secs(1), 100);
    let serving = serve_with(server, Script { quote, watch }).await;
    let (uri, between) = until_silent(&serving.uri, began).await;
    let mut client = connect(uri);
    let calling = tokio::spawn(async move { client.quote(Request::new(item(""))).await });
    // The test, the service, and its handler, until that is dropped.
    only(&guard, 3).await;
    only(&guard, 2).await;
    assert!(!calling.is_finished(), "the client knows nothing");
    calling.abort();
    drop(between);
    yield_now().await;
}
