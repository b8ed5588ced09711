use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::time::Duration;

use futures::stream::{self, StreamExt};
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep, timeout};

use super::support::{SIZES, unknown_size};
use crate::shared_stream::worker;

#[tokio::test(start_paused = true)]
async fn any_number_of_jobs() {
    for size in SIZES {
        let start = Instant::now();
        let jobs = unknown_size((0..size).map(|number| (10 + number, 100)));
        let jobs = Arc::new(Mutex::new(stream::iter(jobs).boxed()));
        let workers = ["Ada", "Bob"].map(|name| {
            let jobs = Arc::clone(&jobs);
            tokio::spawn(worker(name, jobs))
        });
        for worker in workers {
            worker.await.expect("no panic");
        }
        // They work at the same time.
        let took = size.div_ceil(2) * Duration::from_millis(100);
        assert_eq!(start.elapsed(), took);
    }
}

/// A worker that is aborted while it waits for the next job holds no lock afterwards.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_aborted_worker_releases_the_stream() {
    let jobs = stream::iter([(1, 1)]).chain(stream::pending()).boxed();
    let jobs = Arc::new(Mutex::new(jobs));
    let task = tokio::spawn(worker("Ada", Arc::clone(&jobs)));
    while jobs.try_lock().is_ok() {
        tokio::task::yield_now().await;
    }
    task.abort();
    let lock = timeout(Duration::from_secs(60), jobs.lock()).await;
    assert!(lock.is_ok());
}

/// What `Bounds` says: three workers, who take 100 ms for each job.
#[tokio::test(start_paused = true)]
async fn each_worker_holds_one_item_and_nothing_is_read_ahead() {
    let read = Arc::new(AtomicU32::new(0));
    let count = Arc::clone(&read);
    let jobs = stream::iter((0..30).map(|number| (number, 100)));
    let jobs = jobs.inspect(move |_| {
        count.fetch_add(1, SeqCst);
    });
    let jobs = Arc::new(Mutex::new(jobs.boxed()));
    let workers = ["Ada", "Bob", "Cleo"].map(|name| {
        let jobs = Arc::clone(&jobs);
        tokio::spawn(worker(name, jobs))
    });
    sleep(Duration::from_millis(50)).await;
    for round in 1..=10 {
        assert_eq!(read.load(SeqCst), 3 * round);
        sleep(Duration::from_millis(100)).await;
    }
    for worker in workers {
        worker.await.expect("no panic");
    }
}
