//! Tasks, futures and locks: clauses of CPython's tests that hold in Rust as well.
//!
//! Nothing differs here. The counterpart of a task is a spawned one, of a future a
//! `oneshot`. The other counterparts have the same name, or stand behind an `@`.
//!
//! asyncio: asyncio.create_task, asyncio.ensure_future, asyncio.Task.cancel
//! asyncio: asyncio.shield, asyncio.gather, asyncio.Condition, asyncio.Semaphore

use std::collections::HashSet;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};

use futures::future::{BoxFuture, join_all};
use futures::{FutureExt, StreamExt, stream};
use tokio::sync::{Semaphore, oneshot, watch};
use tokio::task::{self, JoinHandle, JoinSet, LocalKey};
use tokio::time::{Instant, Sleep, sleep};

use crate::support::gather_errors::gather_all;
use crate::support::task_group::{TaskGroup, task_group};
use crate::support::{Log, millis, settle, try_out};

// Await.

async fn returns_a_future() -> String {
    async fn call() -> oneshot::Receiver<u32> {
        let (sender, receiver) = oneshot::channel();
        sender.send(42).unwrap();
        receiver
    }
    let future = call().await;
    format!("a future, and then {}", future.await.unwrap())
}

async fn one_task() -> String {
    async fn inner() -> task::Id {
        sleep(millis(1)).await;
        task::id()
    }
    async fn outer() -> task::Id {
        inner().await
    }
    format!("one task: {}", outer().await == task::id())
}

/// A future by hand. It has its value when it is polled again.
#[derive(Default)]
struct Own(bool);

impl Future for Own {
    type Output = &'static str;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<&'static str> {
        if self.0 {
            return Poll::Ready("its value");
        }
        self.0 = true;
        context.waker().wake_by_ref();
        Poll::Pending
    }
}

async fn task_of_own_class() -> String {
    let task = tokio::spawn(Own::default());
    settle().await;
    format!("done: {}, then {}", task.is_finished(), task.await.unwrap())
}

async fn numbers() -> String {
    let tasks = [1, 2].map(|number| tokio::spawn(async move { number }));
    format!("each has its own: {}", tasks[0].id() != tasks[1].id())
}

async fn recursive_groups() -> String {
    type Seen = Arc<Mutex<HashSet<task::Id>>>;
    fn tree(depth: u32, seen: Seen) -> BoxFuture<'static, ()> {
        let body = async move {
            seen.lock().unwrap().insert(task::id());
            let mut children = JoinSet::new();
            for _ in 0..if depth == 0 { 0 } else { 2 } {
                children.spawn(tree(depth - 1, Arc::clone(&seen)));
            }
            children.join_all().await;
        };
        body.boxed()
    }
    let seen = Seen::default();
    tree(2, Arc::clone(&seen)).await;
    format!("7 calls, {} tasks", seen.lock().unwrap().len())
}

async fn refused_is_closed() -> String {
    let held = Arc::new(());
    let own = Arc::clone(&held);
    let group = task_group(async |group: TaskGroup<&str>| Ok(group.clone()));
    let ended = group.await.unwrap();
    drop(ended.spawn(async move {
        drop(own);
        Ok(())
    }));
    settle().await;
    format!("closed: {}", Arc::strong_count(&held) == 1)
}

async fn default_at_an_error() -> String {
    let mut items = stream::iter([Err::<&str, _>("the error")]);
    match items.next().await.unwrap_or(Ok("the default")) {
        Ok(item) => item.to_owned(),
        Err(error) => format!("raises {error}"),
    }
}

// Cancel.

async fn wait_for(future: oneshot::Receiver<()>, depth: u32) {
    if depth > 0 {
        Box::pin(wait_for(future, depth - 1)).await;
    } else {
        let _ = future.await;
    }
}

async fn cancel_reaches(depth: u32) -> String {
    let (sender, receiver) = oneshot::channel::<()>();
    let waiting: BoxFuture<'static, ()> = wait_for(receiver, depth).boxed();
    let task = tokio::spawn(waiting);
    settle().await;
    task.abort();
    let cancelled = is_cancelled(task).await;
    format!(
        "the task is cancelled: {cancelled}, its future: {}",
        sender.is_closed()
    )
}

async fn is_cancelled<T>(task: JoinHandle<T>) -> bool {
    task.await.is_err_and(|error| error.is_cancelled())
}

