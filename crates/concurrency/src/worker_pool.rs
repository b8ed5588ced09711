//! A worker pool: a few workers on one bounded queue, results as they complete.
//!
//! Queue, workers and the lock that they share are those of
//! `many_producers_many_consumers`. A pool adds a second queue for the results, each with
//! the key of its job; a panic is caught in the worker and becomes the result of its job,
//! or the pool would shrink with each; and `stop` drops the jobs where they are and hands
//! back the one that waits in `submit`. The trap is to submit all first and to read
//! then: both queues fill up, and `submit` waits for ever. Where jobs are short, read the
//! results in a task: `main` is a thread of its own beside those of the tasks, which each
//! result has to wake. The crate `async-channel` does more: its receiver can be cloned,
//! and needs no lock.
//!
//! asyncio: asyncio.Queue, asyncio.Queue.join, asyncio.Queue.task_done
//! stderr: /0 has no host

use std::any::Any;
use std::fmt;
use std::panic::{AssertUnwindSafe, resume_unwind};
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use tokio::sync::{Mutex, mpsc};
use tokio::task::{JoinError, JoinSet};
use tokio::time::sleep;

/// Hands jobs to the workers of a [`worker_pool`]. Clones share the queue; once all are
/// dropped, the workers end when the jobs are done.
pub struct Jobs<K, J> {
    queue: mpsc::Sender<(K, J)>,
}

impl<K, J> Clone for Jobs<K, J> {
    fn clone(&self) -> Self {
        let queue = self.queue.clone();
        Self { queue }
    }
}

/// The pool was stopped. Here are the key and the job, which did not run.
#[derive(Debug, PartialEq, Eq)]
pub struct Closed<K, J>(pub K, pub J);

impl<K, J> Jobs<K, J> {
    /// Puts a job into the queue, and waits while the queue is full. Jobs are begun in
    /// the order in which they came.
    ///
    /// Dropped while it waits, it drops the job with it, which then never runs; its place
    /// goes to the next. Who waits gets room in the order of asking.
    ///
    /// Not from within a job: when the queue is full all workers wait for room that only
    /// they make, and a clone of `Jobs` held by a job keeps the pool from ending. Return
    /// what was found as the result, and submit it where the results are read.
    ///
    /// # Errors
    ///
    /// [`Closed`] after [`Results::stop`], also for those who wait. What is in the queue
    /// then, or is submitted while a pool is dropped, is dropped too.
    pub async fn submit(&self, key: K, job: J) -> Result<(), Closed<K, J>> {
        let sent = self.queue.send((key, job)).await;
        sent.map_err(|mpsc::error::SendError((key, job))| Closed(key, job))
    }
}

/// The job panicked, with this text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Panicked(pub String);

impl fmt::Display for Panicked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the job panicked: {}", self.0)
    }
}

impl std::error::Error for Panicked {}

/// The results of a [`worker_pool`], in the order in which the jobs complete.
///
/// Dropped, it stops the pool as [`stop`](Self::stop) does, but does not wait for it.
pub struct Results<K, R> {
    results: mpsc::Receiver<(K, Result<R, Panicked>)>,
    /// Aborts its tasks when it is dropped.
    workers: JoinSet<()>,
}

impl<K, R> Results<K, R> {
    /// The next result with the key of its job, or `None` when all [`Jobs`] are dropped
    /// and all results have been given.
    ///
    /// Cancel-safe: dropped while it waits, it takes nothing.
    ///
    /// # Panics
    ///
    /// After the last result, with the panic of a worker if one has died. A job that
    /// panics does not kill its worker, unless dropping what it panics with panics too.
    pub async fn next(&mut self) -> Option<(K, Result<R, Panicked>)> {
        if let Some(result) = self.results.recv().await {
            return Some(result);
        }
        while let Some(ended) = self.workers.join_next().await {
            if let Err(error) = ended
                && let Ok(panic) = error.try_into_panic()
            {
                resume_unwind(panic);
            }
        }
        None
    }

