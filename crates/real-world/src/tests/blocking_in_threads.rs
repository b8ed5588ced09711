use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Barrier, mpsc};
use std::thread;
use std::time::Duration;

use futures::FutureExt;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::oneshot;
use tokio::task::{JoinSet, spawn_blocking};
use tokio::time::timeout;

use crate::blocking_in_threads::BlockingPool;

const LONG: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn never_more_than_the_limit_though_callers_give_up() {
    let pool = BlockingPool::new(3);
    let running = Arc::new(AtomicUsize::new(0));
    let most = Arc::new(AtomicUsize::new(0));
    let mut tasks = JoinSet::new();
    for number in 0..1000 {
        let (pool, running) = (pool.clone(), Arc::clone(&running));
        let most = Arc::clone(&most);
        let task = tasks.spawn(async move {
            let call = move || {
                let now = running.fetch_add(1, SeqCst) + 1;
                most.fetch_max(now, SeqCst);
                thread::sleep(Duration::from_micros(200));
                running.fetch_sub(1, SeqCst);
            };
            match number % 3 {
                0 => drop(timeout(Duration::from_millis(5), pool.run(call)).await),
                _ => pool.run(call).await.expect("it does not panic"),
            }
        });
        if number % 10 == 9 {
            task.abort();
        }
    }
    let all = async { while tasks.join_next().await.is_some() {} };
    timeout(LONG, all).await.expect("nobody hangs");
    // All places come back, once the calls that nobody waits for have ended.
    let all_here = Arc::new(Barrier::new(3));
    let meet = || {
        let all_here = Arc::clone(&all_here);
        pool.run(move || all_here.wait().is_leader())
    };
    let met = async { tokio::join!(meet(), meet(), meet()) };
    let (a, b, c) = timeout(LONG, met).await.expect("there are three places");
    let leaders = [a, b, c].map(|met| usize::from(met.expect("it does not panic")));
    assert_eq!(leaders.iter().sum::<usize>(), 1);
    assert_eq!(most.load(SeqCst), 3);
}

#[tokio::test]
async fn a_call_that_panics_gives_its_place_back() {
    let pool = BlockingPool::new(1);
    for _ in 0..3 {
        let ended = timeout(LONG, pool.run(|| panic!("scheduled"))).await;
        let ended: Result<(), _> = ended.expect("it does not hang");
        assert!(ended.is_err_and(|error| error.is_panic()));
    }
    assert!(std::panic::catch_unwind(|| BlockingPool::new(0)).is_err());
}

#[tokio::test]
async fn in_a_task_with_a_closure_that_owns_what_it_needs() {
    let pool = Arc::new(BlockingPool::new(1));
    let text = "abc".to_string();
    let task = tokio::spawn(async move { pool.run(move || text.len()).await });
    assert_eq!(task.await.expect("it is Send").expect("no panic"), 3);
}

fn with_one_blocking_thread() -> Runtime {
    Builder::new_current_thread()
        .enable_time()
        .max_blocking_threads(1)
        .build()
        .expect("a runtime")
}

#[test]
fn the_limit_of_the_runtime_holds_up_files_too() {
    with_one_blocking_thread().block_on(async {
        let (release, released) = mpsc::channel::<()>();
        let call = spawn_blocking(move || released.recv());
        let file = tokio::fs::metadata(".");
        let moment = Duration::from_millis(50);
        assert!(timeout(moment, file).await.is_err(), "it waits");
        drop(release);
        let file = timeout(LONG, tokio::fs::metadata(".")).await;
        assert!(file.is_ok_and(|file| file.is_ok()));
        assert!(call.await.is_ok());
    });
}

