//! `asyncio.TaskGroup`: what CPython's tests ask of it.
//!
//! The counterpart is the component `task_group`, unless the clause names a `JoinSet`
//! behind an `@`.
//!
//! asyncio: asyncio.TaskGroup, asyncio.TaskGroup.create_task
//! differs: a `JoinSet` watches no errors, and aborts what it holds when it is dropped

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use tokio::sync::oneshot;
use tokio::task::{JoinError, JoinSet};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::support::drop_a_join_set::join_or_shut_down;
use crate::support::join_set_group::join_group;
use crate::support::task_group::{TaskErrors, TaskGroup, task_group};
use crate::support::task_group_errors::run_all;
use crate::support::{Log, millis, settle, try_out};

type Result<T> = std::result::Result<T, &'static str>;

/// Notes its name after this time.
async fn work(log: Log, name: &'static str, time: u64) -> Result<()> {
    sleep(millis(time)).await;
    log.note(name);
    Ok(())
}

async fn fail(time: u64) -> Result<()> {
    sleep(millis(time)).await;
    Err("the first error")
}

/// Returns the errors of a group, with plus signs.
fn errors<T>(outcome: std::result::Result<T, TaskErrors<&'static str>>) -> String {
    outcome
        .err()
        .map_or("none".into(), |errors| errors.0.join(" + "))
}

async fn waits_at_its_end() -> String {
    let log = Log::default();
    let own = log.clone();
    let outcome = task_group(|group| async move {
        group.spawn(work(own.clone(), "the child is done", 50));
        own.note("the body is done");
        Ok(())
    });
    let _ = outcome.await;
    log.note("behind the group");
    log.told()
}

async fn waits_at_its_end_join_set() -> String {
    let log = Log::default();
    {
        let mut group = JoinSet::new();
        group.spawn(work(log.clone(), "the child is done", 50));
        log.note("the body is done");
    }
    log.note("behind the group");
    sleep(millis(100)).await;
    log.told()
}

async fn waits_after_return(component: bool) -> String {
    async fn handler(log: Log) -> &'static str {
        let mut group = JoinSet::new();
        group.spawn(work(log, "the record is written", 50));
        "the answer"
    }
    let log = Log::default();
    if component {
        let own = log.clone();
        let _ = task_group(|group| async move {
            group.spawn(work(own, "the record is written", 50));
            Ok("the answer")
        })
        .await;
    } else {
        handler(log.clone()).await;
    }
    sleep(millis(100)).await;
    format!("[{}]", log.told())
}

async fn results() -> String {
    let sum = task_group(|group: TaskGroup<&str>| async move {
        let first = group.spawn(async { Ok(1) });
        let second = group.spawn(async { Ok(2) });
        let values = (first.await, second.await);
        Ok(values.0.unwrap_or(0) + values.1.unwrap_or(0))
    });
    sum.await.unwrap_or(0).to_string()
}

async fn created_late() -> String {
    let log = Log::default();
    let own = log.clone();
    let _ = task_group(|group| async move {
        settle().await;
        group.spawn(work(own, "the child is done", 20));
        Ok(())
    })
    .await;
    log.told()
}

async fn created_by_a_child() -> String {
    let log = Log::default();
    let own = log.clone();
    let _ = task_group(|group| async move {
        let inner = group.clone();
        group.spawn(async move {
            inner.spawn(work(own, "the grandchild is done", 20));
            Ok(())
        });
        Ok(())
    })
    .await;
    log.told()
}

// Errors.

async fn error_of_a_child() -> String {
    let log = Log::default();
    let own = log.clone();
    let outcome = task_group(|group| async move {
        group.spawn(work(own.clone(), "the sibling goes on", 100));
        group.spawn(fail(20));
        sleep(millis(200)).await;
        own.note("the body goes on");
        Ok(())
    })
    .await;
    format!("{}; [{}]", errors(outcome), log.told())
}

async fn error_of_a_child_in_set() -> String {
    let log = Log::default();
    let mut group = JoinSet::new();
    group.spawn(work(log.clone(), "the sibling goes on", 100));
    group.spawn(fail(20));
    sleep(millis(200)).await;
    log.note("the body goes on");
    let mut error = "none";
    while let Some(outcome) = group.join_next().await {
        error = outcome.unwrap().err().unwrap_or(error);
    }
    format!("{error}; [{}]", log.told())
}

async fn error_of_the_body() -> String {
    let log = Log::default();
    let own = log.clone();
    let outcome: std::result::Result<(), _> = task_group(|group| async move {
        group.spawn(work(own, "the child goes on", 100));
        settle().await;
        Err("the body's error")
    })
    .await;
    sleep(millis(150)).await;
    format!("{}; [{}]", errors(outcome), log.told())
}

