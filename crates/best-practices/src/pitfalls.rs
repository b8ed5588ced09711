//! Common mistakes: a forgotten await, blocking, a lost item, too many at once, a race.
//!
//! - A future that is not awaited does nothing (`lazy_futures`).
//! - A blocking call stops the other tasks of its thread (`blocking_vs_async`).
//! - A cancelled future loses the item that it has received. Keep the item outside of the
//!   part that a limit can drop (`cancel_safety`).
//! - A server takes N requests at once. A batch waits for its slowest one, a semaphore
//!   does not (`batches`, `map_with_limit`).
//! - A value that was read before an await may be stale after it (`lost_update`, `lock`).
//! - A timeout made anew in each turn may never end the loop (`select_in_a_loop`,
//!   `deadline_for_the_loop`).
//!
//! See also: `dos_and_donts`, `cancellation`.
//!
//! asyncio: await, asyncio.gather, asyncio.timeout, asyncio.Semaphore, asyncio.Lock
//! clock: real

use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

use futures::future::join_all;
use futures::{StreamExt, stream};
use tokio::sync::{Mutex, mpsc};
use tokio::time::{interval, sleep, timeout};

const STEP: Duration = Duration::from_millis(100);

async fn save(saved: &AtomicU32) {
    sleep(STEP).await;
    saved.fetch_add(1, Ordering::Relaxed);
}

async fn read_and_block() {
    thread::sleep(STEP);
}

async fn read() {
    sleep(STEP).await;
}

/// The second takes longer than the limit.
async fn work(job: u32) {
    sleep(if job == 2 { 3 * STEP } else { STEP / 2 }).await;
}

/// The limit drops the job with the work.
async fn take_and_work(mut jobs: mpsc::Receiver<u32>) -> Vec<u32> {
    let mut done = Vec::new();
    while !jobs.is_empty() {
        let take = async {
            let job = jobs.recv().await?;
            work(job).await;
            Some(job)
        };
        if let Ok(Some(job)) = timeout(STEP, take).await {
            done.push(job);
        }
    }
    done
}

/// The limit drops only the work. Returns the done jobs and those to redo.
async fn take_then_work(mut jobs: mpsc::Receiver<u32>) -> (Vec<u32>, Vec<u32>) {
    let (mut done, mut again) = (Vec::new(), Vec::new());
    while let Some(job) = jobs.recv().await {
        match timeout(STEP, work(job)).await {
            Ok(()) => done.push(job),
            Err(_) => again.push(job),
        }
    }
    (done, again)
}

async fn three_jobs() -> mpsc::Receiver<u32> {
    let (sender, jobs) = mpsc::channel(3);
    for job in 1..=3 {
        // The channel has room for all, and its receiver is here.
        let _ = sender.send(job).await;
    }
    jobs
}

/// Takes five requests at a time, and refuses more.
#[derive(Default)]
struct Server {
    open: AtomicU32,
}

impl Server {
    /// Whether it was answered. The third takes longer.
    async fn answer(&self, request: u32) -> bool {
        let answers = self.open.fetch_add(1, Ordering::Relaxed) < 5;
        if answers {
            sleep(if request == 3 { 3 * STEP } else { STEP }).await;
        }
        self.open.fetch_sub(1, Ordering::Relaxed);
        answers
    }
}

fn report(answers: &[bool]) {
    let refused = answers.iter().filter(|answered| !**answered).count();
    println!("answered {}, refused {refused}", answers.len() - refused);
}

/// Another may have written between the read and the write.
async fn increment(count: &AtomicU32) {
    let current = count.load(Ordering::Relaxed);
    sleep(STEP).await;
    count.store(current + 1, Ordering::Relaxed);
}

async fn increment_locked(count: &Mutex<u32>) {
    let mut count = count.lock().await;
    let current = *count;
    sleep(STEP).await;
    *count = current + 1;
}

async fn event() {
    sleep(STEP).await;
}

pub async fn run() {
    // Each part begins at its time, however long the one before it took.
    let mut part = interval(8 * STEP);

    part.tick().await;
    println!("Forgotten await:");
    let saved = AtomicU32::new(0);
    let _save = save(&saved);
    sleep(2 * STEP).await;
    println!("saved {}", saved.load(Ordering::Relaxed));
    println!("Awaited:");
    save(&saved).await;
    println!("saved {}", saved.load(Ordering::Relaxed));

    part.tick().await;
    println!("Three that block, together:");
    join_all((0..3).map(|_| read_and_block())).await;
    println!("Three that await:");
    join_all((0..3).map(|_| read())).await;
    println!("read");

    part.tick().await;
    println!("A limit around taking a job and doing it:");
    println!("done {:?}", take_and_work(three_jobs().await).await);
    println!("Around doing it:");
    let (done, again) = take_then_work(three_jobs().await).await;
    println!("done {done:?}, again {again:?}");

    part.tick().await;
    let server = Server::default();
    println!("Twelve requests at once:");
    let answers = join_all((1..=12).map(|request| server.answer(request))).await;
    report(&answers);

    part.tick().await;
    println!("Five at a time, in batches:");
    let mut answers = Vec::new();
    for batch in (1..=12).collect::<Vec<u32>>().chunks(5) {
        answers.extend(join_all(batch.iter().map(|id| server.answer(*id))).await);
    }
    report(&answers);

    part.tick().await;
    println!("Five at a time, the next as soon as one has ended:");
    let requests = stream::iter(1..=12).map(|request| server.answer(request));
    let answers: Vec<bool> = requests.buffer_unordered(5).collect().await;
    report(&answers);

    part.tick().await;
    println!("Three read a count, wait, and write it:");
    let count = AtomicU32::new(0);
    join_all((0..3).map(|_| increment(&count))).await;
    println!("count {}", count.load(Ordering::Relaxed));
    println!("With a lock:");
    let count = Mutex::new(0);
    join_all((0..3).map(|_| increment_locked(&count))).await;
    println!("count {}", count.lock().await);

    part.tick().await;
    let limit = STEP * 5 / 2;
    println!("A limit of 0.25 s in each turn of a loop:");
    let mut events = 0;
    while events < 4 && timeout(limit, event()).await.is_ok() {
        events += 1;
    }
    println!("events {events}");
    println!("Around the loop:");
    events = 0;
    let all = async {
        while events < 4 {
            event().await;
            events += 1;
        }
    };
    let _ = timeout(limit, all).await;
    println!("events {events}");
}

#[tokio::main]
pub async fn main() {
    run().await;
}
