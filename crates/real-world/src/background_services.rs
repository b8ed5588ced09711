//! Background services: a supervisor restarts crashed ones with a pause, then gives up.
//!
//! You pass a closure that creates the future of the service. It is called for each
//! run, so each run starts with fresh state. The pause before a restart doubles with
//! each failure in a row. `stop` cancels a `CancellationToken`, so that services can
//! still await and clean up, and after a grace period it aborts them. The supervisor
//! does not listen for signals: call `stop` when one arrives, as `main` does.
//!
//! Bounds: In `Restarts` you set the pauses, and the number of restarts in a row after
//! which a service is given up. `stop` takes its grace period and at most another second.
//!
//! Trap: If you only spawn a service and it panics, the service is gone, and your
//! program continues without it, as in asyncio. Supervise it, or await its handle.
//!
//! Trap: If a service blocks its thread, it cannot be aborted. `stop` may have to wait
//! for it, or reports it as `Blocked`, and then the end of `main` still waits for its
//! thread. Put blocking code into `tokio::task::spawn_blocking`, in short calls.
//!
//! See also: `restart_with_backoff`, `graceful_shutdown`, `scheduler`.
//!
//! asyncio: asyncio.create_task, asyncio.Task.add_done_callback, asyncio.Task.cancel

use std::any::Any;
use std::fmt::Display;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use tokio::task::JoinError;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::JoinMap;

/// When to restart a service that returned an error or panicked.
#[derive(Clone, Copy, Debug)]
pub struct Restarts {
    /// After this many restarts in a row the service is given up.
    pub limit: u32,
    /// The pause before the first restart in a row. It doubles with every further one.
    pub pause: Duration,
    /// The longest pause.
    pub longest_pause: Duration,
    /// A run of at least this length resets the count of restarts in a row.
    pub good_run: Duration,
}

impl Restarts {
    /// Returns the pause after this many restarts in a row.
    pub fn pause_after(&self, restarts: u32) -> Duration {
        let factor = 2_u32.saturating_pow(restarts);
        self.pause.saturating_mul(factor).min(self.longest_pause)
    }
}

/// How long aborted tasks may take to end. Only a task that blocks takes longer.
const ABORT: Duration = Duration::from_secs(1);

/// How a service ended for good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// It returned `Ok`, by itself or because it was asked to stop.
    Done,
    /// It failed, and was not restarted: "failed: ..." or "crashed: ...".
    Failed(String),
    /// It was aborted after the grace period.
    Aborted,
    /// It blocks its thread, so it cannot be aborted.
    Blocked,
}

/// A service with this name already runs.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is a service named {0} already")]
pub struct NameTaken(pub String);

type Log = dyn Fn(&str, &str, Duration) + Send + Sync;

/// Runs services in tasks, restarts those that fail, and stops them all.
///
/// If one service fails, the others keep running: Erlang's strategy `one_for_one`.
/// Dropping the supervisor aborts all services without waiting for them.
pub struct Supervisor {
    restarts: Restarts,
    log: Arc<Log>,
    asked_to_stop: CancellationToken,
    services: JoinMap<String, End>,
}

impl Supervisor {
    /// Returns a supervisor. Before a restart it calls `log` with the name, the failure
    /// and the pause.
    ///
    /// # Panics
    ///
    /// If one of the two pauses is 0: a service that fails immediately would spin.
    pub fn new(
        restarts: Restarts,
        log: impl Fn(&str, &str, Duration) + Send + Sync + 'static,
    ) -> Self {
        let shortest = restarts.pause.min(restarts.longest_pause);
        assert!(!shortest.is_zero(), "a restart needs a pause before it");
        Self {
            restarts,
            log: Arc::new(log),
            asked_to_stop: CancellationToken::new(),
            services: JoinMap::new(),
        }
    }

    /// Starts a service. The closure creates its future, once for each run.
    ///
    /// The future should return `Ok` soon after the token is cancelled.
    ///
    /// # Errors
    ///
    /// [`NameTaken`] until `next` has returned the end of the service with this name.
    ///
    /// # Panics
    ///
    /// Outside a Tokio runtime.
    pub fn start<F, Fut, E>(
        &mut self,
        name: impl Into<String>,
        service: F,
    ) -> Result<(), NameTaken>
    where
        F: FnMut(CancellationToken) -> Fut + Send + 'static,
        Fut: Future<Output = Result<(), E>> + Send + 'static,
        E: Display + Send + 'static,
    {
        let name = name.into();
        if self.services.contains_key(&name) {
            return Err(NameTaken(name));
        }
        let (log, stop) = (Arc::clone(&self.log), self.asked_to_stop.clone());
        let task = supervise(name.clone(), service, self.restarts, log, stop);
        self.services.spawn(name, task);
        Ok(())
    }

