//! Shut down in three steps: wait for the signal, tell the tasks, wait for them.
//!
//! The tasks share a `CancellationToken`. Each task looks at it between two pieces of
//! work, so it finishes its current piece. A `TaskTracker` of tokio-util spawns the tasks
//! and waits for them. The token is asyncio's `Event`, and the tracker is its
//! `TaskGroup`. The function `shutdown_signal` waits for Ctrl-C; you can also pass it to
//! axum's `with_graceful_shutdown`.
//!
//! Trap: If you call `TaskTracker::wait` without `TaskTracker::close`, the program never
//! ends. `wait` expects further tasks until the tracker is closed. Call `close` first, as
//! step 3 does.
//!
//! In production: Use `graceful_shutdown`. It limits the wait, names the tasks that hang,
//! and listens for SIGTERM and a second signal.
//!
//! See also: `graceful_shutdown`, `background_services`.
//!
//! asyncio: asyncio.Event, asyncio.TaskGroup, loop.add_signal_handler

use std::time::Duration;

use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

async fn work(name: &str, duration: Duration, stop: CancellationToken) {
    while !stop.is_cancelled() {
        // Simulates one piece of work.
        sleep(duration).await;
        println!("{name} has done a piece of work");
    }
    println!("{name} ends");
}

/// Waits for Ctrl-C, here for at most a second.
async fn shutdown_signal() {
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        () = sleep(Duration::from_secs(1)) => {}
    }
}

#[tokio::main]
async fn main() {
    let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
    for (name, millis) in [("A", 300), ("B", 700)] {
        tasks.spawn(work(name, Duration::from_millis(millis), stop.clone()));
    }
    // 1. Find out.
    shutdown_signal().await;
    println!("shutting down");
    // 2. Tell the tasks.
    stop.cancel();
    // 3. Wait for them.
    tasks.close();
    tasks.wait().await;
    println!("all tasks have ended");
}

//@ clock: real
