//! Common mistakes: a forgotten await, a lost item, too many requests, a race.
//!
//! - A future that is not awaited does nothing (`lazy_futures`).
//! - A timeout drops the future, and with it an item that the future has received.
//!   Receive outside of the timeout (`cancel_safety`).
//! - A server refuses most of a thousand requests at once. Limit how many run
//!   (`map_with_limit`, `batches`).
//! - A value that was read before an await may be stale after it (`lost_update`, `lock`).
//!
//! Other pages show more that surprises people from asyncio. A task whose handle is
//! dropped runs on (`drop_or_detach`). A timeout that starts anew in each turn may never
//! end its loop (`select_in_a_loop`). Code that blocks may stop all timers and sockets
//! (`blocking_vs_async`).
//!
//! See also: `dos_and_donts`, `cancellation`.
//!
//! asyncio: await, asyncio.timeout, asyncio.Semaphore, asyncio.Lock, asyncio.gather

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::Duration;

use futures::future::join_all;
use futures::{StreamExt, stream};
use tokio::sync::{Mutex, mpsc};
use tokio::time::{sleep, timeout};

const STEP: Duration = Duration::from_millis(100);

pub async fn save(saved: &AtomicU32) {
    sleep(STEP).await;
    saved.fetch_add(1, Relaxed);
}

/// Takes too long for every second job.
async fn work(job: u32) {
    sleep(if job.is_multiple_of(2) {
        3 * STEP
    } else {
        STEP / 2
    })
    .await;
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

/// Sends a request to a server that answers five at a time. Returns whether it answered.
pub async fn request(open: &AtomicU32) -> bool {
    let answered = open.fetch_add(1, Relaxed) < 5;
    sleep(if answered { STEP } else { Duration::ZERO }).await;
    open.fetch_sub(1, Relaxed);
    answered
}

/// The mistake: another task may write between the read and the write.
pub async fn increment(count: &AtomicU32) {
    let current = count.load(Relaxed);
    sleep(STEP).await;
    count.store(current + 1, Relaxed);
}

pub async fn increment_locked(count: &Mutex<u32>) {
    let mut count = count.lock().await;
    let current = *count;
    sleep(STEP).await;
    *count = current + 1;
}

fn print_answered(answers: &[bool]) {
    let answered = answers.iter().filter(|answered| **answered).count();
    println!("answered {answered} of {}", answers.len());
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

    println!("Twelve requests at once:");
    let open = AtomicU32::new(0);
    print_answered(&join_all((0..12).map(|_| request(&open))).await);
    println!("Five at a time:");
    let requests = stream::iter(0..12).map(|_| request(&open));
    print_answered(&requests.buffer_unordered(5).collect::<Vec<_>>().await);

    println!("Three tasks read a count, wait, and write it:");
    let count = AtomicU32::new(0);
    join_all((0..3).map(|_| increment(&count))).await;
    println!("count {}", count.load(Relaxed));
    println!("With a lock:");
    let count = Mutex::new(0);
    join_all((0..3).map(|_| increment_locked(&count))).await;
    println!("count {}", count.lock().await);
}
