//! Locks, events, conditions, semaphores and barriers: what CPython's tests ask of them.
//!
//! The counterpart has the same name, but for an event, which is a `watch`, and a
//! condition, which is a `Notify`, unless the clause names another one behind an `@`.
//!
//! asyncio: asyncio.Lock, asyncio.Event, asyncio.Condition, asyncio.Semaphore
//! asyncio: asyncio.Barrier
//! differs: a condition is a `Notify` without a lock, a barrier cannot break

use std::sync::{Arc, Mutex as StdMutex};

use tokio::select;
use tokio::sync::{Barrier, BarrierWaitResult, Mutex, Notify, Semaphore, watch};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::support::condition_queue::wait_for;
use crate::support::{Log, millis, settle, try_out};

// Lock.

/// A task that takes the lock, notes it, and releases it.
fn taking(lock: &Arc<Mutex<()>>, log: &Log, name: &'static str) -> JoinHandle<()> {
    let (lock, log) = (Arc::clone(lock), log.clone());
    tokio::spawn(async move {
        let _guard = lock.lock().await;
        log.note(name);
    })
}

async fn lock_in_order() -> String {
    let (lock, log) = (Arc::new(Mutex::new(())), Log::default());
    let guard = lock.lock().await;
    for name in ["a", "b", "c"] {
        taking(&lock, &log, name);
        settle().await;
    }
    drop(guard);
    settle().await;
    log.told()
}

async fn lock_cancelled() -> String {
    let (lock, log) = (Arc::new(Mutex::new(())), Log::default());
    let guard = lock.lock().await;
    let waiting = taking(&lock, &log, "a");
    settle().await;
    waiting.abort();
    settle().await;
    drop(guard);
    format!("locked: {}", lock.try_lock().is_err())
}

async fn lock_cancelled_as_released() -> String {
    let (lock, log) = (Arc::new(Mutex::new(())), Log::default());
    let guard = lock.lock().await;
    let first = taking(&lock, &log, "a");
    settle().await;
    let second = taking(&lock, &log, "b");
    settle().await;
    drop(guard);
    first.abort();
    let second = timeout(millis(200), second).await.is_ok();
    format!("the next waiter gets it: {second}")
}

async fn lock_locked() -> String {
    let lock = Mutex::new(());
    let before = lock.try_lock().is_err();
    let guard = lock.lock().await;
    let held = lock.try_lock().is_err();
    drop(guard);
    let after = lock.try_lock().is_err();
    format!("{before}, {held} while it is held, {after} after it")
}

async fn lock_released_by_another() -> String {
    let lock = Arc::new(Mutex::new(()));
    let guard = Arc::clone(&lock).lock_owned().await;
    tokio::spawn(async move { drop(guard) }).await.unwrap();
    format!("locked: {}", lock.try_lock().is_err())
}

async fn lock_twice() -> String {
    let lock = Mutex::new(());
    let _guard = lock.lock().await;
    let _second = lock.lock().await;
    "taken twice".to_owned()
}

async fn lock_after_a_panic() -> String {
    let lock = Arc::new(Mutex::new(1));
    let own = Arc::clone(&lock);
    let task = tokio::spawn(async move {
        let mut value = own.lock().await;
        *value = 2;
        panic!("half done");
    });
    let _ = task.await;
    let value = lock.try_lock().map_or(0, |value| *value);
    format!("the lock is free, the value is {value}")
}

// Event.

/// Waits for the event, and notes it.
fn passing(event: &watch::Sender<bool>, log: &Log, name: usize) -> JoinHandle<()> {
    let (mut event, log) = (event.subscribe(), log.clone());
    tokio::spawn(async move {
        let _ = event.wait_for(|it| *it).await;
        log.note(name);
    })
}

async fn event_order() -> String {
    let (event, log) = (watch::Sender::new(false), Log::default());
    for name in 0..20 {
        passing(&event, &log, name);
        settle().await;
    }
    event.send_replace(true);
    settle().await;
    let names: Vec<String> = (0..20).map(|name| name.to_string()).collect();
    let told = log.told();
    let count = told.split(", ").count();
    format!("{count} wake, in order: {}", told == names.join(", "))
}

async fn event_is_set() -> String {
    let event = watch::Sender::new(true);
    let mut own = event.subscribe();
    let set = timeout(millis(50), own.wait_for(|it| *it)).await.is_ok();
    event.send_replace(false);
    let cleared = timeout(millis(50), own.wait_for(|it| *it)).await.is_ok();
    format!("passes when set: {set}, when cleared: {cleared}")
}