async fn cancelled_with_its_future() -> String {
    let (sender, receiver) = oneshot::channel::<()>();
    let task = tokio::spawn(receiver);
    settle().await;
    drop(sender);
    task.abort();
    format!("the task is cancelled: {}", is_cancelled(task).await)
}

async fn cancelled_sleep() -> String {
    struct Nobody;
    impl Wake for Nobody {
        fn wake(self: Arc<Self>) {}
    }
    // A timer holds a waker as long as it is there.
    let nobody = Arc::new(Nobody);
    let mut sleeping: Pin<Box<Sleep>> = Box::pin(sleep(millis(3_600_000)));
    let due = sleeping.deadline() - Instant::now();
    let waker = Waker::from(Arc::clone(&nobody));
    let poll = sleeping.as_mut().poll(&mut Context::from_waker(&waker));
    assert!(poll.is_pending());
    drop(waker);
    let before = Arc::strong_count(&nobody) - 1;
    drop(sleeping);
    let after = Arc::strong_count(&nobody) - 1;
    let due = due.as_secs_f64().round();
    format!("{before} timer, due in {due} s, then {after}")
}

async fn logged() -> String {
    let (log, hook) = (Log::default(), std::panic::take_hook());
    let own = log.clone();
    std::panic::set_hook(Box::new(move |panic| {
        own.note(panic.payload_as_str().unwrap_or_default());
    }));
    let failing = tokio::spawn(async { panic!("a bug") });
    let sleeping = tokio::spawn(sleep(millis(100)));
    settle().await;
    sleeping.abort();
    drop((failing, sleeping));
    settle().await;
    std::panic::set_hook(hook);
    format!("[{}]", log.told())
}

// Context.

tokio::task_local! {
    static NAME: &'static str;
    static NUMBER: u32;
}

async fn own_changes() -> String {
    let body = NAME.scope("outer", async {
        let task = tokio::spawn(NAME.scope("inner", async {
            tokio::spawn(NAME.scope("the callback's", async {}));
            settle().await;
            NAME.get()
        }));
        let inner = task.await.unwrap();
        format!("the task reads {inner}, its creator {}", NAME.get())
    });
    body.await
}

/// Whether it reads what it has set, in a task and in a closure.
async fn reads_own(variable: &'static LocalKey<u32>, number: u32) -> bool {
    let reads = move || variable.try_get() == Ok(number);
    let body = async move {
        sleep(millis(10)).await;
        reads()
    };
    variable.sync_scope(number, reads) && variable.scope(number, body).await
}

async fn hundred() -> String {
    let tasks = (0..100).map(|number| tokio::spawn(reads_own(&NUMBER, number)));
    let own = join_all(tasks).await.into_iter();
    format!(
        "{} of 100 read their own",
        own.map(Result::unwrap).filter(|own| *own).count()
    )
}

// Shield, gather and as_completed.

async fn shield_passes() -> String {
    let value = tokio::spawn(async { Ok::<_, &str>("a value") });
    let error = tokio::spawn(async { Err::<&str, _>("an error") });
    let done = tokio::spawn(async { "that of a finished task" });
    settle().await;
    let value = value.await.unwrap().unwrap();
    let error = error.await.unwrap().unwrap_err();
    format!("{value}, {error}, {}", done.await.unwrap())
}

