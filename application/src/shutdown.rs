//! Waits for a reason to stop, and then for all services, within a limit.

use std::{io, time::Duration};

use anyhow::{Result, anyhow};
use tokio::{select, task::JoinError, task::JoinSet, time::sleep, time::timeout};
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

/// The two steps of a stop.
#[derive(Clone, Debug, Default)]
pub struct Stop {
    /// From now on `/ready` fails, and clients are still served.
    pub stopping: CancellationToken,
    /// From now on no client is accepted.
    pub accepting: CancellationToken,
}

/// Waits for a signal or for a service that ends. Then cancels `stopping`, `accepting`
/// after the notice, and waits until all services have ended, even after one has failed:
/// the others still answer their clients. Fails if a service failed, panicked or ended
/// before the stop, or if the limit or a second signal ends the waiting.
pub async fn finish(
    mut services: JoinSet<Result<()>>,
    mut signal: impl AsyncFnMut(),
    stop: Stop,
    notice: Duration,
    drain: Duration,
) -> Result<()> {
    let outcome = |joined: Result<Result<()>, JoinError>| joined?;
    let reason = select! {
        () = signal() => Ok(()),
        Some(ended) = services.join_next() => {
            outcome(ended).and(Err(anyhow!("a service ended too early")))
        }
    };
    tracing::info!("stopping");
    stop.stopping.cancel();
    let is_planned = reason.is_ok();
    let others = async {
        if is_planned {
            sleep(notice).await;
        }
        stop.accepting.cancel();
        let all = async {
            let mut first_error = Ok(());
            while let Some(ended) = services.join_next().await {
                first_error = first_error.and(outcome(ended));
            }
            first_error
        };
        // If all have ended when the limit does, it is no failure.
        let late = |_| Err(anyhow!("the requests did not end within {drain:?}"));
        timeout(drain, all).await.unwrap_or_else(late)
    };
    let others = select! {
        // If all have ended, a second signal does not make it a failure.
        biased;
        ended = others => ended,
        () = signal() => Err(anyhow!("stopped by a second signal")),
    };
    reason.and(others)
}