async fn event_set_and_cleared() -> String {
    let (event, log) = (watch::Sender::new(false), Log::default());
    passing(&event, &log, 1);
    settle().await;
    event.send_replace(true);
    event.send_replace(false);
    settle().await;
    format!("the waiter is woken: {}", !log.told().is_empty())
}

async fn event_set_again() -> String {
    let (event, log) = (watch::Sender::new(false), Log::default());
    passing(&event, &log, 1);
    settle().await;
    for value in [true, false, true, true] {
        event.send_replace(value);
    }
    settle().await;
    format!("woken {} time", log.told().len())
}

async fn event_without_waiter(keeps: bool) -> String {
    let event = watch::Sender::new(false);
    if keeps {
        event.send_replace(true);
    } else {
        let _ = event.send(true);
    }
    format!("set: {}", *event.borrow())
}

async fn event_notify() -> String {
    let event = Notify::new();
    event.notify_waiters();
    let passes = timeout(millis(50), event.notified()).await.is_ok();
    format!("who comes later passes: {passes}")
}

// Condition.

/// A task that waits for the condition, and notes it.
fn waiting(condition: &Arc<Notify>, log: &Log, name: &'static str) -> JoinHandle<()> {
    let (condition, log) = (Arc::clone(condition), log.clone());
    tokio::spawn(async move {
        condition.notified().await;
        log.note(name);
    })
}

async fn notify_some() -> String {
    let (condition, log) = (Arc::new(Notify::new()), Log::default());
    for name in ["a", "b", "c"] {
        waiting(&condition, &log, name);
        settle().await;
    }
    condition.notify_one();
    settle().await;
    let one = log.told();
    condition.notify_one();
    settle().await;
    condition.notify_one();
    settle().await;
    format!("{one}; then {}", log.told())
}

async fn notify_after_a_cancel() -> String {
    let (condition, log) = (Arc::new(Notify::new()), Log::default());
    let first = waiting(&condition, &log, "a");
    settle().await;
    first.abort();
    waiting(&condition, &log, "b");
    settle().await;
    condition.notify_one();
    settle().await;
    log.told()
}

async fn cancelled_after_the_notify() -> String {
    let (condition, log) = (Arc::new(Notify::new()), Log::default());
    let first = waiting(&condition, &log, "a");
    settle().await;
    condition.notify_one();
    first.abort();
    let cancelled = first.await.is_err_and(|error| error.is_cancelled());
    format!("cancelled: {cancelled}; [{}]", log.told())
}

async fn notify_too_many() -> String {
    let (condition, log) = (Arc::new(Notify::new()), Log::default());
    waiting(&condition, &log, "a");
    settle().await;
    for _ in 0..5 {
        condition.notify_one();
    }
    settle().await;
    waiting(&condition, &log, "a later one");
    settle().await;
    log.told()
}

async fn notify_all() -> String {
    let (condition, log) = (Arc::new(Notify::new()), Log::default());
    for name in ["a", "b"] {
        waiting(&condition, &log, name);
        settle().await;
    }
    condition.notify_waiters();
    settle().await;
    waiting(&condition, &log, "a later one");
    settle().await;
    log.told()
}

async fn notify_without_lock() -> String {
    let (condition, log) = (Arc::new(Notify::new()), Log::default());
    waiting(&condition, &log, "a");
    settle().await;
    condition.notify_one();
    settle().await;
    format!("wakes {}", log.told())
}

async fn holds_the_lock() -> String {
    let stock = Arc::new((StdMutex::new(0), Notify::new()));
    for _ in 0..2 {
        let own = Arc::clone(&stock);
        tokio::spawn(async move {
            wait_for(&own.0, &own.1, |stock| (*stock > 0).then_some(())).await;
            // Now another waiter may see the same item.
            settle().await;
            *own.0.lock().unwrap() -= 1;
        });
        settle().await;
    }
    *stock.0.lock().unwrap() = 1;
    stock.1.notify_waiters();
    sleep(millis(100)).await;
    format!("of one item {} are left", stock.0.lock().unwrap())
}

async fn holds_the_lock_in_check() -> String {
    let stock = Arc::new((StdMutex::new(0), Notify::new()));
    for _ in 0..2 {
        let own = Arc::clone(&stock);
        tokio::spawn(async move {
            wait_for(&own.0, &own.1, |stock| (*stock > 0).then(|| *stock -= 1)).await;
        });
        settle().await;
    }
    *stock.0.lock().unwrap() = 1;
    stock.1.notify_waiters();
    sleep(millis(100)).await;
    format!("of one item {} are left", stock.0.lock().unwrap())
}

