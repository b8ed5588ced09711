//! Port `all_or_nothing`. When one job fails, the others have been stopped before the caller
//! sees the error.
//!
//!     async def all_or_nothing(jobs):
//!         async with asyncio.TaskGroup() as group:
//!             tasks = [group.create_task(job) for job in jobs]
//!         return [task.result() for task in tasks]
//!
//! `pub async fn try_all<F, T, E>(futures: impl IntoIterator<Item = F>) -> Result<Vec<T>, E>`
//! where `F: Future<Output = Result<T, E>> + Send + 'static`, `T: Send + 'static` and
//! `E: From<JoinError> + Send + 'static`.

use super::prelude::*;

mod naive {
    use tokio::task::JoinError;

    pub async fn try_all<F, T, E>(
        futures: impl IntoIterator<Item = F>,
    ) -> Result<Vec<T>, E>
    where
        F: Future<Output = Result<T, E>> + Send + 'static,
        T: Send + 'static,
        E: From<JoinError> + Send + 'static,
    {
        let tasks: Vec<_> = futures.into_iter().map(tokio::spawn).collect();
        let mut values = Vec::new();
        for task in tasks {
            values.push(task.await??);
        }
        Ok(values)
    }
}

#[allow(dead_code, reason = "the example's demonstration")]
#[path = "../../../crates/error-handling/src/first_error_wins.rs"]
mod right;

judge!("task_group" refuses "the other jobs were not stopped" {
    static DONE: AtomicUsize = AtomicUsize::new(0);
    let job = async |seconds: u64| {
        sleep(Duration::from_secs(seconds)).await;
        if seconds == 1 {
            return Err("job 1 fails".into());
        }
        DONE.fetch_add(1, Relaxed);
        Ok::<u64, Box<dyn Error + Send + Sync>>(seconds)
    };
    assert_eq!(answer::try_all([2, 0].map(job)).await.expect("both"), [2, 0]);
    let error = answer::try_all([1, 2, 3].map(job)).await.expect_err("an error");
    assert_eq!(error.to_string(), "job 1 fails");
    sleep(Duration::from_secs(5)).await;
    assert_eq!(DONE.load(Relaxed), 2, "the other jobs were not stopped");
});
