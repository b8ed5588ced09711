//! `gather`, `wait` and `as_completed`: what CPython's tests ask of them.
//!
//! A clause names the counterpart behind an `@`, as each of the names has several.
//!
//! asyncio: asyncio.gather, asyncio.gather(return_exceptions=True), asyncio.wait
//! asyncio: asyncio.wait(timeout=), asyncio.as_completed
//! differs: what is dropped is cancelled, unless it is a separate task

use std::sync::Arc;
use std::time::Duration;

use futures::future::{join_all, select_all, try_join_all};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Instant, sleep, timeout_at};

use crate::support::gather::{Failure, gather};
use crate::support::gather_errors::{gather_all, try_gather};
use crate::support::wait_for_first::{first_completed, first_exception};
use crate::support::wait_with_timeout::wait;
use crate::support::{Log, millis, settle, try_out};

/// Notes its name after this time.
async fn work(log: Log, name: &'static str, time: u64) -> Result<&'static str, Failure> {
    sleep(millis(time)).await;
    log.note(name);
    Ok(name)
}

async fn fail(time: u64) -> Result<&'static str, Failure> {
    sleep(millis(time)).await;
    Err("the first error".into())
}

// Gather.

async fn in_order() -> String {
    let log = Log::default();
    let works = [("a", 30), ("b", 10), ("c", 20)];
    let works = works.map(|(name, time)| work(log.clone(), name, time));
    let values = join_all(works).await.into_iter();
    let values: Vec<&str> = values.map(Result::unwrap).collect();
    values.join(" ")
}

async fn empty() -> String {
    let none: [std::future::Ready<()>; 0] = [];
    format!("a list of {}", join_all(none).await.len())
}

async fn first_error(counterpart: &str) -> String {
    let (log, start) = (Log::default(), Instant::now());
    let (slow, failing) = (work(log.clone(), "the other goes on", 100), fail(20));
    let outcome = match counterpart {
        "gather" => {
            let all: [std::pin::Pin<Box<dyn Future<Output = _> + Send>>; 2] =
                [Box::pin(slow), Box::pin(failing)];
            gather(all).await.map(drop)
        }
        _ => tokio::try_join!(slow, failing).map(drop),
    };
    let early = start.elapsed() < millis(100);
    sleep(millis(200)).await;
    let error = outcome.unwrap_err();
    format!("{error}, early: {early}; [{}]", log.told())
}

async fn error_among_many(all: bool) -> String {
    let start = Instant::now();
    // An error of the last one, while the first still runs.
    let calls = (0..40).map(|number| async move {
        if number == 39 {
            return fail(20).await;
        }
        sleep(millis(500)).await;
        Ok("a value")
    });
    if all {
        let _ = try_join_all(calls).await;
    } else {
        let _ = try_gather(calls).await;
    }
    format!("early: {}", start.elapsed() < millis(100))
}

async fn panic_in_the_list(spawned: bool) -> String {
    let log = Log::default();
    let own = log.clone();
    let calls = (0..2).map(move |number| {
        let log = own.clone();
        async move {
            sleep(millis(20)).await;
            assert!(number != 0, "a bug in one call");
            sleep(millis(20)).await;
            log.note("the other has its value");
            Ok::<_, Failure>(())
        }
    });
    let calls: Vec<_> = calls.collect();
    let count = if spawned {
        gather_all(calls).await.len()
    } else {
        join_all(calls).await.len()
    };
    format!("{count} outcomes; {}", log.told())
}

async fn gather_cancelled(counterpart: &str) -> String {
    let log = Log::default();
    let calls = ["a", "b"].map(|name| work(log.clone(), name, 100));
    let waiting: JoinHandle<()> = match counterpart {
        "join_all" => tokio::spawn(async { drop(join_all(calls).await) }),
        "gather" => tokio::spawn(async { drop(gather(calls).await) }),
        _ => {
            let tasks = calls.map(tokio::spawn);
            tokio::spawn(async { drop(join_all(tasks).await) })
        }
    };
    settle().await;
    waiting.abort();
    sleep(millis(200)).await;
    format!("[{}] went on", log.told())
}

async fn cancelled_child() -> String {
    let log = Log::default();
    let (first, second) = (
        tokio::spawn(work(log.clone(), "a", 50)),
        tokio::spawn(work(log.clone(), "the other goes on", 100)),
    );
    first.abort();
    let cancelled = first.await.is_err_and(|error| error.is_cancelled());
    let _ = second.await;
    format!("cancelled: {cancelled}; {}", log.told())
}

