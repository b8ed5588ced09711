use std::future::pending;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::support::{assert_linear, poll_and_drop, tasks};
use crate::scheduler::{NameTaken, Scheduler};

const BURST: MissedTickBehavior = MissedTickBehavior::Burst;
const HOUR: Duration = Duration::from_secs(3600);
const TICK: Duration = Duration::from_millis(1);

fn scheduler() -> Scheduler {
    Scheduler::new(|name, failure| panic!("{name} {failure}"))
}

/// Adds a job that counts the runs that begin, each of which takes so long.
fn add(
    scheduler: &mut Scheduler,
    name: &str,
    period: Duration,
    takes: Duration,
) -> Count {
    let count = Count::default();
    let runs = Arc::clone(&count.0);
    let added = scheduler.add(name, Duration::ZERO, period, BURST, move || {
        runs.fetch_add(1, SeqCst);
        async move {
            sleep(takes).await;
            Ok::<(), String>(())
        }
    });
    added.expect("a new name");
    count
}

#[derive(Default)]
struct Count(Arc<AtomicU32>);

impl Count {
    fn get(&self) -> u32 {
        self.0.load(SeqCst)
    }
}

#[tokio::test(start_paused = true)]
async fn without_drift() {
    let mut scheduler = scheduler();
    let count = add(&mut scheduler, "a", 10 * TICK, 3 * TICK);
    sleep(10_000 * TICK + TICK).await;
    assert_eq!(count.get(), 1001);
}

#[tokio::test(start_paused = true)]
async fn dropped_while_it_waits_it_aborts_the_run() {
    for polls in 1..12 {
        let held = Arc::new(());
        let scheduler = || {
            let mut scheduler = scheduler();
            for name in ["a", "b"] {
                let held = Arc::clone(&held);
                let job = move || {
                    let held = Arc::clone(&held);
                    async move {
                        sleep(10 * TICK).await;
                        drop(held);
                        Ok::<(), String>(())
                    }
                };
                let added = scheduler.add(name, Duration::ZERO, TICK, BURST, job);
                added.expect("a new name");
            }
            scheduler
        };
        let mut one = scheduler();
        sleep(TICK).await;
        let removed = poll_and_drop(one.remove("a"), polls).await;
        assert_eq!(removed, (polls > 10).then_some(true));
        assert_eq!(add(&mut one, "a", HOUR, TICK).get(), 0, "its name is free");
        drop(one);
        sleep(TICK).await;
        assert_eq!((Arc::strong_count(&held), tasks()), (1, 0), "{polls} polls");

        let two = scheduler();
        sleep(TICK).await;
        let stopped = poll_and_drop(two.stop(HOUR), polls).await;
        assert_eq!(stopped, (polls > 10).then(Vec::new));
        sleep(TICK).await;
        assert_eq!((Arc::strong_count(&held), tasks()), (1, 0), "{polls} polls");
    }
}

