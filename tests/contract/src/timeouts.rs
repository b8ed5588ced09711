//! `asyncio.timeout` and `wait_for`: what CPython's tests ask of them, on Tokio's clock.
//!
//! The counterpart is `tokio::time::timeout`, unless the clause names another one behind
//! an `@`: the components `Deadline` and `join_or_stop`. What needs the real clock is
//! tried in `timeouts_real`.
//!
//! asyncio: asyncio.timeout, asyncio.timeout_at, asyncio.wait_for
//! asyncio: asyncio.Timeout.reschedule, asyncio.Timeout.expired
//! differs: a timeout drops a future; in asyncio it cancels a task, which may answer

use std::error::Error as _;
use std::pin::pin;
use std::time::Duration;

use tokio::select;
use tokio::sync::oneshot;
use tokio::task::{JoinSet, yield_now};
use tokio::time::{Instant, sleep, timeout, timeout_at};

use crate::support::deadlines::Deadline;
use crate::support::timeouts::join_or_stop;
use crate::support::{Log, millis, settle, try_out};

/// Notes its end: this is where a program of asyncio has `finally`.
struct Cleanup(Log, &'static str);

impl Drop for Cleanup {
    fn drop(&mut self) {
        self.0.note(self.1);
    }
}

fn tenths(start: Instant) -> String {
    let tenths = start.elapsed().as_millis() / 100;
    format!("{}.{} s", tenths / 10, tenths % 10)
}

async fn expires() -> String {
    let start = Instant::now();
    let expired = timeout(millis(100), sleep(millis(500))).await.is_err();
    format!("expired: {expired}, after {}", tenths(start))
}

async fn expires_sleep() -> String {
    let (start, mut limit) = (Instant::now(), pin!(sleep(millis(100))));
    select! {
        () = &mut limit => {}
        () = sleep(millis(500)) => {}
    }
    format!("expired: {}, after {}", limit.is_elapsed(), tenths(start))
}

async fn expires_at() -> String {
    let start = Instant::now();
    let moment = start + millis(100);
    let expired = timeout_at(moment, sleep(millis(500))).await.is_err();
    format!("expired: {expired}, after {}", tenths(start))
}

async fn in_time() -> String {
    let expired = timeout(millis(500), sleep(millis(100))).await.is_err();
    format!("expired: {expired}")
}

async fn no_limit(limit: Option<Duration>) -> String {
    let limit = limit.unwrap_or(Duration::MAX);
    let expired = timeout(limit, sleep(millis(200))).await.is_err();
    format!("expired: {expired}")
}

async fn body_is_cancelled() -> String {
    let log = Log::default();
    let cleanup = Cleanup(log.clone(), "cleaned up");
    let body = async {
        let _cleanup = cleanup;
        sleep(millis(500)).await;
        log.note("went on");
    };
    let _ = timeout(millis(100), body).await;
    log.note("timed out");
    log.told()
}

async fn nested_same_end() -> String {
    let (log, end) = (Log::default(), Instant::now() + millis(100));
    let body = async {
        if timeout_at(end, sleep(millis(500))).await.is_err() {
            log.note("the inner times out");
        }
        log.note("the code between goes on");
    };
    if timeout_at(end, body).await.is_err() {
        log.note("the outer times out");
    }
    log.told()
}

async fn nested_retry() -> String {
    let (mut calls, end) = (0, Instant::now() + millis(100));
    let body = async {
        loop {
            calls += 1;
            if timeout_at(end, sleep(millis(500))).await.is_ok() {
                return;
            }
        }
    };
    let _ = timeout_at(end, body).await;
    let calls = if calls > 100 {
        "over 100"
    } else {
        &calls.to_string()
    };
    format!("calls until the outer ends it: {calls}")
}

async fn nested_retry_deadline() -> String {
    let (mut calls, deadline) = (0, Deadline::after(millis(100)));
    let body = async {
        loop {
            calls += 1;
            let inner = deadline.at_most(millis(30));
            // A way out, should it spin: then it would block its thread forever.
            if inner.run(sleep(millis(500))).await.is_ok() || calls > 1000 {
                return;
            }
        }
    };
    let _ = deadline.run(body).await;
    let calls = if calls > 100 {
        "over 100"
    } else {
        &calls.to_string()
    };
    format!("calls until the outer ends it: {calls}")
}

async fn zero_sleep() -> String {
    let expired = timeout(Duration::ZERO, sleep(millis(500))).await.is_err();
    format!("expired: {expired}")
}

async fn zero_without_await() -> String {
    let value = timeout(Duration::ZERO, async { 7 }).await;
    value.map_or("timed out".to_owned(), |value| format!("returns {value}"))
}

async fn past() -> String {
    sleep(millis(20)).await;
    let moment = Instant::now() - millis(10);
    let expired = timeout_at(moment, sleep(millis(500))).await.is_err();
    format!("expired: {expired}")
}

async fn past_turn() -> String {
    sleep(millis(20)).await;
    let moment = Instant::now() - millis(10);
    let expired = timeout_at(moment, yield_now()).await.is_err();
    format!("expired: {expired}")
}

async fn negative() -> String {
    let limit = Duration::from_secs_f64(-11.0);
    let expired = timeout(limit, sleep(millis(500))).await.is_err();
    format!("expired: {expired}")
}

async fn error_passes() -> String {
    let body = async { Err::<(), _>("the call's own error") };
    match timeout(millis(100), body).await {
        Ok(Err(error)) => error.to_owned(),
        _ => "timed out".to_owned(),
    }
}

async fn cause() -> String {
    let error = timeout(millis(10), sleep(millis(500))).await.unwrap_err();
    let cause = error
        .source()
        .map_or("none".to_owned(), ToString::to_string);
    format!("the cause is {cause}")
}

async fn error_of_the_cleanup() -> String {
    struct Failing;
    impl Drop for Failing {
        fn drop(&mut self) {
            // There is nobody to return it to.
            let _: Result<(), &str> = Err("the clean-up failed");
        }
    }
    let failing = Failing;
    let body = async {
        let _failing = failing;
        sleep(millis(500)).await;
        Ok::<(), &str>(())
    };
    match timeout(millis(10), body).await {
        Ok(Err(error)) => error.to_owned(),
        Ok(Ok(())) => "returns".to_owned(),
        Err(_) => "timed out".to_owned(),
    }
}

async fn cancelled_from_outside() -> String {
    let task = tokio::spawn(timeout(millis(500), sleep(millis(400))));
    settle().await;
    task.abort();
    let cancelled = task.await.is_err_and(|error| error.is_cancelled());
    format!("cancelled, not timed out: {cancelled}")
}

async fn task_goes_on() -> String {
    let _ = timeout(millis(10), sleep(millis(500))).await;
    sleep(millis(10)).await;
    "the task goes on".to_owned()
}

async fn group_whose_cleanup_fails() -> String {
    struct Failing;
    impl Drop for Failing {
        fn drop(&mut self) {
            panic!("the clean-up failed");
        }
    }
    let body = async {
        let mut group = JoinSet::new();
        let failing = Failing;
        group.spawn(async move {
            let _failing = failing;
            sleep(millis(500)).await;
        });
        group.join_all().await;
    };
    match timeout(millis(50), body).await {
        Ok(()) => "returns",
        Err(_) => "timed out",
    }
    .to_owned()
}

async fn value_at_the_same_moment() -> String {
    match timeout(millis(100), sleep(millis(100))).await {
        Ok(()) => "the value wins",
        Err(_) => "timed out",
    }
    .to_owned()
}

// Reschedule.

async fn reschedule() -> String {
    let deadline = Deadline::after(millis(100));
    let own = deadline.clone();
    let task = tokio::spawn(async move { own.run(sleep(millis(200))).await.is_err() });
    settle().await;
    deadline.reschedule(millis(500));
    format!("expired: {}", task.await.unwrap())
}

async fn reschedule_none() -> String {
    let deadline = Deadline::after(millis(100));
    let own = deadline.clone();
    let task = tokio::spawn(async move { own.run(sleep(millis(500))).await });
    settle().await;
    deadline.reschedule(Duration::MAX);
    sleep(millis(200)).await;
    task.abort();
    let cancelled = task.await.is_err_and(|error| error.is_cancelled());
    format!("cancelled, not timed out: {cancelled}")
}

async fn reschedule_after_the_end() -> String {
    let deadline = Deadline::after(millis(10));
    let _ = deadline.run(sleep(millis(500))).await;
    deadline.reschedule(millis(100));
    let works = deadline.run(async { 5 }).await.is_ok();
    ["refused", "moved, and used again"][usize::from(works)].to_owned()
}

// wait_for.

async fn zero_done_future() -> String {
    let (sender, receiver) = oneshot::channel();
    sender.send("a").unwrap();
    let value = timeout(Duration::ZERO, receiver).await;
    value.map_or("timed out", Result::unwrap).to_owned()
}

async fn zero_coroutine() -> String {
    let log = Log::default();
    let call = async {
        log.note("started");
        sleep(millis(100)).await;
    };
    let expired = timeout(Duration::ZERO, call).await.is_err();
    format!("expired: {expired}; [{}]", log.told())
}

async fn zero_coroutine_deadline() -> String {
    let log = Log::default();
    let call = async {
        log.note("started");
        sleep(millis(100)).await;
    };
    let expired = Deadline::after(Duration::ZERO).run(call).await.is_err();
    format!("expired: {expired}; [{}]", log.told())
}

fn working(log: &Log) -> tokio::task::JoinHandle<()> {
    let log = log.clone();
    tokio::spawn(async move {
        let _cleanup = Cleanup(log.clone(), "ended");
        sleep(millis(200)).await;
        log.note("the task goes on");
    })
}

async fn zero_running_task() -> String {
    let log = Log::default();
    let task = working(&log);
    settle().await;
    let expired = join_or_stop(Duration::ZERO, task).await.unwrap().is_none();
    format!("expired: {expired}; [{}]", log.told())
}

async fn cancels_the_task() -> String {
    let log = Log::default();
    let expired = timeout(millis(100), working(&log)).await.is_err();
    sleep(millis(200)).await;
    format!("expired: {expired}; [{}]", log.told())
}

async fn cancels_the_task_stop() -> String {
    let log = Log::default();
    let outcome = join_or_stop(millis(100), working(&log)).await;
    let told = log.told();
    sleep(millis(200)).await;
    format!("expired: {}; [{told}]", outcome.unwrap().is_none())
}

async fn result_in_time() -> String {
    let (sender, receiver) = oneshot::channel();
    tokio::spawn(async move { sender.send("a") });
    timeout(millis(100), receiver)
        .await
        .unwrap()
        .unwrap()
        .to_owned()
}

async fn error_of_a_cancelled_task() -> String {
    struct Failing;
    impl Drop for Failing {
        fn drop(&mut self) {
            panic!("the clean-up failed");
        }
    }
    let task = tokio::spawn(async {
        let _failing = Failing;
        sleep(millis(500)).await;
    });
    match join_or_stop(millis(50), task).await {
        Err(error) if error.is_panic() => "the clean-up failed",
        _ => "timed out",
    }
    .to_owned()
}

async fn cancelled_wait() -> String {
    let log = Log::default();
    let task = working(&log);
    let waiting = tokio::spawn(timeout(millis(500), task));
    settle().await;
    waiting.abort();
    sleep(millis(300)).await;
    format!("[{}]", log.told())
}

async fn cancelled_wait_stop() -> String {
    let log = Log::default();
    let task = working(&log);
    let waiting = tokio::spawn(join_or_stop(millis(500), task));
    settle().await;
    waiting.abort();
    sleep(millis(300)).await;
    format!("[{}]", log.told())
}

async fn shield(limit: Duration) -> String {
    let mut task = tokio::spawn(async {
        sleep(millis(100)).await;
        "a"
    });
    let expired = match timeout(limit, &mut task).await {
        Ok(value) => return format!("expired: false; {}", value.unwrap()),
        Err(_) => true,
    };
    format!("expired: {expired}; later {}", task.await.unwrap())
}

#[tokio::main]
async fn main() {
    try_out! { millis(10_000),
        "timeout.expired.after-limit" => expires(),
        "timeout.expired.after-limit@Sleep" => expires_sleep(),
        "timeout_at.expired.after-moment" => expires_at(),
        "timeout.expired.false-in-time" => in_time(),
        "timeout.none.no-limit" => no_limit(None),
        "timeout.body.cancelled-first" => body_is_cancelled(),
        "timeout.nested.same-end-outer-tells" => nested_same_end(),
        "timeout.nested.retry-ends" => nested_retry(),
        "timeout.nested.retry-ends@Deadline" => nested_retry_deadline(),
        "timeout.zero.sleep-times-out" => zero_sleep(),
        "timeout.zero.value-without-await" => zero_without_await(),
        "timeout_at.past.sleep-times-out" => past(),
        "timeout_at.past.turn-times-out" => past_turn(),
        "timeout.negative.is-past" => negative(),
        "timeout.error.passes" => error_passes(),
        "timeout.error.has-cause" => cause(),
        "timeout.cleanup.error-replaces" => error_of_the_cleanup(),
        "timeout.cancel.is-no-timeout" => cancelled_from_outside(),
        "timeout.task.goes-on" => task_goes_on(),
        "timeout.group.cleanup-error-replaces" => group_whose_cleanup_fails(),
        "timeout.value.same-moment" => value_at_the_same_moment(),
        "timeout.reschedule.moves@Deadline" => reschedule(),
        "timeout.reschedule.none-ends-limit@Deadline" => reschedule_none(),
        "timeout.reschedule.refused-after-end@Deadline" => reschedule_after_the_end(),
        "wait_for.zero.done-future-returns" => zero_done_future(),
        "wait_for.zero.coroutine-never-starts" => zero_coroutine(),
        "wait_for.zero.coroutine-never-starts@Deadline" => zero_coroutine_deadline(),
        "wait_for.zero.task-cancelled@join_or_stop" => zero_running_task(),
        "wait_for.limit.task-cancelled" => cancels_the_task(),
        "wait_for.limit.task-cancelled@join_or_stop" => cancels_the_task_stop(),
        "wait_for.negative.is-past" => negative(),
        "wait_for.none.no-limit" => no_limit(None),
        "wait_for.result.in-time" => result_in_time(),
        "wait_for.cleanup.error-replaces@join_or_stop" => error_of_a_cancelled_task(),
        "wait_for.cancel.task-cancelled" => cancelled_wait(),
        "wait_for.cancel.task-cancelled@join_or_stop" => cancelled_wait_stop(),
        "wait_for.shield.zero" => shield(Duration::ZERO),
        "wait_for.shield.none" => shield(Duration::MAX),
        "wait_for.shield.task-survives" => shield(millis(50)),
    }
}
