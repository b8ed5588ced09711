//! A panic in a task: notice it, pass it on, or start the task again (a supervisor).
//!
//! A panic ends its task and not the program, unless Cargo.toml says `panic = "abort"`.
//! The task's handle then returns a `JoinError`, and `resume_unwind` continues the panic
//! in the caller. `supervise` below restarts the task; the job that it worked on is lost.
//!
//! Bounds: `supervise` restarts at most `restarts` times in all.
//!
//! Trap: if nobody awaits the task, nobody notices, and the program goes on without its
//! worker. Only standard error has a message. It is the same in Python.
//!
//! Trap: a std `Mutex` that the task had locked is poisoned, a Tokio `Mutex` is not.
//!
//! In production: `ractor` sends a supervising actor an event for each panic.
//!
//! See also: `task_results`, `first_error_wins`, `drop_or_detach`.
//!
//! asyncio: asyncio.create_task, await, asyncio.Task.cancel, raise
//! stderr: job 0 has no work

use std::any::Any;
use std::collections::VecDeque;
use std::panic::resume_unwind;
use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;
use tokio::sync::Mutex;
use tokio::task::{JoinError, JoinHandle};
use tokio::time::sleep;
use tokio_util::task::AbortOnDropHandle;

/// Why the task is not restarted.
#[derive(Debug, Error)]
pub enum GaveUp {
    /// It panicked more often than it may be restarted.
    #[error("gave up after {panics} panics")]
    Panicked {
        /// How often it panicked.
        panics: u32,
        /// The last panic.
        #[source]
        last: JoinError,
    },
    /// The runtime is being shut down, which aborts the task.
    #[error("the runtime shuts down")]
    ShutDown,
}

/// Runs the future of `start` as a task, and returns its output. Restarts the task a
/// pause after each panic, at most `restarts` times in all.
///
/// Dropping the future aborts the task.
///
/// # Errors
///
/// [`GaveUp`] after one panic more than there are restarts, or when the runtime shuts
/// down.
///
/// # Panics
///
/// When `start` does, which runs in the caller.
pub async fn supervise<F>(
    restarts: u32,
    pause: Duration,
    mut start: impl FnMut() -> F,
) -> Result<F::Output, GaveUp>
where
    F: Future<Output: Send> + Send + 'static,
{
    let mut panics = 0;
    loop {
        let task = AbortOnDropHandle::new(tokio::spawn(start()));
        let last = match task.await {
            Ok(output) => return Ok(output),
            Err(error) => error,
        };
        if !last.is_panic() {
            return Err(GaveUp::ShutDown);
        }
        panics += 1;
        if panics > restarts {
            return Err(GaveUp::Panicked { panics, last });
        }
        sleep(pause).await;
    }
}

/// Returns the text of a panic: a `&str` if it was fixed, else a `String`.
fn panic_text(payload: &(dyn Any + Send)) -> &str {
    let text = payload.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| payload.downcast_ref().copied())
        .unwrap_or("no text")
}

/// Returns the task's value, or `None` if it was aborted. Dropping the future does not
/// stop the task.
///
/// # Panics
///
/// When the task has panicked, with the same payload.
pub async fn join<T>(task: JoinHandle<T>) -> Option<T> {
    match task.await.map_err(JoinError::try_into_panic) {
        Ok(value) => Some(value),
        Err(Ok(payload)) => resume_unwind(payload),
        Err(Err(_)) => None,
    }
}

async fn work(job: u32) {
    sleep(Duration::from_millis(100)).await;
    assert!(job > 0, "job {job} has no work");
    println!("job {job} is done");
}

/// The jobs in the queue.
type Jobs = Arc<Mutex<VecDeque<u32>>>;

/// A function of its own: in the head of a `while let` the lock would be held during the
/// work as well.
async fn next(jobs: &Jobs) -> Option<u32> {
    jobs.lock().await.pop_front()
}

/// Works until there are no more jobs.
pub async fn worker(jobs: Jobs) {
    println!("a worker begins");
    while let Some(job) = next(&jobs).await {
        work(job).await;
    }
}

fn report(outcome: Result<(), JoinError>) {
    match outcome.map_err(JoinError::try_into_panic) {
        Ok(()) => println!("ended well"),
        Err(Ok(payload)) => println!("ended by a bug: {}", panic_text(&*payload)),
        Err(Err(_)) => println!("was cancelled"),
    }
}

pub async fn run() {
    println!("Nobody awaits the task:");
    drop(tokio::spawn(work(0)));
    sleep(Duration::from_millis(200)).await;
    println!("0.2 s later");

    println!("The task is awaited, and then one that was cancelled:");
    report(tokio::spawn(work(0)).await);
    let task = tokio::spawn(work(1));
    task.abort();
    report(task.await);

    println!("The error is passed on to the caller, a task as well:");
    let caller = tokio::spawn(async {
        join(tokio::spawn(work(1))).await;
        join(tokio::spawn(work(0))).await;
        join(tokio::spawn(work(2))).await;
    });
    report(caller.await);

    let pause = Duration::from_millis(200);
    for numbers in [[1, 0, 2, 3], [0, 1, 0, 2]] {
        println!("With one restart, the jobs {numbers:?}:");
        let jobs = Arc::new(Mutex::new(VecDeque::from(numbers)));
        match supervise(1, pause, || worker(Arc::clone(&jobs))).await {
            Ok(()) => println!("all jobs are taken"),
            Err(error) => {
                println!("{error}; jobs left: {}", jobs.lock().await.len());
                if let GaveUp::Panicked { last, .. } = error {
                    report(Err(last));
                }
            }
        }
    }
}

#[tokio::main]
pub async fn main() {
    run().await;
}
