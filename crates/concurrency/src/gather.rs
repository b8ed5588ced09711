//! Run many futures concurrently and gather their results: `asyncio.gather`.
//!
//! `join!` takes a fixed number of futures and returns a tuple, so each result has a
//! type of its own. `gather` below takes a list of any length and spawns each future as
//! a task. It returns the values in the order of the list, or the first error as soon
//! as it comes. As in asyncio, the other tasks then run on.
//!
//! Bare futures in a `FuturesUnordered` are dropped at the first error, as a
//! `TaskGroup` cancels its tasks. It yields values in the order of completion, all on
//! one thread.
//!
//! Trap: `try_join_all` returns the first error at once only for up to 30 futures. A
//! longer list is read in its order: an error behind a future that hangs is never
//! returned.
//!
//! See also: `gather_errors`, `task_group`, `map_with_limit`, `first_error_wins`.
//!
//! asyncio: asyncio.gather, asyncio.create_task, asyncio.TaskGroup, except*

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
/// Dropping the future of `gather` leaves the tasks running, where asyncio cancels
/// them: `task_group` stops them.
///
/// # Errors
///
/// The first error, as soon as it comes; a panic is one. The other tasks run on. `E` is
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

async fn user_name(id: u32) -> String {
    sleep(Duration::from_millis(200)).await;
    format!("User {id}")
}

async fn unread(_id: u32) -> usize {
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
    // name, count = await asyncio.gather(user_name(1), unread(1))
    let (name, count) = join!(user_name(1), unread(1));
    println!("{name} has {count} messages");

    println!("A list, its results in its order:");
    let requests = [(1, 200), (2, 100), (3, 300)];
    let results = gather(requests.map(|(id, millis)| fetch_data(id, millis))).await?;
    println!("{}", results.join(", "));

    println!("The first error, while the others run on:");
    let requests = [(1, 200), (0, 100), (3, 300)];
    match gather(requests.map(|(id, millis)| fetch_data(id, millis))).await {
        Ok(results) => println!("{}", results.join(", ")),
        Err(error) => println!("Error: {error}"),
    }
    sleep(Duration::from_millis(300)).await;

    println!("The first error, which stops the others:");
    let fetches = requests.map(|(id, millis)| fetch_data(id, millis));
    let fetches = FuturesUnordered::from_iter(fetches);
    match fetches.try_collect::<Vec<_>>().await {
        Ok(results) => println!("{}", results.join(", ")),
        Err(error) => println!("Error: {error}"),
    }
    sleep(Duration::from_millis(300)).await;
    println!("0.3 s later");
    Ok(())
}

#[tokio::main]
pub async fn main() -> Result<(), Failure> {
    run().await
}
