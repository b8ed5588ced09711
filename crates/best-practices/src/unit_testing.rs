//! Unit tests of async code: `tokio::test`, a paused clock, a fake in place of a mock.
//!
//! `#[tokio::test]` gives each test a runtime of its own, as `IsolatedAsyncioTestCase`
//! gives it a loop. Nothing is patched: what comes from outside is a trait, and a test
//! brings a fake that answers as told and keeps what it was asked. With `start_paused`
//! (feature `test-util`) the clock jumps to the next timer whenever all tasks wait: a
//! limit of days takes no time and is exact; a test of asyncio waits. The traps: the
//! clocks of `std` do not jump with it; while `spawn_blocking` works it stands, so a
//! `timeout` around that never fires; and any limit on a socket or a thread of your own
//! passes at once, before the answer. A forgotten await is refused in an assertion
//! ("binary operation `==` cannot be applied to type") and warned of as a statement, but
//! not in `let _sum`: check the effect. The crate `mockall` writes fakes for you, and
//! `tokio-test` has one for a socket.
//!
//! asyncio: unittest.IsolatedAsyncioTestCase, unittest.mock.AsyncMock, asyncio.timeout

use std::sync::Mutex;
use std::time::Duration;

use tokio::time::{sleep, timeout};

/// Where numbers come from. The program has a source that asks a server.
pub trait Source: Send + Sync {
    /// The number on the page.
    fn fetch(&self, page: &str) -> impl Future<Output = Result<u32, SourceError>> + Send;
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SourceError {
    #[error("there is no page {0}")]
    NotFound(String),
}

/// Why there is no sum.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum CalculatorError {
    #[error("no answer in time")]
    TimedOut,
    #[error("the sum is too large")]
    TooLarge,
    #[error(transparent)]
    Source(#[from] SourceError),
}

/// What is to be tested.
pub struct Calculator<S> {
    source: S,
}

impl<S: Source> Calculator<S> {
    /// For how long it waits for an answer.
    pub const PATIENCE: Duration = Duration::from_secs(2);

    pub fn new(source: S) -> Self {
        Self { source }
    }

    /// Adds to the number on the page.
    ///
    /// # Errors
    ///
    /// Those of the source, and if it does not answer in time, or the sum is no `u32`.
    pub async fn fetch_and_add(
        &self,
        page: &str,
        number: u32,
    ) -> Result<u32, CalculatorError> {
        let fetched = timeout(Self::PATIENCE, self.source.fetch(page)).await;
        let fetched = fetched.map_err(|_| CalculatorError::TimedOut)??;
        fetched.checked_add(number).ok_or(CalculatorError::TooLarge)
    }
}

/// Answers as it is told, and keeps what it was asked. It would stand in `mod tests`, if
/// `run` did not show what a test sees.
struct FakeSource {
    answer: Result<u32, SourceError>,
    delay: Duration,
    asked: Mutex<Vec<String>>,
}

impl FakeSource {
    fn new(answer: Result<u32, SourceError>, delay: Duration) -> Self {
        let asked = Mutex::default();
        Self {
            answer,
            delay,
            asked,
        }
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().expect("nobody panics with it").clone()
    }
}

impl Source for FakeSource {
    async fn fetch(&self, page: &str) -> Result<u32, SourceError> {
        // In a line of its own: a guard that lives over an await is not `Send`.
        self.asked
            .lock()
            .expect("nobody panics with it")
            .push(page.to_owned());
        sleep(self.delay).await;
        self.answer.clone()
    }
}

fn report(calculator: &Calculator<FakeSource>, sum: Result<u32, CalculatorError>) {
    match sum {
        Ok(sum) => println!("sum: {sum}"),
        Err(error) => println!("error: {error}"),
    }
    println!("asked for: [{}]", calculator.source.asked().join(", "));
}

pub async fn run() {
    let fake = |answer, millis| {
        let delay = Duration::from_millis(millis);
        Calculator::new(FakeSource::new(answer, delay))
    };

    println!("The source answers 42 after a second:");
    let calculator = fake(Ok(42), 1000);
    report(&calculator, calculator.fetch_and_add("/data", 10).await);

    println!("It has no such page:");
    let calculator = fake(Err(SourceError::NotFound("/data".to_owned())), 100);
    report(&calculator, calculator.fetch_and_add("/data", 10).await);

    println!("It answers just before the limit of 2 s, and too late:");
    for millis in [1900, 2100] {
        let calculator = fake(Ok(42), millis);
        report(&calculator, calculator.fetch_and_add("/data", 10).await);
    }

    println!("The await is forgotten, and nothing warns:");
    let calculator = fake(Ok(42), 1000);
    let _sum = calculator.fetch_and_add("/data", 10);
    sleep(Duration::from_secs(1)).await;
    println!("asked for: [{}]", calculator.source.asked().join(", "));
}

#[tokio::main]
pub async fn main() {
    run().await;
}

#[cfg(test)]
mod tests {
    use std::io::{self, Write};
    use std::net::TcpListener;
    use std::pin::pin;
    use std::sync::{Arc, mpsc};
    use std::thread;
    use std::time::Duration;