async fn wait_for_checks_again() -> String {
    let state = Arc::new((StdMutex::new(false), Notify::new()));
    let own = Arc::clone(&state);
    let task = tokio::spawn(async move {
        wait_for(&own.0, &own.1, |it| it.then_some("the value")).await
    });
    settle().await;
    state.1.notify_one();
    settle().await;
    let early = task.is_finished();
    *state.0.lock().unwrap() = true;
    state.1.notify_one();
    format!("done too early: {early}; then {}", task.await.unwrap())
}

async fn wake_up_is_passed_on() -> String {
    let stock = Arc::new((StdMutex::new(0), Notify::new()));
    let mut tasks = Vec::new();
    for _ in 0..2 {
        let own = Arc::clone(&stock);
        tasks.push(tokio::spawn(async move {
            wait_for(&own.0, &own.1, |stock| (*stock > 0).then(|| *stock -= 1)).await;
        }));
        settle().await;
    }
    *stock.0.lock().unwrap() = 1;
    stock.1.notify_one();
    tasks[0].abort();
    settle().await;
    format!("of one item {} are left", stock.0.lock().unwrap())
}

async fn wake_up_of_the_wrong_one() -> String {
    let state = Arc::new((StdMutex::new(0), Notify::new()));
    let mut tasks = Vec::new();
    for wanted in [9, 1] {
        let own = Arc::clone(&state);
        tasks.push(tokio::spawn(async move {
            wait_for(&own.0, &own.1, |it| (*it == wanted).then_some(())).await;
        }));
        settle().await;
    }
    *state.0.lock().unwrap() = 1;
    state.1.notify_one();
    settle().await;
    let done = tasks.iter().filter(|task| task.is_finished()).count();
    format!("{done} of 2 are done")
}

async fn owner_is_gone() -> String {
    let (sender, mut receiver) = watch::channel(0);
    drop(sender);
    match receiver.wait_for(|it| *it == 1).await {
        Ok(_) => "returns",
        Err(_) => "fails",
    }
    .to_owned()
}

// Semaphore.

async fn locked_for_the_woken() -> String {
    let semaphore = Arc::new(Semaphore::new(1));
    let _taken = semaphore.acquire().await;
    let own = Arc::clone(&semaphore);
    tokio::spawn(async move { own.acquire().await.unwrap().forget() });
    settle().await;
    semaphore.add_permits(1);
    format!("locked: {}", semaphore.available_permits() == 0)
}

async fn permit_is_passed_on() -> String {
    let semaphore = Arc::new(Semaphore::new(0));
    let mut tasks = Vec::new();
    for _ in 0..4 {
        let own = Arc::clone(&semaphore);
        tasks.push(tokio::spawn(async move {
            own.acquire().await.unwrap().forget();
        }));
        settle().await;
    }
    tasks[0].abort();
    semaphore.add_permits(1);
    tasks[1].abort();
    settle().await;
    let third = tasks[2].is_finished() || tasks.iter().any(|it| it.is_finished());
    let free = semaphore.available_permits();
    format!("a waiter gets it: {third}; free: {free}")
}

async fn fourth_waits() -> String {
    let semaphore = Semaphore::new(3);
    let before = semaphore.available_permits() == 0;
    let _three = semaphore.acquire_many(3).await;
    let locked = semaphore.available_permits() == 0;
    let fourth = timeout(millis(50), semaphore.acquire()).await.is_ok();
    format!("locked: {before}, then {locked}; the fourth passes: {fourth}")
}

async fn zero_is_locked() -> String {
    let semaphore = Semaphore::new(0);
    format!("locked: {}", semaphore.available_permits() == 0)
}

/// A task that acquires a permit so often, and notes it.
fn acquiring(
    semaphore: &Arc<Semaphore>,
    log: &Log,
    name: &'static str,
    times: u32,
) -> JoinHandle<()> {
    let (semaphore, log) = (Arc::clone(semaphore), log.clone());
    tokio::spawn(async move {
        for _ in 0..times {
            let _permit = semaphore.acquire().await;
            log.note(name);
            sleep(millis(50)).await;
        }
    })
}

async fn they_take_turns() -> String {
    let (semaphore, log) = (Arc::new(Semaphore::new(1)), Log::default());
    for name in ["a", "b", "c"] {
        acquiring(&semaphore, &log, name, 2);
        settle().await;
    }
    sleep(millis(500)).await;
    log.told()
}