async fn three_errors() -> String {
    let outcome = task_group(|group| async move {
        for _ in 0..3 {
            group.spawn(fail(20));
        }
        Ok(())
    })
    .await;
    let count = outcome.err().map_or(0, |errors| errors.0.len());
    format!("of three errors at the same moment, {count}")
}

async fn error_behind_a_value() -> String {
    let outcome = task_group(|group| async move {
        group.spawn(fail(50));
        Ok("the value of the body")
    })
    .await;
    errors(outcome)
}

async fn inner_group_fails() -> String {
    let log = Log::default();
    let own = log.clone();
    let outcome = task_group(|outer| async move {
        outer.spawn(work(own.clone(), "the outer child goes on", 100));
        let inner = task_group(|inner| async move {
            inner.spawn(fail(20));
            sleep(millis(200)).await;
            Ok(())
        });
        inner.await.map_err(|errors| errors.0[0])?;
        own.note("behind the inner group");
        Ok(())
    })
    .await;
    format!("{}; [{}]", errors(outcome), log.told())
}

async fn outer_child_fails() -> String {
    let log = Log::default();
    let own = log.clone();
    let outcome = task_group(|outer| async move {
        outer.spawn(fail(20));
        let inner = task_group(|inner| async move {
            inner.spawn(work(own, "the inner child goes on", 100));
            Ok(())
        });
        inner.await.map_err(|errors| errors.0[0])
    })
    .await;
    sleep(millis(150)).await;
    format!("{}; [{}]", errors(outcome), log.told())
}

async fn caught_inside() -> String {
    let log = Log::default();
    let own = log.clone();
    let outcome = task_group(|outer| async move {
        outer.spawn(work(own.clone(), "the outer child goes on", 50));
        let inner = task_group(|inner| async move {
            inner.spawn(fail(20));
            Ok(())
        });
        if inner.await.is_err() {
            own.note("caught");
        }
        Ok(())
    })
    .await;
    format!("{}; {}", errors(outcome), log.told())
}

async fn child_is_cancelled(component: bool) -> String {
    let log = Log::default();
    if component {
        let own = log.clone();
        let outcome = task_group(|group| async move {
            // Its receiver is all that there is of a child.
            drop(group.spawn(work(own.clone(), "the child goes on", 50)));
            group.spawn(work(own, "the sibling goes on", 100));
            Ok(())
        })
        .await;
        return format!("{}; {}", errors(outcome), log.told());
    }
    let mut group = with_an_aborted_child::<String>(&log);
    while group.join_next().await.is_some() {}
    format!("none; {}", log.told())
}

/// A set in which the first child is aborted.
fn with_an_aborted_child<E: Send + 'static>(
    log: &Log,
) -> JoinSet<std::result::Result<(), E>> {
    let mut group = JoinSet::new();
    let names = [("the child goes on", 50), ("the sibling goes on", 100)];
    for (index, (name, time)) in names.into_iter().enumerate() {
        let log = log.clone();
        let child = group.spawn(async move {
            sleep(millis(time)).await;
            log.note(name);
            Ok(())
        });
        if index == 0 {
            child.abort();
        }
    }
    group
}

async fn child_is_cancelled_in_run_all() -> String {
    let log = Log::default();
    let (group, stop) = (
        with_an_aborted_child::<JoinError>(&log),
        CancellationToken::new(),
    );
    let failed = run_all(group, &stop).await.is_err();
    let error = if failed { "some" } else { "none" };
    format!("{error}; {}", log.told())
}

async fn child_is_cancelled_in_join_or_shut_down() -> String {
    let log = Log::default();
    let group = with_an_aborted_child::<String>(&log);
    let failed = join_or_shut_down(group).await.is_err();
    let error = if failed { "some" } else { "none" };
    format!("{error}; {}", log.told())
}

async fn error_of_a_child_in_join_group() -> String {
    let log = Log::default();
    let own = log.clone();
    let mut group = JoinSet::new();
    group.spawn(async move {
        sleep(millis(100)).await;
        own.note("the sibling goes on");
        Ok(String::new())
    });
    group.spawn(async { Err(fail(20).await.unwrap_err().into()) });
    let errors = join_group(group).await.unwrap_err();
    sleep(millis(200)).await;
    format!("{}; [{}]", errors[0], log.told())
}

async fn children_without_end() -> String {
    fn child(group: TaskGroup<&'static str>, count: Arc<AtomicU32>) {
        let own = group.clone();
        group.spawn(async move {
            settle().await;
            if count.fetch_add(1, Ordering::Relaxed) == 19 {
                return Err("enough");
            }
            child(own, count);
            Ok(())
        });
    }
    let count = Arc::new(AtomicU32::new(0));
    let own = Arc::clone(&count);
    let outcome = task_group(|group| async move {
        child(group, own);
        Ok(())
    })
    .await;
    format!(
        "{} after {}",
        errors(outcome),
        count.load(Ordering::Relaxed)
    )
}

