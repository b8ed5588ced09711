use std::process::ExitCode;
use std::time::{Duration, Instant};

use tokio::runtime::{Builder, Handle, Runtime};
use tokio::time;

/// What a timer on the virtual clock waits for that fires only when nothing else will.
/// No example waits for a century; a clock that skips the waits is there immediately.
const CENTURY: Duration = Duration::from_secs(100 * 365 * 24 * 3600);

/// The time since the start of an example.
#[derive(Debug)]
pub enum Clock {
    /// By the system's clock, never by the runtime's: that one may be paused.
    Real(Instant),
    /// By the paused clock of this runtime.
    Virtual(time::Instant, Handle),
}

impl Clock {
    /// The real clock, started now.
    pub fn real() -> Self {
        Self::Real(Instant::now())
    }

    /// The clock of a runtime that [`paused_runtime`] has made, started now.
    pub fn of(runtime: &Runtime) -> Self {
        let _context = runtime.enter();
        Self::Virtual(time::Instant::now(), runtime.handle().clone())
    }

    /// How long the example has been running.
    pub fn elapsed(&self) -> Duration {
        match self {
            Self::Real(started) => started.elapsed(),
            Self::Virtual(started, runtime) => {
                // A plain thread, or a destructor that runs while the runtime shuts down,
                // is outside the runtime and would read the system's clock.
                let _context = runtime.enter();
                started.elapsed()
            }
        }
    }
}

/// A runtime whose clock moves to the next timer whenever no task can proceed.
///
/// # Errors
///
/// When the system has no resources for it.
pub fn paused_runtime() -> Result<Runtime, String> {
    Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()
        .map_err(|error| format!("cannot build the runtime: {error}"))
}

/// Awaits the example. On a paused clock, gives up when nothing can ever happen again.
///
/// # Errors
///
/// The example's own, or the words that tell of a deadlock.
pub async fn or_deadlock(
    example: impl Future<Output = Result<ExitCode, String>>,
) -> Result<ExitCode, String> {
    time::timeout(CENTURY, example).await.unwrap_or_else(|_| {
        Err("deadlock: every task waits and no timer is set".to_owned())
    })
}
