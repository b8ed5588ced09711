//! Send or not: what a task may keep across an await, and `LocalSet` for other values.
//!
//! A task may continue on another thread after each await, so all values that it keeps
//! across an await must be `Send` (may move to another thread). An `Rc`, which counts
//! references without a lock, is not `Send`. Use an `Arc`, or drop the `Rc` before the
//! await, in a block.
//!
//! Tasks of a `LocalSet` stay on one thread, as tasks of asyncio do, and need not be
//! `Send`. Spawn them by `spawn_local` inside the set. For a program whose tasks all stay
//! on one thread, write `#[tokio::main(flavor = "local")]`, and in a test
//! `#[tokio::test(flavor = "local")]`: there, `spawn_local` needs no set. In any other
//! place, it panics: "called from outside of a `task::LocalSet`".
//!
//! Trap: If a task keeps an `Rc` across an await, the compiler's message points at
//! `spawn`, not at the cause: "future cannot be sent between threads safely". Look
//! further down for the line with "which is not `Send`", which shows the value.
//!
//! Trap: If you do not await a `LocalSet`, its tasks do not run. Await the set itself, or
//! pass a future to its `run_until`.
//!
//! Trap: If you make a `LocalSet` inside a spawned task, it does not compile, because the
//! set is not `Send` itself. `LocalPoolHandle::spawn_pinned` of `tokio-util` runs a
//! future that is not `Send` on a thread of its own, and the task awaits the handle.
//!
//! See also: `runtime_per_thread`, `share_state`, `build_a_runtime`.
//!
//! asyncio: asyncio.create_task, asyncio.gather

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use tokio::task::{JoinError, LocalSet, spawn_local};
use tokio::time::sleep;

/// Drops its `Rc` before it awaits, so it can be spawned as any task.
async fn shout(word: &'static str) {
    let shouted = {
        let letters = Rc::new(word.to_uppercase());
        let again = Rc::clone(&letters);
        format!("{letters} {again}")
    };
    sleep(Duration::from_millis(100)).await;
    println!("{shouted}");
}

/// Keeps the `Rc` across its await, and borrows the list only between awaits. If a task
/// kept the guard of `borrow_mut`, the next `borrow_mut` would panic: "RefCell already
/// borrowed".
async fn remember(name: &'static str, delay: Duration, names: Rc<RefCell<Vec<&str>>>) {
    sleep(delay).await;
    names.borrow_mut().push(name);
    println!("{name} is remembered, names: {}", names.borrow().len());
}

#[tokio::main]
async fn main() -> Result<(), JoinError> {
    println!("A task for any thread:");
    tokio::spawn(shout("hello")).await?;

    println!("Tasks that share a list:");
    let names = Rc::new(RefCell::new(Vec::new()));
    let local = LocalSet::new();
    for (name, delay) in [("Ada", 200), ("Ben", 100), ("Cleo", 300)] {
        let delay = Duration::from_millis(delay);
        local.spawn_local(remember(name, delay, Rc::clone(&names)));
    }
    // Runs the tasks of the set until all have ended.
    local.await;
    println!("{}", names.borrow().join(", "));

    println!("A task with a result:");
    let local = LocalSet::new();
    let list = Rc::clone(&names);
    let count = async move {
        sleep(Duration::from_millis(100)).await;
        list.borrow().len()
    };
    // Inside `run_until`, `spawn_local` finds the set.
    let length = local.run_until(async { spawn_local(count).await }).await?;
    println!("Names: {length}");
    Ok(())
}

//@ send: no (it waits for a LocalSet, whose tasks stay on one thread)
