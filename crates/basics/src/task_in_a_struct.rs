//! Keep a task in a struct: `self.task`, started, awaited and stopped by methods.
//!
//! The struct owns the handle. `stop` cancels a `CancellationToken` (a stop signal that
//! the task checks), so that the task can finish its step. Then `stop` awaits the handle
//! for the result. `stop` takes `self`, so a stopped object cannot be used again.
//! `AbortOnDropHandle` (of the crate `tokio-util`) aborts the task if the struct is
//! dropped without `stop`; a plain `JoinHandle` would leave the task running.
//!
//! Trap: If you write `self.task.await` in a `&mut self` method, the compiler reports
//! "cannot move out of `self.task`". Write `(&mut self.task).await`. But a second await
//! of the handle panics: "JoinHandle polled after completion". So call such a method only
//! once, or keep the result in a field.
//!
//! See also: `drop_or_detach`, `background_tasks`, `select_in_a_struct`, `actor`.
//!
//! asyncio: asyncio.create_task, asyncio.Task, asyncio.Event

use std::time::Duration;

use tokio::task::JoinError;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

/// Beats every second in its own task.
pub struct Heartbeat {
    stopping: CancellationToken,
    task: AbortOnDropHandle<u32>,
}

impl Heartbeat {
    /// Starts the task.
    ///
    /// # Panics
    ///
    /// Outside a Tokio runtime.
    pub fn start() -> Self {
        let stopping = CancellationToken::new();
        let task = AbortOnDropHandle::new(tokio::spawn(beat(stopping.clone())));
        Self { stopping, task }
    }

    /// Returns whether the task runs.
    pub fn is_running(&self) -> bool {
        !self.task.is_finished()
    }

    /// Stops the task, waits for its end, and returns how often it has beaten.
    ///
    /// # Errors
    ///
    /// If the task panicked.
    pub async fn stop(self) -> Result<u32, JoinError> {
        self.stopping.cancel();
        self.task.await
    }
}

async fn beat(stopping: CancellationToken) -> u32 {
    let mut beats = 0;
    while !stopping.is_cancelled() {
        beats += 1;
        println!("Beat {beats}");
        let pause = sleep(Duration::from_secs(1));
        let _: Option<()> = stopping.run_until_cancelled(pause).await;
    }
    beats
}

#[tokio::main]
async fn main() -> Result<(), JoinError> {
    let heartbeat = Heartbeat::start();
    sleep(Duration::from_millis(2500)).await;
    println!("Running: {}", heartbeat.is_running());
    println!("Stopped after {} beats", heartbeat.stop().await?);

    let heartbeat = Heartbeat::start();
    sleep(Duration::from_millis(500)).await;
    drop(heartbeat);
    sleep(Duration::from_secs(1)).await;
    println!("After the drop, no beat came");
    Ok(())
}
