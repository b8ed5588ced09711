use std::collections::HashSet;
use std::panic::{AssertUnwindSafe, panic_any};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use futures::FutureExt;
use tokio::sync::mpsc::error::SendError;
use tokio::sync::{Mutex, mpsc};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

use super::support::{assert_linear, poll_and_drop};
use crate::worker_pool::{Panicked, Results, worker_pool};

type Jobs<K, J> = mpsc::Sender<(K, J)>;

const HOUR: Duration = Duration::from_secs(3600);
const TICK: Duration = Duration::from_millis(1);

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
                others.spawn(async move { jobs.send((number, 5)).await });
                tokio::task::yield_now().await;
            }
            let submitted = poll_and_drop(jobs.send((100, 5)), polls).await;
            completed |= submitted.is_some();
            let next = timeout(HOUR, jobs.send((101, 5))).await;
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
                let _ = jobs.send((number, 3)).await;
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
                if let Err(closed) = waits.send((number, 4)).await {
                    return closed;
                }
            }
            unreachable!("it is closed before the numbers end")
        });
        sleep(ticks * TICK).await;
        if ticks % 2 == 0 {
            timeout(HOUR, results.stop()).await.expect("it stops");
            assert_eq!(jobs.send((7, 8)).await, Err(SendError((7, 8))));
            assert_eq!(Arc::strong_count(&running), 1, "no job runs on");
            // What was in the queue, and then the end.
            assert!(rest(results).await.len() <= 1);
        } else {
            drop(results);
        }
        let closed = timeout(HOUR, waiting).await.expect("it is woken");
        assert_eq!(
            closed.expect("it does not panic").0.1,
            4,
            "the job comes back"
        );
        sleep(TICK).await;
        assert_eq!(jobs.send((7, 8)).await, Err(SendError((7, 8))));
        assert_eq!(Arc::strong_count(&running), 1, "no job runs on");
    }
}

#[tokio::test(start_paused = true)]
async fn as_many_jobs_at_once_as_there_are_workers() {
    for workers in 1..5 {
        let (jobs, results) = worker_pool(workers, 20, after_ticks);
        for number in 0..12 {
            jobs.send((number, 10)).await.expect("there is room");
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
        while submitted < 100 && timeout(HOUR, jobs.send((submitted, 1))).await.is_ok() {
            submitted += 1;
        }
        // With nobody who reads: in both queues, and one held by each worker.
        assert_eq!(submitted, 2 * waiting + 2);
        assert!(results.next().await.is_some());
        assert_eq!(timeout(HOUR, jobs.send((99, 1))).await, Ok(Ok(())));
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
            let submit = jobs.send((number, number));
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
        jobs.send((number, number)).await.expect("there is room");
        late_jobs
            .send((number, number))
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
        assert!(jobs.send((number, ticks)).await.is_ok());
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
                    let _ = jobs.send((number, Job(None))).await;
                }
            }
        });
        let job = Job(Some(jobs.clone()));
        assert!(jobs.send((7, job)).await.is_ok());
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
    assert!(jobs.send((7, job)).await.is_ok());
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
            assert!(jobs.send((number, number)).await.is_ok());
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
    assert_eq!(timeout(HOUR, jobs.send(('a', 1))).await, Ok(Ok(())));
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
            let _ = service.jobs.send((key, job)).await;
            service.results.lock().await.next().await
        })
    });
    let mut sum = 0;
    for task in tasks.collect::<Vec<_>>() {
        let result = timeout(Duration::from_secs(60), task)
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
            .send(("late".into(), Only::new(1)))
            .await
            .is_err()
    );
}

#[test]
fn ten_times_as_many_workers_cost_ten_times_as_much() {
    assert_linear(async |number| {
        let (jobs, results) = worker_pool(number as usize, 100, after_ticks);
        let reading = tokio::spawn(rest(results));
        for job in 0..number {
            assert!(jobs.send((job, 0)).await.is_ok());
        }
        drop(jobs);
        assert_eq!(reading.await.unwrap().len(), number as usize);
    });
}

#[tokio::test]
#[should_panic = "MAX_PERMITS"]
async fn queues_of_usize_max_are_refused() {
    let _ = worker_pool::<u8, u8, _, _, _>(1, usize::MAX, async |job| job);
}
