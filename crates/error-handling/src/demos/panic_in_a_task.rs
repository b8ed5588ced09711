//! Workers that take jobs from a queue; job 0 panics.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::task::JoinError;
use tokio::time::sleep;

use crate::panic_in_a_task::{GaveUp, join, panic_text, supervise};

async fn work(job: u32) {
    sleep(Duration::from_millis(100)).await;
    assert!(job > 0, "job {job} has no work");
    println!("job {job} is done");
}

/// The jobs in the queue.
type Jobs = Arc<Mutex<VecDeque<u32>>>;

/// A separate function: in the head of a `while let` the lock would be held during the
/// work as well.
async fn next(jobs: &Jobs) -> Option<u32> {
    jobs.lock().await.pop_front()
}

/// Works until there are no more jobs.
pub async fn worker(jobs: Jobs) {
    println!("a worker begins");
    while let Some(job) = next(&jobs).await {
        work(job).await;
    }
}

fn report(outcome: Result<(), JoinError>) {
    match outcome.map_err(JoinError::try_into_panic) {
        Ok(()) => println!("ended well"),
        Err(Ok(payload)) => println!("ended by a bug: {}", panic_text(&*payload)),
        Err(Err(_)) => println!("was cancelled"),
    }
}

pub async fn run() {
    println!("Nobody awaits the task:");
    drop(tokio::spawn(work(0)));
    sleep(Duration::from_millis(200)).await;
    println!("0.2 s later");

    println!("The task is awaited, and then one that was cancelled:");
    report(tokio::spawn(work(0)).await);
    let task = tokio::spawn(work(1));
    task.abort();
    report(task.await);

    println!("The error is passed on to the caller, a task as well:");
    let caller = tokio::spawn(async {
        join(tokio::spawn(work(1))).await;
        join(tokio::spawn(work(0))).await;
        join(tokio::spawn(work(2))).await;
    });
    report(caller.await);

    let pause = Duration::from_millis(200);
    for numbers in [[1, 0, 2, 3], [0, 1, 0, 2]] {
        println!("With one restart, the jobs {numbers:?}:");
        let jobs = Arc::new(Mutex::new(VecDeque::from(numbers)));
        match supervise(1, pause, || worker(Arc::clone(&jobs))).await {
            Ok(()) => println!("all jobs are taken"),
            Err(error) => {
                println!("{error}; jobs left: {}", jobs.lock().await.len());
                if let GaveUp::Panicked { last, .. } = error {
                    report(Err(last));
                }
            }
        }
    }
}
