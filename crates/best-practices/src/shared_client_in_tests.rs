//! Share an HTTP client between tests: "runtime dropped the dispatch task", and the cure.
//!
//! Each `#[tokio::test]` has a runtime of its own, as each test of pytest-asyncio has its
//! event loop. An aiohttp session belongs to one loop, and in the next test it says
//! "Event loop is closed". A reqwest `Client` belongs to no runtime, so in a static it
//! seems to work. The trap: the connections that it keeps are driven by tasks of the
//! runtime that opened them. When that test ends, so do the requests of others on its
//! connections; and tests run at once, so it fails now and then. The error says "error
//! sending request", and the reason stands in its sources. Make a client for each test.
//! What is too dear for that lives in one runtime for all tests, in a static: `#[test]`
//! and `block_on`. In the program itself one client for all is right, as there is one
//! runtime: `http_requests`.
//!
//! asyncio: asyncio.Runner, asyncio.run, loop.close, asyncio.to_thread
//! clock: real
//! differs: an aiohttp session fails in each test but the first, and tells it at once

use std::error::Error;
use std::io;
use std::iter::successors;
use std::sync::Arc;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use axum::serve::ListenerExt;
use reqwest::Client;
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};
use tokio::task::spawn_blocking;
use tokio::time::{Instant, interval_at, sleep};
use tokio_util::task::AbortOnDropHandle;

type Failure = Box<dyn Error + Send + Sync>;

/// The mistake: a client that outlives the runtimes of the tests.
static CLIENT: LazyLock<Client> = LazyLock::new(client);

/// A client for a test. Connections are kept in it, and in its clones.
///
/// # Panics
///
/// When TLS cannot be set up; without TLS, never.
pub fn client() -> Client {
    let builder = Client::builder().no_proxy().timeout(Duration::from_secs(5));
    builder.build().expect("without TLS nothing can fail")
}

/// The cure where something has to be shared: a runtime that outlives the tests.
///
/// Its threads drive what one test leaves behind for the next. In a test:
/// `RUNTIME.block_on(async { .. })`, in a plain `#[test]`.
pub static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| {
    let mut builder = Builder::new_multi_thread();
    let runtime = builder.worker_threads(2).enable_all().build();
    runtime.expect("there are threads for it")
});

/// An error with its sources, as a test should print it.
pub fn with_sources(error: &dyn Error) -> String {
    let errors = successors(Some(error), |&error| error.source());
    let texts: Vec<_> = errors.map(ToString::to_string).collect();
    texts.join(": ")
}

/// What `#[tokio::test]` makes of a test: it has a runtime, and ends with it.
fn test(body: impl Future<Output = ()>) -> io::Result<()> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(body);
    Ok(())
}

async fn fetch(client: &Client, url: &str) -> reqwest::Result<String> {
    let response = client.get(url).send().await?;
    response.error_for_status()?.text().await
}

async fn fetch_and_tell(name: &str, client: &Client, url: &str) {
    match fetch(client, url).await {
        Ok(text) => println!("{name}: {text}"),
        Err(error) => println!("{name}: {}", with_sources(&error.without_url())),
    }
}

pub async fn run() -> Result<(), Failure> {
    let part = Duration::from_millis(400);
    let mut part = interval_at(Instant::now() + part, part);
    let server = Server::start().await?;
    let url = format!("{}/hello", server.url);

    part.tick().await;
    println!("One client, one test after the other:");
    for name in ["first", "second"] {
        let url = url.clone();
        let body = move || test(fetch_and_tell(name, &CLIENT, &url));
        spawn_blocking(body).await??;
    }

    part.tick().await;
    println!("One client, and the first test ends before the second:");
    server.new_connections();
    let url_of_first = url.clone();
    let first = spawn_blocking(move || {
        test(async {
            fetch_and_tell("first", &CLIENT, &url_of_first).await;
            sleep(Duration::from_millis(200)).await;
        })
    });
    sleep(Duration::from_millis(100)).await;
    let slow = format!("{}/slow", server.url);
    let second = spawn_blocking(move || test(fetch_and_tell("second", &CLIENT, &slow)));
    first.await??;
    second.await??;
    println!("connections: {}", server.new_connections());

    part.tick().await;
    println!("A client for each test:");
    for name in ["first", "second"] {
        let url = url.clone();
        let body = move || test(async { fetch_and_tell(name, &client(), &url).await });
        spawn_blocking(body).await??;
    }
    println!("connections: {}", server.new_connections());

    part.tick().await;
    println!("One client, and one runtime for all tests:");
    let shared = client();
    for name in ["first", "second"] {
        let (url, client) = (url.clone(), shared.clone());
        let body = async move {
            fetch_and_tell(name, &client, &url).await;
            // The connection can be used again a moment after the answer.
            sleep(Duration::from_millis(100)).await;
        };
        spawn_blocking(|| RUNTIME.block_on(body)).await?;
    }
    println!("connections: {}", server.new_connections());
    Ok(())
}