#[tokio::test(start_paused = true)]
async fn a_removed_name_is_free_again() {
    let mut scheduler = scheduler();
    let old = add(&mut scheduler, "a", HOUR, 5 * TICK);
    sleep(TICK).await;
    let taken = scheduler.add(
        "a",
        Duration::ZERO,
        TICK,
        BURST,
        pending::<Result<(), String>>,
    );
    assert_eq!(taken, Err(NameTaken("a".to_owned())));
    assert!(scheduler.remove("a").await);
    let new = add(&mut scheduler, "a", HOUR, 5 * TICK);
    assert!(scheduler.remove("a").await);
    assert!(!scheduler.remove("a").await);
    // The new one was removed before its first poll.
    assert_eq!((old.get(), new.get()), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn at_the_moment_of_a_tick_no_run_begins() {
    for _ in 0..20 {
        let mut scheduler = scheduler();
        let count = add(&mut scheduler, "a", 10 * TICK, 10 * TICK);
        sleep(5 * TICK).await;
        // It ends when the next tick is due.
        assert!(scheduler.stop(HOUR).await.is_empty());
        sleep(50 * TICK).await;
        assert_eq!(count.get(), 1);
    }

    let (stop, mut ticks) = (CancellationToken::new(), interval(10 * TICK));
    ticks.tick().await;
    let both = stop.run_until_cancelled(ticks.tick());
    let mut both = pin!(both);
    assert!(futures::poll!(both.as_mut()).is_pending());
    tokio::time::advance(10 * TICK).await;
    stop.cancel();
    assert!(both.await.is_some(), "the tick comes first");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_jobs_come_and_go() {
    let running: Arc<Vec<AtomicUsize>> = Arc::new((0..200).map(|_| 0.into()).collect());
    let runs = Arc::new(AtomicU32::new(0));
    let mut set = JoinSet::new();
    for task in 0..200 {
        let (running, runs) = (Arc::clone(&running), Arc::clone(&runs));
        set.spawn(async move {
            let mut scheduler = scheduler();
            let name = task % 200;
            let job = move || {
                let (running, runs) = (Arc::clone(&running), Arc::clone(&runs));
                async move {
                    assert_eq!(running[name].fetch_add(1, SeqCst), 0, "no overlap");
                    runs.fetch_add(1, SeqCst);
                    sleep(2 * TICK).await;
                    running[name].fetch_sub(1, SeqCst);
                    Ok::<(), String>(())
                }
            };
            for _ in 0..5 {
                let _ = scheduler.add(
                    &name.to_string(),
                    Duration::ZERO,
                    TICK,
                    BURST,
                    job.clone(),
                );
                sleep(3 * TICK).await;
                scheduler.remove(&name.to_string()).await;
            }
            let _ = scheduler.add(&name.to_string(), Duration::ZERO, TICK, BURST, job);
            assert!(scheduler.stop(HOUR).await.is_empty());
        });
    }
    let all = async { while set.join_next().await.is_some_and(|one| one.is_ok()) {} };
    timeout(HOUR, all).await.expect("nobody hangs");
    let after = runs.load(SeqCst);
    assert!(after > 200);
    assert!(running.iter().all(|running| running.load(SeqCst) == 0));
    sleep(10 * TICK).await;
    assert_eq!(runs.load(SeqCst), after);
}

#[tokio::test(start_paused = true)]
async fn limits() {
    let zero = catch_unwind(AssertUnwindSafe(|| {
        let never = pending::<Result<(), String>>;
        scheduler().add("a", Duration::ZERO, Duration::ZERO, BURST, never)
    }));
    assert!(zero.is_err());

    let mut scheduler = scheduler();
    assert!(!scheduler.remove("a").await);
    let held = Arc::new(());
    for name in ["b", "a", "c"] {
        let held = Arc::clone(&held);
        let job = move || {
            let held = Arc::clone(&held);
            async move {
                sleep(if name == "c" { TICK } else { HOUR }).await;
                drop(held);
                Ok::<(), String>(())
            }
        };
        assert_eq!(
            scheduler.add(name, Duration::ZERO, HOUR, BURST, job),
            Ok(())
        );
    }
    sleep(2 * TICK).await;
    let begun = Instant::now();
    assert_eq!(scheduler.stop(5 * TICK).await, ["a", "b"]);
    assert_eq!(begun.elapsed(), 5 * TICK);
    sleep(TICK).await;
    assert_eq!(Arc::strong_count(&held), 1, "they are gone");
}

#[tokio::test(start_paused = true)]
async fn after_a_panic() {
    let log = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&log);
    let mut scheduler = Scheduler::new(move |name, failure| {
        assert!(name != "log", "the disk is full");
        seen.lock().expect("no panic").push(failure.to_owned());
    });
    let mut number = 0;
    let job = move || {
        number += 1;
        assert!(number != 2, "closure");
        async move {
            assert!(number != 3, "future {number}");
            if number == 4 { Err("error") } else { Ok(()) }
        }
    };
    assert_eq!(scheduler.add("a", Duration::ZERO, TICK, BURST, job), Ok(()));
    let fails = async || Err("error");
    assert_eq!(
        scheduler.add("log", Duration::ZERO, TICK, BURST, fails),
        Ok(())
    );
    sleep(20 * TICK).await;
    let expected = ["crashed: closure", "crashed: future 3", "failed: error"];
    assert_eq!(*log.lock().expect("no panic"), expected);
    assert_eq!(
        scheduler.add("log", Duration::ZERO, TICK, BURST, fails),
        Ok(()),
        "it has ended"
    );
    assert!(scheduler.remove("a").await);
}

#[tokio::test(start_paused = true)]
async fn dropping_it_aborts_the_jobs() {
    let mut scheduler = scheduler();
    let count = add(&mut scheduler, "a", TICK, Duration::ZERO);
    sleep(10 * TICK).await;
    let runs = count.get();
    assert!(runs >= 10);
    drop(scheduler);
    sleep(10 * TICK).await;
    assert_eq!(count.get(), runs);
}

#[tokio::test]
async fn in_a_struct_in_a_task_with_an_error_of_ones_own() {
    #[derive(Debug, thiserror::Error)]
    #[error("mine")]
    struct Mine;
    struct App {
        scheduler: Scheduler,
        log: Arc<Mutex<Vec<String>>>,
    }
    let log = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&log);
    let mut app = App {
        scheduler: Scheduler::new(move |_, failure| {
            seen.lock().expect("no panic").push(failure.to_owned());
        }),
        log,
    };
    let task = tokio::spawn(async move {
        let mine = async || Err(Mine);
        let added = app.scheduler.add("a", Duration::ZERO, HOUR, BURST, mine);
        added.expect("a new name");
        while app.log.lock().expect("no panic").is_empty() {
            sleep(TICK).await;
        }
        assert!(app.scheduler.remove("a").await);
        app.log.lock().expect("no panic").clone()
    });
    assert_eq!(task.await.expect("it is Send"), ["failed: mine"]);
}

#[test]
fn ten_times_as_many_jobs_cost_ten_times_as_much() {
    assert_linear(async |number| {
        let mut scheduler = scheduler();
        let names: Vec<String> = (0..number).map(|number| number.to_string()).collect();
        for half in names.chunks(names.len() / 2) {
            let mut add = |name| add(&mut scheduler, name, HOUR, Duration::ZERO);
            let counts: Vec<Count> = half.iter().map(|name| add(name)).collect();
            sleep(TICK).await;
            assert!(counts.iter().all(|count| count.get() == 1));
        }
        for name in &names[..names.len() / 2] {
            assert!(scheduler.remove(name).await);
        }
        assert!(scheduler.stop(HOUR).await.is_empty());
    });
}

#[tokio::test(start_paused = true)]
async fn the_first_run_may_come_later() {
    let mut scheduler = scheduler();
    let count = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&count);
    let job = move || {
        counted.fetch_add(1, SeqCst);
        std::future::ready(Ok::<(), String>(()))
    };
    let added = scheduler.add("a", 5 * TICK, 20 * TICK, BURST, job);
    assert_eq!(added, Ok(()));
    for (after, runs) in [(4, 0), (2, 1), (18, 1), (2, 2)] {
        sleep(after * TICK).await;
        assert_eq!(count.load(SeqCst), runs);
    }
}

