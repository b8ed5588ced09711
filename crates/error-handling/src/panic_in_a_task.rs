//! A panic in a task: notice it, pass it on, or start the task again (a supervisor).
//!
//! A panic ends its task and not the program (unless Cargo.toml says `panic = "abort"`),
//! as an exception that nobody caught ends a task in asyncio. The trap is in both
//! languages: if nobody awaits the task, nobody learns of it, and the program goes on
//! without its worker; only standard error has a message. Awaiting the task gives a
//! `JoinError`. Python raises the exception there, and `resume_unwind` goes on with the
//! panic in the caller. `supervise` below starts the task again, a limited number of
//! times; the job it had in hand is lost. A std `Mutex` that it had locked is poisoned
//! (`lock` gives an error from then on), and a Tokio `Mutex` is not. The crate `ractor`
//! does more: it supervises actors.
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

/// Why the task is not started again.
#[derive(Debug, Error)]
pub enum GaveUp {
    /// It panicked more often than it may be started again.
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

/// Runs what `start` makes as a task. After a panic and a pause it starts it again, at
/// most `restarts` times in all, however long it works in between; with 0 restarts,
/// never. Values and errors are returned.
///
/// When this is dropped, the task is aborted.
///
/// # Errors
///
/// [`GaveUp`] after one panic more than there are restarts, or when the runtime of the
/// task shuts down.
///
/// # Panics
///
/// When `start` itself does, which runs in the caller.
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

/// What was panicked with: a `&str` if the text was fixed, else a `String`.
fn panic_text(payload: &(dyn Any + Send)) -> &str {
    let text = payload.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| payload.downcast_ref().copied())
        .unwrap_or("no text")
}

/// The task's value, or its panic, which goes on here. `None` if it was aborted.
///
/// When this is dropped, the task runs on.
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

/// The jobs that wait.
type Jobs = Arc<Mutex<VecDeque<u32>>>;

/// A function of its own, as in the head of a `while let` the lock would be held
/// during the work, too.
async fn next(jobs: &Jobs) -> Option<u32> {
    jobs.lock().await.pop_front()
}

/// Works until there are no more jobs.
async fn worker(jobs: Jobs) {
    println!("a worker begins");
    while let Some(job) = next(&jobs).await {
        work(job).await;
    }
}

fn report(outcome: Result<(), JoinError>) {
    match outcome.map_err(JoinError::try_into_panic) {
        Ok(()) => println!("ended well"),
        Err(Ok(payload)) => println!("panicked: {}", panic_text(&*payload)),
        Err(Err(_)) => println!("was aborted"),
    }
}

