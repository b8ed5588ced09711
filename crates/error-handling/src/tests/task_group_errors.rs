use std::error::Error;
use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use tokio::task::{JoinError, JoinSet};
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::task_group_errors::{ErrorGroup, run_all};

#[derive(Debug, thiserror::Error)]
enum WorkerError {
    #[error("no page")]
    NoPage,
    #[error("the disk is full")]
    DiskFull,
    #[error("a bug")]
    Bug(#[from] JoinError),
}

/// Fails when it is asked to stop.
async fn fails_late(stop: CancellationToken) -> Result<(), WorkerError> {
    stop.cancelled().await;
    Err(WorkerError::DiskFull)
}

#[tokio::test(start_paused = true)]
async fn an_aborted_task_has_no_error_of_its_own() {
    let stop = CancellationToken::new();
    let mut tasks = JoinSet::new();
    tasks.spawn(fails_late(stop));
    tasks.spawn(async { Err(WorkerError::NoPage) });
    let first = tasks.join_next().await.expect("there are two");
    assert!(matches!(first, Ok(Err(WorkerError::NoPage))));
    tasks.abort_all();
    let second = tasks.join_next().await.expect("there are two");
    assert!(second.is_err_and(|error| error.is_cancelled()));
}

#[tokio::test(start_paused = true)]
async fn a_panic_stops_the_others_as_an_error_does() {
    let stop = CancellationToken::new();
    let mut tasks = JoinSet::new();
    tasks.spawn(fails_late(stop.clone()));
    tasks.spawn(async { panic!("a bug") });
    let all = timeout(Duration::from_secs(60), run_all(tasks, &stop)).await;
    let ErrorGroup(errors) = all.expect("it ends").expect_err("both fail");
    let [WorkerError::Bug(bug), WorkerError::DiskFull] = &errors[..] else {
        panic!("{errors:?}");
    };
    assert!(bug.is_panic());
}

#[tokio::test(start_paused = true)]
async fn who_does_not_look_at_the_token_is_waited_for() {
    let long = Duration::from_secs(3600);
    let mut tasks = JoinSet::new();
    tasks.spawn(async { Err(WorkerError::NoPage) });
    tasks.spawn(async move {
        sleep(long).await;
        Err(WorkerError::DiskFull)
    });
    let start = Instant::now();
    let result = run_all(tasks, &CancellationToken::new()).await;
    assert_eq!(start.elapsed(), long);
    assert_eq!(result.expect_err("both fail").0.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn dropped_it_aborts_the_tasks() {
    let held = Arc::new(());
    let mut tasks = JoinSet::<Result<(), WorkerError>>::new();
    tasks.spawn({
        let held = Arc::clone(&held);
        async move {
            let _held = held;
            pending().await
        }
    });
    let limit = Duration::from_secs(1);
    let stop = CancellationToken::new();
    assert!(timeout(limit, run_all(tasks, &stop)).await.is_err());
    sleep(limit).await;
    assert_eq!(Arc::strong_count(&held), 1);
}

#[tokio::test]
async fn any_error_is_asked_for_its_kind() {
    type Failure = Box<dyn Error + Send + Sync>;
    let mut tasks = JoinSet::<Result<(), Failure>>::new();
    tasks.spawn(async { Ok("seven".parse::<u32>().map(drop)?) });
    let stop = CancellationToken::new();
    let all = tokio::spawn(async move { run_all(tasks, &stop).await });
    let group = all.await.expect("it is caught").expect_err("no number");
    let mut caught = 0;
    let is_parse_error = |error: &Failure| error.is::<std::num::ParseIntError>();
    let rest = group.except(is_parse_error, |errors| caught = errors.len());
    assert!(rest.is_ok() && caught == 1);
}

#[test]
fn nothing_of_a_kind_is_not_handled() {
    let rest = ErrorGroup(vec![1, 3]).except(|n| n % 2 == 0, |_| unreachable!());
    assert_eq!(rest.expect_err("they are odd").0, [1, 3]);
    assert!(ErrorGroup::<u8>::check(vec![]).is_ok());
}

/// As in asyncio's `test_taskgroup_03`: a task that is cancelled alone stops no other.
#[tokio::test(start_paused = true)]
async fn an_aborted_task_stops_no_other_and_is_no_error() {
    let stop = CancellationToken::new();
    let ended = Arc::new(AtomicUsize::new(0));
    let mut tasks = JoinSet::new();
    for number in 0..3 {
        let (stop, ended) = (stop.clone(), Arc::clone(&ended));
        let task = tasks.spawn(async move {
            tokio::select! {
                () = stop.cancelled() => return Err(WorkerError::DiskFull),
                () = sleep(Duration::from_millis(50)) => {}
            }
            ended.fetch_add(1, SeqCst);
            Ok(())
        });
        if number == 1 {
            task.abort();
        }
    }
    assert!(run_all(tasks, &stop).await.is_ok());
    assert_eq!(ended.load(SeqCst), 2);
    assert!(!stop.is_cancelled());
}
