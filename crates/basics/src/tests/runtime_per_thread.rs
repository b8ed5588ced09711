use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;

use futures::future::{FutureExt, join_all};
use tokio::sync::{Barrier, oneshot};
use tokio::task::{spawn_local, yield_now};
use tokio_util::task::LocalPoolHandle;

use crate::runtime_per_thread::{Data, Shard};

async fn add_one(data: Data) -> u32 {
    yield_now().await;
    let mut data = data.borrow_mut();
    let count = data.entry(0).or_default();
    *count += 1;
    *count
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_callers_on_many_threads_lose_no_update() {
    for callers in [0, 1, 31, 129, 1_000] {
        let shard = Arc::new(Shard::start());
        let tasks = (0..callers).map(|_| {
            let shard = Arc::clone(&shard);
            tokio::spawn(async move { shard.run(add_one).await })
        });
        let mut counts: Vec<u32> = join_all(tasks.collect::<Vec<_>>())
            .await
            .into_iter()
            .map(|task| task.expect("no panic").expect("an answer"))
            .collect();
        counts.sort_unstable();
        assert!(counts.into_iter().eq(1..=callers));
        let shard = Arc::into_inner(shard).expect("one owner");
        shard.stop().await.expect("it stops");
    }
}

/// The job waits for its neighbour: a thread that ran one after the other would never
/// end.
#[tokio::test]
async fn jobs_of_one_thread_run_concurrently_and_may_spawn_tasks_without_send() {
    let shard = Shard::start();
    let barrier = Arc::new(Barrier::new(100));
    let jobs = (0..100).map(|_| {
        let barrier = Arc::clone(&barrier);
        shard.run(|_| async move {
            barrier.wait().await;
            let rc = Rc::new(Cell::new(1));
            let task = spawn_local(async move { rc.replace(2) });
            (task.await.expect("no panic"), thread::current().id())
        })
    });
    let ran: Vec<_> = join_all(jobs).await.into_iter().collect();
    let first = ran[0].clone().expect("an answer");
    assert_eq!(first.0, 1);
    assert_ne!(first.1, thread::current().id());
    assert!(ran.into_iter().all(|ran| ran == Ok(first)));
    shard.stop().await.expect("it stops");
}

#[tokio::test]
async fn a_panic_ends_its_job_and_not_the_thread() {
    let shard = Shard::start();
    let first = shard.run(|_| -> std::future::Ready<u32> { panic!("no future") });
    first.await.expect_err("a panic");
    let second = shard.run(async |_| -> u32 { panic!("in the future") });
    second.await.expect_err("a panic");
    assert_eq!(shard.run(add_one).await, Ok(1));
    shard.stop().await.expect("it stops");
}

/// The trap: one thread that blocks delays its own jobs, and no others.
#[tokio::test]
async fn a_job_that_blocks_delays_its_own_thread_only() {
    let (blocked, free) = (Shard::start(), Shard::start());
    let (release, released) = std::sync::mpsc::channel();
    let (begun, has_begun) = oneshot::channel();
    let order = Arc::new(AtomicU32::new(0));
    let block = blocked.run(move |_| async move {
        let _ = begun.send(());
        released.recv()
    });
    let mine = Arc::clone(&order);
    let behind = blocked.run(move |_| async move { mine.fetch_add(1, Ordering::SeqCst) });
    let elsewhere = async {
        has_begun.await.expect("it begins");
        free.run(add_one).await.expect("an answer");
        assert_eq!(order.fetch_add(1, Ordering::SeqCst), 0);
        release.send(()).expect("it waits");
    };
    let (block, behind, ()) = tokio::join!(biased; block, behind, elsewhere);
    block.expect("an answer").expect("it was released");
    assert_eq!(behind, Ok(1));
}

#[tokio::test]
async fn a_job_runs_on_without_its_caller_and_stop_waits_for_it() {
    let shard = Shard::start();
    let (done, is_done) = oneshot::channel();
    let (go, may_go) = oneshot::channel();
    let mut caller = Box::pin(shard.run(|_| async {
        may_go.await.expect("a signal");
        let _ = done.send(());
    }));
    assert!(futures::poll!(&mut caller).is_pending());
    drop(caller);
    let stop = tokio::spawn(shard.stop());
    go.send(()).expect("it waits");
    is_done.await.expect("it ran on");
    stop.await.expect("no panic").expect("it stops");
}

/// What `Bounds` says: a full thread makes its callers wait, and `stop` waits for all.
#[tokio::test]
async fn a_hundred_jobs_wait_for_a_busy_thread_and_stop_waits_for_them() {
    let shard = Shard::start();
    let (release, released) = std::sync::mpsc::channel::<()>();
    let (begun, has_begun) = oneshot::channel();
    let mut blocks = Box::pin(shard.run(move |_| async move {
        let _ = begun.send(());
        let _ = released.recv();
    }));
    assert!(futures::poll!(&mut blocks).is_pending());
    has_begun.await.expect("it begins");

    let done = Arc::new(AtomicU32::new(0));
    for number in 0..102 {
        let done = Arc::clone(&done);
        let job = shard.run(move |_| async move { done.fetch_add(1, Ordering::SeqCst) });
        // Polled once: with room it is sent, and then runs on without its caller.
        assert!(job.now_or_never().is_none(), "{number}");
    }
    assert_eq!(done.load(Ordering::SeqCst), 0);
    drop(blocks);

    let mut stop = Box::pin(shard.stop());
    assert!(futures::poll!(&mut stop).is_pending());
    release.send(()).expect("it waits");
    stop.await.expect("it stops");
    assert_eq!(done.load(Ordering::SeqCst), 100);
}

/// What `stop` says: it waits for jobs, not for the tasks that they have spawned.
#[tokio::test]
async fn stop_drops_a_task_that_no_job_awaits() {
    let shard = Shard::start();
    let (held, dropped) = oneshot::channel::<()>();
    let spawn = shard.run(|_| async {
        spawn_local(async {
            let _held = held;
            std::future::pending::<()>().await;
        });
    });
    spawn.await.expect("an answer");
    shard.stop().await.expect("it stops");
    dropped.await.expect_err("the task is gone");
}

/// What the header says of `tokio-util`.
#[tokio::test]
async fn the_pool_of_tokio_util_runs_futures_that_are_not_send() {
    let pool = LocalPoolHandle::new(2);
    let of = |thread| {
        pool.spawn_pinned_by_idx(
            || async {
                let rc = Rc::new(thread::current().id());
                yield_now().await;
                *rc
            },
            thread,
        )
    };
    let ids = join_all([of(0), of(1), of(0)]).await;
    let ids: Vec<_> = ids.into_iter().map(|id| id.expect("no panic")).collect();
    assert_eq!(ids[0], ids[2]);
    assert_ne!(ids[0], ids[1]);
}
