//! Test an axum server: without a socket by tower's `oneshot`, and with one on port 0.
//!
//! A `Router` is a function from request to response, so a test can call it, as one does
//! with httpx's `ASGITransport`. That needs no port and no client, and works on the
//! paused clock, where a timeout of 30 s is over at once. The trap is what a function
//! call has not: a connection. `MockConnectInfo` gives handlers an address in the test,
//! but a server started by `axum::serve(listener, app)` gives them none. A panic ends the
//! test; of a server it ends one connection only. And only a real client can leave, which
//! drops its handler at an await. So test routes and answers by `oneshot`, and starting,
//! stopping and clients that leave with a socket, on the real clock, as the paused one
//! runs ahead of sockets.
//!
//! asyncio: asyncio.start_server, asyncio.timeout, asyncio.CancelledError
//! clock: real
//! stderr: the bug
//! twin: none (aiohttp cannot be called without a socket)

use std::error::Error;
use std::future::pending;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::connect_info::MockConnectInfo;
use axum::extract::{ConnectInfo, Path, State};
use axum::http::{Request, StatusCode};
use axum::routing::get;
use reqwest::Client;
use tokio::net::TcpListener;
use tokio::runtime::Builder;
use tokio::sync::oneshot;
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::{Instant, interval_at, sleep, timeout};
use tokio_util::task::AbortOnDropHandle;
use tower::ServiceExt;

type Failure = Box<dyn Error + Send + Sync>;

/// What is tested. Its upstream takes so long.
pub fn app(upstream: Duration) -> Router {
    Router::new()
        .route("/items/{id}", get(item))
        .route("/report", get(report))
        .route("/address", get(address))
        .route("/wait", get(wait))
        .with_state(upstream)
}

async fn item(Path(id): Path<u32>) -> Result<String, StatusCode> {
    match id {
        1..=3 => Ok(format!("item {id}")),
        4 => panic!("the bug"),
        _ => Err(StatusCode::NOT_FOUND),
    }
}

async fn report(State(upstream): State<Duration>) -> Result<&'static str, StatusCode> {
    let fetch = timeout(Duration::from_secs(30), sleep(upstream));
    fetch.await.map_err(|_| StatusCode::GATEWAY_TIMEOUT)?;
    Ok("the report")
}

async fn address(ConnectInfo(client): ConnectInfo<SocketAddr>) -> String {
    client.ip().to_string()
}

async fn wait() {
    let _guard = TellsOfDrop;
    pending().await
}

struct TellsOfDrop;

impl Drop for TellsOfDrop {
    fn drop(&mut self) {
        println!("the handler is dropped");
    }
}

/// Calls the app as a function. Clone it for more than one call.
///
/// # Errors
///
/// When the path is none, or the body is longer than a megabyte.
pub async fn call(app: Router, path: &str) -> Result<(StatusCode, String), Failure> {
    let response = app.oneshot(Request::get(path).body(Body::empty())?).await?;
    let status = response.status();
    let body = to_bytes(response.into_body(), 1 << 20).await?;
    Ok((status, String::from_utf8_lossy(&body).into_owned()))
}

/// The app on a port of its own. Dropped, it stops too, but what has begun runs on.
pub struct TestServer {
    pub address: SocketAddr,
    stop: oneshot::Sender<()>,
    task: JoinHandle<io::Result<()>>,
}

impl TestServer {
    /// Requests are answered as soon as this returns.
    ///
    /// # Errors
    ///
    /// When there is no port.
    pub async fn start(app: Router) -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let (stop, stopped) = oneshot::channel();
        let app = app.into_make_service_with_connect_info::<SocketAddr>();
        // It also goes on when the sender is dropped.
        let server = axum::serve(listener, app).with_graceful_shutdown(async {
            let _ = stopped.await;
        });
        let task = tokio::spawn(async { server.await });
        Ok(Self {
            address,
            stop,
            task,
        })
    }

    /// Lets requests end that have begun. It has no limit in time.
    ///
    /// # Errors
    ///
    /// When the server has ended before, in a panic.
    pub async fn stop(self) -> Result<(), Failure> {
        let _ = self.stop.send(());
        Ok(self.task.await??)
    }
}

/// A client that keeps no connection. Making one takes milliseconds, so it is shared.
fn client() -> Result<Client, reqwest::Error> {
    Client::builder()
        .no_proxy()
        .pool_max_idle_per_host(0)
        .timeout(Duration::from_secs(20))
        .build()
}

async fn ask(
    client: &Client,
    server: SocketAddr,
    path: &str,
) -> Result<(StatusCode, String), Failure> {
    let response = client.get(format!("http://{server}{path}")).send().await?;
    Ok((response.status(), response.text().await?))
}

fn tell(path: &str, answer: Result<(StatusCode, String), Failure>) {
    match answer {
        Ok((status, text)) => println!("{path}: {} {text:?}", status.as_u16()),
        Err(_) => println!("{path}: no answer"),
    }
}

/// A test on the paused clock: how long the report takes then.
fn slow_report() -> io::Result<(StatusCode, Duration)> {
    let mut runtime = Builder::new_current_thread();
    let runtime = runtime.enable_time().start_paused(true).build()?;
    runtime.block_on(async {
        let start = Instant::now();
        let answer = call(app(Duration::from_secs(60)), "/report").await;
        let (status, _) = answer.map_err(io::Error::other)?;
        Ok((status, start.elapsed()))
    })
}