async fn shielded_gather_cancelled(each: bool) -> String {
    let log = Log::default();
    let calls = ["a", "b"].map(|name| work(log.clone(), name, 50));
    let waiting = if each {
        let tasks = calls.map(tokio::spawn);
        tokio::spawn(async { drop(join_all(tasks).await) })
    } else {
        let shielded = tokio::spawn(join_all(calls));
        tokio::spawn(async { drop(shielded.await) })
    };
    settle().await;
    waiting.abort();
    sleep(millis(100)).await;
    format!("[{}] went on", log.told())
}

async fn second_error() -> String {
    let (seen, hook) = (Log::default(), std::panic::take_hook());
    let own = seen.clone();
    std::panic::set_hook(Box::new(move |_| own.note("a panic")));
    let outcomes: [std::pin::Pin<Box<dyn Future<Output = _> + Send>>; 2] =
        [Box::pin(fail(20)), Box::pin(fail(50))];
    let error = gather(outcomes).await.unwrap_err();
    sleep(millis(100)).await;
    std::panic::set_hook(hook);
    format!("{error}; the handler sees [{}]", seen.told())
}

// Wait.

async fn wait_again() -> String {
    let log = Log::default();
    let mut tasks = JoinSet::new();
    tasks.spawn(work(log.clone(), "a", 50));
    let first = timeout_at(Instant::now() + millis(20), tasks.join_next()).await;
    let again = tasks.join_next().await.is_some();
    format!("in time: {}; then done: {again}", first.is_ok())
}

async fn until_an_error_that_is_a_cancel() -> String {
    let log = Log::default();
    let (mut tasks, mut done) = (JoinSet::new(), Vec::new());
    tasks.spawn(work(log.clone(), "a", 50)).abort();
    tasks.spawn(work(log.clone(), "b", 100));
    let failed = first_exception(&mut tasks, &mut done).await.is_err();
    format!("failed: {failed}, {} pending; {}", tasks.len(), log.told())
}

async fn wait_for_none(select: bool) -> String {
    if select {
        let none: Vec<JoinHandle<()>> = Vec::new();
        let _ = select_all(none).await;
    } else if JoinSet::<()>::new().join_next().await.is_none() {
        return "returns nothing".to_owned();
    }
    "returns".to_owned()
}

async fn two_are_done(component: bool) -> String {
    let mut tasks = JoinSet::new();
    for name in ["a", "b", "c"] {
        tasks.spawn(async move {
            sleep(millis(if name == "c" { 500 } else { 20 })).await;
            name
        });
    }
    // Both have ended before the wait.
    sleep(millis(50)).await;
    let mut done: Vec<&str> = if component {
        let done = first_completed(&mut tasks).await;
        done.into_iter().map(Result::unwrap).collect()
    } else {
        vec![tasks.join_next().await.unwrap().unwrap()]
    };
    tasks.shutdown().await;
    done.sort_unstable();
    format!("{} of 2 results are there", done.len())
}

async fn others_after_the_first() -> String {
    let log = Log::default();
    let mut tasks = JoinSet::new();
    tasks.spawn(work(log.clone(), "a", 20));
    tasks.spawn(work(log.clone(), "b goes on", 50));
    tasks.join_next().await;
    let pending = tasks.len();
    sleep(millis(100)).await;
    format!("{pending} is pending; {}", log.told())
}

async fn until_an_error() -> String {
    let log = Log::default();
    let (mut tasks, mut done) = (JoinSet::new(), Vec::new());
    tasks.spawn(work(log.clone(), "a", 20));
    tasks.spawn(fail(50));
    tasks.spawn(work(log.clone(), "c", 100));
    let failed = first_exception(&mut tasks, &mut done).await.is_err();
    format!(
        "failed: {failed}, {} done, {} pending",
        done.len(),
        tasks.len()
    )
}

async fn wait_until_a_timeout() -> String {
    let log = Log::default();
    let mut tasks = JoinSet::new();
    tasks.spawn(work(log.clone(), "a", 20));
    tasks.spawn(work(log.clone(), "b goes on", 100));
    let done = wait(&mut tasks, millis(50)).await.len();
    let pending = tasks.len();
    sleep(millis(100)).await;
    format!("{done} done, {pending} pending; {}", log.told())
}

async fn wait_zero() -> String {
    let mut tasks = JoinSet::new();
    tasks.spawn(async {});
    tasks.spawn(sleep(millis(100)));
    settle().await;
    let done = wait(&mut tasks, Duration::ZERO).await.len();
    format!("{done} done, {} pending", tasks.len())
}