async fn created_beside_a_failure() -> String {
    let log = Log::default();
    let own = log.clone();
    let outcome = task_group(|group| async move {
        let inner = group.clone();
        group.spawn(async move {
            inner.spawn(fail(20));
            sleep(millis(10)).await;
            inner.spawn(work(own, "the late task goes on behind its await", 50));
            Ok(())
        });
        Ok(())
    })
    .await;
    sleep(millis(100)).await;
    format!("{}; [{}]", errors(outcome), log.told())
}

// Cancel.

async fn cancelled_from_outside() -> String {
    let log = Log::default();
    let own = log.clone();
    let parent = tokio::spawn(task_group(|group: TaskGroup<&str>| async move {
        group.spawn(work(own, "the child goes on", 100));
        Ok(())
    }));
    settle().await;
    parent.abort();
    let cancelled = parent.await.is_err_and(|error| error.is_cancelled());
    sleep(millis(200)).await;
    format!("cancelled: {cancelled}; [{}]", log.told())
}

async fn failed_and_then_used() -> String {
    let _ = task_group(|group| async move {
        group.spawn(fail(10));
        Ok(())
    })
    .await;
    sleep(millis(10)).await;
    "the caller goes on".to_owned()
}

// Too late, or too early.

async fn created_after_the_end() -> String {
    let (sender, receiver) = oneshot::channel();
    let _ = task_group(|group: TaskGroup<&str>| async move {
        let _ = sender.send(group);
        Ok(())
    })
    .await;
    let group = receiver.await.ok().unwrap();
    let child = group.spawn(async { Ok("ran") });
    match timeout(millis(100), child).await {
        Ok(Ok(told)) => told,
        Ok(Err(_)) => "dropped, and only its receiver tells",
        Err(_) => "waits forever",
    }
    .to_owned()
}

async fn created_while_stopping() -> String {
    struct Late(TaskGroup<&'static str>, Log);
    impl Drop for Late {
        fn drop(&mut self) {
            self.0.spawn(work(self.1.clone(), "ran", 1));
            self.1.note("not refused");
        }
    }
    let log = Log::default();
    let own = log.clone();
    let _ = task_group(|group| async move {
        let late = Late(group.clone(), own);
        group.spawn(async move {
            let _late = late;
            sleep(millis(500)).await;
            Ok(())
        });
        group.spawn(fail(20));
        Ok(())
    })
    .await;
    sleep(millis(20)).await;
    format!("[{}]", log.told())
}

async fn finished_are_kept() -> String {
    let mut group = JoinSet::new();
    for _ in 0..100 {
        group.spawn(async {});
    }
    settle().await;
    format!("{} finished tasks are kept", group.len())
}

#[tokio::main]
async fn main() {
    try_out! { millis(20_000),
        "task_group.end.waits-for-children" => waits_at_its_end(),
        "task_group.end.waits-for-children@JoinSet" => waits_at_its_end_join_set(),
        "task_group.return.waits-for-children" => waits_after_return(true),
        "task_group.return.waits-for-children@JoinSet" => waits_after_return(false),
        "task_group.create_task.result" => results(),
        "task_group.create_task.after-an-await" => created_late(),
        "task_group.create_task.by-a-child" => created_by_a_child(),
        "task_group.error.cancels-siblings-and-body" => error_of_a_child(),
        "task_group.error.cancels-siblings-and-body@JoinSet" => error_of_a_child_in_set(),
        "task_group.error.cancels-siblings-and-body@join_group" =>
            error_of_a_child_in_join_group(),
        "task_group.error.of-the-body" => error_of_the_body(),
        "task_group.error.all-of-a-moment" => three_errors(),
        "task_group.error.behind-the-body" => error_behind_a_value(),
        "task_group.nested.outer-child-fails" => outer_child_fails(),
        "task_group.nested.inner-fails" => inner_group_fails(),
        "task_group.nested.caught-between" => caught_inside(),
        "task_group.child-cancelled.by-its-handle" => child_is_cancelled(true),
        "task_group.child-cancelled.others-go-on@JoinSet" => child_is_cancelled(false),
        "task_group.child-cancelled.others-go-on@run_all" =>
            child_is_cancelled_in_run_all(),
        "task_group.child-cancelled.others-go-on@join_or_shut_down" =>
            child_is_cancelled_in_join_or_shut_down(),
        "task_group.create_task.without-end" => children_without_end(),
        "task_group.create_task.of-a-failed-grandchild" => created_beside_a_failure(),
        "task_group.cancel.cancels-children" => cancelled_from_outside(),
        "task_group.error.caller-not-cancelled" => failed_and_then_used(),
        "task_group.create_task.after-end-refused" => created_after_the_end(),
        "task_group.create_task.while-stopping-refused" => created_while_stopping(),
        "task_group.create_task.finished-forgotten@JoinSet" => finished_are_kept(),
    }
}
