//! Two servers, the second called by the first: a deadline for both, a client that gives
//! up, streams, and a server that stops.

use std::convert::Infallible;
use std::error;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::task::{Context, Poll};
use std::time::Duration;

use futures::{FutureExt, StreamExt, stream};
use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::oneshot;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tonic::body::Body;
use tonic::client;
use tonic::codegen::http::{self, uri::PathAndQuery};
use tonic::codegen::{BoxFuture, BoxStream, Service};
use tonic::server::{self, ServerStreamingService, UnaryService};
use tonic::transport::{Channel, Error, server::TcpIncoming};
use tonic::{Code, Request, Response, Status, Streaming};
use tonic_prost::ProstCodec;

use crate::grpc_calls::{Deadline, MOST, endpoint, may_retry, server as settings};

type Failure = Box<dyn error::Error + Send + Sync>;

const SILENCE: Duration = Duration::from_secs(300);

// From here to the end of `ShopServer`: what `tonic-prost-build` makes of a .proto file.

/// message Item { string name = 1; }
#[derive(Clone, PartialEq, prost::Message)]
pub struct Item {
    #[prost(string, tag = "1")]
    pub name: String,
}

/// message Price { uint32 cents = 1; bytes note = 2; }
#[derive(Clone, PartialEq, prost::Message)]
pub struct Price {
    #[prost(uint32, tag = "1")]
    pub cents: u32,
    #[prost(bytes = "vec", tag = "2")]
    pub note: Vec<u8>,
}

/// service Shop {
///     rpc Quote(Item) returns (Price);
///     rpc Watch(Item) returns (stream Price);
/// }
pub trait Shop: Send + Sync + 'static {
    fn quote(
        &self,
        request: Request<Item>,
    ) -> impl Future<Output = Result<Response<Price>, Status>> + Send;

    fn watch(
        &self,
        request: Request<Item>,
    ) -> impl Future<Output = Result<Response<BoxStream<Price>>, Status>> + Send;
}

#[derive(Clone, Debug)]
pub struct ShopClient(client::Grpc<Channel>);

impl ShopClient {
    pub fn new(channel: Channel) -> Self {
        Self(client::Grpc::new(channel))
    }

    async fn ready(&mut self) -> Result<(), Status> {
        let ready = self.0.ready().await;
        ready.map_err(|error| Status::unavailable(error.to_string()))
    }

    pub async fn quote(
        &mut self,
        item: Request<Item>,
    ) -> Result<Response<Price>, Status> {
        self.ready().await?;
        let path = PathAndQuery::from_static("/shop.Shop/Quote");
        self.0.unary(item, path, ProstCodec::default()).await
    }

    pub async fn watch(
        &mut self,
        item: Request<Item>,
    ) -> Result<Response<Streaming<Price>>, Status> {
        self.ready().await?;
        let path = PathAndQuery::from_static("/shop.Shop/Watch");
        self.0
            .server_streaming(item, path, ProstCodec::default())
            .await
    }
}

struct Quote<S>(Arc<S>);

impl<S: Shop> UnaryService<Item> for Quote<S> {
    type Response = Price;
    type Future = BoxFuture<Response<Price>, Status>;

    fn call(&mut self, request: Request<Item>) -> Self::Future {
        let shop = Arc::clone(&self.0);
        Box::pin(async move { shop.quote(request).await })
    }
}

struct Watch<S>(Arc<S>);

impl<S: Shop> ServerStreamingService<Item> for Watch<S> {
    type Response = Price;
    type ResponseStream = BoxStream<Price>;
    type Future = BoxFuture<Response<BoxStream<Price>>, Status>;

    fn call(&mut self, request: Request<Item>) -> Self::Future {
        let shop = Arc::clone(&self.0);
        Box::pin(async move { shop.watch(request).await })
    }
}

#[derive(Debug)]
pub struct ShopServer<S>(Arc<S>);

impl<S> ShopServer<S> {
    pub fn new(shop: S) -> Self {
        Self(Arc::new(shop))
    }
}

