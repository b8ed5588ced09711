//! What the page says of a `OnceCell`, on several threads.

use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use futures::future::{join, join_all};
use tokio::sync::OnceCell;
use tokio::task::{JoinSet, yield_now};
use tokio::time::timeout;

use super::support::soon;

/// A running loader. Dropped, it runs no longer, however it has ended.
struct Loader(Arc<AtomicUsize>);

impl Loader {
    fn start(running: &Arc<AtomicUsize>) -> Self {
        assert_eq!(running.fetch_add(1, SeqCst), 0, "another one runs");
        Self(Arc::clone(running))
    }
}

impl Drop for Loader {
    fn drop(&mut self) {
        self.0.fetch_sub(1, SeqCst);
    }
}

/// Of 20 callers, those with an even number fail to load, and some are aborted.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn one_loader_runs_at_a_time_until_one_succeeds() {
    for _ in 0..500 {
        let cell = Arc::new(OnceCell::new());
        let (running, loaded) = (Arc::default(), Arc::new(AtomicUsize::new(0)));
        let mut tasks = JoinSet::new();
        for number in 0..20 {
            let (cell, running) = (Arc::clone(&cell), Arc::clone(&running));
            let loaded = Arc::clone(&loaded);
            let task = tasks.spawn(async move {
                let load = || async {
                    let _loader = Loader::start(&running);
                    yield_now().await;
                    if number % 2 == 0 {
                        return Err(number);
                    }
                    loaded.fetch_add(1, SeqCst);
                    Ok(number)
                };
                (number, cell.get_or_try_init(load).await.copied())
            });
            if number % 3 == 0 {
                task.abort();
            }
        }
        let ended = async {
            while let Some(ended) = tasks.join_next().await {
                match ended {
                    Ok((_, Ok(value))) => assert_eq!(cell.get(), Some(&value)),
                    Ok((number, Err(failed))) => assert_eq!(failed, number),
                    Err(error) => assert!(error.is_cancelled(), "{error}"),
                }
            }
        };
        soon(ended).await;
        assert_eq!(loaded.load(SeqCst), 1);
    }
}

/// The trap: a timeout in the loader lets the next caller try.
#[tokio::test(start_paused = true)]
async fn if_a_loader_hangs_all_callers_wait_forever() {
    const HOUR: Duration = Duration::from_secs(3600);
    let cell = OnceCell::new();
    let hangs = cell.get_or_try_init(pending::<Result<u32, ()>>);
    let load = async |number| Ok::<u32, ()>(number);
    let others = (0..3).map(|number| cell.get_or_try_init(move || load(number)));
    let all = join(hangs, join_all(others));
    assert!(timeout(1000 * HOUR, all).await.is_err());

    let limited = cell
        .get_or_try_init(async || timeout(HOUR, pending::<u32>()).await.map_err(drop));
    let other = cell.get_or_try_init(async || Ok::<_, ()>(7));
    let both = timeout(2 * HOUR, join(limited, other)).await;
    assert_eq!(both, Ok((Err(()), Ok(&7))));
}

#[tokio::test(start_paused = true)]
async fn a_loader_that_asks_its_own_cell_waits_for_itself() {
    let cell = OnceCell::new();
    let load = async || Ok::<_, ()>(*cell.get_or_try_init(async || Ok(1)).await?);
    let asks = cell.get_or_try_init(load);
    assert!(timeout(Duration::from_secs(3600), asks).await.is_err());
}