async fn cancelled_is_skipped() -> String {
    let (semaphore, log) = (Arc::new(Semaphore::new(0)), Log::default());
    let first = acquiring(&semaphore, &log, "a", 1);
    settle().await;
    for name in ["b", "c"] {
        acquiring(&semaphore, &log, name, 1);
        settle().await;
    }
    first.abort();
    settle().await;
    semaphore.add_permits(1);
    sleep(millis(200)).await;
    log.told()
}

async fn permit_of_a_cancelled_holder() -> String {
    let semaphore = Arc::new(Semaphore::new(1));
    let own = Arc::clone(&semaphore);
    let holding = tokio::spawn(async move {
        let _permit = own.acquire().await;
        std::future::pending::<()>().await;
    });
    settle().await;
    holding.abort();
    settle().await;
    format!("locked: {}", semaphore.available_permits() == 0)
}

async fn released_too_often(bounded: bool) -> String {
    let semaphore = Semaphore::new(1);
    semaphore.add_permits(1);
    let value = semaphore.available_permits();
    let bounded = if bounded { "bounded" } else { "plain" };
    format!("the {bounded} one has {value}")
}

// Barrier.

async fn barrier_of_none() -> String {
    Barrier::new(0).wait().await;
    "passes".to_owned()
}

async fn barrier_of_one() -> String {
    let barrier = Barrier::new(1);
    barrier.wait().await;
    barrier.wait().await;
    "passes twice".to_owned()
}

