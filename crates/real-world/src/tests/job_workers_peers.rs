//! Cases after the tests of goqite's runner and of aiojobs, over a queue in memory.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::support::{soon, tasks};
use crate::job_workers::{Claim, Ended, Failure, Queue, Workers};

const SECOND: Duration = Duration::from_secs(1);

/// Jobs that are due, and what was done with them. A job is claimed once.
#[derive(Default)]
struct Messages {
    due: Mutex<VecDeque<u32>>,
    ends: Mutex<Vec<(u32, String)>>,
    extended: AtomicU32,
    claims: AtomicU32,
}

impl Messages {
    fn end(&self, job: u32, how: impl ToString) -> Result<(), Infallible> {
        let mut ends = self.ends.lock().expect("no panic");
        ends.push((job, how.to_string()));
        Ok(())
    }
}

impl Queue for Messages {
    type Job = u32;
    type Output = &'static str;
    type Failure = Failure;
    type Error = Infallible;

    async fn claim(&self) -> Result<Claim<u32>, Infallible> {
        self.claims.fetch_add(1, SeqCst);
        let due = self.due.lock().expect("no panic").pop_front();
        Ok(due.map_or(Claim::Empty(Duration::MAX), Claim::Job))
    }

    async fn extend(&self, _job: &u32) -> Result<bool, Infallible> {
        self.extended.fetch_add(1, SeqCst);
        Ok(true)
    }

    async fn complete(&self, job: &u32, output: &'static str) -> Result<(), Infallible> {
        self.end(*job, output)
    }

    async fn fail(
        &self,
        job: &u32,
        ended: Ended<Failure, Infallible>,
    ) -> Result<(), Infallible> {
        self.end(*job, ended)
    }

    fn report(&self, error: Infallible) {
        match error {}
    }

    fn lost(&self, job: &u32) {
        panic!("nobody else has job {job}");
    }
}

/// Some workers, whose handler waits for as many seconds as the number of the job.
struct Runner {
    workers: Arc<Workers<Messages>>,
    stop: CancellationToken,
    running: Vec<JoinHandle<()>>,
}

async fn handle(job: u32) -> Result<&'static str, Failure> {
    sleep(job * SECOND).await;
    match job {
        66 => Err("failed".into()),
        77 => panic!("scheduled"),
        _ => Ok("done"),
    }
}

fn runner(number: u32, jobs: &[u32]) -> Runner {
    let queue = Messages {
        due: Mutex::new(jobs.iter().copied().collect()),
        ..Messages::default()
    };
    let workers = Arc::new(Workers {
        queue,
        lease: 30 * SECOND,
        max_runtime: 100 * SECOND,
        grace: 5 * SECOND,
        poll: SECOND,
        wake: Notify::new(),
    });
    let stop = CancellationToken::new();
    let running = (0..number).map(|_| {
        let (workers, stop) = (Arc::clone(&workers), stop.clone());
        tokio::spawn(async move { workers.work(&stop, handle).await })
    });
    let running = running.collect();
    Runner {
        workers,
        stop,
        running,
    }
}

impl Runner {
    fn ends(&self) -> Vec<(u32, String)> {
        self.workers.queue.ends.lock().expect("no panic").clone()
    }

    fn add(&self, job: u32) {
        let mut due = self.workers.queue.due.lock().expect("no panic");
        due.push_back(job);
        self.workers.wake.notify_one();
    }

    /// Cancels the token, and waits for the workers.
    async fn stop(&mut self) {
        self.stop.cancel();
        for worker in self.running.drain(..) {
            soon(worker).await.expect("no worker panics");
        }
    }
}

fn done(jobs: &[u32]) -> Vec<(u32, String)> {
    jobs.iter().map(|job| (*job, "done".to_owned())).collect()
}

#[tokio::test(start_paused = true)]
async fn goqite_a_runner_handles_a_message() {
    let runner = runner(1, &[1]);
    sleep(2 * SECOND).await;
    assert_eq!(runner.ends(), done(&[1]));
}

#[tokio::test(start_paused = true)]
async fn goqite_a_runner_handles_messages_in_their_order() {
    let runner = runner(1, &[3, 1, 2]);
    sleep(10 * SECOND).await;
    assert_eq!(runner.ends(), done(&[3, 1, 2]));
}

