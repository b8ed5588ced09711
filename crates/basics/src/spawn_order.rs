//! A spawned task may start immediately, before the line after `spawn`.
//!
//! In asyncio a new task starts at the next await of its creator, or immediately with an
//! `eager_task_factory`. Tokio's multi-thread runtime (its event loop) hands the task to
//! another thread, which may start the task before `spawn` returns. A current-thread
//! runtime keeps the order of asyncio. To hold a task back, give it a signal to wait for.
//!
//! Trap: If you spawn a task and then prepare something for it, such as
//! `self.tasks.insert(..)` or a listener, the preparation may come too late on several
//! threads. Prepare first, then spawn. Tests on one thread never show this mistake.
//!
//! See also: `spawn_tasks`, `interleaving`, `build_a_runtime`.
//!
//! asyncio: asyncio.create_task, asyncio.eager_task_factory
//! differs: asyncio starts a new task at the next await, Tokio may start it before

use std::error::Error;
use std::thread;
use std::time::Duration;

use tokio::runtime::Builder;
use tokio::sync::oneshot;
use tokio::task::JoinError;

/// Simulates work that awaits nothing.
fn compute() {
    thread::sleep(Duration::from_millis(500));
    println!("The code after the spawn is done");
}

/// Spawns a task, and computes before the next await.
async fn spawn_and_compute() -> Result<(), JoinError> {
    let task = tokio::spawn(async { println!("The task starts") });
    compute();
    task.await
}

/// Spawns a task that starts when the code after the spawn is done.
async fn spawn_and_release() -> Result<(), JoinError> {
    let (go, may_go) = oneshot::channel();
    let task = tokio::spawn(async {
        // An error means that the sender was dropped, as by an early return.
        if may_go.await.is_ok() {
            println!("The task starts");
        }
    });
    compute();
    let _ = go.send(());
    task.await
}

pub fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    println!("On several threads:");
    let runtime = Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(spawn_and_compute())?;

    println!("On several threads, with a signal:");
    runtime.block_on(spawn_and_release())?;

    println!("On one thread:");
    let runtime = Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(spawn_and_compute())?;
    Ok(())
}

//@ clock: real
