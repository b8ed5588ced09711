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
pub async fn work<H, F>(store: Store, stop: CancellationToken, handle: H) -> Result<()>
where
    H: Fn(Job) -> F + Clone + Send + 'static,
    F: Future<Output = Result<i64>> + Send + 'static,
{
    while !stop.is_cancelled() {
        let pause = async {
            stop.run_until_cancelled(sleep(PAUSE)).await;
        };
        match store.next_job().await {
            Ok(Some(job)) => {
                let (note, attempt) = (job.note, job.attempt);
                if let Err(error) = try_once(&store, job, handle.clone()).await {
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

/// Fails if the attempt was late, panicked or failed, or if its result was not stored.
async fn try_once<H, F>(store: &Store, job: Job, handle: H) -> Result<()>
where
    H: Fn(Job) -> F + Send + 'static,
    F: Future<Output = Result<i64>> + Send + 'static,
{
    let copy = job.clone();
    // In a task, so that a panic ends this attempt and not the worker.
    let attempt = tokio::spawn(async move { handle(copy).await });
    let words = timeout(ATTEMPT, AbortOnDropHandle::new(attempt)).await???;
    Ok(store.complete(job, words).await?)
}

/// Counts the words of a note.
pub async fn count_words(job: Job) -> Result<i64> {
    Ok(i64::try_from(job.text.split_whitespace().count())?)
}
