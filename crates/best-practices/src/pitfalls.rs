//! Common mistakes: a forgotten await, an item that a timeout loses, and more by name.
//!
//! - If you forget an await, the call does nothing (`lazy_futures`).
//! - If a timeout drops a future that has received an item, the item is lost, too.
//!   Receive outside the timeout (`cancel_safety`).
//!
//! Other pages show more that surprises people from asyncio:
//!
//! - A value that you read before an await may be out of date after it (`lost_update`,
//!   `lock`).
//! - If you send a thousand requests at the same time, a server refuses most of them
//!   (`map_with_limit`).
//! - If you drop the handle of a task, the task keeps running (`drop_or_detach`).
//! - If a loop starts its timeout again in each turn, the timeout may never end the loop
//!   (`select_in_a_loop`).
//! - If code blocks its thread, all timers and sockets may stop (`blocking_vs_async`).
//!
//! See also: `dos_and_donts`, `cancellation`.
//!
//! asyncio: await, asyncio.timeout, asyncio.Queue.get

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};

const STEP: Duration = Duration::from_millis(100);

pub async fn save(saved: &AtomicU32) {
    sleep(STEP).await;
    saved.fetch_add(1, Relaxed);
}

/// Takes too long for every second job.
async fn work(job: u32) {
    sleep(if job % 2 == 1 { STEP / 2 } else { 3 * STEP }).await;
}

/// The mistake: a late job is dropped with the future. Returns the finished jobs.
pub async fn timeout_for_both(mut jobs: mpsc::Receiver<u32>) -> Vec<u32> {
    let mut finished = Vec::new();
    while !jobs.is_empty() {
        let both = async {
            let job = jobs.recv().await?;
            work(job).await;
            Some(job)
        };
        finished.extend(timeout(STEP, both).await.ok().flatten());
    }
    finished
}

/// Returns the finished jobs and the late ones.
pub async fn timeout_for_work(mut jobs: mpsc::Receiver<u32>) -> (Vec<u32>, Vec<u32>) {
    let (mut finished, mut late) = (Vec::new(), Vec::new());
    while let Some(job) = jobs.recv().await {
        match timeout(STEP, work(job)).await {
            Ok(()) => finished.push(job),
            Err(_) => late.push(job),
        }
    }
    (finished, late)
}

/// Returns a closed channel with `count` jobs.
pub fn jobs(count: u32) -> mpsc::Receiver<u32> {
    let (sender, jobs) = mpsc::channel(count.max(1) as usize);
    for job in 1..=count {
        // There is room for all.
        let _ = sender.try_send(job);
    }
    jobs
}

#[tokio::main]
async fn main() {
    println!("A forgotten await:");
    let saved = AtomicU32::new(0);
    let _save = save(&saved);
    sleep(2 * STEP).await;
    println!("saved {}", saved.load(Relaxed));
    println!("With the await:");
    save(&saved).await;
    println!("saved {}", saved.load(Relaxed));

    println!("A timeout around receiving a job and working on it:");
    println!("finished {:?}", timeout_for_both(jobs(3)).await);
    println!("A timeout around the work alone:");
    let (finished, late) = timeout_for_work(jobs(3)).await;
    println!("finished {finished:?}, late {late:?}");
}