    /// Stops the pool: jobs are dropped at the await where they are, and those in the
    /// queue never run. Afterwards no job runs any more, and [`next`](Self::next) gives
    /// the results that were in the queue already. Dropped while it waits, it has told
    /// the workers all the same.
    ///
    /// To stop while another task reads, let the reader `select!` between `next` and a
    /// token, and stop it there.
    pub async fn stop(&mut self) {
        self.workers.shutdown().await;
    }
}

/// Starts as many workers, each of which does one job at a time, with `work`.
///
/// Both queues, that of the jobs and that of the results, have room for `waiting`. So
/// read the results while you submit: when nobody reads, the workers wait, and `submit`
/// waits for ever. Unless the pool is stopped, each job ends in exactly one result, also
/// if it panics.
///
/// # Panics
///
/// If `workers` or `waiting` is 0, and outside of a Tokio runtime.
pub fn worker_pool<K, J, R, F, Fut>(
    workers: usize,
    waiting: usize,
    work: F,
) -> (Jobs<K, J>, Results<K, R>)
where
    K: Send + 'static,
    J: Send + 'static,
    R: Send + 'static,
    F: Fn(J) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = R> + Send + 'static,
{
    assert!(workers > 0, "a pool without workers would do nothing");
    let (queue, jobs) = mpsc::channel(waiting);
    let (done, results) = mpsc::channel(waiting);
    let (jobs, work) = (Arc::new(Mutex::new(jobs)), Arc::new(work));
    let mut set = JoinSet::new();
    for _ in 0..workers {
        set.spawn(worker(Arc::clone(&jobs), Arc::clone(&work), done.clone()));
    }
    (
        Jobs { queue },
        Results {
            results,
            workers: set,
        },
    )
}

async fn worker<K, J, R, Fut>(
    jobs: Arc<Mutex<mpsc::Receiver<(K, J)>>>,
    work: Arc<impl Fn(J) -> Fut>,
    done: mpsc::Sender<(K, Result<R, Panicked>)>,
) where
    Fut: Future<Output = R>,
{
    loop {
        // The guard is gone at the end of this line, before the work begins.
        let next = jobs.lock().await.recv().await;
        let Some((key, job)) = next else { return };
        // In a block, for `work` may panic before there is a future.
        let work = AssertUnwindSafe(async { work(job).await });
        let result = work
            .catch_unwind()
            .await
            .map_err(|payload| Panicked(text(payload)));
        if done.send((key, result)).await.is_err() {
            return;
        }
    }
}

/// What was panicked with: a `&str` if the text was fixed, else a `String`.
fn text(payload: Box<dyn Any + Send>) -> String {
    match payload.downcast::<String>() {
        Ok(text) => *text,
        Err(other) => other
            .downcast_ref::<&str>()
            .unwrap_or(&"no text")
            .to_string(),
    }
}

