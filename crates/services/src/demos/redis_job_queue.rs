//! Delays, unique ids, results, an abort while the job runs, and a lost worker.

use std::env;
use std::error::Error;
use std::process;
use std::time::Duration;

use redis::AsyncCommands;
use tokio::time::sleep;

use crate::redis_job_queue::{Claim, Job, Outcome, Queue};
use crate::redis_reconnect::Redis;

type Failure = Box<dyn Error + Send + Sync>;

const POLL: Duration = Duration::from_millis(5);

/// Waits until a job is due.
async fn claim(queue: &Queue<Redis>) -> Result<Job, Failure> {
    loop {
        match queue.claim().await? {
            Claim::Job(job) => {
                println!("claimed {}, attempt {}", job.id, job.attempt);
                return Ok(job);
            }
            Claim::Empty(_) => sleep(POLL).await,
        }
    }
}

async fn show(queue: &Queue<Redis>, id: &str) -> Result<(), Failure> {
    let said = match queue.wait_for_result(id, POLL).await? {
        Some(Outcome::Done(result)) => format!("done, {result}"),
        Some(Outcome::Failed(error)) => format!("failed, {error}"),
        Some(Outcome::Aborted) => "aborted".to_owned(),
        None => "no such job".to_owned(),
    };
    println!("{id}: {said}");
    Ok(())
}

pub async fn run() -> Result<(), Failure> {
    let url = env::var("REDIS_URL").map_err(|_| "set REDIS_URL")?;
    let queue = Queue {
        redis: Redis::connect(&url, Duration::from_secs(1)).await?,
        // Another run may use the same server.
        name: format!("queue:{}", process::id()),
        lease: Duration::from_millis(400),
        max_attempts: 2,
        max_jobs: 1_000,
        keep_result: Duration::from_secs(60),
    };

    println!("An id is used once, and the delayed job comes last:");
    let delay = Duration::from_millis(300);
    for (id, delay) in [("tea", delay), ("cake", Duration::ZERO), ("tea", delay)] {
        let is_new = queue.enqueue(id, id, delay).await?;
        println!("{id}: {}", if is_new { "added" } else { "it is there" });
    }
    let cake = claim(&queue).await?;
    queue.complete(&cake, "eaten").await?;
    show(&queue, "cake").await?;
    let tea = claim(&queue).await?;
    queue.fail(&tea, "cold").await?;
    show(&queue, "tea").await?;

    println!("Aborted by its id, while it runs:");
    queue.enqueue("milk", "milk", Duration::ZERO).await?;
    let milk = claim(&queue).await?;
    queue.abort("milk").await?;
    let is_mine = queue.extend(&milk).await?;
    println!("the worker has it: {}", if is_mine { "yes" } else { "no" });
    show(&queue, "milk").await?;

    println!("Two workers are lost with it:");
    queue.enqueue("poison", "poison", Duration::ZERO).await?;
    claim(&queue).await?;
    claim(&queue).await?;
    queue
        .enqueue("jam", "jam", Duration::from_millis(500))
        .await?;
    let jam = claim(&queue).await?;
    show(&queue, "poison").await?;
    queue.complete(&jam, "eaten").await?;

    let mut redis = queue.redis.clone();
    let keys: Vec<String> = redis.keys(format!("{}:*", queue.name)).await?;
    redis.del::<_, ()>(keys).await?;
    Ok(())
}
