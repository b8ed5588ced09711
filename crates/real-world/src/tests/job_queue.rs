use std::collections::{BTreeMap, HashSet};
use std::env;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::process;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::task::Poll;
use std::thread;
use std::time::Duration;

use rusqlite::Transaction;
use tempfile::TempDir;
use tokio::sync::{Barrier, Notify, mpsc};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::job_queue::{Claim, Failure, Job, JobQueue, QueueError, Settings};

const TICK: Duration = Duration::from_millis(1);
const HOUR: Duration = Duration::from_secs(3600);
/// Nothing takes that long unless something is wedged.
const LONG: Duration = Duration::from_secs(20);
/// Tells the child process where to work.
const FOLDER: &str = "JOB_QUEUE_TEST_FOLDER";

/// Leases do not end. What is killed by a signal loses nothing that was committed,
/// also where the disk was not waited for: the kernel has it.
const SETTINGS: Settings = Settings {
    lease: HOUR,
    attempts: 3,
    backoff: TICK,
    poll: HOUR,
    pragmas: "PRAGMA synchronous = OFF;
              CREATE TABLE IF NOT EXISTS effects (job INTEGER)",
};

/// Each lease has ended when it begins.
const NO_LEASE: Settings = Settings {
    lease: Duration::ZERO,
    attempts: u32::MAX,
    ..SETTINGS
};

async fn open(settings: Settings) -> (TempDir, JobQueue) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("jobs.db");
    let queue = JobQueue::open(&path, settings).await.expect("writable");
    (folder, queue)
}

fn effect(
    job: &Job,
) -> impl FnOnce(&Transaction<'_>) -> Result<(), Failure> + Send + use<> {
    let id = job.id;
    move |transaction| {
        transaction.execute("INSERT INTO effects VALUES (?1)", [id])?;
        Ok(())
    }
}

/// How often each job has had its effect.
async fn effects(queue: &JobQueue) -> BTreeMap<i64, u32> {
    let count = |transaction: &Transaction<'_>| {
        let query = "SELECT job, count(*) FROM effects GROUP BY job";
        let mut query = transaction.prepare(query)?;
        let rows = query.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    };
    queue.transact(count).await.expect("it is open")
}

/// How many jobs there are in this state.
async fn count(queue: &JobQueue, state: &str) -> u32 {
    let counts = queue.counts().await.expect("it is open");
    let found = counts.into_iter().find(|(name, _)| name == state);
    found.map_or(0, |(_, count)| count)
}

async fn claim(queue: &JobQueue) -> Option<Job> {
    match queue.claim().await.expect("it is open") {
        Claim::Job(job) => Some(job),
        Claim::Nothing(_) => None,
    }
}

/// Does what is left, and checks that each job had its effect once.
async fn drain_and_check(queue: &JobQueue, at_least: u32) {
    while let Some(job) = claim(queue).await {
        let completed = queue.complete(&job, effect(&job)).await;
        completed.expect("nobody else has it");
    }
    let effects = effects(queue).await;
    assert!(effects.values().all(|times| *times == 1), "{effects:?}");
    let done = count(queue, "done").await;
    assert_eq!(done as usize, effects.len());
    assert!(done >= at_least);
    let counts = queue.counts().await.expect("it is open");
    assert!(counts.len() <= 1, "{counts:?}");
}

/// Polls the future so many times, and drops it if it has not ended by then.
async fn poll_and_drop<F: Future>(future: F, polls: usize) -> Option<F::Output> {
    let mut future = pin!(future);
    for _ in 0..polls {
        if let Poll::Ready(output) = futures::poll!(future.as_mut()) {
            return Some(output);
        }
        sleep(TICK).await;
    }
    None
}

#[tokio::test]
async fn dropped_at_each_await_it_loses_and_doubles_nothing() {
    let (_folder, queue) = open(NO_LEASE).await;
    let cycle = async || {
        queue.enqueue("a").await?;
        let Claim::Job(job) = queue.claim().await? else {
            panic!("there is one");
        };
        queue.extend(&job).await?;
        queue.fail(&job, "scheduled").await?;
        sleep(2 * TICK).await;
        let Claim::Job(job) = queue.claim().await? else {
            panic!("it is due");
        };
        queue.complete(&job, effect(&job)).await
    };
    let mut polls = 0;
    loop {
        polls += 1;
        let ended = poll_and_drop(cycle(), polls).await;
        // What it has sent is done after this, and a failed job is due again.
        assert_eq!(count(&queue, "dead").await, 0);
        sleep(2 * TICK).await;
        drain_and_check(&queue, 0).await;
        if let Some(ended) = ended {
            break ended.expect("nobody else works");
        }
    }
    assert!(polls > 5, "it was dropped {polls} times");
}