/// A path, and how many milliseconds its page takes.
type Page = (&'static str, u64);

async fn fetch((path, millis): Page) -> Result<String, String> {
    println!("fetching {path}");
    sleep(Duration::from_millis(millis)).await;
    match path {
        "/0" => panic!("{path} has no host"),
        "/missing" => Err("404".to_string()),
        _ => Ok(format!("the page {path}")),
    }
}

/// Prints the result as it comes.
fn report(number: usize, result: Result<Result<String, String>, Panicked>) {
    match result {
        Ok(Ok(page)) => println!("{number}: {page}"),
        Ok(Err(error)) => println!("{number}: error {error}"),
        Err(panicked) => println!("{number}: {panicked}"),
    }
}

/// Submits the pages, 50 ms apart, and ends when the pool is stopped.
async fn submit_all(jobs: Jobs<usize, Page>, pages: Vec<Page>) {
    for (number, page) in pages.into_iter().enumerate() {
        sleep(Duration::from_millis(50)).await;
        println!("job {number} is ready");
        if let Err(Closed(number, (path, _))) = jobs.submit(number, page).await {
            println!("too late for {number}: {path}");
            return;
        }
    }
}

pub async fn run() -> Result<(), JoinError> {
    println!("Two workers, six jobs:");
    let (jobs, mut results) = worker_pool(2, 1, fetch);
    let mut pages = vec![("/a", 550), ("/0", 150), ("/b", 200), ("/missing", 250)];
    pages.extend([("/c", 200), ("/d", 200)]);
    // In a task of its own, as it waits for room while the results are read.
    let submitting = tokio::spawn(submit_all(jobs, pages));
    while let Some((number, result)) = results.next().await {
        report(number, result);
    }
    submitting.await?;
    println!("no more results");

    println!("Stopped 0.1 s after the first result:");
    let (jobs, mut results) = worker_pool(2, 1, fetch);
    let mut pages = vec![("/e", 200), ("/f", 500), ("/g", 400), ("/h", 100)];
    pages.extend([("/i", 100)]);
    let submitting = tokio::spawn(submit_all(jobs, pages));
    if let Some((number, result)) = results.next().await {
        report(number, result);
    }
    sleep(Duration::from_millis(100)).await;
    results.stop().await;
    submitting.await?;
    sleep(Duration::from_millis(500)).await;
    println!("0.5 s later");
    Ok(())
}

#[tokio::main]
pub async fn main() -> Result<(), JoinError> {
    run().await
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::panic::{AssertUnwindSafe, panic_any};
    use std::pin::pin;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
    use std::task::Poll;
    use std::time::Duration;

    use futures::FutureExt;
    use tokio::sync::{Mutex, mpsc};
    use tokio::task::JoinSet;
    use tokio::time::{Instant, sleep, timeout};

    use super::{Closed, Jobs, Panicked, Results, worker_pool};

    const HOUR: Duration = Duration::from_secs(3600);
    const TICK: Duration = Duration::from_millis(1);

    /// Polls the future at most `polls` times, a millisecond apart, and drops it if it is
    /// not ready then.
    async fn poll_and_drop<F: Future>(future: F, polls: usize) -> Option<F::Output> {
        let mut future = pin!(future);
        for _ in 0..polls {
            if let Poll::Ready(output) = futures::poll!(future.as_mut()) {
                return Some(output);
            }
            sleep(Duration::from_millis(1)).await;
        }
        None
    }

    /// The rest of the results; panics if they do not end.
    async fn rest<K, R>(mut results: Results<K, R>) -> Vec<(K, Result<R, Panicked>)> {
        let mut all = Vec::new();
        let reading = async {
            while let Some(result) = results.next().await {
                all.push(result);
            }
        };
        timeout(HOUR, reading).await.expect("the results end");
        all
    }

    async fn after_ticks(ticks: u32) -> u32 {
        sleep(ticks * TICK).await;
        ticks
    }

    #[tokio::test(start_paused = true)]
    async fn submit_dropped_at_each_await() {
        // A free worker, a busy one, room in the queue, none, and others who wait.
        for before in 0..6 {
            let mut completed = false;
            for polls in 1..60 {
                let (jobs, results) = worker_pool(1, 2, after_ticks);
                let reading = tokio::spawn(rest(results));
                let mut others = JoinSet::new();
                for number in 0..before {
                    let jobs = jobs.clone();
                    others.spawn(async move { jobs.submit(number, 5).await });
                    tokio::task::yield_now().await;
                }
                let submitted = poll_and_drop(jobs.submit(100, 5), polls).await;
                completed |= submitted.is_some();
                let next = timeout(HOUR, jobs.submit(101, 5)).await;
                assert_eq!(next, Ok(Ok(())), "the next gets through");
                timeout(HOUR, others.join_all())
                    .await
                    .expect("the others too");
                drop(jobs);
                let mut done = reading.await.expect("it does not panic");
                done.sort_by_key(|(number, _)| *number);
                let expected = (0..before).chain(submitted.map(|_| 100)).chain([101]);
                assert!(done.into_iter().eq(expected.map(|number| (number, Ok(5)))));
            }
            assert!(completed, "60 polls are enough");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn next_dropped_at_each_await() {
        for polls in 1..30 {
            let (jobs, mut results) = worker_pool(2, 1, after_ticks);
            let submitting = tokio::spawn(async move {
                for number in 0..8 {
                    let _ = jobs.submit(number, 3).await;
                }
            });
            let first = poll_and_drop(results.next(), polls).await;
            let mut done: Vec<_> = first.flatten().into_iter().collect();
            done.extend(rest(results).await);
            assert!(done.into_iter().eq((0..8).map(|number| (number, Ok(3)))));
            submitting.await.expect("it does not panic");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn stopped_at_each_moment() {
        for ticks in 0..40 {
            let running = Arc::new(());
            let work = {
                let running = Arc::clone(&running);
                move |ticks| {
                    let running = Arc::clone(&running);
                    async move {
                        after_ticks(ticks).await;
                        drop(running);
                    }
                }
            };
            let (jobs, mut results) = worker_pool(2, 1, work);
            let waits = jobs.clone();
            let waiting = tokio::spawn(async move {
                for number in 0.. {
                    if let Err(closed) = waits.submit(number, 4).await {
                        return closed;
                    }
                }
                unreachable!("it is closed before the numbers end")
            });
            sleep(ticks * TICK).await;
            if ticks % 2 == 0 {
                timeout(HOUR, results.stop()).await.expect("it stops");
                assert_eq!(jobs.submit(7, 8).await, Err(Closed(7, 8)));
                assert_eq!(Arc::strong_count(&running), 1, "no job runs on");
                // What was in the queue, and then the end.
                assert!(rest(results).await.len() <= 1);
            } else {
                drop(results);
            }
            let closed = timeout(HOUR, waiting).await.expect("it is woken");
            assert_eq!(
                closed.expect("it does not panic").1,
                4,
                "the job comes back"
            );
            sleep(TICK).await;
            assert_eq!(jobs.submit(7, 8).await, Err(Closed(7, 8)));
            assert_eq!(Arc::strong_count(&running), 1, "no job runs on");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn as_many_jobs_at_once_as_there_are_workers() {
        for workers in 1..5 {
            let (jobs, results) = worker_pool(workers, 20, after_ticks);
            for number in 0..12 {
                jobs.submit(number, 10).await.expect("there is room");
            }
            drop(jobs);
            let start = Instant::now();
            assert_eq!(rest(results).await.len(), 12);
            let rounds = 12_u32.div_ceil(workers as u32);
            assert_eq!(start.elapsed(), rounds * 10 * TICK, "{workers} workers");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_guard_held_through_the_loop_lets_one_job_run_at_a_time() {
        let (queue, jobs) = mpsc::channel(20);
        for _ in 0..12 {
            queue.send(10).await.expect("there is room");
        }
        drop(queue);
        let jobs = Arc::new(Mutex::new(jobs));
        let mut workers = JoinSet::new();
        for _ in 0..4 {
            let jobs = Arc::clone(&jobs);
            workers.spawn(async move {
                while let Some(job) = jobs.lock().await.recv().await {
                    after_ticks(job).await;
                }
            });
        }
        let start = Instant::now();
        timeout(HOUR, workers.join_all()).await.expect("they end");
        assert_eq!(start.elapsed(), 120 * TICK);
    }

    #[tokio::test(start_paused = true)]
    async fn ahead_by_the_queues_and_the_workers() {
        for waiting in [1, 3] {
            let (jobs, mut results) = worker_pool(2, waiting, after_ticks);
            let mut submitted = 0;
            while submitted < 100
                && timeout(HOUR, jobs.submit(submitted, 1)).await.is_ok()
            {
                submitted += 1;
            }
            // With nobody who reads: in both queues, and one held by each worker.
            assert_eq!(submitted, 2 * waiting + 2);
            assert!(results.next().await.is_some());
            assert_eq!(timeout(HOUR, jobs.submit(99, 1)).await, Ok(Ok(())));
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn ten_thousand_at_once() {
        let begun = Arc::new(AtomicUsize::new(0));
        let work = {
            let begun = Arc::clone(&begun);
            move |number: usize| {
                let begun = Arc::clone(&begun);
                async move {
                    begun.fetch_add(1, SeqCst);
                    if number.is_multiple_of(8) {
                        tokio::task::yield_now().await;
                    }
                    assert!(number % 100 != 7, "scheduled");
                    number
                }
            }
        };
        let (jobs, results) = worker_pool(8, 4, work);
        let mut submitting = JoinSet::new();
        for number in 0..10_000 {
            let jobs = jobs.clone();
            let task = submitting.spawn(async move {
                let submit = jobs.submit(number, number);
                match number % 3 {
                    0 => timeout(Duration::from_micros(300), submit).await.is_ok(),
                    _ => submit.await.is_ok(),
                }
                .then_some(number)
            });
            if number % 10 == 9 {
                task.abort();
            }
        }
        drop(jobs);
        let reading = tokio::spawn(rest(results));
        let (mut submitted, mut aborted) = (HashSet::new(), 0);
        while let Some(outcome) = submitting.join_next().await {
            match outcome {
                Ok(number) => submitted.extend(number),
                Err(_) => aborted += 1,
            }
        }
        let done = timeout(Duration::from_secs(60), reading).await;
        let done = done.expect("nobody hangs").expect("it does not panic");
        assert_eq!(
            done.len(),
            begun.load(SeqCst),
            "a result for each that began"
        );
        let mut keys = HashSet::new();
        for (key, result) in done {
            let panicked = Panicked("scheduled".to_string());
            let expected = if key % 100 == 7 {
                Err(panicked)
            } else {
                Ok(key)
            };
            assert_eq!(result, expected);
            assert!(keys.insert(key), "{key} ran twice");
        }
        // Some of the aborted may have been submitted all the same.
        assert!(
            submitted.is_subset(&keys),
            "whatever was submitted has a result"
        );
        assert!(keys.len() <= submitted.len() + aborted && keys.len() > 5000);
    }

    #[tokio::test(start_paused = true)]
    async fn panics_do_not_shrink_the_pool() {
        let early = |number: u32| {
            assert!(number % 2 == 1, "{number} is even");
            after_ticks(number)
        };
        let late = |number: u32| async move {
            sleep(TICK).await;
            assert!(number % 2 == 1, "{number} is even");
            number
        };
        let (jobs, results) = worker_pool(1, 10, early);
        let (late_jobs, late_results) = worker_pool(1, 10, late);
        for number in 0..10 {
            jobs.submit(number, number).await.expect("there is room");
            late_jobs
                .submit(number, number)
                .await
                .expect("there is room");
        }
        drop((jobs, late_jobs));
        for done in [rest(results).await, rest(late_results).await] {
            assert!(done.into_iter().eq((0..10).map(|number| match number % 2 {
                0 => (number, Err(Panicked(format!("{number} is even")))),
                _ => (number, Ok(number)),
            })));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn results_that_were_ready_are_there_after_a_stop() {
        let (jobs, mut results) = worker_pool(2, 3, after_ticks);
        for (number, ticks) in [1, 2, 100].into_iter().enumerate() {
            assert!(jobs.submit(number, ticks).await.is_ok());
        }
        sleep(10 * TICK).await;
        timeout(HOUR, results.stop()).await.expect("it stops");
        assert_eq!(rest(results).await, [(0, Ok(1)), (1, Ok(2))]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_job_that_submits_waits_for_ever() {
        struct Job(Option<Jobs<u8, Job>>);

        // As many jobs as there are workers submit one more than there is room for.
        for (more, ended) in [(1, true), (2, false)] {
            let (jobs, mut results) = worker_pool(1, 1, move |job: Job| async move {
                for number in 0..more {
                    if let Some(jobs) = &job.0 {
                        let _ = jobs.submit(number, Job(None)).await;
                    }
                }
            });
            let job = Job(Some(jobs.clone()));
            assert!(jobs.submit(7, job).await.is_ok());
            drop(jobs);
            let first = timeout(HOUR, results.next()).await;
            assert_eq!(first.is_ok(), ended);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn jobs_held_by_a_job_keep_the_pool_from_ending() {
        struct Job {
            _jobs: Jobs<u8, Job>,
        }

        let (jobs, mut results) = worker_pool(1, 1, async |job: Job| job);
        let _jobs = jobs.clone();
        let job = Job { _jobs };
        assert!(jobs.submit(7, job).await.is_ok());
        drop(jobs);
        let first = timeout(HOUR, results.next()).await.ok().flatten();
        assert!(timeout(HOUR, results.next()).await.is_err(), "no end");
        drop(first);
        assert!(matches!(timeout(HOUR, results.next()).await, Ok(None)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_worker_that_dies_is_told_after_the_last_result() {
        struct Bomb;

        impl Drop for Bomb {
            fn drop(&mut self) {
                panic!("a bomb");
            }
        }
        for workers in [1, 2] {
            let (jobs, mut results) = worker_pool(workers, 3, async |number: u32| {
                if number == 1 {
                    panic_any(Bomb);
                }
                number
            });
            for number in 0..3 {
                assert!(jobs.submit(number, number).await.is_ok());
            }
            drop(jobs);
            let mut done = 0;
            let died = loop {
                let next = AssertUnwindSafe(results.next()).catch_unwind();
                match timeout(HOUR, next).await.expect("it does not hang") {
                    Ok(Some(_)) => done += 1,
                    Ok(None) => break None,
                    Err(panic) => break panic.downcast_ref::<&str>().copied(),
                }
            };
            assert_eq!((done, died), (workers, Some("a bomb")));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn limits() {
        let none =
            std::panic::catch_unwind(|| worker_pool::<u8, _, _, _, _>(0, 1, after_ticks));
        assert!(none.is_err(), "no workers");
        let none =
            std::panic::catch_unwind(|| worker_pool::<u8, _, _, _, _>(1, 0, after_ticks));
        assert!(none.is_err(), "no room");

        let (jobs, mut results) = worker_pool(1, 1, after_ticks);
        drop(jobs.clone());
        assert_eq!(timeout(HOUR, jobs.submit('a', 1)).await, Ok(Ok(())));
        assert_eq!(timeout(HOUR, results.next()).await, Ok(Some(('a', Ok(1)))));
        drop(jobs);
        assert_eq!(timeout(HOUR, results.next()).await, Ok(None));
        assert_eq!(
            timeout(HOUR, results.next()).await,
            Ok(None),
            "and so it stays"
        );
    }

    #[tokio::test]
    async fn in_a_struct_in_a_task_with_what_is_only_send() {
        type Only = std::cell::Cell<u32>;
        struct Service {
            jobs: Jobs<String, Only>,
            results: Mutex<Results<String, Only>>,
        }
        let (jobs, results) = worker_pool(3, 2, async |job: Only| job);
        let results = Mutex::new(results);
        let service = Arc::new(Service { jobs, results });
        let tasks = (0..6).map(|number| {
            let service = Arc::clone(&service);
            tokio::spawn(async move {
                let (key, job) = (number.to_string(), Only::new(number));
                let _ = service.jobs.submit(key, job).await;
                service.results.lock().await.next().await
            })
        });
        let mut sum = 0;
        for task in tasks.collect::<Vec<_>>() {
            let result = timeout(Duration::from_secs(10), task)
                .await
                .expect("it ends");
            let (key, result) = result.expect("it is Send").expect("there is one");
            let number = result.expect("it does not panic").get();
            assert_eq!(key, number.to_string());
            sum += number;
        }
        assert_eq!(sum, 15);
        service.results.lock().await.stop().await;
        assert!(
            service
                .jobs
                .submit("late".into(), Only::new(1))
                .await
                .is_err()
        );
    }
}
