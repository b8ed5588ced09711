use std::io::{self, Write};
use std::net::TcpListener;
use std::pin::pin;
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::Duration;

use futures::poll;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::task::{JoinSet, spawn_blocking};
use tokio::time::{Instant, sleep, timeout};

use crate::unit_testing::{Calculator, FetchError, Source};

const MILLI: Duration = Duration::from_millis(1);
const DAY: Duration = Duration::from_secs(24 * 3600);

/// Answers 42 after a millisecond, and counts the calls.
#[derive(Clone, Default)]
struct Answers42(Arc<Mutex<u32>>);

impl Source for Answers42 {
    async fn fetch(&self, _page: &str) -> Result<u32, FetchError> {
        *self.0.lock().expect("nobody panics") += 1;
        sleep(MILLI).await;
        Ok(42)
    }
}

impl Answers42 {
    fn calls(&self) -> u32 {
        *self.0.lock().expect("nobody panics")
    }
}

#[tokio::test(start_paused = true)]
async fn still_waits_after_one_poll() {
    let calculator = Calculator::new(Answers42::default());
    let mut sum = pin!(calculator.fetch_and_add("/data", 10));
    assert!(poll!(sum.as_mut()).is_pending());
    assert_eq!(sum.await, Ok(52));
}

/// On several threads, which a paused clock does not have.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn serves_many_tasks_at_once() {
    let source = Answers42::default();
    let calculator = Arc::new(Calculator::new(source.clone()));
    let mut tasks = JoinSet::new();
    for number in 0..100 {
        let calculator = Arc::clone(&calculator);
        let task = async move { calculator.fetch_and_add("/data", number).await };
        tasks.spawn(task);
    }
    let mut sums: Vec<_> = tasks.join_all().await.into_iter().flatten().collect();
    sums.sort();
    assert!(sums.into_iter().eq(42..142));
    assert_eq!(source.calls(), 100);
}

/// A test that only looks at `_sum` being there would pass.
#[tokio::test(start_paused = true)]
async fn without_an_await_nothing_is_asked() {
    let source = Answers42::default();
    let calculator = Calculator::new(source.clone());
    let _sum = calculator.fetch_and_add("/data", 10);
    sleep(DAY).await;
    assert_eq!(source.calls(), 0);
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

/// It would have answered within moments, and the limit of a day passes immediately.
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

/// How a test keeps the paused clock from moving while a socket works.
#[tokio::test(start_paused = true)]
async fn a_waiting_thread_holds_the_clock() -> io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    let server = thread::spawn(move || {
        let (mut stream, _) = listener.accept()?;
        thread::sleep(100 * MILLI);
        stream.write_all(b"hello")
    });
    let (release, released) = mpsc::channel::<()>();
    let holding = spawn_blocking(move || released.recv());
    let mut stream = TcpStream::connect(address).await?;
    let mut text = String::new();
    timeout(DAY, stream.read_to_string(&mut text)).await??;
    drop(release);
    assert!(holding.await?.is_err());
    assert_eq!(text, "hello");
    assert!(server.join().is_ok_and(|sent| sent.is_ok()));
    Ok(())
}
