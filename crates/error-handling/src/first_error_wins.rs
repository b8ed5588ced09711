//! Stop at the first error: when it arrives, which tasks go on, and how to stop them.
//!
//! `try_all` below is a `TaskGroup` with values. It aborts its tasks at the first error
//! or panic, and returns when all that they owned was dropped. A `JoinSet` that is
//! dropped aborts its tasks too, but does not wait for them.
//!
//! Trap: `try_join!(a, b)` over two handles waits for both tasks, and then returns
//! `Ok((Ok(..), Err(..)))`: the error is inside an `Ok`. A handle fails only if its task
//! panics. Write `try_join!(async { a.await? }, async { b.await? })`.
//!
//! Trap: tasks that are awaited one by one report an error only when its turn comes, in
//! Python as well.
//!
//! See also: `gather_errors`, `task_group_errors`, `task_group`, `structured_scope`.
//!
//! asyncio: asyncio.TaskGroup, asyncio.gather, asyncio.create_task, await
//! try: 127.0.0.1:1 -> refused

use tokio::task::{JoinError, JoinSet};

/// Runs each future as a task, and returns their values in the order of the futures.
///
/// When one fails or panics, the others are aborted: each is dropped at its current
/// await. All have ended when this returns. Work in `spawn_blocking` is not stopped.
/// Dropping the future aborts the tasks, but does not wait for them.
///
/// # Errors
///
/// The first error, or the first panic as a `JoinError`. Later ones are lost.
pub async fn try_all<F, T, E>(futures: impl IntoIterator<Item = F>) -> Result<Vec<T>, E>
where
    F: Future<Output = Result<T, E>> + Send + 'static,
    T: Send + 'static,
    E: From<JoinError> + Send + 'static,
{
    let mut tasks = JoinSet::new();
    for (number, future) in futures.into_iter().enumerate() {
        tasks.spawn(async move { Ok((number, future.await?)) });
    }
    let mut values = Vec::new();
    while let Some(outcome) = tasks.join_next().await {
        match outcome.unwrap_or_else(|panic| Err(panic.into())) {
            Ok(numbered) => values.push(numbered),
            Err(error) => {
                tasks.shutdown().await;
                return Err(error);
            }
        }
    }
    values.sort_unstable_by_key(|(number, _)| *number);
    Ok(values.into_iter().map(|(_, value)| value).collect())
}

/// Connects to all hosts, or to none: `cargo run -- localhost:5432 localhost:6379`.
#[tokio::main]
pub async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let hosts = std::env::args().skip(1);
    let streams = try_all(hosts.map(tokio::net::TcpStream::connect)).await?;
    println!("connected to {} hosts", streams.len());
    Ok(())
}