async fn barrier_twice() -> String {
    let barrier = Arc::new(Barrier::new(3));
    let mut tasks = Vec::new();
    for _ in 0..3 {
        let barrier = Arc::clone(&barrier);
        tasks.push(tokio::spawn(async move {
            barrier.wait().await;
            barrier.wait().await;
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
    "all pass twice".to_owned()
}

async fn barrier_again() -> String {
    let (barrier, log) = (Arc::new(Barrier::new(2)), Log::default());
    for name in ["a", "b", "c"] {
        let (barrier, own) = (Arc::clone(&barrier), log.clone());
        tokio::spawn(async move {
            barrier.wait().await;
            own.note(name);
            if name == "a" {
                // The other one may not have left yet.
                barrier.wait().await;
                own.note("a again");
            }
        });
        if name == "b" {
            settle().await;
            log.note("one waits");
        }
    }
    settle().await;
    let told = log.told();
    let (first, then) = told.split_once(", one waits, ").unwrap();
    let mut first: Vec<&str> = first.split(", ").collect();
    first.sort_unstable();
    let mut then: Vec<&str> = then.split(", ").collect();
    then.sort_unstable();
    format!("{}; then {}", first.join(" "), then.join(" "))
}

async fn barrier_broken() -> String {
    let broken = CancellationToken::new();
    let before = broken.is_cancelled();
    broken.cancel();
    format!("broken: {before}, then {}", broken.is_cancelled())
}

async fn barrier_numbers() -> String {
    let barrier = Arc::new(Barrier::new(3));
    let tasks: Vec<_> = (0..3)
        .map(|_| {
            let barrier = Arc::clone(&barrier);
            tokio::spawn(
                async move { BarrierWaitResult::is_leader(&barrier.wait().await) },
            )
        })
        .collect();
    let mut leaders = 0;
    for task in tasks {
        leaders += u32::from(task.await.unwrap());
    }
    format!("{leaders} of 3 is told that it leads")
}

async fn barrier_cancelled() -> String {
    let barrier = Arc::new(Barrier::new(2));
    let first = timeout(millis(50), barrier.wait()).await.is_ok();
    let second = timeout(millis(50), barrier.wait()).await.is_ok();
    format!("the first passes: {first}, the second alone: {second}")
}

async fn barrier_aborted() -> String {
    let (barrier, broken) = (Arc::new(Barrier::new(3)), CancellationToken::new());
    let tasks: Vec<_> = (0..2)
        .map(|_| {
            let (barrier, broken) = (Arc::clone(&barrier), broken.clone());
            tokio::spawn(async move {
                broken.run_until_cancelled(barrier.wait()).await.is_none()
            })
        })
        .collect();
    settle().await;
    broken.cancel();
    let mut failed = 0;
    for task in tasks {
        failed += u32::from(task.await.unwrap());
    }
    let later = broken.run_until_cancelled(barrier.wait()).await.is_none();
    format!("{failed} waiters fail; a later one fails: {later}")
}

async fn broken_last(select: bool) -> String {
    let mut passed = 0;
    for _ in 0..200 {
        let (barrier, broken) = (Barrier::new(1), CancellationToken::new());
        broken.cancel();
        if select {
            select! {
                _ = barrier.wait() => passed += 1,
                () = broken.cancelled() => {}
            }
        } else if broken.run_until_cancelled(barrier.wait()).await.is_some() {
            passed += 1;
        }
    }
    match passed {
        0 => "none of 200 passes",
        200 => "all of 200 pass",
        _ => "some of 200 pass",
    }
    .to_owned()
}

async fn barrier_reset() -> String {
    let (barrier, token) = (Barrier::new(2), CancellationToken::new());
    let waiting = token.run_until_cancelled(barrier.wait());
    let reset = async {
        settle().await;
        token.cancel();
    };
    let (waited, ()) = tokio::join!(waiting, reset);
    // In place of the old one.
    let (barrier, token) = (Barrier::new(2), CancellationToken::new());
    let (first, second) = tokio::join!(
        token.run_until_cancelled(barrier.wait()),
        token.run_until_cancelled(barrier.wait()),
    );
    let passed = usize::from(first.is_some()) + usize::from(second.is_some());
    format!("the waiter fails: {}; then {passed} pass", waited.is_none())
}

#[tokio::main]
async fn main() {
    try_out! { millis(10_000),
        "lock.acquire.first-come-first-served" => lock_in_order(),
        "lock.acquire.cancelled-leaves-no-trace" => lock_cancelled(),
        "lock.acquire.cancelled-as-released" => lock_cancelled_as_released(),
        "lock.locked.follows" => lock_locked(),
        "lock.release.by-another-task" => lock_released_by_another(),
        "lock.acquire.not-reentrant" => lock_twice(),
        "lock.error.released" => lock_after_a_panic(),
        "event.set.wakes-in-order" => event_order(),
        "event.wait.passes-when-set" => event_is_set(),
        "event.clear.after-set-wakes" => event_set_and_cleared(),
        "event.set.wakes-once" => event_set_again(),
        "event.set.kept-without-waiter@send" => event_without_waiter(false),
        "event.set.kept-without-waiter@send_replace" => event_without_waiter(true),
        "event.set.kept-without-waiter@Notify" => event_notify(),
        "condition.notify.wakes-first-n" => notify_some(),
        "condition.wait.cancelled-leaves-no-trace" => notify_after_a_cancel(),
        "condition.wait.cancelled-after-notify" => cancelled_after_the_notify(),
        "condition.notify.no-more-than-wait" => notify_too_many(),
        "condition.notify_all.wakes-who-wait" => notify_all(),
        "condition.notify.needs-lock" => notify_without_lock(),
        "condition.wait.holds-lock" => holds_the_lock(),
        "condition.wait.holds-lock@in-check" => holds_the_lock_in_check(),
        "condition.wait_for.checks-again@wait_for" => wait_for_checks_again(),
        "condition.wait.cancelled-passes-on@wait_for" => wake_up_is_passed_on(),
        "condition.notify.wrong-waiter@wait_for" => wake_up_of_the_wrong_one(),
        "condition.wait_for.notifier-gone@watch" => owner_is_gone(),
        "semaphore.value.zero-is-locked" => zero_is_locked(),
        "semaphore.acquire.waits-at-limit" => fourth_waits(),
        "semaphore.acquire.takes-turns" => they_take_turns(),
        "semaphore.acquire.cancelled-first-skipped" => cancelled_is_skipped(),
        "semaphore.locked.for-the-woken" => locked_for_the_woken(),
        "semaphore.acquire.cancelled-passes-on" => permit_is_passed_on(),
        "semaphore.acquire.cancelled-holder" => permit_of_a_cancelled_holder(),
        "semaphore.release.raises-value" => released_too_often(false),
        "bounded_semaphore.release.refused@add_permits" => released_too_often(true),
        "barrier.parties.zero-refused" => barrier_of_none(),
        "barrier.parties.one-never-waits" => barrier_of_one(),
        "barrier.wait.all-pass-twice" => barrier_twice(),
        "barrier.wait.again-while-others-leave" => barrier_again(),
        "barrier.broken.tells" => barrier_broken(),
        "barrier.wait.returns-number" => barrier_numbers(),
        "barrier.wait.cancelled-not-counted" => barrier_cancelled(),
        "barrier.abort.wakes-waiters@run_until_cancelled" => barrier_aborted(),
        "barrier.abort.last-party-fails@run_until_cancelled" => broken_last(false),
        "barrier.abort.last-party-fails@select" => broken_last(true),
        "barrier.reset.wakes-waiters@swap" => barrier_reset(),
    }
}

//@ python: 3.13
