//! Two workers: one is killed with a job, and one job always fails.

use std::env;
use std::error::Error;
use std::process;
use std::time::Duration;

use redis::AsyncCommands;
use tokio::time::sleep;

use crate::redis_reconnect::Redis;
use crate::redis_streams::{CALL, Job, Queue, Worker};

type Failure = Box<dyn Error + Send + Sync>;

/// Waits until a job comes.
async fn get(name: &str, worker: &mut Worker<Redis>) -> Result<Job, Failure> {
    loop {
        if let Some(job) = worker.next().await? {
            println!("{name} gets {}, attempt {}", job.payload, job.attempt);
            return Ok(job);
        }
    }
}

async fn complete(
    name: &str,
    worker: &mut Worker<Redis>,
    job: &Job,
) -> Result<(), Failure> {
    let done = worker.complete(job).await?;
    let done = if done {
        "completed"
    } else {
        "it was completed before"
    };
    println!("{name}, {}: {done}", job.payload);
    Ok(())
}

pub async fn run() -> Result<(), Failure> {
    let url = env::var("REDIS_URL").map_err(|_| "set REDIS_URL")?;
    // A separate stream: another run may use the same server.
    let stream = format!("jobs:{}", process::id());
    let pause = Duration::from_millis(500);
    let queue = Queue {
        stream: stream.clone(),
        group: "workers".to_owned(),
        min_idle: Duration::from_millis(400),
        max_attempts: 2,
        max_jobs: 1000,
    };
    let mut redis = Redis::connect(&url, Duration::from_secs(1)).await?;
    let block = Duration::from_millis(100);
    let worker = async |name| {
        // A separate connection, as it blocks.
        let redis = Redis::connect(&url, block + CALL).await?;
        Ok::<_, Failure>(Worker::new(redis, queue.clone(), name, block))
    };
    let (mut ann, mut ben) = (worker("ann").await?, worker("ben").await?);

    println!("Ann is too slow with a job:");
    queue.enqueue(&mut redis, "tea").await?;
    queue.enqueue(&mut redis, "cake").await?;
    let slow = get("Ann", &mut ann).await?;
    let job = get("Ben", &mut ben).await?;
    complete("Ben", &mut ben, &job).await?;
    sleep(pause).await;
    let job = get("Ben", &mut ben).await?;
    complete("Ben", &mut ben, &job).await?;
    complete("Ann", &mut ann, &slow).await?;

    println!("Nobody completes a job:");
    queue.enqueue(&mut redis, "poison").await?;
    get("Ann", &mut ann).await?;
    sleep(pause).await;
    get("Ben", &mut ben).await?;
    sleep(pause).await;
    queue.enqueue(&mut redis, "milk").await?;
    let job = get("Ann", &mut ann).await?;
    complete("Ann", &mut ann, &job).await?;
    let dead = format!("{stream}:dead");
    let (left, moved): (u32, u32) =
        (redis.xlen(&stream).await?, redis.xlen(&dead).await?);
    println!("in the queue: {left}, dead: {moved}");
    redis.del::<_, ()>(&[stream, dead]).await?;
    Ok(())
}
