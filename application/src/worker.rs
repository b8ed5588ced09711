//! Does for each note what may take longer than a request: here it counts the words.
//!
//! A job comes into the database in the transaction of its note. So it survives a kill,
//! and is begun again: make its effect idempotent. Replace `count_words` by your own work.

use std::time::Duration;

use anyhow::Result;
use tokio::{time::sleep, time::timeout};
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};

use crate::store::{Job, Store};

/// The time for one attempt.
const ATTEMPT: Duration = Duration::from_secs(10);
/// The pause after a failed attempt, and when the store is busy.
const PAUSE: Duration = Duration::from_secs(1);
/// How long it waits for a note until it looks for jobs of other processes.
const IDLE: Duration = Duration::from_secs(10);

/// Handles one job after the other until `stop`; then finishes its job. An attempt that
/// fails, panics or is late is begun again.
pub async fn work<F>(
    store: Store,
    stop: CancellationToken,
    handle: impl Fn(Job) -> F,
) -> Result<()>
where
    F: Future<Output = Result<i64>> + Send + 'static,
{
    while !stop.is_cancelled() {
        let pause = async {
            stop.run_until_cancelled(sleep(PAUSE)).await;
        };
        match store.next_job().await {
            Ok(Some(job)) => {
                let (note, attempt) = (job.note, job.attempt);
                // In a task, so that a panic ends this attempt and not the worker.
                let handling = AbortOnDropHandle::new(tokio::spawn(handle(job)));
                let handled = match timeout(ATTEMPT, handling).await {
                    Ok(Ok(Ok(words))) => {
                        let done = store.complete((note, attempt), words).await;
                        done.map_err(Into::into)
                    }
                    Ok(Ok(Err(error))) => Err(error),
                    Ok(Err(panic)) => Err(panic.into()),
                    Err(late) => Err(late.into()),
                };
                if let Err(error) = handled {
                    tracing::warn!(note, attempt, "a job failed: {error:#}");
                    pause.await;
                }
            }
            Ok(None) => {
                // The job of a killed process comes without a note.
                let waits = timeout(IDLE, store.added());
                stop.run_until_cancelled(waits).await;
            }
            Err(_) => pause.await,
        }
    }
    Ok(())
}

/// Counts the words of a note.
pub async fn count_words(job: Job) -> Result<i64> {
    Ok(i64::try_from(job.text.split_whitespace().count())?)
}
