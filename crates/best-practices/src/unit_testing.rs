//! Unit tests of async code: `tokio::test`, a paused clock, a fake in place of a mock.
//!
//! `#[tokio::test]` gives each test its own runtime, as `IsolatedAsyncioTestCase` gives
//! each test its own loop. Instead of patching, write an outside service as a trait. The
//! test passes in a fake, which returns fixed answers and records the calls.
//!
//! With `start_paused = true` (Tokio's feature `test-util`), Tokio's clock jumps over
//! waits, so a timeout of days takes no time. In asyncio the test waits. The clocks of
//! `std::time` do not jump.
//!
//! Trap: If a test on the paused clock waits for a socket or for a thread that you start
//! yourself, a timeout around the wait fires immediately. Tokio does not see the work
//! outside its tasks, so the clock jumps. If the test waits for a `spawn_blocking`, the
//! clock stands still, so a timeout around the wait never fires. Do not pause the clock
//! in such tests.
//!
//! Trap: If you forget an await in `let _sum = ..`, the test compiles and tests nothing.
//! Assert the effect of the call. In an assertion, a forgotten await does not compile
//! ("binary operation `==` cannot be applied to type").
//!
//! See also: `from_pytest`, `test_timeouts_and_retries`, `test_a_server`.
//!
//! asyncio: unittest.IsolatedAsyncioTestCase, unittest.mock.AsyncMock, asyncio.timeout

use std::future::Future;
use std::time::Duration;

use tokio::time::timeout;

/// A source of numbers: in the program a server or files, in a test a fake.
pub trait Source: Send + Sync {
    /// Returns the number on the page.
    fn fetch(&self, page: &str) -> impl Future<Output = Result<u32, FetchError>> + Send;
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FetchError {
    #[error("there is no page {0}")]
    NotFound(String),
    #[error("no answer in time")]
    TimedOut,
}

/// The code under test.
#[derive(Debug)]
pub struct Calculator<S> {
    source: S,
}

impl<S: Source> Calculator<S> {
    /// How long the calculator waits for an answer.
    pub const TIMEOUT: Duration = Duration::from_secs(2);

    /// Returns a calculator that asks this source.
    pub fn new(source: S) -> Self {
        Self { source }
    }

    /// Returns the sum of the number on the page and `number`.
    ///
    /// # Errors
    ///
    /// The error of the source, or `TimedOut` if the source does not answer in time.
    pub async fn fetch_and_add(
        &self,
        page: &str,
        number: u32,
    ) -> Result<u64, FetchError> {
        let fetched = timeout(Self::TIMEOUT, self.source.fetch(page)).await;
        let fetched = fetched.map_err(|_| FetchError::TimedOut)??;
        Ok(u64::from(fetched) + u64::from(number))
    }
}

/// Adds to a number in a file: `cargo run -- PATH 10`.
#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    struct Files;

    impl Source for Files {
        async fn fetch(&self, page: &str) -> Result<u32, FetchError> {
            let text = tokio::fs::read_to_string(page).await;
            let number = text.ok().and_then(|text| text.trim().parse().ok());
            number.ok_or_else(|| FetchError::NotFound(page.to_owned()))
        }
    }

    let args: Vec<String> = std::env::args().skip(1).collect();
    let [path, number] = args.as_slice() else {
        return Err("usage: PATH NUMBER".into());
    };
    let calculator = Calculator::new(Files);
    let sum = calculator.fetch_and_add(path, number.parse()?).await?;
    println!("{sum}");
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::time::Duration;

    use tokio::time::{Instant, sleep};

    use super::{Calculator, FetchError, Source};

    const MILLI: Duration = Duration::from_millis(1);
    const TIMEOUT: Duration = Calculator::<FakeSource>::TIMEOUT;

    /// Returns a fixed answer after a delay, and records the pages that it is asked for.
    struct FakeSource {
        answer: Result<u32, FetchError>,
        delay: Duration,
        asked: Mutex<Vec<String>>,
    }

    impl Source for FakeSource {
        async fn fetch(&self, page: &str) -> Result<u32, FetchError> {
            // In a separate line: a guard that lives over an await is not `Send`.
            self.asked.lock().expect("no panic").push(page.to_owned());
            sleep(self.delay).await;
            self.answer.clone()
        }
    }

    fn calculator(
        answer: Result<u32, FetchError>,
        delay: Duration,
    ) -> Calculator<FakeSource> {
        let asked = Mutex::default();
        Calculator::new(FakeSource {
            answer,
            delay,
            asked,
        })
    }

    #[tokio::test(start_paused = true)]
    async fn adds_to_the_number_on_the_page() -> Result<(), FetchError> {
        let calculator = calculator(Ok(42), MILLI);
        assert_eq!(calculator.fetch_and_add("/data", 10).await?, 52);
        assert_eq!(
            *calculator.source.asked.lock().expect("no panic"),
            ["/data"]
        );
        Ok(())
    }

    #[tokio::test(start_paused = true)]
    async fn returns_the_error_of_the_source() {
        let error = FetchError::NotFound("/data".to_owned());
        let calculator = calculator(Err(error.clone()), MILLI);
        assert_eq!(calculator.fetch_and_add("/data", 10).await, Err(error));
    }

    #[tokio::test(start_paused = true)]
    async fn times_out_to_the_millisecond() {
        let start = Instant::now();
        let in_time = calculator(Ok(42), TIMEOUT - MILLI);
        assert_eq!(in_time.fetch_and_add("/data", 10).await, Ok(52));
        assert_eq!(start.elapsed(), TIMEOUT - MILLI);

        let start = Instant::now();
        let late = calculator(Ok(42), TIMEOUT + MILLI);
        let sum = late.fetch_and_add("/data", 10).await;
        assert_eq!(sum, Err(FetchError::TimedOut));
        assert_eq!(start.elapsed(), TIMEOUT);
    }
}

//@ try: missing.txt 10 -> NotFound
