//! Very many tasks, few at a time: acquire a permit before the spawn, not in the task.
//!
//! Both finish at the same time. But a task that waits for its permit inside is alive
//! already, with all that it holds: memory grows with the number of jobs, not with the
//! limit. A permit before the spawn makes the spawning loop wait, so a source that is
//! read there waits too. The other trap: a `JoinSet` keeps each result until somebody
//! takes it, also of tasks that ended long ago, so take them out on the way. Here are
//! five hundred tasks; the file's own test has a hundred thousand.
//!
//! asyncio: asyncio.Semaphore, asyncio.Semaphore.acquire, asyncio.all_tasks

use std::sync::Arc;
use std::time::Duration;

use tokio::join;
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio::task::{JoinError, JoinSet};
use tokio::time::sleep;

async fn job(number: u64) -> u64 {
    sleep(Duration::from_millis(100)).await;
    number
}

/// Spawns all at once; each waits for its permit inside. Gives the sum of the results.
pub async fn permit_inside(jobs: u64, limit: usize) -> Result<u64, JoinError> {
    let permits = Arc::new(Semaphore::new(limit));
    let mut tasks = JoinSet::new();
    for number in 0..jobs {
        let permits = Arc::clone(&permits);
        tasks.spawn(async move {
            let _permit = permits
                .acquire()
                .await
                .expect("nobody closes the semaphore");
            job(number).await
        });
    }
    let mut sum = 0;
    while let Some(result) = tasks.join_next().await {
        sum += result?;
    }
    Ok(sum)
}

/// Spawns one only when there is a permit for it. Gives the sum of the results.
pub async fn permit_before(jobs: u64, limit: usize) -> Result<u64, JoinError> {
    let permits = Arc::new(Semaphore::new(limit));
    let mut tasks = JoinSet::new();
    let mut sum = 0;
    for number in 0..jobs {
        let permit = Arc::clone(&permits)
            .acquire_owned()
            .await
            .expect("nobody closes the semaphore");
        while let Some(result) = tasks.try_join_next() {
            sum += result?;
        }
        tasks.spawn(async move {
            let _permit = permit;
            job(number).await
        });
    }
    while let Some(result) = tasks.join_next().await {
        sum += result?;
    }
    Ok(sum)
}

/// Spawns one only when there is a permit for it, and takes no results. Gives the number
/// of those that the set keeps when all have ended.
async fn nobody_takes(jobs: u64, limit: usize) -> usize {
    let permits = Arc::new(Semaphore::new(limit));
    let mut tasks = JoinSet::new();
    for number in 0..jobs {
        let permit = Arc::clone(&permits)
            .acquire_owned()
            .await
            .expect("nobody closes the semaphore");
        tasks.spawn(async move {
            let _permit = permit;
            job(number).await
        });
    }
    sleep(Duration::from_millis(200)).await;
    tasks.len()
}

/// Prints how many more tasks are alive than before, after 0.05 s and 0.15 s.
async fn count_tasks(before: usize) {
    let metrics = Handle::current().metrics();
    for millis in [50, 100] {
        sleep(Duration::from_millis(millis)).await;
        println!("{} tasks", metrics.num_alive_tasks() - before);
    }
}

pub async fn run() -> Result<(), JoinError> {
    let before = Handle::current().metrics().num_alive_tasks();

    println!("A permit inside the task:");
    let ((), sum) = join!(count_tasks(before), permit_inside(500, 200));
    println!("sum {}", sum?);

    println!("A permit before the spawn:");
    let ((), sum) = join!(count_tasks(before), permit_before(500, 200));
    println!("sum {}", sum?);

    println!("Results that nobody takes:");
    let ((), kept) = join!(count_tasks(before), nobody_takes(500, 200));
    println!("{kept} kept");
    Ok(())
}

#[tokio::main]
pub async fn main() -> Result<(), JoinError> {
    run().await
}
