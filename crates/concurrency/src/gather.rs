//! Run many futures at once and gather their results: `asyncio.gather`.
//!
//! `join!` takes a fixed number of futures and gives a tuple, so each result has a type
//! of its own. A list of any length goes through `gather` below, which runs each future
//! as a task and gives the values in the order of the list, whichever is ready first. As
//! in asyncio the first error is passed on at once, and the other tasks run on behind it:
//! dropping the handle of a task does not stop it. The trap is `try_join_all` on the bare
//! futures: it looks the same and drops the others, as a `TaskGroup` cancels them. To
//! have all results, errors among them: `gather_errors`.
//!
//! asyncio: asyncio.gather, asyncio.create_task, asyncio.TaskGroup, except*

use std::error::Error;
use std::time::Duration;

use futures::future::try_join_all;
use tokio::join;
use tokio::task::JoinError;
use tokio::time::sleep;

/// Any error that may move to another thread.
pub type Failure = Box<dyn Error + Send + Sync>;

/// Runs all futures at the same time, each as a task of its own. Their values, in the
/// order of the futures, or the first error, which may be a panic; the other tasks run
/// on. They do so, too, when the future of `gather` itself is dropped, where asyncio
/// cancels them: `task_group` stops them. `E` is most simply
/// `Box<dyn Error + Send + Sync>`; an enum of your own needs `impl From<JoinError>`.
pub async fn gather<F, T, E>(futures: impl IntoIterator<Item = F>) -> Result<Vec<T>, E>
where
    F: Future<Output = Result<T, E>> + Send + 'static,
    T: Send + 'static,
    E: From<JoinError> + Send + 'static,
{
    let tasks = futures.into_iter().map(tokio::spawn);
    // `map` alone does nothing. This goes through the list, and so spawns them all.
    try_join_all(tasks.map(async |task| task.await?)).await
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
    match try_join_all(requests.map(|(id, millis)| fetch_data(id, millis))).await {
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