async fn wait_cancelled(owned: bool) -> String {
    let log = Log::default();
    let waiting: JoinHandle<()> = if owned {
        let mut tasks = JoinSet::new();
        tasks.spawn(work(log.clone(), "the task goes on", 100));
        tokio::spawn(async move { while tasks.join_next().await.is_some() {} })
    } else {
        let task = tokio::spawn(work(log.clone(), "the task goes on", 100));
        tokio::spawn(async { drop(task.await) })
    };
    settle().await;
    waiting.abort();
    sleep(millis(200)).await;
    format!("[{}]", log.told())
}

// As they are completed.

async fn order_of_completion() -> String {
    let (log, mut tasks) = (Log::default(), JoinSet::new());
    for (name, time) in [("a", 30), ("b", 10), ("c", 20)] {
        tasks.spawn(work(log.clone(), name, time));
    }
    let mut names = Vec::new();
    while let Some(name) = tasks.join_next().await {
        names.push(name.unwrap().unwrap());
    }
    names.join(" ")
}

async fn completed_in_time() -> String {
    let (log, mut tasks) = (Log::default(), JoinSet::new());
    tasks.spawn(work(log.clone(), "a", 20));
    tasks.spawn(work(log.clone(), "b goes on", 100));
    let limit = Instant::now() + millis(50);
    let mut count = 0;
    while let Ok(Some(_)) = timeout_at(limit, tasks.join_next()).await {
        count += 1;
    }
    sleep(millis(100)).await;
    format!("{count} in time; {}", log.told())
}

async fn left_early(shared: bool) -> String {
    let log = Arc::new(Log::default());
    let mut tasks = JoinSet::new();
    for (name, time) in [("a", 20), ("the other goes on", 50)] {
        tasks.spawn(work((*log).clone(), name, time));
    }
    tasks.join_next().await;
    if shared {
        tasks.detach_all();
    }
    drop(tasks);
    sleep(millis(100)).await;
    log.told()
}

#[tokio::main]
async fn main() {
    try_out! { millis(20_000),
        "gather.order.of-arguments@join_all" => in_order(),
        "gather.empty.returns-list@join_all" => empty(),
        "gather.error.others-go-on@gather" => first_error("gather"),
        "gather.error.others-go-on@try_join" => first_error("try_join"),
        "gather.error.comes-immediately@try_gather" => error_among_many(false),
        "gather.error.comes-immediately@try_join_all" => error_among_many(true),
        "gather.return_exceptions.bug@gather_all" => panic_in_the_list(true),
        "gather.return_exceptions.bug@join_all" => panic_in_the_list(false),
        "gather.cancel.cancels-all@join_all" => gather_cancelled("join_all"),
        "gather.cancel.cancels-all@gather" => gather_cancelled("gather"),
        "gather.cancel.cancels-all@handles" => gather_cancelled("handles"),
        "gather.child-cancelled.others-go-on@handles" => cancelled_child(),
        "gather.error.second-not-logged" => second_error(),
        "shield.gather.children-run" => shielded_gather_cancelled(false),
        "gather.shields.inner-run" => shielded_gather_cancelled(true),
        "wait.empty.refused@JoinSet" => wait_for_none(false),
        "wait.empty.refused@select_all" => wait_for_none(true),
        "wait.first_completed.all-done@first_completed" => two_are_done(true),
        "wait.first_completed.all-done@join_next" => two_are_done(false),
        "wait.first_completed.others-go-on@join_next" => others_after_the_first(),
        "wait.first_exception.ends@first_exception" => until_an_error(),
        "wait.first_exception.cancelled-does-not-count" =>
            until_an_error_that_is_a_cancel(),
        "wait.cancel.repeated" => wait_again(),
        "wait.timeout.others-go-on@wait" => wait_until_a_timeout(),
        "wait.timeout.zero-takes-done@wait" => wait_zero(),
        "wait.cancel.tasks-go-on@handles" => wait_cancelled(false),
        "wait.cancel.tasks-go-on@JoinSet" => wait_cancelled(true),
        "as_completed.order.of-completion@join_next" => order_of_completion(),
        "as_completed.timeout.in-time@timeout_at" => completed_in_time(),
        "as_completed.break.others-go-on@JoinSet" => left_early(false),
        "as_completed.break.others-go-on@detach_all" => left_early(true),
    }
}
