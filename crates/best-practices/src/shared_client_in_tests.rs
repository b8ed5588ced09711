//! Share an HTTP client between tests: "runtime dropped the dispatch task", and the cure.
//!
//! Each `#[tokio::test]` has a runtime, whose tasks drive the connections that the test
//! opens. If tests share a reqwest `Client` and one test ends, requests of other tests on
//! that test's connections fail. `cargo test` runs tests in parallel, so the failure is
//! intermittent. A pool of database connections in a `static` fails in the same way. Make
//! a client for each test, or set `pool_max_idle_per_host(0)`. Keep an expensive resource
//! in one runtime for all tests: `RUNTIME.block_on(..)` in a plain `#[test]`, like
//! pytest-asyncio's `loop_scope="session"`.
//!
//! Trap: The text of reqwest's error is only "error sending request". Print its sources
//! for the reason.
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
