//! Run many futures concurrently and gather their results: `asyncio.gather`.
//!
//! `join!` takes a fixed number of futures and returns a tuple, so each result has a
//! type of its own. `gather` below takes a list of any length and spawns each future as
//! a task. It returns the values in the order of the list, or the first error as soon
//! as it comes. As in asyncio, the other tasks then run on.
//!
//! To stop the other tasks at the first error, as a `TaskGroup` does, see `task_group`.
//!
//! Trap: `try_join_all` returns the first error at once only for up to 30 futures. A
//! longer list is read in its order: an error behind a future that hangs is never
//! returned.
//!
//! See also: `gather_errors`, `batches`, `map_with_limit`, `first_error_wins`.
//!
//! asyncio: asyncio.gather, asyncio.create_task

use std::error::Error;
use std::time::Duration;

use futures::stream::{FuturesUnordered, TryStreamExt};
use tokio::join;
use tokio::task::JoinError;
use tokio::time::sleep;

/// Any error that can move to another thread.
pub type Failure = Box<dyn Error + Send + Sync>;

/// Runs all futures concurrently, each as a task, and returns their values in the order
/// of the list.
///
/// Dropping the future of `gather` leaves the tasks running; asyncio cancels them.
///
/// # Errors
///
/// The first error, as soon as it comes; a panic counts as one. The others run on. `E` is
/// most simply `Box<dyn Error + Send + Sync>`; an enum needs `impl From<JoinError>`.
pub async fn gather<F, T, E>(futures: impl IntoIterator<Item = F>) -> Result<Vec<T>, E>
where
    F: Future<Output = Result<T, E>> + Send + 'static,
    T: Send + 'static,
    E: From<JoinError> + Send + 'static,
{
    let tasks = futures.into_iter().map(tokio::spawn).enumerate();
    let mut tasks: FuturesUnordered<_> = tasks
        .map(async |(index, task)| Ok::<_, E>((index, task.await??)))
        .collect();
    let mut values = Vec::with_capacity(tasks.len());
    while let Some(value) = tasks.try_next().await? {
        values.push(value);
    }
    values.sort_unstable_by_key(|(index, _)| *index);
    Ok(values.into_iter().map(|(_, value)| value).collect())
}

async fn count_messages() -> usize {
    sleep(Duration::from_millis(100)).await;
    7
}

async fn fetch_data(id: u32, millis: u64) -> Result<String, Failure> {
    sleep(Duration::from_millis(millis)).await;
    if id == 0 {
        return Err("there is no data 0".into());
    }
    println!("Fetched data {id}");
    Ok(format!("Data {id}"))
}

pub async fn run() -> Result<(), Failure> {
    println!("Results of different types:");
    // data, count = await asyncio.gather(fetch_data(1, 0.2), count_messages())
    let (data, count) = join!(fetch_data(1, 200), count_messages());
    println!("{}, {count} messages", data?);

    println!("A list, its results in its order:");
    let fetches = [fetch_data(1, 200), fetch_data(2, 100), fetch_data(3, 300)];
    println!("{}", gather(fetches).await?.join(", "));

    println!("The first error, while the others run on:");
    let fetches = [fetch_data(1, 200), fetch_data(0, 100), fetch_data(3, 300)];
    if let Err(error) = gather(fetches).await {
        println!("Error: {error}");
    }
    sleep(Duration::from_millis(300)).await;
    Ok(())
}

#[tokio::main]
pub async fn main() -> Result<(), Failure> {
    run().await
}