/// Counts the connections that are made to it.
struct Server {
    url: String,
    connections: Arc<AtomicUsize>,
    _task: AbortOnDropHandle<io::Result<()>>,
}

impl Server {
    async fn start() -> io::Result<Self> {
        let app = Router::new().route("/hello", get("hello")).route(
            "/slow",
            get(async || {
                sleep(Duration::from_millis(200)).await;
                "slow"
            }),
        );
        let connections = Arc::new(AtomicUsize::new(0));
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}", listener.local_addr()?);
        let count = Arc::clone(&connections);
        let listener = listener.tap_io(move |_| {
            count.fetch_add(1, Ordering::Relaxed);
        });
        let task = tokio::spawn(async { axum::serve(listener, app).await });
        let _task = AbortOnDropHandle::new(task);
        Ok(Self {
            url,
            connections,
            _task,
        })
    }

    /// How many were made since it was last asked.
    fn new_connections(&self) -> usize {
        self.connections.swap(0, Ordering::Relaxed)
    }
}

#[tokio::main]
pub async fn main() -> Result<(), Failure> {
    run().await
}

#[cfg(test)]
mod tests {
    use std::thread;
    use std::time::Duration;

    use tokio::sync::oneshot;
    use tokio::time::{Instant, sleep};

    use super::{Failure, RUNTIME, Server, client, fetch, test, with_sources};

    // As a reader would write it: a client for each test.
    #[tokio::test]
    async fn with_a_client_of_its_own() -> Result<(), Failure> {
        let server = Server::start().await?;
        let text = fetch(&client(), &format!("{}/hello", server.url)).await?;
        assert_eq!(text, "hello");
        Ok(())
    }

    /// The request of the second test is on its way when the runtime of the first ends.
    #[test]
    fn the_runtime_of_the_connection_ends() -> Result<(), Failure> {
        let server = RUNTIME.block_on(Server::start())?;
        let (hello, slow) = (
            format!("{}/hello", server.url),
            format!("{}/slow", server.url),
        );
        let shared = client();
        let (opened, is_opened) = oneshot::channel();
        let first = thread::spawn({
            let client = shared.clone();
            move || {
                test(async {
                    fetch(&client, &hello).await.expect("the server is there");
                    // The connection goes back to the client a moment later.
                    sleep(Duration::from_millis(10)).await;
                    opened.send(()).expect("the second waits");
                    sleep(Duration::from_millis(100)).await;
                })
            }
        });
        let start = Instant::now();
        test(async {
            is_opened.await.expect("the first says so");
            let error = fetch(&shared, &slow).await.expect_err("it is cut off");
            let text = with_sources(&error.without_url());
            let expected = "error sending request: client error (SendRequest): \
                            dispatch task is gone: runtime dropped the dispatch task";
            assert_eq!(text, expected);
            // The next one opens a connection of its own.
            fetch(&shared, &slow).await.expect("it is opened anew");
        })?;
        assert!(start.elapsed() < Duration::from_secs(4));
        first.join().expect("it does not panic")?;
        assert_eq!(server.new_connections(), 2);
        Ok(())
    }

    #[test]
    fn twenty_tests_in_one_runtime() -> Result<(), Failure> {
        let server = RUNTIME.block_on(Server::start())?;
        let (client, url) = (client(), format!("{}/slow", server.url));
        thread::scope(|scope| {
            let tests = [(); 20].map(|()| {
                scope.spawn(|| RUNTIME.block_on(async { fetch(&client, &url).await }))
            });
            for test in tests {
                assert_eq!(test.join().expect("it does not panic")?, "slow");
            }
            Ok(())
        })
    }

    /// What one test leaves behind goes on while nobody is in `block_on`.
    #[test]
    fn the_shared_runtime_goes_on() {
        let (done, is_done) = std::sync::mpsc::channel();
        RUNTIME.block_on(async {
            tokio::spawn(async move {
                sleep(Duration::from_millis(10)).await;
                done.send(()).expect("the test waits");
            });
        });
        let waited = is_done.recv_timeout(Duration::from_secs(20));
        assert_eq!(waited, Ok(()));
    }
}