#[tokio::test(start_paused = true)]
async fn goqite_as_many_run_at_the_same_time_as_there_are_workers() {
    let runner = runner(3, &[5; 9]);
    for handled in [0, 3, 6, 9] {
        assert_eq!(runner.ends().len(), handled);
        sleep(5 * SECOND + SECOND / 100).await;
    }
}

#[tokio::test(start_paused = true)]
async fn goqite_an_error_of_a_message_does_not_end_the_runner() {
    let runner = runner(1, &[66, 1]);
    sleep(70 * SECOND).await;
    assert_eq!(
        runner.ends(),
        [(66, "failed".to_owned()), (1, "done".to_owned())]
    );
}

#[tokio::test(start_paused = true)]
async fn goqite_a_panic_of_a_message_does_not_end_the_runner() {
    let runner = runner(1, &[77, 1]);
    sleep(80 * SECOND).await;
    let ends = runner.ends();
    assert!(ends[0].1.contains("panicked"), "{}", ends[0].1);
    assert_eq!(ends[1..], done(&[1]));
}

#[tokio::test(start_paused = true)]
async fn goqite_a_long_message_is_extended() {
    let runner = runner(1, &[95]);
    sleep(96 * SECOND).await;
    assert_eq!(runner.ends(), done(&[95]));
    assert_eq!(runner.workers.queue.extended.load(SeqCst), 9);
}

#[tokio::test(start_paused = true)]
async fn goqite_a_short_message_is_not_extended() {
    let runner = runner(1, &[9]);
    sleep(60 * SECOND).await;
    assert_eq!(runner.workers.queue.extended.load(SeqCst), 0);
}

#[tokio::test(start_paused = true)]
async fn goqite_an_idle_runner_polls_the_queue() {
    let runner = runner(1, &[]);
    sleep(10 * SECOND + SECOND / 2).await;
    assert_eq!(runner.workers.queue.claims.load(SeqCst), 11);
}

#[tokio::test(start_paused = true)]
async fn goqite_a_message_that_is_sent_later_is_handled() {
    let runner = runner(2, &[]);
    sleep(SECOND / 2).await;
    let start = Instant::now();
    runner.add(0);
    while runner.ends().is_empty() {
        sleep(SECOND / 100).await;
    }
    assert!(
        start.elapsed() < SECOND / 10,
        "it does not wait for the poll"
    );
}

#[tokio::test(start_paused = true)]
async fn goqite_stopped_it_waits_for_its_running_message() {
    let mut runner = runner(1, &[4, 1]);
    sleep(SECOND).await;
    let start = Instant::now();
    runner.stop().await;
    assert_eq!(start.elapsed(), 3 * SECOND);
    assert_eq!(runner.ends(), done(&[4]), "and takes no other");
}

#[tokio::test(start_paused = true)]
async fn goqite_stopped_while_it_is_idle_it_ends_immediately() {
    let mut runner = runner(3, &[]);
    sleep(SECOND / 2).await;
    let start = Instant::now();
    runner.stop().await;
    assert_eq!((start.elapsed(), tasks()), (Duration::ZERO, 0));
}

#[tokio::test(start_paused = true)]
async fn goqite_a_message_that_takes_too_long_has_failed() {
    let runner = runner(1, &[200, 1]);
    sleep(110 * SECOND).await;
    let ends = runner.ends();
    assert_eq!(ends[0], (200, "it took too long".to_owned()));
    assert_eq!(ends[1..], done(&[1]));
}

#[tokio::test(start_paused = true)]
async fn aiojobs_closed_it_cancels_jobs_after_a_grace_time() {
    let mut runner = runner(1, &[50]);
    sleep(SECOND).await;
    let start = Instant::now();
    runner.stop().await;
    assert_eq!(start.elapsed(), 5 * SECOND);
    assert_eq!(runner.ends(), [(50, "the worker was stopped".to_owned())]);
    assert_eq!(tasks(), 0);
}

#[tokio::test(start_paused = true)]
async fn aiojobs_a_worker_that_is_dropped_drops_its_job() {
    let runner = runner(1, &[50]);
    sleep(SECOND).await;
    runner.running[0].abort();
    sleep(SECOND).await;
    assert_eq!(tasks(), 0);
    assert!(runner.ends().is_empty(), "its lease has to expire");
}

#[tokio::test(start_paused = true)]
async fn aiojobs_no_job_runs_before_there_is_a_worker() {
    let runner = runner(0, &[1]);
    sleep(60 * SECOND).await;
    assert!(runner.ends().is_empty());
    assert_eq!(runner.workers.queue.claims.load(SeqCst), 0);
}
