//! Further cases after the tests of APScheduler and aiojobs.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, sleep};

use super::support::tasks;
use crate::scheduler::Scheduler;

const SECOND: Duration = Duration::from_secs(1);
const SKIP: MissedTickBehavior = MissedTickBehavior::Skip;

/// The seconds at which runs began.
#[derive(Clone)]
struct Runs(Arc<Mutex<Vec<u64>>>, Instant);

impl Runs {
    fn begin(&self) {
        let second = self.1.elapsed().as_secs();
        self.0.lock().expect("no panic").push(second);
    }

    fn get(&self) -> Vec<u64> {
        self.0.lock().expect("no panic").clone()
    }
}

/// Adds a job every ten seconds, each run of which takes so many.
fn add(scheduler: &mut Scheduler, name: &str, first: u32, takes: u32) -> Runs {
    let runs = Runs(Arc::default(), Instant::now());
    let begun = runs.clone();
    let job = move || {
        begun.begin();
        async move {
            sleep(takes * SECOND).await;
            Ok::<_, String>(())
        }
    };
    let added = scheduler.add(name, first * SECOND, 10 * SECOND, SKIP, job);
    added.expect("a new name");
    runs
}

fn scheduler() -> Scheduler {
    Scheduler::new(|name, failure| panic!("{name} {failure}"))
}

#[tokio::test(start_paused = true)]
async fn apscheduler_an_interval_runs_at_its_multiples() {
    let mut scheduler = scheduler();
    let runs = add(&mut scheduler, "job", 10, 0);
    sleep(45 * SECOND).await;
    assert_eq!(runs.get(), [10, 20, 30, 40]);
}

#[tokio::test(start_paused = true)]
async fn apscheduler_a_start_date_delays_the_first_run() {
    let mut scheduler = scheduler();
    let runs = add(&mut scheduler, "job", 25, 0);
    sleep(40 * SECOND).await;
    assert_eq!(runs.get(), [25, 35]);
}

#[tokio::test(start_paused = true)]
async fn apscheduler_max_instances_is_one() {
    let mut scheduler = scheduler();
    let runs = add(&mut scheduler, "job", 0, 15);
    sleep(50 * SECOND).await;
    assert!(runs.get().windows(2).all(|pair| pair[1] - pair[0] >= 15));
}

#[tokio::test(start_paused = true)]
async fn apscheduler_missed_runs_are_coalesced_and_the_late_one_runs_differs() {
    // APScheduler leaves a late run out if its grace time has passed.
    let mut scheduler = scheduler();
    let runs = add(&mut scheduler, "job", 0, 35);
    sleep(80 * SECOND).await;
    assert_eq!(runs.get(), [0, 35, 70]);
}

#[tokio::test(start_paused = true)]
async fn apscheduler_a_conflicting_id_is_refused() {
    let mut scheduler = scheduler();
    add(&mut scheduler, "job", 0, 0);
    let job = async || Ok::<_, String>(());
    let refused = scheduler.add("job", SECOND, SECOND, SKIP, job);
    let refused = refused.expect_err("the name is taken");
    assert_eq!(refused.to_string(), "there is a job named job already");
}

#[tokio::test(start_paused = true)]
async fn apscheduler_a_removed_job_runs_no_more() {
    let mut scheduler = scheduler();
    let runs = add(&mut scheduler, "job", 0, 0);
    sleep(15 * SECOND).await;
    assert!(scheduler.remove("job").await);
    sleep(3600 * SECOND).await;
    assert_eq!(runs.get(), [0, 10]);
}

#[tokio::test(start_paused = true)]
async fn apscheduler_removing_an_unknown_job_says_so() {
    assert!(!scheduler().remove("job").await);
    assert!(!scheduler().run_now("job"));
}

#[tokio::test(start_paused = true)]
async fn apscheduler_a_failing_job_keeps_its_schedule() {
    let failures = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&failures);
    let mut scheduler = Scheduler::new(move |name, failure| {
        let line = format!("{name} {failure}");
        log.lock().expect("no panic").push(line);
    });
    let job = async || Err::<(), _>("no disk");
    let added = scheduler.add("job", Duration::ZERO, 10 * SECOND, SKIP, job);
    added.expect("a new name");
    sleep(25 * SECOND).await;
    let failures = failures.lock().expect("no panic").clone();
    assert_eq!(failures, ["job failed: no disk"; 3]);
}

#[tokio::test(start_paused = true)]
async fn apscheduler_run_now_leaves_the_schedule_as_it_is() {
    let mut scheduler = scheduler();
    let runs = add(&mut scheduler, "job", 10, 0);
    sleep(13 * SECOND).await;
    assert!(scheduler.run_now("job"));
    sleep(20 * SECOND).await;
    assert_eq!(runs.get(), [10, 13, 20, 30]);
}

#[tokio::test(start_paused = true)]
async fn apscheduler_a_shutdown_waits_for_running_jobs() {
    let (mut scheduler, start) = (scheduler(), Instant::now());
    let runs = add(&mut scheduler, "job", 0, 5);
    sleep(SECOND).await;
    assert!(scheduler.stop(60 * SECOND).await.is_empty());
    assert_eq!((start.elapsed(), runs.get()), (5 * SECOND, vec![0]));
    assert_eq!(tasks(), 0);
}

#[tokio::test(start_paused = true)]
async fn apscheduler_a_shutdown_without_a_wait_aborts_running_jobs() {
    let mut scheduler = scheduler();
    for name in ["b", "a"] {
        add(&mut scheduler, name, 0, 3600);
    }
    sleep(SECOND).await;
    assert_eq!(scheduler.stop(Duration::ZERO).await, ["a", "b"]);
    sleep(SECOND).await;
    assert_eq!(tasks(), 0);
}

#[tokio::test(start_paused = true)]
async fn apscheduler_a_job_that_is_added_later_counts_from_there() {
    let mut scheduler = scheduler();
    add(&mut scheduler, "first", 0, 0);
    sleep(7 * SECOND).await;
    let runs = add(&mut scheduler, "second", 0, 0);
    sleep(25 * SECOND).await;
    assert_eq!(runs.get(), [0, 10, 20]);
}

#[tokio::test(start_paused = true)]
async fn aiojobs_a_slow_job_delays_no_other() {
    let mut scheduler = scheduler();
    add(&mut scheduler, "slow", 0, 3600);
    let runs = add(&mut scheduler, "quick", 0, 0);
    sleep(35 * SECOND).await;
    assert_eq!(runs.get(), [0, 10, 20, 30]);
}