async fn value(name: &'static str, time: u64) -> Result<&'static str, Failure> {
    sleep(millis(time)).await;
    Ok(name)
}

type Failure = Box<dyn std::error::Error + Send + Sync>;

async fn gather_is_done() -> String {
    let children = [value("a", 1), value("b", 1)].map(tokio::spawn);
    let gathered = tokio::spawn(join_all(children));
    settle().await;
    gathered.abort();
    let values = gathered.await.unwrap().into_iter();
    let values: Vec<&str> = values.map(|it| it.unwrap().unwrap()).collect();
    values.join(", ")
}

async fn gather_all_cancelled() -> String {
    let gathered = tokio::spawn(gather_all([value("a", 100), value("b", 100)]));
    settle().await;
    gathered.abort();
    format!("cancelled: {}", is_cancelled(gathered).await)
}

async fn cancelled_in_the_list() -> String {
    let children = [value("a value", 100), value("", 100)].map(tokio::spawn);
    settle().await;
    children[1].abort();
    let mut told = Vec::new();
    for outcome in join_all(children).await {
        told.push(match outcome {
            Ok(value) => value.unwrap(),
            Err(error) if error.is_cancelled() => "a cancellation",
            Err(_) => "a panic",
        });
    }
    told.join(", ")
}

async fn resumed() -> String {
    let mut tasks = JoinSet::from_iter([value("a", 10), value("b", 20), value("c", 30)]);
    let mut told = Vec::new();
    let first = tasks.join_next().await.unwrap();
    told.push(first.unwrap().unwrap());
    told.push("then");
    while let Some(done) = tasks.join_next().await {
        told.push(done.unwrap().unwrap());
    }
    told.join(" ")
}

// Events, conditions and semaphores.

async fn event_cancelled() -> String {
    let event = watch::Sender::new(false);
    let mut flag = event.subscribe();
    let waiting = tokio::spawn(async move { flag.wait_for(|set| *set).await.is_ok() });
    settle().await;
    let before = event.receiver_count();
    waiting.abort();
    settle().await;
    format!("{before} waits, then {}", event.receiver_count())
}

async fn predicate_is_true() -> String {
    let sender = watch::Sender::new(1);
    let mut receiver = sender.subscribe();
    let found = receiver.wait_for(|value| *value == 1).now_or_never();
    format!("without a wait: {}", found.is_some())
}

async fn notify_all() -> String {
    let (sender, log) = (watch::Sender::new(0), Log::default());
    let waiting = |name| {
        let (mut receiver, log) = (sender.subscribe(), log.clone());
        tokio::spawn(async move {
            receiver.changed().await.unwrap();
            log.note(name);
        })
    };
    // They wake in no order.
    for _ in 0..2 {
        waiting("woken");
    }
    settle().await;
    sender.send_modify(|value| *value += 1);
    settle().await;
    waiting("a later one");
    settle().await;
    log.told()
}

async fn semaphore_cancelled() -> String {
    let semaphore = Arc::new(Semaphore::new(1));
    let permit = semaphore.acquire().await.unwrap();
    let own = Arc::clone(&semaphore);
    let waiting = tokio::spawn(async move { drop(own.acquire().await) });
    settle().await;
    waiting.abort();
    settle().await;
    drop(permit);
    format!("{} is free", semaphore.available_permits())
}

async fn semaphore_locked() -> String {
    let semaphore = Semaphore::new(2);
    let locked = || semaphore.available_permits() == 0;
    let _first = semaphore.acquire().await.unwrap();
    let one = locked();
    let second = semaphore.acquire().await.unwrap();
    let two = locked();
    drop(second);
    format!(
        "{one} with one, {two} with two, {} after the release",
        locked()
    )
}

#[tokio::main]
async fn main() {
    try_out! { millis(5_000),
        "coroutine.returns-a-future" => returns_a_future(),
        "eager.awaits.one-task" => one_task(),
        "create_task.takes-coroutine" => task_of_own_class(),
        "ensure_future.makes-task" => task_of_own_class(),
        "task.get_name.numbered" => numbers(),
        "eager.task_group.task-each" => recursive_groups(),
        "task_group.create_task.refused-is-closed" => refused_is_closed(),
        "anext.default.not-for-errors" => default_at_an_error(),
        "task.cancel.its-future" => cancel_reaches(0),
        "task.cancel.through-awaits" => cancel_reaches(2),
        "task.cancel.with-its-future" => cancelled_with_its_future(),
        "sleep.cancel.removes-timer" => cancelled_sleep(),
        "task.cancelled.not-logged" => logged(),
        "context.task.own-changes" => own_changes(),
        "context.task.hundred" => hundred(),
        "shield.outcome.passes" => shield_passes(),
        "gather.cancel.done-children" => gather_is_done(),
        "gather.cancel.return_exceptions" => gather_all_cancelled(),
        "gather.return_exceptions.cancelled" => cancelled_in_the_list(),
        "as_completed.break.resumed" => resumed(),
        "event.wait.cancelled-leaves-no-trace" => event_cancelled(),
        "condition.wait_for.true-returns" => predicate_is_true(),
        "condition.notify_all.wakes-who-wait@watch" => notify_all(),
        "semaphore.acquire.cancelled-leaves-no-trace" => semaphore_cancelled(),
        "semaphore.locked.follows" => semaphore_locked(),
    }
}

//@ python: 3.13
