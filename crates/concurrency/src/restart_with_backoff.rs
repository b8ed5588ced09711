//! Restart a failed task with exponential backoff, at most N times in a window of time.
//!
//! You pass a closure that creates the future of each run, because a future runs only
//! once. Each run is a task, so a panic counts as a failure, like an error. The pause
//! before a restart doubles with each restart in the window; after a window without
//! restarts it is short again. After N restarts in the window, the next error is
//! returned. Let that error end the program, so that the service manager (systemd,
//! Kubernetes) restarts the program.
//!
//! The second closure that you pass, `report`, is called before each restart. Log the
//! error there. Otherwise the restarts hide the bug that makes the task fail.
//!
//! Bounds: At most `max_restarts` restarts in a window of the length `within`; then the
//! error is returned. Unbounded: The time of a run. A run that hangs is not noticed.
//!
//! Trap: If N failing runs and their pauses together take longer than the window, old
//! restarts no longer count. The limit is never reached, and the task is restarted
//! forever. Make the window longer.
//!
//! Trap: If the task keeps state in its variables, a restart loses the state. Keep the
//! state outside the task.
//!
//! See also: `background_services` (several services, a shutdown), `panic_in_a_task`,
//! `retry`, `reconnecting_client`.
//!
//! asyncio: asyncio.create_task, asyncio.sleep, except, raise

use std::error::Error;
use std::future::Future;
use std::time::Duration;

use tokio::task::JoinError;
use tokio::time::{Instant, sleep};
use tokio_util::task::AbortOnDropHandle;

/// When to restart a failed task, and when to give up.
#[derive(Clone, Copy, Debug)]
pub struct RestartPolicy {
    /// How many restarts are allowed within the window.
    pub max_restarts: usize,
    /// The length of the window. It must be longer than the pauses and the failing runs
    /// together, for example than the connect timeouts.
    pub within: Duration,
    /// The pause before the first restart in a window. It doubles with each further one.
    pub initial_backoff: Duration,
    /// The longest pause.
    pub max_backoff: Duration,
}

impl RestartPolicy {
    /// Returns the pause before the restart with this number in the window, from 0.
    pub fn backoff(&self, restart: usize) -> Duration {
        let doublings = u32::try_from(restart).unwrap_or(u32::MAX);
        let factor = 2_u32.saturating_pow(doublings);
        let backoff = self.initial_backoff.saturating_mul(factor);
        backoff.min(self.max_backoff)
    }
}

/// Runs the future of `start` as a task, and restarts it after an error or a panic.
/// Returns the value of the run that succeeds.
///
/// Before each restart it calls `report` with the error and the pause. Dropping the
/// future aborts the running task.
///
/// # Errors
///
/// The last error, when `max_restarts` restarts are used up or the runtime shuts down.
///
/// # Panics
///
/// When `start` itself does, because it runs in the caller.
pub async fn restart_with_backoff<T, E, Fut>(
    policy: RestartPolicy,
    mut start: impl FnMut() -> Fut,
    mut report: impl FnMut(&E, Duration),
) -> Result<T, E>
where
    Fut: Future<Output = Result<T, E>> + Send + 'static,
    T: Send + 'static,
    E: From<JoinError> + Send + 'static,
{
    let mut restarts: Vec<Instant> = Vec::new();
    loop {
        let task = AbortOnDropHandle::new(tokio::spawn(start()));
        let error = match task.await {
            Ok(Ok(value)) => return Ok(value),
            Ok(Err(error)) => error,
            Err(panic) if panic.is_panic() => panic.into(),
            Err(cancelled) => return Err(cancelled.into()),
        };
        restarts.retain(|restart| restart.elapsed() < policy.within);
        if restarts.len() >= policy.max_restarts {
            return Err(error);
        }
        let pause = policy.backoff(restarts.len());
        report(&error, pause);
        restarts.push(Instant::now());
        // The error may own a connection.
        drop(error);
        sleep(pause).await;
    }
}

type Failure = Box<dyn Error + Send + Sync>;

/// Reads a feed for some time, and fails.
async fn read_feed(run: u32, time: Duration) -> Result<(), Failure> {
    println!("Run {run} begins");
    sleep(time).await;
    Err(format!("run {run} lost its connection").into())
}

#[tokio::main]
async fn main() {
    let policy = RestartPolicy {
        max_restarts: 3,
        within: Duration::from_secs(2),
        initial_backoff: Duration::from_millis(100),
        max_backoff: Duration::from_millis(300),
    };
    // The third run is long, so the first failures are then out of the window.
    let times = [100, 100, 2_000, 100, 100, 100];
    let mut runs = (1..).zip(times.map(Duration::from_millis));
    let start = || {
        let (run, time) = runs.next().unwrap_or_default();
        read_feed(run, time)
    };
    let report = |error: &Failure, pause| println!("Failed: {error}; again in {pause:?}");
    match restart_with_backoff(policy, start, report).await {
        Ok(()) => println!("The end"),
        Err(error) => println!("Gave up: {error}"),
    }
}
