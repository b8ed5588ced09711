//! Code of docs/asyncio-api.tsv that no example has: word by word as the row has it, run over
//! the case that matters to the name.

#![cfg(unix)]
#![allow(clippy::unwrap_used)]

use std::io;
use std::thread;
use std::time::Duration;

use rustix::process::{Signal, getpid, kill_process};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::runtime::Handle;
use tokio::sync::{oneshot, watch};
use tokio::task::{JoinError, spawn};
use tokio::time::{Instant, sleep, sleep_until, timeout};

type Result = std::result::Result<(), Box<dyn std::error::Error>>;

/// More than anything here takes.
const LONG: Duration = Duration::from_secs(30);

/// A callback, and what tells that it was called.
fn callback() -> (impl FnOnce() + Send, oneshot::Receiver<()>) {
    let (sender, called) = oneshot::channel();
    (move || sender.send(()).unwrap(), called)
}

#[test]
fn runs_main_and_returns_its_value() -> io::Result<()> {
    async fn main() -> i32 {
        7
    }
    assert_eq!(tokio::runtime::Runtime::new()?.block_on(main()), 7);
    Ok(())
}

#[test]
fn pending_keeps_a_runtime_running() -> io::Result<()> {
    let rt = tokio::runtime::Runtime::new()?;
    let (f, mut called) = callback();
    rt.spawn(async move { f() });
    let runs = thread::spawn(move || rt.block_on(std::future::pending::<()>()));
    while called.try_recv().is_err() {
        thread::sleep(Duration::from_millis(1));
    }
    assert!(!runs.is_finished());
    Ok(())
}

#[test]
fn there_is_a_handle_only_within_a_runtime() -> io::Result<()> {
    assert!(tokio::runtime::Handle::try_current().ok().is_none());
    let inside = async { Handle::try_current().is_ok() };
    assert!(tokio::runtime::Runtime::new()?.block_on(inside));
    Ok(())
}

tokio::task_local! {
    static KEY: u32;
}

#[tokio::test]
async fn a_task_reads_the_value_of_its_scope() -> Result {
    let (value, fut) = (7, async { KEY.get() });
    assert_eq!(tokio::spawn(KEY.scope(value, fut)).await?, 7);
    Ok(())
}

#[tokio::test]
async fn callbacks_are_called_soon_later_and_at_a_moment() -> Result {
    let (f, called) = callback();
    tokio::spawn(async move { f() });
    called.await?;

    let (start, d) = (Instant::now(), Duration::from_millis(20));
    let (f, called) = callback();
    tokio::spawn(async move {
        sleep(d).await;
        f()
    });
    called.await?;
    assert!(start.elapsed() >= d);

    let (f, called) = callback();
    let t = start + 2 * d;
    tokio::spawn(async move {
        sleep_until(t).await;
        f()
    });
    called.await?;
    assert!(Instant::now() >= t);
    Ok(())
}

#[tokio::test]
async fn another_thread_calls_through_the_handle() -> Result {
    let ((f, called), handle) = (callback(), Handle::current());
    let other = thread::spawn(move || handle.spawn(async move { f() }));
    called.await?;
    other.join().unwrap().await?;
    Ok(())
}

#[tokio::test]
async fn a_second_task_hears_of_an_abort() -> Result {
    let (sender, told) = oneshot::channel();
    let on_done = |outcome: std::result::Result<(), JoinError>| {
        let cancelled = outcome.is_err_and(|error| error.is_cancelled());
        sender.send(cancelled).unwrap();
    };
    let handle = spawn(std::future::pending());
    handle.abort();
    spawn(async move { on_done(handle.await) });
    assert!(told.await?);
    Ok(())
}

#[tokio::test]
async fn no_limit_is_a_limit_that_never_comes() -> Result {
    for limit in [None, Some(LONG)] {
        let fut = sleep(Duration::from_millis(1));
        timeout(limit.unwrap_or(Duration::MAX), fut).await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_moment_that_has_passed_lets_the_call_begin() {
    let instant = Instant::now();
    let ready = tokio::time::timeout_at(instant, async { 7 }).await;
    assert_eq!(ready, Ok(7));
    let fut = std::future::pending::<()>();
    assert!(tokio::time::timeout_at(instant, fut).await.is_err());
}

#[tokio::test]
async fn a_deadline_is_moved() {
    let mut sleep = std::pin::pin!(tokio::time::sleep(LONG));
    let new_deadline = Instant::now();
    sleep.as_mut().reset(new_deadline);
    sleep.as_mut().await;
    assert!(sleep.deadline() < new_deadline + LONG);
}

#[tokio::test]
async fn the_end_is_an_empty_buffer() -> Result {
    let mut reader = BufReader::new(&b"x"[..]);
    assert!(!reader.fill_buf().await?.is_empty());
    reader.consume(1);
    assert!(reader.fill_buf().await?.is_empty());
    Ok(())
}

#[tokio::test]
async fn a_dropped_guard_of_an_event_blocks_no_send() -> Result {
    let (sender, mut rx) = watch::channel(false);
    let setter = tokio::spawn(async move {
        sender.send_replace(true);
        sender
    });
    drop(rx.wait_for(|v| *v).await?);
    assert!(setter.await?.send(false).is_ok());
    Ok(())
}

#[tokio::test]
async fn a_signal_is_received_that_comes_after_the_call() -> Result {
    let kind = tokio::signal::unix::SignalKind::user_defined1();
    let raise = async {
        sleep(Duration::from_millis(50)).await;
        kill_process(getpid(), Signal::USR1)
    };
    let receive =
        async { io::Result::Ok(tokio::signal::unix::signal(kind)?.recv().await) };
    let (received, raised) = tokio::join!(receive, raise);
    raised?;
    assert_eq!(received?, Some(()));
    Ok(())
}

#[tokio::test]
async fn a_name_is_looked_up_with_its_port() -> Result {
    let (host, port) = ("127.0.0.1", 80);
    let mut found = tokio::net::lookup_host((host, port)).await?;
    assert_eq!(found.next().unwrap().port(), port);
    Ok(())
}