#[test]
fn a_dropped_call_runs_if_it_waits_for_a_thread_and_not_if_for_its_permit() {
    with_one_blocking_thread().block_on(async {
        let (release, released) = mpsc::channel::<()>();
        let busy = spawn_blocking(move || released.recv());
        let pool = BlockingPool::new(1);
        let (ran, runs) = mpsc::channel();
        let call = |name| {
            let ran = ran.clone();
            pool.run(move || ran.send(name))
        };
        // The first one has the permit, and waits for the only thread.
        let mut first = Box::pin(call("has its permit"));
        assert!(futures::poll!(&mut first).is_pending());
        let mut second = Box::pin(call("waits for its permit"));
        assert!(futures::poll!(&mut second).is_pending());
        drop((first, second));
        drop(release);
        assert!(busy.await.is_ok());
        let last = timeout(LONG, call("the last one")).await;
        assert!(last.is_ok_and(|ended| ended.is_ok()));
        let seen: Vec<_> = runs.try_iter().collect();
        assert_eq!(seen, ["has its permit", "the last one"]);
    });
}

#[tokio::test]
async fn calls_run_in_the_order_in_which_they_asked() {
    let pool = BlockingPool::new(1);
    let (ran, order) = mpsc::channel();
    let calls = (0..50).map(|number| {
        let ran = ran.clone();
        pool.run(move || ran.send(number))
    });
    let ended = timeout(LONG, futures::future::join_all(calls)).await;
    let ended = ended.expect("nobody hangs");
    assert!(ended.iter().all(|call| matches!(call, Ok(Ok(())))));
    assert_eq!(order.try_iter().collect::<Vec<_>>(), Vec::from_iter(0..50));
}

/// The only thread is busy, so the first call waits for it when the runtime goes.
#[test]
fn a_call_that_waits_for_a_thread_at_the_shutdown_runs_and_a_later_one_is_an_error() {
    let runtime = with_one_blocking_thread();
    let handle = runtime.handle().clone();
    let (release, released) = mpsc::channel::<()>();
    let (begun, begins) = mpsc::channel();
    let _busy = runtime.spawn_blocking(move || {
        let _ = begun.send(());
        released.recv()
    });
    assert_eq!(begins.recv(), Ok(()));
    let pool = BlockingPool::new(2);
    let mut queued = Box::pin(pool.run(|| "it runs"));
    runtime.block_on(async { assert!(futures::poll!(queued.as_mut()).is_pending()) });
    runtime.shutdown_background();
    let mut later = Box::pin(pool.run(|| ()));
    let refused = {
        let _inside = handle.enter();
        later.as_mut().now_or_never().expect("it does not wait")
    };
    assert!(refused.is_err_and(|error| error.is_cancelled()));
    drop(release);
    let other = Builder::new_current_thread().enable_time().build();
    let other = other.expect("a runtime");
    let ended = other.block_on(async { timeout(LONG, queued).await });
    assert_eq!(ended.expect("it does not hang").ok(), Some("it runs"));
}

#[test]
fn a_shutdown_with_a_timeout_does_not_wait_for_the_call() {
    let runtime = Builder::new_current_thread().build().expect("a runtime");
    let (release, released) = mpsc::channel::<()>();
    let (begun, begins) = mpsc::channel();
    let _call = runtime.spawn_blocking(move || {
        let _ = begun.send(());
        released.recv()
    });
    assert_eq!(begins.recv(), Ok(()));
    // Dropping the runtime would hang here.
    runtime.shutdown_timeout(Duration::from_millis(10));
    drop(release);
}

#[tokio::test]
async fn a_dropped_call_that_can_be_stopped_returns_and_releases_its_permit() {
    let pool = BlockingPool::new(1);
    let (begin, begun) = oneshot::channel();
    let call = pool.run_stoppable(move |stop| {
        let _ = begin.send(());
        // Longer than the test waits.
        for _ in 0..200_000 {
            if stop.is_cancelled() {
                break;
            }
            thread::sleep(Duration::from_millis(1));
        }
    });
    tokio::select! {
        ended = call => panic!("nobody stops it: {ended:?}"),
        begun = begun => begun.expect("it begins"),
    }
    let next = timeout(LONG, pool.run(|| ())).await;
    assert!(next.expect("wedged").is_ok());
}
