//! Each kind of fault over the components of this section with state that callers share.
//!
//! Not listed: `priority_queue`, `condition_queue`, `event` and `worker_pool` have such
//! storms in their own tests; `debounce_and_throttle` and `restart_with_backoff` are used
//! through `&mut` or have no state.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use futures::FutureExt;
use tokio::sync::AcquireError;
use tokio::task::{JoinError, yield_now};
use tokio::time::{sleep, timeout};
use tokio_util::task::AbortOnDropHandle;

use super::support::{Fault, Inside, interleave, leaves_no_tasks, survives_faults};
use crate::event_emitter::EventEmitter;
use crate::lock_per_key::LockPerKey;
use crate::pool_with_results::Pool;
use crate::resizable_limit::ResizableLimit;
use crate::single_flight::SingleFlight;
use crate::task_group::{TaskGroup, task_group};

const TICK: Duration = Duration::from_millis(1);

type Failure = Box<dyn std::error::Error + Send + Sync>;

#[derive(Debug, thiserror::Error)]
#[error("failed")]
enum Failed {
    Task(#[from] JoinError),
    Closed(#[from] AcquireError),
}

#[test]
fn interleaved_resizable_limit() {
    struct Limited(ResizableLimit, Inside);
    let make = || Limited(ResizableLimit::new(2), Inside::default());
    let call = async |it: Arc<Limited>, caller| match caller {
        0 => it.0.resize(0),
        // Gives up while it waits for the second permit.
        1 => {
            let mut heavy = Box::pin(it.0.acquire(2));
            let taken = futures::poll!(&mut heavy);
            yield_now().await;
            drop((heavy, taken));
        }
        _ => {
            if let Some(_permit) = it.0.acquire(1).now_or_never() {
                it.1.at_most(2).await;
            }
        }
    };
    let check = async |it: &Limited| {
        assert!(it.0.acquire(1).now_or_never().is_none(), "the limit is 0");
        it.0.resize(2);
        let both = it.0.acquire(2).now_or_never();
        assert!(both.is_some(), "a permit is lost");
        assert!(it.0.acquire(1).now_or_never().is_none(), "the limit is 2");
    };
    interleave(5_000, make, call, check);
}

#[test]
fn interleaved_pool_with_results() {
    struct Pooled(Pool, AtomicBool, Inside);
    let make = || Pooled(Pool::new(2), AtomicBool::new(false), Inside::default());
    let call = async |it: Arc<Pooled>, caller| {
        if caller == 0 {
            it.0.shutdown().await;
            return it.1.store(true, SeqCst);
        }
        let job = {
            let it = Arc::clone(&it);
            async move {
                assert!(!it.1.load(SeqCst), "it starts after the shutdown");
                it.2.at_most(2).await;
            }
        };
        if let Ok(job) = it.0.submit(job).await {
            job.await.expect("the job does not panic");
        }
    };
    interleave(10_000, make, call, async |_| ());
}

#[test]
fn interleaved_single_flight() {
    #[derive(Default)]
    struct Flights(SingleFlight<u32, usize>, Arc<Inside>, Arc<AtomicUsize>);
    let call = async |it: Arc<Flights>, _| {
        let ask = || {
            let (inside, calls) = (Arc::clone(&it.1), Arc::clone(&it.2));
            it.0.run(7, async move {
                inside.at_most(1).await;
                calls.fetch_add(1, SeqCst)
            })
        };
        let first = ask().await.expect("the call does not panic");
        let second = ask().await.expect("the call does not panic");
        assert!(second > first, "the result of an earlier call");
    };
    interleave(3_000, Flights::default, call, async |_| ());
}

#[test]
fn interleaved_lock_per_key() {
    #[derive(Default)]
    struct Locks(LockPerKey<usize>, [Inside; 2]);
    let call = async |it: Arc<Locks>, caller: usize| {
        let key = caller % 2;
        // The last caller of a key gives up.
        if caller >= 4 {
            drop(it.0.lock(key).now_or_never());
        }
        let _guard = it.0.lock(key).await;
        it.1[key].at_most(1).await;
    };
    let check = async |it: &Locks| assert_eq!(it.0.keys_in_use(), 0);
    interleave(3_000, Locks::default, call, check);
}

#[test]
fn interleaved_task_group() {
    /// A task fails while the body and the other tasks spawn.
    async fn group(ended: Arc<AtomicBool>, caller: usize) {
        let result = task_group(async |group: TaskGroup<usize>| {
            for number in 0..4 {
                let (ended, inner) = (Arc::clone(&ended), group.clone());
                group.spawn(async move {
                    assert!(!ended.load(SeqCst), "it starts after the end");
                    let received = inner.spawn(async { Ok(1) }).await;
                    if number == caller {
                        return Err(caller);
                    }
                    received.map_err(|_| 99)
                });
            }
            Ok(())
        });
        let result = result.await;
        ended.store(true, SeqCst);
        match result {
            Ok(()) => assert!(caller > 3),
            Err(errors) => assert_eq!(errors.0, [caller]),
        }
    }
    let call = |_, caller| group(Arc::default(), caller);
    interleave(1_000, || (), call, async |()| ());
}

/// As the page advises, a limit is in the call: one that never ends would keep its place.
async fn limited(fault: Fault) {
    let call = async move { fault.future().await };
    let _ = timeout(1000 * TICK, call).await;
}

#[tokio::test(start_paused = true)]
async fn faults_in_pool_with_results() {
    let pool = Pool::new(1);
    let call = |fault| {
        let pool = pool.clone();
        async move {
            pool.submit(limited(fault))
                .await?
                .await
                .map_err(Failed::from)
        }
    };
    let works = async || {
        let job = pool.submit(async { 7 }).await.expect("it is open");
        assert_eq!(job.await.expect("it does not panic"), 7);
    };
    survives_faults(call, works).await;
}

#[tokio::test(start_paused = true)]
async fn faults_in_single_flight() {
    let flights = SingleFlight::new();
    let call = |fault| {
        let flights = flights.clone();
        async move { flights.run("key", limited(fault)).await }
    };
    let works = async || {
        // A caller who comes in time still gets the end of the earlier call.
        while flights.run("key", async {}).await.is_err() {}
    };
    survives_faults(call, works).await;
}

#[tokio::test(start_paused = true)]
async fn faults_in_event_emitter() {
    let call = |fault: Fault| async move {
        let emitter = EventEmitter::<(), Failure>::default();
        let faulty = emitter.on("event", move |()| {
            let future = fault.future();
            async {
                future.await;
                Ok(())
            }
        });
        let errors = emitter.emit("event", ()).await;
        assert_eq!(errors.len(), usize::from(fault != Fault::Blocks));
        drop(faulty);
        assert!(emitter.emit("event", ()).await.is_empty());
    };
    survives_faults(call, async || ()).await;
}

#[tokio::test(start_paused = true)]
async fn faults_in_task_group() {
    let call = |fault: Fault| {
        task_group(async move |group: TaskGroup<u32>| {
            group.spawn(async {
                sleep(1000 * TICK).await;
                Ok(())
            });
            group.spawn(async move { fault.result().await });
            let _ = group.spawn(async { Ok(()) }).await;
            fault.result().await
        })
    };
    survives_faults(call, async || ()).await;
}

#[tokio::test(start_paused = true)]
async fn callers_leave() {
    let pool = Pool::new(3);
    let submit = async || {
        let job = pool.submit(sleep(3 * TICK)).await;
        drop(job.map(AbortOnDropHandle::new));
    };
    leaves_no_tasks(3, submit).await;

    let flights = SingleFlight::new();
    leaves_no_tasks(1, || flights.run("key", sleep(5 * TICK))).await;

    let emitter = EventEmitter::<(), Failure>::default();
    let listen = async |()| {
        sleep(5 * TICK).await;
        Ok(())
    };
    let subscriptions = [emitter.on("event", listen), emitter.on("event", listen)];
    leaves_no_tasks(2, || emitter.emit("event", ())).await;
    drop(subscriptions);

    let group = || {
        task_group(async |group: TaskGroup<u32>| {
            let values = [1, 2, 3].map(|number| {
                group.spawn(async move {
                    sleep(number * TICK).await;
                    Ok(number)
                })
            });
            Ok(values)
        })
    };
    leaves_no_tasks(3, group).await;

    let locks = LockPerKey::default();
    let lock = async || {
        let _guard = locks.lock("key").await;
        sleep(5 * TICK).await;
    };
    leaves_no_tasks(0, lock).await;
    assert_eq!(locks.keys_in_use(), 0);

    let limit = ResizableLimit::new(2);
    let held = limit.acquire(1).await;
    limit.resize(1);
    leaves_no_tasks(0, || async { drop(limit.acquire(2).await) }).await;
    assert!(limit.acquire(1).now_or_never().is_none());
    drop(held);
}
