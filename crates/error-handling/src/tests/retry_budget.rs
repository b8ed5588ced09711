use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

use super::support::poll_and_drop;
use crate::retry_budget::RetryBudget;

const TICK: Duration = Duration::from_millis(1);
const HOUR: Duration = Duration::from_secs(3600);

/// Returns how many attempts so many failing calls make.
async fn attempts(budget: &RetryBudget, calls: u32, max_attempts: u32) -> u32 {
    let mut attempts = 0;
    for _ in 0..calls {
        let failed = budget.retry(max_attempts, TICK, || {
            attempts += 1;
            async { Err::<(), _>("down") }
        });
        assert_eq!(failed.await, Err("down"));
    }
    attempts
}

#[tokio::test(start_paused = true)]
async fn an_outage_gets_the_burst_and_the_share() {
    // The first call fills a budget that is full already.
    for (percent, burst, calls, expected) in [
        (10, 0, 1000, 0),
        (0, 5, 1000, 5),
        (10, 1, 1, 1),
        (10, 1, 31, 4),
        (10, 10, 129, 22),
        (50, 1, 1000, 500),
        (100, 2, 1000, 1001),
        (1000, 1, 1000, 1000),
        (u32::MAX, u32::MAX, 1000, 2000),
    ] {
        let budget = RetryBudget::new(percent, burst);
        let retries = attempts(&budget, calls, 3).await - calls;
        assert_eq!(retries, expected, "{percent} % of {calls}, burst {burst}");
    }
}

#[tokio::test(start_paused = true)]
async fn limits_of_one_call() {
    let budget = RetryBudget::new(100, 1000);
    for (max_attempts, expected) in [(0, 1), (1, 1), (2, 2), (31, 31)] {
        assert_eq!(attempts(&budget, 1, max_attempts).await, expected);
    }
    let start = Instant::now();
    assert_eq!(attempts(&budget, 1, 4).await, 4);
    assert_eq!(start.elapsed(), 7 * TICK, "the backoff doubles");
    let endless = budget.retry(3, Duration::MAX, async || Err::<(), _>(7));
    assert!(timeout(HOUR, endless).await.is_err(), "it waits");
}

#[tokio::test(start_paused = true)]
async fn a_success_spends_nothing() {
    let budget = RetryBudget::new(0, 1);
    for _ in 0..1000 {
        assert_eq!(budget.retry(3, TICK, async || Ok::<_, ()>(7)).await, Ok(7));
    }
    assert!(budget.withdraw());
    assert!(!budget.withdraw());
}

#[tokio::test(start_paused = true)]
async fn dropped_at_each_await() {
    for polls in 1..20 {
        let (held, begun) = (Arc::new(()), AtomicU32::new(0));
        let budget = RetryBudget::new(0, 9);
        let call = budget.retry(3, 2 * TICK, || {
            let held = Arc::clone(&held);
            begun.fetch_add(1, SeqCst);
            async move {
                sleep(2 * TICK).await;
                drop(held);
                Err::<(), _>("down")
            }
        });
        poll_and_drop(call, polls).await;
        assert_eq!(Arc::strong_count(&held), 1);
        let before = begun.load(SeqCst);
        sleep(HOUR).await;
        assert_eq!(begun.load(SeqCst), before, "no other attempt");
    }
}

/// No task spends what another has spent.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn ten_thousand_calls_on_four_threads() {
    let budget = Arc::new(RetryBudget::new(10, 7));
    let total = Arc::new(AtomicU32::new(0));
    let mut tasks = JoinSet::new();
    for _ in 0..1000 {
        let (budget, total) = (Arc::clone(&budget), Arc::clone(&total));
        tasks.spawn(async move {
            for _ in 0..10 {
                let failed = budget.retry(3, Duration::ZERO, || {
                    total.fetch_add(1, SeqCst);
                    async { anyhow::bail!("down") }
                });
                let failed: anyhow::Result<()> = failed.await;
                assert!(failed.is_err());
            }
        });
    }
    tasks.join_all().await;
    let retries = total.load(SeqCst) - 10_000;
    // At most the burst and the share. Deposits into a full budget are lost.
    assert!((990..=1007).contains(&retries), "{retries}");
}

#[tokio::test(start_paused = true)]
async fn a_panic_leaves_the_budget_usable() {
    let budget = Arc::new(RetryBudget::new(100, 1));
    let task = Arc::clone(&budget);
    let task = tokio::spawn(async move {
        let panics = async || -> Result<(), ()> { panic!("scheduled") };
        task.retry(3, TICK, panics).await
    });
    assert!(task.await.is_err_and(|error| error.is_panic()));
    assert_eq!(attempts(&budget, 1, 3).await, 2);
}
