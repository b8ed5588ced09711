//! Waits for a reason to stop, and then for all services, within a limit.

use std::{io, time::Duration};

use anyhow::{Result, anyhow};
use tokio::{select, task::JoinError, task::JoinSet, time::sleep};
use tokio_util::sync::CancellationToken;

/// Returns a function that waits for the next Ctrl-C or SIGTERM. From now on these do not
/// end the program. Windows has no SIGTERM; there it is the shutdown of the system.
pub fn signals() -> io::Result<impl AsyncFnMut()> {
    #[cfg(unix)]
    use tokio::signal::unix::{SignalKind as Kind, signal};
    #[cfg(unix)]
    let (mut one, mut other) = (signal(Kind::interrupt())?, signal(Kind::terminate())?);
    #[cfg(windows)]
    use tokio::signal::windows::{ctrl_c, ctrl_shutdown};
    #[cfg(windows)]
    let (mut one, mut other) = (ctrl_c()?, ctrl_shutdown()?);
    Ok(async move || select! { _ = one.recv() => {}, _ = other.recv() => {} })
}

/// Waits for a signal or for a service that ends. Then cancels `stop`, and waits until all
/// services have ended, even after one has failed: the others still answer their clients.
/// Fails if a service failed, panicked or ended before `stop`, or if the limit or a second
/// signal ends the waiting.
pub async fn finish(
    mut services: JoinSet<Result<()>>,
    mut signal: impl AsyncFnMut(),
    stop: CancellationToken,
    limit: Duration,
) -> Result<()> {
    let outcome = |joined: Result<Result<()>, JoinError>| joined?;
    let reason = select! {
        () = signal() => Ok(()),
        Some(ended) = services.join_next() => {
            outcome(ended).and(Err(anyhow!("a service ended too early")))
        }
    };
    stop.cancel();
    let others = async {
        let mut first_error = Ok(());
        while let Some(ended) = services.join_next().await {
            first_error = first_error.and(outcome(ended));
        }
        first_error
    };
    let others = select! {
        // If all have ended, neither a signal nor the limit makes it a failure.
        biased;
        ended = others => ended,
        () = signal() => Err(anyhow!("stopped by a second signal")),
        () = sleep(limit) => Err(anyhow!("the requests did not end within {limit:?}")),
    };
    reason.and(others)
}
