use std::panic::AssertUnwindSafe;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Barrier, mpsc};
use std::thread;
use std::time::Duration;

use futures::{FutureExt, poll};
use tokio::task::{JoinSet, spawn_blocking};
use tokio::time::timeout;

use crate::cpu_bound::CpuPool;

const LONG: Duration = Duration::from_secs(120);

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn never_more_than_its_threads_though_callers_give_up() {
    let pool = Arc::new(CpuPool::new(2).expect("there are threads"));
    let running = Arc::new(AtomicUsize::new(0));
    let most = Arc::new(AtomicUsize::new(0));
    let mut tasks = JoinSet::new();
    for number in 0..500 {
        let (pool, running) = (Arc::clone(&pool), Arc::clone(&running));
        let most = Arc::clone(&most);
        let task = tasks.spawn(async move {
            let calculation = pool.run(move |_| {
                most.fetch_max(running.fetch_add(1, SeqCst) + 1, SeqCst);
                thread::sleep(Duration::from_micros(200));
                running.fetch_sub(1, SeqCst);
                number
            });
            match number % 3 {
                0 => timeout(Duration::from_millis(5), calculation).await.ok(),
                _ => Some(calculation.await),
            }
        });
        if number % 10 == 9 {
            task.abort();
        }
    }
    let mut served = 0;
    let all = async {
        while let Some(outcome) = tasks.join_next().await {
            served += usize::from(outcome.is_ok_and(|number| number.is_some()));
        }
    };
    timeout(LONG, all).await.expect("nobody hangs");
    assert!(served >= 300);
    assert_eq!(most.load(SeqCst), 2);
}

/// Each waits for the others, so it ends only if all of them run at the same time.
#[tokio::test]
async fn the_threads_of_the_runtime_begin_all_at_once() {
    let barrier = Arc::new(Barrier::new(50));
    let mut tasks = JoinSet::new();
    for _ in 0..50 {
        let barrier = Arc::clone(&barrier);
        tasks.spawn(spawn_blocking(move || barrier.wait()));
    }
    assert!(timeout(LONG, tasks.join_all()).await.is_ok());
}

#[tokio::test]
async fn dropped_in_line_it_never_runs_and_dropped_later_it_is_told() {
    let pool = CpuPool::new(1).expect("there are threads");
    let (report, reported) = mpsc::channel();
    let (release, released) = mpsc::channel::<()>();
    let first_report = report.clone();
    let mut first = Box::pin(pool.run(move |stop| {
        let _ = first_report.send("begun");
        let _ = released.recv();
        let _ = first_report.send(if stop.is_cancelled() { "told" } else { "" });
    }));
    assert!(poll!(first.as_mut()).is_pending());
    assert_eq!(reported.recv_timeout(LONG), Ok("begun"));
    let mut second = Box::pin(pool.run(move |_| report.send("second")));
    assert!(poll!(second.as_mut()).is_pending());
    drop(second);
    drop(first);
    drop(release);
    assert_eq!(timeout(LONG, pool.run(|_| 3)).await, Ok(3));
    assert_eq!(reported.iter().collect::<Vec<_>>(), ["told"]);
}

#[tokio::test]
async fn a_thread_that_waits_for_a_part_begins_another_calculation() {
    let pool = CpuPool::new(2).expect("there are threads");
    let both_begun = Arc::new(Barrier::new(3));
    let (a, b) = (Arc::clone(&both_begun), Arc::clone(&both_begun));
    let (done, other_done) = mpsc::channel();
    let part = move || {
        b.wait();
        other_done.recv_timeout(LONG)
    };
    let mut first = Box::pin(pool.run(move |_| rayon::join(|| a.wait(), part).1));
    assert!(poll!(first.as_mut()).is_pending());
    both_begun.wait();
    assert_eq!(pool.run(move |_| done.send(())).await, Ok(()));
    assert_eq!(first.await, Ok(()));
}

#[tokio::test]
async fn a_panic_comes_to_the_caller_and_the_thread_goes_on() {
    let pool = CpuPool::new(1).expect("there are threads");
    let calculation = pool.run(|_| -> u32 { panic!("scheduled") });
    let outcome = AssertUnwindSafe(calculation).catch_unwind().await;
    let panic = outcome.expect_err("it panics");
    assert_eq!(panic.downcast_ref(), Some(&"scheduled"));
    assert_eq!(timeout(LONG, pool.run(|_| 3)).await, Ok(3));
}

#[test]
fn a_panic_in_the_spawn_of_rayon_ends_the_process() {
    const CHILD: &str = "PANICS_IN_RAYON";
    if std::env::var_os(CHILD).is_some() {
        let (_sender, receiver) = mpsc::channel::<()>();
        rayon::spawn(|| panic!("scheduled"));
        let _ = receiver.recv_timeout(LONG);
        return;
    }
    let (_, module) = module_path!().split_once("::").expect("a module");
    let name = format!("{module}::a_panic_in_the_spawn_of_rayon_ends_the_process");
    let child = Command::new(std::env::current_exe().expect("this program"))
        .args([&name, "--exact", "--nocapture"])
        .env(CHILD, "1")
        .output()
        .expect("it starts");
    assert!(!child.status.success());
    let said = String::from_utf8_lossy(&child.stderr);
    assert!(said.contains("aborting"), "{said}");
}

#[tokio::test]
async fn parallel_iterators_run_on_the_threads_of_the_pool() {
    use rayon::iter::{IntoParallelIterator, ParallelIterator};

    for threads in [1, 3] {
        let pool = CpuPool::new(threads).expect("there are threads");
        let (number, ids) = pool
            .run(|_| {
                let parts = (0..1000).into_par_iter();
                let ids = parts.map(|_| thread::current().id()).collect::<Vec<_>>();
                (rayon::current_num_threads(), ids)
            })
            .await;
        let own = pool
            .run(|_| rayon::broadcast(|_| thread::current().id()))
            .await;
        assert_eq!((number, own.len()), (threads, threads));
        assert!(ids.iter().all(|id| own.contains(id)));
    }
}
