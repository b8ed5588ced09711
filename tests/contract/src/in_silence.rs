//! What asyncio logs, waits for or keeps, and Tokio drops in silence.
//!
//! A panic hook is all that hears of a task, so it is what the clauses ask. Generators
//! and groups show that a `finally` which awaits is begun, and not waited for.
//!
//! asyncio: asyncio.create_task, asyncio.TaskGroup, asyncio.Future.set_exception
//! asyncio: aclose, contextlib.aclosing, asyncio.IncompleteReadError.partial
//! differs: a dropped future, task, stream or error says nothing, and awaits nothing

use std::panic;

use async_stream::stream;
use futures::{Stream, StreamExt};
use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
use tokio::sync::oneshot;
use tokio::time::sleep;
use tokio_util::task::AbortOnDropHandle;

use crate::support::task_group::{TaskGroup, task_group};
use crate::support::{Log, millis, settle, try_out};

/// Notes its text when it is dropped, where Python has a `finally`.
struct Finally(Log, &'static str);

impl Drop for Finally {
    fn drop(&mut self) {
        self.0.note(self.1);
    }
}

/// Notes what the program is told by a panic hook: Tokio has no other place for it.
fn learns() -> Log {
    let log = Log::default();
    let told = log.clone();
    panic::set_hook(Box::new(move |panic| {
        told.note(panic.payload_as_str().unwrap_or("no text"))
    }));
    log
}

/// All that was noted, or "nothing".
async fn learnt(log: Log) -> String {
    settle().await;
    panic::set_hook(Box::new(|_| {}));
    match log.told() {
        told if told.is_empty() => "nothing".to_owned(),
        told => told,
    }
}

// Tasks and futures.

async fn task_destroyed() -> String {
    let log = learns();
    let (_sender, receiver) = oneshot::channel::<()>();
    let task = tokio::spawn(receiver);
    settle().await;
    drop(AbortOnDropHandle::new(task));
    learnt(log).await
}

async fn task_error() -> String {
    let log = learns();
    drop(tokio::spawn(async { Err::<(), _>("an error") }));
    learnt(log).await
}

async fn task_panic() -> String {
    let log = learns();
    drop(tokio::spawn(async { panic!("an error") }));
    learnt(log).await
}

async fn future_error() -> String {
    let log = learns();
    let (sender, receiver) = oneshot::channel();
    sender.send(Err::<(), _>("an error")).unwrap();
    drop(receiver);
    learnt(log).await
}

async fn never_awaited() -> String {
    let log = learns();
    let own = log.clone();
    let future = async move { own.note("ran") };
    drop(future);
    learnt(log).await
}

async fn exit_of_a_task() -> String {
    let task = tokio::spawn(async { panic!("exit") });
    let error = task.await.unwrap_err();
    format!("main goes on, panicked: {}", error.is_panic())
}

// Groups.

async fn group_waits() -> String {
    let log = Log::default();
    let own = log.clone();
    let group = tokio::spawn(task_group(|group: TaskGroup<&str>| async move {
        group.spawn(async move {
            let _ends = Finally(own.clone(), "the clean-up begins");
            sleep(millis(100)).await;
            own.note("never");
            Ok(())
        });
        Ok(())
    }));
    settle().await;
    group.abort();
    let _ = group.await;
    // The child's `finally` would take 20 ms.
    log.note("the clean-up has not ended");
    learnt(log).await
}

async fn group_cleanup_fails() -> String {
    struct Fails;
    impl Drop for Fails {
        fn drop(&mut self) {
            panic!("the clean-up fails");
        }
    }
    let group = tokio::spawn(task_group(|group: TaskGroup<&str>| async move {
        group.spawn(async {
            let _fails = Fails;
            sleep(millis(100)).await;
            Ok(())
        });
        Ok(())
    }));
    settle().await;
    group.abort();
    let error = group.await.unwrap_err();
    format!("cancelled: {}", error.is_cancelled())
}

// Generators.

/// Two rows. A `finally` that awaits can only be begun.
fn rows(log: Log) -> impl Stream<Item = u32> {
    stream! {
        let _closes = Finally(log, "closing");
        yield 1;
        yield 2;
    }
}

async fn generator_closed() -> String {
    let log = Log::default();
    let mut rows = Box::pin(rows(log.clone()));
    rows.next().await;
    drop(rows);
    log.note("left");
    learnt(log).await
}

async fn generator_left() -> String {
    let log = Log::default();
    {
        let mut rows = Box::pin(rows(log.clone()));
        rows.next().await;
    }
    log.note("left");
    learnt(log).await
}

// Streams and servers.

async fn partial() -> String {
    let (mut writer, mut reader) = duplex(100);
    writer.write_all(b"abc").await.unwrap();
    drop(writer);
    let error = reader.read_exact(&mut [0; 10]).await.unwrap_err();
    error.to_string()
}

async fn handler_error() -> String {
    let log = learns();
    let (mut client, stream) = duplex(100);
    drop(tokio::spawn(async move {
        let _stream = stream;
        Err::<(), _>("an error")
    }));
    assert_eq!(client.read(&mut [0; 1]).await.unwrap(), 0);
    learnt(log).await
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    try_out! { millis(5000),
        "task.destroyed.logged" => task_destroyed(),
        "task.error.logged" => task_error(),
        "task.error.logged@panic" => task_panic(),
        "loop.exception_handler.task" => task_error(),
        "future.log.unretrieved" => future_error(),
        "coroutine.never-awaited" => never_awaited(),
        "loop.exit.callback" => exit_of_a_task(),
        "task_group.cancel.waits-for-children" => group_waits(),
        "task_group.cleanup.error-replaces" => group_cleanup_fails(),
        "aclosing.finally-may-await" => generator_closed(),
        "generator.aclose.finally-may-await" => generator_closed(),
        "loop.asyncgens.closed" => generator_left(),
        "stream.readexactly.error-has-part" => partial(),
        "stream.handler.error-is-reported" => handler_error(),
    }
}