    use futures::poll;
    use tokio::io::AsyncReadExt;
    use tokio::net::TcpStream;
    use tokio::task::{JoinSet, spawn_blocking};
    use tokio::time::{Instant, sleep, timeout};

    use super::{Calculator, CalculatorError, FakeSource, SourceError};

    const MILLI: Duration = Duration::from_millis(1);
    const DAY: Duration = Duration::from_secs(24 * 3600);
    const PATIENCE: Duration = Calculator::<FakeSource>::PATIENCE;

    fn calculator(
        answer: Result<u32, SourceError>,
        delay: Duration,
    ) -> Calculator<FakeSource> {
        Calculator::new(FakeSource::new(answer, delay))
    }

    // What a test of one's own looks like.

    #[tokio::test(start_paused = true)]
    async fn adds_to_what_the_page_says() -> Result<(), CalculatorError> {
        let calculator = calculator(Ok(42), MILLI);
        assert_eq!(calculator.fetch_and_add("/data", 10).await?, 52);
        assert_eq!(calculator.source.asked(), ["/data"]);
        Ok(())
    }

    #[tokio::test(start_paused = true)]
    async fn passes_on_what_the_source_reports() {
        let error = SourceError::NotFound("/data".to_owned());
        let calculator = calculator(Err(error.clone()), MILLI);
        let sum = calculator.fetch_and_add("/data", 10).await;
        assert_eq!(sum, Err(CalculatorError::Source(error)));
    }

    #[tokio::test(start_paused = true)]
    async fn refuses_a_sum_that_does_not_fit() {
        for (number, sum) in [(1, Ok(u32::MAX)), (2, Err(CalculatorError::TooLarge))] {
            let calculator = calculator(Ok(u32::MAX - 1), MILLI);
            assert_eq!(calculator.fetch_and_add("/data", number).await, sum);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn waits_for_as_long_as_it_says_to_the_millisecond() {
        let start = Instant::now();
        let in_time = calculator(Ok(42), PATIENCE - MILLI);
        assert_eq!(in_time.fetch_and_add("/data", 10).await, Ok(52));
        assert_eq!(start.elapsed(), PATIENCE - MILLI);

        let start = Instant::now();
        let late = calculator(Ok(42), PATIENCE + MILLI)
            .fetch_and_add("/data", 10)
            .await;
        assert_eq!(late, Err(CalculatorError::TimedOut));
        assert_eq!(start.elapsed(), PATIENCE);
    }

    #[tokio::test(start_paused = true)]
    async fn still_waits_after_one_poll() {
        let calculator = calculator(Ok(42), MILLI);
        let mut sum = pin!(calculator.fetch_and_add("/data", 10));
        assert!(poll!(sum.as_mut()).is_pending());
        assert_eq!(sum.await, Ok(52));
    }

    /// On several threads, which a paused clock does not have.
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn serves_many_tasks_at_once() {
        let calculator = Arc::new(calculator(Ok(42), MILLI));
        let mut tasks = JoinSet::new();
        for number in 0..100 {
            let calculator = Arc::clone(&calculator);
            let task = async move { calculator.fetch_and_add("/data", number).await };
            tasks.spawn(task);
        }
        let mut sums: Vec<_> = tasks.join_all().await.into_iter().flatten().collect();
        sums.sort();
        assert!(sums.into_iter().eq(42..142));
        assert_eq!(calculator.source.asked().len(), 100);
    }

    // What to know about such tests.

    /// A test that only looks at `_sum` being there would pass.
    #[tokio::test(start_paused = true)]
    async fn without_an_await_nothing_is_asked() {
        let calculator = calculator(Ok(42), MILLI);
        let _sum = calculator.fetch_and_add("/data", 10);
        sleep(DAY).await;
        assert!(calculator.source.asked().is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn the_clocks_of_std_stand_still() {
        let (tokio, std) = (Instant::now(), std::time::Instant::now());
        sleep(DAY).await;
        assert_eq!(tokio.elapsed(), DAY);
        assert!(std.elapsed() < DAY / 1000);
    }

    #[tokio::test(start_paused = true)]
    async fn blocking_work_holds_the_clock() {
        let (_release, released) = mpsc::channel::<()>();
        let work = spawn_blocking(move || released.recv_timeout(20 * MILLI));
        assert!(timeout(MILLI, work).await.is_ok(), "20 ms within 1 ms");
    }

    /// It would have answered within moments, and the limit of a day passes at once.
    #[tokio::test(start_paused = true)]
    async fn a_socket_answers_too_late() -> io::Result<()> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        let (release, released) = mpsc::channel::<()>();
        let server = thread::spawn(move || {
            let (mut connection, _) = listener.accept()?;
            let _ = released.recv();
            connection.write_all(b"42")
        });
        let mut client = TcpStream::connect(address).await?;
        assert!(timeout(DAY, client.read_u16()).await.is_err());
        drop(release);
        assert_eq!(client.read_u16().await?.to_be_bytes(), *b"42");
        server.join().expect("it does not panic")
    }
}