#[tokio::test(start_paused = true)]
async fn apscheduler_a_job_is_run_now() {
    let mut scheduler = scheduler();
    let count = add(&mut scheduler, "a", HOUR, 10 * TICK);
    sleep(5 * TICK).await;
    assert_eq!(count.get(), 1, "its first run goes on");
    assert!(scheduler.run_now("a"));
    assert!(scheduler.run_now("a"), "asked twice, it runs once");
    sleep(4 * TICK).await;
    assert_eq!(count.get(), 1, "runs do not overlap");
    sleep(100 * TICK).await;
    assert_eq!(count.get(), 2);
    assert!(scheduler.run_now("a"));
    sleep(TICK).await;
    assert_eq!(count.get(), 3);
    sleep(HOUR).await;
    assert_eq!(count.get(), 4, "the ticks stay as they are");
    assert!(!scheduler.run_now("b"));
    assert!(scheduler.remove("a").await);
    assert!(!scheduler.run_now("a"));
}

#[tokio::test(start_paused = true)]
async fn aiojobs_many_jobs_run_concurrently() {
    let mut scheduler = scheduler();
    let counts: Vec<_> = (0..100)
        .map(|job| add(&mut scheduler, &job.to_string(), HOUR, HOUR / 2))
        .collect();
    sleep(TICK).await;
    assert!(counts.iter().all(|count| count.get() == 1));
    assert_eq!(tasks(), 100);
    assert_eq!(scheduler.stop(HOUR).await, [""; 0]);
    assert_eq!(tasks(), 0);
}