#[tokio::test]
async fn a_worker_dropped_at_each_await() {
    let (_folder, queue) = open(NO_LEASE).await;
    let stop = CancellationToken::new();
    for polls in 1..15 {
        queue.enqueue("a").await.expect("it is open");
        let work = queue.work(&stop, |job| async move {
            sleep(2 * TICK).await;
            Ok(effect(&job))
        });
        assert!(poll_and_drop(work, polls).await.is_none());
        drain_and_check(&queue, polls as u32).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn hundreds_of_jobs_some_of_which_fail_panic_or_take_too_long() {
    let (_folder, queue) = open(Settings {
        lease: 3 * TICK,
        attempts: u32::MAX,
        ..SETTINGS
    })
    .await;
    let stop = CancellationToken::new();
    let mut workers = JoinSet::new();
    for _ in 0..8 {
        let (queue, stop) = (queue.clone(), stop.clone());
        workers.spawn(async move {
            let handler = |job: Job| async move {
                match (job.id % 10, job.attempt) {
                    (0, 1) => return Err("scheduled".into()),
                    (1, 1) => panic!("scheduled"),
                    // Its lease cannot be extended meanwhile.
                    (2, 1) => thread::sleep(10 * TICK),
                    _ => sleep(TICK).await,
                }
                Ok(effect(&job))
            };
            queue.work(&stop, handler).await
        });
    }
    for _ in 0..300 {
        queue.enqueue("a").await.expect("it is open");
    }
    let all_done = async {
        while count(&queue, "done").await < 300 {
            sleep(TICK).await;
        }
    };
    timeout(LONG, all_done).await.expect("wedged");
    stop.cancel();
    let all = timeout(LONG, workers.join_all()).await.expect("wedged");
    assert!(all.iter().all(Result::is_ok), "{all:?}");
    drain_and_check(&queue, 300).await;
}

#[tokio::test]
async fn only_the_last_to_claim_a_job_may_end_it() {
    let (_folder, queue) = open(NO_LEASE).await;
    let id = queue.enqueue("a").await.expect("it is open");
    let first = claim(&queue).await.expect("it is due");
    let second = claim(&queue).await.expect("its lease has ended");
    assert_eq!((first.id, first.attempt), (id, 1));
    assert_eq!((second.id, second.attempt), (id, 2));
    for lost in [
        queue.extend(&first).await,
        queue.complete(&first, effect(&first)).await,
        queue.fail(&first, "scheduled").await.map(drop),
    ] {
        assert!(matches!(lost, Err(QueueError::LeaseLost)), "{lost:?}");
    }
    assert!(effects(&queue).await.is_empty(), "nothing was done");
    queue.extend(&second).await.expect("it has it");
    // It ended, but nobody else has claimed the job.
    let completed = queue.complete(&second, effect(&second)).await;
    completed.expect("it has it");
    let twice = queue.complete(&second, effect(&second)).await;
    assert!(matches!(twice, Err(QueueError::LeaseLost)), "{twice:?}");
    drain_and_check(&queue, 1).await;
}

#[tokio::test]
async fn tried_as_often_as_it_may_be_and_dead_then() {
    let backoff = HOUR;
    for attempts in [1, 2, 4] {
        let (_folder, queue) = open(Settings {
            attempts,
            backoff,
            ..SETTINGS
        })
        .await;
        assert_eq!(queue.claim().await.ok(), Some(Claim::Nothing(HOUR)));
        let id = queue.enqueue("a").await.expect("it is open");
        for attempt in 1..=attempts {
            let job = claim(&queue).await.expect("it is due");
            assert_eq!(job.attempt, attempt);
            let pause = queue.fail(&job, "scheduled").await.expect("it has it");
            let expected = (attempt < attempts).then(|| HOUR * (1 << (attempt - 1)));
            assert_eq!(pause, expected);
            assert_eq!(claim(&queue).await, None, "it is not due");
            let now = "UPDATE jobs SET due = 0 WHERE due IS NOT NULL";
            let now = |transaction: &Transaction<'_>| Ok(transaction.execute(now, [])?);
            queue.transact(now).await.expect("it is open");
        }
        assert_eq!(claim(&queue).await, None);
        let dead = queue.dead_letters().await.expect("it is open");
        let (payload, attempt) = ("a".to_owned(), attempts);
        let job = Job {
            id,
            payload,
            attempt,
        };
        assert_eq!(dead, [(job, "scheduled".to_owned())]);
    }
}

#[tokio::test]
async fn a_job_that_kills_its_workers_is_dead_at_last() {
    let attempts = 2;
    let (_folder, queue) = open(Settings {
        attempts,
        ..NO_LEASE
    })
    .await;
    queue.enqueue("a").await.expect("it is open");
    for _ in 0..attempts {
        assert!(claim(&queue).await.is_some());
    }
    assert_eq!(claim(&queue).await, None);
    let dead = queue.dead_letters().await.expect("it is open");
    assert_eq!(dead[0].1, "the lease ran out");
}

#[tokio::test]
async fn an_effect_that_fails_or_panics_is_rolled_back() {
    let (_folder, queue) = open(SETTINGS).await;
    let id = queue.enqueue("a").await.expect("it is open");
    let stop = CancellationToken::new();
    let work = queue.work(&stop, |job| {
        let stop = stop.clone();
        async move {
            assert!(job.attempt > 0);
            Ok(
                move |transaction: &Transaction<'_>| -> Result<(), Failure> {
                    effect(&job)(transaction)?;
                    match job.attempt {
                        1 => Err("scheduled".into()),
                        2 => panic!("scheduled"),
                        _ => {
                            stop.cancel();
                            Ok(())
                        }
                    }
                },
            )
        }
    });
    let worked = timeout(LONG, work).await.expect("wedged");
    worked.expect("it is open");
    assert_eq!(effects(&queue).await, BTreeMap::from([(id, 1)]));
    assert_eq!(count(&queue, "done").await, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn each_added_job_wakes_a_worker() {
    let (_folder, queue) = open(SETTINGS).await;
    let stop = CancellationToken::new();
    let together = Arc::new(Barrier::new(3));
    let mut workers = JoinSet::new();
    for _ in 0..2 {
        let (queue, stop) = (queue.clone(), stop.clone());
        let together = Arc::clone(&together);
        workers.spawn(async move {
            let handler = |job: Job| {
                let together = Arc::clone(&together);
                async move {
                    together.wait().await;
                    Ok(effect(&job))
                }
            };
            queue.work(&stop, handler).await
        });
    }
    // The workers go to sleep, or are about to, or look once more.
    for round in 0..200 {
        for _ in 0..2 {
            queue.enqueue("a").await.expect("it is open");
        }
        let both = timeout(LONG, together.wait()).await;
        assert!(both.is_ok(), "one slept in round {round}");
    }
    stop.cancel();
    let all = timeout(LONG, workers.join_all()).await.expect("wedged");
    assert!(all.iter().all(Result::is_ok), "{all:?}");
    drain_and_check(&queue, 400).await;
}

#[tokio::test]
async fn two_jobs_are_added_just_when_two_workers_have_found_nothing() {
    let (_folder, queue) = open(SETTINGS).await;
    let stop = CancellationToken::new();
    let together = Arc::new(Barrier::new(3));
    let worker = || {
        let together = Arc::clone(&together);
        let handler = move |job: Job| {
            let together = Arc::clone(&together);
            async move {
                together.wait().await;
                Ok(effect(&job))
            }
        };
        queue.work(&stop, handler)
    };
    let (mut first, mut second) = (pin!(worker()), pin!(worker()));
    // Their questions are in line before the jobs.
    assert!(futures::poll!(first.as_mut()).is_pending());
    assert!(futures::poll!(second.as_mut()).is_pending());
    for _ in 0..2 {
        queue.enqueue("a").await.expect("it is open");
    }
    let both = async { tokio::join!(first, second) };
    tokio::select! {
        _ = both => panic!("nobody stops them"),
        waited = timeout(LONG, together.wait()) => {
            assert!(waited.is_ok(), "one sleeps");
        }
    }
}

#[tokio::test]
async fn who_has_nothing_to_do_tries_again_what_another_failed_at() {
    let (_folder, queue) = open(SETTINGS).await;
    queue.enqueue("a").await.expect("it is open");
    let job = claim(&queue).await.expect("it is due");
    let stop = CancellationToken::new();
    let worker = tokio::spawn({
        let (queue, stop) = (queue.clone(), stop.clone());
        async move {
            let handler = |job: Job| {
                stop.cancel();
                async move { Ok(effect(&job)) }
            };
            queue.work(&stop, handler).await
        }
    });
    sleep(5 * TICK).await;
    queue.fail(&job, "scheduled").await.expect("it has it");
    let worked = timeout(LONG, worker).await.expect("it sleeps");
    assert!(worked.is_ok_and(|worked| worked.is_ok()));
    drain_and_check(&queue, 1).await;
}

#[tokio::test]
async fn who_has_nothing_to_do_takes_over_from_one_that_was_dropped() {
    let (_folder, queue) = open(Settings {
        lease: 50 * TICK,
        ..SETTINGS
    })
    .await;
    let (begun, mut begins) = mpsc::unbounded_channel();
    let workers = [0, 1].map(|number| {
        let (queue, begun) = (queue.clone(), begun.clone());
        AbortOnDropHandle::new(tokio::spawn(async move {
            let handler = |job: Job| {
                begun.send(number).expect("the test waits");
                async move {
                    sleep(HOUR).await;
                    Ok(effect(&job))
                }
            };
            queue.work(&CancellationToken::new(), handler).await
        }))
    });
    // Both have found nothing.
    sleep(10 * TICK).await;
    queue.enqueue("a").await.expect("it is open");
    let first = begins.recv().await.expect("one has it");
    workers[first].abort();
    let second = timeout(LONG, begins.recv()).await.expect("it sleeps");
    assert_eq!(second, Some(1 - first));
}

#[tokio::test]
async fn stopped_it_ends_what_it_has_begun_and_begins_no_more() {
    let (_folder, queue) = open(SETTINGS).await;
    for payload in ["a", "b"] {
        queue.enqueue(payload).await.expect("it is open");
    }
    let stop = CancellationToken::new();
    let [begun, go_on] = [(); 2].map(|()| Arc::new(Notify::new()));
    let worker = tokio::spawn({
        let (queue, stop) = (queue.clone(), stop.clone());
        let (begun, go_on) = (Arc::clone(&begun), Arc::clone(&go_on));
        async move {
            let handler = |job: Job| {
                let (begun, go_on) = (Arc::clone(&begun), Arc::clone(&go_on));
                async move {
                    begun.notify_one();
                    go_on.notified().await;
                    Ok(effect(&job))
                }
            };
            queue.work(&stop, handler).await
        }
    });
    timeout(LONG, begun.notified()).await.expect("it begins");
    stop.cancel();
    let mut worker = pin!(worker);
    let early = timeout(20 * TICK, worker.as_mut()).await;
    assert!(early.is_err(), "it waits for its job");
    go_on.notify_one();
    let worked = timeout(LONG, worker).await.expect("it ends");
    assert!(worked.is_ok_and(|worked| worked.is_ok()));
    assert_eq!(count(&queue, "done").await, 1);
    assert_eq!(count(&queue, "waiting").await, 1);
}

#[tokio::test]
async fn who_has_lost_the_lease_is_stopped() {
    struct Running(Arc<AtomicUsize>);
    impl Drop for Running {
        fn drop(&mut self) {
            self.0.fetch_sub(1, SeqCst);
        }
    }
    let (_folder, queue) = open(Settings {
        lease: 6 * TICK,
        ..SETTINGS
    })
    .await;
    queue.enqueue("a").await.expect("it is open");
    let running = Arc::new(AtomicUsize::new(0));
    let stop = CancellationToken::new();
    let lost = queue.work(&stop, |job| {
        running.fetch_add(1, SeqCst);
        let guard = Running(Arc::clone(&running));
        let (queue, stop) = (queue.clone(), stop.clone());
        async move {
            let _guard = guard;
            stop.cancel();
            // As another program does when the lease has ended.
            let claim = "UPDATE jobs SET attempt = attempt + 1";
            let claim =
                |transaction: &Transaction<'_>| Ok(transaction.execute(claim, [])?);
            queue.transact(claim).await?;
            sleep(HOUR).await;
            Ok(effect(&job))
        }
    });
    timeout(LONG, lost)
        .await
        .expect("wedged")
        .expect("it is open");
    let gone = async {
        while running.load(SeqCst) > 0 {
            sleep(TICK).await;
        }
    };
    timeout(LONG, gone).await.expect("it runs on");
    assert!(effects(&queue).await.is_empty());
}

#[tokio::test]
async fn errors_of_the_file() {
    let nowhere = Path::new("/no/such/folder/jobs.db");
    let opened = JobQueue::open(nowhere, SETTINGS).await;
    assert!(matches!(opened, Err(QueueError::Sqlite(_))));
    let (folder, queue) = open(SETTINGS).await;
    queue.enqueue("a").await.expect("it is open");
    let other = queue.clone();
    let closing = tokio::spawn(queue.close());
    assert_eq!(count(&other, "waiting").await, 1, "it is open still");
    drop(other);
    timeout(LONG, closing)
        .await
        .expect("wedged")
        .expect("closed");
    let files = fs::read_dir(folder.path()).expect("readable").count();
    assert_eq!(files, 1, "the log is gone");
}

const SHORT_LEASE: Settings = Settings {
    lease: Duration::from_millis(30),
    attempts: u32::MAX,
    poll: Duration::from_millis(5),
    ..SETTINGS
};

/// Works at the jobs, four at once, and notes each that is begun in another file.
async fn work_and_note(folder: &Path, stop: &CancellationToken) -> JobQueue {
    let queue = JobQueue::open(&folder.join("jobs.db"), SHORT_LEASE).await;
    let queue = queue.expect("writable");
    let mut workers = JoinSet::new();
    for _ in 0..4 {
        let (queue, stop) = (queue.clone(), stop.clone());
        let begun = folder.join("begun");
        workers.spawn(async move {
            let handler = |job: Job| {
                let mut options = fs::File::options();
                let file = options.create(true).append(true).open(&begun);
                async move {
                    // In one piece, as others write there, too.
                    file?.write_all(format!("{}\n", job.id).as_bytes())?;
                    sleep(4 * TICK).await;
                    Ok(effect(&job))
                }
            };
            queue.work(&stop, handler).await
        });
    }
    for worked in workers.join_all().await {
        worked.expect("it works");
    }
    queue
}

/// Not a test by itself: the process that is killed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn child() {
    let Some(folder) = env::var_os(FOLDER).map(PathBuf::from) else {
        return;
    };
    std::println!("begun");
    let _ = timeout(LONG, work_and_note(&folder, &CancellationToken::new())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_at_any_moment_it_loses_and_doubles_no_job() {
    let (folder, queue) = open(SHORT_LEASE).await;
    // It has another name in a copy of this file.
    let (_crate, module) = module_path!().split_once("::").expect("a module");
    let child = format!("{module}::child");
    let (mut kills_at_work, mut random) = (0, 1_u32);
    for _ in 0..50 {
        for _ in 0..10 {
            queue.enqueue("a").await.expect("it is open");
        }
        let child = process::Command::new(env::current_exe().expect("itself"))
            .args(["--exact", "--nocapture", &child])
            .env(FOLDER, folder.path())
            .stdout(process::Stdio::piped())
            .stderr(process::Stdio::null())
            .spawn();
        let mut child = child.expect("it starts");
        let output = BufReader::new(child.stdout.take().expect("it is piped"));
        // Kept, as who closes the pipe ends the child's printing, and so the child.
        let mut lines = output.lines();
        let begun = |line: Result<String, _>| line.is_ok_and(|l| l.contains("begun"));
        assert!(lines.any(begun), "it begins");
        random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        thread::sleep(Duration::from_micros(u64::from(random >> 17)));
        child.kill().expect("it can be killed");
        let ended = child.wait().expect("it has ended");
        assert_eq!(ended.code(), None, "it did not end by itself");
        kills_at_work += usize::from(count(&queue, "running").await > 0);
        let effects = effects(&queue).await;
        assert!(effects.values().all(|times| *times == 1), "{effects:?}");
        assert_eq!(count(&queue, "done").await as usize, effects.len());
    }
    assert!(kills_at_work > 10, "many were killed at work");
    let stop = CancellationToken::new();
    let all_done = async {
        while count(&queue, "done").await < 500 {
            sleep(TICK).await;
        }
        stop.cancel();
    };
    let work = work_and_note(folder.path(), &stop);
    let done = timeout(LONG, async { tokio::join!(work, all_done) }).await;
    done.expect("wedged").0.close().await;
    drain_and_check(&queue, 500).await;
    let begun = fs::read_to_string(folder.path().join("begun")).expect("text");
    let distinct = HashSet::<_>::from_iter(begun.lines());
    assert_eq!(distinct.len(), 500, "each was begun");
    assert!(begun.lines().count() > 500, "some were begun again");
}
