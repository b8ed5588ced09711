use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use tokio::task::{JoinSet, yield_now};
use tokio::time::{advance, sleep, timeout};

use super::support::poll_and_drop;
use crate::lease::{Expired, Lease, LeaseLock};

const HOUR: Duration = Duration::from_secs(3600);
const TICK: Duration = Duration::from_millis(20);

#[tokio::test(start_paused = true)]
async fn acquire_dropped_at_each_await() {
    // Nobody before it, a holder, and others in the line.
    for before in 0..4 {
        let mut completed = false;
        for polls in 1..60 {
            let lock = LeaseLock::new(20 * TICK);
            let mut others = JoinSet::new();
            for number in 0..before {
                let lock = lock.clone();
                others.spawn(async move {
                    let lease = lock.acquire().await;
                    sleep(5 * TICK).await;
                    // One of them is never given back.
                    if number == 1 {
                        std::mem::forget(lease);
                    }
                });
                yield_now().await;
            }
            let mine = poll_and_drop(lock.acquire(), 20 * polls);
            let next = async {
                yield_now().await;
                lock.acquire().await.token()
            };
            let both = async { tokio::join!(mine, next) };
            let (mine, next) = timeout(HOUR, both).await.expect("nobody hangs");
            let taken = u64::from(mine.is_some());
            completed |= mine.is_some();
            drop(mine);
            others.join_all().await;
            assert_eq!(next, before + taken + 1, "each who got it has a token");
            let last = timeout(HOUR, lock.acquire()).await.expect("it is free");
            assert_eq!(last.token(), next + 1);
        }
        assert!(completed, "60 polls are enough");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn ten_thousand_at_once() {
    let lock = LeaseLock::new(HOUR);
    let holders = Arc::new(AtomicUsize::new(0));
    let newest = Arc::new(AtomicU64::new(0));
    let mut set = JoinSet::new();
    for number in 0..10_000 {
        let (lock, holders) = (lock.clone(), Arc::clone(&holders));
        let newest = Arc::clone(&newest);
        let task = set.spawn(async move {
            let lease = lock.acquire().await;
            // No await, so nobody is aborted between the two.
            assert_eq!(holders.fetch_add(1, SeqCst), 0, "one at a time");
            let before = newest.swap(lease.token(), SeqCst);
            assert!(before < lease.token(), "each token is higher");
            assert_eq!(lease.renew(), Ok(()));
            holders.fetch_sub(1, SeqCst);
            if number % 3 == 0 {
                yield_now().await;
            }
        });
        if number % 10 == 9 {
            task.abort();
        }
        if number % 100 == 0 {
            yield_now().await;
        }
    }
    let (mut worked, mut aborted) = (0, 0);
    let all = async {
        while let Some(ended) = set.join_next().await {
            match ended {
                Ok(()) => worked += 1,
                Err(error) if error.is_cancelled() => aborted += 1,
                Err(error) => panic!("{error}"),
            }
        }
    };
    timeout(Duration::from_secs(60), all)
        .await
        .expect("nobody hangs");
    assert_eq!(worked + aborted, 10_000);
    let last = timeout(Duration::from_secs(60), lock.acquire()).await;
    assert!(last.expect("it is free").token() > worked);
}

#[tokio::test(start_paused = true)]
async fn over_at_its_time_and_not_before() {
    let lock = LeaseLock::new(10 * TICK);
    let lease = lock.acquire().await;
    for _ in 0..3 {
        advance(9 * TICK).await;
        assert_eq!(lease.renew(), Ok(()), "and the time starts anew");
    }
    advance(10 * TICK).await;
    assert_eq!(lease.renew(), Err(Expired), "also if nobody else has it");
    assert_eq!(lease.renew(), Err(Expired));
    assert_eq!(lock.acquire().await.token(), 2);
}

#[tokio::test(start_paused = true)]
async fn the_line_is_served_in_order() {
    let lock = LeaseLock::new(5 * TICK);
    let mut set = JoinSet::new();
    for number in 1..=20 {
        let lock = lock.clone();
        set.spawn(async move {
            let lease = lock.acquire().await;
            assert_eq!(lease.token(), number);
            match number % 2 {
                0 => sleep(TICK).await,
                _ => std::mem::forget(lease),
            }
        });
        yield_now().await;
    }
    timeout(HOUR, set.join_all()).await.expect("nobody hangs");
}

#[tokio::test(start_paused = true)]
async fn limits_of_its_time() {
    let short = Duration::from_millis(5);
    let years = Duration::from_secs(30 * 365 * 24 * 3600);
    let too_long = years + Duration::from_nanos(1);
    for time in [Duration::ZERO, too_long, Duration::MAX] {
        let refused = std::panic::catch_unwind(|| LeaseLock::new(time));
        assert!(refused.is_err(), "{time:?}");
    }
    for time in [short, years] {
        let lock = LeaseLock::new(time);
        let lease = lock.acquire().await;
        assert_eq!(lease.renew(), Ok(()));
        let next = timeout(2 * short, lock.acquire()).await;
        assert_eq!(next.is_ok(), time == short);
    }
}

#[tokio::test(start_paused = true)]
async fn a_holder_that_panics_gives_it_back() {
    let lock = LeaseLock::new(HOUR);
    let task = tokio::spawn({
        let lock = lock.clone();
        async move {
            let lease = lock.acquire().await;
            sleep(TICK).await;
            lease.renew().expect("it is held");
            panic!("scheduled");
        }
    });
    let failed: Result<(), _> = task.await;
    assert!(failed.expect_err("it panics").is_panic());
    assert!(timeout(TICK, lock.acquire()).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn in_a_struct_in_tasks() {
    #[derive(Clone)]
    struct Service {
        lock: LeaseLock,
        lease: Option<Arc<Lease>>,
    }

    impl Service {
        async fn run(mut self) -> Result<u64, Box<dyn std::error::Error + Send + Sync>> {
            let lease = self.lease.insert(Arc::new(self.lock.acquire().await));
            for _ in 0..4 {
                sleep(TICK).await;
                lease.renew()?;
            }
            Ok(lease.token())
        }
    }
    let (lock, lease) = (LeaseLock::new(3 * TICK), None);
    let service = Service { lock, lease };
    let tasks = JoinSet::from_iter((0..4).map(|_| service.clone().run()));
    let ended = timeout(HOUR, tasks.join_all()).await.expect("nobody hangs");
    assert!(ended.iter().all(Result::is_ok));
}
