//! Clean up after cancellation when the clean-up has to await: a `finally` for a task.
//!
//! A `finally` may await after a cancel, though a second cancel ends it there. An aborted
//! Rust task is dropped at its await, and no line after it runs: what needs no await goes
//! into a destructor (`drop_guard`). The trap is a clean-up that follows the body in the
//! same task: it runs after an error of the body, and never after an `abort`.
//! So let the body run in a task, and the clean-up in another that waits for its end; and
//! let the program wait for that one, as the end of `main` drops it too. The crate
//! `tokio-graceful-shutdown` does more: subsystems, nested, that are asked to stop in a
//! given time.
//!
//! asyncio: finally, asyncio.Task.cancel, asyncio.shield, asyncio.TaskGroup
//! differs: a finally runs after a cancel, and the caller waits for it

use std::time::Duration;

use tokio::select;
use tokio::task::{JoinError, JoinHandle};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Runs the body, and when that has ended, however it did, the clean-up.
///
/// Dropped before it is ready, by an abort or a time limit, it stops the body at its
/// await; the clean-up runs all the same, in the tracker's task, and what the body had is
/// dropped before. Blocking work that the body has begun (also a `tokio::fs` call) runs
/// on; let it look at a flag, as in `timeout_of_blocking_work`, and wait for it in the
/// clean-up. That also runs if the body has not begun by then. Not polled at all, this
/// does nothing. Only the end of the runtime drops the clean-up: wait for the tracker.
///
/// # Errors
///
/// If the body or the clean-up panicked.
///
/// # Panics
///
/// Outside of a Tokio runtime.
pub async fn with_clean_up<T: Send + 'static>(
    tasks: &TaskTracker,
    body: impl Future<Output = T> + Send + 'static,
    clean_up: impl Future<Output = ()> + Send + 'static,
) -> Result<T, JoinError> {
    let stop = CancellationToken::new();
    let stopped = stop.clone();
    let task = tasks.spawn(async move {
        // A task of its own, so that a panic in it ends only that one.
        let mut body = tokio::spawn(body);
        let ended = select! {
            ended = &mut body => ended,
            () = stopped.cancelled() => {
                body.abort();
                body.await
            }
        };
        clean_up.await;
        ended
    });
    // Cancels the token when this future is dropped.
    let _guard = stop.drop_guard();
    task.await?
}

