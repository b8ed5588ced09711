//! Race tasks: take the first that completes, abort the others and wait for their end.
//!
//! The function `first_completed` below runs the calls as tasks in a `JoinSet` (Tokio's
//! set of tasks). `join_next` returns the first result, an error as well as a value.
//! `shutdown` then aborts the other tasks and waits until each has dropped its values. So
//! in `main`, all requests are closed before the result is printed. For two or three
//! calls that need no tasks, the example `race` is simpler.
//!
//! Trap: If you abort the losers and do not await them, they may still be cleaning up
//! while your next lines run. In both languages, cancelling a task is only a request.
//! Dropping the `JoinSet` aborts the tasks but does not await them; `shutdown` does both.
//!
//! Trap: If a second task has ended before the call of `shutdown`, its result is lost. In
//! asyncio, the set `done` contains both tasks. To keep the second result, call
//! `try_join_next` before `shutdown`.
//!
//! See also: `race`, `first_success`, `wait_for_first` (keeps the rest running),
//! `hedged_request`.
//!
//! asyncio: asyncio.wait, asyncio.FIRST_COMPLETED, asyncio.Task.cancel, finally

use std::future::Future;
use std::time::Duration;

use tokio::task::{JoinError, JoinSet};
use tokio::time::sleep;

/// Runs all futures as tasks and returns the result of the first that completes, or
/// `None` if there are no futures. The other tasks are aborted, and have ended when this
/// returns.
pub async fn first_completed<F>(
    futures: impl IntoIterator<Item = F>,
) -> Option<Result<F::Output, JoinError>>
where
    F: Future<Output: Send> + Send + 'static,
{
    let mut tasks = JoinSet::from_iter(futures);
    let first = tasks.join_next().await;
    tasks.shutdown().await;
    first
}

/// An open request. It is closed when it is dropped, however its function ends.
struct Request(&'static str);

impl Drop for Request {
    fn drop(&mut self) {
        println!("{} closed", self.0);
    }
}

async fn fetch_data(url: &'static str, millis: u64) -> Result<String, String> {
    let _request = Request(url);
    sleep(Duration::from_millis(millis)).await;
    if url.starts_with("broken") {
        return Err(format!("{url} does not answer"));
    }
    Ok(format!("Data from {url}"))
}

fn print_result(result: Result<String, String>) {
    match result {
        Ok(data) => println!("{data}"),
        Err(error) => println!("Error: {error}"),
    }
}

#[tokio::main]
async fn main() -> Result<(), JoinError> {
    println!("The first that completes:");
    let fetches = [fetch_data("slow.com", 300), fetch_data("fast.com", 100)];
    if let Some(first) = first_completed(fetches).await {
        print_result(first?);
    }

    println!("An error completes, too:");
    let fetches = [fetch_data("slow.com", 300), fetch_data("broken.com", 100)];
    if let Some(first) = first_completed(fetches).await {
        print_result(first?);
    }
    Ok(())
}