pub async fn run() {
    println!("Nobody awaits the task:");
    drop(tokio::spawn(work(0)));
    sleep(Duration::from_millis(200)).await;
    println!("0.2 s later");

    println!("The task is awaited, and then one that was aborted:");
    report(tokio::spawn(work(0)).await);
    let task = tokio::spawn(work(1));
    task.abort();
    report(task.await);

    println!("The panic is passed on to the caller, a task as well:");
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

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::error::Error;
    use std::future::pending;
    use std::sync::Arc;
    use std::time::Duration;

    use futures::FutureExt;
    use tokio::runtime::Runtime;
    use tokio::sync::Mutex;
    use tokio::time::{Instant, sleep, timeout};

    use super::{GaveUp, join, supervise, worker};

    const PAUSE: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn as_many_restarts_as_allowed() {
        for restarts in 0..4 {
            let (start, mut begun) = (Instant::now(), 0);
            let result: Result<(), GaveUp> = supervise(restarts, PAUSE, || {
                begun += 1;
                async { panic!("job 0 has no work") }
            })
            .await;
            let Err(GaveUp::Panicked { panics, last }) = result else {
                panic!("{result:?}");
            };
            assert_eq!((begun, panics), (restarts + 1, restarts + 1));
            assert!(last.is_panic());
            assert_eq!(start.elapsed(), restarts * PAUSE);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_error_is_no_panic() {
        let mut begun = 0;
        let result = supervise(5, PAUSE, || {
            begun += 1;
            async { Err::<(), _>("an error") }
        });
        assert_eq!(result.await.expect("no panic"), Err("an error"));
        assert_eq!(begun, 1);
    }

    #[tokio::test(start_paused = true)]
    async fn dropped_it_aborts_the_task() {
        // Dropped while the task runs, in the pause after it, and in the second task.
        for ticks in [1, 3, 5] {
            let held = Arc::new(());
            let mut begun = 0;
            let running = supervise(9, PAUSE, || {
                begun += 1;
                let held = Arc::clone(&held);
                async move {
                    sleep(PAUSE).await;
                    drop(held);
                    panic!("job 0 has no work");
                }
            });
            assert!(timeout(ticks * PAUSE / 2, running).await.is_err());
            assert_eq!(begun, 1 + ticks / 4);
            // Long before it would have ended by itself.
            sleep(PAUSE / 4).await;
            assert_eq!(Arc::strong_count(&held), 1);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn in_a_task_with_state_and_any_error() {
        type Failure = Box<dyn Error + Send + Sync>;

        async fn count(name: String) -> Result<u32, Failure> {
            let mut tries = 0;
            let task = supervise(2, PAUSE, || {
                tries += 1;
                let (name, number) = (name.clone(), tries);
                async move {
                    assert!(number > 2, "{name} has no work");
                    Ok::<u32, Failure>(number)
                }
            });
            task.await?
        }
        let counted = tokio::spawn(count("job 0".to_string())).await;
        assert_eq!(counted.expect("it is caught").ok(), Some(3));
    }

    #[tokio::test]
    async fn a_lock_that_a_panic_leaves() {
        let poisoned = Arc::new(std::sync::Mutex::new(0));
        let free = Arc::new(Mutex::new(0));
        let (first, second) = (Arc::clone(&poisoned), Arc::clone(&free));
        let task = tokio::spawn(async move {
            let mut half_changed = second.lock().await;
            *half_changed += 1;
            let _guard = first.lock();
            panic!("job 0 has no work");
        });
        assert!(task.await.is_err());
        assert!(poisoned.lock().is_err());
        let changed = timeout(PAUSE, free.lock()).await.expect("it is free");
        assert_eq!(*changed, 1);
    }

    #[test]
    fn a_runtime_that_shuts_down_is_no_panic() {
        let [first, second] = [(); 2].map(|()| Runtime::new().expect("it starts"));
        let mut supervised = Box::pin(supervise(3, PAUSE, pending::<()>));
        {
            let _inside = first.enter();
            assert!(supervised.as_mut().now_or_never().is_none());
        }
        first.shutdown_background();
        let error = second.block_on(supervised).expect_err("it was stopped");
        assert_eq!(error.to_string(), "the runtime shuts down");
    }

    #[tokio::test(start_paused = true)]
    async fn an_aborted_task_is_no_panic() {
        let task = tokio::spawn(pending::<()>());
        task.abort();
        assert_eq!(join(task).await, None);
    }

    #[tokio::test(start_paused = true)]
    async fn dropped_join_lets_the_task_run_on() {
        let held = Arc::new(());
        let task = tokio::spawn({
            let held = Arc::clone(&held);
            async move {
                sleep(PAUSE).await;
                drop(held);
            }
        });
        assert!(timeout(PAUSE / 2, join(task)).await.is_err());
        sleep(PAUSE / 4).await;
        assert_eq!(Arc::strong_count(&held), 2);
        sleep(PAUSE).await;
        assert_eq!(Arc::strong_count(&held), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn two_workers_work_at_the_same_time() {
        let start = Instant::now();
        let jobs = Arc::new(Mutex::new(VecDeque::from([1, 2, 3, 4])));
        tokio::join!(worker(Arc::clone(&jobs)), worker(jobs));
        assert_eq!(start.elapsed(), Duration::from_millis(200));
    }
}