/// Stands for a file: dropping it closes it.
struct File(&'static str);

impl Drop for File {
    fn drop(&mut self) {
        println!("{}: file closed", self.0);
    }
}

async fn build(job: &'static str) -> Result<(), String> {
    let _file = File(job);
    sleep(Duration::from_millis(200)).await;
    Err(format!("{job} failed"))
}

async fn remove_folder(job: &'static str) {
    println!("{job}: removing the folder");
    sleep(Duration::from_millis(200)).await;
    println!("{job}: removed");
}

async fn followed_by_clean_up(job: &'static str) {
    let result = build(job).await;
    remove_folder(job).await;
    report(result);
}

async fn build_and_clean_up(job: &'static str, tasks: TaskTracker) {
    let (body, clean_up) = (build(job), remove_folder(job));
    match with_clean_up(&tasks, body, clean_up).await {
        Ok(result) => report(result),
        Err(error) => println!("{error}"),
    }
}

fn report(result: Result<(), String>) {
    if let Err(error) = result {
        println!("{error}");
    }
}

/// Aborts the task after 0.1 s so many times, and says when it has ended.
async fn abort(task: JoinHandle<()>, times: u32) {
    sleep(Duration::from_millis(100)).await;
    for _ in 0..times {
        task.abort();
        sleep(Duration::from_millis(50)).await;
    }
    if task.await.is_err_and(|error| error.is_cancelled()) {
        println!("the task is cancelled");
    }
    sleep(Duration::from_millis(300)).await;
}

pub async fn run() {
    println!("The clean-up follows the body, which fails:");
    followed_by_clean_up("A").await;

    println!("It follows, and the task is aborted:");
    abort(tokio::spawn(followed_by_clean_up("B")), 1).await;

    println!("It follows, and the task is aborted twice:");
    abort(tokio::spawn(followed_by_clean_up("C")), 2).await;

    println!("It has a task of its own, and the body fails:");
    let tasks = TaskTracker::new();
    build_and_clean_up("D", tasks.clone()).await;

    println!("It has its own, and the body's caller is aborted twice:");
    abort(tokio::spawn(build_and_clean_up("E", tasks.clone())), 2).await;

    println!("The program ends while one is at work:");
    let task = tokio::spawn(build_and_clean_up("F", tasks.clone()));
    sleep(Duration::from_millis(100)).await;
    task.abort();
    tasks.close();
    tasks.wait().await;
    println!("all is clean");
}

#[tokio::main]
pub async fn main() {
    run().await;
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
    use std::sync::mpsc;
    use std::task::Poll;
    use std::time::Duration;

    use tokio::runtime::Builder;
    use tokio::select;
    use tokio::sync::oneshot::{self, error::TryRecvError};
    use tokio::task::spawn_blocking;
    use tokio::time::{sleep, timeout};
    use tokio_util::task::TaskTracker;

    use super::with_clean_up;

    const HOUR: Duration = Duration::from_secs(3600);
    const TICK: Duration = Duration::from_millis(1);

    /// Polls the future at most `polls` times, a millisecond apart, and drops it if it is
    /// not ready then.
    async fn poll_and_drop<F: Future>(future: F, polls: usize) -> Option<F::Output> {
        let mut future = pin!(future);
        for _ in 0..polls {
            if let Poll::Ready(output) = futures::poll!(future.as_mut()) {
                return Some(output);
            }
            sleep(Duration::from_millis(1)).await;
        }
        None
    }

    /// Counts, after five ticks, which the body must not do at the same time.
    async fn clean(body: Arc<()>, cleaned: Arc<AtomicUsize>) {
        assert!(Arc::strong_count(&body) <= 2, "the body is gone");
        sleep(5 * TICK).await;
        cleaned.fetch_add(1, SeqCst);
    }

    #[tokio::test(start_paused = true)]
    async fn dropped_at_each_await() {
        for panics in [false, true] {
            for polls in 0..20 {
                let (tasks, cleaned) = (TaskTracker::new(), Arc::default());
                let alive = Arc::new(());
                let held = Arc::clone(&alive);
                let body = async move {
                    sleep(5 * TICK).await;
                    assert!(!panics, "scheduled");
                    drop(held);
                };
                let clean_up = clean(Arc::clone(&alive), Arc::clone(&cleaned));
                let scope = with_clean_up(&tasks, body, clean_up);
                match poll_and_drop(scope, polls).await {
                    Some(ended) => assert_eq!(ended.is_err(), panics),
                    None => assert!(polls < 15, "20 polls are enough"),
                }
                tasks.close();
                assert!(timeout(HOUR, tasks.wait()).await.is_ok());
                let expected = usize::from(polls > 0);
                assert_eq!(cleaned.load(SeqCst), expected, "{polls} polls");
                assert_eq!(Arc::strong_count(&alive), 1, "all is dropped");
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn it_runs_though_the_body_has_not_begun() {
        let (tasks, cleaned) = (TaskTracker::new(), Arc::default());
        let alive = Arc::new(());
        let held = Arc::clone(&alive);
        let body = async move {
            drop(held);
            unreachable!("it is dropped before");
        };
        let clean_up = clean(alive, Arc::clone(&cleaned));
        {
            let mut scope = pin!(with_clean_up::<()>(&tasks, body, clean_up));
            assert!(futures::poll!(scope.as_mut()).is_pending());
        }
        tasks.close();
        assert!(timeout(HOUR, tasks.wait()).await.is_ok());
        assert_eq!(cleaned.load(SeqCst), 1);
    }

    #[tokio::test]
    async fn blocking_work_runs_on_until_the_clean_up_ends_it() {
        let (begin, begun) = oneshot::channel();
        let (end, mut ended) = oneshot::channel();
        let (report, reported) = oneshot::channel();
        let (release, released) = mpsc::channel::<()>();
        let body = async move {
            let work = spawn_blocking(move || {
                let _ = released.recv();
                let _ = end.send(());
            });
            let _ = begin.send(());
            work.await
        };
        let clean_up = async move {
            let before = ended.try_recv();
            drop(release);
            let _ = report.send((before, ended.await));
        };
        let tasks = TaskTracker::new();
        select! {
            biased;
            _ = with_clean_up(&tasks, body, clean_up) => panic!("too early"),
            _ = begun => {}
        }
        assert_eq!(reported.await, Ok((Err(TryRecvError::Empty), Ok(()))));
    }

    #[tokio::test(start_paused = true)]
    async fn a_panic_in_the_clean_up_is_an_error() {
        let tasks = TaskTracker::new();
        let clean_up = async { panic!("scheduled") };
        let ended = timeout(HOUR, with_clean_up(&tasks, async {}, clean_up)).await;
        assert!(ended.expect("it ends").is_err_and(|error| error.is_panic()));
    }

    #[test]
    fn the_end_of_the_runtime_drops_it() {
        for waits in [false, true] {
            let (cleaned, alive) = (Arc::default(), Arc::new(()));
            let runtime = Builder::new_current_thread()
                .enable_time()
                .start_paused(true)
                .build()
                .expect("a runtime");
            let clean_up = clean(Arc::clone(&alive), Arc::clone(&cleaned));
            runtime.block_on(async {
                let tasks = TaskTracker::new();
                let held = Arc::clone(&alive);
                let body = async move { drop(held) };
                let scope = with_clean_up(&tasks, body, clean_up);
                assert!(timeout(TICK, scope).await.is_err());
                tasks.close();
                if waits {
                    tasks.wait().await;
                }
            });
            drop(runtime);
            assert_eq!(cleaned.load(SeqCst), usize::from(waits));
        }
    }
}
