//! Each kind of fault over the components of this section with state that callers share.
//!
//! Not listed: `exit_stack` and `async_drop` have one owner each; `savepoints` and
//! `transaction` have such storms, of two programs on one file, in their own tests.

use std::convert::Infallible;
use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use tokio::task::yield_now;
use tokio::time::sleep;

use super::support::{Fault, interleave, leaves_no_tasks, survives_faults, time_in_time};
use crate::connection_pool::Pool;
use crate::lease::LeaseLock;
use crate::scoped_resource::scoped;
use crate::structured_scope::{Scope, scope};

const HOUR: Duration = Duration::from_secs(3600);
const TICK: Duration = Duration::from_millis(1);

/// Counts itself while it is open.
struct Line(Arc<AtomicUsize>);

impl Line {
    async fn open(lines: Arc<AtomicUsize>) -> Result<Self, Box<dyn Error + Send + Sync>> {
        assert!(lines.fetch_add(1, SeqCst) < 2, "too many are open");
        let line = Self(lines);
        yield_now().await;
        Ok(line)
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.0.fetch_sub(1, SeqCst);
    }
}

fn pool(lines: &Arc<AtomicUsize>) -> Pool<Line> {
    let lines = Arc::clone(lines);
    Pool::new(2, HOUR, move || Line::open(Arc::clone(&lines)), |_| false)
}

#[test]
fn interleaved_connection_pool() {
    struct Pooled(Pool<Line>, Arc<AtomicUsize>, AtomicBool);
    let make = || {
        let lines = Arc::default();
        Pooled(pool(&lines), lines, AtomicBool::new(false))
    };
    let call = async |it: Arc<Pooled>, caller| {
        match caller {
            0 => {
                let lines = it.0.close().await;
                assert_eq!(lines.len(), it.1.load(SeqCst), "one is still in use");
                it.2.store(true, SeqCst);
            }
            // A close that is given up.
            1 => drop(futures::poll!(Box::pin(it.0.close()))),
            _ => {
                while let Ok(line) = it.0.acquire().await {
                    assert!(!it.2.load(SeqCst), "it is used after the close");
                    yield_now().await;
                    drop(line);
                }
            }
        }
    };
    let check = async |it: &Pooled| assert_eq!(it.1.load(SeqCst), 0, "one is open");
    interleave(2_000, make, call, check);
}

#[test]
fn interleaved_lease() {
    struct Leased(LeaseLock, AtomicUsize, AtomicU64);
    let make = || {
        let lock = LeaseLock::new(HOUR);
        Leased(lock, AtomicUsize::new(0), AtomicU64::new(0))
    };
    let call = async |it: Arc<Leased>, caller| {
        // Some give up.
        if caller >= 3 {
            drop(futures::poll!(Box::pin(it.0.acquire())));
        }
        let lease = it.0.acquire().await;
        assert_eq!(it.1.fetch_add(1, SeqCst), 0, "two hold it");
        let earlier = it.2.swap(lease.token(), SeqCst);
        assert!(earlier < lease.token(), "the token does not grow");
        yield_now().await;
        it.1.fetch_sub(1, SeqCst);
    };
    interleave(2_000, make, call, async |_| ());
}

#[test]
fn interleaved_structured_scope() {
    /// A task fails while the others spawn.
    async fn run(ended: Arc<AtomicBool>, caller: usize) {
        let result = scope(async |scope: Scope<usize, usize>| {
            for number in 0..4 {
                let (ended, inner) = (Arc::clone(&ended), scope.clone());
                scope.spawn(async move {
                    assert!(!ended.load(SeqCst), "it starts after the end");
                    let ended = Arc::clone(&ended);
                    inner.spawn(async move {
                        assert!(!ended.load(SeqCst), "it starts after the end");
                        Ok(())
                    });
                    if number == caller {
                        Err(caller)
                    } else {
                        Ok(())
                    }
                });
            }
            Ok(9)
        });
        let result = result.await;
        ended.store(true, SeqCst);
        assert_eq!(result, if caller > 3 { Ok(9) } else { Err(caller) });
    }
    let call = |_, caller| run(Arc::default(), caller);
    interleave(1_000, || (), call, async |()| ());
}

#[tokio::test(start_paused = true)]
async fn faults() {
    let opened = Arc::new(AtomicUsize::new(0));
    let call = |fault: Fault| async move {
        let connect = move || {
            let future = fault.future();
            async {
                // As the page advises, a limit is in `connect`.
                tokio::time::timeout(1000 * TICK, future).await?;
                Ok(())
            }
        };
        let pool = Pool::new(1, HOUR, connect, |()| false);
        drop(pool.acquire().await);
        pool.close().await;
    };
    let works = async || {
        let pool = pool(&opened);
        drop(pool.acquire().await.expect("it is open"));
        pool.close().await;
        assert_eq!(opened.load(SeqCst), 0);
    };
    survives_faults(call, works).await;

    let closed = Arc::new(AtomicUsize::new(0));
    let call = |fault: Fault| {
        let closed = Arc::clone(&closed);
        async move {
            let body = async |_: &mut ()| fault.result::<Infallible>().await;
            let close = async |()| {
                closed.fetch_add(1, SeqCst);
                Ok(())
            };
            scoped((), body, close).await
        }
    };
    survives_faults(call, async || ()).await;
    assert_eq!(closed.load(SeqCst), 3, "all but the aborted one");

    let call = |fault: Fault| {
        scope(async move |scope: Scope<(), u32>| {
            scope.spawn(async {
                sleep(1000 * TICK).await;
                Ok(())
            });
            scope.spawn(async move { fault.result().await });
            yield_now().await;
            fault.result().await
        })
    };
    survives_faults(call, async || ()).await;
}

#[tokio::test(start_paused = true)]
async fn callers_leave() {
    let lines = Arc::default();
    let pool = pool(&lines);
    let use_it = async || {
        let line = pool.acquire().await.expect("it is open");
        sleep(3 * TICK).await;
        drop(line);
    };
    leaves_no_tasks(2, use_it).await;
    pool.close().await;
    assert_eq!(lines.load(SeqCst), 0);

    let lock = LeaseLock::new(HOUR);
    let hold = async || {
        let lease = lock.acquire().await;
        sleep(3 * TICK).await;
        drop(lease);
    };
    leaves_no_tasks(0, hold).await;

    let scope = || {
        scope(async |scope: Scope<(), u32>| {
            for number in 1..4 {
                scope.spawn(async move {
                    sleep(number * TICK).await;
                    Ok(())
                });
            }
            Ok(())
        })
    };
    leaves_no_tasks(3, scope).await;
}

/// Not listed: a `lease` is waited for without a limit.
#[tokio::test(start_paused = true)]
async fn time_inside_time() {
    time_in_time(async |limit| {
        let pool = Pool::new(1, limit, async || Ok(()), |()| false);
        let _held = pool.acquire().await;
        assert!(pool.acquire().await.is_err());
    })
    .await;
}
