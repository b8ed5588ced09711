//! The trap, without a race: who waits for the timers, and who takes its place. And what
//! ends a call that waits for a thread.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use tokio::runtime::Builder;
use tokio::task::{spawn_blocking, yield_now};
use tokio::time::{sleep, timeout};

const THREADS: usize = 4;
const LIMIT: Duration = Duration::from_secs(30);

#[test]
fn one_blocked_thread_of_four_stops_all_timers_until_other_work_comes() -> io::Result<()>
{
    let mut builder = Builder::new_multi_thread();
    let runtime = builder.worker_threads(THREADS).enable_all().build()?;
    let may_block = Arc::new(AtomicBool::new(false));
    let (blocks, is_blocked) = mpsc::channel();
    let (release, released) = mpsc::channel::<()>();
    let told = Arc::clone(&may_block);
    runtime.spawn(async move {
        while !told.load(SeqCst) {
            sleep(Duration::from_millis(5)).await;
        }
        let _ = blocks.send(());
        // The timer has woken this task on the thread that waited for the timers.
        let _ = released.recv();
    });
    // Each thread counts when it parks and when it wakes. The task's thread parks between
    // two sleeps.
    let metrics = runtime.handle().metrics();
    let is_idle = |thread| metrics.worker_park_unpark_count(thread) % 2 == 1;
    while !(0..THREADS).all(is_idle) {
        thread::sleep(Duration::from_millis(1));
    }
    may_block.store(true, SeqCst);
    is_blocked.recv_timeout(LIMIT).expect("it blocks");

    let (wakes, is_awake) = mpsc::channel();
    let handle = runtime.handle().clone();
    thread::spawn(move || {
        handle.block_on(async { sleep(Duration::from_millis(1)).await });
        let _ = wakes.send(());
    });
    let meanwhile = is_awake.recv_timeout(Duration::from_millis(200));
    assert!(meanwhile.is_err(), "three threads are idle, no timer fires");

    // Work from outside wakes an idle thread, which then waits for the timers.
    runtime.spawn(async {});
    is_awake.recv_timeout(LIMIT).expect("the timer fires");
    drop(release);
    Ok(())
}

/// The second trap.
#[test]
fn a_new_task_waits_for_the_one_that_spawned_it_and_blocks() -> io::Result<()> {
    for yields in [false, true] {
        let mut builder = Builder::new_multi_thread();
        let runtime = builder.worker_threads(THREADS).enable_all().build()?;
        let (ran, has_run) = mpsc::channel();
        let blocked = runtime.spawn(async move {
            tokio::spawn(async move { ran.send(()) });
            let limit = if yields {
                yield_now().await;
                LIMIT
            } else {
                Duration::from_millis(200)
            };
            has_run.recv_timeout(limit).is_ok()
        });
        let has_run = runtime.block_on(blocked).expect("no panic");
        assert_eq!(has_run, yields);
    }
    Ok(())
}

/// What the chapter on threads says of a call that waits for a thread.
#[test]
fn abort_removes_a_waiting_call_and_a_timeout_does_not() -> io::Result<()> {
    for aborts in [false, true] {
        let mut builder = Builder::new_current_thread();
        builder.enable_all().max_blocking_threads(1);
        let runtime = builder.build()?;
        let (release, released) = mpsc::channel::<()>();
        let (ran, has_run) = mpsc::channel();
        runtime.block_on(async {
            let first = spawn_blocking(move || released.recv().is_err());
            let waiting = spawn_blocking(move || ran.send(()));
            if aborts {
                waiting.abort();
            } else {
                let limit = Duration::from_millis(1);
                timeout(limit, waiting).await.expect_err("it waits");
            }
            drop(release);
            assert!(first.await.expect("no panic"));
            // This one comes after the other in the queue.
            spawn_blocking(|| ()).await.expect("no panic");
        });
        assert_eq!(has_run.try_recv().is_ok(), !aborts);
    }
    Ok(())
}