pub async fn run() -> Result<(), Failure> {
    // Each part begins at its time, however long the one before it took.
    let first = Instant::now() + Duration::from_millis(500);
    let mut part = interval_at(first, Duration::from_millis(500));
    let app = app(Duration::from_millis(200));
    let client = client()?;

    part.tick().await;
    println!("As a function:");
    for path in ["/items/1", "/items/9", "/items/x"] {
        tell(path, call(app.clone(), path).await);
    }
    let panics = tokio::spawn(call(app.clone(), "/items/4"));
    if panics.await.is_err_and(|error| error.is_panic()) {
        println!("/items/4: a panic in the test");
    }

    part.tick().await;
    println!("On a paused clock, with an upstream that takes a minute:");
    let (status, took) = spawn_blocking(slow_report).await??;
    println!("/report: {} after {} s", status.as_u16(), took.as_secs());

    part.tick().await;
    println!("With a mock of the client's address:");
    let mock = MockConnectInfo(SocketAddr::from(([10, 0, 0, 1], 80)));
    tell("/address", call(app.clone().layer(mock), "/address").await);
    println!("With a socket, started without the addresses:");
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let nameless = listener.local_addr()?;
    let server = axum::serve(listener, app.clone());
    let server = AbortOnDropHandle::new(tokio::spawn(async { server.await }));
    if let Ok((status, _)) = ask(&client, nameless, "/address").await {
        println!("/address: {}", status.as_u16());
    }
    drop(server);

    part.tick().await;
    println!("With a socket:");
    let server = TestServer::start(app).await?;
    for path in ["/address", "/items/4", "/items/1"] {
        tell(path, ask(&client, server.address, path).await);
    }

    part.tick().await;
    println!("A client that leaves:");
    let answer = ask(&client, server.address, "/wait");
    if timeout(Duration::from_millis(200), answer).await.is_err() {
        println!("/wait: given up");
    }

    part.tick().await;
    println!("A stop during a request:");
    let last = tokio::spawn({
        let (client, address) = (client.clone(), server.address);
        async move { tell("/report", ask(&client, address, "/report").await) }
    });
    sleep(Duration::from_millis(100)).await;
    let address = server.address;
    server.stop().await?;
    last.await?;
    tell("/items/1", ask(&client, address, "/items/1").await);
    Ok(())
}

#[tokio::main]
pub async fn main() -> Result<(), Failure> {
    run().await
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::time::Duration;

    use axum::Router;
    use axum::http::StatusCode;
    use axum::routing::get;
    use futures::future::join_all;
    use tokio::sync::{mpsc, watch};
    use tokio::time::timeout;

    use super::{Failure, TestServer, app, ask, call, client};

    const MS: Duration = Duration::from_millis(1);
    const LONG: Duration = Duration::from_secs(20);

    #[tokio::test(start_paused = true)]
    async fn the_limit_of_the_report() -> Result<(), Failure> {
        for (upstream, expected) in [
            (30_000 * MS - MS, StatusCode::OK),
            (30_000 * MS + MS, StatusCode::GATEWAY_TIMEOUT),
        ] {
            let (status, _) = call(app(upstream), "/report").await?;
            assert_eq!(status, expected);
        }
        Ok(())
    }

    #[tokio::test]
    async fn routes() -> Result<(), Failure> {
        let app = app(MS);
        for (path, expected) in [("/items/3", 200), ("/items/0", 404), ("/", 404)] {
            let (status, _) = call(app.clone(), path).await?;
            assert_eq!(status.as_u16(), expected, "{path}");
        }
        assert!(call(app, "no path").await.is_err());
        Ok(())
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn twenty_servers_at_once() -> Result<(), Failure> {
        let one = async |number: u32| {
            let server = TestServer::start(app(MS)).await?;
            let path = format!("/items/{}", number % 3 + 1);
            let (_, text) = ask(&client()?, server.address, &path).await?;
            assert_eq!(text, format!("item {}", number % 3 + 1));
            timeout(LONG, server.stop()).await?
        };
        join_all((0..20).map(one)).await.into_iter().collect()
    }

    #[tokio::test]
    async fn dropped_it_stops() -> Result<(), Failure> {
        let server = TestServer::start(app(MS)).await?;
        let address = server.address;
        drop(server);
        tokio::task::yield_now().await;
        assert!(ask(&client()?, address, "/items/1").await.is_err());
        Ok(())
    }

    #[tokio::test]
    async fn stop_waits_for_a_request() -> Result<(), Failure> {
        let (begun, mut has_begun) = mpsc::channel(1);
        let (release, released) = watch::channel(false);
        let handler = async move || {
            let mut released = released.clone();
            begun.send(()).await.expect("the test is there");
            released.wait_for(|is_released| *is_released).await.is_ok()
        };
        let handler = async move || handler().await.to_string();
        let server = TestServer::start(Router::new().route("/", get(handler))).await?;
        let address = server.address;
        let request = tokio::spawn(async move { ask(&client()?, address, "/").await });
        has_begun.recv().await;

        let mut stop = pin!(server.stop());
        assert!(timeout(20 * MS, stop.as_mut()).await.is_err());
        release.send(true)?;
        timeout(LONG, stop).await??;
        let (_, text) = request.await??;
        assert_eq!(text, "true");
        Ok(())
    }
}
