//! Share an HTTP client between tests without "runtime dropped the dispatch task".
//!
//! Each `#[tokio::test]` has its own runtime, and tasks of this runtime serve the
//! connections that the test opens. If tests share a reqwest `Client` and one test ends,
//! its runtime ends too, and requests of other tests on its connections fail.
//! `cargo test` runs tests in parallel, so this happens only now and then. A pool of
//! database connections in a `static` fails in the same way, and so does any client that
//! outlives its runtime, as httpx's does over several calls of `asyncio.run`.
//!
//! Make a client for each test, or set `pool_max_idle_per_host(0)`, so that no connection
//! is kept. If tests must share an expensive resource, use one runtime for all tests:
//! call `RUNTIME.block_on(..)`, the static below, in a plain `#[test]`. This is like
//! pytest-asyncio's `loop_scope="session"`.
//!
//! Trap: If you print the error of reqwest, you see only "error sending request". The
//! reason is in the sources of the error: print them, as `with_sources` below does.
//!
//! See also: `http_requests`, `test_a_server`, `unit_testing`.
//!
//! asyncio: asyncio.Runner, asyncio.run, loop.close, asyncio.to_thread
//! differs: an aiohttp session fails in each test but the first, and says so immediately

use std::error::Error;
use std::iter::successors;
use std::sync::LazyLock;
use std::time::Duration;

use reqwest::Client;
use tokio::runtime::{Builder, Runtime};

/// Returns a client for a test. It keeps connections, and shares them with its clones.
///
/// # Panics
///
/// If TLS cannot be set up; without TLS, never.
pub fn client() -> Client {
    let builder = Client::builder().no_proxy().timeout(Duration::from_secs(5));
    builder.build().expect("without TLS nothing can fail")
}

/// The cure for a resource that tests must share: a runtime that outlives them. Its
/// threads drive the connections between two tests. In a plain `#[test]`, call
/// `RUNTIME.block_on(async { .. })`.
pub static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| {
    let mut builder = Builder::new_multi_thread();
    let runtime = builder.worker_threads(2).enable_all().build();
    runtime.expect("there are threads for it")
});

/// Returns the texts of an error and of its sources, as a test should print them.
pub fn with_sources(error: &dyn Error) -> String {
    let errors = successors(Some(error), |&error| error.source());
    let texts: Vec<_> = errors.map(ToString::to_string).collect();
    texts.join(": ")
}

/// Fetches a page, and prints the reason if it fails: `cargo run -- http://localhost/`.
#[tokio::main]
async fn main() -> Result<(), &'static str> {
    let url = std::env::args().nth(1).ok_or("usage: URL")?;
    match client().get(url).send().await {
        Ok(response) => println!("{}", response.status()),
        Err(error) => println!("{}", with_sources(&error)),
    }
    Ok(())
}

//@ clock: real
//@ try: http://127.0.0.1:1/ -> refused
