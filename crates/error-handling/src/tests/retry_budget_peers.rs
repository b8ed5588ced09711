//! Cases after the tests of tower's retry budgets and of backon.

use std::cell::Cell;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};

use crate::retry_budget::RetryBudget;

const SECOND: Duration = Duration::from_secs(1);

/// Takes retries until there are no more.
fn withdraw_all(budget: &RetryBudget) -> usize {
    (0..10_000).take_while(|_| budget.withdraw()).count()
}

fn deposit(budget: &RetryBudget, calls: usize) {
    (0..calls).for_each(|_| budget.deposit());
}

#[test]
fn tower_an_empty_budget_gives_none() {
    assert_eq!(withdraw_all(&RetryBudget::new(100, 0)), 0);
}

#[test]
fn tower_a_reserve_of_five_is_five_retries() {
    assert_eq!(withdraw_all(&RetryBudget::new(100, 5)), 5);
}

#[test]
fn tower_at_half_two_deposits_are_one_retry() {
    let budget = RetryBudget::new(50, 1);
    assert_eq!(withdraw_all(&budget), 1);
    for _ in 0..3 {
        budget.deposit();
        assert!(!budget.withdraw());
        budget.deposit();
        assert_eq!(withdraw_all(&budget), 1);
    }
}

#[test]
fn tower_a_failed_withdrawal_takes_nothing() {
    let budget = RetryBudget::new(50, 1);
    withdraw_all(&budget);
    budget.deposit();
    for _ in 0..100 {
        assert!(!budget.withdraw());
    }
    budget.deposit();
    assert!(budget.withdraw());
}

#[tokio::test(start_paused = true)]
async fn tower_what_was_deposited_does_not_expire_differs() {
    let budget = RetryBudget::new(100, 1);
    sleep(3600 * SECOND).await;
    assert!(budget.withdraw());
}

#[test]
fn tower_no_more_is_saved_than_the_burst() {
    let budget = RetryBudget::new(50, 3);
    deposit(&budget, 1000);
    assert_eq!(withdraw_all(&budget), 3);
}

#[test]
fn tower_two_retries_for_each_call() {
    let budget = RetryBudget::new(200, 9);
    withdraw_all(&budget);
    budget.deposit();
    assert_eq!(withdraw_all(&budget), 2);
}

#[test]
fn tower_of_zero_percent_deposits_earn_nothing() {
    let budget = RetryBudget::new(0, 2);
    withdraw_all(&budget);
    deposit(&budget, 1000);
    assert_eq!(withdraw_all(&budget), 0);
}

#[test]
fn tower_without_a_burst_nothing_is_saved() {
    let budget = RetryBudget::new(100, 0);
    deposit(&budget, 1000);
    assert_eq!(withdraw_all(&budget), 0);
}

#[test]
fn tower_withdrawals_of_threads_never_exceed_the_balance() {
    let budget = RetryBudget::new(10, 1000);
    let taken: usize = thread::scope(|scope| {
        let threads: Vec<_> = (0..8)
            .map(|_| scope.spawn(|| (0..1000).filter(|_| budget.withdraw()).count()))
            .collect();
        let taken = threads.into_iter().map(|thread| thread.join());
        taken.map(|taken| taken.expect("no panic")).sum()
    });
    assert_eq!(taken, 1000);
}

#[test]
fn tower_deposits_of_threads_are_all_counted() {
    let budget = RetryBudget::new(10, 1000);
    withdraw_all(&budget);
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| deposit(&budget, 1000));
        }
    });
    assert_eq!(withdraw_all(&budget), 800);
}

#[tokio::test(start_paused = true)]
async fn tower_every_error_spends_the_budget_differs() {
    let (budget, calls) = (RetryBudget::new(0, 2), Cell::new(0));
    let call = async || {
        calls.set(calls.get() + 1);
        Err::<(), _>("404 not found")
    };
    assert!(budget.retry(9, SECOND, call).await.is_err());
    assert_eq!((calls.get(), budget.withdraw()), (3, false));
    // What is permanent goes into the `Ok`.
    let call = async || Ok::<_, &str>(Err::<(), _>("404 not found"));
    assert_eq!(
        budget.retry(9, SECOND, call).await,
        Ok(Err("404 not found"))
    );
}

#[tokio::test(start_paused = true)]
async fn tower_no_attempts_are_one_call() {
    let (budget, calls) = (RetryBudget::new(0, 2), Cell::new(0));
    let call = async || {
        calls.set(calls.get() + 1);
        Err::<(), _>(())
    };
    assert!(budget.retry(0, SECOND, call).await.is_err());
    assert_eq!((calls.get(), withdraw_all(&budget)), (1, 2));
}

#[tokio::test(start_paused = true)]
async fn tower_two_callers_share_one_budget() {
    let (budget, calls) = (Arc::new(RetryBudget::new(0, 3)), Cell::new(0));
    let call = || async {
        calls.set(calls.get() + 1);
        Err::<(), _>(())
    };
    let both = tokio::join!(budget.retry(9, SECOND, call), budget.retry(9, SECOND, call));
    assert_eq!((both, calls.get()), ((Err(()), Err(())), 5));
}

#[tokio::test(start_paused = true)]
async fn backon_the_backoff_doubles_without_a_maximum_differs() {
    let (budget, start) = (RetryBudget::new(0, 100), Instant::now());
    let failed = budget.retry(10, SECOND, async || Err::<(), _>(())).await;
    assert_eq!((failed, start.elapsed()), (Err(()), 511 * SECOND));
}

#[tokio::test(start_paused = true)]
async fn backon_dropped_in_a_wait_it_keeps_what_it_has_spent_spent() {
    let budget = RetryBudget::new(0, 1);
    let failing = budget.retry(9, SECOND, async || Err::<(), _>(()));
    assert!(timeout(SECOND / 2, failing).await.is_err());
    assert!(!budget.withdraw());
}