    /// Waits for the next service that ends for good, and returns its name and its end;
    /// `None` if no service is left. If `log` panics, the service ends. Cancel-safe.
    pub async fn next(&mut self) -> Option<(String, End)> {
        let (name, ended) = self.services.join_next().await?;
        let end = ended.unwrap_or_else(|error| match JoinError::try_into_panic(error) {
            Ok(payload) => End::Failed(crash(&*payload)),
            Err(_aborted) => End::Aborted,
        });
        Some((name, end))
    }

    /// Asks all services to stop, aborts those still running after the grace period, and
    /// waits a second more at most. Returns the services in the order of their ends.
    ///
    /// A service that blocks its thread may stop all timers (`blocking_vs_async`). Then
    /// this waits until the service returns.
    ///
    /// Dropping the future aborts the remaining services immediately.
    pub async fn stop(mut self, grace: Duration) -> Vec<(String, End)> {
        self.asked_to_stop.cancel();
        let mut ends = Vec::new();
        if timeout(grace, self.wait(&mut ends)).await.is_err() {
            self.services.abort_all();
            if timeout(ABORT, self.wait(&mut ends)).await.is_err() {
                let blocked = self.services.keys();
                ends.extend(blocked.map(|name| (name.clone(), End::Blocked)));
            }
        }
        ends
    }

    async fn wait(&mut self, ends: &mut Vec<(String, End)>) {
        while let Some(end) = self.next().await {
            ends.push(end);
        }
    }
}

async fn supervise<Fut, E>(
    name: String,
    mut service: impl FnMut(CancellationToken) -> Fut,
    restarts: Restarts,
    log: Arc<Log>,
    stop: CancellationToken,
) -> End
where
    Fut: Future<Output = Result<(), E>>,
    E: Display,
{
    let mut in_a_row = 0;
    loop {
        let begun = Instant::now();
        // The block also catches a panic of `service` before it returns its future.
        let run = AssertUnwindSafe(async { service(stop.clone()).await });
        let failure = match run.catch_unwind().await {
            Ok(Ok(())) => return End::Done,
            // With `#`, errors of the crate `anyhow` also name their causes.
            Ok(Err(error)) => format!("failed: {error:#}"),
            Err(payload) => crash(&*payload),
        };
        if begun.elapsed() >= restarts.good_run {
            in_a_row = 0;
        }
        if in_a_row == restarts.limit || stop.is_cancelled() {
            return End::Failed(failure);
        }
        let pause = restarts.pause_after(in_a_row);
        log(&name, &failure, pause);
        if stop.run_until_cancelled(sleep(pause)).await.is_none() {
            return End::Failed(failure);
        }
        in_a_row += 1;
    }
}

/// Returns the text of a panic: a `&str` if the text was fixed, otherwise a `String`.
fn crash(payload: &(dyn Any + Send)) -> String {
    let fixed = payload.downcast_ref::<&str>().copied();
    let text = payload.downcast_ref().map(String::as_str).or(fixed);
    format!("crashed: {}", text.unwrap_or("no text"))
}

/// Restarts failed programs, until one ends for good: `cargo run -- ./web ./worker`.
#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let restarts = Restarts {
        limit: 3,
        pause: Duration::from_millis(100),
        longest_pause: Duration::from_secs(10),
        good_run: Duration::from_secs(60),
    };
    let mut supervisor = Supervisor::new(restarts, |name, failure, pause| {
        eprintln!("{name} {failure}; again in {pause:?}");
    });
    for program in std::env::args().skip(1) {
        supervisor.start(program.clone(), move |stop| {
            let mut command = tokio::process::Command::new(&program);
            let run = command.kill_on_drop(true).status();
            async move {
                match stop.run_until_cancelled(run).await.transpose() {
                    Ok(Some(status)) if !status.success() => Err(status.to_string()),
                    ended => ended.map(drop).map_err(|error| error.to_string()),
                }
            }
        })?;
    }
    tokio::select! {
        end = supervisor.next() => println!("{end:?}"),
        _ = tokio::signal::ctrl_c() => {}
    }
    println!("{:?}", supervisor.stop(Duration::from_secs(10)).await);
    Ok(())
}

//@ stderr: no template for mail 3
//@ try: false -> false failed: exit status: 1; again in 100ms
