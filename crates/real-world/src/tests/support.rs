//! What several tests of this section need. A copy takes the whole file.
#![allow(dead_code, reason = "not every copy needs all of it")]

use std::env;
use std::pin::pin;
use std::process::Command;
use std::task::Poll;
use std::time::Duration;

use tokio::runtime::{Builder, Handle};
use tokio::time::{sleep, timeout};

/// How many tasks the runtime has that have not ended.
pub fn tasks() -> usize {
    Handle::current().metrics().num_alive_tasks()
}

/// Polls the future at most `polls` times, a millisecond apart, and drops it if it is
/// not ready then.
pub async fn poll_and_drop<F: Future>(future: F, polls: usize) -> Option<F::Output> {
    let mut future = pin!(future);
    for _ in 0..polls {
        if let Poll::Ready(output) = futures::poll!(future.as_mut()) {
            return Some(output);
        }
        sleep(Duration::from_millis(1)).await;
    }
    None
}

/// Fails the test if the future is not ready within a time that nothing takes unless it
/// is wedged.
pub async fn soon<F: Future>(future: F) -> F::Output {
    let limit = Duration::from_secs(60);
    timeout(limit, future).await.expect("wedged")
}

/// The most memory that a future has at one time, with a runtime of one thread whose clock
/// is paused. Other tests do not count.
pub fn most_memory(future: impl Future<Output = ()>) -> u64 {
    let run = || {
        let mut builder = Builder::new_current_thread();
        let runtime = builder.enable_all().start_paused(true).build();
        runtime.expect("a runtime").block_on(future);
    };
    allocation_counter::measure(run).bytes_max
}

/// Runs the test `child` of this module in a process of its own: for what the whole
/// process has, such as memory or open files, or for its end.
pub fn child_of(module: &str) -> Command {
    let (_crate, module) = module.split_once("::").expect("it is not the crate");
    let mut command = Command::new(env::current_exe().expect("there is a path"));
    command.args(["--exact", "--nocapture", &format!("{module}::child")]);
    command
}
