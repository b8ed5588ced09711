use std::error::Error;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use axum::serve::ListenerExt;
use tokio::net::TcpListener;
use tokio::runtime::Builder;
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep};

use crate::shared_client_in_tests::{RUNTIME, client, with_sources};

type BoxError = Box<dyn Error + Send + Sync>;

/// Serves for as long as the runtime lives, and counts its connections.
struct Server {
    url: String,
    connections: Arc<AtomicUsize>,
}

impl Server {
    async fn start() -> io::Result<Self> {
        let slow = async || {
            sleep(Duration::from_millis(200)).await;
            "slow"
        };
        let app = Router::new().route("/hello", get("hello"));
        let app = app.route("/slow", get(slow));
        let connections = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&connections);
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}", listener.local_addr()?);
        let listener = listener.tap_io(move |_| {
            count.fetch_add(1, Ordering::Relaxed);
        });
        tokio::spawn(async { axum::serve(listener, app).await });
        Ok(Self { url, connections })
    }

    fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }
}

async fn fetch(client: &reqwest::Client, url: &str) -> reqwest::Result<String> {
    client.get(url).send().await?.text().await
}

/// Runs a test as `#[tokio::test]` does: on a runtime that ends with it.
fn test(body: impl Future<Output = ()>) -> io::Result<()> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(body);
    Ok(())
}

// As a reader would write it: a client for each test.
#[tokio::test]
async fn with_a_client_of_its_own() -> Result<(), BoxError> {
    let server = Server::start().await?;
    let text = fetch(&client(), &format!("{}/hello", server.url)).await?;
    assert_eq!(text, "hello");
    Ok(())
}

/// The request of the second test is on its way when the runtime of the first ends.
#[test]
fn the_runtime_of_the_connection_ends() -> Result<(), BoxError> {
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
        // The next one opens its own connection.
        fetch(&shared, &slow).await.expect("it is opened anew");
    })?;
    assert!(start.elapsed() < Duration::from_secs(4));
    first.join().expect("it does not panic")?;
    assert_eq!(server.connections(), 2);
    Ok(())
}

#[test]
fn twenty_tests_in_one_runtime() -> Result<(), BoxError> {
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

/// What one test leaves behind continues while nobody is in `block_on`.
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

/// The other cure: a client that keeps no connection has none of another runtime.
#[test]
fn a_client_without_idle_connections() -> Result<(), BoxError> {
    let server = RUNTIME.block_on(Server::start())?;
    let url = format!("{}/hello", server.url);
    let builder = reqwest::Client::builder().no_proxy();
    let shared = builder.pool_max_idle_per_host(0).build()?;
    for _ in 0..2 {
        test(async {
            let text = fetch(&shared, &url).await;
            assert_eq!(text.ok().as_deref(), Some("hello"));
        })?;
    }
    assert_eq!(server.connections(), 2);
    Ok(())
}