impl<S> Clone for ShopServer<S> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<S: Shop> Service<http::Request<Body>> for ShopServer<S> {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<Self::Response, Infallible>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let shop = Arc::clone(&self.0);
        Box::pin(async move {
            let mut grpc = server::Grpc::new(ProstCodec::default());
            Ok(match request.uri().path() {
                "/shop.Shop/Quote" => grpc.unary(Quote(shop), request).await,
                "/shop.Shop/Watch" => grpc.server_streaming(Watch(shop), request).await,
                _ => Status::unimplemented("no such method").into_http(),
            })
        })
    }
}

/// Counts the handlers and tasks that were dropped before their end.
#[derive(Clone, Default)]
struct Stopped(Arc<AtomicUsize>);

impl Stopped {
    fn guard(&self) -> Guard {
        Guard(Some(self.clone()))
    }

    fn take(&self) -> usize {
        self.0.swap(0, Relaxed)
    }
}

struct Guard(Option<Stopped>);

impl Guard {
    fn done(mut self) {
        self.0 = None;
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        if let Some(stopped) = &self.0 {
            stopped.0.fetch_add(1, Relaxed);
        }
    }
}

/// The server that clients call. It asks the second one.
struct Front {
    stock: ShopClient,
    stopped: Stopped,
}

impl Shop for Front {
    async fn quote(&self, request: Request<Item>) -> Result<Response<Price>, Status> {
        let deadline = Deadline::of(&request);
        let guard = self.stopped.guard();
        sleep(Duration::from_millis(100)).await;
        let item = deadline.request(request.into_inner());
        let price = deadline.call(self.stock.clone().quote(item)).await?;
        guard.done();
        Ok(Response::new(price.into_inner()))
    }

    async fn watch(
        &self,
        request: Request<Item>,
    ) -> Result<Response<BoxStream<Price>>, Status> {
        let deadline = Deadline::of(&request);
        let item = deadline.request(request.into_inner());
        let prices = deadline.call(self.stock.clone().watch(item)).await?;
        let prices = deadline.stream(prices.into_inner());
        Ok(Response::new(Box::pin(prices)))
    }
}

/// The second server.
struct Stock {
    stopped: Stopped,
}

impl Shop for Stock {
    async fn quote(&self, request: Request<Item>) -> Result<Response<Price>, Status> {
        let deadline = Deadline::of(&request);
        let (guard, of_task) = (self.stopped.guard(), self.stopped.guard());
        // Dropped with this handler.
        let mut tasks = JoinSet::new();
        match &*request.get_ref().name {
            "tea" => {
                let left = deadline.left().as_secs();
                println!("the second server has {left} s left");
            }
            "salt" => sleep(Duration::from_millis(200)).await,
            _ => {
                tasks.spawn(async move {
                    let _guard = of_task;
                    sleep(SILENCE).await;
                });
                tasks.join_next().await;
                return Err(Status::internal("the task has ended"));
            }
        }
        guard.done();
        of_task.done();
        Ok(Response::new(Price {
            cents: 300,
            note: Vec::new(),
        }))
    }

    async fn watch(
        &self,
        request: Request<Item>,
    ) -> Result<Response<BoxStream<Price>>, Status> {
        let deadline = Deadline::of(&request);
        let (guard, pause) = match &*request.get_ref().name {
            "tea" => (Some(self.stopped.guard()), 0),
            _ => (None, 100),
        };
        let prices = stream::iter(1..=1000).then(move |cents| {
            let _owned = &guard;
            async move {
                sleep(Duration::from_millis(pause)).await;
                let note = vec![0; 16_384];
                Ok(Price { cents, note })
            }
        });
        Ok(Response::new(Box::pin(deadline.stream(prices))))
    }
}

fn item(name: &str) -> Item {
    Item { name: name.into() }
}

fn show(result: Result<Response<Price>, Status>) {
    match result {
        Ok(price) => println!("cents: {}", price.into_inner().cents),
        Err(status) => show_status(&status),
    }
}

fn show_status(status: &Status) {
    match status.code() {
        Code::DeadlineExceeded => println!("the deadline is over"),
        _ if may_retry(status) => println!("the server is unavailable: retry"),
        code => println!("{code:?}: do not retry"),
    }
}

