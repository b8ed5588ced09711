//! Time out blocking code: why `timeout` does not stop it, and a stop flag that does.
//!
//! A limit can end a call only where it awaits. Blocking code in an async function has no
//! await, so the `timeout` around it comes too late: there is a result, after twice the
//! limit, and no error. In `spawn_blocking` (`asyncio.to_thread`) the waiting ends in
//! time, and here is the trap: the thread works on, and so it does after an `abort`; it
//! holds its thread, and the runtime does not shut down before it has ended. So the work
//! is cut into portions, and looks at a flag between them. A guard sets the flag when the
//! caller is dropped, by a limit or otherwise. One long call that cannot be cut belongs
//! into a process of its own, which can be killed (`tokio::process`).
//!
//! asyncio: asyncio.to_thread, asyncio.timeout, asyncio.wait(timeout=), threading.Event
//! clock: real

use std::thread;
use std::time::Duration;

use tokio::task::{JoinError, spawn_blocking};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

/// Runs the work on a thread where it may block, and hands it a flag to look at.
///
/// The flag is set when this is dropped. The work ends the next time that it looks, and
/// nobody waits for it.
///
/// # Errors
///
/// If the work panicked.
pub async fn run_blocking<T: Send + 'static>(
    work: impl FnOnce(&CancellationToken) -> T + Send + 'static,
) -> Result<T, JoinError> {
    let stop = CancellationToken::new();
    let _stop_when_dropped = stop.clone().drop_guard();
    spawn_blocking(move || work(&stop)).await
}

/// The same with a limit, after which it waits until the work has ended: what the work
/// has done by then is not lost.
///
/// # Errors
///
/// If the work panicked.
pub async fn run_blocking_for<T: Send + 'static>(
    limit: Duration,
    work: impl FnOnce(&CancellationToken) -> T + Send + 'static,
) -> Result<T, JoinError> {
    let stop = CancellationToken::new();
    let _stop_when_dropped = stop.clone().drop_guard();
    let flag = stop.clone();
    let mut task = spawn_blocking(move || work(&flag));
    if let Ok(result) = timeout(limit, &mut task).await {
        return result;
    }
    stop.cancel();
    task.await
}

/// Blocks for 100 ms a page. How many of them it has done before the flag was set.
fn index_pages(pages: u32, stop: &CancellationToken) -> u32 {
    for page in 1..=pages {
        if stop.is_cancelled() {
            return page - 1;
        }
        thread::sleep(Duration::from_millis(100));
        println!("page {page}");
    }
    pages
}

pub async fn run() -> Result<(), JoinError> {
    let limit = Duration::from_millis(150);
    let rest = Duration::from_millis(250);
    let never = CancellationToken::new();

    println!("A limit of 0.15 s around blocking code in the same task:");
    match timeout(limit, async { index_pages(3, &never) }).await {
        Ok(pages) => println!("indexed {pages}"),
        Err(_) => println!("time is up"),
    }

    println!("Around blocking code on another thread:");
    let task = spawn_blocking(move || index_pages(3, &never));
    let abort = task.abort_handle();
    match timeout(limit, task).await {
        Ok(pages) => println!("indexed {}", pages?),
        Err(_) => println!("time is up"),
    }
    abort.abort();
    sleep(rest).await;

    println!("Around blocking code that looks at a flag:");
    for pages in [1, 3] {
        match timeout(limit, run_blocking(move |stop| index_pages(pages, stop))).await {
            Ok(pages) => println!("indexed {}", pages?),
            Err(_) => println!("time is up"),
        }
    }
    sleep(rest).await;

    println!("And what was done by then:");
    for pages in [1, 3] {
        let done = run_blocking_for(limit, move |stop| index_pages(pages, stop)).await?;
        println!("indexed {done} of {pages}");
    }
    Ok(())
}

#[tokio::main]
pub async fn main() -> Result<(), JoinError> {
    run().await
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{RecvTimeoutError, channel};
    use std::thread;
    use std::time::Duration;

    use tokio::runtime::Runtime;

    use super::{run_blocking, run_blocking_for};

    const LONG: Duration = Duration::from_secs(10);

    #[test]
    fn a_runtime_that_is_dropped_waits_for_blocking_work() {
        let runtime = Runtime::new().expect("a runtime");
        let (report, reported) = channel();
        runtime.spawn_blocking(move || {
            report.send("begun").expect("the test waits");
            thread::sleep(Duration::from_millis(100));
            report.send("ended").expect("the test waits");
        });
        assert_eq!(reported.recv_timeout(LONG), Ok("begun"));
        drop(runtime);
        assert_eq!(reported.try_recv(), Ok("ended"));
    }

    #[test]
    fn dropped_they_set_the_flag() {
        let runtime = Runtime::new().expect("a runtime");
        for with_limit in [false, true] {
            let (report, reported) = channel();
            let work = move |stop: &super::CancellationToken| {
                report.send("begun").expect("the test waits");
                for _ in 0..5_000 {
                    if stop.is_cancelled() {
                        return report.send("stopped").expect("the test waits");
                    }
                    thread::sleep(Duration::from_millis(1));
                }
            };
            let task = runtime.spawn(async move {
                if with_limit {
                    run_blocking_for(LONG, work).await
                } else {
                    run_blocking(work).await
                }
            });
            assert_eq!(reported.recv_timeout(LONG), Ok("begun"));
            let runs_on = reported.recv_timeout(Duration::from_millis(20));
            assert_eq!(runs_on, Err(RecvTimeoutError::Timeout));
            task.abort();
            assert_eq!(reported.recv_timeout(LONG), Ok("stopped"));
        }
    }

    #[tokio::test]
    async fn a_panic_is_an_error() {
        let panicked = run_blocking(|_| -> u32 { panic!("scheduled") }).await;
        assert!(panicked.is_err_and(|error| error.is_panic()));
        let panicked = run_blocking_for(LONG, |_| -> u32 { panic!("scheduled") }).await;
        assert!(panicked.is_err_and(|error| error.is_panic()));
    }
}
