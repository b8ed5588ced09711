//! Two workers, a job that fails once, a worker that is killed, and a poison job.

use std::process;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::Duration;

use async_nats::jetstream::{self, Context};
use tokio::join;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use crate::nats_work_queue::{Failure, Job, Settings, WorkQueue};

async fn cook(job: Job) -> Result<(), Failure> {
    let name = String::from_utf8_lossy(&job.payload).into_owned();
    println!("{name}, attempt {}", job.attempt);
    match name.as_str() {
        "jam" if job.attempt == 1 => return Err("no sugar".into()),
        "salt" => return Err("no pot".into()),
        _ => sleep(Duration::from_millis(200)).await,
    }
    println!("{name}: done");
    Ok(())
}

async fn work(queue: &WorkQueue, stop: &CancellationToken) {
    let report = |error| println!("failed: {error}");
    queue.work(stop, cook, report).await;
}

pub async fn run() -> Result<(), Failure> {
    static RUNS: AtomicU32 = AtomicU32::new(0);
    let url = std::env::var("NATS_URL").map_err(|_| "set NATS_URL=nats://HOST:PORT")?;
    let context = jetstream::new(async_nats::connect(url).await?);
    let run = RUNS.fetch_add(1, Relaxed);
    let name = format!("queue_{}_{run}", process::id());
    let result = demonstrate(&context, &name).await;
    context.delete_stream(&name).await?;
    context.delete_stream(format!("{name}_dead")).await?;
    result
}

async fn demonstrate(context: &Context, name: &str) -> Result<(), Failure> {
    let settings = Settings {
        max_jobs: 2,
        ack_wait: Duration::from_millis(500),
        max_runtime: Duration::from_secs(1),
        max_attempts: 2,
        backoff: Duration::from_millis(100),
    };
    let queue = WorkQueue::open(context.clone(), name, settings).await?;
    let start = Instant::now();
    let at = |millis| sleep_until(start + Duration::from_millis(millis));

    at(200).await;
    println!("A queue for two jobs. The same id is stored once:");
    queue.add("1", "tea").await?;
    queue.add("1", "tea").await?;
    queue.add("2", "cake").await?;
    let refused = queue.add("3", "pie").await.is_err();
    println!("the third is refused: {refused}");

    at(400).await;
    println!("Two workers:");
    let stop = &CancellationToken::new();
    let adding = async {
        at(800).await;
        println!("A job fails once. The backoff is 0.1 s:");
        queue.add("4", "jam").await?;
        at(1200).await;
        stop.cancel();
        Ok::<_, Failure>(())
    };
    let (added, (), ()) = join!(adding, work(&queue, stop), work(&queue, stop));
    added?;

    at(1300).await;
    println!("A worker is killed. The job waits for 0.5 s after its delivery:");
    queue.add("5", "soup").await?;
    let never = CancellationToken::new();
    let _killed = timeout(Duration::from_millis(100), work(&queue, &never)).await;
    let stop = &CancellationToken::new();
    let adding = async {
        at(2200).await;
        println!("A job fails in both attempts:");
        queue.add("6", "salt").await?;
        at(2500).await;
        stop.cancel();
        Ok::<_, Failure>(())
    };
    let (added, ()) = join!(adding, work(&queue, stop));
    added?;
    let dead = context.get_stream(format!("{name}_dead")).await?;
    let letter = dead.get_raw_message(1).await?;
    println!("dead letter: {}", String::from_utf8_lossy(&letter.payload));
    Ok(())
}