/// A server in a task, until it is told to stop.
struct Serving {
    uri: String,
    stop: oneshot::Sender<()>,
    task: JoinHandle<Result<(), Error>>,
}

async fn serve(shop: impl Shop) -> Result<Serving, Failure> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let uri = format!("http://{}", listener.local_addr()?);
    let (stop, stopped) = oneshot::channel();
    let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
    let stopped = stopped.map(|_| ());
    let server = settings(SILENCE, 100);
    let serving =
        server.serve_with_incoming_shutdown(ShopServer::new(shop), incoming, stopped);
    let task = tokio::spawn(serving);
    Ok(Serving { uri, stop, task })
}

fn connect(uri: String) -> Result<ShopClient, Error> {
    Ok(ShopClient::new(endpoint(uri, SILENCE)?.connect_lazy()))
}

pub async fn run() -> Result<(), Failure> {
    let start = Instant::now();
    let at = |millis| sleep_until(start + Duration::from_millis(millis));
    let stopped = Stopped::default();
    let stock = serve(Stock {
        stopped: stopped.clone(),
    });
    let stock = stock.await?;
    let front = serve(Front {
        stock: connect(stock.uri)?,
        stopped: stopped.clone(),
    });
    let front = front.await?;
    let mut client = connect(front.uri)?;

    at(400).await;
    println!("A call of at most 30 s, through two servers:");
    let deadline = Deadline::after(Duration::from_secs(30));
    show(
        deadline
            .call(client.quote(deadline.request(item("tea"))))
            .await,
    );

    at(600).await;
    println!("A call that takes longer than its deadline:");
    let deadline = Deadline::after(Duration::from_millis(300));
    show(
        deadline
            .call(client.quote(deadline.request(item("cake"))))
            .await,
    );
    at(1000).await;
    println!("handlers and tasks that were stopped: {}", stopped.take());

    at(1200).await;
    println!("A client that gives up:");
    let calling = client.quote(Request::new(item("cake")));
    let given_up = timeout(Duration::from_millis(200), calling).await;
    if given_up.is_err() {
        println!("given up");
    }
    at(1500).await;
    println!("handlers and tasks that were stopped: {}", stopped.take());

    at(1600).await;
    println!("A stream of 1,000 messages, of which the client reads 3:");
    let mut prices = client.watch(Request::new(item("tea"))).await?.into_inner();
    for _ in 0..3 {
        prices.message().await?;
    }
    drop(prices);
    at(1800).await;
    println!("streams that were stopped: {}", stopped.take());

    at(2000).await;
    println!("A deadline in the middle of a stream:");
    let deadline = Deadline::after(Duration::from_millis(250));
    let prices = deadline
        .call(client.watch(deadline.request(item("salt"))))
        .await?;
    let mut prices = pin!(deadline.stream(prices.into_inner()));
    while let Some(price) = prices.next().await {
        show(price.map(Response::new));
    }

    at(2400).await;
    println!("Nobody listens:");
    let socket = TcpSocket::new_v4()?;
    socket.bind("127.0.0.1:0".parse()?)?;
    let mut nobody = connect(format!("http://{}", socket.local_addr()?))?;
    let deadline = Deadline::after(MOST);
    show(
        deadline
            .call(nobody.quote(deadline.request(item("tea"))))
            .await,
    );

    at(2600).await;
    println!("The server stops while it answers:");
    let mut other = client.clone();
    let call = async { show(client.quote(Request::new(item("salt"))).await) };
    let stop = async {
        at(2700).await;
        // It fails if the server has ended by itself.
        let _ = front.stop.send(());
        at(2800).await;
        let deadline = Deadline::after(MOST);
        show(
            deadline
                .call(other.quote(deadline.request(item("tea"))))
                .await,
        );
    };
    tokio::join!(call, stop);
    drop((client, other));
    front.task.await??;
    at(3000).await;
    println!("the server has stopped");
    // Its client was the first server.
    let _ = stock.stop.send(());
    Ok(stock.task.await??)
}
